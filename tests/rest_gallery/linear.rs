//! Linear: GraphQL, the newest first, whose errors are codes in bodies. <https://linear.app/developers/graphql>

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, at, by_key, from_now, refuse, text_at, warnings};
use crate::table::requests_of_second_run;

struct Linear {
    described: Described,
    issues: MockList,
}

impl Linear {
    /// A workspace with this many issues, one changed each second.
    fn new(issues: i64) -> Self {
        Self::with_key(issues, "lin_api_key")
    }

    fn with_key(issues: i64, key: &str) -> Self {
        let mock = MockApi::start();
        let store = mock.list("/store/issues");
        (1..=issues).for_each(|id| store.insert(issue(id, &at(id))));
        let message = "Authentication required, not authenticated";
        refuse(&mock, "*", errors(401, "AUTHENTICATION_ERROR", message), |request| {
            request.header("authorization") != Some("lin_api_key")
        });
        let list = store.clone();
        mock.route("/graphql", move |request| answer_query(&list, request).unwrap_or_else(|error| error));
        Self { described: Described::new("linear", "linear", mock, &[], &[("api_key", key)]), issues: store }
    }

    fn assert_same(&self, memory: &Memory) {
        let issues = self.issues.records().into_iter().filter(|issue| issue["trashed"] != true).collect();
        self.described.assert_rows(memory, "issues", by_key(issues, "/id"));
    }
}

fn issue(id: i64, updated: &str) -> Value {
    json!({
        "id": format!("issue-{id}"), "identifier": format!("ENG-{id}"), "title": "t", "updatedAt": updated, "archivedAt": null,
        "trashed": null, "state": {"name": "Todo"}, "team": {"key": "ENG"},
    })
}

fn key(id: i64) -> String {
    format!("issue-{id}")
}

fn errors(status: u16, code: &str, message: &str) -> MockResponse {
    let error = json!({"message": message, "extensions": {"type": "error", "code": code, "statusCode": 400}});
    answer(status, &json!({"errors": [error], "data": null}))
}

/// The argument after `name: ` in a query.
fn argument<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = query.split_once(&format!("{name}: "))?;
    rest.split([',', ')', ' ']).next()
}

/// Answers the two queries of the description: a page of the issues, and one issue. An error is a code.
fn answer_query(store: &MockList, request: &MockRequest) -> Result<MockResponse, MockResponse> {
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let (query, variables) = (text_at(&body, "/query"), &body["variables"]);
    let missing = |name: &str| errors(400, "GRAPHQL_VALIDATION_FAILED", &format!("Variable \"${name}\" is required"));
    // The fields that are asked for, as far as they are plain: all others of this test are objects.
    let shown = |mut issue: Value| {
        issue.as_object_mut().unwrap().retain(|name, _| query.contains(&format!(" {name} ")));
        issue
    };
    if query.contains("issue(id: $id)") {
        let id = variables["id"].as_str().ok_or_else(|| missing("id"))?;
        let not_found = || errors(200, "INPUT_ERROR", "Entity not found: Issue");
        return Ok(answer(200, &json!({"data": {"issue": shown(store.get(id).ok_or_else(not_found)?)}})));
    }
    let since = variables["since"]
        .as_str()
        .and_then(|since| since.parse::<Timestamp>().ok())
        .ok_or_else(|| missing("since"))?;
    let first: usize = argument(query, "first").map_or(50, |first| first.parse().unwrap());
    if first > 250 {
        return Err(errors(400, "INPUT_ERROR", "Argument Validation Error: first must not be greater than 250"));
    }
    let is_after = |issue: &Value, field: &str| {
        let filter = format!("{field}: {{ gte: $since }}");
        query.contains(&filter) && issue[field].as_str().is_some_and(|time| time.parse::<Timestamp>().unwrap() >= since)
    };
    let order = format!("/{}", argument(query, "orderBy").unwrap_or("createdAt"));
    let place = |issue: &Value| (text_at(issue, &order).to_owned(), text_at(issue, "/id").to_owned());
    let mut found = store.records();
    found.retain(|issue| {
        let is_shown = issue["archivedAt"].is_null() || argument(query, "includeArchived") == Some("true");
        is_shown && (is_after(issue, "updatedAt") || is_after(issue, "archivedAt"))
    });
    found.sort_by_key(|issue| std::cmp::Reverse(place(issue)));
    if let Some((time, id)) = variables["after"].as_str().and_then(|after| after.split_once('|')) {
        found.retain(|issue| place(issue) < (time.to_owned(), id.to_owned()));
    }
    let has_next = found.len() > first;
    found.truncate(first);
    let cursor = found.last().map(|last| format!("{}|{}", place(last).0, place(last).1));
    let nodes: Vec<Value> = found.into_iter().map(shown).collect();
    let page = json!({"hasNextPage": has_next, "endCursor": cursor});
    Ok(answer(200, &json!({"data": {"issues": {"nodes": nodes, "pageInfo": page}}})))
}

