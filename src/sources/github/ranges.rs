//! Ranges of `updated_at`, and which request each of them needs next. Pure: no clock, no network.
//!
//! This is how a list is read whose pages are not counted, what an earlier read has left, and what is too new to be read by
//! page number; the rest is [`super::listing`]'s.
//!
//! # Why no row is missed
//!
//! The list is sorted by `updated_at`, ascending. A row that changes moves to the end of the list; nothing ever moves the
//! other way, and a row that vanishes only brings later ones forward. So:
//!
//! * **Keyset.** Every request asks for page 1 of what was updated at or after a point (`since`, one second before the last row
//!   seen). Such a page is one consistent piece of the list: all rows up to its last one are on it. Rows that move
//!   meanwhile move to times that are still to be read.
//! * **A whole page within a second** makes no progress. Then the following pages are looked at, until a later second
//!   shows on page k or the list ends there; and only *then* pages k, k−1, …, 1 are read for good. A row on
//!   pages 1 to k when this begins is on a page ≤ j when page j is about to be read: it holds for j = k; and as the
//!   row either is on page j, and is read, or is on a page ≤ j−1, from which it cannot move up again, it holds for
//!   j−1. On page 1 it is read at the latest, unless it was updated, and then it comes later. Reading forwards
//!   would not do: what slips from page 3 to page 2 after page 2 was read is lost. Only within the newest second, while it lasts,
//!   can a row come to be in front of others and move them up: where these pages have moved, they are read again.
//! * **Ranges.** A row belongs to the one range that its time is in. One that moves out of a range moves past
//!   the end of the list as it was, into the open range or, when that has ended, into the poll that follows. A range that is cut up
//!   while a page of it is under way does not end with that page: the list may have ended there before rows moved to behind
//!   it and before the cut. It is asked for once more.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use super::walk::Walk;
use crate::{Error, Result};

/// A range shorter than this is not worth a second request at the same time.
const SHORTEST: i64 = 4;

/// Ranges are cut up so often at once, and once more for so many pages: each time, most of a page may be read for nothing.
const CUTS: (u32, u32) = (6, 20);

/// Pages within the newest second are read again at most so often because they have moved; the second is over by then.
const WALKS: u32 = 16;

/// Whole seconds since 1970: GitHub's granularity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Timestamp", into = "Timestamp")]
pub(super) struct Second(pub(super) i64);

impl Second {
    pub(super) fn minus(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl From<Timestamp> for Second {
    fn from(time: Timestamp) -> Self {
        Self(time.as_millisecond().div_euclid(1_000))
    }
}

impl From<Second> for Timestamp {
    fn from(second: Second) -> Self {
        Self::from_second(second.0).unwrap_or(if second.0 < 0 { Self::MIN } else { Self::MAX })
    }
}

/// A part of the time line that is still to be read: from `from` (`None`: from its beginning) to before `to` (`None`: to
/// its end). All rows before `at` are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) from: Option<Second>,
    pub(super) to: Option<Second>,
    pub(super) at: Option<Second>,
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Page 1 of what was updated since then.
    Since(Option<Second>),
    /// Exactly this address.
    Url(String),
    /// A page of what was updated since then, by its number.
    Page { since: Option<Second>, size: u32, page: u64 },
    /// The newest row.
    Newest,
    /// As many of the newest rows as make a page, the newest first.
    NewestPage,
}

/// What the planner needs to know about a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// The address that was asked for.
    pub(super) url: String,
    /// How many rows were asked for.
    pub(super) size: u32,
    pub(super) rows: usize,
    /// The times of the first and the last row that have one.
    pub(super) first: Option<Second>,
    pub(super) last: Option<Second>,
    /// Where the next page is, by the server's link.
    pub(super) next: Option<String>,
    /// Where the next page would be, when there may be one and the server does not name it: the page holds as many rows as were
    /// asked for, or the server does not say whether the list goes on.
    pub(super) probe: Option<String>,
    /// How many pages the list has, where the server counts them.
    pub(super) pages: Option<u64>,
    /// When the server gave this answer, by its clock.
    pub(super) date: Option<Second>,
    /// How many rows the longest page of this read has, this one included.
    pub(super) longest: usize,
    /// Whether it reaches so far beyond the beginning of the read that what comes after it is for the next one.
    pub(super) beyond: bool,
    /// A hash of the page.
    pub(super) fingerprint: [u8; 16],
}

