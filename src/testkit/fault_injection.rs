//! Fault injection: a backend that crashes at a commit, a source that fails between batches, a clock that steps back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::sink::{
    Commit, CommitReport, Limits, LiveRows, Load, LoadEstimate, OutstandingRejects, RejectQuery, RowQuery, SelectedRow,
    Sink, Stage, StoredRecord, UnseenQuery,
};
use crate::state::{RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion, StreamStatus};
use crate::{
    Backend, BatchStream, Checkpoint, Column, ConfigSnapshot, ConfigStore, ConnectContext, Error, Namespace,
    ReadRequest, Reader, Record, Resource, ResourceStream, Result, RunId, Sequence, Settings, Source, SourceSpec,
    StreamSpec, VerifyRequest,
};

/// A clock that steps back: it advances by a second at each reading, and jumps back by an hour at every tenth.
///
/// For [`Connector::clock`](crate::engine::Connector::clock).
///
/// ```
/// use snowfeed::testkit::fault_injection::unsteady_clock;
///
/// let now = unsteady_clock("2026-01-01T12:00:00Z".parse().unwrap());
/// let readings: Vec<_> = (0..11).map(|_| now()).collect();
/// assert!(readings[10] < readings[0]);
/// ```
pub fn unsteady_clock(start: Timestamp) -> impl Fn() -> Timestamp + Send + Sync + 'static {
    let readings = AtomicU64::new(0);
    move || {
        let reading = readings.fetch_add(1, Ordering::Relaxed);
        let seconds = i64::try_from(reading).unwrap_or(i64::MAX);
        start - SignedDuration::from_hours(seconds / 10) + SignedDuration::from_secs(seconds)
    }
}

/// The commit at which a [`CrashingBackend`] crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Crash before the commit with this number, counted from 0.
    BeforeCommit(u64),
    /// Crash after the commit with this number, and report a failure.
    AfterCommit(u64),
}

/// A backend that crashes at one commit, as if the process had died: that commit and all later calls fail.
///
/// To continue after the crash, use the inner backend: it has everything that was committed.
///
/// ```
/// use snowfeed::backends::Memory;
/// use snowfeed::testkit::fault_injection::{CrashPoint, CrashingBackend};
///
/// let memory = Memory::new();
/// let crashing = CrashingBackend::new(memory.clone(), CrashPoint::AfterCommit(2));
/// assert!(!crashing.has_crashed());
/// ```
#[derive(Debug)]
pub struct CrashingBackend<B> {
    backend: B,
    crash: CrashPoint,
    commits: AtomicU64,
    crashed: AtomicBool,
}

impl<B: Backend> CrashingBackend<B> {
    /// A backend that will crash.
    pub fn new(backend: B, crash: CrashPoint) -> Self {
        Self { backend, crash, commits: AtomicU64::new(0), crashed: AtomicBool::new(false) }
    }

    /// Whether it has crashed. Otherwise there were too few commits.
    pub fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    /// The number of commits so far, including failed ones.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// The inner backend, unless this has crashed.
    fn alive(&self) -> Result<&B> {
        if self.has_crashed() { Err(crashed()) } else { Ok(&self.backend) }
    }

    fn crash_now<T>(&self) -> Result<T> {
        self.crashed.store(true, Ordering::SeqCst);
        Err(crashed())
    }
}

