//! The requests of a read, and their answers.

use super::checkpoint::Tag;
use super::ranges::{Ask, Facts, Second};

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
pub(super) enum Answer {
    /// Nothing has changed since the entity tag.
    NotModified,
    /// A page, and its entity tag where it may be used again.
    Page(Facts, Option<Tag>),
    /// The newest row's time, and the entity tag of the page that it is on.
    Newest(Option<Second>, Option<Tag>),
}

/// A request to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) task: Task,
    pub(super) ask: Ask,
    pub(super) tag: Option<Tag>,
}
