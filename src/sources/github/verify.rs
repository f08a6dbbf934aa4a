//! Verifies records that a complete list did not bring, or that a reconciliation found in an older state: looks up each one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::address::{Address, Kind};
use super::api::Api;
use super::connection::Connection;
use super::evidence::{Control, Lookup};
use super::names::Name;
use super::origin::Origin;
use super::settings::GithubSettings;
use super::streams::Stream;
use super::updates::checkpoint::Position;
use super::whole_list::WholeList;
use crate::{Error, Monitor, Record, Result, SourceEvent, StoredRecord, VerifyRequest};

pub(super) async fn verify(
    connection: Arc<Connection>,
    settings: &GithubSettings,
    request: VerifyRequest,
) -> Result<Vec<Record>> {
    let VerifyRequest { resource, checkpoint, stream, records, allow_deletions, monitor, .. } = request;
    let (stream, name) = (Stream::from_name(&stream)?, Name::from_resource(&resource)?);
    let repository = match &checkpoint {
        Some(checkpoint) => Some(repository_of(&connection, stream, checkpoint)?),
        None => None,
    };
    let api = match repository {
        // Reviews have no list of their own.
        None if stream == Stream::Reviews => Api::open(connection, name, stream, &monitor).await?,
        None => Api::find(connection, name, stream, &monitor).await?,
        Some(id) => Api::of(connection, name, id, stream),
    };
    let verification = Verification { api, settings, allow_deletions, monitor };
    verification.run(records).await
}

/// The id of the repository that a checkpoint belongs to.
fn repository_of(connection: &Connection, stream: Stream, checkpoint: &crate::Checkpoint) -> Result<Option<u64>> {
    let server = connection.client.base_url();
    match stream {
        Stream::Issues | Stream::IssueComments | Stream::ReviewComments => {
            Ok(Position::for_server(server, checkpoint)?.repository)
        }
        _ => Ok(Origin::for_server(server, checkpoint)?.repository),
    }
}

struct Verification<'a> {
    api: Api,
    settings: &'a GithubSettings,
    allow_deletions: bool,
    monitor: Monitor,
}

/// Records that were not found, by kind.
type Missing = BTreeMap<Kind, Vec<Doubt>>;

