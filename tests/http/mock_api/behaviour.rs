//! What the server sends, through a real client.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snowfeed::http::{Bearer, Client, Response};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest, MockResponse, Paging};
use snowfeed::{Error, ErrorKind, Monitor};

/// A client that makes one attempt, and waits for no limit.
fn client(api: &MockApi) -> Client {
    Client::builder(api.url()).without_retry().without_rate_limit().build().unwrap()
}

async fn get(api: &MockApi, target: &str) -> Result<Response, Error> {
    client(api).get(target).send(&Monitor::detached()).await
}

async fn body(api: &MockApi, target: &str) -> Value {
    get(api, target).await.unwrap().json().unwrap()
}

/// The ids of the records on a page.
fn ids(records: &Value) -> Vec<i64> {
    records.as_array().unwrap().iter().map(|record| record["id"].as_i64().unwrap()).collect()
}

fn numbered(list: &MockList, ids: impl IntoIterator<Item = i64>) {
    list.extend(ids.into_iter().map(|id| json!({"id": id})));
}

#[tokio::test]
async fn page_numbers_shift_when_a_record_before_the_page_goes() {
    let api = MockApi::start();
    let list = api.list("/t").paging(Paging::page_number("page").size(3).size_parameter("per_page"));
    numbered(&list, 1..=7);
    assert_eq!(ids(&body(&api, "/t").await), [1, 2, 3]);
    assert_eq!(ids(&body(&api, "/t?page=2").await), [4, 5, 6]);
    assert_eq!(ids(&body(&api, "/t?page=3").await), [7]);
    assert_eq!(ids(&body(&api, "/t?page=2&per_page=2").await), [3, 4]);
    assert_eq!(ids(&body(&api, "/t?page=1&per_page=100").await), [1, 2, 3], "a page is no larger than declared");
    list.delete(2);
    assert_eq!(ids(&body(&api, "/t?page=2").await), [5, 6, 7], "4 was skipped");
    list.insert_at(0, json!({"id": 9}));
    assert_eq!(ids(&body(&api, "/t?page=1").await), [9, 1, 3]);
    for wrong in ["/t?page=0", "/t?page=x", "/t?page=1&per_page=-1"] {
        assert_eq!(api.answer(wrong).status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn offsets_and_totals_count_the_filtered_list() {
    let api = MockApi::start();
    let paging = Paging::offset("offset").size(2).size_parameter("limit").total("/meta/total").more("/meta/more");
    let list = api.list("/t").records_at("/items").paging(paging).filter("kind", "kind");
    list.extend((1..=9).map(|id| json!({"id": id, "kind": if id % 2 == 0 { "even" } else { "odd" }})));
    let page = body(&api, "/t?kind=odd&offset=2").await;
    assert_eq!((ids(&page["items"]), &page["meta"]), (vec![5, 7], &json!({"total": 5, "more": true})));
    let last = body(&api, "/t?kind=odd&offset=4").await;
    assert_eq!((ids(&last["items"]), &last["meta"]["more"]), (vec![9], &json!(false)));
    assert_eq!(ids(&body(&api, "/t?kind=odd&offset=4&limit=1").await["items"]), [9]);
    assert!(ids(&body(&api, "/t?offset=99").await["items"]).is_empty());
}

#[tokio::test]
async fn links_keep_the_other_parameters_and_end_with_the_last_page() {
    let api = MockApi::start();
    let list = api.list("/t").paging(Paging::links("page").size(2).size_parameter("n")).filter("q", "q");
    list.extend((1..=3).map(|id| json!({"id": id, "q": "a&b=c"})));
    let first = get(&api, "/t?q=a%26b%3Dc&n=1").await.unwrap();
    assert_eq!(first.last_page().unwrap(), Some(3));
    let second = get(&api, first.next().unwrap().unwrap().as_str()).await.unwrap();
    assert_eq!(ids(&second.json().unwrap()), [2]);
    let third = get(&api, second.next().unwrap().unwrap().as_str()).await.unwrap();
    assert_eq!((ids(&third.json().unwrap()), third.next().unwrap()), (vec![3], None));
    assert!(third.header("link").unwrap().contains("page=2>; rel=\"prev\""));
}

/// Reads all pages from the first on, and changes the list after the first.
async fn walk(api: &MockApi, change: impl FnOnce()) -> Vec<i64> {
    let mut page = body(api, "/t").await;
    let mut found = ids(&page["data"]);
    change();
    while let Some(cursor) = page["next"].as_str() {
        page = body(api, &format!("/t?cursor={cursor}")).await;
        found.extend(ids(&page["data"]));
    }
    found
}

#[tokio::test]
async fn a_cursor_survives_insertions_and_deletions() {
    let paging = || Paging::cursor("cursor", "/next").size(2);
    let api = MockApi::start();
    let list = api.list("/t").paging(paging());
    numbered(&list, 1..=5);
    let change = || {
        // What the cursor names, what is before it, and what follows it.
        list.insert_at(0, json!({"id": 8}));
        for id in [1, 2, 4] {
            assert!(list.delete(id).is_some());
        }
        list.insert(json!({"id": 9}));
    };
    assert_eq!(walk(&api, change).await, [1, 2, 3, 5, 9]);

    for (descending, expected) in [(false, [1, 2, 4, 5, 3]), (true, [5, 4, 2, 1, 0])] {
        let api = MockApi::start();
        let list = api.list("/t").paging(paging());
        let list = if descending { list.sort_by_descending("at") } else { list.sort_by("at") };
        list.extend([3, 1, 5, 2, 4].map(|id| json!({"id": id, "at": id})));
        let found = walk(&api, || {
            list.update(3, json!({"at": 6}));
            list.insert(json!({"id": 0, "at": 0}));
        });
        assert_eq!(found.await, expected, "descending: {descending}");
    }
}

#[tokio::test]
async fn a_cursor_that_has_expired_or_was_made_up_is_refused() {
    let api = MockApi::start();
    let list = api.list("/t").paging(Paging::cursor("cursor", "/next").size(1));
    numbered(&list, 1..=2);
    let next = format!("/t?cursor={}", body(&api, "/t").await["next"].as_str().unwrap());
    assert_eq!(ids(&body(&api, &next).await["data"]), [2]);
    list.expire_cursors();
    for wrong in [next.as_str(), "/t?cursor=Zm9v", "/t?cursor=%E2%98%83"] {
        let error = get(&api, wrong).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::InvalidData, Some(400)), "{wrong}");
    }
}

#[tokio::test]
async fn since_compares_points_in_time_and_numbers_by_value() {
    let api = MockApi::start();
    let times = api.list("/times").since("since", "/meta/at").sort_by("/meta/at");
    times.extend([
        json!({"id": 1, "meta": {"at": "2026-01-01T12:00:00Z"}}),
        json!({"id": 2, "meta": {"at": "2026-01-01T11:30:00+01:00"}}),
        json!({"id": 3, "meta": {"at": null}}),
        json!({"id": 4}),
    ]);
    assert_eq!(ids(&body(&api, "/times?since=2026-01-01T10:30:00Z").await), [2, 1]);
    assert_eq!(ids(&body(&api, "/times?since=2026-01-01T12:00:00%2B00:00").await), [1], "at or after");
    assert_eq!(ids(&body(&api, "/times").await).len(), 4);

    let numbers = api.list("/numbers").since("since", "id").sort_by_descending("id");
    numbered(&numbers, [9, 10, 100]);
    assert_eq!(ids(&body(&api, "/numbers?since=10").await), [100, 10]);
    assert_eq!(api.answer("/numbers?since=yesterday").status(), 400);
}

#[tokio::test]
async fn an_entity_tag_lasts_until_the_page_changes() {
    let api = MockApi::start();
    let list = api.list("/t").paging(Paging::links("page").size(1)).etags().lookup();
    numbered(&list, 1..=1);
    let client = client(&api);
    let again =
        async |target: &str, tag: &str| client.get(target).if_none_match(tag).send(&Monitor::detached()).await.unwrap();
    let tag = get(&api, "/t").await.unwrap().etag().unwrap().to_owned();
    assert!(again("/t", &tag).await.is_not_modified());
    let record = get(&api, "/t/1").await.unwrap().etag().unwrap().to_owned();
    assert!(again("/t/1", &record).await.is_not_modified());
    list.insert(json!({"id": 2}));
    assert!(!again("/t", &tag).await.is_not_modified(), "the page has a link now");
    list.update(1, json!({"x": 1}));
    assert!(!again("/t/1", &record).await.is_not_modified());
    let statuses: Vec<_> = api.requests().iter().map(|request| request.status().unwrap()).collect();
    assert_eq!(statuses, [200, 304, 200, 304, 200, 200]);
}

#[tokio::test]
async fn children_belong_to_a_path_of_parents_with_any_key() {
    let api = MockApi::start();
    let users = api.list("/users").key("login");
    let posts = api.child_list("/users/{user}/posts", &users).lookup();
    let likes = api.child_list("/users/{user}/posts/{post}/likes", &posts);
    users.extend(["a/b", "c d"].map(|login| json!({"login": login})));
    posts.of("a/b").insert(json!({"id": 1}));
    posts.of("c d").insert(json!({"id": 1, "other": true}));
    likes.of("a/b").of(1).insert(json!({"id": 5}));
    assert_eq!(body(&api, "/users/a%2Fb/posts").await, json!([{"id": 1}]));
    assert_eq!(body(&api, "/users/c%20d/posts/1").await, json!({"id": 1, "other": true}));
    assert_eq!(body(&api, "/users/a%2Fb/posts/1/likes").await, json!([{"id": 5}]));
    assert_eq!(
        body(&api, "/users/c%20d/posts/1/likes").await,
        json!([]),
        "a parent without children has an empty list"
    );
    users.delete("a/b");
    for gone in
        ["/users/a%2Fb/posts", "/users/a%2Fb/posts/1", "/users/a%2Fb/posts/1/likes", "/users/c%20d/posts/2/likes"]
    {
        assert_eq!(get(&api, gone).await.unwrap_err().kind(), ErrorKind::NotFound, "{gone}");
    }
}

#[tokio::test]
async fn what_matches_nothing_is_told_which_paths_there_are() {
    let api = MockApi::start();
    let error = get(&api, "/t").await.unwrap_err();
    assert!(error.to_string().contains("no route matches /t: there are none"), "{error}");
    let tickets = api.list("/tickets").lookup();
    api.child_list("/tickets/{ticket}/comments", &tickets);
    let message = "no route matches /t: there are /tickets, /tickets/{id}, /tickets/{ticket}/comments";
    assert_eq!(api.answer("/t").to_json()["message"], message);
    let posted = client(&api).post("/tickets").json(&json!({})).send(&Monitor::detached()).await;
    assert_eq!(posted.unwrap_err().status(), Some(405));
}

#[tokio::test]
async fn a_route_answers_by_its_path_query_and_body() {
    let api = MockApi::start();
    api.route("/echo/{word}", |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        MockResponse::json(&json!([request.method(), request.parameter("word"), request.query("q"), body]))
    });
    let request = client(&api).post("/echo/a%20b").query(&[("q", "1+1=2")]).json(&json!({"x": 1}));
    let answer: Value = request.send(&Monitor::detached()).await.unwrap().json().unwrap();
    assert_eq!(answer, json!(["POST", "a b", "1+1=2", {"x": 1}]));
    api.json("/echo/hello", &json!("literal paths come first"));
    assert_eq!(body(&api, "/echo/hello").await, "literal paths come first");
    api.json("/files/*", &json!("everything below"));
    assert_eq!(body(&api, "/files/a/b").await, "everything below");
}

