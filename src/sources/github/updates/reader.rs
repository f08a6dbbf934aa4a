//! The stream of a read: sends the requests of the [read plan](super::read_plan) concurrently.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures::future::{self, BoxFuture, FutureExt, TryFutureExt};
use futures::stream::{self, FuturesUnordered, StreamExt};
use jiff::Timestamp;

use super::super::api::{Api, NewestRow, PageError, PageResponse, Route, SMALLEST_PAGE};
use super::super::connection::Connection;
use super::super::names::Name;
use super::super::page::{self, Page, Row};
use super::super::settings::GithubSettings;
use super::super::streams::{EXCLUDED, Stream};
use super::checkpoint::Position;
use super::failing_rows::{self, FailingRows};
use super::read_plan::ReadPlan;
use super::step::{EntityTag, PageRequest, RowFilter, Step, StepResult, Task, UnixSecond};
use crate::record::content_hash;
use crate::{Batch, BatchStream, Checkpoint, Error, Monitor, ReadRequest, Reject, Result};

/// After this many reduced pages, larger ones are tried again.
const GROW_AFTER: u32 = 20;

/// A server that fails at more rows has another problem than a few bad rows.
const MAX_UNREAD: usize = 50;

/// Reads a list of a repository. Nothing happens before the stream is polled, and nothing runs in the background.
pub(in crate::sources::github) fn stream(
    connection: Arc<Connection>,
    settings: Arc<GithubSettings>,
    stream: Stream,
    request: ReadRequest,
) -> BatchStream {
    let opened = async move {
        let read = UpdatesRead::open(connection, &settings, stream, request).await?;
        Ok(stream::try_unfold(
            Box::new(read),
            |mut read| async move { Ok(read.next().await?.map(|batch| (batch, read))) },
        ))
    };
    opened.try_flatten_stream().boxed()
}

type InFlight = FuturesUnordered<BoxFuture<'static, Answered>>;

/// A completed request: its step, the API, the number of requested rows, and the result.
type Answered = (Step, Arc<Api>, u32, Result<Reply, PageError>);

enum Reply {
    Page(PageResponse),
    Newest(Option<NewestRow>),
}

/// The first page, requested by the repository's name while its id is being looked up.
/// It is useful only when more pages follow: otherwise its entity tag would be kept, which is valid for the name only.
struct Prefetch {
    api: Api,
    page: Box<Page>,
}

impl Prefetch {
    /// Returns `None` also when the request fails: it is repeated in its turn, and reports the error then.
    async fn read(api: Api, size: u32, monitor: &Monitor) -> Option<Self> {
        let url = api.since(None, size).ok()?;
        match api.page(&url, size, None, monitor).await {
            Ok(PageResponse::Page(page)) if page.info.next.is_some() => Some(Self { api, page }),
            _ => None,
        }
    }
}

/// A read under way.
struct UpdatesRead {
    api: Arc<Api>,
    monitor: Monitor,
    plan: ReadPlan,
    in_flight: InFlight,
    /// Answers that have arrived while the read waited for something else.
    answered: VecDeque<Answered>,
    page_size: PageSize,
    pull_requests: bool,
    overlap: i64,
    /// The latest checkpoint.
    checkpoint: Option<Checkpoint>,
    /// Whether lookup by id is still unconfirmed.
    is_id_unconfirmed: bool,
    /// Whether the repository is known to have its issues enabled, or the list does not depend on it.
    has_issues: bool,
    seen: Seen,
    unread: FailingRows,
    /// The result of requesting those again.
    again: Option<Batch>,
}

