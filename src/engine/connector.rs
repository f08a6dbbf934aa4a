//! A source joined with a place to put its data.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::credentials::CredentialUse;
use super::identity::IdentityClaims;
use super::{Event, Observer};
use crate::{
    Backend, Commit, CommitReport, ConfigStore, Limits, Mode, Monitor, OutstandingRejects, RejectQuery, Resource,
    ResourceStatus, Result, RunId, RunRecord, Sink, Source, SourceEvent, SourceSpec, StateEntry, StateStore,
    StateVersion,
};

/// How many warnings are remembered, so that the log has each once.
const MAX_WARNINGS: usize = 1_000;

/// Returns the time.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How rows and state become visible.
#[derive(Clone)]
enum Stores {
    /// One backend is both: one transaction.
    Shared,
    /// One after the other, in a [`WriteOrder`].
    Split,
}

/// What comes first where rows and state are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOrder {
    /// For progress: a crash between the two repeats rows, which merge by key.
    RowsFirst,
    /// For what is no progress, which are the steps of a sweep and the end of a pass: who was overtaken is refused before he
    /// deletes anything, and a pass does not outlive its marks.
    StateFirst,
}

/// A source joined with a place to put its data. Cloning is cheap; clones share everything.
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
/// #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1").table(TableSpec::new("planets")) }
/// #     async fn check(&self, _: &Config) -> Result<()> { Ok(()) }
/// #     async fn discover(&self, _: &Config) -> Result<Vec<Resource>> { Ok(vec![]) }
/// #     fn read(&self, _: ReadRequest) -> BatchStream {
/// #         stream::iter([Ok(Batch::new("planets").record(Record::upsert("3", Version::NONE, "{}")))]).boxed()
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let connector = Connector::new(Planets, Arc::new(Memory::new()));
/// let report = connector.ingest(IngestRequest::of([Resource::new("sun")?])).await?;
/// assert_eq!(report.counts().inserted, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    pub(super) source: Arc<dyn Source>,
    pub(super) spec: Arc<SourceSpec>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) config: Arc<dyn ConfigStore>,
    delivery: Stores,
    pub(super) overrides: Map<String, Value>,
    pub(super) claims: IdentityClaims,
    pub(super) limits: Limits,
    observer: Option<Arc<dyn Observer>>,
    /// The uses of credentials that were proved.
    pub(super) proven_uses: Arc<Mutex<BTreeSet<CredentialUse>>>,
    /// The warnings that the log has.
    logged_warnings: Arc<Mutex<BTreeSet<String>>>,
    clock: Clock,
}

impl Connector {
    /// A connector whose backend keeps rows and state together: they become visible in one transaction.
    pub fn new(source: impl Source, backend: Arc<dyn Backend>) -> Self {
        Self::assemble(Arc::new(source), backend.clone(), backend.clone(), backend, Stores::Shared)
    }

    /// A connector whose rows, configuration and state are kept in different places: rows become visible before the
    /// state, so that a crash between the two repeats rows and loses none. The steps of a sweep, and the end of a full pass, come
    /// after the state.
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
        Self {
            spec: Arc::new(source.spec()),
            source,
            limits: sink.limits(),
            sink,
            state,
            config,
            delivery,
            overrides: Map::new(),
            claims: IdentityClaims::default(),
            observer: None,
            proven_uses: Arc::default(),
            logged_warnings: Arc::default(),
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Settings that go before the stored ones and are not stored. Names may be dotted; of a nested struct, only the fields that
    /// are given go before the stored ones.
    #[must_use]
    pub fn with_settings(mut self, values: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.spec.settings.merge(&mut self.overrides, values);
        self
    }

    /// Bounds on memory and on commits, instead of those that suit the [destination](Sink::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The share of a table's live rows that a reconcile run may mark deleted without being
    /// [asked to](super::IngestRequest::allow_deletions), in percent, instead of that of the [limits](Limits::max_deleted_percent).
    #[must_use]
    pub fn max_deleted_percent(mut self, percent: u8) -> Self {
        self.limits.max_deleted_percent = percent;
        self
    }

    /// Who is told what happens, beside the program's log.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What the source says about itself.
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// Passes on what the source says beside a run.
    pub(super) fn monitor(&self) -> Monitor {
        let watcher = self.clone();
        Monitor::new(move |event| watcher.emit(Event::Remote(event)))
    }

    /// Whether the settings in force work: their shape, then the remote. The [observer](Self::observer) is told of waits and retries.
    ///
    /// # Errors
    /// What [`Source::check`] reports.
    pub async fn check(&self) -> Result<()> {
        self.source.check_with(&self.configuration().await?.config, &self.monitor()).await
    }

    /// A resource's newest state, where it has one.
    ///
    /// # Errors
    /// Whatever the store reports.
    pub async fn state(&self, resource: &Resource) -> Result<Option<StateEntry>> {
        self.state.latest(resource.name()).await
    }

    /// How each of these resources stands: its newest state and its newest run.
    ///
    /// # Errors
    /// Whatever the store reports.
    pub async fn statuses(&self, resources: &[Resource]) -> Result<Vec<ResourceStatus>> {
        let keys: Vec<String> = resources.iter().map(|resource| resource.name().to_owned()).collect();
        self.state.latest_many(&keys).await
    }

    /// At most `limit` runs, of one resource or of all, the newest first.
    ///
    /// # Errors
    /// Whatever the store reports.
    pub async fn runs(&self, resource: Option<&Resource>, limit: usize) -> Result<Vec<RunRecord>> {
        self.state.runs(resource.map(Resource::name), limit).await
    }

    /// What was rejected and is outstanding: neither corrected nor gone, as far as a reconcile run has found out.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the destination cannot tell; whatever it reports.
    pub async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.sink.rejects(query).await
    }

    /// Rows and state in one transaction where the backend is one; else in this order. `base` is the state's version after it.
    pub(super) async fn deliver(
        &self,
        mut commit: Commit,
        order: WriteOrder,
        base: &mut StateVersion,
    ) -> Result<CommitReport> {
        if matches!(self.delivery, Stores::Shared) {
            let report = self.sink.commit(commit).await?;
            *base = report.version.unwrap_or(*base);
            return Ok(report);
        }
        let mut change = commit.change.take();
        if let Some(change) = change.take_if(|_| order == WriteOrder::StateFirst) {
            *base = self.state.append(change).await?;
        }
        let report = self.sink.commit(commit).await?;
        if let Some(mut change) = change {
            change.count(&report.counts);
            *base = self.state.append(change).await?;
        }
        Ok(report)
    }

    /// Whether rows and state become visible in one transaction.
    pub(super) fn is_transactional(&self) -> bool {
        matches!(self.delivery, Stores::Shared)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn emit(&self, event: Event) {
        if self.is_new_warning(&event) {
            event.log();
        }
        if let Some(observer) = &self.observer {
            observer.event(&event);
        }
    }

    /// Whether the log does not have it yet. A warning may hold for every resource, and on a schedule again and again.
    fn is_new_warning(&self, event: &Event) -> bool {
        let Event::Source { event: SourceEvent::Warning(warning), .. } = event else { return true };
        let mut warned = self.logged_warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MAX_WARNINGS {
            warned.clear();
        }
        warned.insert(warning.clone())
    }

    /// The record of a run that begins now.
    pub(super) fn new_run(&self, resource: &str, mode: Mode) -> RunRecord {
        RunRecord::new(RunId::new(), resource, mode, self.now())
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
