//! Stripe: lists with the newest first that continue after the last id, invoices without a time of their last change, and deletions as
//! events, which are kept for 30 days. <https://docs.stripe.com/api/pagination>

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Event, IngestRequest};
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};
use snowfeed::{Mode, Resource, SourceEvent};
use tokio::sync::Notify;

use crate::support::{Described, answer, by_key, warnings};
use crate::table::requests_of_second_run;

const KEY: &str = "sk_test_51Hx";
const DAY: i64 = 86_400;

struct Stripe {
    described: Described,
    invoices: MockList,
    events: MockList,
}

impl Stripe {
    /// An account with this many invoices, one every `hours`, up to now.
    fn new(invoices: i64, hours: i64) -> Self {
        Self::with_key(invoices, hours, KEY)
    }

    fn with_key(invoices: i64, hours: i64, key: &str) -> Self {
        let mock = MockApi::start();
        let (store, events) = (mock.list("/store/invoices"), mock.list("/store/events"));
        store.extend((1..=invoices).map(|number| invoice(number, now() - (invoices - number) * hours * 3_600 - 60)));
        let list = store.clone();
        serve(&mock, "/v1/invoices", move |request| page(request, "invoice", list.records()));
        let list = store.clone();
        serve(&mock, "/v1/invoices/{id}", move |request| {
            let id = request.parameter("id").unwrap();
            list.get(id).ok_or_else(|| missing(404, "invoice", id, "invoice"))
        });
        let list = events.clone();
        serve(&mock, "/v1/events", move |request| {
            let mut events = list.records();
            events.retain(|event| {
                let is_kept = event["created"].as_i64().unwrap() > now() - 30 * DAY;
                is_kept && request.query("type").is_none_or(|name| event["type"] == name)
            });
            page(request, "event", events)
        });
        Self { described: Described::new("stripe", "stripe", mock, &[], &[("api_key", key)]), invoices: store, events }
    }

    /// Deletes a draft at this time.
    fn delete(&self, number: i64, created: i64) {
        let object = self.invoices.delete(id(number)).unwrap();
        let event = format!("evt_{:06}", self.events.len());
        self.events
            .insert(json!({"id": event, "type": "invoice.deleted", "created": created, "data": {"object": object}}));
    }

