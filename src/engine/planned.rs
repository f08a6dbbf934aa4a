//! The streams that an ingestion or a schedule reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::Connector;
use super::newest::{OtherWriters, other_writers};
use crate::state::Marks;
use crate::{Resource, Result, RunRecord, Sink, SourceSpec, StateEntry, StateKey, StreamSpec, StreamStatus};

/// A resource's state, read for many runs at once. It may be stale: if another program has run the resource meanwhile, the first
/// commit is refused, and the run restarts from the newest state.
#[derive(Debug, Clone)]
pub(super) struct PrefetchedState {
    pub(super) entry: StateEntry,
    /// The other streams that may change its table.
    pub(super) others: OtherWriters,
}

/// What the newest recorded run of a stream says; nothing if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NewestRun {
    pub(super) started_at: Option<Timestamp>,
    pub(super) marks: Marks,
}

impl NewestRun {
    pub(super) fn new(run: Option<&RunRecord>) -> Self {
        Self { started_at: run.map(|run| run.started_at), marks: run.map(|run| run.marks).unwrap_or_default() }
    }
}

impl Connector {
    /// Queries the statuses of streams by one call. If calls cost money, their runs begin with the states found; `None` of a stream that
    /// has none.
    pub(super) async fn prefetch<'a>(
        &self,
        planned: impl IntoIterator<Item = &'a mut PlannedStream>,
    ) -> Result<Vec<StreamStatus>> {
        let planned: Vec<_> = planned.into_iter().collect();
        let own: BTreeSet<StateKey> = planned.iter().map(|planned| planned.key()).collect();
        let mut keys: Vec<StateKey> = planned.iter().map(|planned| planned.key()).collect();
        if !self.state.is_metered() {
            return self.statuses(&keys).await;
        }
        let others = |planned: &PlannedStream| other_writers(&self.spec, &planned.stream, &planned.key());
        let unplanned: BTreeSet<_> = planned.iter().flat_map(|planned| others(planned)).collect();
        keys.extend(unplanned.into_iter().filter(|key| !own.contains(key)));
        let mut statuses = self.statuses(&keys).await?;
        let version = |status: &StreamStatus| status.entry.as_ref().map(|entry| entry.version).unwrap_or_default();
        let versions: BTreeMap<_, _> = keys.into_iter().zip(statuses.iter().map(version)).collect();
        statuses.truncate(planned.len());
        for (planned, status) in planned.into_iter().zip(&statuses) {
            let of_others = others(planned).into_iter().filter_map(|key| {
                let version = *versions.get(&key)?;
                Some((key.stream, version))
            });
            let others = of_others.collect();
            planned.start = status.entry.clone().map(|entry| PrefetchedState { entry, others });
            planned.newest_run = Some(NewestRun::new(status.run.as_ref()));
        }
        Ok(statuses)
    }
}

/// A stream of a resource to read.
#[derive(Debug, Clone)]
pub(super) struct PlannedStream {
    pub(super) resource: Resource,
    pub(super) stream: StreamSpec,
    /// The tables of the resource, shared with its other streams.
    pub(super) tables: Arc<ResourceTables>,
    /// The prefetched state, if any.
    pub(super) start: Option<PrefetchedState>,
    /// What its newest run says, if that was prefetched.
    pub(super) newest_run: Option<NewestRun>,
}

impl PlannedStream {
    /// Plans to read the streams that these resources select: [source-wide](StreamSpec::source_wide) ones once, in the order of the
    /// declaration `spec`. Returns those of each resource together.
    pub(super) fn selected(
        spec: &SourceSpec,
        selected: impl IntoIterator<Item = (Resource, Vec<StreamSpec>)>,
    ) -> BTreeMap<Resource, Vec<Self>> {
        let (mut planned, mut source_wide) = (BTreeMap::new(), BTreeSet::new());
        for (resource, streams) in selected {
            let (shared, own): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| stream.is_source_wide);
            source_wide.extend(shared.into_iter().map(|stream| stream.name));
            planned.insert(resource.clone(), Self::all(&resource, own));
        }
        let shared: Vec<_> = spec.streams.iter().filter(|stream| source_wide.contains(&stream.name)).cloned().collect();
        if !shared.is_empty() {
            let source = Resource::source_wide();
            planned.insert(source.clone(), Self::all(&source, shared));
        }
        planned
    }

    /// Plans to read these streams of a resource.
    pub(super) fn all(resource: &Resource, streams: Vec<StreamSpec>) -> Vec<Self> {
        let tables = Arc::new(ResourceTables::new(resource.clone(), streams.clone()));
        let planned = |stream| {
            let (resource, tables) = (resource.clone(), tables.clone());
            Self { resource, stream, tables, start: None, newest_run: None }
        };
        streams.into_iter().map(planned).collect()
    }

    pub(super) fn key(&self) -> StateKey {
        StateKey::new(self.resource.name(), &self.stream.name)
    }
}

/// The tables and views of a resource: the first of its concurrent runs creates those of all its streams.
#[derive(Debug)]
pub(super) struct ResourceTables {
    resource: Resource,
    streams: Vec<StreamSpec>,
    ensured: OnceCell<()>,
}

impl ResourceTables {
    fn new(resource: Resource, streams: Vec<StreamSpec>) -> Self {
        Self { resource, streams: with_tables(streams), ensured: OnceCell::new() }
    }

    /// Creates what is missing, or waits for the run that does. After an error, the next run tries again.
    pub(super) async fn ensure(&self, sink: &dyn Sink) -> Result<()> {
        let ensure = || sink.ensure_streams(&self.resource, &self.streams);
        self.ensured.get_or_try_init(ensure).await.map(|&()| ())
    }
}

/// The streams that have a table.
fn with_tables(mut streams: Vec<StreamSpec>) -> Vec<StreamSpec> {
    streams.retain(StreamSpec::has_table);
    streams
}
