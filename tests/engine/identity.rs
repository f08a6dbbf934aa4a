//! One resource under two names: its rows never appear twice, also if two programs or several streams start at the same moment. Two
//! resources under one name: their rows are never mixed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{
    Batch, BatchStream, Checkpoint, ConfigStore, ConnectContext, ErrorKind, Namespace, ReadRequest, Reader, Record,
    ResourceStream, Result, RunQuery, RunRecord, RunStatus, Settings, Source, SourceSpec, StateChange, StateEntry,
    StateKey, StateStore, StateVersion, StreamSpec, StreamStatus, Version,
};
use tokio::sync::Barrier;

use crate::support::resource;

/// A source with one resource, which every name refers to.
#[derive(Debug, Clone)]
struct AliasedSource {
    streams: &'static [&'static str],
    /// The resource's id now.
    id: Arc<AtomicU32>,
}

impl AliasedSource {
    fn new(streams: &'static [&'static str]) -> Self {
        Self { streams, id: Arc::new(AtomicU32::new(7)) }
    }
}

#[async_trait]
impl Source for AliasedSource {
    fn spec(&self) -> SourceSpec {
        self.streams.iter().fold(SourceSpec::new("one", "1"), |spec, name| spec.stream(StreamSpec::new(*name)))
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

    fn read(&self, request: ReadRequest) -> BatchStream {
        let records = (0..9).map(|key| Record::upsert(key.to_string(), Version(1), "{}"));
        // The checkpoint of one stream does not say what resource it is.
        let checkpoint = match request.stream.as_str() {
            "nameless" => Checkpoint::new(&"page 1"),
            _ => Checkpoint::new(&self.id.load(Ordering::SeqCst)),
        };
        stream::iter([Ok(Batch::new().records(records).checkpoint(checkpoint.unwrap()))]).boxed()
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

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.memory.append_runs(runs).await
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

/// The runs that did not complete, all of which name the reason.
fn refused(runs: Vec<RunRecord>, reason: &str) -> Vec<String> {
    let refused: Vec<RunRecord> = runs.into_iter().filter(|run| run.status != RunStatus::Complete).collect();
    for run in &refused {
        let error = run.error.as_ref().unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error:?}");
        assert!(error.message.contains(reason), "{error:?}");
    }
    refused.into_iter().map(|run| run.stream).collect()
}

const SAME: &str = "is the same resource as";

#[tokio::test]
async fn two_names_of_one_resource_are_never_read_by_two_programs_at_once() {
    for streams in [&["t"][..], &["t", "u", "v"], &["nameless", "t"]] {
        let memory = Memory::new();
        let barrier = Arc::new(Barrier::new(2));
        let program = || {
            let state =
                SharedStateStore { memory: memory.clone(), barrier: barrier.clone(), has_read: AtomicBool::new(false) };
            let (sink, config) = (Arc::new(memory.clone()), Arc::new(memory.clone()));
            Connector::with_stores(AliasedSource::new(streams), sink, config, Arc::new(state))
        };
        let (first, second) = (program(), program());
        for name in ["old", "new"] {
            let enabled = serde_json::json!({"enabled": true});
            memory.put(Namespace::Resource, name, &enabled).await.unwrap();
        }
        let read = |connector: Connector, name: &'static str| async move {
            connector.ingest(IngestRequest::new([resource(name)])).await.unwrap().runs
        };
        let (old, new) = tokio::join!(read(first, "old"), read(second, "new"));
        let rows = |name: &str, stream: &str| memory.rows(&resource(name), stream).len();
        assert!(rows("old", "t") == 0 || rows("new", "t") == 0, "both names were read");
        assert!(!refused([old, new].concat(), SAME).is_empty());
        // A claim without a read does not block the next run.
        let later = Connector::new(AliasedSource::new(streams), Arc::new(memory.clone()));
        later.ingest(IngestRequest::default()).await.unwrap();
        assert_eq!((rows("old", "t") + rows("new", "t"), later.resources().await.unwrap().len()), (9, 2));
    }
}

#[tokio::test]
async fn two_names_of_one_resource_are_never_read_at_once_although_several_streams_start() {
    for concurrency in 1..=6 {
        let memory = Memory::new();
        let connector = Connector::new(AliasedSource::new(&["t", "u", "v"]), Arc::new(memory.clone()));
        let request = IngestRequest::new(["old", "new"].map(resource)).concurrency(concurrency);
        let report = connector.ingest(request).await.unwrap();
        let rows = |name: &str| ["t", "u", "v"].map(|stream| memory.rows(&resource(name), stream).len());
        let mut found = [rows("old"), rows("new")];
        found.sort();
        assert_eq!(found, [[0; 3], [9; 3]]);
        assert_eq!(refused(report.runs, SAME), ["t", "u", "v"]);
        // The name that was refused does not stay enabled.
        assert_eq!(connector.resources().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_resource_is_known_by_any_of_its_streams() {
    for streams in [&["nameless", "t"][..], &["t", "nameless"]] {
        let memory = Memory::new();
        let connector = Connector::new(AliasedSource::new(streams), Arc::new(memory.clone()));
        connector.ingest(IngestRequest::new([resource("old")])).await.unwrap();
        let report = connector.ingest(IngestRequest::new([resource("new")])).await.unwrap();
        assert_eq!(refused(report.runs, SAME), ["t"]);
    }
}

/// The name has passed to another resource: the stream that was read first follows the old one.
#[tokio::test]
async fn streams_of_two_resources_are_not_read_under_one_name() {
    const ANOTHER: &str = "is now another resource than the one of which its other streams were read";
    let memory = Memory::new();
    let source = AliasedSource::new(&["t", "u"]);
    let select = async |streams: &[&str]| {
        let config = serde_json::json!({"enabled": true, "streams": streams});
        memory.put(Namespace::Resource, "r", &config).await.unwrap();
    };
    let connector = Connector::new(source.clone(), Arc::new(memory.clone()));
    let ingest = async || connector.ingest(IngestRequest::new([resource("r")])).await.unwrap().runs;
    select(&["t"]).await;
    assert_eq!(refused(ingest().await, ANOTHER), [""; 0]);
    source.id.store(8, Ordering::SeqCst);
    select(&["u"]).await;
    assert_eq!(refused(ingest().await, ANOTHER), ["u"]);
    assert!(memory.rows(&resource("r"), "u").is_empty());
    // After a reset, the name is that of the new resource.
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(refused(ingest().await, ANOTHER), [""; 0]);
}
