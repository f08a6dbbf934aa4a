//! Jira Cloud: a search that lags and takes JQL, and lists of the ids of worklogs that leave out the last minute.
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/>

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, at, basic, by_key, from_now, refuse, text_at, warnings};
use crate::table::requests_of_second_run;

const API: &str = "/rest/api/3";
const SEARCH: &str = "/rest/api/3/search/jql";
const HOUR: i64 = 3_600;

struct Jira {
    described: Described,
    issues: MockList,
    worklogs: MockList,
}

impl Jira {
    /// A site with two projects, of which the first has this many issues, one changed each hour, and a worklog in each.
    fn new(issues: i64) -> Self {
        Self::with_token(issues, "token")
    }

    fn with_token(issues: i64, token: &str) -> Self {
        let mock = MockApi::start();
        let (store, worklogs) = (mock.list("/store/issues"), mock.list("/store/worklogs"));
        (1..=issues).for_each(|id| store.insert(issue(id, "ABC", &at(id * HOUR))));
        (1..=issues).for_each(|id| worklogs.insert(worklog(id, &at(id * HOUR))));
        store.insert(issue(90_000, "XYZ", &at(0)));
        let message = "Client must be authenticated to access this resource.";
        refuse(&mock, "*", answer(401, &json!({"message": message, "status-code": 401})), |request| {
            request.header("authorization") != Some(&basic("ada@example.com", "token"))
        });
        mock.route(&format!("{API}/project/search"), projects);
        let list = store.clone();
        mock.route(SEARCH, move |request| search(&list, request).unwrap_or_else(|invalid| invalid));
        let list = store.clone();
        mock.route(&format!("{API}/issue/{{id}}"), move |request| {
            let found = list.get(request.parameter("id").unwrap()).map(|issue| answer(200, &issue));
            found.unwrap_or_else(|| errors(404, "Issue does not exist or you do not have permission to see it."))
        });
        for (name, is_deleted) in [("updated", false), ("deleted", true)] {
            let (list, url) = (worklogs.clone(), mock.url().to_owned());
            let path = format!("{API}/worklog/{name}");
            mock.route(&path, move |request| changed_worklogs(&list, request, &url, is_deleted));
        }
        let list = worklogs.clone();
        mock.route(&format!("{API}/worklog/list"), move |request| worklogs_by_id(&list, request));
        let plain = [("site", "acme")];
        let secrets = [("email", "ada@example.com"), ("api_token", token)];
        Self { described: Described::new("jira", "ABC", mock, &plain, &secrets), issues: store, worklogs }
    }

    fn assert_same(&self, memory: &Memory) {
        let issues = self.issues.records().into_iter().filter(|issue| project(issue) == "ABC").collect();
        self.described.assert_rows(memory, "issues", by_key(issues, "/id"));
        let worklogs = self.worklogs.records().into_iter().filter(|worklog| worklog["deleted"].is_null()).collect();
        self.described.assert_rows(memory, "worklogs", by_key(worklogs, "/id"));
    }
}

/// An instant as Jira writes it: with an offset that has no colon.
fn written(time: &str) -> String {
    time.replace('Z', ".000+0000")
}

fn millis(written: &str) -> i64 {
    written.replace(".000+0000", "Z").parse::<Timestamp>().unwrap().as_millisecond()
}

fn project(issue: &Value) -> &str {
    text_at(issue, "/fields/project/key")
}

fn issue(id: i64, project: &str, updated: &str) -> Value {
    let fields = json!({"summary": "s", "project": {"key": project}, "updated": written(updated)});
    json!({"id": id.to_string(), "key": format!("{project}-{id}"), "fields": fields})
}

/// Changes the summary of an issue.
fn change(issues: &MockList, id: i64, summary: &str, updated: &str) {
    let mut fields = issues.get(id).unwrap()["fields"].clone();
    fields["summary"] = summary.into();
    fields["updated"] = written(updated).into();
    issues.update(id, json!({"fields": fields}));
}

fn worklog(id: i64, updated: &str) -> Value {
    json!({"id": id.to_string(), "issueId": "1", "timeSpentSeconds": 60, "updated": written(updated)})
}

fn errors(status: u16, message: &str) -> MockResponse {
    answer(status, &json!({"errorMessages": [message], "errors": {}}))
}

fn number(request: &MockRequest, name: &str, default: usize) -> usize {
    request.query(name).map_or(default, |text| text.parse().unwrap())
}

