//! A list whose pages the server counts, read by page number: which page is next, and when no row can be missing. Pure, like
//! [`super::ranges`].
//!
//! A server that reports how many pages a list has (`Link: rel="last"`) allows every page to be read once, concurrently,
//! however the rows are spread over time. Page numbers drift, though: when a row leaves its place, every row behind it moves
//! up, and one of them moves from the top of page `n + 1` to the bottom of page `n`.
//!
//! # Why no row is missed
//!
//! A row that is updated moves to the end of the list. No row enters the list among rows that are *settled*: older, by the
//! server's clock, than the seconds in which rows may still appear. So the rank of a settled row only ever decreases.
//!
//! * **Downwards.** One part of the pages is read from its highest page to its lowest. A row that was on one of these pages
//!   when the first of them was read is on page `n` or below when page `n` is about to be read: it is read then, or it is
//!   on page `n - 1` or below afterwards. Only an update moves it away, to the end.
//! * **Borders.** Parts are read concurrently, so a row may move from the lowest page of one part to the highest page of the
//!   part below after that page was read. The upper part therefore continues below its own pages, until it sees a row
//!   older than the last row of that page (all rows before it were on the lower part's pages when the lower part began),
//!   or the same page unchanged. It ends at page 1 at the latest.
//! * **The reference page.** Where there are several borders, one request can close all of them. The last page is read alone,
//!   before every other, and once more after every other. When it is unchanged and its first row is settled, the rank of
//!   that row has not changed, so no row before it has left its place meanwhile, and no row has crossed a border. Rows that
//!   are not settled, such as one with a date in the future, prove nothing: where a page has no settled row, the page
//!   below it is the reference page.
//! * **Page 1** brought the number of pages, before the reference page. It is read again in its turn.
//! * **The end.** Rows that are updated while the list is read, and rows that appear beyond its last page, come with the poll
//!   that follows: it begins before the former last row of the list.

use super::step::{PageInfo, PageRequest, Range, RowFilter, Task, UnixSecond};

/// How many pages are read alone to find a reference page.
const MAX_REFERENCE_PAGES: u32 = 3;

/// The next request of a numbered list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextRequest {
    /// A page, for the part with this number.
    Page(usize, PageRequest),
    /// The reference page, again.
    Check(PageRequest),
    /// The newest page and its entity tag.
    Newest,
}

/// The consequence of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageOutcome {
    Keep(RowFilter),
    /// The pages are not what the server reported.
    GiveUp,
}

/// Pages next to each other, read downwards.
#[derive(Debug)]
struct Part {
    id: usize,
    low: u64,
    /// The page that is next or under way; below `low` to close the border.
    page: u64,
    busy: bool,
    top: Option<TopPage>,
    /// The time of the first row of the lowest page that was read.
    reached: Option<UnixSecond>,
    /// Every row up to `top` is read, by this part or by the parts below.
    closed: bool,
}

/// The first page that a part read.
#[derive(Debug)]
struct TopPage {
    page: u64,
    fingerprint: [u8; 16],
    last: UnixSecond,
}

/// A page that was read before all pages below it, and is read again after them.
#[derive(Debug)]
struct ReferencePage {
    page: u64,
    fingerprint: [u8; 16],
    /// Whether the list ended with it.
    ends: bool,
}

/// The state of a request that is made once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestState {
    /// Not needed, or not any more.
    NotNeeded,
    Wanted,
    Sent,
    Succeeded,
    Failed,
}

#[derive(Debug)]
pub(super) struct NumberedPages {
    since: Option<UnixSecond>,
    size: u32,
    /// Earlier rows are not delivered.
    floor: Option<UnixSecond>,
    /// The time of the last row of page 1 when it was first read.
    at: Option<UnixSecond>,
    first_page: [u8; 16],
    /// From the lowest pages to the highest.
    parts: Vec<Part>,
    next_id: usize,
    overlap: i64,
    /// The time of the last row of the list, once the last page was read.
    end: Option<UnixSecond>,
    reference: Option<ReferencePage>,
    /// How many more pages may be read alone to find it.
    reference_tries: u32,
    check: RequestState,
    newest: RequestState,
}

