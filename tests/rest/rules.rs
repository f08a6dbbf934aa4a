//! The rules 2 to 9 of the engine, by number.

use std::sync::Arc;

use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::rest::{Action, Api, Order, Paginate, RestSource, Since, Span, Stream};
use snowfeed::testkit::mock_api::{MockApi, MockResponse, Paging};
use snowfeed::{ErrorKind, Mode, Resource};

use crate::support::{Connected, api, at, connect, fast, keys, last_checkpoint, record_bodies, requests, ticket};

fn helpdesk() -> Resource {
    Resource::new("helpdesk").unwrap()
}

fn connector(api: Api, memory: &Memory) -> Connector {
    Connector::new(RestSource::new(api).unwrap().retry(fast()), Arc::new(memory.clone()))
}

/// Serves these pages, one after the other, by the parameter `page`, counted from 1.
fn pages(mock: &MockApi, path: &str, pages: impl IntoIterator<Item = Value>) {
    let pages: Vec<Value> = pages.into_iter().collect();
    mock.route(path, move |request| {
        let number: usize = request.query("page").map_or(1, |page| page.parse().unwrap());
        match pages.get(number - 1) {
            Some(Value::Number(status)) => MockResponse::new(u16::try_from(status.as_u64().unwrap()).unwrap()),
            Some(page) => MockResponse::json(page),
            None => MockResponse::json(&json!({"data": []})),
        }
    });
}

#[tokio::test]
async fn rule_2_a_later_read_wins_when_records_have_no_version() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let tickets = mock.list("/tickets").since("since", "at");
    tickets.insert(json!({"id": 1, "at": at(1), "subject": "old"}));
    let stream =
        Stream::new("tickets", "/tickets").cursor("since").since(Since::new().at("/at").overlap(Span::days(9_999)));
    let connector = connector(api(&mock).stream(stream), &memory);
    connector.ingest(IngestRequest::new([helpdesk()])).await.unwrap();
    tickets.update(1, json!({"subject": "new"}));
    connector.ingest(IngestRequest::new([helpdesk()])).await.unwrap();
    let stored = memory.rows(&helpdesk(), "tickets").remove(0).json.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap()["subject"], "new");
}

#[tokio::test]
async fn rule_3_the_mark_of_an_unordered_list_is_the_start_of_the_read_and_comes_at_its_end() {
    let mock = MockApi::start();
    let tickets = mock.list("/tickets").since("since", "updated_at").paging(Paging::cursor("cursor", "/next").size(2));
    tickets.extend([ticket(1, 9), ticket(2, 5), ticket(3, 7)]);
    let before = jiff_now();
    let stream = Stream::new("tickets", "/tickets").records("/data").version("/updated_at").cursor("since");
    let source = connect(api(&mock).stream(stream.paginate(Paginate::token("/next", "cursor")))).await;
    let batches = source.read("tickets", None).await.unwrap();
    assert_eq!(keys(&batches), ["1", "2", "3"]);
    let checkpoints: Vec<bool> = batches.iter().map(|batch| batch.checkpoint.is_some()).collect();
    assert_eq!(checkpoints, [false, true]);
    let again = source.read("tickets", last_checkpoint(&batches)).await.unwrap();
    assert!(again.is_empty(), "nothing is new, so that nothing has to be stored: {again:?}");
    let since = mock.requests().last().unwrap().query("since").unwrap().parse::<snowfeed::jiff::Timestamp>().unwrap();
    let second = snowfeed::jiff::SignedDuration::from_secs(1);
    let (earliest, latest) = (before.checked_sub(second * 3).unwrap(), jiff_now().checked_sub(second).unwrap());
    assert!((earliest..=latest).contains(&since), "{since} is not one second before the read");
}

fn jiff_now() -> snowfeed::jiff::Timestamp {
    snowfeed::jiff::Timestamp::now()
}

#[tokio::test]
async fn rule_4_parents_without_a_version_are_all_asked_in_each_run() {
    for (version, expected) in [(None, 4), (Some("/updated_at"), 2)] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let tickets = mock.list("/tickets");
        let comments = mock.child_list("/tickets/{ticket}/comments", &tickets);
        tickets.extend([ticket(1, 1), ticket(2, 2)]);
        comments.of(1).insert(json!({"id": 10}));
        let mut stream = Stream::new("tickets", "/tickets");
        if let Some(version) = version {
            stream = stream.version(version);
        }
        let child = Stream::new("comments", "/tickets/{parent.id}/comments").parent("tickets");
        let connector = connector(api(&mock).stream(stream).stream(child), &memory);
        for _ in 0..2 {
            connector.ingest(IngestRequest::new([helpdesk()])).await.unwrap();
        }
        assert_eq!(mock.count("/tickets/{ticket}/comments"), expected, "{version:?}");
    }
}

