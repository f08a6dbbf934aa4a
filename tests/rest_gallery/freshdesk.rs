//! Freshdesk: lists by numbered links, of which one of tickets is at most 300 pages deep, and a list of deleted tickets.
//! <https://developers.freshdesk.com/api/>

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, at, basic, by_key, file, from_now, refuse, text_at, warnings};
use crate::table::requests_of_second_run;

struct Freshdesk {
    described: Described,
    tickets: MockList,
    conversations: MockList,
}

impl Freshdesk {
    /// A helpdesk with this many tickets, one changed each second.
    fn new(tickets: i64) -> Self {
        Self::with_depth(tickets, 300)
    }

    /// `max_pages` is the depth of lists of tickets.
    fn with_depth(tickets: i64, max_pages: usize) -> Self {
        Self::with_key(tickets, max_pages, "key")
    }

    fn require_key(mock: &MockApi) {
        let message = "You have to be logged in to perform this action.";
        let unauthorized = answer(401, &json!({"code": "invalid_credentials", "message": message}));
        refuse(mock, "*", unauthorized, |request| request.header("authorization") != Some(&basic("key", "X")));
    }

    fn with_key(tickets: i64, max_pages: usize, key: &str) -> Self {
        let mock = MockApi::start();
        let store = mock.list("/store/tickets");
        let conversations = mock.child_list("/store/tickets/{ticket}/conversations", &store);
        (1..=tickets).for_each(|id| open(&store, &conversations, id, &at(id)));
        Self::require_key(&mock);

        let (list, url) = (store.clone(), mock.url().to_owned());
        mock.route("/api/v2/tickets", move |request| {
            let tickets = list_tickets(&list, request, max_pages);
            tickets.map_or_else(|invalid| invalid, |tickets| page(request, &url, tickets))
        });
        let (list, children, url) = (store.clone(), conversations.clone(), mock.url().to_owned());
        mock.route("/api/v2/tickets/{id}/conversations", move |request| {
            let ticket = request.parameter("id").unwrap();
            let found = list.get(ticket).map(|_| page(request, &url, children.of(ticket).records()));
            found.unwrap_or_else(|| MockResponse::new(404))
        });
        let list = store.clone();
        mock.route("/api/v2/tickets/{id}", move |request| {
            let found = list.get(request.parameter("id").unwrap()).map(|ticket| answer(200, &ticket));
            found.unwrap_or_else(|| MockResponse::new(404))
        });
        let domain = [("domain", "acme")];
        let described = Described::new("freshdesk", "freshdesk", mock, &domain, &[("api_key", key)]);
        let described = described.adjust(|api| api.streams[0].cap = Some(max_pages as u64 * 100));
        Self { described, tickets: store, conversations }
    }

    fn assert_same(&self, memory: &Memory) {
        let tickets = self.tickets.records().into_iter().filter(|ticket| ticket["deleted"] != true).collect();
        self.described.assert_rows(memory, "tickets", by_key(tickets, "/id"));
        let parents = by_key(self.tickets.records(), "/id").filter(|(_, ticket)| ticket["deleted"] != true);
        let children = parents.flat_map(|(id, _)| {
            let conversations = by_key(self.conversations.of(&id).records(), "/id");
            conversations.map(move |(key, conversation)| (format!("{id}/{key}"), conversation)).collect::<Vec<_>>()
        });
        self.described.assert_rows(memory, "conversations", children);
    }
}

/// Inserts a ticket with up to two conversations.
fn open(tickets: &MockList, conversations: &MockList, id: i64, updated_at: &str) {
    tickets.insert(json!({"id": id, "subject": "s", "status": 2, "created_at": at(id), "updated_at": updated_at, "deleted": false}));
    let conversation = |n| json!({"id": id * 10 + n, "body_text": "b", "incoming": n == 1, "created_at": at(id)});
    conversations.of(id).extend((0..id % 3).map(conversation));
}

/// The body of a request that is not valid.
fn invalid(field: &str, message: &str) -> MockResponse {
    let error = json!({"field": field, "message": message, "code": "invalid_value"});
    answer(400, &json!({"description": "Validation failed", "errors": [error]}))
}

fn number(request: &MockRequest, name: &str, default: usize) -> usize {
    request.query(name).map_or(default, |text| text.parse().unwrap_or_default())
}

