//! Two programs that read one resource under two names at the same moment: its rows never appear twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, IngestRequest};
use snowfeed::{
    Batch, BatchStream, Checkpoint, ConnectContext, ErrorKind, ReadRequest, Reader, Record, ResourceStream, Result,
    RunQuery, RunRecord, RunStatus, Settings, Source, SourceSpec, StateChange, StateEntry, StateKey, StateStore,
    StateVersion, StreamSpec, StreamStatus, Version,
};
use tokio::sync::Barrier;

use crate::support::resource;

/// A source with one resource, which every name refers to.
#[derive(Debug, Clone)]
struct AliasedSource;

#[async_trait]
impl Source for AliasedSource {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("one", "1").stream(StreamSpec::new("t"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        checkpoint.parse::<u32>().ok().map(|id| id.to_string())
    }
}

#[async_trait]
impl Reader for AliasedSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let records = (0..9).map(|key| Record::upsert(key.to_string(), Version(1), "{}"));
        let batch = Batch::new().records(records).checkpoint(Checkpoint::new(&7).unwrap());
        stream::iter([Ok(batch)]).boxed()
    }
}

/// A state store that two programs share. Both have read the resources' state before either continues.
#[derive(Debug)]
struct SharedStateStore {
    memory: Memory,
    barrier: Arc<Barrier>,
    has_read: AtomicBool,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for SharedStateStore {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
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
        self.memory.is_metered()
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let statuses = self.memory.latest_many(keys).await?;
        if !self.has_read.swap(true, Ordering::SeqCst) {
            self.barrier.wait().await;
        }
        Ok(statuses)
    }
}

#[tokio::test]
async fn two_names_of_one_resource_are_never_read_by_two_programs_at_once() {
    let memory = Memory::new();
    let barrier = Arc::new(Barrier::new(2));
    let program = || {
        let state =
            SharedStateStore { memory: memory.clone(), barrier: barrier.clone(), has_read: AtomicBool::new(false) };
        Connector::with_stores(AliasedSource, Arc::new(memory.clone()), Arc::new(memory.clone()), Arc::new(state))
    };
    let (first, second) = (program(), program());
    for name in ["old", "new"] {
        first.enable(EnableRequest::new(resource(name))).await.unwrap();
    }
    let read = |connector: Connector, name: &'static str| async move {
        connector.ingest(IngestRequest::new([resource(name)])).await.unwrap().runs.remove(0)
    };
    let (old, new) = tokio::join!(read(first, "old"), read(second, "new"));
    let rows = |name: &str| memory.rows(&resource(name), "t").len();
    assert!(rows("old") == 0 || rows("new") == 0, "both names were read");
    let failed: Vec<_> = [old, new].into_iter().filter(|run| run.status != RunStatus::Complete).collect();
    assert!(!failed.is_empty());
    for run in failed {
        let error = run.error.unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error:?}");
        assert!(error.message.contains("is the same resource as"), "{error:?}");
    }
    // A claim without a read does not block the next run.
    let later = Connector::new(AliasedSource, Arc::new(memory.clone()));
    later.ingest(IngestRequest::default()).await.unwrap();
    assert_eq!((rows("old") + rows("new"), later.resources().await.unwrap().len()), (9, 2));
}
