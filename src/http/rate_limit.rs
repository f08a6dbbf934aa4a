//! Rate limiting: the server's limits, the number of requests at once, and the pace.

mod combined;
mod headers;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::Instrument;

use self::headers::Limit;
#[cfg(any(feature = "github", feature = "rest"))]
pub(super) use self::headers::date;
#[cfg(feature = "rest")]
pub(super) use self::headers::limit_wait;
pub(super) use self::headers::{Quota, Throttled, retry_after};
use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::spans;
use crate::{Error, ErrorKind, Monitor, Result, SourceEvent};

/// After a secondary limit, this many responses earn one more request at once.
const RESPONSES_PER_STEP: u32 = 30;

/// Shorter pauses between requests are counted but not announced: there may be one before every request.
const MIN_ANNOUNCED_PAUSE: Duration = Duration::from_secs(1);

type Pace = governor::RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<std::time::Instant>>;

/// Admission control shared by all requests of a client.
pub(super) struct RateLimiter {
    state: Mutex<State>,
    permits: Semaphore,
    concurrency: usize,
    budget: u8,
    max_wait: Duration,
    pace: Option<Pace>,
}

struct State {
    cooldown: Option<Cooldown>,
    /// How many requests may be under way, at most `concurrency`.
    allowed: usize,
    /// Permits in use beyond `allowed`; they vanish when they are returned.
    surplus: usize,
    /// Responses since the last change of `allowed`.
    responses: u32,
}

/// No request is sent before this time.
#[derive(Clone, Copy)]
struct Cooldown {
    until: Instant,
    reason: &'static str,
}

/// The right to have one request under way.
pub(super) struct Permit<'a> {
    limiter: &'a RateLimiter,
    permit: Option<SemaphorePermit<'a>>,
}

impl RateLimiter {
    /// The highest possible concurrency.
    pub(super) const MAX_CONCURRENCY: usize = Semaphore::MAX_PERMITS;

    pub(super) fn new(concurrency: usize, budget: u8, max_wait: Duration, between: Option<Duration>) -> Self {
        let state = State { cooldown: None, allowed: concurrency, surplus: 0, responses: 0 };
        // One at a time, evenly spread: a burst at the start of a minute could be followed by another at its end.
        let pace = between.and_then(governor::Quota::with_period);
        let pace = pace.map(|quota| quota.allow_burst(std::num::NonZeroU32::MIN));
        Self {
            state: Mutex::new(state),
            permits: Semaphore::new(concurrency),
            concurrency,
            budget,
            max_wait,
            pace: pace.map(|quota| Pace::direct_with_clock(quota, TokioClock)),
        }
    }