/// The tickets that a request asks for, in its order. Without `updated_since`, only those created within the past 30 days.
fn list_tickets(store: &MockList, request: &MockRequest, max_pages: usize) -> Result<Vec<Value>, MockResponse> {
    if number(request, "page", 1) > max_pages {
        let message = "You cannot access tickets beyond the 300th page. Please provide a smaller page number.";
        return Err(invalid("page", message));
    }
    let is_deleted = match request.query("filter") {
        None => false,
        Some("deleted") => true,
        Some(_) => {
            return Err(invalid("filter", "It should be one of these values: 'new_and_my_open,watching,spam,deleted'"));
        }
    };
    let (field, from) = match request.query("updated_since") {
        Some(since) => ("/updated_at", since.to_owned()),
        None => ("/created_at", from_now(-30 * 86_400)),
    };
    let order = match request.query("order_by").unwrap_or("created_at") {
        name @ ("created_at" | "due_by" | "updated_at" | "status") => format!("/{name}"),
        _ => {
            return Err(invalid("order_by", "It should be one of these values: 'created_at,due_by,updated_at,status'"));
        }
    };
    let mut tickets = store.records();
    tickets.retain(|ticket| (ticket["deleted"] == true) == is_deleted && text_at(ticket, field) >= from.as_str());
    tickets.sort_by_cached_key(|ticket| (text_at(ticket, &order).to_owned(), ticket["id"].as_i64()));
    if request.query("order_type") != Some("asc") {
        tickets.reverse();
    }
    Ok(tickets)
}

/// A page of a list, with a link to the next one.
fn page(request: &MockRequest, url: &str, records: Vec<Value>) -> MockResponse {
    let (page, size) = (number(request, "page", 1), number(request, "per_page", 30));
    if !(1..=100).contains(&size) {
        return invalid("per_page", "It should be a Positive Integer less than or equal to 100");
    }
    let is_last = records.len() <= page * size;
    let records: Vec<Value> = records.into_iter().skip((page - 1) * size).take(size).collect();
    let response = answer(200, &json!(records));
    if is_last {
        return response;
    }
    let target = request.to_string();
    let (target, _) =
        target.trim_start_matches("GET ").split_once("&page=").unwrap_or((target.trim_start_matches("GET "), ""));
    response.with_header("Link", &format!("<{url}{target}&page={}>; rel=\"next\"", page + 1))
}

/// The case of the suites: each change opens a ticket, and changes another one.
fn case() -> SourceCase {
    let helpdesk = Freshdesk::new(12);
    helpdesk.described.mock.fault("*", Fault::status(503).every(9));
    let (tickets, conversations, next) = (helpdesk.tickets.clone(), helpdesk.conversations.clone(), AtomicI64::new(13));
    helpdesk.described.case().changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        open(&tickets, &conversations, id, &at(id));
        tickets.update(1, json!({"subject": format!("changed {id}"), "updated_at": at(id)}));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_changes_only() {
    let (helpdesk, memory) = (Freshdesk::new(250), Memory::new());
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);
    helpdesk.described.mock.clear_requests();
    helpdesk.tickets.update(7, json!({"subject": "changed", "updated_at": at(1_000)}));
    helpdesk.conversations.of(7).insert(json!({"id": 5_000, "body_text": "new"}));
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);
    assert_eq!(
        helpdesk.described.mock.count("*"),
        requests_of_second_run("freshdesk") + 1,
        "and one for the conversations"
    );
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    let helpdesk = Freshdesk::new(120);
    assert_eq!(helpdesk.described.requests_of_second_run().await, requests_of_second_run("freshdesk"));
    assert_eq!(warnings("freshdesk"), [""; 0], "only answers show what links hold");
    assert_eq!(helpdesk.described.check_warnings().await, [""; 0], "no list that drifts has a second page");
    (2..=103).for_each(|id| helpdesk.tickets.update(id, json!({"deleted": true})));
    helpdesk.conversations.of(1).extend((0..101).map(|id| json!({"id": 9_000 + id, "body_text": "b"})));
    let found = helpdesk.described.check_warnings().await;
    let numbered = |name| format!("stream {name:?}: paginate: the links hold the number of the page: ");
    assert!(found.len() == 2 && found[0].starts_with(&numbered("tickets_deleted")), "{found:?}");
    assert!(found[1].starts_with(&numbered("conversations")), "{found:?}");
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (helpdesk, memory) = (Freshdesk::new(5), Memory::new());
    let limited = answer(429, &json!({"message": "You have exceeded the limit of requests per minute"}));
    let limited = limited.with_header("Retry-After", "1").with_header("X-RateLimit-Remaining", "0");
    let limit = RateLimit::after(&helpdesk.described.mock, 2, limited);
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);
    limit.assert_obeyed();
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let helpdesk = Freshdesk::with_key(1, 300, "wrong");
    let (error, help) = helpdesk.described.check_error().await;
    assert_eq!(helpdesk.described.mock.count("*"), 1);
    assert!(error.contains("You have to be logged in"), "{error}");
    assert!(!error.contains("wrong") && !help.is_empty(), "{error}: {help}");
}

