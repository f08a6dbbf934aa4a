//! PagerDuty: lists by offset, of which no question reaches beyond 10,000 results or six months, and a log with the newest entry first.
//! <https://developer.pagerduty.com/docs/pagination>

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::jiff::{Timestamp, ToSpan, tz::TimeZone};
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, by_key, from_now, warnings};
use crate::table::requests_of_second_run;

const KEY: &str = "y_NbAkKc66ryYTWUXYEu";
const DAY: i64 = 86_400;

struct PagerDuty {
    described: Described,
    incidents: MockList,
    log_entries: MockList,
}

impl PagerDuty {
    /// An account with this many incidents, one each day up to now, and two log entries for each.
    fn new(incidents: i64) -> Self {
        Self::with_depth(incidents, 10_000)
    }

    /// `depth` is the highest sum of `offset` and `limit`.
    fn with_depth(incidents: i64, depth: usize) -> Self {
        Self::with_key(incidents, depth, KEY)
    }

    fn with_key(incidents: i64, depth: usize, key: &str) -> Self {
        let mock = MockApi::start();
        let (store, log) = (mock.list("/store/incidents"), mock.list("/store/log_entries"));
        for number in 1..=incidents {
            let created = (number - incidents) * DAY - 120;
            trigger(&store, &log, number, created);
            log.insert(entry(&format!("R{number:05}B"), created + 60));
        }
        let list = store.clone();
        serve(&mock, "/incidents", move |request| {
            let incidents = range(request, list.records(), Some(6))?;
            let sort_by = request.query("sort_by").unwrap_or("incident_number");
            let (by, direction) = sort_by.split_once(':').unwrap_or((sort_by, "asc"));
            if !["incident_number", "created_at", "resolved_at", "urgency"].contains(&by) {
                return Err(invalid("sort_by is invalid"));
            }
            page(request, "incidents", sorted(incidents, "incident_number", direction == "desc"), depth)
        });
        let list = store.clone();
        serve(&mock, "/incidents/{id}", move |request| {
            let found = list.get(request.parameter("id").unwrap());
            found.map(|incident| json!({"incident": incident})).ok_or_else(|| error(404, 2100, "Not Found", &[]))
        });
        let list = log.clone();
        serve(&mock, "/log_entries", move |request| {
            let entries = range(request, list.records(), None)?;
            page(request, "log_entries", sorted(entries, "created_at", true), depth)
        });
        let described = Described::new("pagerduty", "pagerduty", mock, &[], &[("api_key", key)]);
        let described = described.adjust(|api| {
            for stream in &mut api.streams {
                assert_eq!(stream.cap.replace(depth as u64), Some(10_000));
            }
        });
        Self { described, incidents: store, log_entries: log }
    }

    fn update(&self, number: i64, status: &str) {
        let now = from_now(0);
        self.incidents.update(id(number), json!({"status": status, "updated_at": now, "last_status_change_at": now}));
    }

    fn assert_same(&self, memory: &Memory) {
        self.described.assert_rows(memory, "incidents", by_key(self.incidents.records(), "/id"));
        self.described.assert_rows(memory, "log_entries", by_key(self.log_entries.records(), "/id"));
    }
}

fn id(number: i64) -> String {
    format!("Q{number:05}")
}

/// Inserts an incident, created this many seconds from now, and the first entry of its log.
fn trigger(incidents: &MockList, log: &MockList, number: i64, created: i64) {
    let at = from_now(created);
    incidents.insert(json!({
        "id": id(number), "incident_number": number, "title": "t", "status": "triggered", "created_at": at, "updated_at": at,
        "last_status_change_at": at, "resolved_at": null,
    }));
    log.insert(entry(&format!("R{number:05}A"), created));
}

fn entry(id: &str, created: i64) -> Value {
    json!({"id": id, "type": "trigger_log_entry", "created_at": from_now(created)})
}

fn error(status: u16, code: u16, message: &str, details: &[&str]) -> MockResponse {
    answer(status, &json!({"error": {"message": message, "code": code, "errors": details}}))
}

fn invalid(detail: &str) -> MockResponse {
    error(400, 2001, "Invalid Input Provided", &[detail])
}

/// Answers requests with the right key and version.
fn serve(
    mock: &MockApi,
    path: &str,
    respond: impl Fn(&MockRequest) -> Result<Value, MockResponse> + Send + Sync + 'static,
) {
    mock.route(path, move |request| {
        if request.header("authorization") != Some(&format!("Token token={KEY}")) {
            return error(401, 2006, "Authentication failed", &[]);
        }
        if request.header("accept") != Some("application/vnd.pagerduty+json;version=2") {
            return invalid("the version is missing");
        }
        respond(request).map_or_else(|refusal| refusal, |body| answer(200, &body))
    });
}

