//! Orders of lists: re-anchoring, ties, windows, caps, newest first.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::Checkpoint;
use snowfeed::rest::{Action, Api, Order, Paginate, Since, Span, Stream, StreamType, TimeFormat};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockResponse, Paging};

use crate::support::{api, at, connect, keys, last_checkpoint, record_bodies, rows, ticket};

fn by_version(paginate: Paginate) -> Stream {
    let stream = Stream::new("tickets", "/tickets").version("/updated_at").cursor("since").order(Order::Version);
    stream.paginate(paginate)
}

fn list(mock: &MockApi, paging: Paging) -> MockList {
    mock.list("/tickets").since("since", "updated_at").sort_by("updated_at").paging(paging)
}

/// Moves one of the first tickets to the end of the list, before each answer.
fn moving(mock: &MockApi, tickets: &MockList, times: u64) {
    let (list, next) = (tickets.clone(), AtomicU64::new(1));
    let change = move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        list.update(id, json!({"subject": "changed", "updated_at": at(1_000 + i64::try_from(id).unwrap())}));
    };
    mock.fault("/tickets", Fault::change(change).after(1).every(1).times(times));
}

#[tokio::test]
async fn rule_1_rows_that_move_while_numbered_pages_are_read_are_not_lost() {
    for (paging, paginate) in [
        (Paging::page_number("page"), Paginate::page("page")),
        (Paging::offset("offset"), Paginate::offset("offset")),
        (Paging::links("page"), Paginate::link()),
    ] {
        let mock = MockApi::start();
        let tickets = list(&mock, paging.size(10));
        tickets.extend((1..=60).map(|id| ticket(id, i64::try_from(id).unwrap())));
        moving(&mock, &tickets, 20);
        let source = connect(api(&mock).stream(by_version(paginate.clone()))).await;
        let batches = source.read("tickets", None).await.unwrap();
        let read = rows(&batches);
        let expected: Vec<Value> = tickets.records();
        assert_eq!(read.len(), 60, "{paginate:?}");
        for ticket in expected {
            assert_eq!(read[&ticket["id"].to_string()].as_ref(), Some(&ticket), "{paginate:?}");
        }
        let pages: Vec<_> =
            mock.requests().iter().filter_map(|request| request.query("page").map(str::to_owned)).collect();
        assert!(pages.iter().all(|page| page == "2"), "only the last rows, which tie, are paged: {pages:?}");
    }
}

/// The token is the key of the next page's first record, or of the last one of a page: the server goes on from where that record is now.
#[tokio::test]
async fn a_token_that_is_the_key_of_a_record_which_moves_loses_no_row() {
    for names_next in [true, false] {
        let mock = MockApi::start();
        let tickets = Arc::new(Mutex::new((1..=60).map(|id| (id, i64::try_from(id).unwrap())).collect::<Vec<_>>()));
        let listed = tickets.clone();
        mock.route("/tickets", move |request| {
            let mut all = listed.lock().unwrap();
            let since = request.query("since").map(str::to_owned).unwrap_or_default();
            let found: Vec<_> = all.iter().copied().filter(|(_, seconds)| at(*seconds) >= since).collect();
            let from = request.query("after").map_or(0, |key| {
                let place = found.iter().position(|(id, _)| id.to_string() == key).unwrap();
                if names_next { place } else { place + 1 }
            });
            let page: Vec<_> = found.iter().copied().skip(from).take(10).collect();
            let named = if names_next { found.get(from + 10) } else { page.last().filter(|_| from + 10 < found.len()) };
            let next = named.map(|(id, _)| id.to_string());
            // What the token names changes before the next request, and moves to the end.
            if let Some((id, _)) = named.copied()
                && all.iter().all(|(_, seconds)| *seconds < 1_005)
            {
                let newest = all.iter().map(|(_, seconds)| *seconds).max().unwrap().max(1_000);
                all.retain(|(other, _)| *other != id);
                all.push((id, newest + 1));
            }
            let page: Vec<Value> = page.into_iter().map(|(id, seconds)| ticket(id, seconds)).collect();
            MockResponse::json(&json!({"rows": page, "next": next}))
        });
        let stream = by_version(Paginate::token("/next", "after")).records("/rows");
        let source = connect(api(&mock).stream(stream)).await;
        let read = rows(&source.read("tickets", None).await.unwrap());
        assert_eq!(read.len(), 60, "the token names the next record: {names_next}");
        for (id, seconds) in tickets.lock().unwrap().iter() {
            assert_eq!(read[&id.to_string()].as_ref(), Some(&ticket(*id, *seconds)), "{id}");
        }
    }
}