impl UpdatesRead {
    async fn open(
        connection: Arc<Connection>,
        settings: &GithubSettings,
        stream: Stream,
        request: ReadRequest,
    ) -> Result<Self> {
        let ReadRequest { resource, checkpoint, incremental, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        let server = connection.client.base_url().clone();
        let beginning = Position::beginning(&server);
        let read = |checkpoint: &Checkpoint| Position::for_server(&server, checkpoint);
        // Pull requests that were left out are behind the mark: to include them now, read everything from the start.
        let wanted = |known: Position| {
            let lacks = known.without_pull_requests && settings.pull_requests;
            if lacks { Position { repository: known.repository, ..beginning.clone() } } else { known }
        };
        let known = checkpoint.as_ref().map(read).transpose()?.map(wanted).filter(|known| !known.is_beginning());
        let checkpoint = checkpoint.filter(|_| known.is_some());
        // A reconcile run reads the repository of the incremental reads, even if another one has its name by now.
        let identity = incremental.as_ref().map(read).transpose()?.and_then(|position| position.repository);
        let known = known.or_else(|| identity.map(|id| Position { repository: Some(id), ..beginning.clone() }));
        let is_id_unconfirmed = known.is_none();
        connection.announce(&monitor);
        let (api, mut position, prefetch) = match known {
            None => {
                let find = Api::open(connection.clone(), name.clone(), stream, &monitor);
                let (api, prefetch) = if settings.concurrency > 1 {
                    let by_name = Api { connection, route: Route::Name(name.path()), name, stream };
                    let prefetch = Prefetch::read(by_name, settings.page_size, &monitor).map(Ok);
                    future::try_join(find, prefetch).await?
                } else {
                    (find.await?, None)
                };
                let position = Position { repository: api.repository_id(), ..beginning };
                (api, position, prefetch)
            }
            Some(position) => {
                let route = position.repository.map_or_else(|| Route::Name(name.path()), Route::Id);
                (Api { connection, name, route, stream }, position, None)
            }
        };
        let credentials = api.connection.kind.as_str();
        position.without_pull_requests = !settings.pull_requests;
        position.etag = position.etag.filter(|tag| tag.credentials == credentials);
        let overlap = i64::from(settings.overlap_seconds);
        let mut plan = ReadPlan::new(position, overlap, settings.concurrency.into());
        let mut in_flight = InFlight::new();
        // A repository without an id is read by its name from the first page to the tag of the last one.
        if let Some(Prefetch { api: by_name, page }) = prefetch.filter(|_| api.repository_id().is_some()) {
            let answer =
                |step| (step, Arc::new(by_name), settings.page_size, Ok(Reply::Page(PageResponse::Page(page))));
            in_flight.extend(plan.next_step().map(|step| future::ready(answer(step)).boxed()));
        }
        let api = Arc::new(api);
        let mut unread = FailingRows::new(std::mem::take(&mut plan.position_mut().unread));
        let again = unread.retry_all(&api, &monitor).await?;
        plan.position_mut().unread = unread.known();
        Ok(Self {
            again: Some(again).filter(|batch| batch.offered() > 0 || unread.is_changed()),
            unread,
            api,
            monitor,
            plan,
            in_flight,
            answered: VecDeque::new(),
            page_size: PageSize { wanted: settings.page_size, now: settings.page_size, good: 0 },
            pull_requests: settings.pull_requests,
            overlap,
            checkpoint,
            is_id_unconfirmed,
            has_issues: is_id_unconfirmed || !stream.needs_issues(),
            seen: Seen::default(),
        })
    }

    /// Returns the next batch with news.
    async fn next(&mut self) -> Result<Option<Batch>> {
        if let Some(batch) = self.again.take() {
            let checkpoint = self.position().write()?;
            self.checkpoint = Some(checkpoint.clone());
            return Ok(Some(batch.checkpoint(checkpoint)));
        }
        loop {
            while let Some(step) = self.plan.next_step() {
                self.in_flight.push(self.send(step));
            }
            if self.plan.is_done() {
                return Ok(None);
            }
            let answered = match self.answered.pop_front() {
                Some(answered) => Some(answered),
                None => self.in_flight.next().await,
            };
            let Some((step, api, size, reply)) = answered else { return Ok(None) };
            if let Ok(Reply::Page(PageResponse::Page(page))) = &reply
                && !self.has_issues
            {
                // If issues were disabled meanwhile, the list may continue with pull requests only.
                if page.rows.iter().all(|row| row.is_pull_request) {
                    self.while_in_flight(api.must_have_issues(&self.monitor.clone())).await?;
                }
                self.has_issues = true;
            }
            if let Some(batch) = self.apply(&step, &api, size, reply)? {
                return Ok(Some(batch));
            }
        }
    }

    /// Waits for something else, and receives answers meanwhile: otherwise the requests under way would keep what it may wait for.
    async fn while_in_flight<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(answered) = self.in_flight.next() => self.answered.push_back(answered),
            }
        }
    }

    fn position(&self) -> Position {
        Position { repository: self.api.repository_id(), ..self.plan.position() }
    }

    fn send(&self, step: Step) -> BoxFuture<'static, Answered> {
        let (api, monitor) = (self.api.clone(), self.monitor.clone());
        let size = match &step.request {
            PageRequest::Page { size, .. } => *size,
            // Pages may have had another size when this URL was found.
            PageRequest::Url(url) => page::size(url).unwrap_or(self.page_size.now),
            PageRequest::Since(_) | PageRequest::Newest | PageRequest::NewestPage => self.page_size.now,
        };
        // If the server sends no date, use our own clock.
        let now = UnixSecond::from(Timestamp::now());
        Box::pin(async move {
            let etag = step.tag.as_ref().map(|tag| tag.value.as_str());
            let url = match &step.request {
                PageRequest::Newest | PageRequest::NewestPage => {
                    let size = if step.request == PageRequest::Newest { 1 } else { size };
                    let newest = api.newest(size, etag, &monitor).await;
                    return (step, api, size, newest.map(Reply::Newest).map_err(PageError::Other));
                }
                PageRequest::Since(since) => api.since(*since, size),
                PageRequest::Page { since, page, .. } => api.numbered(*since, size, *page),
                PageRequest::Url(url) => Ok(url.clone()),
            };
            let reply = match url {
                Ok(url) => match api.page(&url, size, etag, &monitor).await {
                    Err(PageError::TooLarge(failure)) if size <= SMALLEST_PAGE => {
                        let read = failing_rows::read_around(&api, &url, size, failure, &monitor).await;
                        read.map(|page| PageResponse::Page(Box::new(page)))
                    }
                    listed => listed,
                },
                Err(error) => Err(PageError::Other(error)),
            };
            let reply = reply.map(|mut listed| {
                if let PageResponse::Page(page) = &mut listed {
                    page.info.date.get_or_insert(now);
                }
                Reply::Page(listed)
            });
            (step, api, size, reply)
        })
    }

    fn apply(&mut self, step: &Step, asked: &Api, size: u32, reply: Result<Reply, PageError>) -> Result<Option<Batch>> {
        let page = match reply {
            Err(PageError::TooLarge(error)) => {
                tracing::debug!(%error, size, "requesting smaller pages");
                self.page_size.shrink(size);
                self.plan.restart(step.task);
                return Ok(None);
            }
            Err(PageError::Other(error)) => {
                // Only the very first responses decide how the repository is addressed; others may still be under way.
                if (self.is_id_unconfirmed && self.checkpoint.is_none() || asked.route != self.api.route)
                    && error.status() == Some(404)
                    && let Some(by_name) = asked.by_name()
                {
                    self.api = Arc::new(by_name);
                    self.plan.repeat(step.task);
                    return Ok(None);
                }
                if step.task.can_skip(error.status()) {
                    self.plan.restart(step.task);
                    return Ok(None);
                }
                return Err(error);
            }
            Ok(Reply::Newest(Some(newest))) => {
                let tag = newest.etag.filter(|_| size == self.page_size.wanted).map(|value| self.tag(value, true));
                return self.without_rows(step.task, StepResult::Newest(newest.second, tag), asked);
            }
            Ok(Reply::Newest(None) | Reply::Page(PageResponse::NotModified)) => {
                return self.without_rows(step.task, StepResult::NotModified, asked);
            }
            Ok(Reply::Page(PageResponse::Page(page))) => *page,
        };
        let Page { rows, info, etag, unread } = page;
        self.page_size.good(!unread.is_empty());
        // A tag is useful only for the URL of the next poll.
        let tag = etag.filter(|_| size == self.page_size.wanted).map(|value| self.tag(value, false));
        let edges = Overlap {
            low: info.first.map(|first| UnixSecond(first.0 + self.overlap)),
            high: info.last.map(|last| last.minus(self.overlap)),
        };
        let keep = self.plan.apply(step.task, StepResult::Page(info, tag))?;
        let rejects = if keep == RowFilter::Nothing { Vec::new() } else { self.unread.add(self.api.stream, unread) };
        if self.unread.len() > MAX_UNREAD {
            let message =
                format!("GitHub fails at more than {MAX_UNREAD} {} of this repository", self.api.stream.records());
            return Err(Error::unavailable(message)
                .with_context("repository", self.api.name.path())
                .with_help("try again later; if it persists, contact the operator of the server")
                .exhausted());
        }
        self.plan.position_mut().unread = self.unread.known();
        self.batch(step.task, rows, rejects, keep, edges, asked)
    }

    /// Applies a response without rows; returns a batch only if the position has changed.
    fn without_rows(&mut self, task: Task, answer: StepResult, asked: &Api) -> Result<Option<Batch>> {
        let before = self.plan.position();
        let keep = self.plan.apply(task, answer)?;
        if self.plan.position() == before {
            return Ok(None);
        }
        self.batch(task, Vec::new(), Vec::new(), keep, Overlap { low: None, high: None }, asked)
    }

    fn tag(&self, value: String, newest: bool) -> EntityTag {
        EntityTag { value, credentials: self.api.connection.kind.as_str().to_owned(), newest }
    }

    fn batch(
        &mut self,
        task: Task,
        rows: Vec<Row>,
        rejects: Vec<Reject>,
        keep: RowFilter,
        edges: Overlap,
        asked: &Api,
    ) -> Result<Option<Batch>> {
        let mut batch = Batch::new();
        let size = rows.iter().map(|row| row.text().len()).sum();
        let mut seen = self.seen.begin(task);
        for row in rows {
            if !keep.has(row.second) || (edges.has(row.second) && !seen.is_new(&row)) {
                continue;
            }
            match row.content {
                Ok(_) if row.is_pull_request && !self.pull_requests => {
                    *batch.excluded.entry(EXCLUDED.to_owned()).or_default() += 1;
                }
                Ok(record) => batch.records.push(record),
                Err(reject) => batch.rejects.push(reject),
            }
        }
        batch.rejects.extend(rejects);
        page::detach_records(&mut batch.records, size);
        // A page prefetched by name does not prove that the server knows the id, too: until then, resume from the beginning.
        if asked.route != self.api.route {
            let beginning = Position::beginning(self.api.connection.client.base_url()).write()?;
            return Ok((batch.offered() > 0).then_some(batch.checkpoint(beginning)));
        }
        let checkpoint = self.position().write()?;
        if batch.offered() == 0 && self.checkpoint.as_ref() == Some(&checkpoint) {
            return Ok(None);
        }
        self.checkpoint = Some(checkpoint.clone());
        Ok(Some(batch.checkpoint(checkpoint)))
    }
}