#[tokio::test]
async fn a_panic_in_a_route_closes_the_connection_at_once() {
    let api = MockApi::start();
    api.route("/t", |request| match request.query("x") {
        Some(x) => MockResponse::json(&json!(x)),
        None => panic!("as the test requested"),
    });
    let answer = tokio::time::timeout(Duration::from_secs(20), get(&api, "/t")).await;
    assert!(answer.expect("the client waits").is_err());
    assert!(get(&api, "/t?x=1").await.is_ok(), "the server still runs");
}

#[tokio::test]
async fn the_log_has_every_request_and_no_credential() {
    let api = MockApi::start();
    api.list("/t");
    api.require_bearer("s3cr3t-token");
    assert_eq!(get(&api, "/t").await.unwrap_err().kind(), ErrorKind::Authentication);
    let bearer = std::sync::Arc::new(Bearer::new(&"s3cr3t-token".to_owned().into()));
    let client = Client::builder(api.url()).header("X-Api-Key", "hunter22").authorization(bearer).build().unwrap();
    client.get("/t?page_token=abc&api_key=hunter22").send(&Monitor::detached()).await.unwrap();
    let requests = api.requests();
    assert_eq!(requests.iter().map(MockRequest::status).collect::<Vec<_>>(), [Some(401), Some(200)]);
    assert_eq!(requests[1].query("page_token"), Some("abc"));
    assert_eq!(requests[1].header("accept"), Some("application/json"));
    assert_eq!(requests[1].header("authorization"), Some("<redacted>"));
    assert_eq!(requests[1].header("x-api-key"), Some("<redacted>"));
    assert!(!format!("{requests:?} {}", requests[1]).contains("hunter22"));
    assert_eq!((api.count("/t"), api.count("/t/{x}"), api.count("*")), (2, 0, 2));
    api.clear_requests();
    assert_eq!(api.count("*"), 0);
}

