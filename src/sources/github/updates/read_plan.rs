//! The plan of one read: polls, and whatever is too much for a poll's single page. Pure, like [`super::ranges`].

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

mod failed;

use std::collections::HashSet;

use super::checkpoint::Position;
use super::list_end::{LastPageCheck, ListEnd};
use super::numbered_pages::{self, NextRequest, NumberedPages, PageOutcome};
use super::ranges::Ranges;
use super::step::{EntityTag, PageInfo, PageRequest, RowFilter, Step, StepResult, Task, UnixSecond};
use crate::{Error, Result};

/// A poll with at most this many rows keeps its URL, so that the next poll can use the entity tag of this response.
const SMALL_POLL: usize = 30;

/// A gateway is assumed not to have cut a page with at most this many rows.
const MAX_UNCUT_PAGE: usize = 4;

/// The read ends after this many large polls: everything that existed when it began has been delivered.
const MAX_ROUNDS: u32 = 3;

/// A poll reads this many pages one after another before it considers reading pages concurrently.
const SEQUENTIAL_PAGES: u32 = 3;

/// Plans the requests of one read, from the position where the last read ended.
#[derive(Debug)]
pub struct ReadPlan {
    position: Position,
    ranges: Ranges,
    /// A list whose pages the server counts, read by page number.
    numbered: Option<NumberedPages>,
    /// The number of the next part of a numbered list.
    next_part: usize,
    /// Requests of an abandoned numbered list: their rows are delivered, and have no other effect.
    abandoned: HashSet<Task>,
    /// Rows that appear up to this many seconds late are still found.
    overlap: i64,
    /// The maximum number of requests under way.
    concurrency: usize,
    round: u32,
    /// The high-water mark before the ranges being read; `None` also for ranges of an earlier read.
    previous_hwm: Option<UnixSecond>,
    /// The time of the response to the poll that these ranges follow from.
    poll_date: Option<UnixSecond>,
    polling: bool,
    /// A poll whose response came while a numbered list was being checked.
    early_poll: Option<(PageInfo, Option<EntityTag>)>,
    /// The poll under way began too early.
    discard_poll: bool,
    /// Checks whether a poll's page is the last one.
    last_page_check: Option<LastPageCheck>,
    /// Whether to request the newest row.
    newest: NewestRequest,
    /// The entity tag of the newest page, from before the rows that are being read.
    newest_page_tag: Option<EntityTag>,
    /// Where the list ends, if the server sends no links.
    end: ListEnd,
    /// A poll was repeated because the end of the list was unknown after the first one.
    asked_again: bool,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewestRequest {
    /// After the open range has taken this many pages.
    After(u32),
    /// The request is under way.
    Sent,
    /// The newest page, before any other request.
    Page,
    /// The request for the newest page is under way.
    PageSent,
    /// Not needed, or not any more.
    Never,
}

impl ReadPlan {
    /// Plans a read from a position. `overlap` is in seconds; `concurrency` bounds the requests under way.
    pub fn new(mut position: Position, overlap: i64, concurrency: usize) -> Self {
        let ranges = Ranges::new(std::mem::take(&mut position.ranges));
        Self {
            position,
            ranges,
            numbered: None,
            next_part: 0,
            abandoned: HashSet::new(),
            overlap: overlap.max(1),
            concurrency: concurrency.max(1),
            round: 0,
            previous_hwm: None,
            poll_date: None,
            polling: false,
            early_poll: None,
            discard_poll: false,
            last_page_check: None,
            newest: NewestRequest::After(1),
            newest_page_tag: None,
            end: ListEnd::default(),
            asked_again: false,
            done: false,
        }
    }

    /// Whether the read is complete.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns where to resume once everything delivered so far is committed.
    pub fn position(&self) -> Position {
        // The open range may have ended before others.
        let end = self.ranges.end().max(self.numbered.as_ref().and_then(NumberedPages::end));
        let ranges = self.numbered.as_ref().map_or_else(|| self.ranges.left(), NumberedPages::left);
        let mut position = Position { ranges, hwm: self.position.hwm.max(end), ..self.position.clone() };
        if self.numbered.is_some() && position.ranges.is_empty() {
            // The list is complete: a poll is next.
            position.anchor = position.hwm.map(|hwm| hwm.minus(self.overlap));
        }
        position
    }

    fn in_flight(&self) -> usize {
        let newest = matches!(self.newest, NewestRequest::Sent | NewestRequest::PageSent);
        let last_page_check = self.last_page_check.as_ref().is_some_and(LastPageCheck::is_waiting);
        let numbered = self.numbered.as_ref().map_or(0, NumberedPages::in_flight);
        self.ranges.in_flight()
            + numbered
            + self.abandoned.len()
            + usize::from(self.polling)
            + usize::from(newest)
            + usize::from(last_page_check)
            + usize::from(self.end.is_waiting())
    }

