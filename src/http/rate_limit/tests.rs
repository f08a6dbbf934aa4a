use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::FutureExt;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limiter(concurrency: usize, budget: u8) -> RateLimiter {
    RateLimiter::new(concurrency, budget, HOUR, None)
}

async fn acquire(limiter: &RateLimiter) -> Permit<'_> {
    limiter.acquire(&Monitor::detached(), &mut Duration::default()).await.unwrap()
}

/// Returns how many requests can be under way now, and ends them all.
fn available(limiter: &RateLimiter) -> usize {
    let mut permits = Vec::new();
    while let Some(permit) = acquire(limiter).now_or_never() {
        permits.push(permit);
    }
    permits.len()
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_at_once_than_allowed() {
    let limiter = limiter(3, 100);
    let first = acquire(&limiter).await;
    assert_eq!(available(&limiter), 2);
    drop(first);
    assert_eq!(available(&limiter), 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_back_every_request_and_is_reported() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let monitor = {
        let events = events.clone();
        Monitor::new(move |event| events.lock().unwrap().push(event))
    };
    let limiter = limiter(8, 100);
    limiter.record_throttled(Limit::Primary, seconds(90));
    // A shorter limit does not end the cooldown early.
    limiter.record_throttled(Limit::Primary, seconds(10));
    let before = Instant::now();
    let mut waited = Duration::ZERO;
    limiter.acquire(&monitor, &mut waited).await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 90);
    assert_eq!(waited, seconds(90));
    assert_eq!(monitor.traffic().waited_ms, 90_000);
    let events = events.lock().unwrap();
    assert!(
        matches!(&events[..], [SourceEvent::Waiting { reason, .. }, SourceEvent::Resumed] if reason == "primary rate limit"),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_waits_count_once() {
    let (limiter, monitor) = (limiter(8, 100), Monitor::detached());
    limiter.record_throttled(Limit::Primary, seconds(20));
    let waiting = (0..8).map(|_| async {
        let mut waited = Duration::ZERO;
        limiter.acquire(&monitor, &mut waited).await.unwrap();
    });
    futures::future::join_all(waiting).await;
    assert_eq!(monitor.traffic().waited_ms, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_counts() {
    let (limiter, monitor) = (limiter(8, 100), Monitor::detached());
    limiter.record_throttled(Limit::Primary, seconds(60));
    let mut waited = Duration::ZERO;
    assert!(tokio::time::timeout(seconds(28), limiter.acquire(&monitor, &mut waited)).await.is_err());
    assert_eq!(monitor.traffic().waited_ms, 28_000);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_an_error_at_once() {
    let limiter = limiter(8, 100);
    limiter.record_throttled(Limit::Primary, 2 * HOUR);
    let before = Instant::now();
    let error = limiter.acquire(&Monitor::detached(), &mut Duration::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.help().is_some());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn after_a_secondary_limit_requests_go_one_by_one_and_recover_slowly() {
    let limiter = limiter(4, 100);
    // Three of four are under way when the limit comes.
    let under_way = [acquire(&limiter).await, acquire(&limiter).await, acquire(&limiter).await];
    limiter.record_throttled(Limit::Secondary, seconds(60));
    limiter.record_throttled(Limit::Secondary, seconds(60));
    drop(under_way);
    tokio::time::advance(seconds(61)).await;
    assert_eq!(available(&limiter), 1);
    for before in 1..4 {
        (1..RESPONSES_PER_STEP).for_each(|_| limiter.record_response());
        assert_eq!(available(&limiter), before);
        limiter.record_response();
        assert_eq!(available(&limiter), before + 1);
    }
    (0..10 * RESPONSES_PER_STEP).for_each(|_| limiter.record_response());
    assert_eq!(available(&limiter), 4);
}

#[tokio::test(start_paused = true)]
async fn recovery_counts_requests_still_in_flight() {
    let limiter = limiter(2, 100);
    let (first, second) = (acquire(&limiter).await, acquire(&limiter).await);
    limiter.record_throttled(Limit::Secondary, Duration::ZERO);
    (0..RESPONSES_PER_STEP).for_each(|_| limiter.record_response());
    assert_eq!(available(&limiter), 0);
    drop(first);
    assert_eq!(available(&limiter), 1);
    drop(second);
    assert_eq!(available(&limiter), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_queued_for_a_permit_still_sees_the_limit() {
    let limiter = limiter(1, 100);
    let first = acquire(&limiter).await;
    let mut queued = pin!(acquire(&limiter));
    assert!(queued.as_mut().now_or_never().is_none());
    limiter.record_throttled(Limit::Secondary, seconds(60));
    drop(first);
    let before = Instant::now();
    queued.await;
    assert_eq!(before.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_budget_keeps_its_share_of_the_quota() {
    let limiter = limiter(8, 50);
    let quota = |remaining| Quota { remaining, limit: Some(5000), reset: Some(seconds(600)) };
    limiter.record_quota(quota(2501));
    assert_eq!(available(&limiter), 8);
    limiter.record_quota(quota(2500));
    assert_eq!(available(&limiter), 0);
    let before = Instant::now();
    acquire(&limiter).await;
    assert_eq!(before.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_spread_evenly() {
    let limiter = RateLimiter::new(8, 100, HOUR, Some(Duration::from_secs(2)));
    let before = Instant::now();
    for _ in 0..31 {
        acquire(&limiter).await;
    }
    // Tokio's timer counts in milliseconds and rounds up.
    assert!((seconds(60)..seconds(61)).contains(&before.elapsed()), "{:?}", before.elapsed());
}
