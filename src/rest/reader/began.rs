//! When a read began, which is how far the next one can rely on it.
//!
//! That is a time of the server: versions are. Where its answers do not tell it, this machine's clock may stand in, but it may be wrong. What
//! the read has seen is certain: the newest version of the first page is not after the start. That of a later page may be of a change during the
//! read, which also made another one on a page that was read before: it counts less the time since the first request.

use std::time::Instant;

use jiff::Timestamp;

use super::super::time::{latest, unit, whole_second};
use super::list::micros;
use super::position::Unfinished;

/// When a read began. Times are microseconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Began {
    /// By this machine's clock.
    local: i64,
    /// By the server's clock, as its first answer tells.
    server: Option<i64>,
    /// A version up to which the server's time had come, as far as was seen.
    seen: Option<i64>,
    /// The finest unit of the versions. What changes later in the unit in which the read began gets a version before its start.
    unit: Option<i64>,
    /// When the first request was sent; `None` in a read that resumes.
    sent: Option<Instant>,
    answers: u64,
}

impl Began {
    /// A read that begins now, or resumes one.
    pub(super) fn new(now: i64, resumed: Option<&Unfinished>) -> Self {
        let new = Self { local: now, server: None, seen: None, unit: None, sent: None, answers: 0 };
        match resumed {
            None => Self { sent: Some(Instant::now()), ..new },
            Some(read) if read.is_local => Self { local: read.started, seen: read.newest, unit: read.unit, ..new },
            Some(read) => Self { server: Some(read.started), unit: read.unit, ..new },
        }
    }

    /// Takes note of an answer, and of the server's time if it tells.
    pub(super) fn answered(&mut self, date: Option<Timestamp>) {
        self.answers += 1;
        if self.answers == 1 && self.sent.is_some() {
            self.server = date.map(|date| whole_second(date.as_microsecond()));
        }
    }

    /// Takes note of the versions of the last answer.
    pub(super) fn saw(&mut self, versions: impl Iterator<Item = i64> + Clone) {
        self.unit = self.unit.into_iter().chain(versions.clone().map(unit)).min();
        if let (Some(newest), Some(sent)) = (versions.max(), self.sent) {
            let since = if self.answers > 1 { micros(sent.elapsed()) } else { 0 };
            self.seen = self.seen.max(Some(newest.saturating_sub(since)));
        }
    }

    /// The server's time, or else this machine's.
    pub(super) fn time(&self) -> i64 {
        self.server.unwrap_or(self.local)
    }

    /// Whether a record of this version has changed after the start. Without the server's time, a version after the present is no evidence:
    /// this machine's clock may be behind.
    pub(super) fn is_before(&self, version: i64) -> bool {
        version > self.time() && (self.server.is_some() || version < latest())
    }

    /// The mark of a read that has ended. It stays where it was if neither the server nor a version tells the time. What changes later in the
    /// unit of the versions gets a version before the start: the mark is rounded down to it.
    pub(super) fn mark(&self, before: Option<i64>) -> Option<i64> {
        match self.server {
            Some(server) => Some(self.rounded_down(server.min(self.local).max(0))),
            None => self.seen.map(|seen| self.rounded_down(seen.min(self.local))).max(before),
        }
    }

    fn rounded_down(&self, time: i64) -> i64 {
        let time = whole_second(time);
        self.unit.map_or(time, |unit| time.div_euclid(unit) * unit)
    }

    /// What a read that resumes at `at` has to know.
    pub(super) fn unfinished(&self, at: i64) -> Unfinished {
        let is_local = self.server.is_none();
        Unfinished { started: self.time(), at, is_local, newest: self.seen.filter(|_| is_local), unit: self.unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_mark_is_the_servers_time_or_what_was_seen() {
        let date = |second| Timestamp::from_second(second).ok();
        for (date, seen, before, expected) in [
            (date(90), Some(50), Some(10), Some(90)),
            // The server's clock is ahead.
            (date(200), Some(50), None, Some(100)),
            (None, Some(50), Some(10), Some(50)),
            // A version of the future, or this machine's clock is behind.
            (None, Some(200), Some(10), Some(100)),
            (None, Some(200), Some(150), Some(150)),
            (None, None, Some(10), Some(10)),
            (None, None, None, None),
            // Versions are whole minutes.
            (date(90), Some(60), None, Some(60)),
            (None, Some(60), None, Some(60)),
        ] {
            let mut began = Began::new(100 * SECOND, None);
            began.answered(date);
            began.saw(seen.map(|second| second * SECOND).into_iter());
            let mark = began.mark(before.map(|second: i64| second * SECOND));
            assert_eq!(mark, expected.map(|second: i64| second * SECOND), "{date:?} {seen:?} {before:?}");
            // A read that resumes has the same.
            let resumed = Began::new(100 * SECOND, Some(&began.unfinished(7)));
            assert_eq!(resumed.mark(before.map(|second| second * SECOND)), mark, "{date:?} {seen:?} {before:?}");
        }
    }

    #[test]
    fn what_changes_later_is_after_the_start() {
        let now = latest() - SECOND;
        let mut began = Began::new(now - 10 * SECOND, None);
        assert!(!began.is_before(now - 20 * SECOND) && began.is_before(now - 5 * SECOND));
        assert!(!began.is_before(now + 3_600 * SECOND), "this machine's clock may be behind");
        began.answered(Timestamp::from_microsecond(now - 10 * SECOND).ok());
        assert!(began.is_before(now + 3_600 * SECOND));
    }
}