impl Verification<'_> {
    async fn run(self, records: Vec<StoredRecord>) -> Result<Vec<Record>> {
        if self.api.stream == Stream::Commits {
            let concurrency = self.settings.concurrency.into();
            return self.api.verify_commits(records, concurrency, &self.monitor).await;
        }
        let doubts = records.into_iter().filter_map(|record| self.doubt(record)).collect();
        let (mut answers, missing) = self.ask_all(doubts).await?;
        for (kind, mut missing) in missing {
            if kind == Kind::Draft && !self.sees_drafts(missing.len()).await? {
                continue;
            }
            if self.api.stream == Stream::Labels {
                missing = self.search(missing, &mut answers).await?;
            }
            if self.api.stream == Stream::Reviews {
                answers.extend(self.reviews_of_known_pulls(missing).await?.into_iter().map(Doubt::deletion));
                continue;
            }
            if missing.is_empty() {
                continue;
            }
            let control = self.control(kind, missing.len()).await?;
            let (others, missing) = self.ask_all(missing).await?;
            answers.extend(others);
            answers.extend(missing.into_values().flatten().map(Doubt::deletion));
            // It may have been deleted meanwhile; then use another one.
            if let Some(control) = control
                && !self.api.still_exists(&control, &self.monitor).await?
            {
                self.control(kind, answers.len()).await?;
            }
        }
        Ok(answers)
    }

    /// The record as a doubt; `None` if it stays as it is.
    fn doubt(&self, stored: StoredRecord) -> Option<Doubt> {
        let (stream, key) = (self.api.stream, &stored.key);
        let Some(address) = Address::of(stream, &stored.json) else {
            let (record, what) = match stream {
                Stream::Issues => ("issue", "number"),
                _ => (stream.record(), "address"),
            };
            self.monitor.event(SourceEvent::Warning(format!(
                "the {record} with the id {key} has no {what}: whether it still exists cannot be found out, so it is kept"
            )));
            return None;
        };
        // The reconciliation left out pull requests, so their absence proves nothing.
        (address.kind != Kind::PullRequest || self.settings.pull_requests).then_some(Doubt { stored, address })
    }

    /// Looks up records concurrently: returns their states and proven deletions, and those that are missing.
    async fn ask_all(&self, doubts: Vec<Doubt>) -> Result<(Vec<Record>, Missing)> {
        let (api, monitor) = (&self.api, &self.monitor);
        let answered = stream::iter(doubts)
            .map(|doubt| async move { Ok::<_, Error>((api.item(&doubt.address.path, monitor).await?, doubt)) })
            .buffer_unordered(self.settings.concurrency.into())
            .try_collect::<Vec<_>>()
            .await?;
        let (mut records, mut missing) = (Vec::new(), Missing::new());
        for (answer, doubt) in answered {
            match answer {
                Lookup::Found(fresh) if fresh.key == doubt.stored.key => records.push(fresh),
                Lookup::Deleted => records.push(doubt.deletion()),
                Lookup::Found(_) | Lookup::Missing => missing.entry(doubt.address.kind).or_default().push(doubt),
            }
        }
        Ok((records, missing))
    }

    /// Searches the list for labels that were not found by their names, as they may have new ones. Returns those that it lacks.
    async fn search(&self, missing: Vec<Doubt>, answers: &mut Vec<Record>) -> Result<Vec<Doubt>> {
        let Api { connection, name, stream, .. } = &self.api;
        let api = Api::of(connection.clone(), name.clone(), self.api.repository_id(), *stream);
        let mut list = WholeList::new(Arc::new(api), self.settings.page_size, self.monitor.clone());
        let mut missing: HashMap<String, Doubt> =
            missing.into_iter().map(|doubt| (doubt.stored.key.clone(), doubt)).collect();
        while let Some(page) = list.next().await? {
            let found = page.into_batch().records.into_iter().filter(|record| missing.remove(&record.key).is_some());
            answers.extend(found);
        }
        Ok(missing.into_values().collect())
    }

    /// The missing reviews whose pull requests are there: only they count as deleted. Those of others stay as they are, until their pull
    /// request is found to be gone.
    async fn reviews_of_known_pulls(&self, missing: Vec<Doubt>) -> Result<Vec<Doubt>> {
        let Api { connection, name, .. } = &self.api;
        let pulls = Api::of(connection.clone(), name.clone(), self.api.repository_id(), Stream::Pulls);
        let (mut known, mut gone) = (HashMap::new(), Vec::new());
        for doubt in missing {
            let pull = doubt.address.path.rsplit_once("/reviews/").map_or("", |(pull, _)| pull);
            if !known.contains_key(pull) {
                let is_there = matches!(pulls.item(pull, &self.monitor).await?, Lookup::Found(_));
                known.insert(pull.to_owned(), is_there);
            }
            if known[pull] {
                gone.push(doubt);
            }
        }
        Ok(gone)
    }

    /// Whether the credentials may see drafts: only then does a missing one count as deleted.
    async fn sees_drafts(&self, missing: usize) -> Result<bool> {
        let Api { connection, name, stream, .. } = &self.api;
        let repository = connection.repository(&self.api.path(""), name, *stream, &self.monitor).await?;
        let may_write = repository.and_then(|repository| repository.permissions).is_some_and(|may| may.push);
        if !may_write {
            self.monitor.event(SourceEvent::Warning(format!(
                "{missing} drafts of releases are not listed any more, and these credentials may not see drafts: they are kept"
            )));
        }
        Ok(may_write)
    }

    /// Finds a record of this kind that the repository lists and returns: only then does a missing one count as deleted. `None` when it
    /// lists none, and a person has confirmed that all may be deleted, or the credentials are known to see them.
    async fn control(&self, kind: Kind, missing: usize) -> Result<Option<Control>> {
        if let Some(control) = self.api.control(kind, &self.monitor).await? {
            return Ok(Some(control));
        }
        self.api.must_have_issues(&self.monitor).await?;
        if self.allow_deletions || kind == Kind::Draft {
            return Ok(None);
        }
        let (records, Name { owner, name }) = (kind.records(self.api.stream), &self.api.name);
        Err(Error::invalid_data(format!(
            "{missing} stored {records} of {owner}/{name} were not found, and the repository lists no {records} to compare with: \
             that may be lost access as well as deletions"
        ))
        .with_help(format!(
            "check that the token may read the repository's {}; if they were really deleted, run \
             `ingest --reconcile --allow-deletions`",
            self.api.stream.records()
        ))
        .with_unconfirmed_deletions(missing as u64))
    }
}

/// A stored record to be verified.
struct Doubt {
    stored: StoredRecord,
    address: Address,
}

impl Doubt {
    fn deletion(self) -> Record {
        Record::delete(self.stored.key, self.stored.version)
    }
}
