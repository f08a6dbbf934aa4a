//! A backend in memory that observes, holds and refuses commits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use snowfeed::backends::Memory;
use snowfeed::prelude::*;
use snowfeed::{
    Commit, CommitReport, ConfigStore, LiveRows, Namespace, OutstandingRejects, RejectQuery, RunQuery, RunRecord, Sink,
    StateChange, StateEntry, StateKey, StateStore, StateVersion, StoredRecord, UnseenQuery,
};
use tokio::sync::Semaphore;

/// A backend in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) memory: Memory,
    /// Whether it loses the newest records of a state, as programs of an older version do.
    pub(crate) forgets: bool,
    /// Whether it bills every call.
    pub(crate) is_metered: bool,
    /// The streams of each commit, as it begins.
    pub(crate) commits: Arc<Mutex<Vec<Vec<String>>>>,
    /// Each commit takes a permit, if there are any.
    pub(crate) gate: Option<Arc<Semaphore>>,
    /// Commits with one of these streams fail.
    pub(crate) refused: Arc<Mutex<BTreeSet<String>>>,
}

fn forget(change: &mut StateChange) {
    if let Some(state) = &mut change.state {
        let mut value = serde_json::to_value(&*state).unwrap();
        value.as_object_mut().unwrap().remove("newest");
        *state = serde_json::from_value(value).unwrap();
    }
}

#[async_trait]
impl Sink for Store {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.memory.ensure_streams(resource, streams).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<CommitReport> {
        let changes = commit.parts.iter_mut().filter_map(|part| part.change.as_mut());
        changes.filter(|_| self.forgets).for_each(forget);
        let streams: Vec<String> = commit.parts.iter().map(|part| part.stream.clone()).collect();
        self.commits.lock().unwrap().push(streams.clone());
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if streams.iter().any(|stream| self.refused.lock().unwrap().contains(stream)) {
            return Err(Error::unavailable("refused"));
        }
        self.memory.commit(commit).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.memory.live_rows(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        Sink::rejects(&self.memory, query).await
    }
}

#[async_trait]
impl ConfigStore for Store {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        self.memory.get(namespace, key).await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.memory.put(namespace, key, value).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.memory.remove(namespace, key).await
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.memory.list(namespace).await
    }
}

#[async_trait]
impl StateStore for Store {
    async fn append(&self, mut change: StateChange) -> Result<StateVersion> {
        if self.forgets {
            forget(&mut change);
        }
        self.memory.append(change).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.memory.latest(key).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        self.memory.history(key, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.memory.runs(query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        self.memory.prune(key, keep).await
    }

    fn is_metered(&self) -> bool {
        self.is_metered
    }
}
