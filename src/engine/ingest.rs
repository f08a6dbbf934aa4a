//! An ingestion: concurrent runs of several resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::batcher::ReadBudget;
use super::ledger::Ledger;
use super::planned::PlannedStream;
use super::resources::ResourceLookup;
use super::run::Run;
use super::settings::Configured;
use super::{Connector, StreamSelection};
use crate::{
    Counts, Error, ErrorKind, Mode, Resource, ResourceConfig, Result, RunRecord, RunStatus, Settings, SourceSpec,
    StreamKind, StreamSpec,
};

/// A request to ingest resources.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IngestRequest {
    /// The resources, which are also enabled, under their [known names](Connector::resolve). If empty, all enabled ones.
    pub resources: Vec<Resource>,
    /// How to read them.
    pub mode: Mode,
    /// Whether runs may mark any number of rows deleted. Otherwise, one that would mark more rows of a table deleted than
    /// [`Limits`](crate::Limits) allow ends as partial, and leaves them as they are.
    pub allow_deletions: bool,
    /// The streams of each resource to read, selected for it or not; `None`: those that are [selected](super::EnableRequest::streams).
    /// The selection stays as it is.
    pub streams: Option<StreamSelection>,
    /// The number of concurrent runs.
    pub concurrency: usize,
    /// When cancelled, every run commits what it has read and ends as interrupted. The next run continues.
    pub cancel: CancellationToken,
}

impl Default for IngestRequest {
    /// All enabled resources, incrementally, four concurrent runs.
    fn default() -> Self {
        let (mode, cancel) = (Mode::Incremental, CancellationToken::new());
        Self { resources: Vec::new(), mode, allow_deletions: false, streams: None, concurrency: 4, cancel }
    }
}

impl IngestRequest {
    /// These resources, incrementally.
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self { resources: resources.into_iter().collect(), ..Self::default() }
    }

    /// Sets how to read them.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether runs may mark any number of rows deleted, as a confirmation.
    #[must_use]
    pub fn allow_deletions(mut self, allow: bool) -> Self {
        self.allow_deletions = allow;
        self
    }

    /// Reads only these streams.
    #[must_use]
    pub fn streams(mut self, streams: impl Into<StreamSelection>) -> Self {
        self.streams = Some(streams.into());
        self
    }

    /// Sets the number of concurrent runs, at least one.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets the token that stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }
}

/// The result of an ingestion: one record for each stream of each resource, ordered by both names.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IngestReport {
    /// The runs.
    pub runs: Vec<RunRecord>,
}

impl IngestReport {
    /// The status of all runs together: interrupted if any is; complete or failed if all are; otherwise partial.
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

    /// The counts of all runs.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.runs.iter().for_each(|run| sum += &run.counts);
        sum
    }

    /// Whether it was stopped before it had read everything.
    pub fn interrupted(&self) -> bool {
        self.runs.iter().any(|run| run.status == RunStatus::Interrupted)
    }
}

/// The resources to ingest.
struct Selection {
    /// All of them, each once, ordered by name.
    resources: Vec<Resource>,
    /// Those that were never enabled before.
    new: Vec<Resource>,
}

/// Whether a run failed because the resource does not exist.
fn is_unknown_resource(run: &RunRecord) -> bool {
    let kind = run.error.as_ref().map(|error| error.kind);
    run.status == RunStatus::Failed && matches!(kind, Some(ErrorKind::NotFound | ErrorKind::Configuration))
}

/// Whether the first runs of a resource show that it does not exist. A stream that reads what another one has found says nothing: it
/// completes without anything to read.
fn show_unknown_resource(runs: &[&RunRecord], spec: &SourceSpec) -> bool {
    let is_dependent = |run: &RunRecord| {
        let stream = spec.streams.iter().find(|stream| stream.name == run.stream);
        run.status == RunStatus::Complete
            && !run.counts.wrote()
            && stream.is_some_and(|stream| stream.requires().is_some())
    };
    let mut telling = runs.iter().filter(|run| !is_dependent(run)).peekable();
    telling.peek().is_some() && telling.all(|run| is_unknown_resource(run))
}

/// What to do about a name that the source does not have: while it stays enabled, and when it does not.
pub(super) fn advice_on_unknown(spec: &SourceSpec, name: &str) -> [String; 2] {
    let lists = format!("`discover` lists each {} that the settings can access", spec.resource_kind);
    [format!("{lists}, and `disable {name}` stops the attempts"), format!("{lists}; this one does not stay enabled")]
}

