//! What every request of a client passes: the server's limits, the number at once, and the pace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Pace, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::limits::{Limit, Quota};
use crate::{Error, ErrorKind, Monitor, Result, SourceEvent};

/// After a secondary limit, this many answers earn one more request at once.
const ANSWERS_PER_STEP: u32 = 30;

/// Pauses of the pace shorter than this are counted but not announced: there may be one before every request.
const WORTH_SAYING: Duration = Duration::from_secs(1);

pub(super) struct Gate {
    state: Mutex<State>,
    permits: Semaphore,
    concurrency: usize,
    budget: u8,
    pace: Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<std::time::Instant>>>,
}

struct State {
    closed: Option<Closure>,
    /// How many requests may be under way, at most `concurrency`.
    allowed: usize,
    /// Permits that are out although they are no longer allowed; they vanish when they come back.
    surplus: usize,
    /// Answers since the last change of `allowed`.
    answers: u32,
}

#[derive(Clone, Copy)]
struct Closure {
    until: Instant,
    reason: &'static str,
}

/// How long one request has waited for limits, and how long it may.
pub(super) struct Patience {
    max: Duration,
    spent: Duration,
}

impl Patience {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, spent: Duration::ZERO }
    }
}

/// The right to have one request under way.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Gate {
    /// The most requests at once that can be counted.
    pub(super) const MOST: usize = Semaphore::MAX_PERMITS;

    pub(super) fn new(concurrency: usize, budget: u8, per_minute: Option<std::num::NonZeroU32>) -> Self {
        let state = State { closed: None, allowed: concurrency, surplus: 0, answers: 0 };
        // One at a time, evenly spread: a burst at the start of a minute could be followed by another at its end.
        let pace = |count| Pace::per_minute(count).allow_burst(std::num::NonZeroU32::MIN);
        Self {
            state: Mutex::new(state),
            permits: Semaphore::new(concurrency),
            concurrency,
            budget,
            pace: per_minute.map(|count| RateLimiter::direct_with_clock(pace(count), TokioClock)),
        }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    ///
    /// `RateLimited` as soon as it is known that `patience` will not last.
    pub(super) async fn enter(&self, monitor: &Monitor, patience: &mut Patience) -> Result<Pass<'_>> {
        loop {
            while let Some(closure) = self.closure() {
                let left = closure.until.saturating_duration_since(Instant::now());
                if patience.spent.saturating_add(left) > patience.max {
                    return Err(impatient(closure.reason, left));
                }
                pause(monitor, closure.reason, left).await;
                patience.spent += left;
            }
            let permit = self.permits.acquire().await.map_err(|_| Error::internal("the gate is gone"))?;
            let pass = Pass { gate: self, permit: Some(permit) };
            self.keep_pace(monitor).await;
            // A limit may have come meanwhile; whoever waits for it must not hold a permit.
            if self.closure().is_none() {
                return Ok(pass);
            }
        }
    }

    async fn keep_pace(&self, monitor: &Monitor) {
        let Some(pace) = &self.pace else { return };
        while let Err(early) = pace.check() {
            let wait = early.wait_time_from(TokioClock.now());
            if wait >= WORTH_SAYING {
                pause(monitor, "requests per minute", wait).await;
            } else {
                let _waiting = monitor.wait();
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Takes note of the quota that an answer reports, and closes the gate when the budget is spent.
    pub(super) fn quota(&self, quota: Quota) {
        if let Some(reset) = quota.reset
            && quota.spent(self.budget)
        {
            let reason = if quota.remaining == 0 { "primary rate limit" } else { "quota budget" };
            self.close(&mut self.state(), reset, reason);
        }
    }

    /// Closes the gate for everybody because a limit refused a request.
    pub(super) fn refused(&self, limit: Limit, wait: Duration) {
        let mut state = self.state();
        match limit {
            Limit::Primary => self.close(&mut state, wait, "primary rate limit"),
            Limit::Secondary => {
                self.close(&mut state, wait, "secondary rate limit");
                let excess = state.allowed.saturating_sub(1);
                let idle = self.permits.forget_permits(excess);
                state.surplus += excess - idle;
                state.allowed = 1;
                state.answers = 0;
            }
        }
    }

    /// An answer came that was no refusal.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if state.allowed >= self.concurrency {
            return;
        }
        state.answers += 1;
        if state.answers >= ANSWERS_PER_STEP {
            state.answers = 0;
            state.allowed += 1;
            if state.surplus > 0 {
                state.surplus -= 1;
            } else {
                self.permits.add_permits(1);
            }
        }
    }

    fn close(&self, state: &mut State, wait: Duration, reason: &'static str) {
        let until = Instant::now() + wait;
        if state.closed.is_none_or(|closure| closure.until < until) {
            state.closed = Some(Closure { until, reason });
        }
    }

    fn closure(&self) -> Option<Closure> {
        let mut state = self.state();
        state.closed = state.closed.filter(|closure| closure.until > Instant::now());
        state.closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole, so that a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

/// Waits, and says why and until when.
pub(super) async fn pause(monitor: &Monitor, reason: impl Into<String>, wait: Duration) {
    let deadline = Instant::now() + wait;
    monitor.event(SourceEvent::Waiting { reason: reason.into(), until: from_now(wait) });
    let waiting = monitor.wait();
    tokio::time::sleep_until(deadline).await;
    drop(waiting);
    monitor.event(SourceEvent::Resumed);
}

/// The point in time that is `wait` away, by our clock.
pub(super) fn from_now(wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn impatient(reason: &'static str, left: Duration) -> Error {
    let until = from_now(left);
    Error::new(ErrorKind::RateLimited, format!("the {reason} is in force until {until:.0}, longer than may be waited"))
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
