//! Zendesk: an export of tickets by cursor, in the order of their last change, which ends with a flag, and lists of comments by next URL.
//! <https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/>

use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, at, basic, by_key, file, warnings};
use crate::table::requests_of_second_run;

const EXPORT: &str = "/api/v2/incremental/tickets/cursor.json";

/// The second of `at(0)`.
const BEGIN: i64 = 1_767_225_600;

struct Zendesk {
    described: Described,
    tickets: MockList,
    comments: MockList,
}

impl Zendesk {
    /// An account with this many tickets, one changed each second.
    fn new(tickets: i64) -> Self {
        Self::with_token(tickets, "token")
    }

    fn with_token(tickets: i64, token: &str) -> Self {
        let mock = MockApi::start();
        let store = mock.list("/store/tickets");
        let comments = mock.child_list("/store/tickets/{ticket}/comments", &store);
        (1..=tickets).for_each(|id| open(&store, &comments, id, id));
        let (list, url) = (store.clone(), mock.url().to_owned());
        serve(&mock, EXPORT, move |request| export(request, &url, list.records()));
        let (list, children, url) = (store.clone(), comments.clone(), mock.url().to_owned());
        serve(&mock, "/api/v2/tickets/{id}/comments.json", move |request| {
            let id = request.parameter("id").unwrap();
            let is_there = list.get(id).is_some_and(|ticket| ticket["status"] != "deleted");
            let not_found = || answer(404, &json!({"error": "RecordNotFound", "description": "Not found"}));
            let comments = is_there.then(|| children.of(id).records()).ok_or_else(not_found)?;
            page(request, &url, comments)
        });
        let secrets = [("email", "ada@example.com"), ("api_token", token)];
        let described = Described::new("zendesk", "zendesk", mock, &[("subdomain", "acme")], &secrets);
        // The pace of the export would keep the tests waiting.
        let described = described.adjust(|api| api.streams[0].pace = None);
        Self { described, tickets: store, comments }
    }

    /// Changes a ticket, at this second.
    fn update(&self, id: i64, second: i64, mut fields: Value) {
        fields["generated_timestamp"] = json!(BEGIN + second);
        self.tickets.update(id, fields);
    }

    fn assert_same(&self, memory: &Memory) {
        let mut live = self.tickets.records();
        live.retain(|ticket| ticket["status"] != "deleted");
        let comments = by_key(live.clone(), "/id").flat_map(|(id, _)| {
            let comments = by_key(self.comments.of(&id).records(), "/id");
            comments.map(move |(key, comment)| (format!("{id}/{key}"), comment)).collect::<Vec<_>>()
        });
        self.described.assert_rows(memory, "comments", comments);
        self.described.assert_rows(memory, "tickets", by_key(live, "/id"));
    }
}

/// Inserts a ticket with up to three comments.
fn open(tickets: &MockList, comments: &MockList, id: i64, second: i64) {
    let changed = at(second);
    tickets.insert(json!({"id": id, "subject": "s", "status": "open", "updated_at": changed, "generated_timestamp": BEGIN + second}));
    comments.of(id).extend((0..=id % 3).map(|n| json!({"id": id * 1_000 + n, "body": "b", "created_at": changed})));
}

/// Answers requests with the right credentials.
fn serve(
    mock: &MockApi,
    path: &str,
    respond: impl Fn(&MockRequest) -> Result<MockResponse, MockResponse> + Send + Sync + 'static,
) {
    let expected = basic("ada@example.com/token", "token");
    mock.route(path, move |request| match request.header("authorization") == Some(&expected) {
        true => respond(request).unwrap_or_else(|refusal| refusal),
        false => answer(401, &json!({"error": "Couldn't authenticate you"})),
    });
}

fn invalid(parameter: &str, rule: &str) -> MockResponse {
    let message = format!("You passed an invalid value for the {parameter} attribute. Invalid parameter: {rule}");
    answer(400, &json!({"error": {"title": "Invalid attribute", "message": message}}))
}