impl NumberedPages {
    /// Begins with page 1 of `since`, which has been delivered; `None` where the server does not count pages, or where rows may
    /// still appear everywhere behind it. Its parts are numbered from `next_id`.
    pub(super) fn begin(
        since: Option<UnixSecond>,
        floor: Option<UnixSecond>,
        overlap: i64,
        next_id: usize,
        page: &PageInfo,
    ) -> Option<Self> {
        let pages = page.pages.filter(|&pages| pages > 1)?;
        let at = page.last.filter(|&last| is_past(last, page.date, overlap))?;
        let part = Part { id: next_id, low: 1, page: pages, busy: false, top: None, reached: None, closed: false };
        Some(Self {
            since,
            size: page.size,
            floor,
            at: Some(at),
            first_page: page.fingerprint,
            parts: vec![part],
            next_id: next_id + 1,
            overlap,
            end: None,
            reference: None,
            reference_tries: MAX_REFERENCE_PAGES,
            check: RequestState::NotNeeded,
            newest: RequestState::NotNeeded,
        })
    }

    pub(super) fn next_id(&self) -> usize {
        self.next_id
    }

    /// The requests under way.
    pub(super) fn tasks(&self) -> impl Iterator<Item = Task> {
        let parts = self.parts.iter().filter(|part| part.busy).map(|part| Task::Part(part.id));
        let once = |once, task| (once == RequestState::Sent).then_some(task);
        parts.chain(once(self.check, Task::Check)).chain(once(self.newest, Task::Newest))
    }

    /// The number of requests under way.
    pub(super) fn in_flight(&self) -> usize {
        self.tasks().count()
    }

    /// The time of the last row of the list, once it is known.
    pub(super) fn end(&self) -> Option<UnixSecond> {
        self.end
    }

    /// Whether every page is read and the reference page is being read again.
    pub(super) fn is_checking(&self) -> bool {
        self.check == RequestState::Sent
    }

    /// Whether the newest page's tag, rather than a poll, ends the read when nothing has changed meanwhile.
    pub(super) fn wants_tag(&self) -> bool {
        matches!(self.newest, RequestState::Wanted | RequestState::Sent | RequestState::Succeeded)
    }

    pub(super) fn is_done(&self) -> bool {
        let checked = match self.newest {
            RequestState::Wanted | RequestState::Sent => false,
            // A tag holds only if nothing has changed since.
            RequestState::Succeeded => matches!(self.check, RequestState::Succeeded | RequestState::Failed),
            RequestState::NotNeeded | RequestState::Failed => self.check != RequestState::Sent,
        };
        checked && self.parts.iter().all(|part| part.closed)
    }

    /// Whether no row has moved away during the read.
    pub(super) fn is_same(&self) -> bool {
        self.check == RequestState::Succeeded
    }

    /// Whether nothing at all has changed during the read, so that the tag of the newest page detects the next change.
    pub(super) fn is_unchanged(&self) -> bool {
        self.is_same()
            && self.newest == RequestState::Succeeded
            && self.reference.as_ref().is_some_and(|reference| reference.ends)
    }

    /// The rest of the list, in order of time, as ranges to be read by key.
    pub(super) fn left(&self) -> Vec<Range> {
        if self.end.is_none() {
            return vec![Range { from: self.floor, to: None, at: self.at }];
        }
        let (mut left, mut from, mut at) = (Vec::new(), self.floor, self.at);
        for part in &self.parts {
            // Nothing of it was read: the range of the part above includes it.
            let Some(top) = &part.top else { continue };
            let to = part.reached.map_or(top.last, |reached| UnixSecond(reached.0.saturating_add(1)));
            if !part.closed && from < Some(to) {
                left.push(Range { from, to: Some(to), at });
            }
            (from, at) = (Some(top.last), Some(top.last));
        }
        left
    }

    fn request(&self, page: u64) -> PageRequest {
        PageRequest::Page { since: self.since, size: self.size, page }
    }

    fn send(&mut self, index: usize) -> NextRequest {
        let part = &mut self.parts[index];
        part.busy = true;
        let (id, page) = (part.id, part.page);
        NextRequest::Page(id, self.request(page))
    }