    pub(super) fn position_mut(&mut self) -> &mut Position {
        &mut self.position
    }

    /// Returns the next request; `None` until a response to another one arrives.
    pub fn next_step(&mut self) -> Option<Step> {
        if self.done || self.in_flight() >= self.concurrency {
            return None;
        }
        if self.numbered.is_some() {
            return self.next_numbered_step();
        }
        if self.polling {
            return None;
        }
        if let Some(last_page_check) = &mut self.last_page_check {
            let step = last_page_check.next(self.position.anchor)?;
            self.polling = step.task == Task::Poll;
            return Some(step);
        }
        if self.ranges.is_empty() {
            if self.newest == NewestRequest::PageSent {
                return None;
            }
            if let Some(tag) = self.position.etag.clone().filter(|tag| tag.newest) {
                self.newest = NewestRequest::PageSent;
                return Some(Step { task: Task::Newest, request: PageRequest::NewestPage, tag: Some(tag) });
            }
            self.polling = true;
            let request = PageRequest::Since(self.position.anchor);
            return Some(Step { task: Task::Poll, request, tag: self.position.etag.clone() });
        }
        if self.end.is_waiting() {
            return None;
        }
        if self.newest != NewestRequest::Sent
            && let Some(step) = self.end.next()
        {
            return Some(step);
        }
        match (self.newest, self.ranges.open_pages()) {
            (NewestRequest::Page, _) => {
                self.newest = NewestRequest::PageSent;
                return Some(Step { task: Task::Newest, request: PageRequest::NewestPage, tag: None });
            }
            (NewestRequest::PageSent, _) => return None,
            (NewestRequest::After(patience), Some(pages)) if pages >= patience && self.concurrency > 1 => {
                self.newest = NewestRequest::Sent;
                return Some(Step { task: Task::Newest, request: PageRequest::Newest, tag: None });
            }
            _ => {}
        }
        let (id, request) = self.ranges.next()?;
        Some(Step { task: Task::Range(id), request, tag: None })
    }

    fn next_numbered_step(&mut self) -> Option<Step> {
        let numbered = self.numbered.as_mut()?;
        let (task, request) = match numbered.next() {
            Some(NextRequest::Page(id, request)) => (Task::Part(id), request),
            Some(NextRequest::Check(request)) => (Task::Check, request),
            Some(NextRequest::Newest) => (Task::Newest, PageRequest::NewestPage),
            // Every page has been read, so the poll does not have to wait for the check.
            None if numbered.is_checking() && !numbered.wants_tag() && !self.polling && self.early_poll.is_none() => {
                self.polling = true;
                (Task::Poll, PageRequest::Since(numbered.end().map(|end| end.minus(self.overlap))))
            }
            None => return None,
        };
        Some(Step { task, request, tag: None })
    }

    /// Applies a response, and returns which rows of its page are delivered.
    ///
    /// # Errors
    /// `InvalidData`, when the response is impossible.
    pub fn apply(&mut self, task: Task, mut answer: StepResult) -> Result<RowFilter> {
        if let StepResult::Page(info, _) = &mut answer {
            self.position.longest_page = self.position.longest_page.max(info.rows);
            self.end.record(info);
        }
        if self.abandoned.remove(&task) {
            return Ok(RowFilter::Within(self.floor(), None));
        }
        let keep = match (task, answer) {
            (Task::Poll, StepResult::NotModified)
                if self.last_page_check.as_ref().is_some_and(|last_page_check| last_page_check.tag.is_some()) =>
            {
                self.polling = false;
                self.finish_poll();
                RowFilter::Nothing
            }
            (Task::Poll, StepResult::NotModified) if self.position.etag.is_some() => {
                self.done = true;
                RowFilter::Nothing
            }
            (Task::Newest, StepResult::NotModified) if self.position.etag.as_ref().is_some_and(|tag| tag.newest) => {
                self.done = true;
                RowFilter::Nothing
            }
            (Task::Poll, StepResult::Page(info, tag)) => self.polled(info, tag),
            (Task::Probe, StepResult::Page(after, _)) => {
                self.probed(&after);
                RowFilter::Nothing
            }
            (Task::Range(id), StepResult::Page(info, _)) => self.ranges.page(id, info)?,
            (Task::Part(id), StepResult::Page(info, _)) => self.apply_part(id, &info)?,
            (Task::Check, StepResult::Page(info, _)) => {
                self.checked(&info);
                RowFilter::Nothing
            }
            (Task::Newest, StepResult::Newest(newest, tag)) => {
                self.newest(newest, tag);
                RowFilter::Nothing
            }
            (_, StepResult::NotModified) => {
                return Err(Error::invalid_data("the server answers 304 to a request without an entity tag"));
            }
            (task, answer) => return Err(Error::internal(format!("{answer:?} is no answer to {task:?}"))),
        };
        self.end_numbered();
        if matches!(task, Task::Range(_)) && self.ranges.is_empty() {
            self.ranges_ended();
        }
        Ok(keep)
    }

