//! Reads lists: what all ways to read them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::check::PAGINATE;
use super::super::fields::{ElementPlan, Row};
use super::super::template::Placeholder;
use super::super::time::whole_second;
use super::super::version::Order;
use super::ask::{Answer, Asker};
use super::page::{EnvelopePlan, Page};
use super::plan::{ErrorPlan, GetPlan, Kind, NextPlace, PagingPlan, StreamPlan};
use super::position::Position;
use super::progress::{Next, Progress};
use super::request::{Prepared, Values};
use crate::http::Client;
use crate::{Batch, BatchStream, Error, ErrorKind, Mode, Monitor, Result, SourceEvent, Version};

/// How often in a row a list may begin again because its token has expired.
const MAX_RESTARTS: u32 = 5;

/// A stream that is ready to be read.
#[derive(Debug)]
pub(in crate::rest) struct StreamReader {
    pub(in crate::rest) plan: Arc<StreamPlan>,
    pub(in crate::rest) client: Client,
    pub(super) envelope: EnvelopePlan,
    pub(super) elements: ElementPlan,
    /// How to read single records.
    pub(in crate::rest) single: Option<(EnvelopePlan, ElementPlan)>,
    /// Whether the versions of the records that the list deletes are instants.
    deletes_instants: bool,
    /// Whether the keys in the stubs have turned out not to be the keys of the records.
    pub(super) has_other_keys: AtomicBool,
    /// Whether it has warned about what its pages show.
    has_warned: AtomicBool,
}

impl StreamPlan {
    /// What to find in each element of the list.
    pub(in crate::rest) fn elements(&self) -> ElementPlan {
        let last = match &self.paginate.by {
            PagingPlan::Last { last, .. } => Some(last),
            _ => None,
        };
        let stub = self.get.as_ref().and_then(|get| get.keys.as_ref());
        self.record().since(self.since_at.as_ref()).last(last).stub(stub)
    }

    /// What makes a record of an element.
    fn record(&self) -> ElementPlan {
        let deletes = matches!(self.kind, Kind::DeletionsOf(_));
        ElementPlan::new(&self.key).version(self.version.as_ref()).deleted(self.deleted.as_ref()).deletes(deletes)
    }
}

impl StreamReader {
    pub(in crate::rest) fn new(plan: Arc<StreamPlan>, target: Option<&StreamPlan>, client: Client) -> Self {
        let elements = plan.elements();
        // The key as the record has it, a number or a text: with it, a request for several records names this one.
        let single = || plan.record().stub(plan.key.first());
        // A record that is left out is no evidence that it is gone.
        let errors = ErrorPlan { code: plan.errors.code.clone(), ..ErrorPlan::default() };
        let envelope = |get: &GetPlan| EnvelopePlan::single(get, &plan.records, &errors);
        let single = plan.get.as_ref().map(|get| (envelope(get), single()));
        let has_instants = |plan: &StreamPlan| plan.version.as_ref().is_some_and(|(_, format)| format.is_instant());
        Self {
            envelope: EnvelopePlan::new(&plan.records, Some(&plan.paginate), &plan.errors),
            elements,
            single,
            deletes_instants: target.is_some_and(has_instants),
            has_other_keys: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
            client,
            plan,
        }
    }

    /// Reads the list.
    pub(in crate::rest) fn read(
        self: Arc<Self>,
        values: Values,
        position: Position,
        known: Option<i64>,
        mode: Mode,
        monitor: Monitor,
    ) -> BatchStream {
        let asker = Asker { client: self.client.clone(), stream: self.plan.clone(), monitor };
        let has_since = self.plan.request.has(&Placeholder::Since);
        let is_incremental = self.plan.kind == Kind::Incremental;
        let by_version = self.plan.order == Some(Order::Version) && has_since && self.plan.since.window.is_none();
        let reading = Reading { reader: self, asker, values, position, known, mode };
        match reading.reader.plan.kind {
            Kind::Append => reading.downwards(),
            _ if is_incremental && by_version => reading.by_version(),
            _ => reading.whole(),
        }
    }

