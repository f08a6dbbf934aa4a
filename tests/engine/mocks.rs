//! Mocks of the traits of a backend.

use async_trait::async_trait;
use mockall::mock;
use serde_json::Value;

use snowfeed::{Commit, CommitReport, LiveRows, Sink, StoredRecord, UnseenQuery};
use snowfeed::{ConfigStore, Namespace, Resource, Result, StreamSpec};
use snowfeed::{RunRecord, StateChange, StateEntry, StateStore, StateVersion};

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

/// The methods of [`StateStore`] as the mocks expect them: mockall cannot mock the optional reference of `runs`, so that
/// `expect_runs` takes an `Option<String>`.
pub(crate) trait StateCalls {
    fn append(&self, change: StateChange) -> Result<StateVersion>;
    fn latest(&self, key: &str) -> Result<Option<StateEntry>>;
    fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>>;
    fn runs(&self, key: Option<String>, limit: usize) -> Result<Vec<RunRecord>>;
    fn prune(&self, key: &str, keep: usize) -> Result<u64>;
}

/// Forwards calls to a mock.
macro_rules! state_store_by_calls {
    ($mock:ty) => {
        #[async_trait]
        impl StateStore for $mock {
            async fn append(&self, change: StateChange) -> Result<StateVersion> {
                StateCalls::append(self, change)
            }

            async fn latest(&self, key: &str) -> Result<Option<StateEntry>> {
                StateCalls::latest(self, key)
            }

            async fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>> {
                StateCalls::history(self, key, limit)
            }

            async fn runs(&self, key: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
                StateCalls::runs(self, key.map(str::to_owned), limit)
            }

            async fn prune(&self, key: &str, keep: usize) -> Result<u64> {
                StateCalls::prune(self, key, keep)
            }
        }
    };
}

state_store_by_calls!(MockStateStore);
state_store_by_calls!(MockBackend);

mock! {
    /// A [`StateStore`]. `expect_runs` takes its key as an `Option<String>`.
    #[derive(Debug)]
    pub(crate) StateStore {}

    impl StateCalls for StateStore {
        fn append(&self, change: StateChange) -> Result<StateVersion>;
        fn latest(&self, key: &str) -> Result<Option<StateEntry>>;
        fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>>;
        fn runs(&self, key: Option<String>, limit: usize) -> Result<Vec<RunRecord>>;
        fn prune(&self, key: &str, keep: usize) -> Result<u64>;
    }
}

mock! {
    /// A [`Backend`](snowfeed::Backend). `expect_runs` takes its key as an `Option<String>`.
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

    impl StateCalls for Backend {
        fn append(&self, change: StateChange) -> Result<StateVersion>;
        fn latest(&self, key: &str) -> Result<Option<StateEntry>>;
        fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>>;
        fn runs(&self, key: Option<String>, limit: usize) -> Result<Vec<RunRecord>>;
        fn prune(&self, key: &str, keep: usize) -> Result<u64>;
    }
}