    /// Returns the next request; `None` until a response to another one arrives.
    pub(super) fn next(&mut self) -> Option<NextRequest> {
        let own = |part: &Part| !part.closed && part.page >= part.low;
        if let Some(index) = self.parts.iter().position(|part| own(part) && !part.busy) {
            return Some(self.send(index));
        }
        if self.end.is_none() || self.reference.is_none() && self.reference_tries > 0 && self.parts.iter().any(own) {
            return None;
        }
        if self.newest == RequestState::Wanted {
            self.newest = RequestState::Sent;
            return Some(NextRequest::Newest);
        }
        if let Some(index) = self.split() {
            return Some(self.send(index));
        }
        if self.parts.iter().any(own) || self.newest == RequestState::Sent {
            return None;
        }
        let open = self.parts.iter().filter(|part| !part.closed).count();
        if self.check == RequestState::NotNeeded
            && (open > 1 || self.newest == RequestState::Succeeded)
            && let Some(reference) = &self.reference
        {
            let request = self.request(reference.page);
            self.check = RequestState::Sent;
            return Some(NextRequest::Check(request));
        }
        if self.check == RequestState::Sent {
            return None;
        }
        let index = self.parts.iter().position(|part| !part.closed && !part.busy)?;
        Some(self.send(index))
    }

    /// Splits off the lower half of the longest part as a new part.
    fn split(&mut self) -> Option<usize> {
        let left = |part: &Part| part.page.saturating_sub(part.low);
        let index = (0..self.parts.len())
            .filter(|&index| !self.parts[index].closed)
            .max_by_key(|&index| left(&self.parts[index]))?;
        let count = left(&self.parts[index]);
        if count == 0 {
            return None;
        }
        let low = self.parts[index].low;
        let page = low + count.div_ceil(2) - 1;
        self.parts[index].low = page + 1;
        let id = self.next_id;
        self.next_id += 1;
        self.parts.insert(index, Part { id, low, page, busy: false, top: None, reached: None, closed: false });
        Some(index)
    }

    /// Repeats a part's request.
    pub(super) fn repeat(&mut self, id: usize) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.id == id) {
            part.busy = false;
        }
    }

    pub(super) fn repeat_check(&mut self) {
        self.check = RequestState::NotNeeded;
    }

    /// Applies the newest page: whether it has an entity tag. Without a reference page, a tag is useless.
    pub(super) fn newest(&mut self, has_tag: bool) {
        self.newest = if has_tag && self.reference.is_some() { RequestState::Succeeded } else { RequestState::Failed };
    }

    pub(super) fn repeat_newest(&mut self) {
        self.newest = RequestState::Wanted;
    }

    /// Closes borders one by one, as the reference page cannot be read again.
    pub(super) fn unchecked(&mut self) {
        self.check = RequestState::Failed;
    }

    /// Applies the reference page as it is now.
    pub(super) fn checked(&mut self, info: &PageInfo) {
        let same = self.reference.as_ref().is_some_and(|reference| reference.fingerprint == info.fingerprint);
        self.check = if same { RequestState::Succeeded } else { RequestState::Failed };
        if same {
            self.parts.iter_mut().for_each(|part| part.closed = true);
        }
        if let Some(reference) = &mut self.reference {
            reference.ends &= info.next.is_none();
        }
    }

    /// Applies a page of a part, and returns the consequence; `None` if the part does not exist.
    pub(super) fn page(&mut self, id: usize, info: &PageInfo) -> Option<PageOutcome> {
        let index = self.parts.iter().position(|part| part.id == id)?;
        if self.end.is_none() {
            if !self.ends(info) {
                return Some(PageOutcome::GiveUp);
            }
            // Under its first number, the last rows of the list are remembered until the poll brings them again.
            self.parts[index].id = self.next_id;
            self.next_id += 1;
        }
        let number = self.parts[index].page;
        if self.reference.is_none() && self.reference_tries > 0 {
            self.reference_tries -= 1;
            if info.first.is_some_and(|first| is_past(first, info.date, self.overlap)) {
                let ends = info.next.is_none() && info.last == self.end;
                self.reference = Some(ReferencePage { page: number, fingerprint: info.fingerprint, ends });
            }
        }
        let below = self.parts[..index].last().and_then(|part| part.top.as_ref());
        let same = below.is_some_and(|top| top.page == number && top.fingerprint == info.fingerprint);
        let closed = number <= 1 || same || below.is_some_and(|top| info.first.is_some_and(|first| first < top.last));
        let part = &mut self.parts[index];
        if part.top.is_none() {
            part.top = info.last.map(|last| TopPage { page: number, fingerprint: info.fingerprint, last });
        }
        part.reached = info.first.or(part.reached);
        part.busy = false;
        part.closed |= closed;
        part.page = number.saturating_sub(1);
        let known = same || number == 1 && info.fingerprint == self.first_page;
        Some(PageOutcome::Keep(if known { RowFilter::Nothing } else { RowFilter::Within(self.floor, None) }))
    }

    /// Sets the end of the list from its last page; false when it cannot be the last page.
    fn ends(&mut self, info: &PageInfo) -> bool {
        let Some(last) = info.last else { return false };
        self.end = Some(last);
        // Without an older row, the next poll may have more than a page of rows.
        let crowded = info.first.is_some_and(|first| first.0 >= last.0.saturating_sub(self.overlap));
        if crowded && is_settled(last, info.date, self.overlap) && info.next.is_none() {
            self.newest = RequestState::Wanted;
        }
        true
    }
}

