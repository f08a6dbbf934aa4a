//! Lists whose answers do not tell the server's time: this machine's clock may be wrong.

use serde_json::{Value, json};
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::rest::{Order, Paginate, Since, Span, Stream, TimeFormat};
use snowfeed::testkit::mock_api::{MockApi, MockResponse, Paging};

use crate::support::{api, at, connect, keys, last_checkpoint, requests, rows, ticket, without_date};

fn unordered() -> Stream {
    Stream::new("tickets", "/tickets").version("/updated_at").cursor("since")
}

fn asked(mock: &MockApi, path: &str) -> Vec<Option<String>> {
    let of_path = mock.requests().into_iter().filter(|request| request.path() == path);
    of_path.map(|request| request.query("since").map(str::to_owned)).collect()
}

/// The server's clock is behind by months: what changes next is before this machine's time.
#[tokio::test]
async fn without_the_servers_time_the_mark_is_the_newest_version() {
    for (order, paging, paginate) in [
        (None, Paging::single(), Paginate::none()),
        (Some(Order::Key), Paging::cursor("cursor", "/next").size(2), Paginate::token("/next", "cursor")),
        (Some(Order::VersionDescending), Paging::single(), Paginate::none()),
    ] {
        let (server, mock) = (MockApi::start(), MockApi::start());
        let is_paged = paginate != Paginate::none();
        let tickets = server.list("/tickets").since("since", "updated_at").paging(paging);
        without_date(&mock, "/tickets", server);
        let tickets =
            if order == Some(Order::VersionDescending) { tickets.sort_by_descending("updated_at") } else { tickets };
        tickets.extend([ticket(1, 900), ticket(2, 500), ticket(3, 700)]);
        let mut stream = unordered().paginate(paginate).records(if is_paged { "/data" } else { "" });
        stream.order = order;
        let source = connect(api(&mock).stream(stream)).await;
        let first = source.read("tickets", None).await.unwrap();
        tickets.update(2, json!({"updated_at": at(901)}));
        tickets.insert(ticket(4, 900));
        let second = source.read("tickets", last_checkpoint(&first)).await.unwrap();
        let read = rows(&second);
        assert!(read.contains_key("2") && read.contains_key("4"), "{order:?}: {read:?}");
        assert!(!read.contains_key("3"), "it goes on from the mark: {order:?}");
        // A run without changes asks from the same time, again and again.
        let third = source.read("tickets", last_checkpoint(&second)).await.unwrap();
        let requests_before = mock.requests().len();
        let fourth = source.read("tickets", last_checkpoint(&third)).await.unwrap();
        assert_eq!(last_checkpoint(&third), last_checkpoint(&fourth), "{order:?}");
        assert!(mock.requests().len() - requests_before <= 2, "{order:?}");
        let since = asked(&mock, "/tickets").pop().flatten().unwrap();
        assert_eq!(since, at(900), "one second before the newest: {order:?}");
    }
}

#[tokio::test]
async fn with_the_servers_time_the_mark_is_the_start_of_the_read() {
    let (list, mock) = (MockApi::start(), MockApi::start());
    list.list("/tickets").since("since", "updated_at").extend([ticket(1, 900)]);
    mock.route("/tickets", move |request| {
        list.answer(request.clone()).with_header("Date", "Thu, 01 Jan 2026 01:00:00 GMT")
    });
    let source = connect(api(&mock).stream(unordered())).await;
    let first = source.read("tickets", None).await.unwrap();
    source.read("tickets", last_checkpoint(&first)).await.unwrap();
    assert_eq!(asked(&mock, "/tickets"), [None, Some(at(3_599))]);
}

#[tokio::test]
async fn a_version_of_the_future_is_not_the_mark() {
    let (server, mock) = (MockApi::start(), MockApi::start());
    let tickets = server.list("/tickets").since("since", "updated_at");
    without_date(&mock, "/tickets", server);
    tickets.extend([ticket(1, 901), json!({"id": 2, "updated_at": "2199-01-01T00:00:00Z"})]);
    let before = Timestamp::now() - SignedDuration::from_secs(3);
    let source = connect(api(&mock).stream(unordered())).await;
    let first = source.read("tickets", None).await.unwrap();
    source.read("tickets", last_checkpoint(&first)).await.unwrap();
    let since: Timestamp = asked(&mock, "/tickets").pop().flatten().unwrap().parse().unwrap();
    assert!((before..=Timestamp::now()).contains(&since), "{since}");
}