fn projects(request: &MockRequest) -> MockResponse {
    let (start, limit) = (number(request, "startAt", 0), number(request, "maxResults", 50));
    if limit > 100 {
        return errors(400, "The maximum number of results is 100.");
    }
    let all =
        ["ABC", "XYZ"].map(|key| json!({"id": key.len().to_string() + key, "key": key, "name": format!("The {key}")}));
    let page: Vec<&Value> = all.iter().skip(start).take(limit).collect();
    answer(200, &json!({"startAt": start, "total": 2, "isLast": start + page.len() >= 2, "values": page}))
}

/// An issue of the search, with the fields that the request names: none without `fields`.
fn shown(mut issue: Value, request: &MockRequest) -> Value {
    if request.query("fields") != Some("*all") {
        issue.as_object_mut().unwrap().retain(|name, _| name == "id");
    }
    issue
}

/// Answers `project='KEY' and updated>=MILLISECONDS order by updated asc`. A token names the last issue of a page.
fn search(store: &MockList, request: &MockRequest) -> Result<MockResponse, MockResponse> {
    let jql = request.query("jql").ok_or_else(|| errors(400, "Unbounded JQL queries are not allowed here."))?;
    let not_jql = || errors(400, &format!("Error in the JQL Query: {jql}"));
    let (key, rest) =
        jql.strip_prefix("project='").and_then(|rest| rest.split_once("' and updated>=")).ok_or_else(not_jql)?;
    let from: i64 =
        rest.strip_suffix(" order by updated asc").and_then(|from| from.parse().ok()).ok_or_else(not_jql)?;
    if !["ABC", "XYZ"].contains(&key) {
        return Err(errors(400, &format!("The value '{key}' does not exist for the field 'project'.")));
    }
    let place =
        |issue: &Value| (millis(text_at(issue, "/fields/updated")), text_at(issue, "/id").parse::<i64>().unwrap());
    let after = request.query("nextPageToken").map(|token| {
        let (updated, id) = token.split_once('.').unwrap();
        (updated.parse::<i64>().unwrap(), id.parse::<i64>().unwrap())
    });
    let mut found: Vec<Value> = store.records().into_iter().filter(|issue| project(issue) == key).collect();
    found.retain(|issue| place(issue).0 >= from && after.is_none_or(|after| place(issue) > after));
    found.sort_by_key(place);
    // With all fields, a page has at most 100 issues, whatever the request allows.
    let limit = number(request, "maxResults", 50).min(100);
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let mut body = json!({"isLast": is_last});
    if let Some(last) = found.last().filter(|_| !is_last) {
        let (updated, id) = place(last);
        body["nextPageToken"] = format!("{updated}.{id}").into();
    }
    body["issues"] = found.into_iter().map(|issue| shown(issue, request)).collect();
    Ok(answer(200, &body))
}

/// The worklogs that were changed, or deleted, after a time and more than a minute ago, the oldest first.
fn changed_worklogs(store: &MockList, request: &MockRequest, url: &str, is_deleted: bool) -> MockResponse {
    let since: i64 = request.query("since").map_or(0, |since| since.parse().unwrap());
    let before = Timestamp::now().as_millisecond() - 60_000;
    let time = |worklog: &Value| {
        let time = if is_deleted { worklog["deleted"].as_str()? } else { worklog["updated"].as_str()? };
        (is_deleted || worklog["deleted"].is_null()).then(|| millis(time))
    };
    let mut found: Vec<(i64, Value)> =
        store.records().into_iter().filter_map(|worklog| Some((time(&worklog)?, worklog["id"].clone()))).collect();
    found.retain(|(time, _)| *time > since && *time < before);
    found.sort_by_key(|(time, _)| *time);
    let is_last = found.len() <= 1_000;
    found.truncate(1_000);
    let until = found.last().map_or(since, |(time, _)| *time);
    let id = |id: &Value| id.as_str().unwrap().parse::<i64>().unwrap();
    let values: Vec<Value> =
        found.iter().map(|(time, key)| json!({"worklogId": id(key), "updatedTime": time, "properties": []})).collect();
    let next = format!("{url}{}?since={until}", request.path());
    answer(200, &json!({"values": values, "since": since, "until": until, "nextPage": next, "lastPage": is_last}))
}