    /// The first value of all, and whether the description gives one.
    pub(super) fn start(&self) -> Result<(i64, bool)> {
        let since = &self.plan.since;
        let Some(text) = &since.start else { return Ok((0, false)) };
        let start = since.format.parse_start(text).ok_or_else(|| {
            Error::configuration(format!(
                "`since.start` of the stream {:?}, {text:?}, is not {}",
                self.plan.name, since.format
            ))
            .with_help("write it in RFC 3339, as a date, or as a number")
        });
        Ok((start?, true))
    }

    /// Warns, once, if the pages so far show that rows can be missed. A list whose last page is full is common where links lead on, so that
    /// only a check warns about it.
    pub(super) fn observe(&self, progress: &Progress, monitor: &Monitor, is_check: bool) {
        let StreamPlan { name, unseen, .. } = &*self.plan;
        let (records, is_first) = (progress.records, progress.pages == 1 && progress.is_full);
        let warning = match (&unseen.numbered, &unseen.next) {
            (Some(numbered), _) if progress.is_numbered => numbered.clone(),
            _ if unseen.unsaid && is_first => {
                format!(
                    "stream {name:?}: {records} records, a round number, look like the first page of several; {PAGINATE}"
                )
            }
            (_, Some(NextPlace::Pointer(next))) if progress.lacks_next && is_first => format!(
                "stream {name:?}: {records} records, a round number, look like the first page of several, and there is nothing at {next}, \
                 where the next one should be; correct the pointer of `paginate`, unless the API leaves it out on the last page"
            ),
            (_, Some(NextPlace::Pages(pages))) if progress.lacks_next && is_first => format!(
                "stream {name:?}: {records} records, a round number, look like the first page of several, and there is nothing at {pages}, \
                 where the number of pages should be; correct `pages` of `paginate`"
            ),
            _ if progress.ends_full && is_check => format!(
                "stream {name:?}: {records} records fill the first page, and the number that `paginate` points at says that it is the last \
                 one; correct the pointer, unless there are exactly this many"
            ),
            (_, Some(NextPlace::Link)) if progress.lacks_next && is_first && is_check => format!(
                "stream {name:?}: {records} records fill the first page, and the answer has no header `Link` with `rel=\"next\"`; look up how \
                 the list continues, unless the API leaves the header out on the last page"
            ),
            _ => return,
        };
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            monitor.event(SourceEvent::Warning(warning));
        }
    }
}

pub(super) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// One read of a list.
pub(super) struct Reading {
    pub(super) reader: Arc<StreamReader>,
    pub(super) asker: Asker,
    values: Values,
    pub(super) position: Position,
    /// The newest value of an append stream when it was last read from the top.
    pub(super) known: Option<i64>,
    mode: Mode,
}

/// What a question for a page has led to.
pub(super) enum Reached {
    Page(Page, Next),
    /// No page, and none after it.
    End(End),
    /// The list stays as it is.
    Skip(Error),
}

/// How the pages of a question end.
pub(super) enum End {
    Complete,
    /// There may be more than the server has sent.
    Capped(Error),
    /// A page from which a version-ordered list is asked for again.
    Anchor,
}

impl Reading {
    pub(super) fn plan(&self) -> &StreamPlan {
        &self.reader.plan
    }

    pub(super) fn overlap(&self) -> i64 {
        micros(self.plan().since.overlap)
    }

    /// The first value of all, and whether the description gives one.
    pub(super) fn start(&self) -> Result<(i64, bool)> {
        self.reader.start()
    }

    /// Fills the request of a question.
    pub(super) fn question(&mut self, since: Option<i64>, until: Option<i64>, start: i64) -> Result<Prepared> {
        let format = self.plan().since.format;
        self.values.since = since.map(|value| format.write(value));
        self.values.start = format.write(start);
        self.values.until = until.map(|value| format.write(format.end(value)));
        self.values.request(&self.reader.plan.request)
    }