#[tokio::test]
async fn rule_5_a_stream_without_the_resource_is_read_once_for_all_resources() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    mock.list("/workspaces").extend([json!({"id": "acme"}), json!({"id": "other"})]);
    mock.list("/tickets").filter("workspace", "workspace").insert(json!({"id": 1, "workspace": "acme"}));
    mock.list("/users").insert(json!({"id": "ada"}));
    let described = api(&mock)
        .resource("workspaces", "/id")
        .stream(Stream::new("workspaces", "/workspaces").optional())
        .stream(Stream::new("tickets", "/tickets?workspace={resource}"))
        .stream(Stream::new("users", "/users"));
    let connector = connector(described, &memory);
    let resources = ["acme", "other"].map(|name| Resource::new(name).unwrap());
    connector.ingest(IngestRequest::new(resources)).await.unwrap();
    assert_eq!((mock.count("/tickets"), mock.count("/users")), (2, 1));
    assert_eq!(memory.rows(&Resource::source_wide(), "users").len(), 1);
}

#[tokio::test]
async fn rule_6_neither_a_short_page_nor_an_empty_one_before_a_flag_ends_a_list() {
    let mock = MockApi::start();
    let page = |ids: &[u64], more: bool| json!({"data": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(), "more": more, "done": !more});
    pages(&mock, "/tickets", [page(&[1, 2, 3], true), page(&[4], true), page(&[], true), page(&[5, 6, 7], false)]);
    let all = ["1", "2", "3", "4", "5", "6", "7"];
    for paginate in [Paginate::page("page").more("/more"), Paginate::page("page").done("/done")] {
        let stream = Stream::new("tickets", "/tickets").records("/data").paginate(paginate);
        let source = connect(api(&mock).stream(stream)).await;
        assert_eq!(keys(&source.read("tickets", None).await.unwrap()), all);
    }
    assert_eq!(mock.count("/tickets"), 8, "the flag ends the list, without a further request");
    // Without a flag, a short page goes on, and an empty one ends.
    let stream = Stream::new("tickets", "/tickets").records("/data").paginate(Paginate::page("page"));
    let source = connect(api(&mock).stream(stream)).await;
    assert_eq!(keys(&source.read("tickets", None).await.unwrap()), ["1", "2", "3", "4"]);
    assert_eq!(mock.count("/tickets"), 11);
}

#[tokio::test]
async fn rule_6_a_token_goes_on_past_an_empty_page() {
    let mock = MockApi::start();
    mock.route("/tickets", |request| {
        MockResponse::json(&match request.query("cursor") {
            None => json!({"data": [{"id": 1}], "next": "a"}),
            Some("a") => json!({"data": [], "next": "b"}),
            Some(_) => json!({"data": [{"id": 2}], "next": ""}),
        })
    });
    let stream = Stream::new("tickets", "/tickets").records("/data").paginate(Paginate::token("/next", "cursor"));
    let source = connect(api(&mock).stream(stream)).await;
    assert_eq!(keys(&source.read("tickets", None).await.unwrap()), ["1", "2"]);
}

#[tokio::test]
async fn rule_7_empty_holds_for_the_first_page_only() {
    let list = |mock: &MockApi| {
        let stream = Stream::new("tickets", "/tickets").records("/data").paginate(Paginate::page("page"));
        connect(api(mock).on_error(404, Action::Empty).stream(stream))
    };
    let first = MockApi::start();
    pages(&first, "/tickets", [json!(404)]);
    assert!(list(&first).await.read("tickets", None).await.unwrap().is_empty());
    let later = MockApi::start();
    pages(&later, "/tickets", [json!({"data": [{"id": 1}]}), json!(404)]);
    let error = list(&later).await.error("tickets").await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::NotFound, Some(404)));
    assert!(error.help().unwrap().contains("first page"), "{:?}", error.help());
}

#[tokio::test]
async fn rule_8_a_next_url_is_followed_as_it_is() {
    for absolute in [false, true] {
        let mock = MockApi::start();
        let host = if absolute { mock.url().to_owned() } else { String::new() };
        mock.route("/v1/tickets", move |request| match request.query("page_info") {
            None => {
                MockResponse::json(&json!({"data": [{"id": 1}], "next": format!("{host}/v1/tickets?page_info=x%2By")}))
            }
            Some(_) => MockResponse::json(&json!({"data": [{"id": 2}], "next": null})),
        });
        let stream = Stream::new("tickets", "/tickets?status=any").records("/data").paginate(Paginate::next("/next"));
        let source = connect(Api::new("helpdesk", format!("{}/v1", mock.url())).stream(stream)).await;
        assert_eq!(keys(&source.read("tickets", None).await.unwrap()), ["1", "2"]);
        assert_eq!(requests(&mock, "/v1/tickets"), ["GET /v1/tickets?status=any", "GET /v1/tickets?page_info=x%2By"]);
    }
}

