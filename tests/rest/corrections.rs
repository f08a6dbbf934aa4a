//! Descriptions that were wrong, and are corrected between two runs.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, Event, IngestRequest};
use snowfeed::rest::{Action, Api, Order, Paginate, RestSource, Since, Span, Stream, StreamType, TimeFormat, Version};
use snowfeed::testkit::mock_api::{MockApi, MockResponse, Paging};
use snowfeed::{Checkpoint, Mode, Resource, RunRecord, SourceEvent};

use crate::support::{api, at, connect, fast, keys, last_checkpoint, ticket};

fn helpdesk() -> Resource {
    Resource::new("helpdesk").unwrap()
}

/// Ingests what a description says; returns the runs and the warnings.
async fn ingest(api: Api, memory: &Memory) -> (Vec<RunRecord>, Vec<String>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let seen = warnings.clone();
    let source = RestSource::new(api).unwrap().retry(fast());
    let connector = Connector::new(source, Arc::new(memory.clone())).observer(move |event: &Event| {
        if let Event::Source { event: SourceEvent::Warning(warning), .. } = event {
            seen.lock().unwrap().push(warning.clone());
        }
    });
    let report = connector.ingest(IngestRequest::new([helpdesk()]).mode(Mode::Incremental)).await.unwrap();
    let warnings = warnings.lock().unwrap().clone();
    (report.runs, warnings)
}

fn count(memory: &Memory, stream: &str) -> usize {
    memory.rows(&helpdesk(), stream).len()
}

fn changed(stream: &str) -> String {
    format!("the description of the stream {stream:?} has changed: it is read from the start")
}

/// A list of tickets by pages of two, and a description that reads it whole.
fn tickets(mock: &MockApi) -> Stream {
    let paging = Paging::cursor("cursor", "/next").size(2);
    let list = mock.list("/tickets").since("since", "updated_at").sort_by("updated_at").paging(paging);
    list.extend((1..=5).map(|id| ticket(id, 0)));
    Stream::new("tickets", "/tickets")
        .records("/data")
        .version("/updated_at")
        .cursor("since")
        .paginate(Paginate::token("/next", "cursor"))
}

#[tokio::test]
async fn what_a_wrong_description_missed_is_read_once_it_is_corrected() {
    type Correct = fn(Stream) -> Stream;
    let corrections: [(&str, Correct, usize); 4] = [
        ("paginate", |stream| stream.paginate(Paginate::none()), 2),
        ("the pointer of the token", |stream| stream.paginate(Paginate::token("/nxt", "cursor")), 2),
        ("a filter", |stream| stream.query("status", "open").paginate(Paginate::none()), 2),
        (
            "the order, in which it is read from the last version on",
            |stream| stream.order(Order::Version).paginate(Paginate::none()),
            2,
        ),
    ];
    for (what, wrong, found) in corrections {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let right = tickets(&mock);
        ingest(api(&mock).stream(wrong(right.clone())), &memory).await;
        assert_eq!(count(&memory, "tickets"), found, "{what}");
        let (_, warnings) = ingest(api(&mock).stream(right.clone()), &memory).await;
        assert_eq!((count(&memory, "tickets"), warnings), (5, vec![changed("tickets")]), "{what}");
        mock.clear_requests();
        let (_, warnings) = ingest(api(&mock).stream(right), &memory).await;
        assert_eq!(warnings, Vec::<String>::new(), "{what}");
        assert!(mock.requests()[0].query("since").is_some(), "it goes on from the mark: {what}");
    }
}

