//! The upstream's virtual clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The server's time. Clones share it.
///
/// It stays at a fixed instant until a test [advances](Self::advance) it, so that a seed produces the same data
/// on every machine; [`GithubServerBuilder::live_clock`](super::GithubServerBuilder::live_clock) makes it run.
///
/// A change that comes after a list was served never gets a second that the list may have shown: `Date` has told the client
/// that those seconds are over. A fixed clock advances by a second then, which the headers do not show.
///
/// Issues get their times from here. What a client measures against its *own* clock (`Date`, `x-ratelimit-reset`,
/// `expires_at`) is real time, moved by as much as this clock was advanced or stepped back.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The fixed instant; `None` when the clock runs.
    start: Option<Timestamp>,
    moved_ms: AtomicI64,
    /// The time that mutations added, which headers do not show: ten thousand requests must not push `Date` hours ahead.
    ticked_ms: AtomicI64,
    /// The second in which a list was last served.
    served: AtomicI64,
}

impl Clock {
    pub(crate) fn fixed(start: Timestamp) -> Self {
        Self::new(Some(start))
    }

    pub(crate) fn live() -> Self {
        Self::new(None)
    }

    fn new(start: Option<Timestamp>) -> Self {
        let (moved_ms, ticked_ms, served) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(i64::MIN));
        Self(Arc::new(Inner { start, moved_ms, ticked_ms, served }))
    }

    /// The time of the next change of an issue.
    pub fn now(&self) -> Timestamp {
        let moved = self.0.moved_ms.load(Ordering::Relaxed) + self.0.ticked_ms.load(Ordering::Relaxed);
        shifted(self.0.start.unwrap_or_else(Timestamp::now), moved)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.moved_ms.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// Moves the clock back, like a server whose time was wrong: later changes get earlier times.
    pub fn step_back(&self, by: Duration) {
        self.0.moved_ms.fetch_sub(millis(by), Ordering::Relaxed);
    }

    /// Advances a fixed clock without any effect on headers; a running clock advances by itself.
    pub(crate) fn tick(&self, by: Duration) {
        if self.0.start.is_some() {
            self.0.ticked_ms.fetch_add(millis(by), Ordering::Relaxed);
        }
    }

    /// The second of the next change.
    pub(crate) fn second(&self) -> u32 {
        if self.now().as_second() == self.0.served.load(Ordering::Relaxed) {
            self.tick(Duration::from_secs(1));
        }
        second_of(self.now())
    }

    /// Records that a list is served now.
    pub(crate) fn serve(&self) {
        self.0.served.store(self.now().as_second(), Ordering::Relaxed);
    }

    /// The time in headers and token expiries.
    pub(crate) fn wire(&self) -> Timestamp {
        shifted(Timestamp::now(), self.0.moved_ms.load(Ordering::Relaxed))
    }
}

fn shifted(time: Timestamp, ms: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(time)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Whole seconds since 1970, as issues store them; times outside 1970 to 2106 are clamped.
pub(crate) fn second_of(time: Timestamp) -> u32 {
    u32::try_from(time.as_second().max(0)).unwrap_or(u32::MAX)
}

/// The instant of a second.
pub(crate) fn timestamp(second: u32) -> Timestamp {
    Timestamp::from_second(i64::from(second)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A time as HTTP headers write it.
pub(crate) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