/// Whether a second is past, by the server's clock: no row can appear in it any more, nor change without moving.
fn is_past(second: UnixSecond, date: Option<UnixSecond>, overlap: i64) -> bool {
    date.is_some_and(|date| second < date.minus(overlap))
}

/// Whether a second's rows cannot change without moving: it is past, or lies in the future.
pub(super) fn is_settled(second: UnixSecond, date: Option<UnixSecond>, overlap: i64) -> bool {
    is_past(second, date, overlap) || date.is_some_and(|date| second.0 > date.0.saturating_add(overlap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u64, times: (i64, i64)) -> PageInfo {
        let fingerprint = [u8::try_from(number).unwrap(); 16];
        let (first, last) = (Some(UnixSecond(times.0)), Some(UnixSecond(times.1)));
        PageInfo { size: 10, rows: 10, first, last, date: Some(UnixSecond(1_000)), fingerprint, ..PageInfo::default() }
    }

    /// A list of `pages` pages whose first one has been read.
    fn list(pages: u64) -> NumberedPages {
        let first = PageInfo { pages: Some(pages), next: Some("2".into()), ..page(1, (10, 19)) };
        NumberedPages::begin(None, None, 1, 0, &first).unwrap()
    }

    fn asked(list: &mut NumberedPages) -> (usize, u64) {
        match list.next() {
            Some(NextRequest::Page(id, PageRequest::Page { page, .. })) => (id, page),
            other => panic!("{other:?} is no page"),
        }
    }

    #[test]
    fn a_wrong_page_count_abandons_the_numbered_list() {
        let mut list = list(1_000_000);
        let (id, number) = asked(&mut list);
        assert_eq!((number, list.next()), (1_000_000, None));
        let empty = PageInfo { rows: 0, first: None, last: None, ..page(9, (0, 0)) };
        assert_eq!(list.page(id, &empty), Some(PageOutcome::GiveUp));
        let open = Range { from: None, to: None, at: Some(UnixSecond(19)) };
        assert_eq!(list.left(), [open]);
    }

    /// Pages 4 and 3 are read beside 2 and 1; after page 2 was read and before page 3 is, a row moves from one to the other.
    #[test]
    fn a_row_that_crosses_a_border_is_read_again_in_the_lower_part() {
        let mut list = list(5);
        let (last, _) = asked(&mut list);
        list.page(last, &page(5, (50, 59))).unwrap();
        let (upper, four) = asked(&mut list);
        let (lower, two) = asked(&mut list);
        assert_eq!((four, two), (4, 2));
        list.page(lower, &page(2, (20, 29))).unwrap();
        list.page(upper, &page(4, (40, 49))).unwrap();
        assert_eq!((asked(&mut list), asked(&mut list)), ((lower, 1), (upper, 3)));
        list.page(lower, &page(1, (10, 19))).unwrap();
        list.page(upper, &page(3, (31, 40))).unwrap();
        // Should the read end here, the rest remains to be read.
        assert_eq!(
            list.left(),
            [Range { from: Some(UnixSecond(29)), to: Some(UnixSecond(32)), at: Some(UnixSecond(29)) }]
        );
        let (id, again) = asked(&mut list);
        assert_eq!((id, again), (upper, 2));
        let keep = list.page(id, &PageInfo { fingerprint: [7; 16], ..page(2, (21, 30)) });
        assert_eq!(keep, Some(PageOutcome::Keep(RowFilter::Within(None, None))));
        assert!(list.is_done() && list.left().is_empty());
    }
}
