//! A sudden crash: everything that a process does stops at a chosen point.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use futures::StreamExt;
use proptest::prelude::*;
use serde_json::Value;
use snowfeed::prelude::*;
use snowfeed::{
    Backend, Column, Commit, CommitReport, ConfigSnapshot, ConfigStore, Limits, LiveRows, Load, LoadEstimate,
    Namespace, OutstandingRejects, RejectQuery, RowQuery, RunId, RunQuery, RunRecord, SelectedRow, Sequence, Sink,
    Stage, StateChange, StateEntry, StateKey, StateStore, StateVersion, StoredRecord, StreamStatus, UnseenQuery,
    VerifyRequest,
};
use tokio_util::sync::CancellationToken;

/// A kind of moment at which a process can crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before a commit, or any other write.
    Before,
    /// After it.
    After,
    /// When the source's stream is polled for a batch.
    Reading,
    /// After the source verified records, before the engine acts on the result.
    Verified,
    /// When the future of the whole ingestion is polled, at any point.
    Poll,
}

/// The moment of the crash, counted from 0; `None`: the process ends normally.
pub(crate) type CrashPoint = Option<(Moment, u32)>;

/// Crashes of every kind, mostly early ones.
pub(crate) fn crash_points() -> impl Strategy<Value = CrashPoint> {
    let moment = prop_oneof![
        3 => Just(Moment::Before),
        3 => Just(Moment::After),
        2 => Just(Moment::Reading),
        1 => Just(Moment::Verified),
        3 => Just(Moment::Poll),
    ];
    prop_oneof![
        1 => Just(None),
        6 => (moment, prop_oneof![0..4_u32, 0..40_u32]).prop_map(Some),
    ]
}

/// Crashes the process at its crash point.
#[derive(Debug, Clone)]
pub(crate) struct CrashSwitch {
    crash: CrashPoint,
    reached: Arc<AtomicU32>,
    crashed: CancellationToken,
}

impl CrashSwitch {
    pub(crate) fn new(crash: CrashPoint) -> Self {
        Self { crash, reached: Arc::default(), crashed: CancellationToken::new() }
    }

    /// Whether the crash is now.
    fn is_now(&self, moment: Moment) -> bool {
        self.crash.is_some_and(|(fatal, count)| fatal == moment && self.reached.fetch_add(1, Ordering::SeqCst) == count)
    }

    /// Returns unless the process crashes now or has crashed; then it never returns.
    async fn reach(&self, moment: Moment) {
        if self.is_now(moment) {
            self.crashed.cancel();
        }
        if self.crashed.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs a future until it ends or crashes; `None`: it crashed.
    pub(crate) async fn run_until_crash<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        let mut process = pin!(process);
        let polled = poll_fn(|context| {
            if self.is_now(Moment::Poll) {
                return Poll::Ready(None);
            }
            process.as_mut().poll(context).map(Some)
        });
        tokio::select! {
            biased;
            () = self.crashed.cancelled() => None,
            output = polled => output,
        }
    }
}

/// A backend that may crash before and after it writes. Unlike the one of the testkit, which returns an error, it stops the whole process,
/// and does so at every kind of write.
#[derive(Debug, Clone)]
pub(crate) struct CrashingBackend {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) switch: CrashSwitch,
}

impl CrashingBackend {
    async fn write<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        self.switch.reach(Moment::Before).await;
        let written = write.await;
        self.switch.reach(Moment::After).await;
        written
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Sink for CrashingBackend {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        self.write(self.backend.ensure_streams(resource, tables)).await
    }

    async fn finish(&self) -> Result<()> {
        self.write(self.backend.finish()).await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        self.backend.columns(resource, stream).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        self.write(self.backend.commit(commit)).await
    }

    async fn stage(&self, resource: &Resource, stream: &str, run: RunId) -> Result<Box<dyn Stage>> {
        self.backend.stage(resource, stream, run).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.backend.unseen(query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.backend.live_rows(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.backend.rejects(query).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        self.backend.select_rows(query).await
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        self.backend.sequences(resource).await
    }

    fn estimate(&self, load: Load) -> Option<LoadEstimate> {
        self.backend.estimate(load)
    }

    fn limits(&self) -> Limits {
        self.backend.limits()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ConfigStore for CrashingBackend {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        self.backend.get(namespace, key).await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.write(self.backend.put(namespace, key, value)).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.write(self.backend.remove(namespace, key)).await
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.backend.list(namespace).await
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        self.backend.snapshot().await
    }

    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        self.backend.claim(source, adopt).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for CrashingBackend {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.write(self.backend.append(change)).await
    }

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.write(self.backend.append_runs(runs)).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.backend.latest(key).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        self.backend.history(key, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.backend.runs(query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        self.write(self.backend.prune(key, keep)).await
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        self.backend.latest_many(keys).await
    }

    fn is_metered(&self) -> bool {
        self.backend.is_metered()
    }
}

/// A source that may crash while it is read, and signals reads.
pub(crate) struct CrashingSource<F> {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) switch: CrashSwitch,
    /// Called before every batch.
    pub(crate) meanwhile: F,
}

impl<F> std::fmt::Debug for CrashingSource<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<F: Fn() + Clone + Send + Sync + 'static> Source for CrashingSource<F> {
    fn spec(&self) -> SourceSpec {
        self.source.spec()
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let reader = self.source.connect(settings, context).await?;
        Ok(Box::new(CrashingReader { reader, switch: self.switch.clone(), meanwhile: self.meanwhile.clone() }))
    }

    fn resource(&self, config: &Settings, name: &str) -> Result<Resource> {
        self.source.resource(config, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.source.identity(checkpoint)
    }

    fn subject(&self, table: &str, text: &str) -> Option<String> {
        self.source.subject(table, text)
    }
}

/// The reader of a [`CrashingSource`] source.
struct CrashingReader<F> {
    reader: Box<dyn Reader>,
    switch: CrashSwitch,
    meanwhile: F,
}

impl<F> std::fmt::Debug for CrashingReader<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reader.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<F: Fn() + Clone + Send + Sync + 'static> Reader for CrashingReader<F> {
    async fn check(&self) -> Result<()> {
        self.reader.check().await
    }

    fn discover(&self) -> ResourceStream {
        self.reader.discover()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let (switch, meanwhile) = (self.switch.clone(), self.meanwhile.clone());
        let batches = futures::stream::unfold(self.reader.read(request), move |mut batches| {
            let (switch, meanwhile) = (switch.clone(), meanwhile.clone());
            async move {
                switch.reach(Moment::Reading).await;
                meanwhile();
                batches.next().await.map(|batch| (batch, batches))
            }
        });
        batches.boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let verified = self.reader.verify(request).await;
        (self.meanwhile)();
        self.switch.reach(Moment::Verified).await;
        verified
    }
}