impl Facts {
    /// Whether it holds as many rows as were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Whether the list goes on, or may go on, after this page.
    pub(super) fn more(&self) -> bool {
        self.next.is_some() || (self.probe.is_some() && self.is_full())
    }

    /// Whether the server does not say if the list goes on after this page, which is shorter than was asked for. A gateway may
    /// make pages shorter and drop the links, so that the length alone is no end: only a page that brings nothing new is, and
    /// only if the server gives longer ones. What changes all the time would never end: a page that reaches beyond the read does.
    pub(super) fn is_silent(&self) -> bool {
        self.next.is_none() && self.probe.is_some() && !self.is_full() && !self.beyond
    }
}

/// Which rows of a page count; a row without a time counts in any case but `Nothing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// None: they will be read again.
    Nothing,
    /// Those from the first time to before the second.
    Within(Option<Second>, Option<Second>),
}

impl Keep {
    pub(super) fn has(self, second: Option<Second>) -> bool {
        match (self, second) {
            (Self::Nothing, _) => false,
            (Self::Within(..), None) => true,
            (Self::Within(from, to), Some(second)) => {
                from.is_none_or(|from| from <= second) && to.is_none_or(|to| second < to)
            }
        }
    }
}

#[derive(Debug)]
struct Work {
    id: usize,
    range: Range,
    busy: bool,
    /// How many seconds its last page covered: tells how many pages are left.
    span: i64,
    /// Pages read.
    pages: u32,
    /// It was cut off while it was being read: the page under way may be from before that, so that the end of the list there
    /// is not the end of the range. Rows may since have moved to behind what that page shows, and before the cut.
    cut: bool,
    /// How often pages within the newest second were read again.
    walks: u32,
    walk: Option<Walk>,
}

/// Ranges, and who reads which.
#[derive(Debug)]
pub(super) struct Ranges {
    work: Vec<Work>,
    next_id: usize,
    /// The time of the newest row, once known: where the open range will end, more or less.
    newest: Option<Second>,
    /// Whether a range was split.
    split: bool,
    /// How often.
    cuts: u32,
    /// Pages read.
    pages: u32,
    /// Where the open range ended.
    end: Option<Second>,
}

impl Ranges {
    pub(super) fn new(ranges: Vec<Range>) -> Self {
        let mut new = Self { work: Vec::new(), next_id: 0, newest: None, split: false, cuts: 0, pages: 0, end: None };
        for range in ranges {
            new.add(range, 0);
        }
        new
    }

    /// What is left of a list that is no longer read by page number.
    pub(super) fn of_listing(listing: &Listing) -> Self {
        Self { end: listing.end(), split: true, ..Self::new(listing.left()) }
    }

