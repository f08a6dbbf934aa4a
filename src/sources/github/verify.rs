//! Verifies records that the reconciliation did not find, or found in an older state: looks up each by its number.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api::{Api, Route};
use super::checkpoint::Position;
use super::connection::Connection;
use super::evidence::{ControlIssue, IssueKind, IssueLookup};
use super::names::Name;
use super::settings::GithubSettings;
use crate::{Error, Monitor, Record, Result, SourceEvent, StoredRecord, VerifyRequest};

pub(super) async fn verify(
    connection: Arc<Connection>,
    settings: &GithubSettings,
    request: VerifyRequest,
) -> Result<Vec<Record>> {
    let VerifyRequest { resource, checkpoint, records, allow_deletions, monitor, .. } = request;
    let name = Name::from_resource(&resource)?;
    let server = connection.client.base_url();
    let position = checkpoint.as_ref().map(|checkpoint| Position::for_server(server, checkpoint)).transpose()?;
    let api = match position {
        None => Api::find(connection, name, &monitor).await?,
        Some(Position { repository: Some(id), .. }) => Api { connection, name, route: Route::Id(id) },
        Some(_) => {
            let route = Route::Name(name.path());
            Api { connection, name, route }
        }
    };
    let issues =
        records.into_iter().filter_map(|record| StoredIssue::from_record(record, settings.pull_requests, &monitor));
    let concurrency = settings.concurrency.into();
    let (mut answers, missing) = ask_all(&api, issues.collect(), concurrency, &monitor).await?;
    for (kind, missing) in missing {
        let control = control(&api, kind, missing.len(), allow_deletions, &monitor).await?;
        let (others, missing) = ask_all(&api, missing, concurrency, &monitor).await?;
        answers.extend(others);
        answers.extend(missing.into_values().flatten().map(StoredIssue::deletion));
        // It may have been deleted meanwhile; then use another one.
        if let Some(control) = control
            && !api.still_exists(&control, &monitor).await?
        {
            self::control(&api, kind, answers.len(), allow_deletions, &monitor).await?;
        }
    }
    Ok(answers)
}

/// Looks up issues concurrently: returns their states and proven deletions, and by kind those that are missing.
async fn ask_all(
    api: &Api,
    issues: Vec<StoredIssue>,
    concurrency: usize,
    monitor: &Monitor,
) -> Result<(Vec<Record>, BTreeMap<IssueKind, Vec<StoredIssue>>)> {
    let answered = stream::iter(issues)
        .map(|issue| async move { Ok::<_, Error>((api.item(issue.number, monitor).await?, issue)) })
        .buffer_unordered(concurrency)
        .try_collect::<Vec<_>>()
        .await?;
    let (mut records, mut missing) = (Vec::new(), BTreeMap::<IssueKind, Vec<StoredIssue>>::new());
    for (answer, issue) in answered {
        match answer {
            IssueLookup::Found(fresh) if fresh.key == issue.stored.key => records.push(fresh),
            IssueLookup::Deleted => records.push(issue.deletion()),
            IssueLookup::Found(_) | IssueLookup::Missing => missing.entry(issue.kind).or_default().push(issue),
        }
    }
    Ok((records, missing))
}

/// Finds an item of this kind that the repository lists and returns: only then does a missing one count as deleted. `None` when it lists
/// none, and a person has confirmed that all may be deleted.
async fn control(
    api: &Api,
    kind: IssueKind,
    missing: usize,
    allow_deletions: bool,
    monitor: &Monitor,
) -> Result<Option<ControlIssue>> {
    if let Some(control) = api.control(kind, monitor).await? {
        return Ok(Some(control));
    }
    api.must_have_issues(monitor).await?;
    if allow_deletions {
        return Ok(None);
    }
    let (what, Name { owner, name }) = (if kind == IssueKind::Issue { "issues" } else { "pull requests" }, &api.name);
    Err(Error::invalid_data(format!(
        "{missing} stored {what} of {owner}/{name} were not found, and the repository lists no {what} to compare with: that may be \
         lost access as well as deletions"
    ))
    .with_help(
        "check that the token may read the repository's issues; if they were really deleted, run \
         `ingest --reconcile --allow-deletions`",
    )
    .with_unconfirmed_deletions(missing as u64))
}

/// A stored issue to be verified.
struct StoredIssue {
    stored: StoredRecord,
    number: u64,
    kind: IssueKind,
}

impl StoredIssue {
    fn from_record(stored: StoredRecord, pull_requests: bool, monitor: &Monitor) -> Option<Self> {
        #[derive(Deserialize)]
        struct IssueNumber {
            number: u64,
            #[serde(default)]
            pull_request: Option<IgnoredAny>,
        }
        let Ok(IssueNumber { number, pull_request }) = serde_json::from_str(&stored.json) else {
            let key = &stored.key;
            monitor.event(SourceEvent::Warning(format!(
                "the issue with the id {key} has no number: whether it still exists cannot be found out, so it is kept"
            )));
            return None;
        };
        let kind = IssueKind::new(pull_request.is_some());
        // The reconciliation left out pull requests, so their absence proves nothing.
        (kind == IssueKind::Issue || pull_requests).then_some(Self { stored, number, kind })
    }

    fn deletion(self) -> Record {
        Record::delete(self.stored.key, self.stored.version)
    }
}