#[tokio::test]
async fn records_without_a_time_leave_the_mark_where_it_was() {
    let (server, mock) = (MockApi::start(), MockApi::start());
    server.list("/tickets").extend([json!({"id": 1}), json!({"id": 2})]);
    without_date(&mock, "/tickets", server);
    let source = connect(api(&mock).stream(Stream::new("tickets", "/tickets").cursor("since"))).await;
    let mut checkpoint = None;
    for _ in 0..2 {
        let batches = source.read("tickets", checkpoint).await.unwrap();
        assert_eq!(keys(&batches), ["1", "2"]);
        checkpoint = last_checkpoint(&batches);
    }
    assert_eq!(requests(&mock, "/tickets"), ["GET /tickets", "GET /tickets"]);
}

/// The newest version of a later page may be of a change during the read: another one that came before it may be on a page that was read
/// already.
#[tokio::test]
async fn what_a_later_page_shows_counts_less_the_time_of_the_read() {
    let (server, mock) = (MockApi::start(), MockApi::start());
    server.route("/tickets", |request| {
        MockResponse::json(&match request.query("cursor") {
            None => json!({"data": [ticket(1, 100)], "next": "a"}),
            Some(_) => {
                std::thread::sleep(std::time::Duration::from_millis(2_100));
                json!({"data": [ticket(2, 102)]})
            }
        })
    });
    without_date(&mock, "/tickets", server);
    let stream = unordered().records("/data").paginate(Paginate::token("/next", "cursor"));
    let source = connect(api(&mock).stream(stream)).await;
    let first = source.read("tickets", None).await.unwrap();
    mock.clear_requests();
    source.read("tickets", last_checkpoint(&first)).await.unwrap();
    assert_eq!(asked(&mock, "/tickets")[0], Some(at(99)), "one second before the first page");
}

/// Tickets by windows of ten minutes, from an hour ago.
fn in_windows(mock: &MockApi, tickets: Vec<i64>) -> Stream {
    let now = Timestamp::now().as_second();
    mock.route("/tickets", move |request| {
        let second = |name| request.query(name).map(|text| text.parse::<i64>().unwrap());
        let (since, until) = (second("since").unwrap(), second("until").unwrap());
        let found = tickets.iter().filter(|at| (since..=until).contains(*at));
        MockResponse::json(&found.map(|at| json!({"id": at, "created": at})).collect()).with_header("Date", "")
    });
    let start = Timestamp::from_second(now - 3_600).unwrap().to_string();
    let since = Since::new().at("/created").format(TimeFormat::Epoch).start(start).window(Span::seconds(600));
    Stream::new("tickets", "/tickets?since={since}&until={until}").since(since).order(Order::Key)
}

#[tokio::test]
async fn a_read_by_windows_that_resumes_knows_what_it_has_seen() {
    let mock = MockApi::start();
    let now = Timestamp::now().as_second();
    let newest = now - 2_000;
    let source = connect(api(&mock).stream(in_windows(&mock, vec![now - 3_500, newest]))).await;
    let batches = source.read("tickets", None).await.unwrap();
    // It is resumed behind the window of the newest ticket.
    let mut middle =
        batches.iter().filter(|batch| !batch.records.is_empty()).filter_map(|batch| batch.checkpoint.clone());
    let resumed = source.read("tickets", middle.next_back()).await.unwrap();
    mock.clear_requests();
    source.read("tickets", last_checkpoint(&resumed).or(last_checkpoint(&batches))).await.unwrap();
    let since: i64 = asked(&mock, "/tickets")[0].clone().unwrap().parse().unwrap();
    // Less the time of the read until then, which is below a second.
    assert!((newest - 2..newest).contains(&since), "{since} {newest}");
}

/// This machine's clock is behind: the present changes seem to be of the future.
#[tokio::test]
async fn versions_after_this_machines_time_do_not_end_a_list_in_their_order() {
    let (server, mock) = (MockApi::start(), MockApi::start());
    let ahead = |seconds: i64| (Timestamp::now() + SignedDuration::from_secs(3_600 + seconds)).to_string();
    let tickets: Vec<Value> = (1..=9).map(|id| json!({"id": id, "updated_at": ahead(id)})).collect();
    let list = server.list("/tickets").since("since", "updated_at").sort_by("updated_at");
    list.paging(Paging::cursor("cursor", "/next").size(2)).extend(tickets);
    without_date(&mock, "/tickets", server);
    let stream = unordered().order(Order::Version).records("/data").paginate(Paginate::token("/next", "cursor"));
    let batches = connect(api(&mock).stream(stream)).await.read("tickets", None).await.unwrap();
    assert_eq!(rows(&batches).len(), 9);
}
