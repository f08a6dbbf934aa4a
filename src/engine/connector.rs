//! The connector: a source, its destination, and where to keep configuration and state.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::budget_meter::BudgetMeter;
use super::credentials::CredentialUse;
use super::group_commits::GroupCommits;
use super::health::KnownHealth;
use super::identity::IdentityClaims;
use super::idle_runs::IdleRuns;
use super::{Event, Observer};
use crate::{
    Backend, Commit, ConfigStore, ConnectContext, Counts, Error, Limits, Mode, Monitor, OutstandingRejects, Reader,
    RejectQuery, Resource, Result, RunId, RunQuery, RunRecord, Settings, Sink, Source, SourceEvent, SourceSpec,
    StateEntry, StateKey, StateStore, StateVersion, StreamCommit, StreamReport, StreamStatus,
};

/// The number of remembered warnings: each is logged once.
const MAX_WARNINGS: usize = 1_000;

/// The reader, and the settings that it was connected with.
type Connected = (Settings, Arc<dyn Reader>);

/// Returns the time.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where rows and state are kept.
#[derive(Clone)]
enum Stores {
    /// One backend keeps both, and commits them in one transaction.
    Shared,
    /// Two stores keep them; the engine writes one after the other, in a [`WriteOrder`].
    Split,
}

/// What the engine writes first if two stores keep rows and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOrder {
    /// Commits that make progress: a crash in between repeats rows, which merge by key.
    RowsFirst,
    /// Sweep steps and the end of a reconciliation: a superseded run is rejected before it deletes anything, and a reconciliation
    /// does not outlive its marks.
    StateFirst,
}

/// Reads a source into a destination. Clones are cheap and share everything.
///
/// ```
/// use std::sync::Arc;
/// use snowfeed::backends::Memory;
/// use snowfeed::engine::{Connector, IngestRequest};
/// # use futures::{StreamExt, stream};
/// # use snowfeed::prelude::*;
/// # #[derive(Debug)]
/// # struct Planets;
/// # #[async_trait::async_trait]
/// # impl Source for Planets {
/// #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1").stream(StreamSpec::new("planets")) }
/// #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
/// # }
/// # #[async_trait::async_trait]
/// # impl Reader for Planets {
/// #     async fn check(&self) -> Result<()> { Ok(()) }
/// #     fn discover(&self) -> ResourceStream { stream::empty().boxed() }
/// #     fn read(&self, _: ReadRequest) -> BatchStream {
/// #         stream::iter([Ok(Batch::new().record(Record::upsert("3", Version::NONE, "{}")))]).boxed()
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let connector = Connector::new(Planets, Arc::new(Memory::new()));
/// let report = connector.ingest(IngestRequest::new([Resource::new("sun")?])).await?;
/// assert_eq!(report.counts().inserted, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    pub(super) source: Arc<dyn Source>,
    /// Locked while connecting, so that concurrent runs connect once.
    connected: Arc<tokio::sync::Mutex<Option<Connected>>>,
    pub(super) spec: Arc<SourceSpec>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) config: Arc<dyn ConfigStore>,
    delivery: Stores,
    groups: GroupCommits,
    pub(super) overrides: Map<String, Value>,
    pub(super) claims: IdentityClaims,
    pub(super) limits: Limits,
    pub(super) emitter: Emitter,
    /// The uses of credentials that this process has seen proven.
    pub(super) proven_uses: Arc<Mutex<BTreeSet<CredentialUse>>>,
    /// The budget and what is used of it, as of the last read of the configuration.
    pub(super) budget: BudgetMeter,
    /// The idle runs that are not recorded yet.
    pub(super) idle_runs: IdleRuns,
    /// What this process knows of the health.
    pub(super) known: KnownHealth,
    clock: Clock,
}

/// Passes events to the log and the observer.
#[derive(Clone, Default)]
pub(super) struct Emitter {
    observer: Option<Arc<dyn Observer>>,
    /// The warnings that were logged.
    logged_warnings: Arc<Mutex<BTreeSet<String>>>,
}

impl Emitter {
    pub(super) fn emit(&self, event: Event) {
        if self.is_new_warning(&event) {
            event.log();
        }
        if let Some(observer) = &self.observer {
            observer.event(&event);
        }
    }

    /// Whether to log the event: the same warning may recur for every resource, in every scheduled run.
    fn is_new_warning(&self, event: &Event) -> bool {
        let (Event::Source { event: SourceEvent::Warning(warning), .. } | Event::Remote(SourceEvent::Warning(warning))) =
            event
        else {
            return true;
        };
        let mut warned = self.logged_warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MAX_WARNINGS {
            warned.clear();
        }
        warned.insert(warning.clone())
    }
}

impl Connector {
    /// A connector whose backend commits rows and state in one transaction.
    pub fn new(source: impl Source, backend: Arc<dyn Backend>) -> Self {
        Self::assemble(Arc::new(source), backend.clone(), backend.clone(), backend, Stores::Shared)
    }

    /// A connector with separate stores for rows, configuration and state. Rows become visible before the state, so that a crash in
    /// between repeats rows and loses none. Sweep steps and the end of a reconciliation are committed after the state.
    pub fn with_stores(
        source: impl Source,
        sink: Arc<dyn Sink>,
        config: Arc<dyn ConfigStore>,
        state: Arc<dyn StateStore>,
    ) -> Self {
        Self::assemble(Arc::new(source), sink, config, state, Stores::Split)
    }