impl Connector {
    /// Ingests streams of resources. The failure of one does not stop the others: the report has a record for each.
    ///
    /// A new resource that turns out not to exist does not stay enabled: otherwise a mistyped name would fail on schedule
    /// forever. That is so if each of its streams says so that does not depend on another one; if some do not, or if it was enabled before, it
    /// stays, and the error says how to disable it.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the settings are malformed, if the source cannot have a resource of a requested
    /// name or has no stream of a requested name, or if no resource is requested or enabled; a failed run of each
    /// affected stream is recorded if the settings are malformed, and otherwise nothing is stored;
    /// [`RateLimited`](crate::ErrorKind::RateLimited) while the [budget](Self::set_budget) is used up; the errors of the configuration store. Errors of a stream are in its record.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing that was committed, and the next run continues from there. Prefer
    /// [`IngestRequest::cancel`]: a dropped run cannot write any more, so that its record, if it has committed anything, stays
    /// [`Running`](RunStatus::Running) until the next run of the resource sets it to [`Interrupted`](RunStatus::Interrupted). The
    /// observer gets the end at once.
    pub async fn ingest(&self, request: IngestRequest) -> Result<IngestReport> {
        let configured = match self.configuration().await {
            Ok(configured) => configured,
            Err(error) => {
                self.record_misconfigured(&request.resources, request.mode, false, &error).await;
                return Err(error);
            }
        };
        self.read_budget(configured.budget, &configured.resources).await?;
        self.check_budget()?;
        let Configured { config, resources: known, unreadable, .. } = configured;
        let names = ResourceLookup::new(self, &config, known.keys().map(Resource::name));
        let requested = request.streams.map(|streams| streams.read(&self.spec)).transpose()?;
        let named = request.resources.iter().map(|one| names.find(one.name())).collect::<Result<Vec<_>>>()?;
        let Selection { resources, new } = self.select(&named, &known, unreadable.is_empty()).await?;
        let (mut selected, mut unstarted) = (Vec::new(), Vec::new());
        for resource in &resources {
            let selection = self.selection_for(requested.as_deref(), known.get(resource));
            if let Err(error) = selection.check(&self.spec) {
                unstarted.push(self.unstarted(resource.name(), known.get(resource), &error));
                continue;
            }
            self.warn_of_dropped(resource, &selection.dropped);
            selected.push((resource.clone(), selection.streams));
        }
        let mut streams: Vec<_> = PlannedStream::selected(&self.spec, selected).into_values().flatten().collect();
        let concurrency = request.concurrency.clamp(1, streams.len().max(1));
        let runner =
            ConcurrentRuns { allow_deletions: request.allow_deletions, ..ConcurrentRuns::new(self, concurrency) };
        // Otherwise each run reads its own state.
        if self.state.is_metered() {
            self.prefetch(&mut streams).await?;
        }
        let by_resource: FuturesUnordered<_> = streams
            .chunk_by(|a, b| a.resource == b.resource)
            .map(|streams| runner.run_all(streams.to_vec(), &config, request.mode, &request.cancel, |_| ()))
            .collect();
        let mut runs: Vec<RunRecord> = by_resource.collect::<Vec<_>>().await.into_iter().flatten().collect();
        if request.resources.is_empty() {
            unstarted.extend(unreadable.iter().map(|(name, error)| self.unstarted(name, None, error)));
        }
        runs.extend(self.record_unstarted(&unstarted, request.mode, false).await);
        self.end_cycle().await;
        runs.sort_by(|a, b| (&a.resource, &a.stream).cmp(&(&b.resource, &b.stream)));
        let mut forgotten = BTreeSet::new();
        for resource in &new {
            // Without a stream of its own, no run could tell.
            let of_resource: Vec<_> = runs.iter().filter(|run| run.resource == resource.name()).collect();
            if show_unknown_resource(&of_resource, &self.spec) {
                self.forget(resource).await?;
                forgotten.insert(resource.name());
            }
        }
        for run in runs.iter_mut().filter(|run| forgotten.contains(run.resource.as_str())) {
            let [kept, forgotten] = advice_on_unknown(&self.spec, &run.resource);
            if let Some(help) = run.error.as_mut().and_then(|error| error.help.as_mut())
                && let Some(before) = help.strip_suffix(&kept)
            {
                *help = format!("{before}{forgotten}");
            }
        }
        Ok(IngestReport { runs })
    }

    /// The error for a request that names no resource.
    pub(super) fn nothing_enabled(&self) -> Error {
        let kind = &self.spec.resource_kind;
        Error::configuration(format!("no {kind} is enabled")).with_help(format!("name a {kind}"))
    }