/// Notion writes the minute of a change. What changes later in the minute in which a read began has a version before its start.
#[tokio::test]
async fn what_changes_later_in_the_unit_of_the_versions_is_read_by_the_next_run() {
    for (unit, is_asked) in [("2026-01-02T03:04:00Z", 0), ("2026-01-02T03:00:00Z", 0), ("2026-01-02T03:04:05Z", 1)] {
        let mock = MockApi::start();
        let began: jiff::Timestamp = "2026-01-02T03:04:30Z".parse().unwrap();
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&began).unwrap();
        let version = unit.to_owned();
        mock.route("/tickets", move |request| {
            let since = request.query("since").map(str::to_owned).unwrap_or_default();
            let all = vec![json!({"id": 1, "updated_at": version})];
            let found: Vec<Value> =
                all.into_iter().filter(|one| one["updated_at"].as_str().unwrap() >= &*since).collect();
            MockResponse::json(&json!(found)).with_header("date", &date)
        });
        let stream = Stream::new("tickets", "/tickets").version("/updated_at").cursor("since");
        let source = connect(api(&mock).stream(stream.paginate(Paginate::none()))).await;
        let first = source.read("tickets", None).await.unwrap();
        let again = source.read("tickets", last_checkpoint(&first)).await.unwrap();
        assert_eq!(keys(&again).len(), 1 - is_asked, "{unit}");
    }
}

/// GitHub's links have the id of the repository in place of its name, and the number of the page.
#[tokio::test]
async fn page_numbers_behind_links_to_another_path_are_recognized() {
    let server = GithubServer::builder().oddities(false).repository("acme/widgets", 1_000).start().await.unwrap();
    let path = "/repos/acme/widgets/issues?state=all&sort=updated&direction=asc&per_page=100";
    let issues = Stream::new("issues", path).version("/updated_at").cursor("since").order(Order::Version);
    let source = connect(Api::new("helpdesk", server.url()).stream(issues.paginate(Paginate::link()))).await;
    assert_eq!(rows(&source.read("issues", None).await.unwrap()).len(), 1_000);
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.query("page").is_none()), "{requests:?}");
    assert!(requests.len() <= 12, "each page is read once, and one row of it again: {}", requests.len());
}

/// A bulk edit, of which a row is edited again with each request: the pages of the tie drift, and what follows is not read again and again.
#[tokio::test]
async fn a_tie_that_shrinks_while_it_is_read_does_not_hold_up_the_rest() {
    let mock = MockApi::start();
    let tickets = list(&mock, Paging::page_number("page").size(10));
    tickets.extend((1..=60).map(|id| ticket(id, 1)));
    tickets.extend((61..=200).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let (list, next) = (tickets.clone(), AtomicU64::new(1));
    let change = move || {
        let id = next.fetch_add(1, Ordering::SeqCst) % 200 + 1;
        list.update(id, json!({"subject": "changed", "updated_at": at(1_000 + i64::try_from(id).unwrap())}));
    };
    mock.fault("/tickets", Fault::change(change).after(1).every(1).times(40));
    let source = connect(api(&mock).stream(by_version(Paginate::page("page")))).await;
    let read = rows(&source.read("tickets", None).await.unwrap());
    assert_eq!(read.len(), 200);
    assert!(mock.requests().len() < 60, "{} requests for 20 pages", mock.requests().len());
}

/// "Changed after" leaves out what has the very time that it is asked with: of several rows of one second, those on the next page.
#[tokio::test]
async fn a_filter_that_excludes_its_value_loses_no_row_of_a_tie() {
    for (tie, size) in [(1, 10), (2, 10), (3, 2), (7, 10), (25, 10)] {
        let mock = MockApi::start();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        mock.route("/tickets", move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            let after = request.query("since").map(str::to_owned).unwrap_or_default();
            let all = (0..60_i64).map(|id| ticket(u64::try_from(id).unwrap() + 1, 100 + id / tie));
            let after: Vec<Value> =
                all.filter(|ticket| ticket["updated_at"].as_str().unwrap() > after.as_str()).collect();
            let page: usize = request.query("page").map_or(1, |page| page.parse().unwrap());
            let rows: Vec<&Value> = after.iter().skip((page - 1) * size).take(size).collect();
            MockResponse::json(&json!(rows))
        });
        let source = connect(api(&mock).stream(by_version(Paginate::page("page")))).await;
        let read = source.read("tickets", None).await.unwrap();
        assert_eq!(rows(&read).len(), 60, "{tie} rows of one second, pages of {size}");
        let requests = requests.load(Ordering::SeqCst);
        assert!(requests < 200, "{requests} requests");
    }
}