/// The error is not retried: the process has died.
fn crashed() -> Error {
    Error::unavailable("the backend has crashed, as the test requested").exhausted()
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<B: Backend> Sink for CrashingBackend<B> {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        self.alive()?.ensure_streams(resource, tables).await
    }

    async fn finish(&self) -> Result<()> {
        self.alive()?.finish().await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        self.alive()?.columns(resource, stream).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let backend = self.alive()?;
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        if self.crash == CrashPoint::BeforeCommit(number) {
            return self.crash_now();
        }
        let done = backend.commit(commit).await;
        if self.crash == CrashPoint::AfterCommit(number) { self.crash_now() } else { done }
    }

    async fn stage(&self, resource: &Resource, stream: &str, run: RunId) -> Result<Box<dyn Stage>> {
        self.alive()?.stage(resource, stream, run).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.alive()?.unseen(query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.alive()?.live_rows(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.alive()?.rejects(query).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        self.alive()?.select_rows(query).await
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        self.alive()?.sequences(resource).await
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
impl<B: Backend> ConfigStore for CrashingBackend<B> {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        self.alive()?.get(namespace, key).await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.alive()?.put(namespace, key, value).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.alive()?.remove(namespace, key).await
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.alive()?.list(namespace).await
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        self.alive()?.snapshot().await
    }

    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        self.alive()?.claim(source, adopt).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<B: Backend> StateStore for CrashingBackend<B> {
    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.alive()?.append_runs(runs).await
    }

    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.alive()?.append(change).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.alive()?.latest(key).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        self.alive()?.history(key, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.alive()?.runs(query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        self.alive()?.prune(key, keep).await
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        self.alive()?.latest_many(keys).await
    }

    fn is_metered(&self) -> bool {
        self.backend.is_metered()
    }
}

/// A source whose reads fail after a number of batches, for a number of reads, of all streams or of one.
///
/// ```
/// # use async_trait::async_trait;
/// # use snowfeed::prelude::*;
/// use futures::{StreamExt, stream};
/// use snowfeed::testkit::fault_injection::FlakySource;
/// # #[derive(Debug)]
/// # struct Planets;
/// # #[async_trait]
/// # impl Source for Planets {
/// #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1.0.0").stream(StreamSpec::new("planets")) }
/// #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
/// # }
/// # #[async_trait]
/// # impl Reader for Planets {
/// #     async fn check(&self) -> Result<()> { Ok(()) }
/// #     fn discover(&self) -> ResourceStream { stream::empty().boxed() }
/// #     fn read(&self, _: ReadRequest) -> BatchStream { stream::iter((0..9).map(|_| Ok(Batch::new()))).boxed() }
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let request = || ReadRequest::new(Resource::new("sun").unwrap(), "planets");
/// let source = FlakySource::new(Planets, 2).failures(1);
/// let reader = source.connect(&Settings::default(), ConnectContext::detached()).await.unwrap();
/// assert!(reader.read(request()).collect::<Vec<_>>().await[2].is_err());
/// assert!(reader.read(request()).all(|batch| async move { batch.is_ok() }).await);
/// # });
/// ```
#[derive(Debug)]
pub struct FlakySource<S> {
    source: S,
    batches: usize,
    stream: Option<String>,
    failures: Arc<AtomicU64>,
    has_failed: Arc<AtomicBool>,
}

impl<S: Source> FlakySource<S> {
    /// A source whose reads always fail after this number of batches.
    pub fn new(source: S, batches: usize) -> Self {
        Self { source, batches, stream: None, failures: Arc::new(AtomicU64::new(u64::MAX)), has_failed: Arc::default() }
    }

    /// Lets only this number of reads fail.
    #[must_use]
    pub fn failures(self, failures: u64) -> Self {
        self.failures.store(failures, Ordering::SeqCst);
        self
    }

    /// Lets only reads of this stream fail.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Whether a read has failed. Reads with too few batches do not fail.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Source> Source for FlakySource<S> {
    fn spec(&self) -> SourceSpec {
        self.source.spec()
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let reader = self.source.connect(settings, context).await?;
        let (failures, has_failed) = (Arc::clone(&self.failures), Arc::clone(&self.has_failed));
        Ok(Box::new(FlakyReader { reader, batches: self.batches, stream: self.stream.clone(), failures, has_failed }))
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        self.source.resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.source.identity(checkpoint)
    }

    fn subject(&self, stream: &str, text: &str) -> Option<String> {
        self.source.subject(stream, text)
    }
}

/// A reader whose reads fail as its [`FlakySource`] says.
#[derive(Debug)]
struct FlakyReader {
    reader: Box<dyn Reader>,
    batches: usize,
    stream: Option<String>,
    failures: Arc<AtomicU64>,
    has_failed: Arc<AtomicBool>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Reader for FlakyReader {
    async fn check(&self) -> Result<()> {
        self.reader.check().await
    }

    fn discover(&self) -> ResourceStream {
        self.reader.discover()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        if self.stream.as_ref().is_some_and(|stream| *stream != request.stream) {
            return self.reader.read(request);
        }
        let (failures, has_failed) = (Arc::clone(&self.failures), Arc::clone(&self.has_failed));
        let state = (self.reader.read(request), self.batches, false);
        let batches = stream::unfold(state, move |(mut stream, left, ended)| {
            let (failures, has_failed) = (Arc::clone(&failures), Arc::clone(&has_failed));
            async move {
                if ended {
                    return None;
                }
                let fails = || failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                if left == 0 && fails().is_ok() {
                    has_failed.store(true, Ordering::SeqCst);
                    let error = Error::unavailable("the source has failed, as the test requested").exhausted();
                    return Some((Err(error), (stream, 0, true)));
                }
                // A read that has not failed here does not fail later.
                let left = if left == 0 { usize::MAX } else { left - 1 };
                let batch = stream.next().await?;
                Some((batch, (stream, left, false)))
            }
        });
        batches.boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        self.reader.verify(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Memory;
    use crate::{Retry, RunId, StreamCommit, Version};

    async fn crash(crash: CrashPoint) -> (Memory, CrashingBackend<Memory>, Vec<bool>) {
        let memory = Memory::new();
        let crashing = CrashingBackend::new(memory.clone(), crash);
        let one = Resource::new("one").unwrap();
        crashing.ensure_streams(&one, &[StreamSpec::new("t")]).await.unwrap();
        let mut done = Vec::new();
        for key in ["a", "b", "c"] {
            let records = vec![Record::upsert(key, Version::NONE, "{}")];
            let part = StreamCommit::new("t", RunId::new()).records(records);
            let result = crashing.commit(Commit::new(one.clone(), jiff::Timestamp::UNIX_EPOCH).part(part)).await;
            done.push(result.is_ok());
            assert!(result.is_ok() || result.is_err_and(|error| error.retry() == Retry::Never));
        }
        (memory, crashing, done)
    }

    #[tokio::test]
    async fn a_crash_before_a_commit_leaves_it_undone_and_refuses_everything_after() {
        let (memory, crashing, done) = crash(CrashPoint::BeforeCommit(1)).await;
        assert_eq!(done, [true, false, false]);
        assert_eq!(memory.rows(&Resource::new("one").unwrap(), "t").len(), 1);
        assert!(crashing.has_crashed() && crashing.latest(&StateKey::new("one", "t")).await.is_err());
        assert!(crashing.get(Namespace::Connector, "x").await.is_err());
    }

    #[tokio::test]
    async fn a_crash_after_a_commit_keeps_it_but_returns_an_error() {
        let (memory, crashing, done) = crash(CrashPoint::AfterCommit(1)).await;
        assert_eq!((done, crashing.commits()), (vec![true, false, false], 2));
        assert_eq!(memory.rows(&Resource::new("one").unwrap(), "t").len(), 2);
    }
}
