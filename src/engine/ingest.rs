//! An ingestion: runs of several resources side by side.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::connector::{Connector, Known};
use super::join::Budget;
use super::run::Run;
use crate::{Config, Counts, Error, ErrorKind, Mode, Resource, Result, RunRecord, RunStatus};

/// What to ingest.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The resources; they are enabled on the way. None: all that are enabled.
    pub resources: Vec<Resource>,
    /// How they are read.
    pub mode: Mode,
    /// How many are read side by side.
    pub concurrency: usize,
    /// Cancel it, and every run commits what it has joined, ends as partial, and can go on later.
    pub cancel: CancellationToken,
}

impl Default for IngestRequest {
    /// All enabled resources, incrementally, four side by side.
    fn default() -> Self {
        Self { resources: Vec::new(), mode: Mode::Incremental, concurrency: 4, cancel: CancellationToken::new() }
    }
}

impl IngestRequest {
    /// These resources, incrementally.
    pub fn of(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self { resources: resources.into_iter().collect(), ..Self::default() }
    }

    /// Sets how they are read.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
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
pub struct IngestReport {
    /// The runs.
    pub runs: Vec<RunRecord>,
}

impl IngestReport {
    /// Complete when every run is, failed when every run is, else partial.
    pub fn status(&self) -> RunStatus {
        let all = |status| self.runs.iter().all(|run| run.status == status);
        if all(RunStatus::Complete) {
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
        self.runs.iter().any(|run| run.interrupted)
    }
}

/// What is to be ingested.
struct Due {
    resources: BTreeSet<Resource>,
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
    /// [`Configuration`](crate::ErrorKind::Configuration) when the settings are malformed, or nothing is named and nothing
    /// enabled; whatever the configuration store reports. What happens to a resource is in its record.
    pub async fn ingest(&self, request: IngestRequest) -> Result<IngestReport> {
        let config = self.config().await?;
        let Due { resources, new } = self.due(&request.resources).await?;
        let side_by_side = request.concurrency.clamp(1, resources.len());
        let runner = Runner::new(self, side_by_side);
        let mut runs: Vec<RunRecord> = stream::iter(resources)
            .map(|resource| runner.run(resource, config.clone(), request.mode, request.cancel.clone()))
            .buffer_unordered(side_by_side)
            .collect()
            .await;
        runs.sort_by(|a, b| a.resource.cmp(&b.resource));
        for run in runs.iter().filter(|run| is_mistake(run)) {
            if let Some(resource) = new.iter().find(|resource| resource.name() == run.resource) {
                self.forget(resource).await?;
            }
        }
        Ok(IngestReport { runs })
    }

    /// The resources that are named, enabled on the way; without a name all that are enabled.
    async fn due(&self, named: &[Resource]) -> Result<Due> {
        let mut new = Vec::new();
        for resource in named {
            if self.enable_known(resource, None).await? == Known::New {
                new.push(resource.clone());
            }
        }
        if !named.is_empty() {
            return Ok(Due { resources: named.iter().cloned().collect(), new });
        }
        let known = self.resources().await?;
        let enabled: BTreeSet<_> = known.into_iter().filter(|(_, c)| c.enabled).map(|(resource, _)| resource).collect();
        if enabled.is_empty() {
            let kind = &self.spec.resource_kind;
            return Err(Error::configuration(format!("no {kind} is enabled")).with_help(format!("name a {kind}")));
        }
        Ok(Due { resources: enabled, new })
    }
}

/// Runs resources side by side, within one budget.
pub(super) struct Runner {
    connector: Connector,
    budget: Budget,
}

impl Runner {
    pub(super) fn new(connector: &Connector, side_by_side: usize) -> Self {
        let mut connector = connector.clone();
        let limits = &mut connector.limits;
        // What waits to be committed is part of what has been read ahead, so it must leave room for reading.
        limits.commit_bytes = limits.commit_bytes.min(limits.read_ahead / 2 / side_by_side);
        Self { budget: Budget::new(limits), connector }
    }

    /// Runs a resource, whether it is enabled or not.
    pub(super) async fn run(
        &self,
        resource: Resource,
        config: Config,
        mode: Mode,
        cancel: CancellationToken,
    ) -> RunRecord {
        Run::new(&self.connector, resource, config, mode, cancel).execute(self.budget.clone()).await
    }
}
