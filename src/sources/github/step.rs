//! The requests of a read, and their answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970: GitHub's granularity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Timestamp", into = "Timestamp")]
pub(super) struct UnixSecond(pub(super) i64);

impl UnixSecond {
    pub(super) fn minus(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl From<Timestamp> for UnixSecond {
    fn from(time: Timestamp) -> Self {
        Self(time.as_millisecond().div_euclid(1_000))
    }
}

impl From<UnixSecond> for Timestamp {
    fn from(second: UnixSecond) -> Self {
        Self::from_second(second.0).unwrap_or(if second.0 < 0 { Self::MIN } else { Self::MAX })
    }
}

/// A part of the time line that is still to be read: from `from` (`None`: from its beginning) to before `to` (`None`: to
/// its end). All rows before `at` are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) from: Option<UnixSecond>,
    pub(super) to: Option<UnixSecond>,
    pub(super) at: Option<UnixSecond>,
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageRequest {
    /// Page 1 of what was updated since then.
    Since(Option<UnixSecond>),
    /// Exactly this address.
    Url(String),
    /// A page of what was updated since then, by its number.
    Page { since: Option<UnixSecond>, size: u32, page: u64 },
    /// The newest row.
    Newest,
    /// As many of the newest rows as make a page, the newest first.
    NewestPage,
}

/// What the planner needs to know about a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PageInfo {
    /// The address that was asked for.
    pub(super) url: String,
    /// How many rows were asked for.
    pub(super) size: u32,
    pub(super) rows: usize,
    /// The times of the first and the last row that have one.
    pub(super) first: Option<UnixSecond>,
    pub(super) last: Option<UnixSecond>,
    /// Where the next page is, by the server's link.
    pub(super) next: Option<String>,
    /// Where the next page would be, when there may be one and the server does not name it: the page holds as many rows as were
    /// asked for, or the server does not say whether the list goes on.
    pub(super) unconfirmed_next: Option<String>,
    /// How many pages the list has, where the server counts them.
    pub(super) pages: Option<u64>,
    /// When the server gave this answer, by its clock.
    pub(super) date: Option<UnixSecond>,
    /// How many rows the longest page of this read has, this one included.
    pub(super) longest: usize,
    /// Whether it reaches so far beyond the beginning of the read that what comes after it is for the next one.
    pub(super) is_beyond_read: bool,
    /// A hash of the page.
    pub(super) fingerprint: [u8; 16],
}

impl PageInfo {
    /// Whether it holds as many rows as were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Whether the list goes on, or may go on, after this page.
    pub(super) fn may_continue(&self) -> bool {
        self.next.is_some() || (self.unconfirmed_next.is_some() && self.is_full())
    }

    /// Whether the server does not say if the list goes on after this page, which is shorter than was asked for. A gateway may
    /// make pages shorter and drop the links, so that the length alone is no end: only a page that brings nothing new is, and
    /// only if the server gives longer ones. What changes all the time would never end: a page that reaches beyond the read does.
    pub(super) fn is_end_unknown(&self) -> bool {
        self.next.is_none() && self.unconfirmed_next.is_some() && !self.is_full() && !self.is_beyond_read
    }
}

/// Which rows of a page count; a row without a time counts in any case but `Nothing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFilter {
    /// None: they will be read again.
    Nothing,
    /// Those from the first time to before the second.
    Within(Option<UnixSecond>, Option<UnixSecond>),
}

impl RowFilter {
    pub(super) fn has(self, second: Option<UnixSecond>) -> bool {
        match (self, second) {
            (Self::Nothing, _) => false,
            (Self::Within(..), None) => true,
            (Self::Within(from, to), Some(second)) => {
                from.is_none_or(|from| from <= second) && to.is_none_or(|to| second < to)
            }
        }
    }
}

/// An entity tag, and the kind of credentials it was given to: it is worth nothing to any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntityTag {
    pub(super) value: String,
    pub(super) credentials: String,
    /// It is the newest page's, newest first, and not that of a poll.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) newest: bool,
}

/// Who an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// A look for news.
    Poll,
    /// The newest row of all, or the newest page.
    Newest,
    /// A range, by its number.
    Range(usize),
    /// A part of a listing, by its number.
    Part(usize),
    /// A listing's witness, once more.
    Check,
    /// The page after a poll's.
    Probe,
}

impl Task {
    /// Whether there is another way when the server refuses or fails with this status: pages by their number (GitHub answers
    /// 422 to high ones) are read by key then, and the newest rows are only a shortcut.
    pub(super) fn can_do_without(self, status: Option<u16>) -> bool {
        match self {
            Self::Poll | Self::Range(_) => false,
            Self::Part(_) | Self::Check | Self::Probe => matches!(status, Some(400 | 404 | 422)),
            Self::Newest => matches!(status, Some(400 | 422 | 500..=599)),
        }
    }
}

/// What a request brought.
#[derive(Debug)]
pub(super) enum StepResult {
    /// Nothing has changed since the entity tag.
    NotModified,
    /// A page, and its entity tag where it may be used again.
    Page(PageInfo, Option<EntityTag>),
    /// The newest row's time, and the entity tag of the page that it is on.
    Newest(Option<UnixSecond>, Option<EntityTag>),
}

/// A request to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) task: Task,
    pub(super) request: PageRequest,
    pub(super) tag: Option<EntityTag>,
}