    /// Enables and returns the requested resources; without any, returns all enabled ones.
    async fn select(
        &self,
        named: &[Resource],
        known: &BTreeMap<Resource, ResourceConfig>,
        all_readable: bool,
    ) -> Result<Selection> {
        let named: BTreeSet<&Resource> = named.iter().collect();
        for resource in &named {
            let before = known.get(resource);
            self.enable_over(resource, before, before.cloned().unwrap_or_default()).await?;
        }
        if !named.is_empty() {
            let new = named.iter().filter(|resource| !known.contains_key(resource)).copied().cloned().collect();
            return Ok(Selection { resources: named.into_iter().cloned().collect(), new });
        }
        let enabled: Vec<_> = known.iter().filter(|(_, c)| c.enabled).map(|(resource, _)| resource.clone()).collect();
        if enabled.is_empty() && all_readable {
            return Err(self.nothing_enabled());
        }
        Ok(Selection { resources: enabled, new: Vec::new() })
    }
}

/// Runs streams concurrently, within one read budget.
pub(super) struct ConcurrentRuns {
    connector: Connector,
    budget: ReadBudget,
    /// One permit for each concurrent run.
    permits: Semaphore,
    allow_deletions: bool,
}

impl ConcurrentRuns {
    pub(super) fn new(connector: &Connector, concurrency: usize) -> Self {
        let mut connector = connector.clone();
        let limits = &mut connector.limits;
        // Pending commits take part of the read budget, and must leave room for reading. Where they are staged, a lack of room makes no
        // commit, so that their size need not depend on the number of runs.
        let runs = if limits.stage { 1 } else { concurrency };
        limits.commit_bytes = limits.commit_bytes.min(limits.read_ahead / 2 / runs);
        let permits = Semaphore::new(concurrency);
        Self { budget: ReadBudget::new(limits), connector, permits, allow_deletions: false }
    }

    /// Runs streams of one resource, each after the one that it [requires](crate::StreamSpec::requires), and children after the lists that
    /// delete their parents. `on_end` gets the name of each stream whose run has ended.
    pub(super) async fn run_all(
        &self,
        streams: Vec<PlannedStream>,
        config: &Settings,
        mode: Mode,
        cancel: &CancellationToken,
        on_end: impl Fn(&str),
    ) -> Vec<RunRecord> {
        let before: Vec<BTreeSet<String>> =
            streams.iter().map(|planned| streams_before(&planned.stream, &streams)).collect();
        let ended = watch::Sender::new(BTreeSet::new());
        let (turn, ledger) = (Mutex::new(()), Arc::<Ledger>::default());
        let runs = streams.into_iter().zip(before).map(|(planned, before)| async {
            let (name, before) = (planned.stream.name.clone(), before);
            if !before.is_empty() {
                // The sender lives as long as the runs.
                let _ = ended.subscribe().wait_for(|ended: &BTreeSet<String>| before.is_subset(ended)).await;
            }
            // Only one stream of a resource waits for a permit, so that one with many streams does not keep the others waiting. The
            // semaphore is never closed; without a permit, a run would only use more memory.
            let _permit = {
                let _turn = turn.lock().await;
                let permit = self.permits.acquire().await;
                // The other resources come first, even while there are permits left.
                tokio::task::yield_now().await;
                permit
            };
            let record = self.run(planned, config.clone(), mode, ledger.clone(), cancel.clone()).await;
            ledger.end(&record);
            on_end(&name);
            ended.send_modify(|ended| {
                ended.insert(name);
            });
            record
        });
        let records = join_all(runs).await;
        // Runs of child streams may have changed rows of their parents since.
        records.into_iter().map(|record| ledger.ended(&record.stream).unwrap_or(record)).collect()
    }

    /// Runs a stream of a resource, enabled or not.
    async fn run(
        &self,
        mut planned: PlannedStream,
        config: Settings,
        mode: Mode,
        ledger: Arc<Ledger>,
        cancel: CancellationToken,
    ) -> RunRecord {
        let start = planned.start.take();
        let run = Run::new(&self.connector, planned, config, mode, self.allow_deletions, ledger, cancel);
        run.execute(start, self.budget.clone()).await
    }
}

/// The names of the planned streams that must have ended before this one: the one that it requires, and for the children of deleted records
/// to go in the same run, the lists that delete its parents. None of these waits for a child.
fn streams_before(stream: &StreamSpec, planned: &[PlannedStream]) -> BTreeSet<String> {
    let parent = stream.child_of().map(|child| &child.parent);
    let comes_before = |other: &StreamSpec| {
        stream.requires() == Some(&other.name)
            || matches!(&other.kind, StreamKind::DeletionsOf(target) if Some(target) == parent)
    };
    planned
        .iter()
        .map(|other| &other.stream)
        .filter(|other| comes_before(other))
        .map(|other| other.name.clone())
        .collect()
}
