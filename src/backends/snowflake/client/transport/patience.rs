//! Sends a request again, as often and as long as that may help.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use tokio::time::Instant;

use super::{into_error, into_middleware};
use crate::Retry;

/// How often, and for how long, a request that brought no answer is sent again.
///
/// Sending a statement again is safe: it carries the same request id, by which Snowflake knows it. An answer of Snowflake's is
/// final, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// No attempt starts later than this after the first.
    pub total: Duration,
    /// The first delay; each further one doubles. Every delay is drawn at random between itself and twice itself.
    pub first_delay: Duration,
    /// The longest a delay grows, before the draw.
    pub max_delay: Duration,
}

impl Default for Patience {
    /// Twelve attempts within five minutes, the first delay half a second, the longest thirty seconds.
    fn default() -> Self {
        Self {
            attempts: 12,
            total: Duration::from_secs(5 * 60),
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
        }
    }
}

/// Which attempt a request is, for those further down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// How many came before it.
    pub(super) before: u32,
    /// The HTTP status that the last one failed with; 0 when there was none.
    pub(super) reason: u16,
    /// When the first one began, in milliseconds since 1970.
    pub(super) began: u128,
}

/// The status of an answer that was none, for the attempt that follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastStatus(pub(super) u16);

impl Patience {
    fn start(&self) -> Attempts {
        let delays = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .build();
        Attempts { delays, total: self.total, started: Instant::now() }
    }
}

struct Attempts {
    delays: ExponentialBackoff,
    total: Duration,
    started: Instant,
}

impl Attempts {
    /// How long to wait before another attempt; `None` to give up.
    fn next(&mut self, advice: Retry) -> Option<Duration> {
        let at_least = match advice {
            Retry::Never => return None,
            Retry::Backoff => Duration::ZERO,
            Retry::After(told) => told,
        };
        let delay = self.delays.next()?.max(at_least);
        (self.started.elapsed().saturating_add(delay) <= self.total).then_some(delay)
    }
}

#[async_trait]
impl Middleware for Patience {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut attempts = self.start();
        let mut before = 0;
        loop {
            let reason = extensions.remove::<LastStatus>().map_or(0, |status| status.0);
            extensions.insert(Attempt { before, reason, began });
            // What cannot be sent twice is sent once; no body of ours is such.
            let Some(copy) = request.try_clone() else {
                return next.run(request, extensions).await;
            };
            let error = match next.clone().run(copy, extensions).await {
                Ok(response) => return Ok(response),
                Err(error) => into_error(error),
            };
            let advice = error.retry();
            if advice == Retry::Never {
                return Err(into_middleware(error));
            }
            let Some(delay) = attempts.next(advice) else {
                let error = error.with_context("attempts", before + 1).exhausted();
                return Err(into_middleware(error));
            };
            before += 1;
            tracing::debug!(attempt = before, delay_ms = delay.as_millis(), %error, "a request is sent again");
            tokio::time::sleep(delay).await;
        }
    }
}