#[tokio::test]
async fn a_list_without_the_value_that_it_is_read_by_is_an_error_or_a_warning() {
    let mock = MockApi::start();
    list(&mock, Paging::page_number("page").size(10)).extend((1..=30).map(|id| ticket(id, 1)));
    let mistyped = by_version(Paginate::page("page")).version("/updated");
    let error = connect(api(&mock).stream(mistyped)).await.read("tickets", None).await.unwrap_err();
    assert!(error.message().contains("no record of the first page") && error.message().contains("/updated"), "{error}");
    assert!(error.help().unwrap().contains("`version`"), "{error:?}");
}

#[tokio::test]
async fn rule_11_a_tie_that_fills_pages_is_read_until_nothing_is_new() {
    let mock = MockApi::start();
    let tickets = list(&mock, Paging::page_number("page").size(10));
    tickets.extend((1..=5).map(|id| ticket(id, 1)));
    tickets.extend((6..=60).map(|id| ticket(id, 2)));
    tickets.extend((61..=65).map(|id| ticket(id, 3)));
    // While the tie is read, rows leave it, so that those behind them move to pages that were read already.
    moving(&mock, &tickets, 30);
    let source = connect(api(&mock).stream(by_version(Paginate::page("page")))).await;
    let batches = source.read("tickets", None).await.unwrap();
    let read = rows(&batches);
    for ticket in tickets.records() {
        assert_eq!(read.get(&ticket["id"].to_string()), Some(&Some(ticket)));
    }
    // What was stored at any moment is below what a later read asks for.
    let next = source.read("tickets", last_checkpoint(&batches)).await.unwrap();
    assert!(rows(&next).len() <= 10, "the mark is the newest version: {}", rows(&next).len());
}

#[tokio::test]
async fn rule_11_a_list_that_grows_while_it_is_read_ends_at_the_start_of_the_read() {
    for (paging, paginate, records) in [
        (Paging::page_number("page"), Paginate::page("page"), ""),
        (Paging::cursor("cursor", "/next"), Paginate::token("/next", "cursor"), "/data"),
    ] {
        let mock = MockApi::start();
        let tickets = list(&mock, paging.size(2));
        tickets.extend((1..=6).map(|id| ticket(id, i64::try_from(id).unwrap())));
        let (list, next) = (tickets.clone(), AtomicI64::new(1));
        let now = snowfeed::jiff::Timestamp::now().as_second();
        // Each request brings more rows than a page has, all of them changed after the start.
        mock.fault(
            "/tickets",
            Fault::change(move || {
                for _ in 0..3 {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let changed = snowfeed::jiff::Timestamp::from_second(now + 3_600 + n).unwrap().to_string();
                    list.insert(json!({"id": 100 + n, "updated_at": changed}));
                }
            })
            .always(),
        );
        let source = connect(api(&mock).stream(by_version(paginate).records(records))).await;
        let batches = source.read("tickets", None).await.unwrap();
        assert!((1..=6).all(|id| rows(&batches).contains_key(&id.to_string())));
        assert!(mock.count("/tickets") < 20, "{}", mock.count("/tickets"));
    }
}