    pub(super) async fn ask(&self, prepared: &Prepared, at: Option<&Next>, progress: &mut Progress) -> Result<Answer> {
        let answer = self.asker.page(&self.reader.envelope, &self.reader.elements, prepared, at, progress).await?;
        self.reader.observe(progress, &self.asker.monitor, false);
        Ok(answer)
    }

    /// The next page of a list that begins again at its first page where the server says so; `at` leads to the page.
    ///
    /// # Errors
    /// Those of the request, and of a list that is gone or has begun again too often.
    pub(super) async fn page(
        &self,
        prepared: &Prepared,
        at: &mut Option<Next>,
        progress: &mut Progress,
        restarts: &mut u32,
    ) -> Result<Reached> {
        loop {
            let reached = match self.ask(prepared, at.as_ref(), progress).await? {
                Answer::Page(page, next) => Reached::Page(page, next),
                Answer::Empty => Reached::End(End::Complete),
                Answer::Split(error) => Reached::End(End::Capped(error)),
                Answer::Skip(error) => Reached::Skip(error),
                Answer::Gone(error) => return Err(self.gone(&error)),
                Answer::Restart(error) => {
                    self.restarted(restarts, error)?;
                    (*progress, *at) = (Progress::default(), None);
                    continue;
                }
            };
            return Ok(reached);
        }
    }

    /// The records of a page. Stubs are filled.
    pub(super) async fn batch(&self, rows: Vec<Row>, started: i64) -> Result<Batch> {
        let rows = match self.plan().get.as_ref().filter(|get| get.keys.is_some()) {
            Some(get) => return self.fill(rows, get.batch).await,
            None => rows,
        };
        let mut batch = Batch::new();
        for Row { content, since, .. } in rows {
            match content {
                Ok(mut record) => {
                    if self.reader.deletes_instants && record.version == Version::NONE {
                        let at = since
                            .filter(|_| self.plan().since_at.as_ref().is_some_and(|(_, format)| format.is_instant()));
                        record.version = Version(at.unwrap_or(started));
                    }
                    batch.records.push(record);
                }
                Err(reject) => batch.rejects.push(reject),
            }
        }
        Ok(batch)
    }

    /// Asks for the records that the rows are stubs of.
    async fn fill(&self, rows: Vec<Row>, size: usize) -> Result<Batch> {
        let (Some(get), Some((envelope, elements))) = (&self.plan().get, &self.reader.single) else {
            return Ok(Batch::new());
        };
        let mut batch = Batch::new();
        let mut keys = Vec::new();
        for row in rows {
            match (row.stub, row.content) {
                (Some(key), _) => keys.push(key),
                (None, Ok(record)) => {
                    batch = batch.reject("the stub has no key to ask with", record.json().cloned().unwrap_or_default());
                }
                (None, Err(reject)) => batch.rejects.push(reject),
            }
        }
        for keys in keys.chunks(size) {
            let values = Values { keys: keys.to_vec(), ..self.values.clone() };
            let prepared = values.request(&get.request)?;
            let asked = keys.len();
            let answer = self.asker.page(envelope, elements, &prepared, None, &mut Progress::default()).await?;
            let rows = match answer {
                Answer::Page(page, _) => page.rows,
                Answer::Empty => Vec::new(),
                Answer::Skip(error) | Answer::Gone(error) | Answer::Restart(error) | Answer::Split(error) => {
                    return Err(error.with_help("correct `get` of the stream, or leave its `keys` out"));
                }
            };
            // What the list has just shown and the server does not return has been deleted meanwhile.
            let missing = asked.saturating_sub(rows.len()) as u64;
            if missing > 0 {
                batch = batch.exclude("gone", missing);
            }
            for row in rows {
                if row.stub.is_some_and(|key| !keys.contains(&key)) {
                    self.reader.has_other_keys.store(true, Ordering::Relaxed);
                }
                match row.content {
                    Ok(record) => batch.records.push(record),
                    Err(reject) => batch.rejects.push(reject),
                }
            }
        }
        Ok(batch)
    }