#[tokio::test]
async fn a_status_lasts_as_long_as_declared_and_only_where_declared() {
    let api = MockApi::start();
    let _ = ["/a", "/b"].map(|path| api.list(path));
    api.fault("/a", Fault::status(503).after(1).times(2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        assert!(get(&api, "/b").await.is_ok());
        statuses.push(get(&api, "/a").await.map_or_else(|error| error.status().unwrap(), |response| response.status()));
    }
    assert_eq!(statuses, [200, 503, 503, 200]);
    api.fault("/{list}", Fault::status(500).every(3).times(2));
    let failed: Vec<u16> = (0..9).map(|_| api.answer("/a").status()).collect();
    assert_eq!(failed, [200, 200, 500, 200, 200, 500, 200, 200, 200]);
    api.fault("*", Fault::status(500).always().when(|request| request.query("page") == Some("2")));
    assert_eq!([api.answer("/a?page=2").status(), api.answer("/a?page=1").status()], [500, 200]);
    api.clear_faults();
    assert_eq!(api.answer("/a?page=2").status(), 200);
}

#[tokio::test]
async fn a_rate_limit_names_the_wait() {
    let api = MockApi::start();
    api.list("/t");
    api.fault("/t", Fault::rate_limit(Duration::from_millis(1_500)));
    let error = get(&api, "/t").await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry(), snowfeed::Retry::After(Duration::from_secs(2)));
    assert!(get(&api, "/t").await.is_ok());
}