#[tokio::test]
async fn records_that_were_rejected_are_read_once_the_key_or_the_version_is_corrected() {
    let corrections: [fn(Stream) -> Stream; 2] =
        [|stream| stream.key("/sid"), |stream| stream.version(Version::at("/subject").format(TimeFormat::Rfc2822))];
    for wrong in corrections {
        let (mock, memory) = (MockApi::start(), Memory::new());
        // One record that is right moves the mark past the others.
        let mut right = tickets(&mock).paginate(Paginate::none());
        mock.json("/all", &json!({"data": [ticket(1, 1), ticket(2, 2), {"id": 3, "sid": 3, "updated_at": at(3)}]}));
        "/all".clone_into(&mut right.path);
        ingest(api(&mock).stream(wrong(right.clone())), &memory).await;
        assert_eq!(count(&memory, "tickets"), 1);
        let (_, warnings) = ingest(api(&mock).stream(right), &memory).await;
        assert_eq!((count(&memory, "tickets"), warnings), (3, vec![changed("tickets")]));
    }
}

#[tokio::test]
async fn what_does_not_decide_which_records_are_read_leaves_the_mark() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let since = |days| Since::new().window(Span::days(days)).start("2025-12-01");
    let stream = tickets(&mock).query("until", "{until}").since(since(9_999));
    ingest(api(&mock).stream(stream.clone()), &memory).await;
    let other = stream
        .header("X-Trace", "1")
        .on_error(404, Action::Empty)
        .pace("100/1s".parse().unwrap())
        .column("title", "/subject")
        .since(since(5_000));
    mock.clear_requests();
    let (_, warnings) = ingest(api(&mock).stream(other), &memory).await;
    assert_eq!(warnings, Vec::<String>::new());
    assert!(!mock.requests()[0].query("since").unwrap().starts_with("2025"), "{:?}", mock.requests());
}

#[tokio::test]
async fn checkpoints_of_older_versions_go_on_and_are_signed() {
    let mock = MockApi::start();
    let source = connect(api(&mock).stream(tickets(&mock).order(Order::Version))).await;
    let old = Checkpoint::new(&json!({"v": 1, "mark": 1_767_225_600_000_000_i64 - 10_000_000})).unwrap();
    let batches = source.read("tickets", Some(old)).await.unwrap();
    assert_eq!(keys(&batches).len(), 5);
    assert_eq!(mock.requests()[0].query("since"), Some("2025-12-31T23:59:49Z"));
    let position: Value = last_checkpoint(&batches).unwrap().parse().unwrap();
    assert!(position["of"].is_string(), "{position}");
}

#[tokio::test]
async fn the_lists_of_children_are_read_again_once_their_description_is_corrected() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let parents = mock.list("/tickets");
    let comments = mock
        .child_list("/tickets/{ticket}/comments", &parents)
        .records_at("/data")
        .paging(Paging::cursor("cursor", "/next").size(2));
    parents.extend([ticket(1, 1), ticket(2, 2)]);
    for parent in [1, 2] {
        comments.of(parent).extend((1..=3).map(|id| json!({"id": id, "ticket": parent})));
    }
    let parent = Stream::new("tickets", "/tickets").version("/updated_at").paginate(Paginate::none());
    let child = Stream::new("comments", "/tickets/{parent.id}/comments").records("/data").parent("tickets");
    let described = |paginate: Paginate| api(&mock).stream(parent.clone()).stream(child.clone().paginate(paginate));
    ingest(described(Paginate::none()), &memory).await;
    assert_eq!(count(&memory, "comments"), 4);
    let right = || described(Paginate::token("/next", "cursor"));
    let (_, warnings) = ingest(right(), &memory).await;
    assert_eq!((count(&memory, "comments"), warnings), (6, vec![changed("comments")]));
    mock.clear_requests();
    let (_, warnings) = ingest(right(), &memory).await;
    assert_eq!((mock.count("/tickets/1/comments"), warnings.len()), (0, 0));
}

