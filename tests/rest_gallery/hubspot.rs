//! HubSpot: a search by POST that ends at 10,000 results and lags, and a list of archived contacts.
//! <https://developers.hubspot.com/docs/api-reference/search/guide>

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snowfeed::Mode;
use snowfeed::backends::Memory;
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse};

use crate::support::{Described, RateLimit, answer, at, by_key, from_now, refuse, text_at, warnings};
use crate::table::requests_of_second_run;

const SEARCH: &str = "/crm/v3/objects/contacts/search";

struct Hubspot {
    described: Described,
    contacts: MockList,
}

impl Hubspot {
    /// An account with this many contacts, one changed each second.
    fn new(contacts: i64) -> Self {
        Self::with(contacts, 10_000, "token")
    }

    /// `cap` is the number of results that a search can have.
    fn with(contacts: i64, cap: usize, token: &str) -> Self {
        let mock = MockApi::start();
        let store = mock.list("/store/contacts");
        (1..=contacts).for_each(|id| store.insert(contact(id, &at(id))));
        let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
        refuse(&mock, "*", error(401, "INVALID_AUTHENTICATION", message), |request| {
            request.header("authorization") != Some("Bearer token")
        });
        let list = store.clone();
        mock.route(SEARCH, move |request| search(&list, request, cap).unwrap_or_else(|invalid| invalid));
        let list = store.clone();
        mock.route("/crm/v3/objects/contacts", move |request| page(&list, request).unwrap_or_else(|invalid| invalid));
        let list = store.clone();
        mock.route("/crm/v3/objects/contacts/{id}", move |request| {
            let named: Vec<&str> = request.query("properties").unwrap_or_default().split(',').collect();
            let found = list.get(request.parameter("id").unwrap()).filter(|contact| contact["archived"] == false);
            let found = found.map(|contact| answer(200, &shown(contact, &named)));
            found.unwrap_or_else(|| error(404, "OBJECT_NOT_FOUND", "resource not found"))
        });
        let described = Described::new("hubspot", "hubspot", mock, &[], &[("access_token", token)]);
        Self { described, contacts: store }
    }

    /// Without the pace, which only a test of the pace has to wait for.
    fn unpaced(contacts: i64, cap: usize) -> Self {
        let Self { described, contacts } = Self::with(contacts, cap, "token");
        Self { described: described.adjust(|api| api.streams[0].pace = None), contacts }
    }

    fn assert_same(&self, memory: &Memory) {
        let contacts = self.contacts.records().into_iter().filter(|contact| contact["archived"] == false);
        let contacts = contacts.map(|contact| shown(contact, &["email", "firstname", "lastname"])).collect();
        self.described.assert_rows(memory, "contacts", by_key(contacts, "/id"));
    }
}

fn contact(id: i64, changed: &str) -> Value {
    let properties = json!({
        "createdate": at(id), "email": format!("{id}@example.com"), "firstname": "Ada", "hs_object_id": id.to_string(),
        "lastmodifieddate": changed, "lastname": "L", "phone": "0",
    });
    json!({"id": id.to_string(), "properties": properties, "createdAt": at(id), "updatedAt": changed, "archived": false})
}

/// What a change does to a contact.
fn changed(contact: &MockList, id: i64, name: &str, time: &str) {
    let mut properties = contact.get(id).unwrap()["properties"].clone();
    properties["firstname"] = name.into();
    properties["lastmodifieddate"] = time.into();
    contact.update(id, json!({"properties": properties, "updatedAt": time}));
}

/// A contact with the properties that a request names, and those that always come.
fn shown(mut contact: Value, named: &[&str]) -> Value {
    let always = ["createdate", "hs_object_id", "lastmodifieddate"];
    let properties = contact["properties"].as_object_mut().unwrap();
    properties.retain(|name, _| always.contains(&name.as_str()) || named.contains(&name.as_str()));
    contact
}

fn error(status: u16, category: &str, message: &str) -> MockResponse {
    let body = json!({"status": "error", "message": message, "correlationId": "c", "category": category});
    answer(status, &body)
}

fn invalid(message: &str) -> MockResponse {
    error(400, "VALIDATION_ERROR", message)
}

/// A number, also where it is written as a text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A number of records, in a body.
fn count(value: &Value, default: usize) -> usize {
    number(value).map_or(default, |number| usize::try_from(number).unwrap())
}

