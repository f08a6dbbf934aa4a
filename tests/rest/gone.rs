//! Records that are gone, where answers have codes.

use std::sync::Arc;

use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::rest::{Action, Api, RestSource, Stream};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};
use snowfeed::{Mode, Resource, RunStatus};

use crate::support::{api, at, fast};

/// An answer that has a code in its body, as Intercom's.
fn refused(status: u16, code: &str) -> MockResponse {
    let body = json!({"errors": [{"code": code, "message": "no"}]}).to_string();
    MockResponse::new(status).with_header("Content-Type", "application/json").with_body(body)
}

/// Ten tickets, of which the second one goes: then `get`, and the list of its parts, answer with this.
fn helpdesk(mock: &MockApi, memory: &Memory, describe: impl Fn(Api) -> Api, gone: fn() -> MockResponse) -> Connector {
    let tickets = mock.list("/tickets").since("since", "updated_at");
    tickets.extend((1..=10).map(|id| json!({"id": id, "updated_at": at(id)})));
    let all = tickets.clone();
    mock.route("/tickets/{ticket}", move |request| {
        match all.get(request.parameter("ticket").unwrap().parse::<i64>().unwrap()) {
            Some(ticket) => MockResponse::json(&ticket),
            None => gone(),
        }
    });
    let all = tickets.clone();
    mock.route("/tickets/{ticket}/parts", move |request| {
        let ticket = request.parameter("ticket").unwrap();
        match all.get(ticket.parse::<i64>().unwrap()) {
            Some(_) => MockResponse::json(&json!([{"id": format!("part-{ticket}")}])),
            None => gone(),
        }
    });
    // The list still shows it: as a search index does, for a while.
    tickets.delete(2);
    mock.route("/index", |_| MockResponse::json(&(1..=10).map(|id| json!({"id": id, "updated_at": at(id)})).collect()));
    let described = describe(api(mock).error_code("/errors/0/code"))
        .stream(Stream::new("tickets", "/index").cursor("since").version("/updated_at").get("/tickets/{key}"))
        .stream(Stream::new("parts", "/tickets/{parent.id}/parts").parent("tickets"));
    Connector::new(RestSource::new(described).unwrap().retry(fast()), Arc::new(memory.clone()))
}

/// The live rows of a stream.
fn live(memory: &Memory, stream: &str) -> usize {
    let rows = memory.rows(&Resource::new("helpdesk").unwrap(), stream);
    rows.iter().filter(|row| row.deleted_at.is_none()).count()
}

#[tokio::test]
async fn a_parent_that_is_gone_hides_no_list_of_another_whatever_the_code() {
    for gone in [|| refused(404, "not_found"), || refused(410, "conversation_deleted"), || MockResponse::new(404)] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let connector = helpdesk(&mock, &memory, |api| api, gone);
        let report = connector.ingest(IngestRequest::new([Resource::new("helpdesk").unwrap()])).await.unwrap();
        let status = |name: &str| report.runs.iter().find(|run| run.stream == name).map(|run| run.status);
        assert_eq!(status("parts"), Some(RunStatus::Complete), "{:?}", report.runs);
        assert_eq!(live(&memory, "parts"), 9);
    }
}

/// Reconciles a list that lacks a record, about which `get` answers with this; returns whether the record is deleted.
async fn is_deleted(describe: impl Fn(Api) -> Api, gone: fn() -> MockResponse) -> bool {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let tickets = mock.list("/tickets").since("since", "updated_at");
    tickets.extend((1..=10).map(|id| json!({"id": id, "updated_at": at(id)})));
    let all = tickets.clone();
    mock.route("/single/{ticket}", move |request| {
        let found = all.get(request.parameter("ticket").unwrap().parse::<i64>().unwrap());
        found.map_or_else(gone, |ticket| MockResponse::json(&ticket))
    });
    let stream = Stream::new("tickets", "/tickets").cursor("since").version("/updated_at").get("/single/{key}");
    let described = describe(api(&mock).error_code("/errors/0/code")).stream(stream);
    let connector = Connector::new(RestSource::new(described).unwrap().retry(fast()), Arc::new(memory.clone()));
    let request = || IngestRequest::new([Resource::new("helpdesk").unwrap()]);
    connector.ingest(request()).await.unwrap();
    tickets.delete(2);
    connector.ingest(request().mode(Mode::Reconcile)).await.unwrap();
    let left = live(&memory, "tickets");
    assert!(left == 9 || left == 10, "{left}");
    left == 9
}

#[tokio::test]
async fn a_status_that_means_gone_keeps_its_meaning_beside_a_code_that_no_entry_names() {
    assert!(is_deleted(|api| api, || refused(404, "not_found")).await);
    assert!(is_deleted(|api| api, || refused(410, "record_deleted")).await);
    assert!(is_deleted(|api| api.on_error("other", Action::Skip), || refused(404, "not_found")).await);
    assert!(is_deleted(|api| api, || MockResponse::new(404)).await);
}

#[tokio::test]
async fn what_an_entry_says_comes_before_the_status() {
    for action in [Action::Fail, Action::Skip, Action::Retry] {
        assert!(!is_deleted(|api| api.on_error("forbidden", action), || refused(404, "forbidden")).await, "{action:?}");
        assert!(!is_deleted(|api| api.on_error(404, action), || MockResponse::new(404)).await, "{action:?}");
        assert!(!is_deleted(|api| api.on_error(404, action), || refused(404, "not_found")).await, "{action:?}");
    }
    assert!(is_deleted(|api| api.on_error("nothing", Action::Gone), || refused(400, "nothing")).await);
    // A code, or a status, that says nothing about the record.
    for answer in [|| refused(200, "not_found"), || refused(403, "not_found"), || refused(500, "not_found")] {
        assert!(!is_deleted(|api| api, answer).await);
    }
}
