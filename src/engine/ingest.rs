//! An ingestion: runs of several resources side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Connector;
use super::batcher::ReadBudget;
use super::resources::ResourceLookup;
use super::run::{PrefetchedState, Run};
use super::settings::Configured;
use crate::{Counts, Error, ErrorKind, Mode, Resource, ResourceConfig, Result, RunRecord, RunStatus, Settings};

/// What to ingest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IngestRequest {
    /// The resources; they are enabled on the way, under the names by which they are [known here](Connector::resolve). None: all
    /// that are enabled.
    pub resources: Vec<Resource>,
    /// How they are read.
    pub mode: Mode,
    /// Whether a [reconcile](Mode::Reconcile) run may mark any number of rows deleted. Without it, one that would mark more than
    /// [`Limits`](crate::Limits) allow marks none, and ends as partial.
    pub allow_deletions: bool,
    /// How many are read side by side.
    pub concurrency: usize,
    /// Cancel it, and every run commits what it has joined, ends as interrupted, and can go on later.
    pub cancel: CancellationToken,
}

impl Default for IngestRequest {
    /// All enabled resources, incrementally, four side by side.
    fn default() -> Self {
        let (mode, cancel) = (Mode::Incremental, CancellationToken::new());
        Self { resources: Vec::new(), mode, allow_deletions: false, concurrency: 4, cancel }
    }
}

impl IngestRequest {
    /// These resources, incrementally.
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self { resources: resources.into_iter().collect(), ..Self::default() }
    }

    /// Sets how they are read.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether any number of rows may be marked deleted, because a person has confirmed it.
    #[must_use]
    pub fn allow_deletions(mut self, allow: bool) -> Self {
        self.allow_deletions = allow;
        self
    }

    /// Sets how many are read side by side; at least one is.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets what stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }
}

/// What an ingestion did: one record for each resource, ordered by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IngestReport {
    /// The runs.
    pub runs: Vec<RunRecord>,
}

impl IngestReport {
    /// Interrupted when a run is; complete when every run is, failed when every run is, else partial.
    pub fn status(&self) -> RunStatus {
        let all = |status| self.runs.iter().all(|run| run.status == status);
        if self.interrupted() {
            RunStatus::Interrupted
        } else if all(RunStatus::Complete) {
            RunStatus::Complete
        } else if all(RunStatus::Failed) {
            RunStatus::Failed
        } else {
            RunStatus::Partial
        }
    }

    /// What became of the records of all runs.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.runs.iter().for_each(|run| sum += &run.counts);
        sum
    }

    /// Whether it was asked to stop before it had read everything.
    pub fn interrupted(&self) -> bool {
        self.runs.iter().any(|run| run.status == RunStatus::Interrupted)
    }
}

/// What is to be ingested.
struct Selection {
    /// Each once, ordered by name.
    resources: Vec<Resource>,
    /// Those that nobody had heard of before.
    new: Vec<Resource>,
}

/// Whether a run failed because there is no such resource.
fn is_mistake(run: &RunRecord) -> bool {
    let kind = run.error.as_ref().map(|error| error.kind);
    run.status == RunStatus::Failed && matches!(kind, Some(ErrorKind::NotFound | ErrorKind::Configuration))
}

