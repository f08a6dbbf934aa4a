//! A source that reads from a script, and a backend to inspect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{RunQuery, RunRecord, SourceEvent, StateKey, StoredRecord, VerifyRequest};
use tokio::sync::{Barrier, Notify};

/// Where a read resumed, and how it read.
pub(crate) type Read = (Option<usize>, Mode);

/// A read of one of several streams: the resource, the stream, and where it resumed.
pub(crate) type StreamRead = (String, String, Option<usize>);

/// One step of a script.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A batch with these keys at this version; its checkpoint is the number of steps so far, including this one.
    Batch(&'static [&'static str], i64),
    /// A batch as given.
    Raw(Batch),
    Fail(ErrorKind, &'static str),
    Panic,
    /// Never returns.
    Hang,
    /// Reports an event, then returns nothing.
    Report(SourceEvent),
    /// Waits until as many streams have come so far.
    Meet(Arc<Barrier>),
    /// Waits until the test lets it continue, then returns nothing.
    Hold(Arc<Hold>),
}

/// A source that plays a script for each stream of each resource, from the step that the checkpoint names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted {
    scripts: Arc<Mutex<BTreeMap<StateKey, Vec<Step>>>>,
    /// The streams, and whether each is a default one; if empty, only `t`.
    pub(crate) streams: Vec<(&'static str, bool)>,
    /// The reads of all streams.
    pub(crate) stream_reads: Arc<Mutex<Vec<StreamRead>>>,
    /// The result of `verify`, by key: `Some` if it exists, `None` if it is gone; nothing for missing keys.
    pub(crate) truth: Arc<Mutex<BTreeMap<String, Option<i64>>>>,
    /// The checkpoint of each read, and whether it was a reconcile run.
    pub(crate) reads: Arc<Mutex<Vec<Read>>>,
    /// Where `verify` waits before it answers.
    pub(crate) hold: Option<Arc<Hold>>,
    /// Whether the columns of its streams are inferred.
    pub(crate) infers: bool,
    /// Whether the source is authoritative.
    pub(crate) is_authoritative: bool,
}

/// A task that reaches a point and waits there.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    pub(crate) reached: Notify,
    pub(crate) resume: Notify,
}

pub(crate) fn document(key: &str, version: i64) -> String {
    format!(r#"{{"key":"{key}","version":{version}}}"#)
}

pub(crate) fn batch(keys: &[&str], version: i64) -> Batch {
    Batch::new().records(keys.iter().map(|key| Record::upsert(*key, Version(version), document(key, version))))
}

impl Scripted {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let source = Self::default();
        source.script("r", steps);
        source
    }

    /// A source with these default streams.
    pub(crate) fn with_streams<const N: usize>(names: [&'static str; N]) -> Self {
        Self { streams: names.map(|name| (name, true)).to_vec(), ..Self::default() }
    }

    /// Replaces the script of the stream `t` of a resource.
    pub(crate) fn script(&self, resource: &str, steps: Vec<Step>) {
        self.script_stream(resource, "t", steps);
    }

    /// Replaces the script of a stream of a resource.
    pub(crate) fn script_stream(&self, resource: &str, stream: &str, steps: Vec<Step>) {
        self.scripts.lock().unwrap().insert(StateKey::new(resource, stream), steps);
    }
}

#[async_trait]
impl Source for Scripted {
    fn spec(&self) -> SourceSpec {
        let spec = SourceSpec::new("scripted", "1");
        let spec = if self.is_authoritative { spec.authoritative() } else { spec };
        let streams = if self.streams.is_empty() { &[("t", true)] } else { self.streams.as_slice() };
        streams.iter().fold(spec, |spec, (name, is_default)| {
            let stream = StreamSpec::new(*name).column("key", "key", ColumnType::Text);
            let stream = if self.infers { stream.infer_columns() } else { stream };
            spec.stream(if *is_default { stream } else { stream.optional() })
        })
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }

    fn subject(&self, _: &str, text: &str) -> Option<String> {
        let document: serde_json::Value = serde_json::from_str(text).ok()?;
        document["about"].as_str().map(str::to_owned)
    }
}

#[async_trait]
impl Reader for Scripted {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        let resources: Vec<_> = self.scripts.lock().unwrap().keys().map(|key| Resource::new(&*key.resource)).collect();
        stream::iter(resources).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let from = request.checkpoint.as_ref().map(|checkpoint| checkpoint.parse::<usize>().unwrap());
        self.reads.lock().unwrap().push((from, request.mode));
        let key = StateKey::new(request.resource.name(), &*request.stream);
        self.stream_reads.lock().unwrap().push((key.resource.clone(), key.stream.clone(), from));
        let steps = self.scripts.lock().unwrap().get(&key).cloned().unwrap_or_default();
        let rest = steps.into_iter().enumerate().skip(from.unwrap_or(0));
        stream::iter(rest)
            .then(move |(index, step)| {
                let monitor = request.monitor.clone();
                async move {
                    monitor.request();
                    match step {
                        Step::Batch(keys, version) => {
                            Ok(batch(keys, version).checkpoint(Checkpoint::new(&(index + 1))?))
                        }
                        Step::Raw(batch) => Ok(batch),
                        Step::Fail(kind, message) => Err(Error::new(kind, message)),
                        Step::Panic => panic!("the scripted panic"),
                        Step::Report(event) => {
                            monitor.event(event);
                            Ok(Batch::new())
                        }
                        Step::Hang => std::future::pending().await,
                        Step::Meet(barrier) => {
                            barrier.wait().await;
                            Ok(Batch::new())
                        }
                        Step::Hold(hold) => {
                            hold.reached.notify_one();
                            hold.resume.notified().await;
                            Ok(Batch::new())
                        }
                    }
                }
            })
            .boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        if let Some(hold) = &self.hold {
            hold.reached.notify_one();
            hold.resume.notified().await;
        }
        let truth = self.truth.lock().unwrap();
        let verify = |record: StoredRecord| match truth.get(&record.key)? {
            Some(version) => {
                Some(Record::upsert(record.key.clone(), Version(*version), document(&record.key, *version)))
            }
            None => Some(Record::delete(record.key, record.version)),
        };
        Ok(request.records.into_iter().filter_map(verify).collect())
    }
}