#[tokio::test]
async fn a_read_that_ends_between_two_pages_resumes_at_the_last_version() {
    let mock = MockApi::start();
    let tickets = list(&mock, Paging::cursor("cursor", "/next").size(5));
    tickets.extend((1..=20).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let source = connect(api(&mock).stream(by_version(Paginate::token("/next", "cursor")).records("/data"))).await;
    let batches = source.read("tickets", None).await.unwrap();
    let second = batches[1].checkpoint.clone();
    let rest = source.read("tickets", second).await.unwrap();
    assert_eq!(keys(&rest)[0], "9", "from the second before the tenth ticket");
    assert_eq!(keys(&rest).len(), 12);
}

#[tokio::test]
async fn an_expired_token_begins_the_list_again_at_the_last_version() {
    let mock = MockApi::start();
    let tickets = list(&mock, Paging::cursor("cursor", "/next").size(5));
    tickets.extend((1..=20).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let list = tickets.clone();
    mock.fault("/tickets", Fault::change(move || list.expire_cursors()).after(2));
    let stream = by_version(Paginate::token("/next", "cursor")).records("/data").on_error(400, Action::Restart);
    let batches = connect(api(&mock).stream(stream)).await.read("tickets", None).await.unwrap();
    assert_eq!(rows(&batches).len(), 20);
    let again = &mock.requests()[3];
    assert_eq!((again.query("cursor"), again.query("since")), (None, Some(at(10).as_str())));
}

#[tokio::test]
async fn a_keyset_is_read_under_a_fixed_since() {
    let mock = MockApi::start();
    let bodies = record_bodies(&mock, "/search", |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let after: u64 = body["after"].as_str().map_or(0, |text| text.parse().unwrap());
        let ids = (after + 1..=25).take(10).map(|id| json!({"id": id.to_string(), "updated": at(7)}));
        MockResponse::json(&json!({"results": ids.collect::<Vec<_>>()}))
    });
    let stream = Stream::new("contacts", "/search")
        .body(json!({"after": "0", "since": "{since}"}))
        .records("/results")
        .version("/updated")
        .since(Since::new().format(TimeFormat::EpochMs))
        .order(Order::Key)
        .paginate(Paginate::last("/id", "/after"));
    let source = connect(api(&mock).stream(stream)).await;
    let batches = source.read("contacts", None).await.unwrap();
    assert_eq!(keys(&batches).len(), 25);
    assert_eq!(
        bodies.json(),
        [json!({"after": "0"}), json!({"after": "10"}), json!({"after": "20"}), json!({"after": "25"})]
    );
}

/// Serves the tickets between `since` and `until`, at most 10 of them at once, and refuses a span of more than 10 seconds.
fn windowed(mock: &MockApi, tickets: Vec<i64>) {
    mock.route("/tickets", move |request| {
        let second = |name| request.query(name).map(|text| text.parse::<i64>().unwrap());
        let (since, until) = (second("since").unwrap(), second("until").unwrap());
        let page = tickets.iter().enumerate().filter(|(_, at)| (since..=until).contains(*at)).take(10);
        let mut page: Vec<Value> = page.map(|(id, at)| json!({"id": id, "created": at})).collect();
        page.sort_by_key(|ticket| std::cmp::Reverse(ticket["created"].as_i64()));
        MockResponse::json(&json!(page))
    });
}

fn in_windows() -> Stream {
    let now = snowfeed::jiff::Timestamp::now().as_second();
    let start = snowfeed::jiff::Timestamp::from_second(now - 3_600).unwrap().to_string();
    let since = Since::new().at("/created").format(TimeFormat::Epoch).start(start).window(Span::seconds(600));
    Stream::new("tickets", "/tickets?since={since}&until={until}").since(since).order(Order::Key)
}

#[tokio::test]
async fn windows_are_closed_and_follow_each_other_to_the_start_of_the_read() {
    let mock = MockApi::start();
    let now = snowfeed::jiff::Timestamp::now().as_second();
    windowed(&mock, (0..20).map(|n| now - 3_500 + n * 170).collect());
    let source = connect(api(&mock).stream(in_windows())).await;
    let batches = source.read("tickets", None).await.unwrap();
    assert_eq!(rows(&batches).len(), 20);
    let spans: Vec<(i64, i64)> = mock
        .requests()
        .iter()
        .map(|request| {
            (request.query("since").unwrap().parse().unwrap(), request.query("until").unwrap().parse().unwrap())
        })
        .collect();
    assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0), "{spans:?}");
    assert!(spans.iter().all(|(since, until)| until - since <= 600), "{spans:?}");
    assert!((-1..5).contains(&(snowfeed::jiff::Timestamp::now().as_second() - spans.last().unwrap().1)), "{spans:?}");
    // A read that has ended after the second window goes on with the third.
    let middle = batches.iter().filter_map(|batch| batch.checkpoint.clone()).nth(1);
    source.read("tickets", middle).await.unwrap();
    let resumed: i64 = mock.requests()[spans.len()].query("since").unwrap().parse().unwrap();
    assert_eq!(resumed, spans[2].0);
}