/// A page of the export: what changed at or after `start_time`, or after a cursor, in this order, except in the last minute.
fn export(request: &MockRequest, url: &str, mut tickets: Vec<Value>) -> Result<MockResponse, MockResponse> {
    let latest = Timestamp::now().as_second() - 60;
    let size = request.query("per_page").map_or(Some(1_000), |size| size.parse().ok());
    let size = size.filter(|size| (1..=1_000).contains(size)).ok_or_else(|| invalid("per_page", "at most 1000"))?;
    let place = |ticket: &Value| (ticket["generated_timestamp"].as_i64().unwrap(), ticket["id"].as_i64().unwrap());
    let after = match (request.query("cursor"), request.query("start_time")) {
        (Some(cursor), _) => {
            // As in the documentation: `MTU4MDc1Mzc5OC4wfHw0MzJ8` is `1580753798.0||432|`.
            let text = STANDARD.decode(cursor).ok().and_then(|text| String::from_utf8(text).ok());
            let place = text.as_deref().and_then(|text| text.trim_end_matches('|').split_once(".0||"));
            let place = place.and_then(|(time, id)| Some((time.parse().ok()?, id.parse().ok()?)));
            place.ok_or_else(|| invalid("cursor", "malformed"))?
        }
        (None, Some(start)) => match start.parse::<i64>() {
            Ok(start) if start <= latest => (start, -1),
            Ok(_) => return Err(invalid("start_time", "must be at least one minute in the past")),
            Err(_) => return Err(invalid("start_time", "must be an integer")),
        },
        (None, None) => return Err(invalid("start_time", "must be present")),
    };
    tickets.retain(|ticket| place(ticket) > after && place(ticket).0 <= latest);
    tickets.sort_by_key(place);
    let is_end = tickets.len() <= size;
    tickets.truncate(size);
    let (time, id) = tickets.last().map_or(after, place);
    let cursor = STANDARD.encode(format!("{time}.0||{id}|"));
    let next = format!("{url}{EXPORT}?cursor={}&per_page={size}", cursor.replace('=', "%3D"));
    Ok(answer(
        200,
        &json!({"tickets": tickets, "after_url": next, "after_cursor": cursor, "before_url": null, "end_of_stream": is_end}),
    ))
}

/// A page of comments, by cursor. <https://developer.zendesk.com/api-reference/introduction/pagination/>
fn page(request: &MockRequest, url: &str, comments: Vec<Value>) -> Result<MockResponse, MockResponse> {
    let size = request.query("page[size]").and_then(|size| size.parse().ok());
    let size = size.filter(|size| (1..=100).contains(size)).ok_or_else(|| invalid("page[size]", "at most 100"))?;
    let after = request.query("page[after]").map_or(-1, |after| after.parse().unwrap());
    let rest: Vec<Value> = comments.into_iter().filter(|comment| comment["id"].as_i64() > Some(after)).collect();
    let has_more = rest.len() > size;
    let comments = &rest[..size.min(rest.len())];
    let last = comments.last().map_or(after, |comment| comment["id"].as_i64().unwrap());
    let next = has_more.then(|| format!("{url}{}?page[size]={size}&page[after]={last}", request.path()));
    Ok(answer(
        200,
        &json!({"comments": comments, "meta": {"has_more": has_more}, "links": {"prev": null, "next": next}}),
    ))
}