    fn floor(&self) -> Option<UnixSecond> {
        self.position.hwm.map(|hwm| hwm.minus(self.overlap))
    }

    fn newest(&mut self, newest: Option<UnixSecond>, tag: Option<EntityTag>) {
        if self.end.is_waiting() {
            self.end.set_newest(newest);
            return;
        }
        if let Some(last_page_check) = &mut self.last_page_check {
            last_page_check.after_newest();
            self.newest_page_tag = tag;
            return;
        }
        if let Some(numbered) = &mut self.numbered {
            numbered.newest(tag.is_some());
            self.newest_page_tag = tag;
            return;
        }
        match std::mem::replace(&mut self.newest, NewestRequest::Never) {
            // The ranges may have changed since the request.
            NewestRequest::Sent => self.ranges.set_newest(newest),
            NewestRequest::PageSent if self.ranges.is_empty() => self.position.etag = None,
            NewestRequest::PageSent => self.newest_page_tag = tag,
            _ => {}
        }
    }

    fn polled(&mut self, mut info: PageInfo, tag: Option<EntityTag>) -> RowFilter {
        self.polling = false;
        if self.may_be_cut(&info) {
            // Treat it as full: its tag does not change when rows are added after it.
            info.size = u32::try_from(info.rows).unwrap_or(u32::MAX);
        }
        if std::mem::take(&mut self.discard_poll) {
            return RowFilter::Nothing;
        }
        if let Some(end) = self.numbered.as_ref().and_then(NumberedPages::end) {
            self.early_poll = Some((info, tag));
            return RowFilter::Within(Some(end.minus(self.overlap)), None);
        }
        match &self.last_page_check {
            Some(last_page_check) if last_page_check.info.fingerprint == info.fingerprint => {
                self.finish_poll();
                return RowFilter::Nothing;
            }
            Some(_) => self.last_page_check = None,
            None if info.next.is_none() && info.unconfirmed_next.is_some() && info.is_full() => {
                self.last_page_check = Some(LastPageCheck::new(info, tag));
                return RowFilter::Within(self.floor(), None);
            }
            None => {}
        }
        self.apply_poll(info, tag)
    }

    /// Applies the page after that of a poll.
    fn probed(&mut self, after: &PageInfo) {
        if let Some(LastPageCheck { info, tag, .. }) =
            self.last_page_check.take_if(|last_page_check| !last_page_check.may_be_last(after))
        {
            self.apply_poll(info, tag);
        }
    }

    /// Whether a poll without news may have been cut: its page is as long as any that this server ever sent.
    fn may_be_cut(&self, info: &PageInfo) -> bool {
        info.is_end_unknown() && info.last <= self.position.hwm && self.is_longest(info)
    }

    /// Whether a page is as long as any that this server ever sent, and longer than [`MAX_UNCUT_PAGE`].
    fn is_longest(&self, info: &PageInfo) -> bool {
        info.rows > MAX_UNCUT_PAGE && info.rows >= self.position.longest_page
    }

    /// Ends a poll whose page turned out to be the last one.
    fn finish_poll(&mut self) {
        if let Some(LastPageCheck { info, tag, .. }) = self.last_page_check.take() {
            self.apply_poll(PageInfo { unconfirmed_next: None, ..info }, tag);
        }
    }