/// The case of the suites: each change adds an issue, and changes another one.
fn case() -> SourceCase {
    let linear = Linear::new(520);
    linear.described.mock.fault("*", Fault::status(502).every(9));
    let (issues, next) = (linear.issues.clone(), AtomicI64::new(521));
    linear.described.case().changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        issues.insert(issue(id, &from_now(0)));
        issues.update(key(1), json!({"title": format!("changed {id}"), "updatedAt": from_now(0)}));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_changes_only() {
    let (linear, memory) = (Linear::new(620), Memory::new());
    linear.described.ingest(&memory, Mode::Incremental).await;
    linear.assert_same(&memory);
    assert_eq!(linear.described.mock.count("*"), 3);
    linear.described.mock.clear_requests();
    linear.issues.update(key(7), json!({"title": "changed", "updatedAt": from_now(0)}));
    let report = linear.described.ingest(&memory, Mode::Incremental).await;
    linear.assert_same(&memory);
    assert_eq!((report.counts().offered, report.counts().updated), (1, 1));
    assert_eq!(linear.described.mock.count("*"), requests_of_second_run("linear"));
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(Linear::new(120).described.requests_of_second_run().await, requests_of_second_run("linear"));
    assert_eq!(warnings("linear"), Vec::<String>::new());
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (linear, memory) = (Linear::new(5), Memory::new());
    let reset = (Timestamp::now().as_millisecond() + 1_000).to_string();
    let limited = errors(400, "RATELIMITED", "Rate limit exceeded. Only 2500 requests are allowed per 1 hour.")
        .with_header("X-RateLimit-Requests-Limit", "2500")
        .with_header("X-RateLimit-Requests-Remaining", "0")
        .with_header("X-RateLimit-Requests-Reset", &reset)
        .with_header("X-RateLimit-Complexity-Limit", "3000000")
        .with_header("X-RateLimit-Complexity-Remaining", "2999000")
        .with_header("X-RateLimit-Complexity-Reset", &reset);
    let limit = RateLimit::after(&linear.described.mock, 0, limited);
    linear.described.ingest(&memory, Mode::Incremental).await;
    linear.assert_same(&memory);
    limit.assert_obeyed();
    assert_eq!(linear.described.mock.count("*"), 2, "the headers tell when, so that no guess is needed");
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let linear = Linear::with_key(1, "wrong");
    let (error, help) = linear.described.check_error().await;
    assert_eq!(linear.described.mock.count("*"), 1);
    assert!(error.contains("Authentication required, not authenticated"), "{error}");
    assert!(!error.contains("wrong") && !help.is_empty(), "{error}: {help}");
}

#[tokio::test]
async fn issues_that_change_while_they_are_read_are_not_lost() {
    let (linear, memory) = (Linear::new(900), Memory::new());
    let (issues, next) = (linear.issues.clone(), AtomicI64::new(1));
    let change = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        issues.update(key(n), json!({"title": "changed meanwhile", "updatedAt": from_now(0)}));
        issues.insert(issue(5_000 + n, &from_now(0)));
        issues.update(key(500 + n), json!({"trashed": true, "archivedAt": from_now(0)}));
    };
    linear.described.mock.fault("/graphql", Fault::change(change).always().times(6));
    for _ in 0..2 {
        linear.described.ingest(&memory, Mode::Incremental).await;
    }
    linear.assert_same(&memory);
}

#[tokio::test]
async fn the_trash_finds_deletions_and_a_reconcile_run_those_that_left_it() {
    let (linear, memory) = (Linear::new(12), Memory::new());
    linear.described.ingest(&memory, Mode::Incremental).await;
    // Archived issues stay.
    linear.issues.update(key(4), json!({"archivedAt": from_now(0)}));
    linear.issues.update(key(5), json!({"trashed": true, "archivedAt": from_now(0)}));
    linear.described.ingest(&memory, Mode::Incremental).await;
    linear.assert_same(&memory);

    linear.issues.delete(key(6));
    linear.described.ingest(&memory, Mode::Incremental).await;
    assert!(linear.described.live(&memory, "issues").contains_key(&key(6)), "no list tells");
    linear.described.ingest(&memory, Mode::Reconcile).await;
    linear.assert_same(&memory);
}

#[tokio::test]
async fn a_mistake_in_a_query_is_an_error_with_the_words_of_the_server() {
    let linear = Linear::new(1);
    let described = linear.described.adjust(|api| {
        let body = api.streams[0].body.as_mut().unwrap();
        body["query"] = body["query"].as_str().unwrap().replace("first: 250", "first: 500").into();
    });
    let error = described.error(&Memory::new()).await;
    assert!(error.contains("first must not be greater than 250"), "{error}");
}