    fn add(&mut self, range: Range, span: i64) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        self.work.push(Work { id, range, busy: false, span, pages: 0, cut: false, walks: 0, walk: None });
        id
    }

    /// Makes a range of a page that has been read already: an open one from `from`, read by `at`.
    pub(super) fn begin(&mut self, from: Option<Second>, at: Option<Second>, page: Facts) -> Keep {
        self.add(Range { from, to: None, at }, 0);
        self.pages += 1;
        let index = self.work.len() - 1;
        let work = &mut self.work[index];
        work.pages += 1;
        let (ends, within) = (!page.more(), Keep::Within(work.range.from, work.range.to));
        let (keep, ended) = work.keyset(page, ends, within);
        if ended {
            self.remove(index);
        }
        keep
    }

    fn remove(&mut self, index: usize) {
        let work = self.work.remove(index);
        if work.range.to.is_none() {
            self.end = self.end.max(work.range.at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    pub(super) fn busy(&self) -> usize {
        self.work.iter().filter(|work| work.busy).count()
    }

    pub(super) fn was_split(&self) -> bool {
        self.split
    }

    /// Where the open range ended, once it did.
    pub(super) fn end(&self) -> Option<Second> {
        self.end
    }

    /// What is left, in the order of time.
    pub(super) fn left(&self) -> Vec<Range> {
        let mut left: Vec<Range> = self.work.iter().map(|work| work.range.clone()).collect();
        left.sort_by_key(|range| range.from);
        left
    }

    /// How many pages of the open range have been read; `None` when there is none.
    pub(super) fn open_pages(&self) -> Option<u32> {
        self.work.iter().find(|work| work.range.to.is_none()).map(|work| work.pages)
    }

    /// From now on the open range can be split, too.
    pub(super) fn set_newest(&mut self, newest: Option<Second>) {
        self.newest = newest;
    }

    /// The next request: for a range that nobody reads, or else for the upper half of the one with most pages left.
    pub(super) fn next(&mut self) -> Option<(usize, Ask)> {
        let index = match self.work.iter().position(|work| !work.busy) {
            Some(index) => index,
            None => self.halve()?,
        };
        let work = &mut self.work[index];
        work.busy = true;
        let ask = match &work.walk {
            None => Ask::Since(work.range.at.map(|at| at.minus(1))),
            Some(walk) => Ask::Url(walk.pages[walk.back.unwrap_or(walk.pages.len() - 1)].clone()),
        };
        Some((work.id, ask))
    }

    fn halve(&mut self) -> Option<usize> {
        if self.cuts >= CUTS.0 + self.pages / CUTS.1 {
            return None;
        }
        let newest = self.newest;
        // A poll's range may begin to be read before its first row that counts.
        let at = |work: &Work| Some(work.range.at?.max(work.range.from.unwrap_or(work.range.at?)));
        let seconds_left = |work: &Work| Some(work.range.to.or(newest)?.0.saturating_sub(at(work)?.0));
        let index = (0..self.work.len())
            .filter(|&index| {
                let work = &self.work[index];
                work.is_known() && seconds_left(work).is_some_and(|left| left > SHORTEST.max(work.worth()))
            })
            .max_by_key(|&index| {
                let work = &self.work[index];
                let crowded = if work.range.to.is_none() { 4 } else { 1 };
                seconds_left(work).unwrap_or_default().saturating_mul(crowded) / work.span.max(1)
            })?;
        let work = &mut self.work[index];
        let left = seconds_left(work)?;
        let lower = if work.range.to.is_none() { left - left / 4 } else { left / 2 };
        let middle = Second(at(work)?.0 + lower);
        let upper = Range { from: Some(middle), to: work.range.to, at: Some(middle) };
        work.range.to = Some(middle);
        work.cut = true;
        if let Some(walk) = &mut work.walk {
            walk.ended = false;
        }
        let span = work.span;
        self.add(upper, span);
        self.split = true;
        self.cuts += 1;
        Some(self.work.len() - 1)
    }

    /// Forgets how far a range had come within one second: the addresses of those pages are no longer good.
    pub(super) fn restart(&mut self, id: usize) {
        if let Some(work) = self.work.iter_mut().find(|work| work.id == id) {
            work.walk = None;
            work.busy = false;
        }
    }

    /// Takes a page of a range: moves its position on, and says which rows count.
    ///
    /// # Errors
    /// `InvalidData`, when the server gives one page again and again under different addresses.
    pub(super) fn page(&mut self, id: usize, facts: Facts) -> Result<Keep> {
        let Some(index) = self.work.iter().position(|work| work.id == id) else {
            return Err(Error::internal("a page came for a range that has ended"));
        };
        self.pages += 1;
        let work = &mut self.work[index];
        work.busy = false;
        work.pages += 1;
        let ends = !std::mem::take(&mut work.cut) && !facts.more();
        let within = Keep::Within(work.range.from, work.range.to);
        let (keep, ended) = match work.walk.take() {
            None => work.keyset(facts, ends, within),
            Some(walk) if walk.back.is_none() => (work.look(walk, facts)?, false),
            Some(walk) => (within, work.sweep(walk, &facts, ends)),
        };
        if ended {
            self.remove(index);
        }
        Ok(keep)
    }
}

impl Work {
    /// Whether it is known how dense its rows are. It is not where an earlier read left it: to cut that up before its first page
    /// has come would ask for a whole page for every few rows.
    fn is_known(&self) -> bool {
        self.pages > 0 || self.span > 0
    }

    /// How many seconds must be left for a second request at the same time: two pages' worth, where a page was read and what
    /// is left is as dense. Where nothing was read yet that is not known, and at the end of the list rows are denser.
    fn worth(&self) -> i64 {
        match (self.range.to, self.pages) {
            (None, _) => self.span / 8,
            (Some(_), 0) => self.span / 2,
            (Some(_), _) => self.span.saturating_mul(2),
        }
    }

    fn passed(&self, facts: &Facts) -> bool {
        self.range.to.is_some() && facts.last >= self.range.to
    }

    fn keyset(&mut self, facts: Facts, ends: bool, within: Keep) -> (Keep, bool) {
        let progress = facts.last > self.range.at;
        // The last page of a closed range shows a row beyond it. Where it does not, the server is asked once more.
        let certain = !facts.is_silent() || (!progress && facts.rows < facts.longest);
        let at_end = ends && certain && (self.range.to.is_none() || !progress);
        if self.passed(&facts) {
            return (within, true);
        }
        if progress || at_end {
            if let (Some(first), Some(last)) = (facts.first, facts.last) {
                self.span = last.0.saturating_sub(first.0);
            }
            self.range.at = self.range.at.max(facts.last);
            return (within, at_end);
        }
        let Some(next) = facts.next.or(facts.probe) else { return (within, false) };
        self.walk = Some(Walk {
            pages: vec![facts.url, next],
            back: None,
            reached: None,
            ended: false,
            fingerprints: vec![facts.fingerprint],
            repeats: 0,
            closed: false,
            moved: false,
        });
        (Keep::Nothing, false)
    }

    /// Looks for the first page that reaches past the second.
    fn look(&mut self, mut walk: Walk, facts: Facts) -> Result<Keep> {
        // Rows that move away may bring a page's rows to the page before it, once or twice.
        let repeated = facts.rows > 0 && walk.fingerprints.last() == Some(&facts.fingerprint);
        walk.repeats = if repeated { walk.repeats + 1 } else { 0 };
        walk.must_end(&facts)?;
        if repeated && facts.is_silent() {
            walk.pages.pop();
            walk.back = Some(walk.pages.len() - 1);
            walk.closed = true;
            self.walk = Some(walk);
            return Ok(Keep::Nothing);
        }
        walk.fingerprints.push(facts.fingerprint);
        match facts.next.or(facts.probe) {
            Some(next) if facts.last <= self.range.at => walk.pages.push(next),
            _ => walk.back = Some(walk.pages.len() - 1),
        }
        self.walk = Some(walk);
        Ok(Keep::Nothing)
    }

    /// Reads those pages for good, backwards; true when the range has ended with them.
    fn sweep(&mut self, mut walk: Walk, facts: &Facts, ends: bool) -> bool {
        let page = walk.back.unwrap_or_default();
        walk.reached = walk.reached.or(facts.last);
        let moved = walk.fingerprints.get(page) != Some(&facts.fingerprint);
        let certain = !facts.is_silent() || (walk.closed && !moved);
        walk.ended |= self.passed(facts) || (page + 1 == walk.pages.len() && ends && certain);
        walk.moved |= moved;
        if page > 0 {
            walk.back = Some(page - 1);
            self.walk = Some(walk);
            return false;
        }
        if walk.ended && walk.moved && self.range.to.is_none() && self.walks < WALKS {
            self.walks += 1;
            return false;
        }
        self.range.at = self.range.at.max(walk.reached);
        walk.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_page_is_found_out() {
        let mut ranges = Ranges::new(vec![Range { from: None, to: None, at: None }]);
        let page = |url: String| Facts {
            rows: 2,
            first: Some(Second(7)),
            last: Some(Second(7)),
            next: Some(format!("{url}+")),
            url,
            ..Facts::default()
        };
        for _ in 0..20 {
            let (id, ask) = ranges.next().unwrap();
            let url = if let Ask::Url(url) = ask { url } else { "page".to_owned() };
            if let Err(error) = ranges.page(id, page(url)) {
                assert!(error.to_string().contains("same page"), "{error}");
                return;
            }
        }
        panic!("it would have gone on for ever");
    }
}
