//! A separate store for the state.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::engine::Connector;
use snowfeed::{
    Error, Limits, Result, RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion,
    StreamStatus,
};

use crate::support::Scripted;

type Predicate = dyn FnMut(&StateChange) -> bool + Send;

/// An in-memory store that handles one call at a time, in order of arrival: the lock passes to the next caller
/// whether or not it polls. It fails the calls that the test chooses, and counts writes and prunes.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) memory: Memory,
    pub(crate) lock: Arc<tokio::sync::Mutex<()>>,
    pub(crate) writes: Arc<AtomicUsize>,
    pub(crate) prunes: Arc<AtomicUsize>,
    pub(crate) reads: Arc<AtomicUsize>,
    breaks_reads: Arc<AtomicBool>,
    refuses: Arc<Mutex<Option<Box<Predicate>>>>,
    is_metered: bool,
}

impl Store {
    /// A store that bills every call.
    pub(crate) fn metered() -> Self {
        Self { is_metered: true, ..Self::default() }
    }

    /// A connector that keeps its state here.
    pub(crate) fn connector(&self, source: &Scripted, limits: Limits) -> Connector {
        let (rows, config) = (Arc::new(self.memory.clone()), Arc::new(self.memory.clone()));
        Connector::with_stores(source.clone(), rows, config, Arc::new(self.clone())).limits(limits)
    }

    /// From now on, whether no read of states succeeds.
    pub(crate) fn break_reads(&self, breaks: bool) {
        self.breaks_reads.store(breaks, Ordering::SeqCst);
    }

    fn note_read(&self) -> Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.breaks_reads.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("the state store is unavailable")),
            false => Ok(()),
        }
    }

    /// From now on, refuses the changes for which this returns true.
    pub(crate) fn refuse(&self, refuses: impl FnMut(&StateChange) -> bool + Send + 'static) {
        *self.refuses.lock().unwrap() = Some(Box::new(refuses));
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("memory", &self.memory).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for Store {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        let _guard = self.lock.lock().await;
        self.writes.fetch_add(1, Ordering::SeqCst);
        if self.refuses.lock().unwrap().as_mut().is_some_and(|refuses| refuses(&change)) {
            return Err(Error::unavailable("the state store is unavailable"));
        }
        self.memory.append(change).await
    }

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        let _guard = self.lock.lock().await;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.memory.append_runs(runs).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        let _guard = self.lock.lock().await;
        self.note_read()?;
        self.memory.latest(key).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let _guard = self.lock.lock().await;
        self.note_read()?;
        self.memory.history(key, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        let _guard = self.lock.lock().await;
        self.note_read()?;
        self.memory.runs(query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let _guard = self.lock.lock().await;
        self.prunes.fetch_add(1, Ordering::SeqCst);
        self.memory.prune(key, keep).await
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let _guard = self.lock.lock().await;
        self.note_read()?;
        self.memory.latest_many(keys).await
    }

    fn is_metered(&self) -> bool {
        self.is_metered
    }
}
