//! Where a list ends whose server sends no links.
//!
//! A page without a link that is shorter than was asked for may be the last one, or cut by a gateway: only one that brings nothing new
//! tells. A list that changes at every request always brings something. Therefore the newest row is asked for after some such
//! pages; what comes after it has changed since, and is for the next read.

use super::ranges::{Ask, Facts, Second};
use super::step::{Step, Task};

/// The newest row is asked for after this many pages that do not say whether the list goes on.
const PATIENCE: u32 = 3;

/// At most this many pages may reach beyond the newest row while each is as long as the longest: a gateway may have cut them.
const LATE_PAGES: u32 = 300;

#[derive(Debug, Default)]
pub(super) struct End {
    /// How many rows the longest page of this read has.
    longest: usize,
    /// How many pages did not say whether the list goes on.
    silent_pages: u32,
    newest: Newest,
    /// How many pages reached beyond the newest row.
    late_pages: u32,
}

/// The row that is the newest one when it is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Newest {
    #[default]
    Unknown,
    Asked,
    /// When it was updated; `None` when that cannot be had.
    At(Option<Second>),
}

impl End {
    /// Takes note of a page, and tells it what others were like.
    pub(super) fn look(&mut self, page: &mut Facts) {
        self.longest = self.longest.max(page.rows);
        page.longest = self.longest;
        self.silent_pages += u32::from(page.is_silent());
        if let Newest::At(Some(newest)) = self.newest
            && page.last > Some(newest)
        {
            self.late_pages += 1;
            page.beyond = page.rows < self.longest || self.late_pages > LATE_PAGES;
        }
    }

    /// The request for the newest row, when it is wanted.
    pub(super) fn next(&mut self) -> Option<Step> {
        if self.newest != Newest::Unknown || self.silent_pages < PATIENCE {
            return None;
        }
        self.newest = Newest::Asked;
        Some(Step { task: Task::Newest, ask: Ask::Newest, tag: None })
    }

    /// Whether the newest row is being asked for.
    pub(super) fn is_asking(&self) -> bool {
        self.newest == Newest::Asked
    }

    /// The newest row came, or cannot be had.
    pub(super) fn newest_came(&mut self, newest: Option<Second>) {
        self.newest = Newest::At(newest);
    }

    /// The newest row has to be asked for once more.
    pub(super) fn repeat(&mut self) {
        self.newest = Newest::Unknown;
    }
}
