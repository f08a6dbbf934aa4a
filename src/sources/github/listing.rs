//! A list whose pages are counted, read by page number: which page is next, and when no row can be missing. Pure, like
//! [`super::ranges`].
//!
//! A server that says how many pages a list has (`Link: rel="last"`) lets every page be read once, side by side, however
//! the rows are spread over time. Page numbers drift, though: when a row leaves its place, every row behind it moves
//! up, and one of them moves from the top of page `n + 1` to the bottom of page `n`.
//!
//! # Why no row is missed
//!
//! A row that is updated goes to the end of the list. No row enters the list among rows that are *settled*: older, by the
//! server's clock, than the seconds in which rows may still appear. So the rank of a settled row only ever falls.
//!
//! * **Downwards.** One part of the pages is read from its highest page to its lowest. A row that was on one of these pages
//!   when the first of them was read is on page `n` or below when page `n` is about to be read: it is read then, or it is
//!   on page `n - 1` or below afterwards. Only an update takes it away, to the end.
//! * **Borders.** Parts are read side by side, so a row may slip from the lowest page of one part to the highest page of the
//!   part below after that page was read. The upper part therefore reads on, below its own pages, until it sees a row
//!   older than the last row of that page (all rows before it were on the lower part's pages when the lower part began),
//!   or the same page unchanged. Reading on ends at page 1 at the latest.
//! * **The witness.** Where there are several borders, one request can close all of them. The last page is read alone,
//!   before every other, and once more after every other. When it is the same and its first row is settled, the rank of
//!   that row has not changed, so no row before it has left its place meanwhile, and no border was crossed. Rows that
//!   are not settled, such as one with a date in the future, prove nothing: where a page has no settled row, the page
//!   below it is the witness.
//! * **Page 1** brought the number of pages, before the witness. It is read again, in its turn.
//! * **The end.** Rows that are updated while the list is read, and rows that appear beyond its last page, come with the poll
//!   that follows: it begins before the last row of the list as it was.

use super::ranges::{Ask, Facts, Keep, Range, Second};
use super::step::Task;

/// How many pages are read alone to find a witness.
const WITNESSES: u32 = 3;

/// What a listing needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A page, for the part with this number.
    Page(usize, Ask),
    /// The witness, again.
    Check(Ask),
    /// The newest page and its entity tag.
    Newest,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Keep(Keep),
    /// The pages are not what the server said they are.
    GiveUp,
}

/// Pages next to each other, read downwards.
#[derive(Debug)]
struct Part {
    id: usize,
    low: u64,
    /// The page that is read next, or is under way; below `low` to close the border.
    page: u64,
    busy: bool,
    top: Option<Top>,
    /// The time of the first row on the lowest page that was read.
    reached: Option<Second>,
    /// Every row up to `top` is read, by this part or by the parts below.
    closed: bool,
}

/// The first page that a part read.
#[derive(Debug)]
struct Top {
    page: u64,
    fingerprint: [u8; 16],
    last: Second,
}

/// A page that was read before all pages below it.
#[derive(Debug)]
struct Witness {
    page: u64,
    fingerprint: [u8; 16],
    /// The list ended with it.
    ends: bool,
}

/// Something that is asked for once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Once {
    /// It is not needed, or not any more.
    Never,
    Wanted,
    Asked,
    Held,
    Failed,
}

#[derive(Debug)]
pub(super) struct Listing {
    since: Option<Second>,
    size: u32,
    /// Rows before do not count.
    floor: Option<Second>,
    /// The time of the last row on page 1, as it was first read.
    at: Option<Second>,
    first_page: [u8; 16],
    /// From the lowest pages to the highest.
    parts: Vec<Part>,
    next_id: usize,
    overlap: i64,
    /// The time of the last row of all, once the last page was read.
    end: Option<Second>,
    witness: Option<Witness>,
    /// How many more pages are read alone to find it.
    alone: u32,
    check: Once,
    newest: Once,
}