/// The case of the suites, with five tickets on a page: each change opens a ticket, and changes one.
fn case() -> SourceCase {
    let zendesk = Zendesk::new(12);
    zendesk.described.mock.fault("*", Fault::status(503).every(9));
    zendesk.update(9, 30, json!({"status": "deleted"}));
    let (tickets, comments, next) = (zendesk.tickets.clone(), zendesk.comments.clone(), AtomicI64::new(13));
    let described = zendesk.described.smaller_pages("per_page=1000", "per_page=5");
    described.case().changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        open(&tickets, &comments, id, 100 + id);
        comments.of(id - 10).insert(json!({"id": 100_000 + id, "body": "new"}));
        tickets.update(id - 10, json!({"subject": "changed", "generated_timestamp": BEGIN + 100 + id}));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_changes_only() {
    let (zendesk, memory) = (Zendesk::new(1_100), Memory::new());
    zendesk.comments.of(3).extend((0..150).map(|n| json!({"id": 50_000 + n, "body": "b"})));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
    assert_eq!(zendesk.described.mock.requests()[0].query("start_time"), Some("0"));
    assert_eq!((zendesk.described.mock.count(EXPORT), zendesk.described.mock.count("*")), (2, 2 + 1_100 + 1));

    zendesk.described.mock.clear_requests();
    zendesk.comments.of(7).insert(json!({"id": 60_000, "body": "new"}));
    zendesk.update(7, 2_000, json!({"status": "solved", "updated_at": at(2_000)}));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
    let requests = zendesk.described.mock.requests();
    assert_eq!(
        requests[0].query("start_time"),
        Some(&*(BEGIN + 1_099).to_string()),
        "the newest change, less a second"
    );
    assert_eq!(requests.len(), requests_of_second_run("zendesk") + 1, "and one for the comments");
}

#[tokio::test]
async fn a_change_by_the_system_is_read_although_updated_at_stays() {
    let (zendesk, memory) = (Zendesk::new(12), Memory::new());
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.update(5, 100, json!({"group_id": 7}));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
}

#[tokio::test]
async fn what_changed_in_the_last_minute_is_read_later() {
    let (zendesk, memory) = (Zendesk::new(12), Memory::new());
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    let now = Timestamp::now().as_second();
    zendesk.tickets.update(4, json!({"subject": "changed", "generated_timestamp": now}));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    assert_eq!(zendesk.described.live(&memory, "tickets")["4"]["subject"], "s", "the export holds it back");
    // The minute has passed; what changed after it is still held back.
    zendesk.tickets.update(4, json!({"generated_timestamp": now - 61}));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
}

#[tokio::test]
async fn the_export_finds_deletions_and_their_comments_go_too() {
    let (zendesk, memory) = (Zendesk::new(12), Memory::new());
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.update(5, 100, json!({"status": "deleted"}));
    // The comments of this one are asked for, and it is deleted before the export says so.
    let now = Timestamp::now().as_second();
    zendesk.update(6, 100, json!({"subject": "changed"}));
    let tickets = zendesk.tickets.clone();
    let delete = move || tickets.update(6, json!({"status": "deleted", "generated_timestamp": now}));
    zendesk.described.mock.fault("/api/v2/tickets/6/comments.json", Fault::change(delete));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    let live: Vec<String> = zendesk.described.live(&memory, "tickets").into_keys().collect();
    assert!(!live.contains(&"5".to_owned()) && live.contains(&"6".to_owned()), "{live:?}");
    zendesk.update(6, 200, json!({}));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
}

#[tokio::test]
async fn changes_while_the_export_is_read_lose_nothing() {
    let (zendesk, memory) = (Zendesk::new(60), Memory::new());
    let described = zendesk.described.smaller_pages("per_page=1000", "per_page=10");
    let zendesk = Zendesk { described, ..zendesk };
    let (tickets, comments, next) = (zendesk.tickets.clone(), zendesk.comments.clone(), AtomicI64::new(1));
    let change = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        open(&tickets, &comments, 100 + n, 100 + n);
        comments.of(n).insert(json!({"id": 90_000 + n, "body": "new"}));
        tickets.update(n, json!({"subject": "changed", "generated_timestamp": BEGIN + 100 + n}));
    };
    zendesk.described.mock.fault("*", Fault::change(change).always().times(50));
    zendesk.described.mock.fault(EXPORT, Fault::truncate().after(2));
    for _ in 0..2 {
        zendesk.described.ingest(&memory, Mode::Incremental).await;
    }
    zendesk.described.mock.clear_faults();
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (zendesk, memory) = (Zendesk::new(5), Memory::new());
    let limited = MockResponse::new(429).with_body("Number of allowed API requests per minute exceeded");
    let limited = limited.with_header("Retry-After", "1").with_header("X-Rate-Limit-Remaining", "0");
    let limit = RateLimit::after(&zendesk.described.mock, 2, limited.with_header("X-Rate-Limit", "700"));
    zendesk.described.ingest(&memory, Mode::Incremental).await;
    zendesk.assert_same(&memory);
    limit.assert_obeyed();
    assert_eq!(file("zendesk").api.streams[0].pace.unwrap().to_string(), "10/1m", "the limit of the export");
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let zendesk = Zendesk::with_token(1, "wrong");
    let (error, help) = zendesk.described.check_error().await;
    assert_eq!(zendesk.described.mock.count("*"), 1);
    assert!(error.contains("does not accept the credentials: Couldn't authenticate you"), "{error}");
    assert!(!error.contains("wrong") && help.contains("check the token"), "{error}: {help}");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(Zendesk::new(120).described.requests_of_second_run().await, requests_of_second_run("zendesk"));
    assert_eq!(warnings("zendesk"), [""; 0]);
}

#[test]
fn the_server_does_what_the_documentation_says() {
    let zendesk = Zendesk::new(3);
    let get = |target: &str| {
        let header = basic("ada@example.com/token", "token");
        zendesk.described.mock.answer(MockRequest::get(target).with_header("Authorization", &header))
    };
    let now = Timestamp::now().as_second();
    assert_eq!(get(EXPORT).status(), 400, "`start_time` is required");
    assert_eq!(get(&format!("{EXPORT}?start_time={now}")).status(), 400, "it must be a minute ago");
    assert_eq!(get(&format!("{EXPORT}?start_time=0&per_page=1001")).status(), 400);
    let last = get(&format!("{EXPORT}?start_time={}", BEGIN + 3)).to_json();
    assert_eq!(last["tickets"].as_array().unwrap().len(), 1, "`start_time` includes that second");
    assert_eq!(
        (&last["end_of_stream"], last["after_url"].is_string()),
        (&json!(true), true),
        "the URL is for the next export"
    );
    assert_eq!(get("/api/v2/tickets/1/comments.json?page[size]=101").status(), 400);
    assert_eq!(get("/api/v2/tickets/9/comments.json?page[size]=100").status(), 404);
    assert_eq!(zendesk.described.mock.answer(EXPORT).status(), 401);
}