pub(crate) fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

/// The key of the scripted stream of a resource.
pub(crate) fn key(name: &str) -> StateKey {
    StateKey::new(name, "t")
}

/// Selects at most this many runs of a resource.
pub(crate) fn runs_of(name: &str, limit: usize) -> RunQuery {
    RunQuery::new(limit).resource(name)
}

/// Every batch becomes a separate commit.
pub(crate) fn limits() -> snowfeed::Limits {
    snowfeed::Limits::default().commit_rows(1)
}

/// A connector over a fresh in-memory backend that commits every batch separately.
pub(crate) fn connector(source: &Scripted) -> (Connector, Memory) {
    let memory = Memory::new();
    (Connector::new(source.clone(), Arc::new(memory.clone())).limits(limits()), memory)
}

/// Ingests the resource `r`.
pub(crate) async fn ingest(connector: &Connector, mode: Mode) -> RunRecord {
    let request = IngestRequest::new([resource("r")]).mode(mode);
    let mut report = connector.ingest(request).await.unwrap();
    assert_eq!(report.runs.len(), 1);
    let run = report.runs.remove(0);
    assert!(run.counts.add_up(), "{:?}", run.counts);
    run
}

/// A connector whose reconcile run blocks while it verifies `a` and `b`, which the source no longer has.
pub(crate) async fn blocked_in_sweep<T>(make: impl FnOnce(&Scripted) -> (Connector, T)) -> (Arc<Hold>, Connector, T) {
    let hold = Arc::<Hold>::default();
    let mut source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    source.hold = Some(hold.clone());
    let (connector, backend) = make(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["c"], 1)]);
    source.truth.lock().unwrap().extend([("a".into(), None), ("b".into(), None)]);
    (hold, connector, backend)
}

/// Resets the resource while the reconcile run is blocked in its sweep, and returns the run.
pub(crate) async fn reset_during_sweep(hold: &Hold, connector: &Connector) -> RunRecord {
    let reset = async {
        hold.reached.notified().await;
        connector.reset(&resource("r")).await.unwrap();
        hold.resume.notify_one();
    };
    tokio::join!(ingest(connector, Mode::Reconcile), reset).0
}

/// The live keys of `r`, with their versions.
pub(crate) fn live(memory: &Memory) -> BTreeMap<String, i64> {
    let rows = memory.rows(&resource("r"), "t").into_iter();
    rows.filter(|row| row.deleted_at.is_none()).map(|row| (row.key, row.version.0)).collect()
}

pub(crate) fn keys(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(key, version)| ((*key).to_owned(), *version)).collect()
}