impl Listing {
    /// Begins with page 1 of `since`, which has been delivered; `None` where its pages are not counted, or where rows may
    /// still appear everywhere behind it. Its parts are numbered from `next_id`.
    pub(super) fn begin(
        since: Option<Second>,
        floor: Option<Second>,
        overlap: i64,
        next_id: usize,
        page: &Facts,
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
            witness: None,
            alone: WITNESSES,
            check: Once::Never,
            newest: Once::Never,
        })
    }

    pub(super) fn next_id(&self) -> usize {
        self.next_id
    }

    /// The requests that wait for an answer.
    pub(super) fn tasks(&self) -> impl Iterator<Item = Task> {
        let parts = self.parts.iter().filter(|part| part.busy).map(|part| Task::Part(part.id));
        let once = |once, task| (once == Once::Asked).then_some(task);
        parts.chain(once(self.check, Task::Check)).chain(once(self.newest, Task::Newest))
    }

    /// How many requests wait for an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.tasks().count()
    }

    /// The time of the last row of all, once it is known.
    pub(super) fn end(&self) -> Option<Second> {
        self.end
    }

    /// Every page is read; whether rows slipped away is being found out.
    pub(super) fn is_checking(&self) -> bool {
        self.check == Once::Asked
    }

    /// Whether the newest page's tag, rather than a poll, ends the read when nothing has changed meanwhile.
    pub(super) fn wants_tag(&self) -> bool {
        matches!(self.newest, Once::Wanted | Once::Asked | Once::Held)
    }

    pub(super) fn is_done(&self) -> bool {
        let checked = match self.newest {
            Once::Wanted | Once::Asked => false,
            // A tag holds only if nothing has changed since.
            Once::Held => matches!(self.check, Once::Held | Once::Failed),
            Once::Never | Once::Failed => self.check != Once::Asked,
        };
        checked && self.parts.iter().all(|part| part.closed)
    }

    /// No row has slipped away while it was read.
    pub(super) fn is_same(&self) -> bool {
        self.check == Once::Held
    }

    /// Nothing at all has changed while it was read, so that the newest page's tag says when something does.
    pub(super) fn is_unchanged(&self) -> bool {
        self.is_same() && self.newest == Once::Held && self.witness.as_ref().is_some_and(|witness| witness.ends)
    }

    /// What is left, in the order of time, as ranges that are read by key.
    pub(super) fn left(&self) -> Vec<Range> {
        if self.end.is_none() {
            return vec![Range { from: self.floor, to: None, at: self.at }];
        }
        let (mut left, mut from, mut at) = (Vec::new(), self.floor, self.at);
        for part in &self.parts {
            // Nothing of it was read: what is above takes it along.
            let Some(top) = &part.top else { continue };
            let to = part.reached.map_or(top.last, |reached| Second(reached.0.saturating_add(1)));
            if !part.closed && from < Some(to) {
                left.push(Range { from, to: Some(to), at });
            }
            (from, at) = (Some(top.last), Some(top.last));
        }
        left
    }

    fn ask(&self, page: u64) -> Ask {
        Ask::Page { since: self.since, size: self.size, page }
    }

    fn send(&mut self, index: usize) -> Next {
        let part = &mut self.parts[index];
        part.busy = true;
        let (id, page) = (part.id, part.page);
        Next::Page(id, self.ask(page))
    }

    /// The next request, if one can be made before another one is answered.
    pub(super) fn next(&mut self) -> Option<Next> {
        let own = |part: &Part| !part.closed && part.page >= part.low;
        if let Some(index) = self.parts.iter().position(|part| own(part) && !part.busy) {
            return Some(self.send(index));
        }
        if self.end.is_none() || self.witness.is_none() && self.alone > 0 && self.parts.iter().any(own) {
            return None;
        }
        if self.newest == Once::Wanted {
            self.newest = Once::Asked;
            return Some(Next::Newest);
        }
        if let Some(index) = self.split() {
            return Some(self.send(index));
        }
        if self.parts.iter().any(own) || self.newest == Once::Asked {
            return None;
        }
        let open = self.parts.iter().filter(|part| !part.closed).count();
        if self.check == Once::Never
            && (open > 1 || self.newest == Once::Held)
            && let Some(witness) = &self.witness
        {
            let ask = self.ask(witness.page);
            self.check = Once::Asked;
            return Some(Next::Check(ask));
        }
        if self.check == Once::Asked {
            return None;
        }
        let index = self.parts.iter().position(|part| !part.closed && !part.busy)?;
        Some(self.send(index))
    }

    /// Gives the lower half of the longest part that is being read to a part of its own.
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

    /// A part's request has to be made once more.
    pub(super) fn repeat(&mut self, id: usize) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.id == id) {
            part.busy = false;
        }
    }

    pub(super) fn repeat_check(&mut self) {
        self.check = Once::Never;
    }

    /// The newest page came, with an entity tag or without one, or not at all. Without a witness a tag is of no use.
    pub(super) fn newest(&mut self, has_tag: bool) {
        self.newest = if has_tag && self.witness.is_some() { Once::Held } else { Once::Failed };
    }

    pub(super) fn repeat_newest(&mut self) {
        self.newest = Once::Wanted;
    }

    /// The witness cannot be had: borders are closed one by one.
    pub(super) fn unchecked(&mut self) {
        self.check = Once::Failed;
    }

    /// Takes the witness as it is now.
    pub(super) fn checked(&mut self, facts: &Facts) {
        let same = self.witness.as_ref().is_some_and(|witness| witness.fingerprint == facts.fingerprint);
        self.check = if same { Once::Held } else { Once::Failed };
        if same {
            self.parts.iter_mut().for_each(|part| part.closed = true);
        }
        if let Some(witness) = &mut self.witness {
            witness.ends &= facts.next.is_none();
        }
    }

    /// Takes a page of a part, and says which of its rows count; `None` where there is no such part.
    pub(super) fn page(&mut self, id: usize, facts: &Facts) -> Option<Taken> {
        let index = self.parts.iter().position(|part| part.id == id)?;
        if self.end.is_none() {
            if !self.ends(facts) {
                return Some(Taken::GiveUp);
            }
            // Under its first number, the last rows of all are remembered until the poll brings them again.
            self.parts[index].id = self.next_id;
            self.next_id += 1;
        }
        let number = self.parts[index].page;
        if self.witness.is_none() && self.alone > 0 {
            self.alone -= 1;
            if facts.first.is_some_and(|first| is_past(first, facts.date, self.overlap)) {
                let ends = facts.next.is_none() && facts.last == self.end;
                self.witness = Some(Witness { page: number, fingerprint: facts.fingerprint, ends });
            }
        }
        let below = self.parts[..index].last().and_then(|part| part.top.as_ref());
        let same = below.is_some_and(|top| top.page == number && top.fingerprint == facts.fingerprint);
        let closed = number <= 1 || same || below.is_some_and(|top| facts.first.is_some_and(|first| first < top.last));
        let part = &mut self.parts[index];
        if part.top.is_none() {
            part.top = facts.last.map(|last| Top { page: number, fingerprint: facts.fingerprint, last });
        }
        part.reached = facts.first.or(part.reached);
        part.busy = false;
        part.closed |= closed;
        part.page = number.saturating_sub(1);
        let known = same || number == 1 && facts.fingerprint == self.first_page;
        Some(Taken::Keep(if known { Keep::Nothing } else { Keep::Within(self.floor, None) }))
    }

    /// Takes the end of the list from its last page; false when that page cannot be it.
    fn ends(&mut self, facts: &Facts) -> bool {
        let Some(last) = facts.last else { return false };
        self.end = Some(last);
        // Without a row that is older, what the next poll asks for may be more than a page.
        let crowded = facts.first.is_some_and(|first| first.0 >= last.0.saturating_sub(self.overlap));
        if crowded && is_settled(last, facts.date, self.overlap) && facts.next.is_none() {
            self.newest = Once::Wanted;
        }
        true
    }
}