/// The end of a question that is a date is its midnight: today's records are before tomorrow's.
#[tokio::test]
async fn a_question_until_a_date_has_the_records_of_today() {
    let mock = MockApi::start();
    let today = snowfeed::jiff::Timestamp::now();
    mock.route("/tickets", move |request| {
        let is_asked = request.query("until").unwrap() > today.to_string().as_str();
        MockResponse::json(&if is_asked { json!([{"id": 1, "created": today.to_string()}]) } else { json!([]) })
    });
    let start = (today - snowfeed::jiff::SignedDuration::from_hours(48)).to_string();
    let since = Since::new().at("/created").format(TimeFormat::Date).start(start).window(Span::seconds(86_400 * 30));
    let stream = Stream::new("tickets", "/tickets?since={since}&until={until}").since(since).order(Order::Key);
    let source = connect(api(&mock).stream(stream.paginate(Paginate::none()))).await;
    assert_eq!(rows(&source.read("tickets", None).await.unwrap()).len(), 1);
}

#[tokio::test]
async fn a_window_with_as_many_results_as_allowed_is_halved() {
    let mock = MockApi::start();
    let now = snowfeed::jiff::Timestamp::now().as_second();
    windowed(&mock, (0..40).map(|n| now - 3_000 + n).collect());
    let source = connect(api(&mock).stream(in_windows().cap(10))).await;
    assert_eq!(rows(&source.read("tickets", None).await.unwrap()).len(), 40);
}

#[tokio::test]
async fn a_busy_time_is_not_asked_for_by_whole_windows_again() {
    for kind in [None, Some(StreamType::Append)] {
        let mock = MockApi::start();
        let now = snowfeed::jiff::Timestamp::now().as_second();
        // Half a window has five results, and a whole one as many as allowed.
        windowed(&mock, (1..=59).map(|n| now - n * 60).collect());
        let mut stream = in_windows().cap(10);
        if let Some(kind) = kind {
            stream = stream.kind(kind).order(Order::KeyDescending);
        }
        let source = connect(api(&mock).stream(stream)).await;
        assert_eq!(rows(&source.read("tickets", None).await.unwrap()).len(), 59);
        assert!((12..=15).contains(&mock.count("/tickets")), "{kind:?}: {}", mock.count("/tickets"));
    }
}

#[tokio::test]
async fn windows_grow_again_after_a_busy_time() {
    let mock = MockApi::start();
    let now = snowfeed::jiff::Timestamp::now().as_second();
    windowed(&mock, (0..40).map(|n| now - 3_590 + n).collect());
    let source = connect(api(&mock).stream(in_windows().cap(10))).await;
    assert_eq!(rows(&source.read("tickets", None).await.unwrap()).len(), 40);
    let requests = mock.requests();
    let spans = requests.iter().rev().take(3).filter(|request| {
        let second = |name| request.query(name).unwrap().parse::<i64>().unwrap();
        second("until") - second("since") == 600
    });
    assert!(spans.count() >= 2, "{requests:?}");
}

#[tokio::test]
async fn more_results_than_allowed_in_one_second_are_an_error() {
    let mock = MockApi::start();
    let now = snowfeed::jiff::Timestamp::now().as_second();
    windowed(&mock, vec![now - 3_000; 40]);
    let error = connect(api(&mock).stream(in_windows().cap(10))).await.error("tickets").await;
    assert!(error.message().contains("`cap` allows 10"), "{error}");
}