fn worklogs_by_id(store: &MockList, request: &MockRequest) -> MockResponse {
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let ids = body["ids"].as_array().unwrap();
    if ids.is_empty() || ids.len() > 1_000 {
        return errors(400, "The number of ids must be between 1 and 1000.");
    }
    let found =
        ids.iter().filter_map(|id| store.get(id.as_i64().unwrap())).filter(|worklog| worklog["deleted"].is_null());
    answer(200, &found.collect())
}

/// The case of the suites: each change adds an issue and a worklog, and changes an issue.
fn case() -> SourceCase {
    let jira = Jira::new(12);
    jira.described.mock.fault("*", Fault::status(503).every(9));
    let (issues, worklogs, next) = (jira.issues.clone(), jira.worklogs.clone(), AtomicI64::new(13));
    jira.described.case().changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        issues.insert(issue(id, "ABC", &at(id * HOUR)));
        change(&issues, 1, &format!("changed {id}"), &at(id * HOUR));
        worklogs.insert(worklog(id, &from_now(-90)));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_changes_only() {
    let (jira, memory) = (Jira::new(1_050), Memory::new());
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.assert_same(&memory);
    jira.described.mock.clear_requests();
    change(&jira.issues, 7, "changed", &at(2_000 * HOUR));
    jira.worklogs.insert(worklog(2_000, &from_now(-90)));
    let report = jira.described.ingest(&memory, Mode::Incremental).await;
    jira.assert_same(&memory);
    assert_eq!((report.counts().inserted, report.counts().updated), (1, 1));
    assert_eq!(jira.described.mock.count("*"), requests_of_second_run("jira") + 1, "and one for the worklog");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(Jira::new(120).described.requests_of_second_run().await, requests_of_second_run("jira"));
    assert_eq!(warnings("jira"), [r#"stream "projects": paginate"#], "a deleted project hides another one");
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (jira, memory) = (Jira::new(5), Memory::new());
    let limited = errors(429, "Rate limit exceeded.").with_header("Retry-After", "1");
    let limited =
        limited.with_header("X-RateLimit-Reset", "2026-01-01T00:00Z").with_header("X-RateLimit-Remaining", "0");
    let limit = RateLimit::after(&jira.described.mock, 1, limited.with_header("RateLimit-Reason", "jira-burst-based"));
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.assert_same(&memory);
    limit.assert_obeyed();
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let jira = Jira::with_token(1, "wrong");
    let (error, help) = jira.described.check_error().await;
    assert_eq!(jira.described.mock.count("*"), 1);
    assert!(error.contains("Client must be authenticated"), "{error}");
    assert!(!error.contains("wrong") && !help.is_empty(), "{error}: {help}");
}

#[tokio::test]
async fn issues_that_change_while_they_are_read_are_not_lost() {
    let (jira, memory) = (Jira::new(450), Memory::new());
    let (issues, next) = (jira.issues.clone(), AtomicI64::new(1));
    let moving = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        change(&issues, n, "changed meanwhile", &at((1_000 + n) * HOUR));
        issues.insert(issue(5_000 + n, "ABC", &at((1_000 + n) * HOUR)));
        issues.delete(200 + n);
    };
    jira.described.mock.fault(SEARCH, Fault::change(moving).always().times(6));
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.described.ingest(&memory, Mode::Reconcile).await;
    jira.assert_same(&memory);
}

#[tokio::test]
async fn what_the_lists_show_late_is_not_lost() {
    let (jira, memory) = (Jira::new(5), Memory::new());
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.worklogs.update(1, json!({"deleted": written(&from_now(-90))}));
    jira.described.ingest(&memory, Mode::Incremental).await;
    // These changed before that run began, in the minute that the lists leave out, or before the index had them.
    jira.issues.insert(issue(6, "ABC", &at(5 * HOUR - 300)));
    jira.worklogs.insert(worklog(6, &from_now(-100)));
    jira.worklogs.update(2, json!({"deleted": written(&from_now(-100))}));
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.assert_same(&memory);
}

#[tokio::test]
async fn deleted_worklogs_are_listed_and_a_reconcile_run_finds_deleted_issues() {
    let (jira, memory) = (Jira::new(12), Memory::new());
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.worklogs.update(5, json!({"deleted": written(&from_now(-90))}));
    jira.described.ingest(&memory, Mode::Incremental).await;
    jira.assert_same(&memory);

    jira.issues.delete(6);
    jira.described.ingest(&memory, Mode::Incremental).await;
    assert!(jira.described.live(&memory, "issues").contains_key("6"), "no list tells");
    jira.described.ingest(&memory, Mode::Reconcile).await;
    jira.assert_same(&memory);
}