/// Whether no row can appear at a second any more, nor one of its rows change without moving: it is past, by the server's
/// clock.
fn is_past(second: Second, date: Option<Second>, overlap: i64) -> bool {
    date.is_some_and(|date| second < date.minus(overlap))
}

/// Whether a second's rows cannot change without moving: it is past, or lies in the future.
pub(super) fn is_settled(second: Second, date: Option<Second>, overlap: i64) -> bool {
    is_past(second, date, overlap) || date.is_some_and(|date| second.0 > date.0.saturating_add(overlap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u64, times: (i64, i64)) -> Facts {
        let fingerprint = [u8::try_from(number).unwrap(); 16];
        let (first, last) = (Some(Second(times.0)), Some(Second(times.1)));
        Facts { size: 10, rows: 10, first, last, date: Some(Second(1_000)), fingerprint, ..Facts::default() }
    }

    /// A list of `pages` pages whose first one has been read.
    fn listing(pages: u64) -> Listing {
        let first = Facts { pages: Some(pages), next: Some("2".into()), ..page(1, (10, 19)) };
        Listing::begin(None, None, 1, 0, &first).unwrap()
    }

    fn asked(listing: &mut Listing) -> (usize, u64) {
        match listing.next() {
            Some(Next::Page(id, Ask::Page { page, .. })) => (id, page),
            other => panic!("{other:?} is no page"),
        }
    }

    #[test]
    fn a_number_of_pages_that_is_not_true_is_not_searched_for() {
        let mut listing = listing(1_000_000);
        let (id, number) = asked(&mut listing);
        assert_eq!((number, listing.next()), (1_000_000, None));
        let empty = Facts { rows: 0, first: None, last: None, ..page(9, (0, 0)) };
        assert_eq!(listing.page(id, &empty), Some(Taken::GiveUp));
        let open = Range { from: None, to: None, at: Some(Second(19)) };
        assert_eq!(listing.left(), [open]);
    }

    /// Pages 4 and 3 are read beside 2 and 1; after page 2 was read and before page 3 is, a row moves from one to the other.
    #[test]
    fn a_row_that_slips_over_a_border_is_read_again_from_below() {
        let mut listing = listing(5);
        let (last, _) = asked(&mut listing);
        listing.page(last, &page(5, (50, 59))).unwrap();
        let (upper, four) = asked(&mut listing);
        let (lower, two) = asked(&mut listing);
        assert_eq!((four, two), (4, 2));
        listing.page(lower, &page(2, (20, 29))).unwrap();
        listing.page(upper, &page(4, (40, 49))).unwrap();
        assert_eq!((asked(&mut listing), asked(&mut listing)), ((lower, 1), (upper, 3)));
        listing.page(lower, &page(1, (10, 19))).unwrap();
        listing.page(upper, &page(3, (31, 40))).unwrap();
        // What is not known to be read is left, should the read end here.
        assert_eq!(listing.left(), [Range { from: Some(Second(29)), to: Some(Second(32)), at: Some(Second(29)) }]);
        let (id, again) = asked(&mut listing);
        assert_eq!((id, again), (upper, 2));
        let keep = listing.page(id, &Facts { fingerprint: [7; 16], ..page(2, (21, 30)) });
        assert_eq!(keep, Some(Taken::Keep(Keep::Within(None, None))));
        assert!(listing.is_done() && listing.left().is_empty());
    }
}