#[tokio::test]
async fn a_body_cut_short_and_a_closed_connection_are_faults_of_the_transport() {
    let api = MockApi::start();
    numbered(&api.list("/t"), 1..=9);
    for fault in [Fault::truncate(), Fault::disconnect()] {
        api.fault("/t", fault.clone());
        let error = get(&api, "/t").await.unwrap_err();
        assert_eq!(error.status(), None, "{fault:?}: {error:?}");
        assert_eq!(error.retry(), snowfeed::Retry::Backoff, "{fault:?}: {error:?}");
        assert_eq!(ids(&body(&api, "/t").await).len(), 9, "after {fault:?}");
    }
    let statuses: Vec<_> = api.requests().iter().map(MockRequest::status).collect();
    assert_eq!(statuses, [Some(200), Some(200), None, Some(200)]);
}

#[tokio::test]
async fn a_slow_answer_arrives_late_and_ends_with_the_server() {
    let api = MockApi::start();
    api.list("/t");
    api.fault("/t", Fault::delay(Duration::from_millis(120)));
    let start = Instant::now();
    assert!(get(&api, "/t").await.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(120));
    api.fault("/t", Fault::delay(Duration::from_secs(3_600)));
    let (client, waiting) = (client(&api), api.clone());
    let request = tokio::spawn(async move { client.get("/t").send(&Monitor::detached()).await });
    while waiting.count("/t") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((api, waiting));
    assert!(request.await.unwrap().is_err());
    assert!(start.elapsed() < Duration::from_secs(60), "the server did not stop");
}

