//! Append streams, deletions, markers, children, stubs, single records.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::rest::{
    Action, Api, Deleted, Get, Order, Paginate, ParentOf, RestSource, Since, Span, Stream, StreamType, TimeFormat,
    Version,
};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockResponse, Paging};
use snowfeed::{Mode, Resource};

use crate::support::{Bodies, api, at, connect, fast, keys, record_bodies, ticket};

fn helpdesk() -> Resource {
    Resource::new("helpdesk").unwrap()
}

fn connector(api: Api, memory: &Memory) -> Connector {
    Connector::new(RestSource::new(api).unwrap().retry(fast()), Arc::new(memory.clone()))
}

async fn ingest(connector: &Connector, mode: Mode) {
    connector.ingest(IngestRequest::new([helpdesk()]).mode(mode)).await.unwrap();
}

fn live(memory: &Memory, stream: &str) -> Vec<String> {
    let rows = memory.rows(&helpdesk(), stream).into_iter().filter(|row| row.deleted_at.is_none());
    let mut keys: Vec<String> = rows.map(|row| row.key).collect();
    keys.sort_by_key(|key| (key.len(), key.clone()));
    keys
}

#[tokio::test]
async fn an_append_stream_is_read_from_the_newest_down_to_what_is_known() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let paging = Paging::offset("offset").size(5).more("/more");
    let entries = mock.list("/entries").records_at("/entries").sort_by_descending("created_at").paging(paging);
    entries.extend((1..=20).map(|id| json!({"id": id, "created_at": at(id)})));
    let stream = Stream::new("entries", "/entries")
        .records("/entries")
        .kind(StreamType::Append)
        .order(Order::KeyDescending)
        .since(Since::new().at("/created_at"))
        .version("/created_at")
        .query("since", "{since}")
        .paginate(Paginate::offset("offset").more("/more"));
    let connector = connector(api(&mock).stream(stream), &memory);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!((live(&memory, "entries").len(), mock.count("/entries")), (20, 4));
    entries.extend((21..=23).map(|id| json!({"id": id, "created_at": at(id)})));
    ingest(&connector, Mode::Incremental).await;
    assert_eq!((live(&memory, "entries").len(), mock.count("/entries")), (23, 6));
}

#[tokio::test]
async fn a_cursor_bounds_the_read_of_an_append_stream_by_what_is_known() {
    for window in [None, Some(Span::days(400))] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let entries = mock.list("/actions").since("since", "date").sort_by_descending("date");
        entries.extend((1..=20).map(|id| json!({"id": id, "date": at(id)})));
        let mut stream = Stream::new("actions", "/actions")
            .kind(StreamType::Append)
            .order(Order::VersionDescending)
            .version("/date");
        stream = match window {
            None => stream.cursor("since"),
            Some(window) => stream
                .query("since", "{since}")
                .query("until", "{until}")
                .since(Since::new().window(window).start(at(0)).overlap(Span::seconds(1))),
        };
        let connector = connector(api(&mock).stream(stream.paginate(Paginate::none())), &memory);
        ingest(&connector, Mode::Incremental).await;
        let first = mock.count("/actions");
        entries.extend((21..=23).map(|id| json!({"id": id, "date": at(id)})));
        for _ in 0..2 {
            ingest(&connector, Mode::Incremental).await;
            let asked = mock.requests().last().unwrap().query("since").map(str::to_owned);
            let known = if mock.count("/actions") == first + 1 { 19 } else { 22 };
            assert_eq!(asked.as_deref(), Some(at(known).as_str()), "{window:?}: one second behind the newest");
            assert_eq!(live(&memory, "actions").len(), 23);
        }
        assert_eq!(mock.count("/actions"), first + 2, "{window:?}");
    }
}

