//! The end of a list whose server sends no links.
//!
//! A page without a link that is shorter than requested may be the last one, or cut by a gateway: only a page without news proves
//! the end. A list that changes at every request always has news. Therefore the plan requests the newest row after some such
//! pages; rows after it have changed since, and are left to the next read.

use super::step::{EntityTag, PageInfo, PageRequest, Step, Task, UnixSecond};

/// The plan requests the newest row after this many pages with an unknown end.
const MAX_OPEN_ENDED_PAGES: u32 = 3;

/// At most this many pages may extend beyond the newest row while each is as long as the longest: a gateway may have cut them.
const LATE_PAGES: u32 = 300;

#[derive(Debug, Default)]
pub(super) struct ListEnd {
    /// The number of rows of the longest page of this read.
    longest: usize,
    /// How many pages had an unknown end.
    open_ended_pages: u32,
    newest: NewestRow,
    /// How many pages extended beyond the newest row.
    late_pages: u32,
}

/// The newest row at the time of the request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum NewestRow {
    #[default]
    Unknown,
    Asked,
    /// When it was updated; `None` when the request failed.
    At(Option<UnixSecond>),
}

impl ListEnd {
    /// Records a page, and sets its facts about other pages.
    pub(super) fn record(&mut self, page: &mut PageInfo) {
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

    /// Returns the request for the newest row, when it is due.
    pub(super) fn next(&mut self) -> Option<Step> {
        if self.newest != NewestRow::Unknown || self.open_ended_pages < MAX_OPEN_ENDED_PAGES {
            return None;
        }
        self.newest = NewestRow::Asked;
        Some(Step { task: Task::Newest, request: PageRequest::Newest, tag: None })
    }

    /// Whether the request for the newest row is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.newest == NewestRow::Asked
    }

    /// Sets the time of the newest row; `None` when the request failed.
    pub(super) fn set_newest(&mut self, newest: Option<UnixSecond>) {
        self.newest = NewestRow::At(newest);
    }

    /// Requests the newest row once more.
    pub(super) fn repeat(&mut self) {
        self.newest = NewestRow::Unknown;
    }
}

/// Checks whether a poll's page is the last one, where it has no link to a next page, and is full or as long as any page of the server
/// ever was.
///
/// The page after it shows whether the list continues. When that is empty, rows may have moved from it to the full page, which
/// is therefore requested again. The tag of the full page would not change when rows are added after it; that of the newest
/// page does.
#[derive(Debug)]
pub(super) struct LastPageCheck {
    pub(super) info: PageInfo,
    pub(super) tag: Option<EntityTag>,
    state: CheckState,
}

/// The next request of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckState {
    /// The newest page, for its entity tag.
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

    /// Whether a request other than a poll is under way.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, CheckState::NewestSent | CheckState::FollowingSent)
    }

    /// Returns the next request; `since` is that of the page.
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

    /// Repeats the last request.
    pub(super) fn repeat(&mut self) {
        self.state = if self.state == CheckState::NewestSent { CheckState::Newest } else { CheckState::Following };
    }

    /// Continues after the request for the newest page, whether it succeeded or not.
    pub(super) fn after_newest(&mut self) {
        self.state = CheckState::Following;
    }

    /// Applies the page after it; false when the list continues.
    pub(super) fn may_be_last(&mut self, after: &PageInfo) -> bool {
        self.state = CheckState::Again;
        after.rows == 0 && !after.may_continue()
    }
}
