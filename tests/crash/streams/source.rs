//! The source that reads the [`Upstream`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use async_stream::try_stream;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use snowfeed::prelude::*;
use snowfeed::{StoredRecord, VerifyRequest};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::traits::{Paging, ParentKind, Traits};
use super::upstream::{Answer, Engine, LAG, LATE_EVENTS, Upstream};

pub(super) const PARENTS: &str = "parents";
pub(super) const CHILDREN: &str = "children";
pub(super) const GRANDCHILDREN: &str = "grandchildren";
pub(super) const LABELS: &str = "labels";
pub(super) const EVENTS: &str = "events";
pub(super) const STREAMS: [&str; 5] = [PARENTS, CHILDREN, GRANDCHILDREN, LABELS, EVENTS];

/// The numbers of records on a page of parents, of labels and of events.
const PARENTS_PAGE: usize = 3;
const LABELS_PAGE: usize = 4;
const EVENTS_PAGE: usize = 2;

/// The part of the clocks of two engines that differs, at most.
pub(super) const SKEW: Duration = Duration::from_secs(5);

/// The upstream, as everybody shares it.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Upstream>>);

impl Shared {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self(Arc::new(Mutex::new(upstream)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Upstream> {
        self.0.lock().unwrap()
    }

    /// Time passes for an engine: it may crash here, and others may act.
    pub(super) async fn pass_time(&self, engine: Engine) {
        let (time, frozen) = {
            let mut upstream = self.lock();
            let time = Duration::from_millis(upstream.random.u64(0..250));
            (time, upstream.frozen.get(&engine).copied())
        };
        sleep(time).await;
        if let Some(until) = frozen {
            sleep_until(until).await;
        }
    }
}

/// A source of one engine.
#[derive(Debug, Clone)]
pub(super) struct ModelSource {
    pub(super) upstream: Shared,
    pub(super) engine: Engine,
}

/// Where to resume the parents.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum ParentCursor {
    /// Read what has changed since this version.
    Since(i64),
    /// Continue the list of all after this key; those that changed since the version come next.
    Walk(String, i64),
}

type Row = (String, i64, u64);

fn record((key, version, text): &Row) -> Record {
    Record::upsert(key, *version, format!(r#"{{"key":"{key}","text":{text}}}"#))
}

fn batch(rows: &[Row]) -> Batch {
    Batch::new().records(rows.iter().map(record))
}

impl ModelSource {
    /// Notes what `verify` says about a record.
    fn note_answer(&self, stream: &str, stored: &StoredRecord, found: Option<&Row>) {
        let path = stored.parent.child(&stored.key).keys().to_vec();
        let must_replace = found.is_some_and(|(_, version, _)| *version < stored.version.0);
        let mut upstream = self.upstream.lock();
        if must_replace {
            upstream.note(format!("engine {} learns that {stream} {path:?} has fallen: {found:?}", self.engine));
        }
        let answer = Answer { text: found.map(|(_, _, text)| *text), must_replace };
        upstream.answers.insert((self.engine, stream.to_owned(), path), answer);
    }

    /// Sends a request, and returns the answer of the moment at which the upstream gets it.
    async fn request<T>(&self, answer: impl FnOnce(&mut Upstream) -> T) -> T {
        self.upstream.pass_time(self.engine).await;
        let answer = answer(&mut self.upstream.lock());
        self.upstream.pass_time(self.engine).await;
        answer
    }

    fn parents(self, request: ReadRequest) -> BatchStream {
        let kind = self.upstream.lock().traits.parents;
        let mark = self.upstream.lock().version();
        match (request.checkpoint.as_ref().map(|checkpoint| checkpoint.parse().unwrap()), kind) {
            (_, ParentKind::Snapshot) => self.walk_parents(String::new(), None),
            (None, ParentKind::Ordered) if request.mode == Mode::Incremental => self.ordered_changes(i64::MIN),
            (None, _) => self.walk_parents(String::new(), Some(mark)),
            (Some(ParentCursor::Walk(after, mark)), _) => self.walk_parents(after, Some(mark)),
            (Some(ParentCursor::Since(since)), ParentKind::Ordered) => self.ordered_changes(since),
            (Some(ParentCursor::Since(since)), _) => self.unordered_changes(since, mark),
        }
    }

    /// All parents, in the order of their keys; then come those that have changed since the version `mark`.
    fn walk_parents(self, mut after: String, mark: Option<i64>) -> BatchStream {
        try_stream! {
            self.upstream.begin_list(self.engine, PARENTS, &[]);
            loop {
                let rows = self.request(|upstream| upstream.page_of_parents(&after, i64::MIN)).await;
                let is_last = rows.len() < PARENTS_PAGE;
                after = rows.last().map_or(after, |(key, ..)| key.clone());
                let cursor = mark.map(|mark| if is_last { ParentCursor::Since(mark) } else { ParentCursor::Walk(after.clone(), mark) });
                let mut batch = batch(&rows);
                batch.checkpoint = cursor.map(|cursor| Checkpoint::new(&cursor)).transpose()?;
                yield batch;
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// The parents that have changed since a version, in the order of the versions.
    fn ordered_changes(self, since: i64) -> BatchStream {
        try_stream! {
            let mut after = None;
            loop {
                let rows = self.request(|upstream| upstream.page_of_changes(since, after)).await;
                let is_last = rows.len() < PARENTS_PAGE;
                if let Some((_, version, text)) = rows.last() {
                    after = Some((*version, *text));
                    yield batch(&rows).checkpoint(Checkpoint::new(&ParentCursor::Since(*version))?);
                }
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// The parents that have changed since a version, in the order of the keys. The mark moves only if one of them is newer: it would
    /// move with the clock otherwise.
    fn unordered_changes(self, since: i64, mark: i64) -> BatchStream {
        try_stream! {
            let (mut after, mut has_news) = (String::new(), false);
            loop {
                let rows = self.request(|upstream| upstream.page_of_parents(&after, since)).await;
                let is_last = rows.len() < PARENTS_PAGE;
                has_news |= rows.iter().any(|(_, version, _)| *version > since);
                after = rows.last().map_or(after, |(key, ..)| key.clone());
                let mut batch = batch(&rows);
                if is_last && has_news {
                    batch.checkpoint = Some(Checkpoint::new(&ParentCursor::Since(mark))?);
                }
                yield batch;
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// The children, or grandchildren, of one record.
    fn children(self, stream: &'static str, parent: Vec<String>) -> BatchStream {
        let traits = self.upstream.lock().traits.clone();
        let size = if traits.is_paged { 2 } else { 99 };
        try_stream! {
            self.upstream.begin_list(self.engine, stream, &parent);
            let mut before: Vec<Row> = Vec::new();
            loop {
                let after = before.last().filter(|_| traits.paging == Paging::Exact).map(|(key, ..)| key.clone());
                let rows = self.request(|upstream| upstream.page_of_children(&parent, after.as_deref(), before.len(), size)).await?;
                let is_last = rows.len() < size;
                yield batch(&rows);
                before.extend(rows);
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// The labels. A read costs one conditional request for each page if none has changed.
    fn labels(self, validators: Option<&Checkpoint>) -> BatchStream {
        let known: Vec<u64> = validators.map(|validators| validators.parse().unwrap()).unwrap_or_default();
        let exact = self.upstream.lock().traits.paging == Paging::Exact;
        try_stream! {
            let mut is_unchanged = !known.is_empty();
            for (page, validator) in known.iter().enumerate() {
                let rows = self.request(|upstream| upstream.page_of_labels(None, page * LABELS_PAGE)).await;
                if validator_of(&rows) != *validator {
                    is_unchanged = false;
                    break;
                }
            }
            if is_unchanged {
                yield Batch::unchanged();
                return;
            }
            self.upstream.begin_list(self.engine, LABELS, &[]);
            let (mut validators, mut before) = (Vec::new(), Vec::new());
            loop {
                let after = before.last().filter(|_| exact).map(|(key, ..): &Row| key.clone());
                let rows = self.request(|upstream| upstream.page_of_labels(after.as_deref(), before.len())).await;
                validators.push(validator_of(&rows));
                let is_last = rows.len() < LABELS_PAGE;
                let batch = batch(&rows);
                before.extend(rows);
                if is_last {
                    yield batch.checkpoint(Checkpoint::new(&validators)?);
                    break;
                }
                yield batch;
            }
        }
        .boxed()
    }

    /// The events, the newest first.
    fn events(self, resume: Option<&Checkpoint>) -> BatchStream {
        let mut before: Option<i64> = resume.map(|resume| resume.parse().unwrap());
        try_stream! {
            loop {
                let rows = self.request(|upstream| upstream.page_of_events(before)).await;
                let is_last = rows.len() < EVENTS_PAGE;
                let Some(last) = rows.last() else { break };
                before = Some(last.1);
                yield batch(&rows).checkpoint(Checkpoint::new(&last.1)?);
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }
}

/// The validator of a page.
fn validator_of(rows: &[Row]) -> u64 {
    let mut hasher = DefaultHasher::new();
    rows.hash(&mut hasher);
    hasher.finish()
}

impl Shared {
    /// Notes that an engine begins to read a list.
    fn begin_list(&self, engine: Engine, stream: &str, parent: &[String]) {
        self.lock().list_begun.insert((engine, stream.to_owned(), parent.to_vec()), Instant::now());
    }
}

impl Upstream {
    /// The parents after a key whose version is at least `since`.
    fn page_of_parents(&mut self, after: &str, since: i64) -> Vec<Row> {
        self.requests.parents += 1;
        let rows = self.parents.iter().filter(|(key, parent)| key.as_str() > after && parent.version >= since);
        rows.map(|(key, parent)| (key.clone(), parent.version, parent.text)).take(PARENTS_PAGE).collect()
    }

    /// The parents whose version is at least `since`, after one with this version and text.
    fn page_of_changes(&mut self, since: i64, after: Option<(i64, u64)>) -> Vec<Row> {
        self.requests.parents += 1;
        let rows = self.parents.iter().map(|(key, parent)| (key.clone(), parent.version, parent.text));
        let mut rows: Vec<Row> = rows.filter(|(_, version, _)| *version >= since).collect();
        rows.sort_by_key(|(_, version, text)| (*version, *text));
        rows.retain(|(_, version, text)| after.is_none_or(|after| (*version, *text) > after));
        rows.truncate(PARENTS_PAGE);
        rows
    }

    /// The records below a path: after a key, or from an offset.
    fn page_of_children(
        &mut self,
        path: &[String],
        after: Option<&str>,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Row>> {
        self.requests.children += 1;
        let [parent, rest @ ..] = path else { panic!("a child without a parent") };
        if self.broken.contains(parent) {
            return Err(Error::unavailable(format!("the list of {parent} fails")).exhausted());
        }
        let mut offset = if after.is_some() { 0 } else { offset };
        if rest.is_empty() && offset > 0 && self.traits.drifts && !self.is_quiet && self.chance(50) {
            // As if a record of the page before had been deleted while the server was restored.
            if let Some(key) = self.parents.get(parent).and_then(|found| found.children.keys().nth(offset).cloned()) {
                let what = self.lower_child(parent, &key).unwrap_or_default();
                self.note(format!("a page lacks {parent}/{key}; {what}"));
                offset += 1;
            }
        }
        let is_missed = self.traits.is_flaky && !self.is_quiet && self.chance(4);
        let not_found = || Error::new(ErrorKind::NotFound, format!("{path:?} is not found"));
        let parent = self.parents.get(parent).filter(|_| !is_missed).ok_or_else(not_found)?;
        let mut rows: Vec<Row> = match rest {
            [] => {
                let visible = parent.children.iter().filter(|(_, child)| child.visible <= Instant::now());
                visible.map(|(key, child)| (key.clone(), child.version, child.text)).collect()
            }
            [child, ..] => {
                let child = parent.children.get(child).ok_or_else(not_found)?;
                child.grandchildren.iter().map(|(key, text)| (key.clone(), child.version, *text)).collect()
            }
        };
        if !self.traits.has_versions {
            rows.iter_mut().for_each(|row| row.1 = 0);
        }
        Ok(rows
            .into_iter()
            .filter(|row| after.is_none_or(|after| row.0.as_str() > after))
            .skip(offset)
            .take(size)
            .collect())
    }

    fn page_of_labels(&mut self, after: Option<&str>, offset: usize) -> Vec<Row> {
        self.requests.labels += 1;
        let offset = if after.is_some() { 0 } else { offset };
        let rows = self.labels.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        rows.skip(offset).take(LABELS_PAGE).map(|(key, label)| (key.clone(), 0, label.text)).collect()
    }

    fn page_of_events(&mut self, before: Option<i64>) -> Vec<Row> {
        self.requests.events += 1;
        let numbers =
            self.visible_events().into_iter().rev().filter(|number| before.is_none_or(|before| *number < before));
        numbers.take(EVENTS_PAGE).map(|number| (number.to_string(), number, number.unsigned_abs())).collect()
    }

    /// The current state of a record; `None` if it is gone.
    fn find(&mut self, stream: &str, parent: &[String], key: &str) -> Option<Row> {
        self.requests.verifications += 1;
        let row = |version, text| Some((key.to_owned(), version, text));
        let version = |version| if self.traits.has_versions { version } else { 0 };
        match stream {
            PARENTS => self.parents.get(key).and_then(|parent| row(parent.version, parent.text)),
            CHILDREN => self.child(parent, key).and_then(|child| row(version(child.version), child.text)),
            GRANDCHILDREN => {
                let [parent, child] = parent else { panic!("{parent:?} is not the path of a child") };
                let child = self.child(std::slice::from_ref(parent), child)?;
                row(version(child.version), *child.grandchildren.get(key)?)
            }
            LABELS => self.labels.get(key).and_then(|label| row(0, label.text)),
            _ => panic!("the engine must not verify {stream}"),
        }
    }
}

#[async_trait]
impl Source for ModelSource {
    fn spec(&self) -> SourceSpec {
        let traits = self.upstream.lock().traits.clone();
        let parents = match traits.parents {
            ParentKind::Snapshot => StreamSpec::snapshot(PARENTS),
            _ => StreamSpec::new(PARENTS),
        };
        let overlap = if traits.has_late_events { LATE_EVENTS + 2 } else { 0 };
        [
            parents,
            StreamSpec::child(CHILDREN, PARENTS),
            StreamSpec::child(GRANDCHILDREN, CHILDREN),
            StreamSpec::snapshot(LABELS),
            StreamSpec::append(EVENTS, overlap),
        ]
        .into_iter()
        .fold(SourceSpec::new("model", "1"), |spec, stream| spec.stream(declare(stream, &traits)))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

/// Adds what the source promises about a stream.
fn declare(mut stream: StreamSpec, traits: &Traits) -> StreamSpec {
    if traits.lags && stream.name == CHILDREN {
        stream = stream.lag(LAG + SKEW);
    }
    if stream.name == PARENTS {
        return stream.verifiable().exact();
    }
    match traits.paging {
        Paging::Exact => stream.exact().verifiable(),
        Paging::Verifiable => stream.verifiable(),
        Paging::Twice => stream,
    }
}

#[async_trait]
impl Reader for ModelSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let source = self.clone();
        let parent = request.parent.as_ref().map(|parent| parent.path.keys().to_vec());
        match (request.stream.as_str(), parent) {
            (PARENTS, None) => source.parents(request),
            (CHILDREN, Some(parent)) => source.children(CHILDREN, parent),
            (GRANDCHILDREN, Some(parent)) => source.children(GRANDCHILDREN, parent),
            (LABELS, None) => source.labels(request.checkpoint.as_ref()),
            (EVENTS, None) => source.events(request.checkpoint.as_ref()),
            (stream, parent) => panic!("a read of {stream} below {parent:?}"),
        }
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let mut verified = Vec::new();
        for stored in request.records {
            let StoredRecord { parent, key, .. } = &stored;
            let found = self.request(|upstream| upstream.find(&request.stream, parent.keys(), key)).await;
            self.note_answer(&request.stream, &stored, found.as_ref());
            verified.push(match found {
                Some(row) => record(&row),
                None => Record::delete(stored.key, stored.version),
            });
        }
        Ok(verified)
    }
}