#[tokio::test]
async fn an_appended_record_of_the_future_hides_none_of_the_present() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let entries = mock.list("/actions").since("since", "date").sort_by_descending("date");
    entries.insert(json!({"id": 1, "date": "2199-01-01T00:00:00Z"}));
    let stream = Stream::new("actions", "/actions").kind(StreamType::Append).order(Order::KeyDescending);
    let stream = stream.version("/date").cursor("since").paginate(Paginate::none());
    let connector = connector(api(&mock).stream(stream), &memory);
    for id in 2..=4 {
        ingest(&connector, Mode::Incremental).await;
        entries.insert(json!({"id": id, "date": jiff::Timestamp::now().to_string()}));
    }
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory, "actions"), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_changed_record_of_the_future_hides_none_of_the_present() {
    for order in [Some(Order::Version), Some(Order::VersionDescending), None] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let tickets = mock.list("/tickets").since("since", "updated_at");
        let tickets = match order {
            Some(Order::VersionDescending) => tickets.sort_by_descending("updated_at"),
            _ => tickets.sort_by("updated_at"),
        };
        tickets.insert(json!({"id": 1, "updated_at": "2199-01-01T00:00:00Z"}));
        let mut stream = Stream::new("tickets", "/tickets").version("/updated_at").cursor("since");
        if let Some(order) = order {
            stream = stream.order(order);
        }
        let connector = connector(api(&mock).stream(stream.paginate(Paginate::none())), &memory);
        for id in 2..=4 {
            ingest(&connector, Mode::Incremental).await;
            tickets.insert(json!({"id": id, "updated_at": jiff::Timestamp::now().to_string()}));
        }
        ingest(&connector, Mode::Incremental).await;
        assert_eq!(live(&memory, "tickets"), ["1", "2", "3", "4"], "{order:?}");
    }
}

#[tokio::test]
async fn a_list_of_deletions_deletes_from_its_target() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let contacts = mock.list("/contacts").since("since", "updated_at").sort_by("updated_at");
    let archived = mock.list("/archived").paging(Paging::cursor("after", "/next").size(1));
    contacts.extend((1..=4).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let described = api(&mock)
        .stream(Stream::new("contacts", "/contacts").version("/updated_at").cursor("since").order(Order::Version))
        .stream(
            Stream::new("contacts_archived", "/archived")
                .deletes("contacts")
                .records("/data")
                .paginate(Paginate::token("/next", "after")),
        );
    let connector = connector(described, &memory);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory, "contacts"), ["1", "2", "3", "4"]);
    for id in [2, 3] {
        contacts.delete(id);
        archived.insert(json!({"id": id}));
    }
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory, "contacts"), ["1", "4"]);
}

#[tokio::test]
async fn what_a_list_of_deletions_deletes_takes_its_children_with_it_in_the_same_run() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let tickets = mock.list("/tickets").since("since", "updated_at").sort_by("updated_at");
    let notes = mock.child_list("/tickets/{ticket}/notes", &tickets);
    let trash = mock.list("/trash");
    tickets.extend((1..=3).map(|id| ticket(id, i64::try_from(id).unwrap())));
    (1..=3).for_each(|id| notes.of(id).insert(json!({"id": id * 10})));
    let described = api(&mock)
        .stream(Stream::new("tickets", "/tickets").version("/updated_at").cursor("since").order(Order::Version))
        .stream(Stream::new("notes", "/tickets/{parent.id}/notes").parent("tickets"))
        .stream(Stream::new("tickets_deleted", "/trash").deletes("tickets"));
    let connector = connector(described, &memory);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory, "notes"), ["10", "20", "30"]);
    tickets.delete(2);
    trash.insert(json!({"id": 2}));
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(
        (live(&memory, "tickets"), live(&memory, "notes")),
        (vec!["1".into(), "3".into()], vec!["10".into(), "30".into()])
    );
}

#[tokio::test]
async fn a_record_that_says_so_is_deleted() {
    for (marker, gone, there) in [
        (Deleted::at("/trashed"), json!({"trashed": true}), json!({"trashed": false})),
        (Deleted::at("/status").is("deleted"), json!({"status": "deleted"}), json!({"status": "open"})),
        (Deleted::at("/deleted_at"), json!({"deleted_at": at(9)}), json!({"deleted_at": null})),
    ] {
        let mock = MockApi::start();
        let record = |id: u64, extra: &Value| {
            let mut record = json!({"id": id});
            record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            record
        };
        let page = json!([record(1, &gone), record(2, &there), record(3, &json!({}))]);
        mock.route("/t", move |_| MockResponse::json(&page));
        let source = connect(api(&mock).stream(Stream::new("t", "/t").deleted(marker))).await;
        let batches = source.read("t", None).await.unwrap();
        let deleted: Vec<bool> = batches[0].records.iter().map(|record| record.json().is_none()).collect();
        assert_eq!(deleted, [true, false, false]);
    }
}