    fn assemble(
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        config: Arc<dyn ConfigStore>,
        state: Arc<dyn StateStore>,
        delivery: Stores,
    ) -> Self {
        let mut spec = source.spec();
        spec.assign_resource_names();
        Self {
            spec: Arc::new(spec),
            source,
            connected: Arc::default(),
            limits: sink.limits(),
            sink,
            state,
            config,
            delivery,
            groups: GroupCommits::default(),
            overrides: Map::new(),
            claims: IdentityClaims::default(),
            emitter: Emitter::default(),
            proven_uses: Arc::default(),
            budget: BudgetMeter::default(),
            idle_runs: IdleRuns::default(),
            known: KnownHealth::default(),
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Overrides stored settings, without storing anything. Names may be dotted; of a nested struct, only the given fields are
    /// overridden.
    #[must_use]
    pub fn with_settings(mut self, values: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.spec.settings.merge(&mut self.overrides, values);
        // Otherwise, two clones with different settings would replace each other's reader at every run.
        self.connected = Arc::default();
        self
    }

    /// Replaces the [destination's](Sink::limits) bounds on memory and on commits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the share of a table's live rows that an ingestion may mark deleted without
    /// [confirmation](super::IngestRequest::allow_deletions), in percent. See [`Limits::max_deleted_percent`].
    #[must_use]
    pub fn max_deleted_percent(mut self, percent: u8) -> Self {
        self.limits.max_deleted_percent = percent;
        self
    }

    /// Sets how often a [metered](StateStore::is_metered) store records that a stream has nothing new; zero: never. See
    /// [`Limits::heartbeat`].
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.limits.heartbeat = heartbeat;
        self
    }

    /// Sets the observer of events, which the program's log also gets.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.emitter.observer = Some(Arc::new(observer));
        // A reader that is already connected reports to the previous observer.
        self.connected = Arc::default();
        self
    }

    /// Replaces the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The description of the source.
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// A monitor for calls outside a run. The connected reader keeps one, so it must not hold the connector: the backend would never close.
    pub(super) fn monitor(&self) -> Monitor {
        let emitter = self.emitter.clone();
        Monitor::new(move |event| emitter.emit(Event::Remote(event)))
    }

    /// Connects anew at the next use: the reader may hold a secret that was replaced.
    pub(super) async fn disconnect(&self) {
        *self.connected.lock().await = None;
    }

    /// Connects the source, unless it is connected with these settings.
    pub(super) async fn reader(&self, settings: &Settings) -> Result<Arc<dyn Reader>> {
        let mut connected = self.connected.lock().await;
        if let Some((known, reader)) = &*connected
            && known == settings
        {
            return Ok(reader.clone());
        }
        let reader: Arc<dyn Reader> = self.source.connect(settings, ConnectContext::new(self.monitor())).await?.into();
        *connected = Some((settings.clone(), reader.clone()));
        Ok(reader)
    }

    /// The newest state of a stream of a resource, if it has one.
    ///
    /// # Errors
    /// Returns the errors of the store.
    pub async fn state(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.state.latest(key).await
    }

    /// The status of each of these streams: its newest state and its newest run.
    ///
    /// # Errors
    /// Returns the errors of the store.
    pub async fn statuses(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let statuses = self.state.latest_many(keys).await?;
        self.known.note_statuses(keys, &statuses);
        Ok(statuses)
    }

    /// The selected runs, the newest first.
    ///
    /// # Errors
    /// Returns the errors of the store.
    pub async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.state.runs(query).await
    }

    /// The outstanding rejects: neither corrected, nor found missing by a reconcile run.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the destination cannot list them, and its other errors.
    pub async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.sink.rejects(query).await
    }

    /// Writes rows and state: in one transaction if the backend is one, else in this order. Sets `base` to the new version of the state.
    /// The rows of `other`, a part of another stream without a state, become visible with them. Returns the report, and the counts of `other`.
    pub(super) async fn deliver(
        &self,
        resource: &Resource,
        at: Timestamp,
        mut part: StreamCommit,
        other: Option<StreamCommit>,
        order: WriteOrder,
        base: &mut StateVersion,
    ) -> Result<(StreamReport, Counts)> {
        let stream = part.stream.clone();
        let other_stream = other.as_ref().map(|other| other.stream.clone());
        let commit = |part| async {
            let mut commit = Commit::new(resource.clone(), at).part(part);
            commit.parts.extend(other);
            let mut report = match self.is_transactional() && self.state.is_metered() {
                true => self.groups.commit(&self.sink, commit).await?,
                false => self.sink.commit(commit).await?,
            };
            let counts = other_stream.and_then(|other| report.streams.remove(&other)).map(|other| other.counts);
            let report = report.streams.remove(&stream).ok_or_else(|| {
                Error::internal("the sink's report lacks a stream of the commit").with_context("stream", &stream)
            })?;
            Ok::<_, Error>((report, counts.unwrap_or_default()))
        };
        if matches!(self.delivery, Stores::Shared) {
            let (report, counts) = commit(part).await?;
            *base = report.version.unwrap_or(*base);
            return Ok((report, counts));
        }
        let mut change = part.change.take();
        if let Some(change) = change.take_if(|_| order == WriteOrder::StateFirst) {
            *base = self.state.append(change).await?;
        }
        let (report, counts) = commit(part).await?;
        if let Some(mut change) = change {
            change.count(&report.counts);
            change.spend(report.credits);
            *base = self.state.append(change).await?;
        }
        Ok((report, counts))
    }

    /// Whether one transaction commits rows and state.
    pub(super) fn is_transactional(&self) -> bool {
        matches!(self.delivery, Stores::Shared)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn emit(&self, event: Event) {
        self.known.note_event(&event, self.now());
        self.emitter.emit(event);
    }

    /// A record for a run that starts now.
    pub(super) fn new_run(&self, key: StateKey, mode: Mode) -> RunRecord {
        RunRecord::new(RunId::new(), key, mode, self.now())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("source", &self.source)
            .field("sink", &self.sink)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
