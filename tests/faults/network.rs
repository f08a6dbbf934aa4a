//! Each network fault: what the user sees while it lasts, and that nothing is missing afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use github_server::{Fault as Answer, RetryAfter};
use serde_json::json;
use snowfeed::{ErrorKind, ErrorReport, RunRecord, RunStatus};
use tokio::net::TcpListener;

use crate::faulty_proxy::ResponseFault;
use crate::scenario::Scenario;

/// This many responses are complete before the fault begins: something has been committed by then.
const GOOD_RESPONSES: usize = 6;

/// Longer than any good response takes, in seconds.
const LONG_TIMEOUT: u32 = 60;

/// What goes wrong.
#[derive(Clone)]
enum Fault {
    /// No server listens on the port.
    Refused,
    /// The base URL is a different one.
    Url(String),
    /// The proxy corrupts responses.
    Wire(ResponseFault),
    /// The server responds like this.
    Answer(Answer),
}

/// A fault, and its expected outcome.
struct Case {
    name: &'static str,
    fault: Fault,
    kind: ErrorKind,
    /// A part of the message.
    says: &'static str,
    /// Whether the client recovers by itself when the fault occurs once.
    recovers: bool,
    /// The longest that one attempt may take, in seconds.
    timeout: u32,
}

fn case(name: &'static str, fault: Fault, kind: ErrorKind, says: &'static str) -> Case {
    Case { name, fault, kind, says, recovers: true, timeout: LONG_TIMEOUT }
}

impl Case {
    /// A retry does not help, or would be wrong.
    fn not_retried(self) -> Self {
        Self { recovers: false, ..self }
    }

    /// Only a timeout ends an attempt.
    fn with_short_timeout(self) -> Self {
        Self { timeout: 3, ..self }
    }
}

fn connection_faults() -> Vec<Case> {
    let wire = |name, spoil, kind, says| case(name, Fault::Wire(spoil), kind, says);
    let (down, bad) = (ErrorKind::Unavailable, ErrorKind::InvalidData);
    let garbled = "cut short or garbled";
    vec![
        case("connection refused", Fault::Refused, down, "cannot be reached"),
        case("no such host", Fault::Url("https://no-such-host.invalid".into()), down, "cannot be found").not_retried(),
        wire("reset before the answer", ResponseFault::ResetAtOnce, down, "broke"),
        wire("reset after the headers", ResponseFault::ResetAfterHead, bad, garbled),
        wire("reset in the body", ResponseFault::ResetMidBody, bad, garbled),
        wire("no byte comes", ResponseFault::Stall, down, "did not answer in time").with_short_timeout(),
        wire("the body stalls", ResponseFault::StallMidBody, down, "did not answer in time").with_short_timeout(),
        wire("a byte every 50 ms", ResponseFault::Drip, down, "did not answer in time").with_short_timeout(),
        wire("body cut short", ResponseFault::Truncated, bad, garbled),
        wire("length too large", ResponseFault::LengthTooLarge, bad, garbled),
        wire("length too small", ResponseFault::LengthTooSmall, bad, "cut short"),
        wire("gzip that is none", ResponseFault::NotGzip, bad, garbled),
        wire("another charset", ResponseFault::Latin1, bad, "not UTF-8"),
        wire("another protocol", ResponseFault::WrongProtocol, down, "broke"),
        wire("headers without end", ResponseFault::EndlessHead, down, "broke"),
        wire("a body without end", ResponseFault::EndlessBody, bad, "longer than allowed").not_retried(),
        wire("JSON of another shape", ResponseFault::UnexpectedJson, bad, "JSON").not_retried(),
    ]
}

fn response_faults(elsewhere: &str) -> Vec<Case> {
    let answer = |name, answer, kind, says| case(name, Fault::Answer(answer), kind, says);
    let (down, bad, limited) = (ErrorKind::Unavailable, ErrorKind::InvalidData, ErrorKind::RateLimited);
    let status = |code, retry_after| Answer::Status { code, retry_after };
    let secondary = |code, retry_after| Answer::SecondaryLimit { code, retry_after };
    let away = Answer::RedirectTo(elsewhere.to_owned());
    let hour = Duration::from_secs(3_600);
    vec![
        answer("gzip bomb, 1 GiB", Answer::GzipBomb(1 << 30), bad, "longer than allowed").not_retried(),
        answer("half of the JSON", Answer::TruncatedJson, bad, "cut short"),
        answer("a web page, status 200", Answer::Html, bad, "web page"),
        answer("an empty answer", Answer::EmptyBody, bad, "empty"),
        answer("redirects in circles", Answer::RedirectLoop, down, "circles"),
        answer("redirect to another host", away, ErrorKind::Configuration, "another server").not_retried(),
        answer("500", status(500, None), down, "failed to answer"),
        answer("502", status(502, None), down, "failed to answer"),
        answer("503, Retry-After: 1", status(503, Some(RetryAfter::Seconds(1))), down, "failed to answer"),
        answer("primary limit, 403", Answer::PrimaryLimit { reset_in: hour }, limited, "primary rate limit")
            .not_retried(),
        answer("secondary limit, 403", secondary(403, None), limited, "secondary rate limit").not_retried(),
        answer("secondary limit, 429", secondary(429, None), limited, "secondary rate limit").not_retried(),
        answer("… Retry-After: 90", secondary(403, Some(RetryAfter::Seconds(90))), limited, "until").not_retried(),
        answer("… Retry-After: a date", secondary(429, Some(RetryAfter::Date(90))), limited, "until").not_retried(),
    ]
}