/// Changes one of the first tickets before each of the next requests for tickets.
fn changing(helpdesk: &Freshdesk, times: u64) {
    let (tickets, next) = (helpdesk.tickets.clone(), AtomicI64::new(1));
    let change = move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        tickets.update(id, json!({"subject": "changed meanwhile", "updated_at": at(5_000 + id)}));
    };
    helpdesk.described.mock.fault("/api/v2/tickets", Fault::change(change).always().times(times));
}

#[tokio::test]
async fn tickets_that_change_while_they_are_read_hide_no_other_one() {
    let (helpdesk, memory) = (Freshdesk::new(450), Memory::new());
    changing(&helpdesk, 20);
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    assert_eq!(helpdesk.described.live(&memory, "tickets").len(), 450, "the first run has all of them");
    helpdesk.described.mock.clear_faults();
    Freshdesk::require_key(&helpdesk.described.mock);
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);
}

#[tokio::test]
async fn a_bulk_update_that_fills_pages_is_complete_and_a_larger_one_than_a_list_is_an_error() {
    let (helpdesk, memory) = (Freshdesk::with_depth(250, 4), Memory::new());
    (1..=250).for_each(|id| helpdesk.tickets.update(id, json!({"updated_at": at(9_000)})));
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);

    (251..=450).for_each(|id| open(&helpdesk.tickets, &helpdesk.conversations, id, &at(9_000)));
    let error = helpdesk.described.error(&Memory::new()).await;
    assert!(error.contains("have the same version"), "{error}");
}

#[tokio::test]
async fn the_trash_finds_deletions_and_a_reconcile_run_those_that_left_it() {
    let (helpdesk, memory) = (Freshdesk::new(12), Memory::new());
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.tickets.update(5, json!({"deleted": true}));
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    assert!(!helpdesk.described.live(&memory, "tickets").contains_key("5"));
    // The conversations of that ticket may have been listed before the trash was.
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);

    helpdesk.tickets.delete(6);
    helpdesk.conversations.of(7).delete(70);
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    assert!(helpdesk.described.live(&memory, "tickets").contains_key("6"), "no list tells");
    assert!(helpdesk.described.live(&memory, "conversations").contains_key("7/70"), "its ticket has not changed");
    helpdesk.described.ingest(&memory, Mode::Reconcile).await;
    helpdesk.assert_same(&memory);
}

#[tokio::test]
async fn conversations_that_the_key_may_not_read_stay_as_they_are() {
    let (helpdesk, memory) = (Freshdesk::new(5), Memory::new());
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    let denied = json!({"code": "access_denied", "message": "You are not authorized to perform this action."});
    refuse(&helpdesk.described.mock, "/api/v2/tickets/2/conversations", answer(403, &denied), |_| true);
    helpdesk.tickets.update(2, json!({"subject": "changed", "updated_at": at(1_000)}));
    helpdesk.described.ingest(&memory, Mode::Incremental).await;
    helpdesk.assert_same(&memory);
}

#[test]
fn the_server_refuses_what_the_documentation_refuses() {
    assert_eq!(file("freshdesk").api.streams[0].cap, Some(30_000), "300 pages of 100");
    let helpdesk = Freshdesk::new(1);
    let get = |target: &str| {
        helpdesk.described.mock.answer(MockRequest::get(target).with_header("Authorization", &basic("key", "X")))
    };
    assert_eq!(get("/api/v2/tickets?per_page=101").status(), 400);
    assert_eq!(get("/api/v2/tickets?page=301").status(), 400);
    assert_eq!(get("/api/v2/tickets?order_by=id").status(), 400);
    assert_eq!(get("/api/v2/tickets?filter=all").status(), 400);
    assert_eq!(get("/api/v2/tickets").to_json(), json!([]), "created more than 30 days ago");
    assert_eq!(helpdesk.described.mock.answer("/api/v2/tickets").status(), 401);
}
