//! Mocks of the traits of a backend.

use async_trait::async_trait;
use mockall::mock;
use serde_json::Value;

use snowfeed::{Commit, CommitReport, LiveRows, Sink, StoredRecord, UnseenQuery};
use snowfeed::{ConfigStore, Namespace, Resource, Result, StreamSpec};
use snowfeed::{RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion};

mock! {
    /// A [`Sink`].
    #[derive(Debug)]
    pub(crate) Sink {}

    #[async_trait]
    impl Sink for Sink {
        async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()>;
        async fn commit(&self, commit: Commit) -> Result<CommitReport>;
        async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>>;
        async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows>;
    }
}

mock! {
    /// A [`ConfigStore`].
    #[derive(Debug)]
    pub(crate) ConfigStore {}

    #[async_trait]
    impl ConfigStore for ConfigStore {
        async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>>;
        async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()>;
        async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool>;
        async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>>;
    }
}

mock! {
    /// A [`StateStore`].
    #[derive(Debug)]
    pub(crate) StateStore {}

    #[async_trait]
    impl StateStore for StateStore {
        async fn append(&self, change: StateChange) -> Result<StateVersion>;
        async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>>;
        async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>>;
        async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>>;
        async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64>;
    }
}

mock! {
    /// A [`Backend`](snowfeed::Backend).
    #[derive(Debug)]
    pub(crate) Backend {}

    #[async_trait]
    impl Sink for Backend {
        async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()>;
        async fn commit(&self, commit: Commit) -> Result<CommitReport>;
        async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>>;
        async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows>;
    }

    #[async_trait]
    impl ConfigStore for Backend {
        async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>>;
        async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()>;
        async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool>;
        async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>>;
    }

    #[async_trait]
    impl StateStore for Backend {
        async fn append(&self, change: StateChange) -> Result<StateVersion>;
        async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>>;
        async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>>;
        async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>>;
        async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64>;
    }
}
