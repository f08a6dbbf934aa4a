use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::FutureExt;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn enter(gate: &Gate) -> Pass<'_> {
    gate.enter(&Monitor::detached(), &mut Patience::new(HOUR)).await.unwrap()
}

/// How many requests can be under way now; it lets them all end.
fn width(gate: &Gate) -> usize {
    let mut passes = Vec::new();
    while let Some(pass) = enter(gate).now_or_never() {
        passes.push(pass);
    }
    passes.len()
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_at_once_than_allowed() {
    let gate = Gate::new(3, 100, None);
    let first = enter(&gate).await;
    assert_eq!(width(&gate), 2);
    drop(first);
    assert_eq!(width(&gate), 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_back_every_request_and_is_reported() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let monitor = {
        let events = events.clone();
        Monitor::new(move |event| events.lock().unwrap().push(event))
    };
    let gate = Gate::new(8, 100, None);
    gate.refused(Limit::Primary, seconds(90));
    // A shorter limit does not open the gate early.
    gate.refused(Limit::Primary, seconds(10));
    let before = Instant::now();
    let mut patience = Patience::new(HOUR);
    gate.enter(&monitor, &mut patience).await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 90);
    assert_eq!(patience.spent, seconds(90));
    assert_eq!(monitor.traffic().waited_ms, 90_000);
    let events = events.lock().unwrap();
    assert!(
        matches!(&events[..], [SourceEvent::Waiting { reason, .. }, SourceEvent::Resumed] if reason == "primary rate limit"),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_side_by_side_wait_once() {
    let (gate, monitor) = (Gate::new(8, 100, None), Monitor::detached());
    gate.refused(Limit::Primary, seconds(20));
    let waiting = (0..8).map(|_| async {
        let mut patience = Patience::new(HOUR);
        gate.enter(&monitor, &mut patience).await.unwrap();
    });
    futures::future::join_all(waiting).await;
    assert_eq!(monitor.traffic().waited_ms, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_broken_off_was_a_wait_all_the_same() {
    let (gate, monitor) = (Gate::new(8, 100, None), Monitor::detached());
    gate.refused(Limit::Primary, seconds(60));
    let mut patience = Patience::new(HOUR);
    assert!(tokio::time::timeout(seconds(28), gate.enter(&monitor, &mut patience)).await.is_err());
    assert_eq!(monitor.traffic().waited_ms, 28_000);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_an_error_at_once() {
    let gate = Gate::new(8, 100, None);
    gate.refused(Limit::Primary, 2 * HOUR);
    let before = Instant::now();
    let error = gate.enter(&Monitor::detached(), &mut Patience::new(HOUR)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.help().is_some());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn after_a_secondary_limit_requests_go_one_by_one_and_recover_slowly() {
    let gate = Gate::new(4, 100, None);
    // Three of four are under way when the limit comes.
    let under_way = [enter(&gate).await, enter(&gate).await, enter(&gate).await];
    gate.refused(Limit::Secondary, seconds(60));
    gate.refused(Limit::Secondary, seconds(60));
    drop(under_way);
    tokio::time::advance(seconds(61)).await;
    assert_eq!(width(&gate), 1);
    for before in 1..4 {
        (1..ANSWERS_PER_STEP).for_each(|_| gate.answered());
        assert_eq!(width(&gate), before);
        gate.answered();
        assert_eq!(width(&gate), before + 1);
    }
    (0..10 * ANSWERS_PER_STEP).for_each(|_| gate.answered());
    assert_eq!(width(&gate), 4);
}

#[tokio::test(start_paused = true)]
async fn recovery_counts_requests_that_are_still_under_way() {
    let gate = Gate::new(2, 100, None);
    let (first, second) = (enter(&gate).await, enter(&gate).await);
    gate.refused(Limit::Secondary, Duration::ZERO);
    (0..ANSWERS_PER_STEP).for_each(|_| gate.answered());
    assert_eq!(width(&gate), 0);
    drop(first);
    assert_eq!(width(&gate), 1);
    drop(second);
    assert_eq!(width(&gate), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_queued_for_a_permit_still_sees_the_limit() {
    let gate = Gate::new(1, 100, None);
    let first = enter(&gate).await;
    let mut queued = pin!(enter(&gate));
    assert!(queued.as_mut().now_or_never().is_none());
    gate.refused(Limit::Secondary, seconds(60));
    drop(first);
    let before = Instant::now();
    queued.await;
    assert_eq!(before.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn the_budget_keeps_its_share_of_the_quota() {
    let gate = Gate::new(8, 50, None);
    let quota = |remaining| Quota { remaining, limit: Some(5000), reset: Some(seconds(600)) };
    gate.quota(quota(2501));
    assert_eq!(width(&gate), 8);
    gate.quota(quota(2500));
    assert_eq!(width(&gate), 0);
    let before = Instant::now();
    enter(&gate).await;
    assert_eq!(before.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_spread_evenly() {
    let gate = Gate::new(8, 100, NonZeroU32::new(30));
    let before = Instant::now();
    for _ in 0..31 {
        enter(&gate).await;
    }
    // Tokio's timer counts in milliseconds and rounds up.
    assert!((seconds(60)..seconds(61)).contains(&before.elapsed()), "{:?}", before.elapsed());
}
