//! The retry policy.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::Retry;

/// How often, and for how long, a failed request is retried.
///
/// Time spent on rate limits, permits or pacing counts toward neither limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// The maximum number of attempts, including the first.
    pub max_attempts: u32,
    /// No attempt starts later than this after the first one.
    pub timeout: Duration,
    /// The first delay; each further one doubles. Every delay is drawn at random between itself and twice itself, so
    /// that requests that failed together are not retried together.
    pub first_delay: Duration,
    /// The longest delay, before the random draw.
    pub max_delay: Duration,
}

impl Default for RetryConfig {
    /// Six attempts within five minutes, with delays from half a second to thirty seconds.
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
    /// Makes one attempt only.
    pub fn none() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Starts the first attempt.
    pub(crate) fn start(&self) -> Attempts {
        let delays = backoff(self.first_delay, self.max_delay)
            .with_jitter()
            .with_max_times(usize::try_from(self.max_attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .build();
        Attempts { delays, timeout: self.timeout, started: Instant::now(), made: 1 }
    }

    /// Repeats an operation until it succeeds, `advice` on its error is [`Retry::Never`], or the limits are reached.
    #[cfg(feature = "snowflake")]
    pub(crate) async fn run<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        mut operation: impl FnMut() -> F,
        advice: impl Fn(&E) -> Retry,
    ) -> Result<T, E> {
        let mut attempts = self.start();
        loop {
            let error = match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = attempts.next(advice(&error), Duration::ZERO) else { return Err(error) };
            tracing::debug!(delay_ms = millis(delay), "retrying");
            tokio::time::sleep(delay).await;
        }
    }
}

/// The attempts at one request.
pub(crate) struct Attempts {
    delays: ExponentialBackoff,
    timeout: Duration,
    started: Instant,
    /// The number of attempts so far, including the current one.
    pub(crate) made: u32,
}

impl Attempts {
    /// Returns the delay before another attempt; `None` to give up. `queued` is the time spent on rate limits, permits or pacing.
    pub(crate) fn next(&mut self, advice: Retry, queued: Duration) -> Option<Duration> {
        let at_least = match advice {
            Retry::Never => return None,
            Retry::Backoff => Duration::ZERO,
            Retry::After(delay) => delay,
        };
        let delay = self.delays.next()?.max(at_least);
        let elapsed = self.started.elapsed().saturating_sub(queued);
        if elapsed.saturating_add(delay) > self.timeout {
            return None;
        }
        self.made += 1;
        Some(delay)
    }
}

/// Doubling delays without end, as between two polls.
#[cfg(feature = "snowflake")]
pub(crate) fn delays(first: Duration, max: Duration) -> impl Iterator<Item = Duration> {
    backoff(first, max).without_max_times().build()
}

/// Doubling delays without end, each drawn at random between itself and twice itself, so that several programs get out of step.
#[cfg(feature = "snowflake")]
pub(crate) fn delays_with_jitter(first: Duration, max: Duration) -> impl Iterator<Item = Duration> {
    backoff(first, max).with_jitter().without_max_times().build()
}

/// A delay, for the log.
pub(crate) fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

fn backoff(first: Duration, max: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(first).with_max_delay(max)
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
    async fn retry_advice_is_followed() {
        let mut attempts = RetryConfig::default().start();
        assert_eq!(attempts.next(Retry::Never, Duration::ZERO), None);
        assert_eq!(attempts.next(Retry::After(seconds(90)), Duration::ZERO), Some(seconds(90)));
        assert_eq!(attempts.next(Retry::After(seconds(9000)), Duration::ZERO), None);
    }
}