#[tokio::test]
async fn an_append_stream_is_read_anew_once_its_description_is_corrected() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let entries = mock.list("/entries").records_at("/data").sort_by_descending("created_at");
    entries
        .paging(Paging::cursor("cursor", "/next").size(2))
        .extend((1..=5).map(|id| json!({"id": id, "created_at": at(id)})));
    let stream = Stream::new("entries", "/entries")
        .records("/data")
        .kind(StreamType::Append)
        .order(Order::VersionDescending)
        .version("/created_at");
    ingest(api(&mock).stream(stream.clone().paginate(Paginate::none())), &memory).await;
    assert_eq!(count(&memory, "entries"), 2);
    let right = stream.paginate(Paginate::token("/next", "cursor"));
    let (_, warnings) = ingest(api(&mock).stream(right), &memory).await;
    assert_eq!((count(&memory, "entries"), warnings), (5, vec![changed("entries")]));
}

#[tokio::test]
async fn a_run_whose_records_are_all_rejected_leaves_the_mark_where_it_was() {
    for order in [None, Some(Order::Version)] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let is_broken = Arc::new(Mutex::new(true));
        let broken = is_broken.clone();
        mock.route("/tickets", move |request| {
            let is_old = request.query("since").is_some();
            let key = if *broken.lock().unwrap() { "other" } else { "id" };
            let records = if is_old { json!([]) } else { json!([{key: 1, "updated_at": at(1)}]) };
            MockResponse::json(&records)
        });
        let stream = Stream::new("tickets", "/tickets").version("/updated_at").cursor("since");
        let mut stream = stream.paginate(Paginate::none());
        stream.order = order;
        let (runs, _) = ingest(api(&mock).stream(stream.clone()), &memory).await;
        assert_eq!(runs[0].counts.rejected, 1);
        *is_broken.lock().unwrap() = false;
        ingest(api(&mock).stream(stream), &memory).await;
        assert_eq!(count(&memory, "tickets"), 1, "{order:?}");
    }
}

#[tokio::test]
async fn a_page_whose_elements_all_have_no_key_is_an_error_of_the_description() {
    let mock = MockApi::start();
    mock.json("/t", &json!([{"sid": "a", "nested": {}, "name": "x"}, {"sid": "b", "name": "y"}]));
    let error = connect(api(&mock).stream(Stream::new("t", "/t"))).await.error("t").await;
    assert_eq!(error.message(), "no element of the list has a key at /id");
    assert_eq!(
        error.help(),
        Some("let `key` point at what identifies a record; the first element has \"/name\", \"/sid\"")
    );
    mock.json("/t", &json!(["a", "b"]));
    let error = connect(api(&mock).stream(Stream::new("t", "/t"))).await.error("t").await;
    assert!(error.help().unwrap().contains("`key = \"\"`"), "{:?}", error.help());
}

#[tokio::test]
async fn a_round_number_of_records_and_nothing_where_the_next_page_should_be_is_a_warning() {
    let records: Vec<Value> = (1..=20).map(|id| json!({"id": id})).collect();
    let warned = "stream \"t\": 20 records, a round number, look like the first page of several, and there is nothing at /nxt, where the next \
                  one should be; correct the pointer of `paginate`, unless the API leaves it out on the last page";
    for (answer, paginate, is_warned) in [
        (json!({"data": records, "next": "a"}), Paginate::token("/nxt", "cursor"), true),
        (json!({"data": records, "next": "/t"}), Paginate::next("/nxt"), true),
        (json!({"data": records, "nxt": null}), Paginate::token("/nxt", "cursor"), false),
        (json!({"data": records, "nxt": ""}), Paginate::token("/nxt", "cursor"), false),
        (json!({"data": records, "more": false}), Paginate::token("/nxt", "cursor").more("/more"), false),
        (json!({"data": records[..19]}), Paginate::token("/nxt", "cursor"), false),
    ] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        mock.json("/t", &answer);
        let (_, warnings) =
            ingest(api(&mock).stream(Stream::new("t", "/t").records("/data").paginate(paginate)), &memory).await;
        assert_eq!(
            warnings.iter().filter(|warning| *warning == warned).count(),
            usize::from(is_warned),
            "{answer}: {warnings:?}"
        );
    }
}
