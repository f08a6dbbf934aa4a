//! The status of the resources, and the history of their runs.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::session::Session;
use crate::cli::Exit;
use crate::cli::output::{COUNTS, count, counts, duration, table, time};
use crate::cli::progress;
use crate::engine::{Connector, Schedule, unknown_resource};
use crate::{
    ErrorKind, OutstandingRejects, RejectQuery, Resource, ResourceConfig, Result, RunQuery, RunRecord, RunStatus,
    Source, SourceSpec, StateKey, StoredReject,
};

/// The status of one resource.
#[derive(Debug, Serialize)]
struct StatusEntry {
    resource: Resource,
    enabled: bool,
    schedule: String,
    state: Option<RunStatus>,
    /// Why it is not complete, or why its last run was not.
    message: Option<String>,
    /// The number of outstanding rejects; `None` if the destination cannot tell.
    rejects: Option<u64>,
    /// The start of the reconcile run that is not complete yet.
    reconciling_since: Option<Timestamp>,
    last_run: Option<RunRecord>,
    next_due: Option<Timestamp>,
}

impl StatusEntry {
    fn of(
        resource: Resource,
        config: &ResourceConfig,
        found: crate::StreamStatus,
        rejects: Option<&OutstandingRejects>,
    ) -> Result<Self> {
        let schedule: Schedule = config.schedule.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let (entry, last_run) = (found.entry.map(|entry| entry.state), found.run);
        let now = Timestamp::now();
        // Ignore future-dated runs: a clock was wrong.
        let past = last_run.as_ref().filter(|run| run.started_at <= now);
        let due = past.map_or(Some(now), |run| schedule.next(run.started_at).map(|due| due.max(now)));
        // The state of a superseded run is that of the newer run.
        let failure = last_run.as_ref().and_then(|run| run.error.as_ref()).map(|error| error.message.clone());
        Ok(Self {
            rejects: rejects.map(|rejects| rejects.counts.get(resource.name()).copied().unwrap_or(0)),
            resource,
            enabled: config.enabled,
            schedule: schedule.to_string(),
            state: entry.as_ref().map(|state| state.status),
            message: entry.as_ref().and_then(|state| state.message.clone()).or(failure),
            reconciling_since: entry
                .and_then(|state| state.reconcile)
                .filter(|reconciliation| !reconciliation.is_reset)
                .map(|reconciliation| reconciliation.started_at),
            last_run,
            next_due: due.filter(|_| config.enabled),
        })
    }

    fn row(&self) -> Vec<String> {
        let last = self.last_run.as_ref();
        vec![
            self.resource.to_string(),
            if self.enabled { "yes" } else { "no" }.into(),
            self.schedule.clone(),
            self.state.map_or("never run", RunStatus::as_str).into(),
            last.map_or_else(String::new, |run| time(run.started_at)),
            last.map_or_else(String::new, |run| run.status.to_string()),
            self.next_due.map_or_else(String::new, time),
            self.rejects.map_or_else(String::new, count),
            self.message.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn status<S: Source>(session: Session<S>) -> Result<Exit> {
    let (output, kind) = (session.output, session.spec.resource_kind.clone());
    let session_stream = session.spec.streams.first().map(|stream| stream.name.clone()).unwrap_or_default();
    let connector = session.open_to_read()?;
    let (resources, configs): (Vec<_>, Vec<_>) = connector.resources().await?.into_iter().unzip();
    let keys: Vec<StateKey> =
        resources.iter().map(|resource| StateKey::new(resource.name(), &session_stream)).collect();
    let found = connector.statuses(&keys).await?;
    let rejects = match connector.rejects(RejectQuery::default()).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        rejects => Some(rejects?),
    };
    let each = resources.into_iter().zip(&configs).zip(found);
    let entries: Vec<StatusEntry> = each
        .map(|((resource, config), found)| StatusEntry::of(resource, config, found, rejects.as_ref()))
        .collect::<Result<_>>()?;
    if entries.is_empty() {
        output.note(&format!("no {kind} is known here; `enable` or `ingest` one"));
    }
    output.result(&json!({"resources": entries}), || {
        let header =
            [kind.as_str(), "enabled", "schedule", "state", "last run", "ended", "next due", "rejects", "message"];
        table(&header, &["rejects"], entries.iter().map(StatusEntry::row))
    })?;
    Ok(Exit::Complete)
}

pub(super) async fn runs<S: Source>(session: Session<S>, name: Option<String>, limit: usize) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let kind = spec.resource_kind.clone();
    let connector = session.open_to_read()?;
    let resource = connector.resolve(name).await?.pop();
    let runs = connector
        .runs(RunQuery { resource: resource.as_ref().map(|one| one.name().to_owned()), ..RunQuery::new(limit) })
        .await?;
    if runs.is_empty() {
        check_known(&connector, resource.as_ref(), &spec).await?;
        output.note("nothing has run yet");
    }
    output.result(&json!({"runs": runs}), || {
        let header = [&["started", kind.as_str(), "mode", "status"], &COUNTS[..], &["took", "error"]].concat();
        table(&header, &header[4..12], runs.iter().map(row))
    })?;
    Ok(Exit::Complete)
}

/// Rejects an unknown resource: reporting no runs for it would be misleading.
async fn check_known(connector: &Connector, resource: Option<&Resource>, spec: &SourceSpec) -> Result<()> {
    let Some(resource) = resource else { return Ok(()) };
    if connector.resources().await?.iter().any(|(known, _)| known == resource) {
        return Ok(());
    }
    Err(unknown_resource(spec, resource.name()))
}

fn row(run: &RunRecord) -> Vec<String> {
    let mut row = vec![
        time(run.started_at),
        run.resource.clone(),
        serde_json::to_value(run.mode).ok().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
        run.status.to_string(),
    ];
    row.extend(counts(run));
    row.push(duration(run.timings.total_ms));
    let why = run.error.as_ref().map(|error| error.message.clone());
    row.push(why.or_else(|| (run.counts.rejected > 0).then(|| progress::rejected(run))).unwrap_or_default());
    row
}

/// The maximum length of a shown reject, in characters: as text, and in JSON.
const SHOWN: usize = 60;
const SHOWN_IN_JSON: usize = 2_000;

/// A reject in the JSON output.
#[derive(Debug, Serialize)]
struct Reject<'a> {
    resource: &'a str,
    table: &'a str,
    reason: &'a str,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// The beginning of the received data.
    raw: String,
    raw_is_cut: bool,
}

