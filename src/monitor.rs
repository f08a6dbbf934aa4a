//! A source's reports besides its data: traffic, waits and quotas.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::bounded;

/// An event that a source reports while it reads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SourceEvent {
    /// The source pauses, for instance because a quota is used up.
    Waiting {
        /// Why, as a message for people: `primary rate limit`.
        reason: String,
        /// The end of the pause.
        until: Timestamp,
    },
    /// The wait is over.
    Resumed,
    /// The state of the remote's quota.
    Quota {
        /// Requests left in this window.
        remaining: u64,
        /// Requests in each window, if the remote reports it.
        limit: Option<u64>,
        /// The end of the window, if the remote reports it.
        reset: Option<Timestamp>,
    },
    /// The list that is being read has this many pages of the size of those that are read.
    Pages(u64),
    /// A message for people that does not stop the run, such as `reading anonymously`.
    Warning(String),
}

impl fmt::Display for SourceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { reason, until } => write!(f, "waiting until {until}: {reason}"),
            Self::Resumed => f.write_str("the wait is over"),
            Self::Quota { remaining, limit: Some(limit), .. } => write!(f, "{remaining} of {limit} requests left"),
            Self::Quota { remaining, .. } => write!(f, "{remaining} requests left"),
            Self::Pages(pages) => write!(f, "{pages} pages in the list"),
            Self::Warning(warning) => f.write_str(warning),
        }
    }
}

/// The traffic of a source so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests sent, including retries.
    pub requests: u64,
    /// Bytes received in response bodies, after decompression.
    pub bytes: u64,
    /// The time in which at least one request waited for a limit, in milliseconds. Concurrent waits count once.
    pub waited_ms: u64,
}

/// Counts a source's traffic and passes its [`SourceEvent`]s to the engine.
///
/// Clones are cheap and share their counters. Its methods never block.
#[derive(Clone)]
pub struct Monitor(Arc<Inner>);

struct Inner {
    requests: AtomicU64,
    bytes: AtomicU64,
    waits: Mutex<Waits>,
    listener: Box<dyn Fn(SourceEvent) + Send + Sync>,
}

impl Monitor {
    /// A monitor that passes every event to `listener`, which must not block.
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

    /// Counts a request.
    pub fn request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts received bytes.
    pub fn received(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts the time until the guard is dropped as waiting for a limit. Concurrent waits count once.
    #[must_use = "the wait ends when this is dropped"]
    pub fn wait(&self) -> WaitGuard {
        let mut waits = self.0.waits();
        if waits.waiting == 0 {
            waits.since = Some(Instant::now());
        }
        waits.waiting += 1;
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

    /// The traffic so far.
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
        // No code panics while it is held.
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds up the time in which at least one request waited.
#[derive(Default)]
struct Waits {
    /// The number of current waits.
    waiting: usize,
    /// The start of the current waits.
    since: Option<Instant>,
    /// The total of earlier waits.
    ended: Duration,
}

impl Waits {
    fn total(&self) -> Duration {
        self.ended + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A wait for a limit that ends when the guard is dropped.
#[derive(Debug)]
pub struct WaitGuard(Monitor);

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = self.0.0.waits();
        waits.waiting -= 1;
        if waits.waiting == 0 {
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
    async fn concurrent_waits_count_once_and_a_current_wait_counts() {
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
