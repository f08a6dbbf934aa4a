//! Ranges of `updated_at`, and the next request of each. Pure: no clock, no network.
//!
//! Reads lists whose pages the server does not count, ranges left by an earlier read, and rows too new to be read by page number;
//! [`super::numbered_pages`] reads the rest.
//!
//! # Why no row is missed
//!
//! The list is sorted by `updated_at`, ascending. A row that changes moves to the end of the list; no row ever moves
//! the other way, and a deleted row only moves later ones forward. So:
//!
//! * **Keyset.** Every request is for page 1 of the rows updated at or after a point (`since`, one second before the last row
//!   seen). Such a page is a consistent part of the list: all rows up to its last one are on it. Rows that move
//!   meanwhile move to times that are still to be read.
//! * **A whole page within a second** makes no progress. Then the plan scans the following pages, until a later second
//!   appears on page k or the list ends there; and only *then* it reads pages k, k−1, …, 1 for delivery. A row on
//!   pages 1 to k when this begins is on a page ≤ j when page j is about to be read: it holds for j = k; and as the
//!   row either is on page j, and is read, or is on a page ≤ j−1, from which it cannot move up again, it holds for
//!   j−1. It is read on page 1 at the latest, unless it was updated, and then it comes later. Reading forward
//!   would lose a row that moves from page 3 to page 2 after page 2 was read. Only within the newest second, while it lasts,
//!   can a row appear in front of others and move them up: where these pages have changed, they are read again.
//! * **Ranges.** A row belongs to the one range that contains its time. One that moves out of a range moves past
//!   the former end of the list, into the open range or, when that has ended, into the poll that follows. A range that is split
//!   while a page of it is under way does not end with that page: the list may have ended there before rows moved behind
//!   it and before the split. It is requested once more.

use super::step::{PageInfo, PageRequest, Range, RowFilter, UnixSecond};
use super::tie_scan::TieScan;
use crate::{Error, Result};

/// A range shorter than this, in seconds, is not split.
const MIN_RANGE: i64 = 4;

/// How often ranges are split at once, and per how many pages once more: each split may waste most of a page.
const CUT_LIMIT: (u32, u32) = (6, 20);

/// How often pages within the newest second are read again because they have changed; the second is over by then.
const MAX_TIE_SCANS: u32 = 16;

#[derive(Debug)]
struct RangeState {
    id: usize,
    range: Range,
    busy: bool,
    /// How many seconds its last page covered, to estimate how many pages are left.
    span: i64,
    /// Pages read.
    pages: u32,
    /// It was split while a page was under way: that page may be from before the split, so that the end of the list there
    /// is not the end of the range. Rows may have moved behind that page, and before the split, since.
    cut: bool,
    /// How often pages within the newest second were read again.
    rescans: u32,
    scan: Option<TieScan>,
}

/// The ranges of a read.
#[derive(Debug)]
pub(super) struct Ranges {
    state: Vec<RangeState>,
    next_id: usize,
    /// The time of the newest row, once known: approximately the end of the open range.
    newest: Option<UnixSecond>,
    /// Whether a range was split.
    split: bool,
    /// How often ranges were split.
    cuts: u32,
    /// Pages read.
    pages: u32,
    /// Where the open range ended.
    end: Option<UnixSecond>,
}

impl Ranges {
    pub(super) fn new(ranges: Vec<Range>) -> Self {
        let mut new = Self { state: Vec::new(), next_id: 0, newest: None, split: false, cuts: 0, pages: 0, end: None };
        for range in ranges {
            new.add(range, 0);
        }
        new
    }

    /// Resumes a list that is no longer read by page number: `end` is the time of its last row.
    pub(super) fn resume(ranges: Vec<Range>, end: Option<UnixSecond>) -> Self {
        Self { end, split: true, ..Self::new(ranges) }
    }

