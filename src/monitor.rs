//! What a source tells the engine beside its data: traffic, waits and quotas.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::bounded;

/// Something that a source reports while it reads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SourceEvent {
    /// The source pauses by itself, for instance because a quota is used up.
    Waiting {
        /// Why, in words for a person: `primary rate limit`.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// The wait is over.
    Resumed,
    /// How much of the remote's quota is left.
    Quota {
        /// Requests left in this window.
        remaining: u64,
        /// Requests that a window holds, where the remote says so.
        limit: Option<u64>,
        /// When the window ends, where the remote says so.
        reset: Option<Timestamp>,
    },
    /// Something that a person should know and that stops nothing, such as `reading anonymously`.
    Warning(String),
}

/// What a source's reading has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Bytes received in response bodies, after decompression.
    pub bytes: u64,
    /// Time during which at least one request waited for a limit, in milliseconds. Waits side by side count once.
    pub waited_ms: u64,
}

/// A source's line to the engine: counts traffic and passes [`SourceEvent`]s on.
///
/// Clones share their counters. It is cheap to clone and never blocks.
#[derive(Clone)]
pub struct Monitor(Arc<Inner>);

struct Inner {
    requests: AtomicU64,
    bytes: AtomicU64,
    waits: Mutex<Waits>,
    listener: Box<dyn Fn(SourceEvent) + Send + Sync>,
}

impl Monitor {
    /// A monitor that hands every event to `listener`, which must not block.
    pub fn new(listener: impl Fn(SourceEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            waits: Mutex::default(),
            listener: Box::new(listener),
        }))
    }

    /// A monitor that only counts.
    pub fn detached() -> Self {
        Self::new(|_| {})
    }

    /// Counts one request sent.
    pub fn request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes received.
    pub fn received(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts the time as waiting for a limit until the guard is dropped. Where several wait at once, their time counts once.
    #[must_use = "the wait ends when this is dropped"]
    pub fn wait(&self) -> WaitGuard {
        let mut waits = self.0.waits();
        if waits.under_way == 0 {
            waits.since = Some(Instant::now());
        }
        waits.under_way += 1;
        WaitGuard(self.clone())
    }

    /// Passes an event on.
    pub fn event(&self, event: SourceEvent) {
        let event = match event {
            SourceEvent::Warning(warning) => SourceEvent::Warning(bounded(&warning)),
            SourceEvent::Waiting { reason, until } => SourceEvent::Waiting { reason: bounded(&reason), until },
            event => event,
        };
        (self.0.listener)(event);
    }

    /// What reading has cost so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.0.requests.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            waited_ms: u64::try_from(self.0.waits().total().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Inner {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        // Nothing panics while it is held.
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time during which something waited.
#[derive(Default)]
struct Waits {
    /// How many wait now.
    under_way: usize,
    /// Since when at least one has been waiting.
    since: Option<Instant>,
    /// The time before that.
    ended: Duration,
}

impl Waits {
    fn total(&self) -> Duration {
        self.ended + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A wait for a limit, which ends when this is dropped.
#[derive(Debug)]
pub struct WaitGuard(Monitor);

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = self.0.0.waits();
        waits.under_way -= 1;
        if waits.under_way == 0 {
            waits.ended = waits.total();
            waits.since = None;
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.traffic()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_side_by_side_count_once_and_one_that_goes_on_counts() {
        let monitor = Monitor::detached();
        let (first, second) = (monitor.wait(), monitor.clone().wait());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(monitor.traffic().waited_ms, 2_000, "both are still waiting");
        drop(first);
        tokio::time::advance(Duration::from_secs(3)).await;
        drop(second);
        tokio::time::advance(Duration::from_secs(60)).await;
        let third = monitor.wait();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(third);
        assert_eq!(monitor.traffic().waited_ms, 6_000);
    }
}
