//! What a source tells the engine beside its data: traffic, waits and quotas.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Time spent waiting for limits, in milliseconds. Waits side by side count once each.
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
    waited_ms: AtomicU64,
    listener: Box<dyn Fn(SourceEvent) + Send + Sync>,
}

impl Monitor {
    /// A monitor that hands every event to `listener`, which must not block.
    pub fn new(listener: impl Fn(SourceEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
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

    /// Counts time spent waiting for a limit.
    pub fn waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.waited_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Passes an event on.
    pub fn event(&self, event: SourceEvent) {
        (self.0.listener)(event);
    }

    /// What reading has cost so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.0.requests.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            waited_ms: self.0.waited_ms.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.traffic()).finish()
    }
}
