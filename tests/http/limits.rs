use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use snowfeed::RetryConfig;
use snowfeed::{ErrorKind, SourceEvent};
use tokio::io::AsyncWriteExt;
use wiremock::ResponseTemplate;

use crate::support::{answering, client, connections, json, read_head, skipping_waits, status};

fn secondary() -> ResponseTemplate {
    status(403).set_body_raw(r#"{"message":"You have exceeded a secondary rate limit."}"#, "application/json")
}

/// A response of `code` that reports the quota; the window ends in `seconds`.
fn quota(answer: ResponseTemplate, remaining: u64, seconds: i64) -> ResponseTemplate {
    answer
        .insert_header("x-ratelimit-limit", "5000")
        .insert_header("x-ratelimit-remaining", remaining.to_string())
        .insert_header("x-ratelimit-reset", (Timestamp::now().as_second() + seconds).to_string())
}

#[tokio::test]
async fn the_client_waits_for_a_primary_limit_and_announces_it() {
    for code in [403, 429] {
        let server = answering([quota(status(code), 0, 1800), json("[]")]).await;
        let client = client(&server.uri()).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
        response.unwrap();
        assert_eq!(seen.reasons(), ["primary rate limit"]);
        assert_eq!(seen.events.last(), Some(&SourceEvent::Resumed));
        assert!((1798..=1802).contains(&seen.waited()), "{}", seen.waited());
        let quota = seen.events.iter().find(|event| matches!(event, SourceEvent::Quota { .. }));
        let Some(&SourceEvent::Quota { remaining: 0, limit: Some(5000), reset: Some(reset) }) = quota else {
            panic!("{quota:?}")
        };
        assert!((1790..=1810).contains(&reset.duration_since(Timestamp::now()).as_secs()));
    }
}

#[tokio::test]
async fn a_limit_without_a_hint_lasts_longer_each_time() {
    let server = answering([secondary(), secondary(), status(429), json("[]")]).await;
    let client = client(&server.uri()).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    response.unwrap();
    assert_eq!(seen.reasons(), ["secondary rate limit"; 3]);
    assert!((419..=421).contains(&seen.waited()), "{}", seen.waited());
}

#[tokio::test]
async fn limits_do_not_use_up_the_attempts() {
    let limited = || secondary().insert_header("retry-after", "1");
    let server =
        answering([limited(), limited(), limited(), limited(), status(502), limited(), status(502), json("[]")]).await;
    let client = client(&server.uri()).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    response.unwrap();
    assert_eq!(seen.requests(), 8);
}

#[tokio::test]
async fn a_limit_that_lasts_too_long_fails_all_requests_at_once() {
    let server = answering([quota(status(403), 0, 7200), json("[]")]).await;
    let client = client(&server.uri()).build().unwrap();
    let (errors, seen) = skipping_waits(|monitor| async move {
        [client.get("x").send(&monitor).await, client.clone().get("y").send(&monitor).await].map(Result::unwrap_err)
    })
    .await;
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error.help().unwrap().contains("try again after"), "{error:?}");
    }
    assert_eq!((seen.requests(), seen.waited()), (1, 0));
}

#[tokio::test]
async fn a_limit_that_never_ends_is_an_error() {
    let server = answering([secondary()]).await;
    let client = client(&server.uri()).max_wait(Duration::from_secs(600)).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    assert_eq!(response.unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(seen.requests(), 4);
    assert!((419..=421).contains(&seen.waited()), "{}", seen.waited());
}

#[tokio::test]
async fn a_budget_leaves_the_rest_of_the_quota() {
    let server =
        answering([quota(json("[]"), 2501, 900), quota(json("[]"), 2500, 900), quota(json("[]"), 5000, 3600)]).await;
    let client = client(&server.uri()).budget(50).build().unwrap();
    let ((), seen) = skipping_waits(|monitor| async move {
        client.get("x").send(&monitor).await.unwrap();
        client.get("x").send(&monitor).await.unwrap();
        assert_eq!(monitor.traffic().waited_ms, 0);
        client.get("x").send(&monitor).await.unwrap();
    })
    .await;
    assert_eq!(seen.reasons(), ["quota budget"]);
    assert!((898..=902).contains(&seen.waited()), "{}", seen.waited());
}

/// A server that counts concurrent requests, and rejects the first `refusals`.
async fn counting(refusals: usize) -> (String, Arc<AtomicUsize>) {
    let (under_way, most, seen) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = most.clone();
    let base = connections(move |mut stream| {
        let (under_way, most, seen) = (under_way.clone(), most.clone(), seen.clone());
        async move {
            read_head(&mut stream).await;
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            // Real time: the clock of the test may be paused.
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5))).await.unwrap();
            let answer = if seen.fetch_add(1, Ordering::SeqCst) < refusals {
                &b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"[..]
            } else {
                most.fetch_max(now, Ordering::SeqCst);
                &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]"[..]
            };
            under_way.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    (base, highest)
}

#[tokio::test]
async fn concurrent_requests_are_bounded() {
    let (base, most) = counting(0).await;
    let client = client(&base).concurrency(3).build().unwrap();
    let (answers, _) =
        skipping_waits(|monitor| async move { join_all((0..20).map(|_| client.get("x").send(&monitor))).await }).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn after_a_secondary_limit_requests_go_one_by_one() {
    // All eight concurrent requests are rejected; then they are retried one at a time.
    let (base, most) = counting(8).await;
    let client = client(&base).concurrency(8).build().unwrap();
    let (answers, seen) =
        skipping_waits(|monitor| async move { join_all((0..20).map(|_| client.get("x").send(&monitor))).await }).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(seen.requests(), 28);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn requests_per_minute_are_bounded() {
    let server = answering([json("[]")]).await;
    let client = client(&server.uri()).per_minute(10).build().unwrap();
    let (answers, seen) =
        skipping_waits(|monitor| async move { join_all((0..11).map(|_| client.get("x").send(&monitor))).await }).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(seen.reasons().contains(&"requests per minute"));
    assert!(seen.waited() >= 59, "{}", seen.waited());
}

#[tokio::test]
async fn time_in_the_queue_does_not_cost_a_request_its_retries() {
    let server = answering([json("[]"), status(502), json("[]")]).await;
    let retries = RetryConfig { timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let client = client(&server.uri()).retry(retries).per_minute(1).build().unwrap();
    let (answers, seen) = skipping_waits(|monitor| async move {
        [client.get("x").send(&monitor).await, client.get("x").send(&monitor).await]
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(seen.requests(), 3);
}