    fn assert_same(&self, memory: &Memory) {
        self.described.assert_rows(memory, "invoices", by_key(self.invoices.records(), "/id"));
    }
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Ids do not grow in reality; here they tell which of two invoices of one second came first.
fn id(number: i64) -> String {
    format!("in_{number:06}")
}

fn invoice(number: i64, created: i64) -> Value {
    json!({"id": id(number), "object": "invoice", "created": created, "status": "draft", "amount_due": number * 100})
}

/// Answers requests with the right key.
fn serve(
    mock: &MockApi,
    path: &str,
    respond: impl Fn(&MockRequest) -> Result<Value, MockResponse> + Send + Sync + 'static,
) {
    mock.route(path, move |request| {
        if request.header("authorization") != Some(&format!("Bearer {KEY}")) {
            let message = "Invalid API Key provided: sk_test_****";
            return answer(401, &json!({"error": {"message": message, "type": "invalid_request_error"}}));
        }
        match respond(request) {
            Ok(body) => answer(200, &body),
            Err(refusal) => refusal,
        }
    });
}

/// <https://docs.stripe.com/error-codes#resource-missing>
fn missing(status: u16, object: &str, id: &str, parameter: &str) -> MockResponse {
    let (message, kind) = (format!("No such {object}: '{id}'"), "invalid_request_error");
    let error = json!({"code": "resource_missing", "message": message, "param": parameter, "type": kind});
    answer(status, &json!({"error": error}))
}

/// A page of a list, the newest first. `starting_after` must be the id of an object that exists.
fn page(request: &MockRequest, object: &str, mut records: Vec<Value>) -> Result<Value, MockResponse> {
    let limit = request.query("limit").map_or(Some(10), |limit| limit.parse().ok());
    let Some(limit) = limit.filter(|limit| (1..=100).contains(limit)) else {
        let error = json!({"message": "Invalid limit", "param": "limit", "type": "invalid_request_error"});
        return Err(answer(400, &json!({"error": error})));
    };
    records.sort_by_cached_key(|record| (record["created"].as_i64(), record["id"].to_string()));
    records.reverse();
    let mut start = 0;
    if let Some(after) = request.query("starting_after") {
        let found = records.iter().position(|record| record["id"] == after);
        start = 1 + found.ok_or_else(|| missing(400, object, after, "starting_after"))?;
    }
    let since: i64 = request.query("created[gte]").map_or(0, |since| since.parse().unwrap());
    let wanted: Vec<Value> =
        records.into_iter().skip(start).filter(|record| record["created"].as_i64() >= Some(since)).collect();
    let has_more = wanted.len() > limit;
    Ok(
        json!({"object": "list", "url": request.path(), "has_more": has_more, "data": wanted[..limit.min(wanted.len())]}),
    )
}

/// The case of the suites, with ten invoices on a page: each change creates an invoice, and finalizes one.
fn case() -> SourceCase {
    let stripe = Stripe::new(24, 1);
    stripe.described.mock.fault("*", Fault::status(500).every(9));
    let (invoices, next) = (stripe.invoices.clone(), AtomicI64::new(25));
    stripe.described.smaller_pages("limit=100", "limit=10").case().changing(move || {
        let number = next.fetch_add(1, Ordering::SeqCst);
        invoices.insert(invoice(number, now()));
        invoices.update(id(number - 20), json!({"status": "open"}));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_the_last_60_days() {
    let (stripe, memory) = (Stripe::new(250, 24), Memory::new());
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.assert_same(&memory);
    let requests = stripe.described.mock.requests();
    assert!(requests.iter().all(|request| request.header("stripe-version") == Some("2024-06-20")));
    assert_eq!(requests[0].query("created[gte]"), None);

    stripe.described.mock.clear_requests();
    stripe.invoices.insert(invoice(251, now()));
    stripe.invoices.update(id(200), json!({"status": "paid"}));
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.assert_same(&memory);
    let since: i64 = stripe.described.mock.requests()[0].query("created[gte]").unwrap().parse().unwrap();
    assert!((now() - 60 * DAY - since).abs() < 60, "{since}");
    assert_eq!(stripe.described.mock.count("*"), 2);
}

#[tokio::test]
async fn an_older_invoice_that_changes_is_read_by_a_reconcile_run() {
    let (stripe, memory) = (Stripe::new(250, 24), Memory::new());
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.invoices.update(id(100), json!({"status": "uncollectible"}));
    stripe.described.ingest(&memory, Mode::Incremental).await;
    assert_eq!(stripe.described.live(&memory, "invoices")[&id(100)]["status"], "draft", "150 days old");
    stripe.described.ingest(&memory, Mode::Reconcile).await;
    stripe.assert_same(&memory);
}

#[tokio::test]
async fn events_find_deletions_and_a_reconcile_run_those_without_an_event() {
    let (stripe, memory) = (Stripe::new(40, 24), Memory::new());
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.delete(7, now());
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.assert_same(&memory);

    stripe.delete(8, now() - 31 * DAY);
    stripe.described.ingest(&memory, Mode::Incremental).await;
    assert!(stripe.described.live(&memory, "invoices").contains_key(&id(8)), "the event is no longer kept");
    stripe.described.ingest(&memory, Mode::Reconcile).await;
    stripe.assert_same(&memory);
    assert_eq!(stripe.described.mock.count("/v1/invoices/{id}"), 1);
}

#[tokio::test]
async fn changes_while_the_list_is_read_hide_no_invoice() {
    let (stripe, memory) = (Arc::new(Stripe::new(450, 1)), Memory::new());
    let (invoices, next) = (stripe.invoices.clone(), AtomicI64::new(451));
    let change = move || {
        let number = next.fetch_add(1, Ordering::SeqCst);
        invoices.insert(invoice(number, now()));
        invoices.update(id(number - 100), json!({"status": "open"}));
        invoices.update(id(number - 450), json!({"status": "void"}));
    };
    stripe.described.mock.fault("/v1/invoices", Fault::change(change).always().times(20));
    stripe.described.ingest(&memory, Mode::Incremental).await;
    assert!(stripe.described.live(&memory, "invoices").len() >= 450, "the first run has all that were there");
    stripe.described.mock.clear_faults();
    stripe.described.ingest(&memory, Mode::Incremental).await;
    stripe.assert_same(&memory);
}

#[tokio::test]
async fn the_list_begins_again_if_the_last_invoice_of_a_page_is_deleted() {
    let (stripe, memory) = (Stripe::new(250, 1), Memory::new());
    // The last one of the first page is the 151st.
    let invoices = stripe.invoices.clone();
    stripe.described.mock.fault("/v1/invoices", Fault::change(move || invoices.delete(id(151))).after(1));
    stripe.described.ingest(&memory, Mode::Incremental).await;
    let asked: Vec<Option<u16>> = stripe.described.mock.requests().iter().map(MockRequest::status).collect();
    assert_eq!(asked, [200, 400, 200, 200, 200, 200].map(Some), "five pages, of which one is refused, and the events");
    let read: Vec<String> = stripe.described.live(&memory, "invoices").into_keys().collect();
    assert_eq!(read.len(), 250, "it was read before it was deleted, and no event tells");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let stripe = Stripe::new(5, 1);
    let error =
        json!({"code": "rate_limit", "message": "Request rate limit exceeded.", "type": "invalid_request_error"});
    let limited = answer(429, &json!({"error": error})).with_header("Stripe-Rate-Limited-Reason", "endpoint-rate");
    stripe.described.mock.fault("*", Fault::response(limited).always());
    // Stripe does not say for how long, so that the first wait is a minute, which is not waited for here.
    let waiting = Arc::new(Notify::new());
    let notified = waiting.clone();
    let observe = move |event: &Event| {
        if let Event::Source { event: SourceEvent::Waiting { until, .. }, .. } = event {
            assert!(until.as_second() - now() > 50, "{until}");
            notified.notify_one();
        }
    };
    let connector = stripe.described.connector(&Memory::new()).observer(observe);
    let ingestion = connector.ingest(IngestRequest::new([Resource::new("stripe").unwrap()]));
    tokio::select! {
        report = ingestion => panic!("it must wait: {report:?}"),
        () = waiting.notified() => {}
    }
    assert_eq!(stripe.described.mock.count("*"), 1);
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let stripe = Stripe::with_key(1, 1, "sk_test_wrong");
    let (error, help) = stripe.described.check_error().await;
    assert_eq!(stripe.described.mock.count("*"), 1);
    assert!(error.contains("does not accept the credentials: Invalid API Key provided"), "{error}");
    assert!(!error.contains("wrong") && help.contains("check the token"), "{error}: {help}");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(Stripe::new(90, 1).described.requests_of_second_run().await, requests_of_second_run("stripe"));
    assert_eq!(warnings("stripe"), [""; 0]);
}

#[test]
fn the_server_does_what_the_documentation_says() {
    let stripe = Stripe::new(30, 24);
    let get = |target: &str| {
        let request = MockRequest::get(target).with_header("Authorization", &format!("Bearer {KEY}"));
        stripe.described.mock.answer(request)
    };
    assert_eq!([0, 101].map(|limit| get(&format!("/v1/invoices?limit={limit}")).status()), [400, 400]);
    let page = get("/v1/invoices").to_json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (10, &json!(true)));
    assert_eq!(page["data"][0]["id"], id(30), "the newest is the first");
    let newest = page["data"][0]["created"].as_i64().unwrap();
    let newer = get(&format!("/v1/invoices?created[gte]={newest}")).to_json();
    assert_eq!(newer["data"].as_array().unwrap().len(), 1, "`gte` includes the time itself");
    assert_eq!(get("/v1/invoices?starting_after=in_x").to_json()["error"]["param"], "starting_after");
    assert_eq!(get("/v1/invoices/in_x").status(), 404);
    assert_eq!(stripe.described.mock.answer("/v1/invoices").status(), 401);
}