    /// Waits until a request may be sent, and adds the time spent on limits to `waited`.
    ///
    /// # Errors
    ///
    /// `RateLimited`, as soon as it is known that `waited` would exceed the maximum.
    pub(super) async fn acquire(&self, monitor: &Monitor, waited: &mut Duration) -> Result<Permit<'_>> {
        loop {
            while let Some(cooldown) = self.cooldown() {
                let left = cooldown.until.saturating_duration_since(Instant::now());
                if waited.saturating_add(left) > self.max_wait {
                    return Err(wait_too_long(cooldown.reason, left));
                }
                pause(monitor, cooldown.reason, cooldown.reason, left).await;
                *waited += left;
            }
            let permit = self.permits.acquire().await.map_err(|_| Error::internal("the rate limiter is closed"))?;
            let permit = Permit { limiter: self, permit: Some(permit) };
            self.keep_pace(monitor).await;
            // A cooldown may have started meanwhile; a request that waits for it must not hold a permit.
            if self.cooldown().is_none() {
                return Ok(permit);
            }
        }
    }

    async fn keep_pace(&self, monitor: &Monitor) {
        let Some(pace) = &self.pace else { return };
        while let Err(early) = pace.check() {
            let wait = early.wait_time_from(TokioClock.now());
            if wait >= MIN_ANNOUNCED_PAUSE {
                pause(monitor, "requests per minute", "requests per minute", wait).await;
            } else {
                let _waiting = monitor.wait();
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Reports the quota in a response's headers, and starts a cooldown when the budget is spent.
    fn read_headers(&self, headers: &HeaderMap, monitor: &Monitor) {
        if let Some(quota) = Quota::from_headers(headers, Timestamp::now()) {
            monitor.event(SourceEvent::Quota {
                remaining: quota.remaining,
                limit: quota.limit,
                reset: quota.reset.map(from_now),
            });
            self.record_quota(quota);
        }
    }

    fn record_quota(&self, quota: Quota) {
        if let Some(reset) = quota.reset
            && quota.is_spent(self.budget)
        {
            let reason = if quota.remaining == 0 { "primary rate limit" } else { "quota budget" };
            self.start_cooldown(&mut self.state(), reset, reason);
        }
    }

    /// Starts a cooldown for all requests because a limit rejected one.
    fn record_throttled(&self, limit: Limit, wait: Duration) {
        let mut state = self.state();
        match limit {
            Limit::Primary => self.start_cooldown(&mut state, wait, "primary rate limit"),
            Limit::Secondary => {
                self.start_cooldown(&mut state, wait, "secondary rate limit");
                let excess = state.allowed.saturating_sub(1);
                let idle = self.permits.forget_permits(excess);
                state.surplus += excess - idle;
                state.allowed = 1;
                state.responses = 0;
            }
        }
    }

    /// Counts a response that no limit rejected.
    fn record_response(&self) {
        let mut state = self.state();
        if state.allowed >= self.concurrency {
            return;
        }
        state.responses += 1;
        if state.responses >= RESPONSES_PER_STEP {
            state.responses = 0;
            state.allowed += 1;
            if state.surplus > 0 {
                state.surplus -= 1;
            } else {
                self.permits.add_permits(1);
            }
        }
    }

    fn start_cooldown(&self, state: &mut State, wait: Duration, reason: &'static str) {
        let until = Instant::now() + wait;
        if state.cooldown.is_none_or(|cooldown| cooldown.until < until) {
            state.cooldown = Some(Cooldown { until, reason });
        }
    }

    fn cooldown(&self) -> Option<Cooldown> {
        let mut state = self.state();
        state.cooldown = state.cooldown.filter(|cooldown| cooldown.until > Instant::now());
        state.cooldown
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state consistent, so that a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("concurrency", &self.concurrency)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

/// Sends each request with a permit of the limiter, and again after a limit rejected it.
#[derive(Debug)]
pub(super) struct RateLimitLayer {
    pub(super) limiter: Arc<RateLimiter>,
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for RateLimitLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let limiter = self.limiter.clone();
        request.on_headers = Some(Arc::new(move |headers, monitor| limiter.read_headers(headers, monitor)));
        loop {
            let arrived = Instant::now();
            // Held until the body is complete and any limit is known, so that no request is sent in between.
            let _permit = self.limiter.acquire(request.monitor, &mut request.waited).await?;
            request.queued += arrived.elapsed();
            let response = self.inner.call(request).await?;
            let Some(throttled) = throttled_by(request, &response) else {
                self.limiter.record_response();
                return Ok(response);
            };
            request.times_throttled += 1;
            self.limiter.record_throttled(throttled.limit, throttled.wait(request.times_throttled));
        }
    }
}

/// The rate limit that rejects a request, unless its reader gives such a response another meaning.
pub(super) fn throttled_by(request: &HttpRequest<'_>, response: &HttpResponse) -> Option<Throttled> {
    let HttpResponse { status, headers, body } = response;
    let throttled = Throttled::from_response(*status, headers, body, Timestamp::now())?;
    let is_read = request.reads_limits.as_ref().is_some_and(|reads| reads(*status, body));
    (!is_read).then_some(throttled)
}

/// Waits, and reports why and until when; `kind` says why in fixed words.
pub(super) async fn pause(monitor: &Monitor, kind: &'static str, reason: impl Into<String>, wait: Duration) {
    let deadline = Instant::now() + wait;
    monitor.event(SourceEvent::Waiting { reason: reason.into(), until: from_now(wait) });
    let waiting = monitor.wait();
    tokio::time::sleep_until(deadline).instrument(spans::wait(kind)).await;
    drop(waiting);
    monitor.event(SourceEvent::Resumed);
}

/// The time that is `wait` away, by our clock.
fn from_now(wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn wait_too_long(reason: &'static str, left: Duration) -> Error {
    let until = from_now(left);
    Error::new(ErrorKind::RateLimited, format!("the {reason} lasts until {until:.0}, longer than the request may wait"))
        .with_help(format!("try again after {until:.0}, allow a longer wait, or use credentials with a larger quota"))
}

/// Tokio's clock, so that the pace follows the same time as every other wait.
#[derive(Debug, Clone, Copy)]
struct TokioClock;

impl Clock for TokioClock {
    type Instant = std::time::Instant;

    fn now(&self) -> Self::Instant {
        Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests;
