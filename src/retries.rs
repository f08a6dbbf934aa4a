//! How often, and for how long, a request that failed is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::Retry;

/// How often, and for how long, a request that failed is tried again.
///
/// What it waits for that is no failure counts neither as attempts nor as time: limits, a free place, the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// No attempt starts later than this after the first.
    pub timeout: Duration,
    /// The first delay; each further one doubles. Every delay is drawn at random between itself and twice itself, so
    /// that requests that failed together do not come back together.
    pub first_delay: Duration,
    /// The longest a delay grows, before the draw.
    pub max_delay: Duration,
}

impl Default for RetryConfig {
    /// Six attempts within five minutes, the first delay half a second, the longest thirty seconds.
    fn default() -> Self {
        Self {
            max_attempts: 6,
            timeout: Duration::from_secs(5 * 60),
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
        }
    }
}

impl RetryConfig {
    /// One attempt only.
    pub fn none() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    pub(crate) fn start(&self) -> Attempts {
        let delays = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(usize::try_from(self.max_attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .build();
        Attempts { delays, total: self.timeout, started: Instant::now(), made: 1 }
    }
}

/// The attempts of one request.
pub(crate) struct Attempts {
    delays: ExponentialBackoff,
    total: Duration,
    started: Instant,
    pub(crate) made: u32,
}

impl Attempts {
    /// How long to wait before another attempt; `None` to give up. `queued` is the time in which it was
    /// not this request's turn.
    pub(crate) fn next(&mut self, advice: Retry, queued: Duration) -> Option<Duration> {
        let at_least = match advice {
            Retry::Never => return None,
            Retry::Backoff => Duration::ZERO,
            Retry::After(told) => told,
        };
        let delay = self.delays.next()?.max(at_least);
        let elapsed = self.started.elapsed().saturating_sub(queued);
        if elapsed.saturating_add(delay) > self.total {
            return None;
        }
        self.made += 1;
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn delays_double_with_jitter_and_end_with_the_attempts() {
        let retries =
            RetryConfig { max_attempts: 4, timeout: seconds(1000), first_delay: seconds(1), max_delay: seconds(2) };
        let mut attempts = retries.start();
        let mut drawn = Duration::ZERO;
        for base in [1, 2, 2] {
            let delay = attempts.next(Retry::Backoff, Duration::ZERO).unwrap();
            assert!(delay >= seconds(base) && delay <= seconds(2 * base), "{delay:?} for {base}");
            drawn += delay - seconds(base);
        }
        assert!(drawn > Duration::ZERO);
        assert_eq!(attempts.next(Retry::Backoff, Duration::ZERO), None);
        assert_eq!(attempts.made, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn total_time_ends_the_attempts_but_queueing_does_not_count() {
        let mut attempts = RetryConfig { timeout: seconds(100), ..RetryConfig::default() }.start();
        tokio::time::advance(seconds(1000)).await;
        assert_eq!(attempts.next(Retry::Backoff, seconds(800)), None);
        assert!(attempts.next(Retry::Backoff, seconds(950)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn advice_is_followed() {
        let mut attempts = RetryConfig::default().start();
        assert_eq!(attempts.next(Retry::Never, Duration::ZERO), None);
        assert_eq!(attempts.next(Retry::After(seconds(90)), Duration::ZERO), Some(seconds(90)));
        assert_eq!(attempts.next(Retry::After(seconds(9000)), Duration::ZERO), None);
    }
}