impl<'a> Reject<'a> {
    fn new(reject: &'a StoredReject) -> Self {
        let (raw, raw_is_cut) = truncated(&reject.raw, SHOWN_IN_JSON);
        let StoredReject { resource, table, reason, first_seen, last_seen, .. } = reject;
        Self { resource, table, reason, first_seen: *first_seen, last_seen: *last_seen, raw, raw_is_cut }
    }
}

/// The beginning of a text, and whether it was cut.
fn truncated(text: &str, characters: usize) -> (String, bool) {
    let end = text.char_indices().nth(characters).map(|(end, _)| end);
    (text[..end.unwrap_or(text.len())].to_owned(), end.is_some())
}

pub(super) async fn rejects<S: Source>(session: Session<S>, name: Option<String>, limit: usize) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let kind = spec.resource_kind.clone();
    let resource = name.map(Resource::new).transpose()?;
    let connector = session.open_to_read()?;
    let found = connector.rejects(RejectQuery { resource: resource.clone(), limit, ..RejectQuery::default() }).await?;
    let total = found.total();
    if total == 0 {
        check_known(&connector, resource.as_ref(), &spec).await?;
        output.note("no rejected records are outstanding");
    }
    let rejects: Vec<Reject<'_>> = found.rejects.iter().map(Reject::new).collect();
    output.result(&json!({"total": total, "rejects": rejects}), || {
        let row = |reject: &StoredReject| {
            let (mut raw, is_cut) = truncated(&reject.raw, SHOWN);
            raw.push_str(if is_cut { "…" } else { "" });
            let since = time(reject.first_seen);
            vec![reject.resource.clone(), reject.table.clone(), since, reject.reason.clone(), raw]
        };
        table(&[&kind, "table", "since", "reason", "received"], &[], found.rejects.iter().map(row))
    })?;
    let shown = rejects.len() as u64;
    if shown < total {
        output.note(&format!("{} of {} are shown; `--limit` shows more", count(shown), count(total)));
    }
    if total > 0 {
        output.note("correct them at the source, then run `ingest --reconcile`: it reads everything again");
    }
    Ok(Exit::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{StateEntry, StreamState};
    use crate::{Mode, RunId, StateVersion};

    #[test]
    fn a_superseded_run_is_shown_with_the_newer_state() {
        let state = StreamState {
            status: RunStatus::Complete,
            run: RunId::new(),
            checkpoint: None,
            reconcile: None,
            message: None,
            claim: None,
            has_rejects: false,
        };
        let entry = StateEntry { version: StateVersion(2), at: Timestamp::UNIX_EPOCH, state };
        let run = RunRecord {
            status: RunStatus::Failed,
            error: Some(crate::Error::new(ErrorKind::Conflict, "another run has moved on").report()),
            ..RunRecord::new(RunId::new(), "r", Mode::Incremental, Timestamp::UNIX_EPOCH)
        };
        let found = crate::StreamStatus { entry: Some(entry), run: Some(run) };
        let resource = Resource::new("r").unwrap();
        let entry = StatusEntry::of(resource, &ResourceConfig::default(), found, None).unwrap();
        assert_eq!(entry.state, Some(RunStatus::Complete));
        assert_eq!(entry.message.as_deref(), Some("another run has moved on"));
        assert_eq!(entry.rejects, None);
    }
}
