//! A source of parents, children and other lists that tests write down as text, and backends to read it into.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_stream::try_stream;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::prelude::*;
use snowfeed::{
    Backend, Commit, Limits, RowPath, RowQuery, RowSelection, RunId, RunRecord, RunStatus, SelectedRow, Sequence,
    StateKey, StoredRecord, StreamCommit, StreamKind, VerifyRequest,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::{Hold, resource};

/// What happens just before a request is answered.
type Hook = Box<dyn FnMut(&Tree) + Send>;

/// A source whose lists are text. It has a list for each stream without a parent (`labels`), and one for each parent of a child stream
/// (`children/p1`, `grandchildren/p1/a`). Lists that no test has set are empty.
///
/// A list is its pages, separated by `|`. A page is its records, `key@version` or `key@version=text`; or `!kind`, a failure; or `~`, the answer
/// that nothing has changed.
#[derive(Clone)]
pub(crate) struct Tree {
    streams: Vec<StreamSpec>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    lists: BTreeMap<String, String>,
    /// The checkpoint of the last page of a list.
    validators: BTreeMap<String, String>,
    /// What `verify` says about a record: its state, `-` for a deletion, or nothing.
    verified: BTreeMap<String, String>,
    requests: Vec<String>,
    hooks: BTreeMap<String, Hook>,
    holds: BTreeMap<String, Arc<Hold>>,
    /// The lists that are being read.
    active: BTreeSet<String>,
    /// When each request was sent.
    times: BTreeMap<String, Instant>,
    /// Whether a list with the checkpoint of its last page is unchanged.
    is_conditional: bool,
    /// The permits of the source's connection, if it has only some.
    permits: Option<Arc<Semaphore>>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree")
    }
}

/// A list that is being read.
struct Reading(Tree, String);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.state().active.remove(&self.1);
    }
}