/// The size of pages: smaller than wanted while GitHub fails at larger ones.
struct PageSize {
    wanted: u32,
    now: u32,
    good: u32,
}

impl PageSize {
    /// Reduces the size after a page of `size` was too large. Another request may have done so before.
    fn shrink(&mut self, size: u32) {
        self.now = self.now.min((size / 2).max(SMALLEST_PAGE));
        self.good = 0;
    }

    /// Counts a page that was read. `around`: it was read around issues at which the server fails, so that the size was not the
    /// problem, and larger pages are tried again at once.
    fn good(&mut self, around: bool) {
        self.good += 1;
        if around {
            self.now = self.wanted;
        }
        if self.now < self.wanted && self.good >= GROW_AFTER {
            self.now = (self.now * 2).min(self.wanted);
            self.good = 0;
        }
    }
}

/// The times in which the rows of a page may also be on another page.
struct Overlap {
    low: Option<UnixSecond>,
    high: Option<UnixSecond>,
}

impl Overlap {
    fn has(&self, second: Option<UnixSecond>) -> bool {
        second.is_none_or(|second| {
            self.low.is_none_or(|low| second <= low) || self.high.is_none_or(|high| second >= high)
        })
    }
}

/// Rows that were delivered and will come again, as every request overlaps the one before: such a row is dropped
/// when its text is unchanged.
#[derive(Default)]
struct Seen(HashMap<Task, HashSet<[u8; 16]>>);

/// Compares the rows of a page with those seen.
struct Comparison<'a> {
    seen: &'a mut Seen,
    task: Task,
    before: HashSet<[u8; 16]>,
}

impl Seen {
    fn begin(&mut self, task: Task) -> Comparison<'_> {
        let before = self.0.insert(task, HashSet::new()).unwrap_or_default();
        Comparison { seen: self, task, before }
    }
}

impl Comparison<'_> {
    fn is_new(&mut self, row: &Row) -> bool {
        let hash = content_hash(row.text());
        let known = self.before.contains(&hash) || self.seen.0.values().any(|seen| seen.contains(&hash));
        self.seen.0.entry(self.task).or_default().insert(hash);
        !known
    }
}
