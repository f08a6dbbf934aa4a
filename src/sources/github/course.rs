//! The course of one read: polls, and the ranges that a poll finds too much to read in. Pure, like [`super::ranges`].

use super::checkpoint::{Position, Tag};
use super::ranges::{Ask, Facts, Keep, Ranges, Second};
use crate::{Error, Result};

/// A poll that brings at most so many rows keeps its address, so that the entity tag of this very answer serves the next one.
const FEW: usize = 30;

/// After so many polls that brought too much to end with, the read ends all the same: what existed when it began has come.
const ROUNDS: u32 = 3;

/// A poll reads so many pages one after another before it looks whether reading them side by side is worth while.
const PATIENCE: u32 = 3;

/// Who an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// A look for news.
    Poll,
    /// The newest row of all.
    Newest,
    /// A range, by its number.
    Range(usize),
}

/// What a request brought.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing has changed since the entity tag.
    NotModified,
    /// A page, and its entity tag where it may be used again.
    Page(Facts, Option<Tag>),
    /// The newest row's time.
    Newest(Option<Second>),
}

/// A request to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) task: Task,
    pub(super) ask: Ask,
    pub(super) tag: Option<Tag>,
}

/// One read, from the position where the last one ended.
#[derive(Debug)]
pub(super) struct Course {
    position: Position,
    ranges: Ranges,
    /// Rows that appear so many seconds late are still found.
    overlap: i64,
    /// Requests at once.
    concurrency: usize,
    round: u32,
    /// The high-water mark before the ranges that are being read; `None` also for those of an earlier read.
    before: Option<Second>,
    polling: bool,
    /// Whether to ask for the newest row.
    newest: Newest,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newest {
    /// Once the open range has taken so many pages.
    After(u32),
    /// It is being asked for.
    Asked,
    /// Not, or not any more.
    Never,
}

impl Course {
    pub(super) fn new(mut position: Position, overlap: i64, concurrency: usize) -> Self {
        let ranges = Ranges::new(std::mem::take(&mut position.ranges));
        Self {
            position,
            ranges,
            overlap: overlap.max(1),
            concurrency: concurrency.max(1),
            round: 0,
            before: None,
            polling: false,
            newest: Newest::After(1),
            done: false,
        }
    }

    /// The newest row's time is known before the first poll.
    pub(super) fn set_newest(&mut self, newest: Option<Second>) {
        self.newest = Newest::Never;
        self.ranges.set_newest(newest);
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Where to resume once everything that was kept so far is committed.
    pub(super) fn position(&self) -> Position {
        // The open range may have ended before others.
        let hwm = self.position.hwm.max(self.ranges.end());
        Position { ranges: self.ranges.left(), hwm, ..self.position.clone() }
    }

    /// The next request, if one can be made before another one is answered.
    pub(super) fn next(&mut self) -> Option<Step> {
        if self.done || self.polling {
            return None;
        }
        if self.ranges.is_empty() {
            self.polling = true;
            let ask = Ask::Since(self.position.anchor);
            return Some(Step { task: Task::Poll, ask, tag: self.position.etag.clone() });
        }
        if self.ranges.busy() + usize::from(self.newest == Newest::Asked) >= self.concurrency {
            return None;
        }
        if let (Newest::After(patience), Some(pages)) = (self.newest, self.ranges.open_pages())
            && pages >= patience
            && self.concurrency > 1
        {
            self.newest = Newest::Asked;
            return Some(Step { task: Task::Newest, ask: Ask::Since(None), tag: None });
        }
        let (id, ask) = self.ranges.next()?;
        Some(Step { task: Task::Range(id), ask, tag: None })
    }

    /// A range has to begin again within its second, because pages are of another size now.
    pub(super) fn restart(&mut self, task: Task) {
        match task {
            Task::Range(id) => self.ranges.restart(id),
            Task::Poll => self.polling = false,
            Task::Newest => self.newest = Newest::After(1),
        }
    }

    /// Takes an answer, and says which rows of its page count.
    ///
    /// # Errors
    /// `InvalidData`, when the answer cannot be.
    pub(super) fn answer(&mut self, task: Task, answer: Answer) -> Result<Keep> {
        let keep = match (task, answer) {
            (Task::Poll, Answer::NotModified) if self.position.etag.is_some() => {
                self.done = true;
                Keep::Nothing
            }
            (Task::Poll, Answer::Page(facts, tag)) => self.polled(facts, tag)?,
            (Task::Range(id), Answer::Page(facts, _)) => self.ranges.page(id, facts)?,
            (Task::Newest, Answer::Newest(newest)) => {
                // These may be other ranges than those that it was asked for.
                if std::mem::replace(&mut self.newest, Newest::Never) == Newest::Asked {
                    self.ranges.set_newest(newest);
                }
                Keep::Nothing
            }
            (_, Answer::NotModified) => {
                return Err(Error::invalid_data("the server answers 304 to a request without an entity tag"));
            }
            (task, answer) => return Err(Error::internal(format!("{answer:?} is no answer to {task:?}"))),
        };
        if matches!(task, Task::Range(_)) && self.ranges.is_empty() {
            self.ranges_ended();
        }
        Ok(keep)
    }

    fn floor(&self) -> Option<Second> {
        self.position.hwm.map(|hwm| hwm.minus(self.overlap))
    }

    fn polled(&mut self, facts: Facts, tag: Option<Tag>) -> Result<Keep> {
        self.polling = false;
        let floor = self.floor();
        if facts.more() {
            self.before = self.position.hwm;
            // Only the first poll's ranges may be read side by side: read one after another they cannot be outrun
            // by rows that move on, so that nothing is left to look for afterwards.
            self.newest = match (self.round, self.position.hwm) {
                // As it was: it may be known already.
                (0, None) => self.newest,
                (0, Some(_)) => Newest::After(PATIENCE),
                _ => Newest::Never,
            };
            if self.round > 0 || self.position.hwm.is_some() {
                self.ranges = Ranges::new(Vec::new());
            }
            self.round += 1;
            let at = self.position.anchor.map(|anchor| Second(anchor.0.saturating_add(1)));
            self.position.etag = None;
            return self.ranges.begin(floor, at, facts);
        }
        self.position.hwm = self.position.hwm.max(facts.last);
        let anchor = self.floor();
        self.round += 1;
        if facts.rows > FEW && anchor > self.position.anchor && self.round < ROUNDS {
            self.position.anchor = anchor;
            self.position.etag = None;
        } else {
            self.position.etag = tag;
            self.done = true;
        }
        Ok(Keep::Within(floor, None))
    }

    fn ranges_ended(&mut self) {
        self.position.hwm = self.position.hwm.max(self.ranges.end());
        let anchor = self.position.anchor;
        self.position.anchor = self.floor();
        self.position.etag = None;
        // From a later anchor a poll may be small enough to bring an entity tag.
        let nothing_new =
            (self.position.hwm, self.position.anchor) == (self.before, anchor) && !self.ranges.was_split();
        self.done = self.round >= ROUNDS || nothing_new;
        self.ranges = Ranges::new(Vec::new());
    }
}