#[tokio::test]
async fn a_capped_list_in_version_order_is_asked_for_again_from_the_last_version() {
    let mock = MockApi::start();
    let tickets = list(&mock, Paging::cursor("cursor", "/next").size(5));
    tickets.extend((1..=40).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let source =
        connect(api(&mock).stream(by_version(Paginate::token("/next", "cursor")).records("/data").cap(15))).await;
    assert_eq!(rows(&source.read("tickets", None).await.unwrap()).len(), 40);
    let anchors: Vec<String> = mock
        .requests()
        .iter()
        .filter(|request| request.query("cursor").is_none())
        .filter_map(|request| request.query("since").map(str::to_owned))
        .collect();
    assert_eq!(anchors, [at(15), at(29)]);
}

#[tokio::test]
async fn the_newest_first_are_read_down_to_a_whole_page_below_the_mark() {
    let mock = MockApi::start();
    let tickets = mock.list("/tickets").sort_by_descending("updated_at").paging(Paging::page_number("page").size(5));
    tickets.extend((1..=40).map(|id| ticket(id, i64::try_from(id).unwrap())));
    let stream = Stream::new("tickets", "/tickets").version("/updated_at").order(Order::VersionDescending);
    let source = connect(api(&mock).stream(stream.paginate(Paginate::page("page")))).await;
    let batches = source.read("tickets", None).await.unwrap();
    assert_eq!((rows(&batches).len(), mock.count("/tickets")), (40, 9));
    let checkpoints = batches.iter().filter(|batch| batch.checkpoint.is_some()).count();
    assert_eq!(checkpoints, 1, "it cannot be resumed in the middle");
    source.read("tickets", last_checkpoint(&batches)).await.unwrap();
    assert_eq!(mock.count("/tickets"), 10, "the first page is wholly below the mark");
    source.reconcile("tickets").await.unwrap();
    assert_eq!(mock.count("/tickets"), 19, "a reconcile run reads all");
}

#[tokio::test]
async fn appended_records_with_the_oldest_first_are_an_error() {
    let mock = MockApi::start();
    let entries = mock.list("/entries").paging(Paging::offset("offset").size(2));
    entries.extend([ticket(1, 50), ticket(2, 40), ticket(3, 10), ticket(4, 20)]);
    let stream = Stream::new("entries", "/entries").kind(StreamType::Append).order(Order::KeyDescending);
    let stream = stream.version("/updated_at").paginate(Paginate::offset("offset"));
    let error = connect(api(&mock).stream(stream)).await.error("entries").await;
    let expected = format!("not sorted with the newest first: \"{}\" comes after \"{}\"", at(20), at(10));
    assert!(error.message().contains(&expected), "{error}");
    assert_eq!(mock.count("/entries"), 2, "the first page is in order");
}

#[tokio::test]
async fn a_list_that_is_not_in_the_order_of_its_versions_is_an_error() {
    let mock = MockApi::start();
    let tickets = mock.list("/tickets").since("since", "updated_at");
    tickets.extend([ticket(1, 50), ticket(2, 10)]);
    let error = connect(api(&mock).stream(by_version(Paginate::none()))).await.error("tickets").await;
    let expected = format!("\"{}\" comes after \"{}\"", at(10), at(50));
    assert!(error.message().contains(&expected), "{error}");
}

/// An API may refuse a question with more digits than it writes itself.
#[tokio::test]
async fn questions_have_whole_seconds() {
    let mock = MockApi::start();
    mock.route("/tickets", |_| MockResponse::json(&json!([{"id": 1, "at": "2026-01-01T00:00:00Z"}])));
    let stream = Stream::new("tickets", "/tickets?since={since}&until={until}")
        .version("/at")
        .since(Since::new().window(Span::days(36_500)));
    let source = connect(api(&mock).stream(stream)).await;
    // One that an earlier version has kept.
    let fractional = Checkpoint::new(&json!({"v": 1, "mark": 1_767_225_600_123_456_i64})).unwrap();
    for checkpoint in [None, Some(fractional)] {
        let batches = source.read("tickets", checkpoint).await.unwrap();
        let checkpoint = batches.last().unwrap().checkpoint.clone();
        source.read("tickets", checkpoint).await.unwrap();
    }
    let asked: Vec<String> = mock
        .requests()
        .iter()
        .flat_map(|request| ["since", "until"].map(|name| request.query(name).unwrap_or_default().to_owned()))
        .collect();
    assert!(asked.iter().filter(|time| !time.is_empty()).count() >= 8, "{asked:?}");
    assert!(asked.iter().all(|time| !time.contains('.')), "{asked:?}");
}