/// The value of a property, as the search compares it.
fn property(contact: &Value, name: &str) -> Result<i64, MockResponse> {
    match name {
        "hs_object_id" => Ok(number(&contact["id"]).unwrap()),
        "lastmodifieddate" => Ok(text_at(contact, "/updatedAt").parse::<Timestamp>().unwrap().as_millisecond()),
        name => Err(invalid(&format!("there is no property {name}"))),
    }
}

fn search(store: &MockList, request: &MockRequest, cap: usize) -> Result<MockResponse, MockResponse> {
    let body: Value = serde_json::from_slice(request.body()).map_err(|_| invalid("invalid input JSON"))?;
    let limit = count(&body["limit"], 10);
    if !(1..=200).contains(&limit) {
        return Err(invalid("limit must be less than or equal to 200"));
    }
    let sorts = body["sorts"].as_array().map_or(&[][..], Vec::as_slice);
    let [sort] = sorts else { return Err(invalid("exactly one sort is served here")) };
    let filters = body.pointer("/filterGroups/0/filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if filters.len() > 6 || request.body().len() > 3_000 {
        return Err(invalid("the query is too long"));
    }
    let mut found = Vec::new();
    for contact in store.records().into_iter().filter(|contact| contact["archived"] == false) {
        let mut is_found = true;
        for filter in filters {
            let value = number(&filter["value"]).ok_or_else(|| invalid("a filter has no value"))?;
            let actual = property(&contact, text_at(filter, "/propertyName"))?;
            is_found &= match text_at(filter, "/operator") {
                "GTE" => actual >= value,
                "GT" => actual > value,
                other => return Err(invalid(&format!("the operator {other} is not served here"))),
            };
        }
        if is_found {
            found.push((property(&contact, text_at(sort, "/propertyName"))?, contact));
        }
    }
    found.sort_by_key(|(value, _)| *value);
    let from = count(&body["after"], 0);
    if from + limit > cap {
        return Err(invalid("There was a problem with the request: paging beyond 10000 results"));
    }
    let named: Vec<&str> = body["properties"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let total = found.len();
    let page: Vec<Value> =
        found.into_iter().skip(from).take(limit).map(|(_, contact)| shown(contact, &named)).collect();
    let mut body = json!({"total": total, "results": page});
    if from + limit < total {
        body["paging"] = json!({"next": {"after": (from + limit).to_string()}});
    }
    Ok(answer(200, &body))
}

/// A page of the list, by id.
fn page(store: &MockList, request: &MockRequest) -> Result<MockResponse, MockResponse> {
    let limit = request.query("limit").map_or(10, |limit| limit.parse::<usize>().unwrap());
    let after = request.query("after").map_or(0, |after| after.parse::<i64>().unwrap());
    if !(1..=100).contains(&limit) {
        return Err(invalid("limit must be less than or equal to 100"));
    }
    let is_archived = request.query("archived") == Some("true");
    let mut contacts = store.records();
    contacts.retain(|contact| (contact["archived"] == true) == is_archived && number(&contact["id"]) > Some(after));
    contacts.sort_by_key(|contact| number(&contact["id"]));
    let is_last = contacts.len() <= limit;
    contacts.truncate(limit);
    let next = contacts.last().filter(|_| !is_last).map(|last| json!({"next": {"after": last["id"]}}));
    let mut body = json!({"results": contacts});
    if let Some(next) = next {
        body["paging"] = next;
    }
    Ok(answer(200, &body))
}

/// The case of the suites: each change adds a contact, and changes another one.
fn case() -> SourceCase {
    let hubspot = Hubspot::unpaced(420, 10_000);
    hubspot.described.mock.fault("*", Fault::status(502).every(9));
    let (contacts, next) = (hubspot.contacts.clone(), AtomicI64::new(421));
    hubspot.described.case().changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        contacts.insert(contact(id, &from_now(0)));
        changed(&contacts, 1, &format!("changed {id}"), &from_now(0));
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_changes_only() {
    let (hubspot, memory) = (Hubspot::unpaced(450, 10_000), Memory::new());
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
    changed(&hubspot.contacts, 7, "Grace", &from_now(0));
    hubspot.described.mock.clear_requests();
    let report = hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
    assert_eq!(report.counts().updated, 1);
    assert_eq!(hubspot.described.mock.count("*"), requests_of_second_run("hubspot") + 1, "a page, and an empty one");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    let hubspot = Hubspot::unpaced(120, 10_000);
    assert_eq!(hubspot.described.requests_of_second_run().await, requests_of_second_run("hubspot"));
    assert_eq!(warnings("hubspot"), Vec::<String>::new());
}

#[tokio::test]
async fn the_pace_keeps_the_limit_of_the_search() {
    let (hubspot, memory) = (Hubspot::new(1_700), Memory::new());
    let recent = Arc::new(Mutex::new(VecDeque::<Instant>::new()));
    // A request may arrive as late as the next one is sent: two more than five can arrive within a second.
    let limited = error(429, "RATE_LIMITS", "You have reached your secondly limit.");
    refuse(&hubspot.described.mock, SEARCH, limited, move |_| {
        let mut recent = recent.lock().unwrap();
        recent.push_back(Instant::now());
        while recent.front().is_some_and(|first| first.elapsed() >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        recent.len() > 7
    });
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
    let statuses: Vec<Option<u16>> = hubspot.described.mock.requests().iter().map(MockRequest::status).collect();
    assert!(statuses.len() > 8 && statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (hubspot, memory) = (Hubspot::unpaced(5, 10_000), Memory::new());
    let limited = error(429, "RATE_LIMITS", "You have reached your ten_secondly_rolling limit.");
    let limited = limited.with_header("Retry-After", "1").with_header("X-HubSpot-RateLimit-Remaining", "0");
    let limit = RateLimit::after(&hubspot.described.mock, 1, limited);
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
    limit.assert_obeyed();
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let hubspot = Hubspot::with(1, 10_000, "wrong");
    let (error, help) = hubspot.described.check_error().await;
    assert_eq!(hubspot.described.mock.count("*"), 1);
    assert!(error.contains("Authentication credentials not found"), "{error}");
    assert!(!error.contains("wrong") && !help.is_empty(), "{error}: {help}");
}

#[tokio::test]
async fn contacts_that_change_while_they_are_read_are_not_lost() {
    let (hubspot, memory) = (Hubspot::unpaced(900, 10_000), Memory::new());
    let (contacts, next) = (hubspot.contacts.clone(), AtomicI64::new(1));
    let change = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        changed(&contacts, n * 100, "changed meanwhile", &from_now(0));
        contacts.insert(contact(1_000 + n, &from_now(0)));
        contacts.update(n * 100 + 1, json!({"archived": true, "archivedAt": from_now(0)}));
    };
    hubspot.described.mock.fault(SEARCH, Fault::change(change).always().times(6));
    for _ in 0..2 {
        hubspot.described.ingest(&memory, Mode::Incremental).await;
    }
    hubspot.assert_same(&memory);
}

#[tokio::test]
async fn a_change_that_the_search_finds_late_is_not_lost() {
    let (hubspot, memory) = (Hubspot::unpaced(5, 10_000), Memory::new());
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.contacts.insert(contact(6, &from_now(-240)));
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
}

#[tokio::test]
async fn a_bulk_edit_of_more_contacts_than_a_search_has_is_complete() {
    let (hubspot, memory) = (Hubspot::unpaced(900, 400), Memory::new());
    (1..=900).for_each(|id| changed(&hubspot.contacts, id, "Bulk", &at(5_000)));
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);
}

#[tokio::test]
async fn archived_contacts_are_found_and_a_reconcile_run_finds_those_that_are_gone() {
    let (hubspot, memory) = (Hubspot::unpaced(12, 10_000), Memory::new());
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.contacts.update(5, json!({"archived": true, "archivedAt": at(6_000)}));
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    hubspot.assert_same(&memory);

    // It is restored, which changes it.
    hubspot.contacts.update(5, json!({"archived": false}));
    changed(&hubspot.contacts, 5, "restored", &from_now(0));
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    assert!(hubspot.described.live(&memory, "contacts").contains_key("5"));

    hubspot.contacts.delete(6);
    hubspot.described.ingest(&memory, Mode::Incremental).await;
    assert!(hubspot.described.live(&memory, "contacts").contains_key("6"), "no list tells");
    hubspot.described.ingest(&memory, Mode::Reconcile).await;
    assert!(!hubspot.described.live(&memory, "contacts").contains_key("6"));
}