#[tokio::test]
async fn a_list_drifts_between_two_requests() {
    let api = MockApi::start();
    let list = api.list("/t").paging(Paging::page_number("page").size(2));
    numbered(&list, 1..=4);
    let changed = list.clone();
    api.fault("/t", Fault::change(move || changed.delete(1)).after(1));
    api.fault("/t", Fault::status(500).after(1));
    assert_eq!(ids(&body(&api, "/t?page=1").await), [1, 2]);
    assert_eq!(get(&api, "/t?page=2").await.unwrap_err().status(), Some(500), "a change lets other faults happen");
    assert_eq!(ids(&body(&api, "/t?page=2").await), [4]);
}

#[tokio::test]
async fn a_server_stops_when_its_last_clone_is_dropped() {
    let api = MockApi::start();
    let list = api.list("/t");
    let client = client(&api);
    let clone = api.clone();
    drop(api);
    assert!(client.get("/t").send(&Monitor::detached()).await.is_ok());
    drop(clone);
    assert!(client.get("/t").send(&Monitor::detached()).await.is_err());
    numbered(&list, 1..=1);
    assert_eq!(list.len(), 1, "a handle outlives the server");
}

#[test]
fn a_server_outlives_the_runtime_that_started_it() {
    let run = |work: &dyn Fn() -> MockApi| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work() })
    };
    let api = run(&MockApi::start);
    api.list("/t");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(get(&api, "/t")).is_ok());
}

#[test]
fn a_declaration_that_makes_no_sense_panics() {
    let panics = |declare: &dyn Fn(&MockApi)| {
        let api = MockApi::start();
        let list = api.list("/t");
        list.insert(json!({"id": 1}));
        let declare = std::panic::AssertUnwindSafe(|| declare(&api));
        let panic = std::panic::catch_unwind(declare).expect_err("it must panic");
        assert_eq!(list.len(), 1, "and leave the list as it was");
        panic.downcast::<String>().map_or_else(|panic| (*panic.downcast::<&str>().unwrap()).to_owned(), |text| *text)
    };
    let child = |api: &MockApi| api.child_list("/u/{u}/t", &api.list("/u"));
    type Declare<'a> = &'a dyn Fn(&MockApi);
    let cases: [(Declare<'_>, &str); 8] = [
        (&|api| drop(api.list("/t")), "already a list at /t"),
        (&|api| drop(api.list("t")), "starts with `/`"),
        (&|api| drop(api.list("/t/{id}/x")), "one parameter for each ancestor"),
        (&|api| drop(api.child_list("/x", &api.list("/u"))), "one parameter for each ancestor"),
        (&|api| child(api).insert(json!({"id": 1})), "name each with `of`"),
        (&|api| drop(child(api).of(1).of(2)), "no further parent"),
        (&|api| api.list("/u").insert(json!({"key": 1})), "needs a text or a number in id"),
        (&|api| api.list("/u").update(1, json!({})), "/u has no record 1"),
    ];
    for (declare, expected) in cases {
        let message = panics(declare);
        assert!(message.contains(expected), "{message:?}, not {expected:?}");
    }
    let api = MockApi::start();
    api.list("/t").records_at("").paging(Paging::cursor("cursor", "/next"));
    assert!(api.answer("/t").to_json()["message"].as_str().unwrap().contains("see records_at"));
}
