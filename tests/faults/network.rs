//! Each network fault: what the user sees while it lasts, and that nothing is missing afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use github_server::{Fault as ServerFault, RetryAfter};
use serde_json::json;
use snowfeed::{ErrorKind, ErrorReport, RunRecord, RunStatus};
use tokio::net::TcpListener;

use crate::faulty_proxy::ResponseFault;
use crate::scenario::Scenario;

/// The number of good responses before the fault, enough for a commit.
const GOOD_RESPONSES: usize = 6;

/// A timeout in seconds that no good response exceeds.
const LONG_TIMEOUT: u32 = 60;

/// A network fault.
#[derive(Clone)]
enum Fault {
    /// No server listens on the port.
    Refused,
    /// The base URL is a different one.
    Url(String),
    /// The proxy corrupts responses.
    Proxy(ResponseFault),
    /// The server sends a faulty response.
    Server(ServerFault),
}

/// A fault, and its expected outcome.
struct Case {
    name: &'static str,
    fault: Fault,
    kind: ErrorKind,
    /// A part of the message.
    message: &'static str,
    /// Whether the client recovers by itself when the fault occurs once.
    recovers: bool,
    /// The longest that one attempt may take, in seconds.
    timeout: u32,
}

fn case(name: &'static str, fault: Fault, kind: ErrorKind, message: &'static str) -> Case {
    Case { name, fault, kind, message, recovers: true, timeout: LONG_TIMEOUT }
}

impl Case {
    /// A fault that the client must not retry.
    fn not_retried(self) -> Self {
        Self { recovers: false, ..self }
    }

    /// A fault that only a timeout ends.
    fn with_short_timeout(self) -> Self {
        Self { timeout: 3, ..self }
    }
}

fn connection_faults() -> Vec<Case> {
    let proxied = |name, fault, kind, message| case(name, Fault::Proxy(fault), kind, message);
    let (down, bad) = (ErrorKind::Unavailable, ErrorKind::InvalidData);
    let garbled = "cut short or garbled";
    vec![
        case("connection refused", Fault::Refused, down, "cannot be reached"),
        case("no such host", Fault::Url("https://no-such-host.invalid".into()), down, "cannot be found").not_retried(),
        proxied("reset before the response", ResponseFault::ResetAtOnce, down, "broke"),
        proxied("reset after the headers", ResponseFault::ResetAfterHead, bad, garbled),
        proxied("reset in the body", ResponseFault::ResetMidBody, bad, garbled),
        proxied("no response", ResponseFault::Stall, down, "did not answer in time").with_short_timeout(),
        proxied("the body stalls", ResponseFault::StallMidBody, down, "did not answer in time").with_short_timeout(),
        proxied("a byte every 50 ms", ResponseFault::Drip, down, "did not answer in time").with_short_timeout(),
        proxied("body cut short", ResponseFault::Truncated, bad, garbled),
        proxied("length too large", ResponseFault::LengthTooLarge, bad, garbled),
        proxied("length too small", ResponseFault::LengthTooSmall, bad, "cut short"),
        proxied("invalid gzip", ResponseFault::NotGzip, bad, garbled),
        proxied("another charset", ResponseFault::Latin1, bad, "not UTF-8"),
        proxied("another protocol", ResponseFault::WrongProtocol, down, "broke"),
        proxied("endless headers", ResponseFault::EndlessHead, down, "broke"),
        proxied("endless body", ResponseFault::EndlessBody, bad, "longer than allowed").not_retried(),
        proxied("unexpected JSON", ResponseFault::UnexpectedJson, bad, "JSON").not_retried(),
    ]
}

fn response_faults(other_host: &str) -> Vec<Case> {
    let served = |name, fault, kind, message| case(name, Fault::Server(fault), kind, message);
    let (down, bad, limited) = (ErrorKind::Unavailable, ErrorKind::InvalidData, ErrorKind::RateLimited);
    let status = |code, retry_after| ServerFault::Status { code, retry_after };
    let secondary = |code, retry_after| ServerFault::SecondaryLimit { code, retry_after };
    let redirect = ServerFault::RedirectTo(other_host.to_owned());
    let hour = Duration::from_secs(3_600);
    vec![
        served("gzip bomb, 1 GiB", ServerFault::GzipBomb(1 << 30), bad, "longer than allowed").not_retried(),
        served("truncated JSON", ServerFault::TruncatedJson, bad, "cut short"),
        served("a web page, status 200", ServerFault::Html, bad, "web page"),
        served("an empty response", ServerFault::EmptyBody, bad, "empty"),
        served("redirect loop", ServerFault::RedirectLoop, down, "circles"),
        served("redirect to another host", redirect, ErrorKind::Configuration, "another server").not_retried(),
        served("500", status(500, None), down, "failed to answer"),
        served("502", status(502, None), down, "failed to answer"),
        served("503, Retry-After: 1", status(503, Some(RetryAfter::Seconds(1))), down, "failed to answer"),
        served("primary limit, 403", ServerFault::PrimaryLimit { reset_in: hour }, limited, "primary rate limit")
            .not_retried(),
        served("secondary limit, 403", secondary(403, None), limited, "secondary rate limit").not_retried(),
        served("secondary limit, 429", secondary(429, None), limited, "secondary rate limit").not_retried(),
        served("… Retry-After: 90", secondary(403, Some(RetryAfter::Seconds(90))), limited, "until").not_retried(),
        served("… Retry-After: a date", secondary(429, Some(RetryAfter::Date(90))), limited, "until").not_retried(),
    ]
}