#[tokio::test]
async fn only_parents_that_say_so_have_children() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let messages = mock.list("/messages").key("ts");
    messages.extend([json!({"ts": "1.5", "replies": 2}), json!({"ts": "2.5", "replies": 0}), json!({"ts": "3.5"})]);
    mock.route("/replies", |request| {
        MockResponse::json(&json!([{"ts": format!("{}.1", request.query("ts").unwrap())}]))
    });
    let described = api(&mock).stream(Stream::new("messages", "/messages").key("/ts")).stream(
        Stream::new("replies", "/replies?ts={parent.ts}")
            .key("/ts")
            .parent(ParentOf::stream("messages").when("/replies")),
    );
    ingest(&connector(described, &memory), Mode::Incremental).await;
    assert_eq!((live(&memory, "replies"), mock.count("/replies")), (vec!["1.5.1".to_owned()], 1));
}

#[tokio::test]
async fn stubs_are_filled_by_batches() {
    let mock = MockApi::start();
    let stubs = mock.list("/updated").records_at("/values");
    stubs.extend((1..=5).map(|id| json!({"worklogId": id, "updatedTime": 1_767_225_600_000_i64 + id})).map(
        |mut stub| {
            stub["id"] = stub["worklogId"].clone();
            stub
        },
    ));
    let bodies = record_bodies(&mock, "/list", |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let ids = body["ids"].as_array().unwrap().iter().filter(|id| **id != 4);
        MockResponse::json(&ids.map(|id| json!({"id": id, "updated": at(id.as_i64().unwrap())})).collect::<Value>())
    });
    let stream = Stream::new("worklogs", "/updated?since={since}")
        .since(Since::new().format(TimeFormat::EpochMs))
        .records("/values")
        .version("/updated")
        .get(Get::path("/list").body(json!({"ids": "{keys}"})).keys("/worklogId").batch(2));
    let source = connect(api(&mock).stream(stream)).await;
    let batches = source.read("worklogs", None).await.unwrap();
    assert_eq!(keys(&batches), ["1", "2", "3", "5"]);
    assert_eq!(batches[0].excluded["gone"], 1, "a stub without a record has been deleted meanwhile");
    assert_eq!(bodies.json(), [json!({"ids": [1, 2]}), json!({"ids": [3, 4]}), json!({"ids": [5]})]);
}

/// Worklogs 1 to 5, whose stubs are listed, and the bodies of the requests for them. `respond` gets the ids of a request.
fn worklogs(
    mock: &MockApi,
    respond: impl Fn(Vec<Value>) -> MockResponse + Send + Sync + 'static,
) -> (MockList, Bodies, Api) {
    let stubs = mock.list("/updated").records_at("/values").key("worklogId").since("since", "updatedTime");
    stubs.extend((1..=5).map(|id| json!({"worklogId": id, "updatedTime": id})));
    let bodies = record_bodies(mock, "/list", move |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        respond(body["ids"].as_array().unwrap().clone())
    });
    let stream = Stream::new("worklogs", "/updated?since={since}")
        .since(Since::new().format(TimeFormat::Number))
        .records("/values")
        .version(Version::at("/v").format(TimeFormat::Number))
        .get(Get::path("/list").body(json!({"ids": "{keys}"})).keys("/worklogId").batch(2));
    (stubs, bodies, api(mock).stream(stream))
}

fn found<'a>(ids: impl IntoIterator<Item = &'a Value>) -> MockResponse {
    MockResponse::json(&ids.into_iter().map(|id| json!({"id": id, "v": id})).collect())
}

#[tokio::test]
async fn several_missing_records_are_asked_for_at_once() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = gone.clone();
    let (stubs, bodies, described) =
        worklogs(&mock, move |ids| found(ids.iter().filter(|id| **id != 2 || !is_gone.load(SeqCst))));
    let connector = connector(described, &memory);
    ingest(&connector, Mode::Incremental).await;
    // The list lacks three of them, of which one is gone.
    gone.store(true, SeqCst);
    [2, 3, 4].into_iter().for_each(|id| drop(stubs.delete(id)));
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(live(&memory, "worklogs"), ["1", "3", "4", "5"]);
    let mut asked: Vec<usize> =
        bodies.json().iter().rev().take(2).map(|body| body["ids"].as_array().unwrap().len()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2], "in batches: {bodies:?}");
}

