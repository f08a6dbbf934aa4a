//! Where a list ends whose server sends no links.
//!
//! A page without a link that is shorter than was asked for may be the last one, or cut by a gateway: only one that brings nothing new
//! tells. A list that changes at every request always brings something. Therefore the newest row is asked for after some such
//! pages; what comes after it has changed since, and is for the next read.

use super::step::{EntityTag, PageInfo, PageRequest, Step, Task, UnixSecond};

/// The newest row is asked for after this many pages that do not say whether the list goes on.
const PATIENCE: u32 = 3;

/// At most this many pages may reach beyond the newest row while each is as long as the longest: a gateway may have cut them.
const LATE_PAGES: u32 = 300;

#[derive(Debug, Default)]
pub(super) struct ListEnd {
    /// How many rows the longest page of this read has.
    longest: usize,
    /// How many pages did not say whether the list goes on.
    open_ended_pages: u32,
    newest: NewestRow,
    /// How many pages reached beyond the newest row.
    late_pages: u32,
}

/// The row that is the newest one when it is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum NewestRow {
    #[default]
    Unknown,
    Asked,
    /// When it was updated; `None` when that cannot be had.
    At(Option<UnixSecond>),
}

impl ListEnd {
    /// Takes note of a page, and tells it what others were like.
    pub(super) fn look(&mut self, page: &mut PageInfo) {
        self.longest = self.longest.max(page.rows);
        page.longest = self.longest;
        self.open_ended_pages += u32::from(page.is_end_unknown());
        if let NewestRow::At(Some(newest)) = self.newest
            && page.last > Some(newest)
        {
            self.late_pages += 1;
            page.is_beyond_read = page.rows < self.longest || self.late_pages > LATE_PAGES;
        }
    }

    /// The request for the newest row, when it is wanted.
    pub(super) fn next(&mut self) -> Option<Step> {
        if self.newest != NewestRow::Unknown || self.open_ended_pages < PATIENCE {
            return None;
        }
        self.newest = NewestRow::Asked;
        Some(Step { task: Task::Newest, request: PageRequest::Newest, tag: None })
    }

    /// Whether the newest row is being asked for.
    pub(super) fn is_asking(&self) -> bool {
        self.newest == NewestRow::Asked
    }

    /// The newest row came, or cannot be had.
    pub(super) fn newest_came(&mut self, newest: Option<UnixSecond>) {
        self.newest = NewestRow::At(newest);
    }

    /// The newest row has to be asked for once more.
    pub(super) fn repeat(&mut self) {
        self.newest = NewestRow::Unknown;
    }
}

/// A poll's page that may be the last one and names no next one, of a server that may send no links: it is full, or as long as any
/// page of that server ever was.
///
/// The page after it tells whether the list goes on. When that is empty, rows may have slipped from it to the full page, which
/// is therefore asked for again. The full page's own tag would not show that rows come after it; the newest page's does.
#[derive(Debug)]
pub(super) struct LastPageCheck {
    pub(super) info: PageInfo,
    pub(super) tag: Option<EntityTag>,
    state: CheckState,
}

/// What is asked for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckState {
    /// The newest page, for its tag.
    Newest,
    NewestSent,
    /// The page after it.
    Following,
    FollowingSent,
    /// The page itself.
    Again,
}

impl LastPageCheck {
    pub(super) fn new(info: PageInfo, tag: Option<EntityTag>) -> Self {
        Self { info, tag, state: CheckState::Newest }
    }

    /// Whether a request other than a poll waits for its answer.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, CheckState::NewestSent | CheckState::FollowingSent)
    }

    /// The next request; `since` is that of the page.
    pub(super) fn next(&mut self, since: Option<UnixSecond>) -> Option<Step> {
        match self.state {
            CheckState::Newest => {
                self.state = CheckState::NewestSent;
                Some(Step { task: Task::Newest, request: PageRequest::NewestPage, tag: None })
            }
            CheckState::Following => {
                self.state = CheckState::FollowingSent;
                let url = self.info.unconfirmed_next.clone()?;
                Some(Step { task: Task::Probe, request: PageRequest::Url(url), tag: None })
            }
            CheckState::Again => {
                Some(Step { task: Task::Poll, request: PageRequest::Since(since), tag: self.tag.clone() })
            }
            CheckState::NewestSent | CheckState::FollowingSent => None,
        }
    }

    /// The last request has to be made once more.
    pub(super) fn repeat(&mut self) {
        self.state = if self.state == CheckState::NewestSent { CheckState::Newest } else { CheckState::Following };
    }

    /// The newest page came, or cannot be had.
    pub(super) fn newest_came(&mut self) {
        self.state = CheckState::Following;
    }

    /// Takes the page after it: false when the list goes on.
    pub(super) fn may_be_last(&mut self, after: &PageInfo) -> bool {
        self.state = CheckState::Again;
        after.rows == 0 && !after.may_continue()
    }
}
