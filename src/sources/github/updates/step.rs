//! The vocabulary of a read plan: requests, what the plan needs to know of their responses, and points in time.

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970: GitHub's granularity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Timestamp", into = "Timestamp")]
pub struct UnixSecond(pub i64);

impl UnixSecond {
    /// The time that is this many seconds earlier.
    pub fn minus(self, seconds: i64) -> Self {
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

/// A range of `updated_at` that is still to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Its start; `None`: the beginning of time.
    pub from: Option<UnixSecond>,
    /// Its end, exclusive; `None`: the end of the list.
    pub to: Option<UnixSecond>,
    /// All rows before this time have been delivered.
    pub at: Option<UnixSecond>,
}

/// A request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
    /// Page 1 of the rows updated since this time.
    Since(Option<UnixSecond>),
    /// Exactly this URL.
    Url(String),
    /// A page by its number.
    Page {
        /// The list has the rows updated since this time.
        since: Option<UnixSecond>,
        /// Rows per page.
        size: u32,
        /// The number of the page, counted from 1.
        page: u64,
    },
    /// The newest row.
    Newest,
    /// A page of the newest rows, the newest first.
    NewestPage,
}

/// The properties of a page that the read plan needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageInfo {
    /// The URL of the request.
    pub url: String,
    /// How many rows were requested.
    pub size: u32,
    /// How many rows it has.
    pub rows: usize,
    /// The time of the first row that has one.
    pub first: Option<UnixSecond>,
    /// The time of the last row that has one.
    pub last: Option<UnixSecond>,
    /// The next page, according to the server's link.
    pub next: Option<String>,
    /// The next page without a link from the server: there may be one, because the page is full, or because the server does not say
    /// whether the list continues.
    pub unconfirmed_next: Option<String>,
    /// How many pages the list has, where the server counts them.
    pub pages: Option<u64>,
    /// The time of the response, by the server's clock.
    pub date: Option<UnixSecond>,
    /// The number of rows of the longest page of this read, including this one.
    pub longest: usize,
    /// It extends so far beyond the start of the read that its successors are left to the next read.
    pub is_beyond_read: bool,
    /// A hash of the page.
    pub fingerprint: [u8; 16],
}

impl PageInfo {
    /// Whether it has as many rows as were requested.
    pub fn is_full(&self) -> bool {
        self.rows >= usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Whether the list continues, or may continue, after this page.
    pub fn may_continue(&self) -> bool {
        self.next.is_some() || (self.unconfirmed_next.is_some() && self.is_full())
    }

    /// Whether the server does not say if the list continues after this page, which is shorter than requested.
    ///
    /// A gateway may shorten pages and drop links, so the length alone is not an end. Only a page without news is, and only if the
    /// server sends longer ones. A list that changes all the time would never end; a page beyond the read ends it.
    pub fn is_end_unknown(&self) -> bool {
        self.next.is_none() && self.unconfirmed_next.is_some() && !self.is_full() && !self.is_beyond_read
    }
}

/// Which rows of a page are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFilter {
    /// None: they will be read again.
    Nothing,
    /// Those from the first time to before the second, and all rows without a time.
    Within(Option<UnixSecond>, Option<UnixSecond>),
}

impl RowFilter {
    /// Whether a row with this time is delivered.
    pub fn has(self, second: Option<UnixSecond>) -> bool {
        match (self, second) {
            (Self::Nothing, _) => false,
            (Self::Within(..), None) => true,
            (Self::Within(from, to), Some(second)) => {
                from.is_none_or(|from| from <= second) && to.is_none_or(|to| second < to)
            }
        }
    }
}

/// An entity tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityTag {
    /// The tag itself.
    pub value: String,
    /// The kind of credentials that received it; it is worthless to others.
    pub credentials: String,
    /// Whether it is the tag of the newest page, newest first, rather than that of a poll.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newest: bool,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Looks for news.
    Poll,
    /// The newest row, or the newest page.
    Newest,
    /// A page of a range, by the range's number.
    Range(usize),
    /// A page of a part of a numbered list, by the part's number.
    Part(usize),
    /// The reference page of a numbered list, once more.
    Check,
    /// The page after that of a poll.
    Probe,
}

impl Task {
    /// Whether the read can do without it when the server answers with this status: rows of numbered pages (GitHub answers 422 to
    /// high numbers) can be read by key, and the newest rows are only a shortcut.
    pub(crate) fn can_skip(self, status: Option<u16>) -> bool {
        match self {
            Self::Poll | Self::Range(_) => false,
            Self::Part(_) | Self::Check | Self::Probe => matches!(status, Some(400 | 404 | 422)),
            Self::Newest => matches!(status, Some(400 | 422 | 500..=599)),
        }
    }
}

/// The result of a request.
#[derive(Debug)]
pub enum StepResult {
    /// Nothing has changed since the entity tag.
    NotModified,
    /// A page, and its entity tag where it can be used again.
    Page(PageInfo, Option<EntityTag>),
    /// The time of the newest row, and the entity tag of its page.
    Newest(Option<UnixSecond>, Option<EntityTag>),
}

/// A request to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Its purpose.
    pub task: Task,
    /// The kind of request.
    pub request: PageRequest,
    /// Makes the request conditional.
    pub tag: Option<EntityTag>,
}