impl Tree {
    fn new(streams: impl IntoIterator<Item = StreamSpec>) -> Self {
        Self { streams: streams.into_iter().collect(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Replaces a list.
    pub(crate) fn set(&self, list: &str, pages: &str) {
        self.state().lists.insert(list.to_owned(), pages.to_owned());
    }

    /// Replaces a list and the checkpoint of its last page.
    pub(crate) fn set_with(&self, list: &str, pages: &str, validators: &str) {
        self.set(list, pages);
        self.state().validators.insert(list.to_owned(), validators.to_owned());
    }

    /// Sets what `verify` says about a record, whatever the lists say: its state, `-` for a deletion, or an empty text for no answer.
    pub(crate) fn verify_as(&self, record: &str, answer: &str) {
        self.state().verified.insert(record.to_owned(), answer.to_owned());
    }

    /// The requests since the last call, ordered by name: those of concurrent lists have no order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut self.state().requests);
        requests.sort();
        requests
    }

    /// Waits until a request was sent.
    pub(crate) async fn requested(&self, request: &str) {
        while !self.state().requests.iter().any(|sent| sent == request) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// When a request was sent last.
    pub(crate) fn time_of(&self, request: &str) -> Instant {
        self.state().times[request]
    }

    /// Does something just before each answer to a request.
    pub(crate) fn on(&self, request: &str, hook: impl FnMut(&Self) + Send + 'static) {
        self.state().hooks.insert(request.to_owned(), Box::new(hook));
    }

    /// Replaces a list just before the second answer to a request.
    pub(crate) fn set_at_second(&self, request: &str, list: &str, pages: &str) {
        let (list, pages, mut count) = (list.to_owned(), pages.to_owned(), 0);
        self.on(request, move |tree| {
            count += 1;
            if count == 2 {
                tree.set(&list, &pages);
            }
        });
    }

    /// Lets a request wait until it is told to resume.
    pub(crate) fn hold(&self, request: &str) -> Arc<Hold> {
        let hold = Arc::<Hold>::default();
        self.state().holds.insert(request.to_owned(), hold.clone());
        hold
    }

    /// Lets the requests of this name pass.
    pub(crate) fn release(&self, request: &str) {
        self.state().holds.remove(request);
    }

    /// Answers that a list has not changed if the request has the checkpoint of its last page.
    pub(crate) fn answer_conditionally(&self) {
        self.state().is_conditional = true;
    }

    /// Limits the requests under way.
    pub(crate) fn limit_requests(&self, count: usize) {
        self.state().permits = Some(Arc::new(Semaphore::new(count)));
    }

    /// Notes a request, and waits where it is held.
    async fn request(&self, name: &str) {
        let permits = self.state().permits.clone();
        let _permit = match &permits {
            Some(permits) => Some(permits.acquire().await.unwrap()),
            None => None,
        };
        let hold = {
            let mut state = self.state();
            state.requests.push(name.to_owned());
            state.times.insert(name.to_owned(), Instant::now());
            state.holds.get(name).cloned()
        };
        if let Some(hold) = hold {
            hold.reached.notify_one();
            hold.resume.notified().await;
        }
        tokio::task::yield_now().await;
        let hook = self.state().hooks.remove(name);
        if let Some(mut hook) = hook {
            hook(self);
            self.state().hooks.entry(name.to_owned()).or_insert(hook);
        }
    }

    fn page(&self, list: &str, number: usize) -> Option<String> {
        let state = self.state();
        let pages = state.lists.get(list).map_or("", String::as_str);
        pages.split('|').nth(number).map(|page| page.trim().to_owned())
    }

    /// The pages of a list.
    fn list(self, list: String, checkpoint: Option<Checkpoint>) -> BatchStream {
        try_stream! {
            let validators = checkpoint.map(|checkpoint| checkpoint.parse::<String>()).transpose()?;
            let is_unchanged = {
                let state = self.state();
                state.is_conditional && validators.is_some() && validators.as_ref() == state.validators.get(&list)
            };
            if is_unchanged {
                self.request(&list).await;
                yield Batch::unchanged();
                return;
            }
            let is_first = self.state().active.insert(list.clone());
            assert!(is_first || !list.contains('/'), "{list} is read twice at once");
            let _reading = Reading(self.clone(), list.clone());
            for number in 0.. {
                let name = if number == 0 { list.clone() } else { format!("{list}#{}", number + 1) };
                self.request(&name).await;
                let Some(page) = self.page(&list, number) else { break };
                let mut batch = answer(&page)?;
                let is_last = self.page(&list, number + 1).is_none();
                let validators = self.state().validators.get(&list).cloned().filter(|_| is_last);
                batch.checkpoint = validators.map(|validators| Checkpoint::new(&validators)).transpose()?;
                yield batch;
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// The records of an append stream, the newest first, in pages of two.
    fn log(self, list: String, resume: Option<Checkpoint>) -> BatchStream {
        try_stream! {
            let mut before: Option<i64> = resume.map(|resume| resume.parse()).transpose()?;
            loop {
                self.request(&before.map_or_else(|| list.clone(), |before| format!("{list}<{before}"))).await;
                let mut records = Vec::new();
                for number in 0.. {
                    let Some(page) = self.page(&list, number) else { break };
                    records.extend(answer(&page)?.records);
                }
                records.retain(|record| before.is_none_or(|before| record.version.0 < before));
                records.sort_by_key(|record| std::cmp::Reverse(record.version));
                let is_last = records.len() <= 2;
                records.truncate(2);
                let Some(last) = records.last() else { break };
                before = Some(last.version.0);
                let checkpoint = Checkpoint::new(&last.version.0)?;
                yield Batch::new().records(records).checkpoint(checkpoint);
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// What `verify` says about a record.
    fn verify_one(&self, stream: &str, StoredRecord { parent, key, version, .. }: StoredRecord) -> Option<Record> {
        let list =
            std::iter::once(stream).chain(parent.keys().iter().map(String::as_str)).collect::<Vec<_>>().join("/");
        if let Some(answer) = self.state().verified.get(&format!("{list}/{key}")) {
            return match answer.as_str() {
                "" => None,
                "-" => Some(Record::delete(key, version)),
                state => Some(record(state)),
            };
        }
        let pages: String = self.state().lists.get(&list).cloned().unwrap_or_default();
        let found =
            pages.split(['|', ' ']).filter(|text| text.contains('@')).map(record).find(|found| found.key == key);
        Some(found.unwrap_or_else(|| Record::delete(key, version)))
    }
}

/// Parses `key@version=text`.
fn record(text: &str) -> Record {
    let (key, state) = text.split_once('@').unwrap();
    let (version, _) = state.split_once('=').unwrap_or((state, ""));
    Record::upsert(key, version.parse::<i64>().unwrap(), serde_json::json!({ "state": text, "key": key }).to_string())
}

/// Parses a page.
fn answer(page: &str) -> Result<Batch> {
    match page.split_at_checked(1) {
        Some(("~", _)) => Ok(Batch::unchanged()),
        Some(("!", kind)) => {
            let kinds = [
                ErrorKind::Unavailable,
                ErrorKind::NotFound,
                ErrorKind::InvalidData,
                ErrorKind::RateLimited,
                ErrorKind::Authentication,
            ];
            let kind = kinds.into_iter().find(|known| known.to_string().replace(' ', "_") == kind).unwrap();
            Err(Error::new(kind, "the list fails, as the test requested").exhausted())
        }
        _ => Ok(Batch::new().records(page.split_whitespace().map(record))),
    }
}

#[async_trait]
impl Source for Tree {
    fn spec(&self) -> SourceSpec {
        self.streams.iter().cloned().fold(SourceSpec::new("tree", "1"), SourceSpec::stream)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Tree {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let keys = request.parent.iter().flat_map(|parent| parent.path.keys());
        let names: Vec<&str> = std::iter::once(&request.stream).chain(keys).map(String::as_str).collect();
        let spec = self.streams.iter().find(|spec| spec.name == request.stream).unwrap();
        match spec.kind {
            StreamKind::Append(_) => self.clone().log(names.join("/"), request.checkpoint),
            StreamKind::Snapshot => self.clone().list(names.join("/"), request.checkpoint),
            _ => self.clone().list(names.join("/"), None),
        }
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let mut answers = Vec::new();
        for stored in request.records {
            let path: Vec<&str> =
                stored.parent.keys().iter().map(String::as_str).chain([stored.key.as_str()]).collect();
            self.request(&format!("verify {}/{}", request.stream, path.join("/"))).await;
            answers.extend(self.verify_one(&request.stream, stored));
        }
        Ok(answers)
    }
}

/// When each bench begins, by its clock.
const START: Timestamp = Timestamp::constant(50 * 365 * 24 * 3_600, 0);

/// A kind of backend.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

/// A source, a backend, and a connector of them.
pub(crate) struct Bench {
    pub(crate) tree: Tree,
    pub(crate) backend: Arc<dyn Backend>,
    began: Instant,
}

/// Parents that can be verified, their children and grandchildren.
pub(crate) fn family() -> Vec<StreamSpec> {
    vec![
        StreamSpec::new("parents").verifiable(),
        StreamSpec::child("children", "parents"),
        StreamSpec::child("grandchildren", "children"),
    ]
}

impl Bench {
    pub(crate) fn new(kind: Kind, streams: impl IntoIterator<Item = StreamSpec>) -> Self {
        let backend: Arc<dyn Backend> = match kind {
            Kind::Memory => Arc::new(Memory::new()),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => Arc::new(snowfeed::backends::Sqlite::in_memory().unwrap()),
        };
        Self { tree: Tree::new(streams), backend, began: Instant::now() }
    }

    /// A connector whose clock goes with that of the runtime. Each batch is a commit of its own.
    pub(crate) fn connector(&self) -> Connector {
        self.connector_at(0)
    }

    /// The time when the bench was made, a whole second, as a version.
    pub(crate) fn tree_time(&self) -> i64 {
        START.as_microsecond()
    }

    /// The same, with a clock that is wrong by this many seconds.
    pub(crate) fn connector_at(&self, skew: i64) -> Connector {
        let (began, start) = (self.began, START);
        let clock =
            move || start + SignedDuration::try_from(began.elapsed()).unwrap() + SignedDuration::from_secs(skew);
        let limits = Limits::default().commit_rows(1).max_deleted_percent(100);
        Connector::new(self.tree.clone(), self.backend.clone()).limits(limits).clock(clock)
    }

    /// Runs all streams, and returns the runs by stream.
    pub(crate) async fn run(&self, mode: Mode) -> BTreeMap<String, RunRecord> {
        let streams: Vec<String> = self.tree.streams.iter().map(|stream| stream.name.clone()).collect();
        run(&self.connector(), mode, streams).await
    }

    /// Runs these streams, and those that they require.
    pub(crate) async fn run_only<const N: usize>(&self, mode: Mode, streams: [&str; N]) -> BTreeMap<String, RunRecord> {
        run(&self.connector(), mode, streams.map(str::to_owned).to_vec()).await
    }

    /// Starts a run of all streams in a task of its own.
    pub(crate) fn start(&self, mode: Mode) -> tokio::task::JoinHandle<BTreeMap<String, RunRecord>> {
        let streams: Vec<String> = self.tree.streams.iter().map(|stream| stream.name.clone()).collect();
        let connector = self.connector();
        tokio::spawn(async move { run(&connector, mode, streams).await })
    }

    /// Runs all streams, of which each must be complete.
    pub(crate) async fn complete(&self, mode: Mode) {
        for (stream, run) in self.run(mode).await {
            assert_eq!(run.status, RunStatus::Complete, "{stream}: {:?}", run.error);
        }
    }

    async fn rows(&self, stream: &str) -> Vec<SelectedRow> {
        let everything = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
        let is_source_wide = self.tree.spec().streams.iter().any(|spec| spec.name == stream && spec.is_source_wide);
        let owner = if is_source_wide { Resource::source_wide() } else { resource("r") };
        let query = RowQuery::new(owner, stream, everything, usize::MAX).documents();
        let mut rows = self.backend.select_rows(query).await.unwrap();
        rows.sort_by(|a, b| a.position.path.cmp(&b.position.path));
        rows
    }

    /// The live rows of a stream, as the lists have them, with the paths of their parents: `p1/a@1 p2/a@3=text`.
    pub(crate) async fn live(&self, stream: &str) -> String {
        let rows = self.rows(stream).await.into_iter().filter(|row| !row.is_deleted).map(|row| {
            let document: serde_json::Value = serde_json::from_str(&row.json.unwrap()).unwrap();
            let parent = row.position.path.parent();
            let slash = if parent == RowPath::ROOT { "" } else { "/" };
            format!("{parent}{slash}{}", document["state"].as_str().unwrap())
        });
        rows.collect::<Vec<_>>().join(" ")
    }

    /// The paths of the rows of a stream that are marked deleted.
    pub(crate) async fn deleted(&self, stream: &str) -> String {
        let rows = self.rows(stream).await.into_iter().filter(|row| row.is_deleted);
        rows.map(|row| row.position.path.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The checkpoint of a stream; null without one.
    pub(crate) async fn checkpoint(&self, stream: &str) -> serde_json::Value {
        let entry = self.backend.latest(&StateKey::new("r", stream)).await.unwrap();
        let checkpoint = entry.and_then(|entry| entry.state.checkpoint);
        checkpoint.map_or(serde_json::Value::Null, |checkpoint| checkpoint.parse().unwrap())
    }

    /// The versions of the states of these streams, and the numbers of their newest commits.
    pub(crate) async fn versions<const N: usize>(&self, streams: [&str; N]) -> Vec<(u64, u64)> {
        let numbers = self.backend.sequences(&resource("r")).await.unwrap();
        let mut versions = Vec::new();
        for stream in streams {
            let entry = self.backend.latest(&StateKey::new("r", stream)).await.unwrap();
            let number = numbers.get(stream).map_or(0, |sequence| sequence.0);
            versions.push((entry.map_or(0, |entry| entry.version.0), number));
        }
        versions
    }

    /// Another process writes a record.
    pub(crate) async fn write(&self, stream: &str, state: &str) {
        let part = StreamCommit::new(stream, RunId::new()).records([record(state)]);
        self.backend.commit(Commit::new(resource("r"), Timestamp::UNIX_EPOCH).part(part)).await.unwrap();
    }
}

/// Runs streams of the resource `r`.
pub(crate) async fn run(connector: &Connector, mode: Mode, streams: Vec<String>) -> BTreeMap<String, RunRecord> {
    let request = IngestRequest::new([resource("r")]).mode(mode).streams(streams);
    let ingest = tokio::time::timeout(std::time::Duration::from_secs(10_000), connector.ingest(request));
    let runs = ingest.await.expect("the runs do not end").unwrap().runs;
    assert!(runs.iter().all(|run| run.counts.add_up()), "{runs:?}");
    runs.into_iter().map(|run| (run.stream.clone(), run)).collect()
}

/// Defines a test over each backend for these functions.
macro_rules! on_each_backend {
    ($($name:ident)*) => {
        mod in_memory {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name($crate::tree::Kind::Memory).await;
                }
            )*
        }

        #[cfg(feature = "sqlite")]
        mod in_sqlite {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name($crate::tree::Kind::Sqlite).await;
                }
            )*
        }
    };
}
pub(crate) use on_each_backend;