#[tokio::test]
async fn an_answer_about_several_records_is_not_about_each() {
    for is_rejected in [false, true] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = gone.clone();
        let (stubs, _, described) = worklogs(&mock, move |ids| match ids.contains(&json!(2)) && is_gone.load(SeqCst) {
            // One record that is gone fails the whole request, or a record cannot be read.
            true if is_rejected => MockResponse::json(&json!([{"v": 1}])),
            true => MockResponse::new(404),
            false => found(&ids),
        });
        let connector = connector(described, &memory);
        ingest(&connector, Mode::Incremental).await;
        gone.store(true, SeqCst);
        [2, 3].into_iter().for_each(|id| drop(stubs.delete(id)));
        ingest(&connector, Mode::Reconcile).await;
        let kept: &[&str] = if is_rejected { &["1", "2", "3", "4", "5"] } else { &["1", "3", "4", "5"] };
        assert_eq!(live(&memory, "worklogs"), kept, "{is_rejected}");
    }
}

#[tokio::test]
async fn records_that_have_other_keys_than_their_stubs_are_not_asked_for() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let (stubs, bodies, described) = worklogs(&mock, |ids| {
        MockResponse::json(&ids.iter().map(|id| json!({"id": format!("w{id}"), "v": id})).collect())
    });
    let connector = connector(described, &memory);
    ingest(&connector, Mode::Incremental).await;
    stubs.delete(2);
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(live(&memory, "worklogs").len(), 5);
    assert!(!bodies.texts().concat().contains('w'), "{bodies:?}");
}

fn with_get(mock: &MockApi) -> Api {
    let stream = Stream::new("tickets", "/tickets").version("/updated_at").cursor("since").order(Order::Version);
    api(mock).stream(stream.get("/tickets/{key}"))
}

#[tokio::test]
async fn a_record_is_gone_if_the_server_says_so_about_that_record() {
    for status in [404, 410, 400] {
        let (mock, memory) = (MockApi::start(), Memory::new());
        let tickets = mock.list("/tickets").since("since", "updated_at").sort_by("updated_at").lookup();
        tickets.extend((1..=4).map(|id| ticket(id, i64::try_from(id).unwrap())));
        let connector = connector(with_get(&mock).on_error(400, Action::Gone), &memory);
        ingest(&connector, Mode::Incremental).await;
        tickets.delete(2);
        mock.fault("/tickets/2", Fault::status(status).always());
        ingest(&connector, Mode::Reconcile).await;
        assert_eq!(live(&memory, "tickets"), ["1", "3", "4"], "{status}");
    }
}

#[tokio::test]
async fn a_record_that_a_search_by_its_key_does_not_find_is_gone() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let messages = mock.list("/history").filter("ts", "ts").key("ts").since("oldest", "ts").records_at("/messages");
    messages.extend((1..=4).map(|n| json!({"ts": format!("{n}.5")})));
    let stream = Stream::new("messages", "/history")
        .key("/ts")
        .records("/messages")
        .cursor("oldest")
        .since(Since::new().at("/ts").format(TimeFormat::Epoch));
    let connector =
        connector(api(&mock).stream(stream.get(Get::path("/history?ts={key}").records("/messages"))), &memory);
    ingest(&connector, Mode::Incremental).await;
    messages.delete("2.5");
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(live(&memory, "messages"), ["1.5", "3.5", "4.5"]);
}