    fn add(&mut self, range: Range, span: i64) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        self.state.push(RangeState { id, range, busy: false, span, pages: 0, cut: false, rescans: 0, scan: None });
        id
    }

    /// Begins an open range from `from`, read up to `at`, with its first page.
    pub(super) fn begin(&mut self, from: Option<UnixSecond>, at: Option<UnixSecond>, page: PageInfo) -> RowFilter {
        self.add(Range { from, to: None, at }, 0);
        self.pages += 1;
        let index = self.state.len() - 1;
        let state = &mut self.state[index];
        state.pages += 1;
        let (ends, within) = (!page.may_continue(), RowFilter::Within(state.range.from, state.range.to));
        let (keep, ended) = state.apply_page(page, ends, within);
        if ended {
            self.remove(index);
        }
        keep
    }

    fn remove(&mut self, index: usize) {
        let state = self.state.remove(index);
        if state.range.to.is_none() {
            self.end = self.end.max(state.range.at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.state.iter().filter(|state| state.busy).count()
    }

    pub(super) fn was_split(&self) -> bool {
        self.split
    }

    /// Where the open range ended, once it did.
    pub(super) fn end(&self) -> Option<UnixSecond> {
        self.end
    }

    /// The remaining ranges, in order of time.
    pub(super) fn left(&self) -> Vec<Range> {
        let mut left: Vec<Range> = self.state.iter().map(|state| state.range.clone()).collect();
        left.sort_by_key(|range| range.from);
        left
    }

    /// How many pages of the open range have been read; `None` when there is none.
    pub(super) fn open_pages(&self) -> Option<u32> {
        self.state.iter().find(|state| state.range.to.is_none()).map(|state| state.pages)
    }

    /// Allows the open range to be split, too.
    pub(super) fn set_newest(&mut self, newest: Option<UnixSecond>) {
        self.newest = newest;
    }

    /// Returns the next request: for a range without a request under way, or else for the upper half of the longest one.
    pub(super) fn next(&mut self) -> Option<(usize, PageRequest)> {
        let index = match self.state.iter().position(|state| !state.busy) {
            Some(index) => index,
            None => self.split_largest()?,
        };
        let state = &mut self.state[index];
        state.busy = true;
        let request = match &state.scan {
            None => PageRequest::Since(state.range.at.map(|at| at.minus(1))),
            Some(scan) => PageRequest::Url(scan.pages[scan.backward.unwrap_or(scan.pages.len() - 1)].clone()),
        };
        Some((state.id, request))
    }

    fn split_largest(&mut self) -> Option<usize> {
        if self.cuts >= CUT_LIMIT.0 + self.pages / CUT_LIMIT.1 {
            return None;
        }
        let newest = self.newest;
        // A poll's range may be read from before its first row that is delivered.
        let at = |state: &RangeState| Some(state.range.at?.max(state.range.from.unwrap_or(state.range.at?)));
        let seconds_left = |state: &RangeState| Some(state.range.to.or(newest)?.0.saturating_sub(at(state)?.0));
        let index = (0..self.state.len())
            .filter(|&index| {
                let state = &self.state[index];
                state.is_known()
                    && seconds_left(state).is_some_and(|left| left > MIN_RANGE.max(state.min_seconds_left()))
            })
            .max_by_key(|&index| {
                let state = &self.state[index];
                let crowded = if state.range.to.is_none() { 4 } else { 1 };
                seconds_left(state).unwrap_or_default().saturating_mul(crowded) / state.span.max(1)
            })?;
        let state = &mut self.state[index];
        let left = seconds_left(state)?;
        let lower = if state.range.to.is_none() { left - left / 4 } else { left / 2 };
        let middle = UnixSecond(at(state)?.0 + lower);
        let upper = Range { from: Some(middle), to: state.range.to, at: Some(middle) };
        state.range.to = Some(middle);
        state.cut = true;
        if let Some(scan) = &mut state.scan {
            scan.ended = false;
        }
        let span = state.span;
        self.add(upper, span);
        self.split = true;
        self.cuts += 1;
        Some(self.state.len() - 1)
    }

    /// Restarts a range within its second: the URLs of its pages are no longer valid.
    pub(super) fn restart(&mut self, id: usize) {
        if let Some(state) = self.state.iter_mut().find(|state| state.id == id) {
            state.scan = None;
            state.busy = false;
        }
    }

    /// Applies a page of a range, and returns which rows are delivered.
    ///
    /// # Errors
    /// `InvalidData`, when the server sends one page repeatedly under different URLs.
    pub(super) fn page(&mut self, id: usize, info: PageInfo) -> Result<RowFilter> {
        let Some(index) = self.state.iter().position(|state| state.id == id) else {
            return Err(Error::internal("a page arrived for a range that has ended"));
        };
        self.pages += 1;
        let state = &mut self.state[index];
        state.busy = false;
        state.pages += 1;
        let ends = !std::mem::take(&mut state.cut) && !info.may_continue();
        let within = RowFilter::Within(state.range.from, state.range.to);
        let (keep, ended) = match state.scan.take() {
            None => state.apply_page(info, ends, within),
            Some(scan) if scan.backward.is_none() => (state.scan_forward(scan, info)?, false),
            Some(scan) => (within, state.read_backward(scan, &info, ends)),
        };
        if ended {
            self.remove(index);
        }
        Ok(keep)
    }
}

impl RangeState {
    /// Whether the density of its rows is known. It is unknown where an earlier read left it: a split before its first page
    /// would request a whole page for every few rows.
    fn is_known(&self) -> bool {
        self.pages > 0 || self.span > 0
    }

    /// How many seconds must be left for a split: two pages, where a page was read and the rest is as dense. Where nothing was
    /// read yet the density is unknown, and at the end of the list rows are denser.
    fn min_seconds_left(&self) -> i64 {
        match (self.range.to, self.pages) {
            (None, _) => self.span / 8,
            (Some(_), 0) => self.span / 2,
            (Some(_), _) => self.span.saturating_mul(2),
        }
    }

    fn is_past_end(&self, info: &PageInfo) -> bool {
        self.range.to.is_some() && info.last >= self.range.to
    }

    fn apply_page(&mut self, info: PageInfo, ends: bool, within: RowFilter) -> (RowFilter, bool) {
        let progress = info.last > self.range.at;
        // The last page of a closed range shows a row beyond it. Where it does not, the plan repeats the request.
        let certain = !info.is_end_unknown() || (!progress && info.rows < info.longest);
        let at_end = ends && certain && (self.range.to.is_none() || !progress);
        if self.is_past_end(&info) {
            return (within, true);
        }
        if progress || at_end {
            if let (Some(first), Some(last)) = (info.first, info.last) {
                self.span = last.0.saturating_sub(first.0);
            }
            self.range.at = self.range.at.max(info.last);
            return (within, at_end);
        }
        let Some(next) = info.next.or(info.unconfirmed_next) else { return (within, false) };
        self.scan = Some(TieScan {
            pages: vec![info.url, next],
            backward: None,
            reached: None,
            ended: false,
            fingerprints: vec![info.fingerprint],
            repeats: 0,
            closed: false,
            moved: false,
        });
        (RowFilter::Nothing, false)
    }

    /// Scans forward for the first page that extends past the second.
    fn scan_forward(&mut self, mut scan: TieScan, info: PageInfo) -> Result<RowFilter> {
        // Rows that move away may move a page's rows to the page before it, once or twice.
        let repeated = info.rows > 0 && scan.fingerprints.last() == Some(&info.fingerprint);
        scan.repeats = if repeated { scan.repeats + 1 } else { 0 };
        scan.must_end(&info)?;
        if repeated && info.is_end_unknown() {
            scan.pages.pop();
            scan.backward = Some(scan.pages.len() - 1);
            scan.closed = true;
            self.scan = Some(scan);
            return Ok(RowFilter::Nothing);
        }
        scan.fingerprints.push(info.fingerprint);
        match info.next.or(info.unconfirmed_next) {
            Some(next) if info.last <= self.range.at => scan.pages.push(next),
            _ => scan.backward = Some(scan.pages.len() - 1),
        }
        self.scan = Some(scan);
        Ok(RowFilter::Nothing)
    }

    /// Reads the scanned pages backward for delivery; true when the range has ended with them.
    fn read_backward(&mut self, mut scan: TieScan, info: &PageInfo, ends: bool) -> bool {
        let page = scan.backward.unwrap_or_default();
        scan.reached = scan.reached.or(info.last);
        let moved = scan.fingerprints.get(page) != Some(&info.fingerprint);
        let certain = !info.is_end_unknown() || (scan.closed && !moved);
        scan.ended |= self.is_past_end(info) || (page + 1 == scan.pages.len() && ends && certain);
        scan.moved |= moved;
        if page > 0 {
            scan.backward = Some(page - 1);
            self.scan = Some(scan);
            return false;
        }
        if scan.ended && scan.moved && self.range.to.is_none() && self.rescans < MAX_TIE_SCANS {
            self.rescans += 1;
            return false;
        }
        self.range.at = self.range.at.max(scan.reached);
        scan.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_paginate_is_detected() {
        let mut ranges = Ranges::new(vec![Range { from: None, to: None, at: None }]);
        let page = |url: String| PageInfo {
            rows: 2,
            first: Some(UnixSecond(7)),
            last: Some(UnixSecond(7)),
            next: Some(format!("{url}+")),
            url,
            ..PageInfo::default()
        };
        for _ in 0..20 {
            let (id, request) = ranges.next().unwrap();
            let url = if let PageRequest::Url(url) = request { url } else { "page".to_owned() };
            if let Err(error) = ranges.page(id, page(url)) {
                assert!(error.to_string().contains("same page"), "{error}");
                return;
            }
        }
        panic!("the scan does not end");
    }
}