/// The records created since and until the times of a request: the last month without them, and no more than `months`.
fn range(request: &MockRequest, records: Vec<Value>, months: Option<i64>) -> Result<Vec<Value>, MockResponse> {
    let time = |name: &str| match request.query(name).map(str::parse::<Timestamp>) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(_)) => Err(error(400, 2004, "Invalid time values in 'since' and/or 'until' parameters", &[])),
    };
    let months_before =
        |time: Timestamp, months: i64| time.to_zoned(TimeZone::UTC).checked_sub(months.months()).unwrap().timestamp();
    let until = time("until")?.unwrap_or_else(Timestamp::now);
    let since = time("since")?.unwrap_or_else(|| months_before(until, 1));
    if until < since || months.is_some_and(|months| since < months_before(until, months)) {
        return Err(error(400, 2005, "Invalid Query Date Range", &[]));
    }
    let is_within = |record: &Value| (since..until).contains(&record["created_at"].as_str().unwrap().parse().unwrap());
    Ok(records.into_iter().filter(is_within).collect())
}

fn sorted(mut records: Vec<Value>, field: &str, is_descending: bool) -> Vec<Value> {
    records.sort_by_cached_key(|record| {
        (record[field].as_i64(), record[field].as_str().map(str::to_owned), record["id"].to_string())
    });
    if is_descending {
        records.reverse();
    }
    records
}

fn page(request: &MockRequest, name: &str, records: Vec<Value>, depth: usize) -> Result<Value, MockResponse> {
    let number = |name: &str, default| request.query(name).map_or(default, |number| number.parse().unwrap());
    let (limit, offset): (usize, usize) = (number("limit", 25), number("offset", 0));
    if !(1..=100).contains(&limit) {
        return Err(invalid("limit must be between 1 and 100"));
    }
    if offset + limit > depth {
        return Err(invalid("the sum of offset and limit cannot exceed 10000"));
    }
    let more = records.len() > offset + limit;
    let page: Vec<Value> = records.into_iter().skip(offset).take(limit).collect();
    Ok(json!({name: page, "limit": limit, "offset": offset, "more": more, "total": null}))
}