/// Reads four notes whose list is at `/data`, deletes one, and reconciles: `get` answers with what `envelope` makes of a note.
async fn reconciled(get: impl Into<Get>, envelope: impl Fn(Value) -> Value + Send + Sync + 'static) -> Vec<String> {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let notes = mock.list("/notes").since("since", "updated_at").sort_by("updated_at").records_at("/data");
    notes.extend((1..=4).map(|id| ticket(id, i64::try_from(id).unwrap())));
    for id in [1, 3, 4] {
        let answer = envelope(ticket(id, i64::try_from(id).unwrap()));
        mock.route(&format!("/notes/{id}"), move |_| MockResponse::json(&answer));
    }
    let stream = Stream::new("notes", "/notes").records("/data").version("/updated_at").cursor("since");
    let connector = connector(api(&mock).stream(stream.order(Order::Version).get(get)), &memory);
    ingest(&connector, Mode::Incremental).await;
    // The list hides them all, so that each is asked for.
    (1..=4).for_each(|id| drop(notes.delete(id)));
    let report = connector.ingest(IngestRequest::new([helpdesk()]).mode(Mode::Reconcile)).await.unwrap();
    match report.runs.iter().find_map(|run| run.error.as_ref()) {
        Some(error) => vec![error.message.clone(), error.help.clone().unwrap_or_default()],
        None => live(&memory, "notes"),
    }
}

#[tokio::test]
async fn single_records_have_the_envelope_of_their_list_unless_the_description_names_another() {
    assert_eq!(reconciled("/notes/{key}", |note| note).await, ["1", "3", "4"]);
    assert_eq!(reconciled("/notes/{key}", |note| json!({"data": note})).await, ["1", "3", "4"]);
    assert_eq!(reconciled("/notes/{key}", |note| json!({"data": [note]})).await, ["1", "3", "4"]);
    let get = Get::path("/notes/{key}").records("/note");
    assert_eq!(reconciled(get, |note| json!({"note": note})).await, ["1", "3", "4"]);
    let error = reconciled("/notes/{key}", |note| json!({"ok": true, "note": note})).await;
    assert!(error[0].contains("the answer of `get` has no record at the root"), "{error:?}");
    assert_eq!(error[1], "write `get = { path = \"/notes/{key}\", records = \"/note\" }`");
    let get = Get::path("/notes/{key}").records("/item");
    let error = reconciled(get, |note| json!({"data": {"note": note}})).await;
    assert!(error[0].contains("the answer of `get` has no record at /item"), "{error:?}");
    assert_eq!(error[1], "let `get.records` point at the record");
    // Null is no record, and does not say that there is none.
    let error = reconciled("/notes/{key}", |_| json!({"data": null})).await;
    assert!(error[0].contains("the answer of `get` has no record"), "{error:?}");
}

#[tokio::test]
async fn an_answer_about_the_whole_deletes_nothing() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    let tickets = mock.list("/tickets").since("since", "updated_at").sort_by("updated_at").lookup();
    tickets.extend((1..=4).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let connector = connector(with_get(&mock), &memory);
    ingest(&connector, Mode::Incremental).await;
    tickets.delete(2);
    // The credentials lose their access once the list has been read.
    mock.fault("*", Fault::status(404).after(1).always());
    let report = connector.ingest(IngestRequest::new([helpdesk()]).mode(Mode::Reconcile)).await.unwrap();
    assert!(report.runs.iter().any(|run| run.error.is_some()), "{report:?}");
    assert_eq!(live(&memory, "tickets").len(), 4);
}

#[tokio::test]
async fn several_pointers_make_a_key_that_is_not_ambiguous() {
    let mock = MockApi::start();
    mock.route("/t", |_| {
        MockResponse::json(
            &json!([{"a": "x/y", "b": "z"}, {"a": "x", "b": "y/z"}, {"a": "x~1y", "b": "z"}, {"a": 1, "b": 2}]),
        )
    });
    let source = connect(api(&mock).stream(Stream::new("t", "/t").key(["/a", "/b"]))).await;
    assert_eq!(keys(&source.read("t", None).await.unwrap()), ["x~1y/z", "x/y~1z", "x~01y/z", "1/2"]);
}

#[tokio::test]
async fn the_greatest_of_several_versions_counts() {
    let mock = MockApi::start();
    mock.route("/t", |_| {
        MockResponse::json(&json!([{"ts": "5.000001", "edited": {"ts": "7.5"}}, {"ts": "6.25", "latest": null}]))
    });
    let version = snowfeed::rest::Version::at(["/latest", "/edited/ts", "/ts"]).format(TimeFormat::Epoch);
    let source = connect(api(&mock).stream(Stream::new("t", "/t").key("/ts").version(version))).await;
    let batches = source.read("t", None).await.unwrap();
    let versions: Vec<i64> = batches[0].records.iter().map(|record| record.version.0).collect();
    assert_eq!(versions, [7_500_000, 6_250_000]);
}