    /// Applies a poll: ends the read, polls again, or reads on.
    fn apply_poll(&mut self, info: PageInfo, tag: Option<EntityTag>) -> RowFilter {
        let floor = self.floor();
        let is_silent_news = info.is_end_unknown() && info.last > self.position.hwm;
        if info.may_continue() || (is_silent_news && self.asked_again) {
            (self.position.etag, self.newest_page_tag) = (None, None);
            self.previous_hwm = self.position.hwm;
            self.poll_date = info.date;
            if self.round == 0
                && let anchor = self.position.anchor
                && let Some(numbered) = NumberedPages::begin(anchor, floor, self.overlap, self.next_part, &info)
            {
                self.round = 1;
                self.numbered = Some(numbered);
                return RowFilter::Within(floor, None);
            }
            // Only the first poll's ranges may be read concurrently: ranges read one after another cannot be overtaken
            // by rows that move on, so that nothing remains to be read afterwards.
            self.newest = match (self.round, self.position.hwm) {
                // Only known rows: their seconds have more than a page of rows, which no later poll has to read again.
                (_, Some(hwm)) if info.last <= Some(hwm) => NewestRequest::Page,
                // Unchanged: it may be known already.
                (0, None) => self.newest,
                (0, Some(_)) => NewestRequest::After(SEQUENTIAL_PAGES),
                _ => NewestRequest::Never,
            };
            if self.round > 0 || self.position.hwm.is_some() {
                self.ranges = Ranges::new(Vec::new());
            }
            self.round += 1;
            let at = self.position.anchor.map(|anchor| UnixSecond(anchor.0.saturating_add(1)));
            return self.ranges.begin(floor, at, info);
        }
        self.position.hwm = self.position.hwm.max(info.last);
        let anchor = self.floor();
        self.round += 1;
        let settled = info.last.is_some_and(|last| numbered_pages::is_settled(last, info.date, self.overlap));
        let newest_page_tag = self.newest_page_tag.take().filter(|_| settled);
        if info.is_full()
            && let Some(newest_page_tag) = newest_page_tag
        {
            (self.position.anchor, self.position.etag) = (anchor, Some(newest_page_tag));
            self.done = true;
            return RowFilter::Within(floor, None);
        }
        // The tag of a page that may have been cut does not change when rows are added after it.
        let is_open = info.unconfirmed_next.is_some() && self.is_longest(&info);
        let tag = tag.filter(|_| !info.is_full() && !is_open);
        // The next poll overlaps this one: if it brings nothing new, the list did end here.
        self.asked_again |= is_silent_news;
        if is_silent_news || (info.rows > SMALL_POLL && anchor > self.position.anchor && self.round < MAX_ROUNDS) {
            self.position.anchor = anchor;
            self.position.etag = None;
        } else {
            self.position.etag = tag;
            self.done = true;
        }
        RowFilter::Within(floor, None)
    }

    fn apply_part(&mut self, id: usize, info: &PageInfo) -> Result<RowFilter> {
        match self.numbered.as_mut().and_then(|numbered| numbered.page(id, info)) {
            Some(PageOutcome::Keep(keep)) => Ok(keep),
            Some(PageOutcome::GiveUp) => {
                if let Some(numbered) = &mut self.numbered {
                    numbered.repeat(id);
                }
                self.give_up();
                Ok(RowFilter::Nothing)
            }
            None => Err(Error::internal("a page arrived for a part that does not exist")),
        }
    }

    fn checked(&mut self, info: &PageInfo) {
        if let Some(numbered) = &mut self.numbered {
            numbered.checked(info);
            if !numbered.is_same() {
                self.invalidate_poll();
            }
        }
    }

    /// Discards the poll that was to end the read: rows have changed, so it began too early.
    fn invalidate_poll(&mut self) {
        self.early_poll = None;
        self.discard_poll = self.polling;
    }

    /// Reads the rest of a numbered list by key.
    fn give_up(&mut self) {
        let Some(numbered) = self.numbered.take() else { return };
        self.next_part = numbered.next_id();
        self.abandoned.extend(numbered.tasks());
        self.invalidate_poll();
        self.newest_page_tag = None;
        self.ranges = Ranges::resume(numbered.left(), numbered.end());
        self.newest = NewestRequest::After(1);
        if self.ranges.is_empty() {
            self.ranges_ended();
        }
    }

    /// Continues after a numbered list that is complete.
    fn end_numbered(&mut self) {
        let Some(numbered) = self.numbered.take_if(|numbered| numbered.is_done()) else { return };
        self.next_part = numbered.next_id();
        self.position.hwm = self.position.hwm.max(numbered.end());
        self.position.anchor = self.floor();
        self.position.etag = self.newest_page_tag.take().filter(|_| numbered.is_unchanged());
        self.done = self.position.etag.is_some();
        if let Some((info, tag)) = self.early_poll.take() {
            self.polled(info, tag);
        }
    }

    fn ranges_ended(&mut self) {
        self.position.hwm = self.position.hwm.max(self.ranges.end());
        let anchor = self.position.anchor;
        self.position.anchor = self.floor();
        // From a later anchor, a poll may be small enough to keep its entity tag.
        let nothing_new =
            (self.position.hwm, self.position.anchor) == (self.previous_hwm, anchor) && !self.ranges.was_split();
        let settled = |hwm| numbered_pages::is_settled(hwm, self.poll_date, self.overlap);
        let settled = nothing_new && self.position.hwm.is_some_and(settled);
        self.position.etag = self.newest_page_tag.take().filter(|_| settled);
        self.done = self.round >= MAX_ROUNDS || nothing_new;
        self.ranges = Ranges::new(Vec::new());
    }
}