/// The case of the suites, with ten records on a page and a short history: each change triggers an incident, and acknowledges one.
fn case() -> SourceCase {
    let pagerduty = PagerDuty::new(24);
    pagerduty.described.mock.fault("*", Fault::status(500).every(9));
    let (incidents, log, next) = (pagerduty.incidents.clone(), pagerduty.log_entries.clone(), AtomicI64::new(25));
    let start = from_now(-200 * DAY);
    let described = pagerduty.described.smaller_pages("limit=100", "limit=10").adjust(|api| {
        api.streams.iter_mut().for_each(|stream| stream.since.as_mut().unwrap().start = Some(start.clone()));
    });
    described.case().changing(move || {
        let number = next.fetch_add(1, Ordering::SeqCst);
        trigger(&incidents, &log, number, -1);
        incidents.update(id(number - 10), json!({"status": "acknowledged", "updated_at": from_now(0)}));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_the_last_60_days() {
    let (pagerduty, memory) = (PagerDuty::new(400), Memory::new());
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
    let empty = pagerduty.described.mock.requests().len() - 4 - 8 - 3 - 5;
    assert!((60..100).contains(&empty), "one for each window from 2009 on: {empty}");

    pagerduty.described.mock.clear_requests();
    pagerduty.update(380, "acknowledged");
    trigger(&pagerduty.incidents, &pagerduty.log_entries, 401, -1);
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
    let requests = pagerduty.described.mock.requests();
    assert_eq!(requests.len(), requests_of_second_run("pagerduty"));
    let of_incidents = requests.iter().find(|request| request.path() == "/incidents").unwrap();
    let since: Timestamp = of_incidents.query("since").unwrap().parse().unwrap();
    assert_eq!(Timestamp::now().duration_since(since).as_secs() / DAY, 60);
}

#[tokio::test]
async fn an_older_incident_that_changes_is_read_by_a_reconcile_run() {
    let (pagerduty, memory) = (PagerDuty::new(100), Memory::new());
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.update(10, "resolved");
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    assert_eq!(pagerduty.described.live(&memory, "incidents")[&id(10)]["status"], "triggered", "90 days old");
    pagerduty.described.ingest(&memory, Mode::Reconcile).await;
    pagerduty.assert_same(&memory);
}

#[tokio::test]
async fn a_reconcile_run_asks_for_an_incident_that_is_no_longer_listed() {
    let (pagerduty, memory) = (PagerDuty::new(20), Memory::new());
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    // The API deletes none; the key may have lost a team, whose incidents it sees no longer.
    pagerduty.incidents.delete(id(7));
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    assert!(pagerduty.described.live(&memory, "incidents").contains_key(&id(7)));
    pagerduty.described.ingest(&memory, Mode::Reconcile).await;
    pagerduty.assert_same(&memory);
    assert_eq!(pagerduty.described.mock.count("/incidents/{id}"), 1);
}

#[tokio::test]
async fn a_window_with_more_than_the_largest_offset_is_halved() {
    let (pagerduty, memory) = (PagerDuty::with_depth(400, 100), Memory::new());
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
    let refused = pagerduty.described.mock.requests().iter().filter(|request| request.status() != Some(200)).count();
    assert_eq!(refused, 0, "no request goes beyond it");
}

#[tokio::test]
async fn changes_while_the_lists_are_read_lose_nothing() {
    let (pagerduty, memory) = (PagerDuty::new(450), Memory::new());
    let (incidents, log, next) = (pagerduty.incidents.clone(), pagerduty.log_entries.clone(), AtomicI64::new(1));
    let change = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        trigger(&incidents, &log, 450 + n, 0);
        // Incidents that were and that were not read yet; none is older than what the next run reads again.
        incidents.update(id(450 - n), json!({"status": "resolved", "updated_at": from_now(0)}));
        // An entry that appears a minute late.
        log.insert(entry(&format!("L{n:05}"), -60));
    };
    pagerduty.described.mock.fault("*", Fault::change(change).always().times(50));
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    assert!(pagerduty.described.live(&memory, "incidents").len() >= 450, "the first run has all that were there");
    pagerduty.described.mock.clear_faults();
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
}

#[tokio::test]
async fn a_log_entry_that_appears_late_is_read_below_many_newer_ones() {
    let (pagerduty, memory) = (PagerDuty::new(20), Memory::new());
    pagerduty.log_entries.extend((0..150).map(|n| entry(&format!("N{n:05}"), -n)));
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.log_entries.insert(entry("LATE", -500));
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (pagerduty, memory) = (PagerDuty::new(5), Memory::new());
    let limited = answer(429, &json!({"error": {"message": "Rate Limit Exceeded", "code": 2020}}));
    let limited = limited.with_header("ratelimit-limit", "960").with_header("ratelimit-remaining", "0");
    let limit = RateLimit::after(&pagerduty.described.mock, 2, limited.with_header("ratelimit-reset", "1"));
    pagerduty.described.ingest(&memory, Mode::Incremental).await;
    pagerduty.assert_same(&memory);
    limit.assert_obeyed();
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let pagerduty = PagerDuty::with_key(1, 10_000, "wrong");
    let (error, help) = pagerduty.described.check_error().await;
    assert_eq!(pagerduty.described.mock.count("*"), 1);
    assert!(error.contains("does not accept the credentials: Authentication failed"), "{error}");
    assert!(!error.contains("wrong") && help.contains("check the token"), "{error}: {help}");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(PagerDuty::new(90).described.requests_of_second_run().await, requests_of_second_run("pagerduty"));
    assert_eq!(warnings("pagerduty"), ["stream \"incidents\": paginate"], "a deleted incident would hide another one");
}

#[test]
fn the_server_does_what_the_documentation_says() {
    let pagerduty = PagerDuty::new(60);
    let get = |target: &str| {
        let request = MockRequest::get(target).with_header("Authorization", &format!("Token token={KEY}"));
        pagerduty.described.mock.answer(request.with_header("Accept", "application/vnd.pagerduty+json;version=2"))
    };
    assert_eq!([0, 101].map(|limit| get(&format!("/incidents?limit={limit}")).status()), [400, 400]);
    assert_eq!(get("/incidents?limit=100&offset=9901").to_json()["error"]["code"], 2001);
    assert_eq!(get("/incidents?sort_by=title").status(), 400);
    let page = get("/incidents?limit=100").to_json();
    assert!((29..=31).contains(&page["incidents"].as_array().unwrap().len()), "one month: {page}");
    let (since, until) = (from_now(-190 * DAY), from_now(0));
    assert_eq!(get(&format!("/incidents?since={since}&until={until}")).to_json()["error"]["code"], 2005);
    let created = page["incidents"][0]["created_at"].as_str().unwrap();
    let only = get(&format!("/incidents?since={created}&until={}", from_now(-28 * DAY))).to_json();
    assert_eq!(only["incidents"][0]["created_at"], created, "`since` includes the time itself");
    assert_eq!(get("/incidents/Q").status(), 404);
    assert_eq!(pagerduty.described.mock.answer("/incidents").status(), 401);
}