impl Connector {
    /// Ingests resources. The failure of one does not stop the others: the report has a record for each.
    ///
    /// A resource that is named for the first time and turns out not to exist is not left enabled: a mistyped name must not
    /// fail on schedule for ever.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the settings are malformed, the source has no resource of a name that is
    /// given, or nothing is named and nothing enabled; whatever the configuration store reports. What happens to a resource is in its record.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing that was committed, and the next run goes on from there. To stop in an orderly way, use
    /// [`IngestRequest::cancel`]: a dropped run can write nothing more, so that its record, if it has committed anything, says
    /// [`Running`](RunStatus::Running) until the next run of the resource ends it as [`Interrupted`](RunStatus::Interrupted). The
    /// observer is told of the end at once.
    pub async fn ingest(&self, request: IngestRequest) -> Result<IngestReport> {
        let Configured { config, resources: known, unreadable } = self.configuration().await?;
        let names = ResourceLookup::new(self.source.as_ref(), &config, known.keys().map(Resource::name));
        let named = request.resources.iter().map(|one| names.find(one.name())).collect::<Result<Vec<_>>>()?;
        let Selection { resources, new } = self.select(&named, &known, unreadable.is_empty()).await?;
        let side_by_side = request.concurrency.clamp(1, resources.len().max(1));
        let runner =
            ConcurrentRuns { allow_deletions: request.allow_deletions, ..ConcurrentRuns::new(self, side_by_side) };
        let starts = self.starts(&resources).await?;
        let mut runs: Vec<RunRecord> = stream::iter(resources.into_iter().zip(starts))
            .map(|(resource, start)| runner.run(resource, config.clone(), request.mode, start, request.cancel.clone()))
            .buffer_unordered(side_by_side)
            .collect()
            .await;
        if request.resources.is_empty() {
            runs.extend(unreadable.iter().map(|(name, error)| self.failed(name, request.mode, error)));
        }
        runs.sort_by(|a, b| a.resource.cmp(&b.resource));
        for run in runs.iter().filter(|run| is_mistake(run)) {
            if let Some(resource) = new.iter().find(|resource| resource.name() == run.resource) {
                self.forget(resource).await?;
            }
        }
        Ok(IngestReport { runs })
    }

    /// The record of a run that could not begin, of a resource whose settings cannot be read.
    fn failed(&self, name: &str, mode: Mode, error: &Error) -> RunRecord {
        let now = self.now();
        let run = self.new_run(name, mode);
        RunRecord { status: RunStatus::Failed, ended_at: Some(now), error: Some(error.report()), ..run }
    }

    /// Where the runs begin; read by one call where calls are paid for, and else by each run itself.
    async fn starts(&self, resources: &[Resource]) -> Result<Vec<Option<PrefetchedState>>> {
        if !self.state.is_metered() {
            return Ok(resources.iter().map(|_| None).collect());
        }
        let standings = self.statuses(resources).await?.into_iter();
        Ok(standings.map(|standing| PrefetchedState::of(standing.entry, true)).collect())
    }

    /// The resources that are named, enabled on the way; without a name all that are enabled.
    async fn select(
        &self,
        named: &[Resource],
        known: &BTreeMap<Resource, ResourceConfig>,
        all_readable: bool,
    ) -> Result<Selection> {
        let named: BTreeSet<&Resource> = named.iter().collect();
        for resource in &named {
            self.enable_over(resource, known.get(resource), None).await?;
        }
        if !named.is_empty() {
            let new = named.iter().filter(|resource| !known.contains_key(resource)).copied().cloned().collect();
            return Ok(Selection { resources: named.into_iter().cloned().collect(), new });
        }
        let enabled: Vec<_> = known.iter().filter(|(_, c)| c.enabled).map(|(resource, _)| resource.clone()).collect();
        if enabled.is_empty() && all_readable {
            let kind = &self.spec.resource_kind;
            return Err(Error::configuration(format!("no {kind} is enabled")).with_help(format!("name a {kind}")));
        }
        Ok(Selection { resources: enabled, new: Vec::new() })
    }
}

/// Runs resources side by side, within one budget.
pub(super) struct ConcurrentRuns {
    connector: Connector,
    budget: ReadBudget,
    allow_deletions: bool,
}

impl ConcurrentRuns {
    pub(super) fn new(connector: &Connector, side_by_side: usize) -> Self {
        let mut connector = connector.clone();
        let limits = &mut connector.limits;
        // What waits to be committed is part of what has been read ahead, so it must leave room for reading.
        limits.commit_bytes = limits.commit_bytes.min(limits.read_ahead / 2 / side_by_side);
        Self { budget: ReadBudget::new(limits), connector, allow_deletions: false }
    }

    /// Runs a resource, whether it is enabled or not, from where it was found to stand, if somebody has looked.
    pub(super) async fn run(
        &self,
        resource: Resource,
        config: Settings,
        mode: Mode,
        start: Option<PrefetchedState>,
        cancel: CancellationToken,
    ) -> RunRecord {
        let run = Run::new(&self.connector, resource, config, mode, self.allow_deletions, cancel);
        run.execute(start, self.budget.clone()).await
    }
}