/// Injects the fault, into one response only if `once`.
fn inject(scenario: &Scenario, fault: &Fault, once: bool) {
    if !matches!(fault, Fault::Refused) {
        scenario.proxy.connect();
    }
    let after = scenario.upstream.counts().requests + GOOD_RESPONSES as u64;
    match fault {
        Fault::Refused | Fault::Url(_) => {}
        Fault::Proxy(fault) => {
            scenario.proxy.inject(*fault, GOOD_RESPONSES..if once { GOOD_RESPONSES + 1 } else { usize::MAX })
        }
        Fault::Server(answer) if once => scenario.upstream.fault_at(after, answer.clone()),
        Fault::Server(answer) => {
            scenario.upstream.fault_while(move |request| request.number() >= after, answer.clone())
        }
    }
}

/// One attempt of a request may take this many seconds.
async fn ingest(scenario: &Scenario, timeout: u32, url: &str) -> RunRecord {
    let settings = json!({
        "api_url": url, "page_size": 20, "concurrency": 2, "retries": 1, "timeout_seconds": timeout,
        "max_wait_minutes": 0,
    });
    scenario.connector(settings).ingest(scenario.request()).await.unwrap().runs.remove(0)
}

/// Returns the error of a run while the fault lasts. After that, a rerun must store everything.
async fn lasting_fault(case: &Case) -> ErrorReport {
    let scenario = Scenario::new().await;
    inject(&scenario, &case.fault, false);
    let url = match &case.fault {
        Fault::Url(url) => url.clone(),
        _ => scenario.proxy.url(),
    };
    let run = ingest(&scenario, case.timeout, &url).await;
    let name = case.name;
    let error = run.error.clone().unwrap_or_else(|| panic!("{name}: the run did not fail: {run:?}"));
    assert_ne!(run.status, RunStatus::Complete, "{name}");
    assert!(scenario.missing() > 0, "{name}: the fault came too late");
    scenario.proxy.connect();
    scenario.proxy.clear_fault();
    scenario.upstream.clear_faults();
    let run = ingest(&scenario, LONG_TIMEOUT, &scenario.proxy.url()).await;
    assert_eq!(run.status, RunStatus::Complete, "{name}: {run:?}");
    assert_eq!(scenario.missing(), 0, "{name}");
    error
}

/// Returns the status of a run in which the fault occurs once.
async fn single_fault(case: &Case) -> RunStatus {
    let scenario = Scenario::new().await;
    inject(&scenario, &case.fault, true);
    let repair = async {
        if matches!(case.fault, Fault::Refused) {
            // Before the second attempt, at least half a second later.
            tokio::time::sleep(Duration::from_millis(300)).await;
            scenario.proxy.connect();
        }
    };
    let url = scenario.proxy.url();
    let (run, ()) = tokio::join!(ingest(&scenario, case.timeout, &url), repair);
    if run.status == RunStatus::Complete {
        assert_eq!(scenario.missing(), 0, "{}", case.name);
    }
    run.status
}

#[tokio::test(flavor = "multi_thread")]
async fn each_network_fault_is_a_clear_error_and_loses_nothing() {
    let other_host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", other_host.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let counter = visits.clone();
    tokio::spawn(async move {
        while other_host.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let cases: Vec<Case> = connection_faults().into_iter().chain(response_faults(&url)).collect();
    let outcomes = join_all(cases.iter().map(|case| async move {
        let error = lasting_fault(case).await;
        (case, error, if case.recovers { Some(single_fault(case).await) } else { None })
    }));
    println!("| fault | single | lasting | help | lost after a rerun |\n|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for (case, error, once) in outcomes.await {
        let Case { name, kind, message, .. } = case;
        let once_outcome = if once.is_some() { "recovers" } else { "not tested" };
        let help = error.help.clone().unwrap_or_default();
        println!("| {name} | {once_outcome} | `{}` {} | {help} | 0 |", error.kind, short(&error.message));
        if error.kind != *kind || !error.message.contains(message) {
            wrong.push(format!("{name}: {kind}, {message:?} expected, got {error:?}"));
        }
        if !error.message.contains("://") && *kind != ErrorKind::RateLimited {
            wrong.push(format!("{name}: the error names no URL: {error:?}"));
        }
        if help.is_empty() {
            wrong.push(format!("{name}: the error has no help: {error:?}"));
        }
        if once.is_some_and(|status| status != RunStatus::Complete) {
            wrong.push(format!("{name}: the run did not recover from a single fault"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(visits.load(Ordering::SeqCst), 0, "a redirect was followed to another host");
}

/// A message without its context.
fn short(message: &str) -> &str {
    message.split(" (").next().unwrap_or(message)
}