/// Begins the fault, at first for one answer only.
fn inject(scene: &Scenario, fault: &Fault, once: bool) {
    if !matches!(fault, Fault::Refused) {
        scene.wire.connect();
    }
    let after = scene.upstream.counts().requests + GOOD_RESPONSES as u64;
    match fault {
        Fault::Refused | Fault::Url(_) => {}
        Fault::Wire(spoil) => {
            scene.wire.spoil(*spoil, GOOD_RESPONSES..if once { GOOD_RESPONSES + 1 } else { usize::MAX })
        }
        Fault::Answer(answer) if once => scene.upstream.fault_at(after, answer.clone()),
        Fault::Answer(answer) => scene.upstream.fault_while(move |request| request.number() >= after, answer.clone()),
    }
}

/// One attempt of a request may take this many seconds.
async fn ingest(scene: &Scenario, timeout: u32, url: &str) -> RunRecord {
    let settings = json!({
        "api_url": url, "page_size": 20, "concurrency": 2, "retries": 1, "timeout_seconds": timeout,
        "max_wait_minutes": 0,
    });
    scene.connector(settings).ingest(scene.request()).await.unwrap().runs.remove(0)
}

/// While the fault lasts: the error. Then it ends, and a rerun stores everything.
async fn lasting_fault(case: &Case) -> ErrorReport {
    let scene = Scenario::new().await;
    inject(&scene, &case.fault, false);
    let url = match &case.fault {
        Fault::Url(url) => url.clone(),
        _ => scene.wire.url(),
    };
    let run = ingest(&scene, case.timeout, &url).await;
    let name = case.name;
    let error = run.error.clone().unwrap_or_else(|| panic!("{name} went unnoticed: {run:?}"));
    assert_ne!(run.status, RunStatus::Complete, "{name}");
    assert!(scene.missing() > 0, "{name}: the fault came too late");
    scene.wire.connect();
    scene.wire.clear_fault();
    scene.upstream.clear_faults();
    let run = ingest(&scene, LONG_TIMEOUT, &scene.wire.url()).await;
    assert_eq!(run.status, RunStatus::Complete, "{name}: {run:?}");
    assert_eq!(scene.missing(), 0, "{name}");
    error
}

/// The fault occurs once.
async fn single_fault(case: &Case) -> RunStatus {
    let scene = Scenario::new().await;
    inject(&scene, &case.fault, true);
    let heal = async {
        if matches!(case.fault, Fault::Refused) {
            // Before the second attempt, which comes after half a second at the earliest.
            tokio::time::sleep(Duration::from_millis(300)).await;
            scene.wire.connect();
        }
    };
    let url = scene.wire.url();
    let (run, ()) = tokio::join!(ingest(&scene, case.timeout, &url), heal);
    if run.status == RunStatus::Complete {
        assert_eq!(scene.missing(), 0, "{}", case.name);
    }
    run.status
}

#[tokio::test(flavor = "multi_thread")]
async fn each_network_fault_is_a_clear_error_and_loses_nothing() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", elsewhere.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let seen = visits.clone();
    tokio::spawn(async move {
        while elsewhere.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let cases: Vec<Case> = connection_faults().into_iter().chain(response_faults(&url)).collect();
    let outcomes = join_all(cases.iter().map(|case| async move {
        let error = lasting_fault(case).await;
        (case, error, if case.recovers { Some(single_fault(case).await) } else { None })
    }));
    println!(
        "| fault | it strikes once | while it lasts | what to do, as the error says it | lost after a rerun |\n|---|---|---|---|---|"
    );
    let mut wrong = Vec::new();
    for (case, error, once) in outcomes.await {
        let Case { name, kind, says, .. } = case;
        let once_said = if once.is_some() { "nothing to see" } else { "not tried" };
        let help = error.help.clone().unwrap_or_default();
        println!("| {name} | {once_said} | `{}` {} | {help} | 0 |", error.kind, short(&error.message));
        if error.kind != *kind || !error.message.contains(says) {
            wrong.push(format!("{name}: {kind}, {says:?} expected: {error:?}"));
        }
        if !error.message.contains("://") && *kind != ErrorKind::RateLimited {
            wrong.push(format!("{name}: nothing says where: {error:?}"));
        }
        if help.is_empty() {
            wrong.push(format!("{name}: nothing says what to do: {error:?}"));
        }
        if once.is_some_and(|status| status != RunStatus::Complete) {
            wrong.push(format!("{name}: it struck once, and the run did not get over it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(visits.load(Ordering::SeqCst), 0, "a redirect was followed to another host");
}

/// A message without its context.
fn short(message: &str) -> &str {
    message.split(" (").next().unwrap_or(message)
}