#[tokio::test]
async fn rule_8_a_next_url_on_another_host_is_refused() {
    for (paginate, link) in [(Paginate::next("/next"), false), (Paginate::link(), true)] {
        let mock = MockApi::start();
        mock.route("/tickets", move |_| {
            let page = json!({"data": [{"id": 1}], "next": "https://elsewhere.example/tickets?page=2"});
            let response = MockResponse::json(&page);
            if link {
                response.with_header("Link", "<https://elsewhere.example/t?page=2>; rel=\"next\"")
            } else {
                response
            }
        });
        let stream = Stream::new("tickets", "/tickets").records("/data").paginate(paginate);
        let error = connect(api(&mock).stream(stream)).await.error("tickets").await;
        assert!(error.message().contains("https://elsewhere.example, another server"), "{error}");
    }
}

#[tokio::test]
async fn rule_8_a_link_without_results_is_the_end() {
    let mock = MockApi::start();
    let url = mock.url().to_owned();
    mock.route("/events", move |_| {
        let link = format!("<{url}/events?cursor=1>; rel=\"next\"; results=\"false\"; cursor=\"1\"");
        MockResponse::json(&json!([{"id": 1}])).with_header("Link", &link)
    });
    let source = connect(api(&mock).stream(Stream::new("events", "/events").paginate(Paginate::link()))).await;
    assert_eq!(keys(&source.read("events", None).await.unwrap()), ["1"]);
    assert_eq!(mock.count("/events"), 1);
}

async fn first_request(stream: Stream) -> (MockApi, Connected) {
    let mock = MockApi::start();
    mock.route("/tickets", |_| MockResponse::json(&json!([{"id": 1, "updated_at": at(5)}])));
    let source = connect(api(&mock).stream(stream)).await;
    (mock, source)
}

#[tokio::test]
async fn rule_9_a_parameter_without_a_value_is_left_out_and_a_longer_text_begins_in_1970() {
    let stream = Stream::new("tickets", "/tickets?limit=5&after={since}").version("/updated_at").order(Order::Version);
    let (mock, source) = first_request(stream.clone().query("q", "updated>={since} order by updated")).await;
    let batches = source.read("tickets", None).await.unwrap();
    source.read("tickets", last_checkpoint(&batches)).await.unwrap();
    let requests = mock.requests();
    assert_eq!(requests[0].query("after"), None);
    assert_eq!(requests[0].query("q"), Some("updated>=1970-01-01T00:00:00Z order by updated"));
    assert_eq!(requests[1].query("after"), Some("2026-01-01T00:00:04Z"), "one second behind the newest");
    assert_eq!(requests[1].query("q"), Some("updated>=2026-01-01T00:00:04Z order by updated"));
    // A start that the description gives is a value.
    let (mock, source) = first_request(stream.since(Since::new().start("2020-01-01"))).await;
    source.read("tickets", None).await.unwrap();
    assert_eq!(mock.requests()[0].query("after"), Some("2020-01-01T00:00:00Z"));
}

#[tokio::test]
async fn rule_9_a_member_of_a_body_without_a_value_is_left_out_and_an_expression_begins_in_1970() {
    let body = json!({"limit": 5, "after": "{since}", "filter": [{"gte": "{since}", "field": "updated"}]});
    let stream = Stream::new("tickets", "/tickets").body(body).version("/updated_at").order(Order::Version);
    let stream = stream.since(Since::new().format(snowfeed::rest::TimeFormat::EpochMs));
    let mock = MockApi::start();
    let bodies = record_bodies(&mock, "/tickets", |_| MockResponse::json(&json!([{"id": 1, "updated_at": at(5)}])));
    let source = connect(api(&mock).stream(stream)).await;
    source.reader.check().await.unwrap();
    let batches = source.read("tickets", None).await.unwrap();
    source.read("tickets", last_checkpoint(&batches)).await.unwrap();
    let bodies = bodies.json();
    // A filter without its value is an error everywhere.
    let first = json!({"limit": 5, "filter": [{"gte": 0, "field": "updated"}]});
    assert_eq!(bodies[..2], [first.clone(), first], "a check asks like a first read");
    let since = 1_767_225_604_000_i64;
    assert_eq!(bodies[2], json!({"limit": 5, "after": since, "filter": [{"gte": since, "field": "updated"}]}));
}

#[tokio::test]
async fn a_reconcile_run_reads_from_the_start() {
    let stream = Stream::new("tickets", "/tickets").cursor("since").version("/updated_at").order(Order::Version);
    let (mock, source) = first_request(stream).await;
    source.reconcile("tickets").await.unwrap();
    assert_eq!(mock.requests()[0].query("since"), None);
    assert_eq!(source.request("tickets").mode, Mode::Incremental);
}
