//! A poll's page that may be the last one and names no next one, of a server that may send no links: it is full, or as long as any
//! page of that server ever was.
//!
//! The page after it tells whether the list goes on. When that is empty, rows may have slipped from it to the full page, which
//! is therefore asked for again. The full page's own tag would not show that rows come after it; the newest page's does.

use super::checkpoint::Tag;
use super::ranges::{Ask, Facts, Second};
use super::step::{Step, Task};

#[derive(Debug)]
pub(super) struct FullPage {
    pub(super) facts: Facts,
    pub(super) tag: Option<Tag>,
    asks: Asks,
}

/// What is asked for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// The newest page, for its tag.
    Newest,
    NewestSent,
    /// The page after it.
    After,
    AfterSent,
    /// The page itself.
    Again,
}

impl FullPage {
    pub(super) fn new(facts: Facts, tag: Option<Tag>) -> Self {
        Self { facts, tag, asks: Asks::Newest }
    }

    /// Whether a request other than a poll waits for its answer.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.asks, Asks::NewestSent | Asks::AfterSent)
    }

    /// The next request; `since` is that of the page.
    pub(super) fn next(&mut self, since: Option<Second>) -> Option<Step> {
        match self.asks {
            Asks::Newest => {
                self.asks = Asks::NewestSent;
                Some(Step { task: Task::Newest, ask: Ask::NewestPage, tag: None })
            }
            Asks::After => {
                self.asks = Asks::AfterSent;
                let url = self.facts.probe.clone()?;
                Some(Step { task: Task::Probe, ask: Ask::Url(url), tag: None })
            }
            Asks::Again => Some(Step { task: Task::Poll, ask: Ask::Since(since), tag: self.tag.clone() }),
            Asks::NewestSent | Asks::AfterSent => None,
        }
    }

    /// The last request has to be made once more.
    pub(super) fn repeat(&mut self) {
        self.asks = if self.asks == Asks::NewestSent { Asks::Newest } else { Asks::After };
    }

    /// The newest page came, or cannot be had.
    pub(super) fn newest_came(&mut self) {
        self.asks = Asks::After;
    }

    /// Takes the page after it: false when the list goes on.
    pub(super) fn may_be_last(&mut self, after: &Facts) -> bool {
        self.asks = Asks::Again;
        after.rows == 0 && !after.more()
    }
}