    /// The answer to a list that is to be left as it is.
    ///
    /// # Errors
    /// That of the server, in a reconcile run of a list of changes: it would prove that all records are gone.
    pub(super) fn skipped(&self, error: Error) -> Result<Option<Batch>> {
        let is_list = matches!(self.plan().kind, Kind::Snapshot | Kind::Child);
        if self.mode == Mode::Reconcile && !is_list {
            return Err(error.with_help(
                "run it without `--reconcile`, or select other streams: what is skipped cannot be reconciled",
            ));
        }
        self.asker.monitor.event(SourceEvent::Warning(format!(
            "the stream {} is skipped, and stays as it is: {}",
            self.plan().name,
            error.message()
        )));
        Ok(is_list.then(Batch::unchanged))
    }

    /// The error of a list with `value` after `before`, which contradicts its order.
    pub(super) fn unsorted(&self, order: &str, before: i64, value: i64, help: &'static str) -> Error {
        let format = self.plan().since.format;
        Error::invalid_data(format!(
            "the stream {:?} is not sorted {order}: {} comes after {}",
            self.plan().name,
            format.write(value),
            format.write(before)
        ))
        .with_help(help)
    }

    /// Refuses a page of which no record has a value to read on from: the pointer is mistyped.
    pub(super) fn check_since(&self, rows: &[Row]) -> Result<()> {
        let mut records = rows.iter().filter(|row| row.content.is_ok()).peekable();
        if records.peek().is_none() || records.any(|row| row.since.is_some()) {
            return Ok(());
        }
        let plan = self.plan();
        let at: Vec<String> = plan.since_at.iter().flat_map(|(at, _)| at).map(|pointer| pointer.to_string()).collect();
        Err(Error::invalid_data(format!(
            "no record of the first page of the stream {:?} has {} at {}",
            plan.name,
            plan.since.format,
            at.join(" or ")
        ))
        .with_help(
            "correct `version`, or `since.at`: the pointer to what the API filters and sorts by, and its `format`",
        ))
    }

    pub(super) fn gone(&self, error: &Error) -> Error {
        Error::new(ErrorKind::NotFound, error.message().to_owned())
            .with_context("stream", &self.plan().name)
            .with_help("check that it still exists, and that the credentials may read it")
    }

    pub(super) fn restarted(&self, restarts: &mut u32, error: Error) -> Result<()> {
        *restarts += 1;
        if *restarts > MAX_RESTARTS {
            return Err(error.with_help("read it less often, or in smaller parts: the list cannot be read to its end"));
        }
        Ok(())
    }

    pub(super) fn is_capped(&self, progress: &Progress) -> bool {
        self.plan().cap.is_some_and(|cap| progress.records >= cap)
    }

    pub(super) fn cap_error(&self, progress: &Progress) -> Error {
        Error::invalid_data(format!(
            "one question to the stream {:?} has {} results, and `cap` allows {}: there may be more",
            self.plan().name,
            progress.records,
            self.plan().cap.unwrap_or_default()
        ))
        .with_help(
            "let the stream ask for less at once: `since = { window = \"1d\" }` with `{until}`, or `order = \"version\"` with an ascending \
             list",
        )
    }

    /// Half of the time that a question with too many results has spanned.
    ///
    /// # Errors
    /// That of the question, if its time cannot be halved.
    pub(super) fn half(&self, asked: i64, error: Error) -> Result<i64> {
        let half = self.plan().since.format.floor(asked / 2);
        let half = if self.plan().since.format.is_instant() && half > 1_000_000 { whole_second(half) } else { half };
        if half < 1 { Err(error) } else { Ok(half) }
    }

    /// The span of the next window. After one that had to be halved, it grows only where there is little: a busy time is not asked for by
    /// whole windows again and again.
    pub(super) fn next_span(&self, span: Option<i64>, window: Option<i64>, progress: &Progress) -> Option<i64> {
        let has_few = self.plan().cap.is_none_or(|cap| progress.records.saturating_mul(4) <= cap);
        let next = if has_few { span?.saturating_mul(2) } else { span? };
        Some(next.min(window?))
    }
}
