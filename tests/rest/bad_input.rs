//! Answers that are not what the description says.

use serde_json::{Value, json};
use snowfeed::rest::{Action, Order, Paginate, Stream, TimeFormat, Version};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockResponse};
use snowfeed::{Batch, Error};

use crate::support::{api, at, connect, keys};

async fn read(stream: Stream, answer: Value) -> Result<Vec<Batch>, Error> {
    let mock = MockApi::start();
    mock.route("/t", move |_| MockResponse::json(&answer));
    connect(api(&mock).stream(stream)).await.read("t", None).await
}

fn stream() -> Stream {
    Stream::new("t", "/t")
}

#[tokio::test]
async fn a_list_that_is_an_object_names_the_lists_in_it() {
    let error = read(stream(), json!({"total": 2, "items": [{"id": 1}], "a/b": []})).await.unwrap_err();
    assert_eq!(error.help(), Some("write `records = \"/a~1b\"`, or `records = \"/items\"`"));
    assert!(error.message().contains("no list of records at the root"), "{error}");
    for (answer, what) in [
        (json!({"data": {"message": "no"}}), "one object"),
        (json!({"data": "text"}), "neither a list nor an object"),
        (json!({}), "there is nothing"),
        (json!("text"), "there is nothing"),
    ] {
        let error = read(stream().records("/data"), answer).await.unwrap_err();
        assert!(error.message().contains("/data") && error.message().contains(what), "{error}");
        assert!(error.help().is_some(), "{error}");
    }
}

#[tokio::test]
async fn an_object_with_a_key_is_one_record_and_null_is_an_empty_list() {
    assert_eq!(keys(&read(stream().records("/data"), json!({"data": {"id": 7}})).await.unwrap()), ["7"]);
    assert!(read(stream().records("/data"), json!({"data": null})).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_api_may_leave_out_an_empty_list_if_the_description_says_so() {
    let error = read(stream().records("/data"), json!({"cursor": "b"})).await.unwrap_err();
    assert!(error.help().unwrap().ends_with("write `errors = { 200 = \"empty\" }`"), "{error:?}");
    let mock = MockApi::start();
    mock.route("/t", |request| match request.query("cursor") {
        None => MockResponse::json(&json!({"data": [{"id": 1}], "cursor": "b"})),
        // A page may be empty in the middle.
        Some("b") => MockResponse::json(&json!({"cursor": "c"})),
        Some("c") => MockResponse::json(&json!({"data": [{"id": 2}], "cursor": "d"})),
        _ => MockResponse::json(&json!({})),
    });
    let stream = stream().records("/data").paginate(Paginate::token("/cursor", "cursor")).on_error(200, Action::Empty);
    assert_eq!(keys(&connect(api(&mock).stream(stream)).await.read("t", None).await.unwrap()), ["1", "2"]);
}

#[tokio::test]
async fn a_page_of_rejects_fails_the_check() {
    let mock = MockApi::start();
    mock.route("/t", |_| {
        MockResponse::json(&json!([{"id": 1, "at": "/Date(1778763975021+0000)/"}, {"id": 2, "at": "x"}]))
    });
    let error = connect(api(&mock).stream(stream().version("/at"))).await.reader.check().await.unwrap_err();
    assert!(error.message().starts_with("every record on the first page of the stream \"t\" is rejected: "), "{error}");
    assert!(error.help().is_some_and(|help| help.contains("`format`")), "{error:?}");
}

#[tokio::test]
async fn elements_without_a_key_are_rejected_one_by_one() {
    let list = json!([{"id": 1}, {"name": "x"}, {"id": null}, {"id": true}, {"id": {}}, {"id": ""}, 7, null, "x", [], {"id": "2"}]);
    let batches = read(stream(), list.clone()).await.unwrap();
    assert_eq!(keys(&batches), ["1", "2"]);
    let rejects = &batches[0].rejects;
    assert_eq!(rejects.len(), 9);
    assert_eq!((rejects[0].reason.as_str(), &*rejects[0].raw), ("there is no key at /id", r#"{"name":"x"}"#));
    assert_eq!(rejects[2].reason, "the key at /id is neither text nor number");
    let raw: Vec<Value> = rejects.iter().map(|reject| serde_json::from_str(&reject.raw).unwrap()).collect();
    assert_eq!(json!(raw), json!(list.as_array().unwrap()[1..10]));
}

#[tokio::test]
async fn a_key_is_the_same_as_a_number_and_as_a_text() {
    let list = json!([{"id": 7}, {"id": "7"}, {"id": 12_345_678_901_234_567_890_u64}, {"id": "a\"b"}]);
    assert_eq!(keys(&read(stream(), list).await.unwrap()), ["7", "7", "12345678901234567890", "a\"b"]);
}

#[tokio::test]
async fn a_malformed_version_is_rejected_and_a_missing_one_is_the_lowest() {
    let list = json!([{"id": 1, "v": "yesterday"}, {"id": 2}, {"id": 3, "v": null}, {"id": 4, "v": {}}, {"id": 5, "v": at(1)}]);
    let batches = read(stream().version("/v"), list).await.unwrap();
    let versions: Vec<i64> = batches[0].records.iter().map(|record| record.version.0).collect();
    assert_eq!(keys(&batches), ["2", "3", "5"]);
    assert_eq!(versions, [0, 0, 1_767_225_601_000_000]);
    let reasons: Vec<&str> = batches[0].rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["the value \"yesterday\" at /v is not a time in RFC 3339", "the value at /v is not a time in RFC 3339"]
    );
    let number = stream().version(Version::at("/v").format(TimeFormat::Number));
    assert_eq!(keys(&read(number, json!([{"id": 1, "v": 1.5}, {"id": 2, "v": "9"}])).await.unwrap()), ["2"]);
}

#[tokio::test]
async fn a_version_that_falls_in_a_sorted_list_is_an_error() {
    let sorted = stream().version("/v").cursor("since").order(Order::Version);
    let error = read(sorted, json!([{"id": 1, "v": at(90)}, {"id": 2, "v": at(10)}])).await.unwrap_err();
    assert!(error.message().contains("not sorted by its version"), "{error}");
    assert!(error.help().unwrap().contains("order = \"version\""), "{:?}", error.help());
}

async fn endless(
    paginate: Paginate,
    answer: impl Fn(Option<&str>) -> Value + Send + Sync + 'static,
) -> (MockApi, Error) {
    let mock = MockApi::start();
    let url = mock.url().to_owned();
    mock.route("/t", move |request| {
        let mut page = answer(request.query("p"));
        if page["next"] == "URL" {
            page["next"] = format!("{url}/t?p=again").into();
        }
        MockResponse::json(&page)
    });
    let error = connect(api(&mock).stream(stream().records("/data").paginate(paginate))).await.error("t").await;
    assert!(error.message().starts_with("the list does not end"), "{error}");
    assert!(error.help().is_some(), "{error}");
    (mock, error)
}

#[tokio::test]
async fn a_list_without_an_end_is_noticed() {
    let (mock, _) = endless(Paginate::token("/next", "p"), |_| json!({"data": [{"id": 1}], "next": "same"})).await;
    assert_eq!(mock.requests().len(), 2);
    let alternating = |token: Option<&str>| {
        let next = if token == Some("a") { "b" } else { "a" };
        json!({"data": [{"id": next}], "next": next})
    };
    let (mock, _) = endless(Paginate::token("/next", "p"), alternating).await;
    assert_eq!(mock.requests().len(), 3);
    let (mock, _) = endless(Paginate::next("/next"), |_| json!({"data": [{"id": 1}], "next": "URL"})).await;
    assert_eq!(mock.requests().len(), 2);
    // Insertions may move all rows of a page to the next one, but not again and again.
    for (paginate, requests) in [(Paginate::page("p"), 4), (Paginate::offset("p"), 4), (Paginate::last("/id", "p"), 2)]
    {
        let (mock, _) = endless(paginate, |_| json!({"data": [{"id": 1}, {"id": 2}]})).await;
        assert_eq!(mock.requests().len(), requests, "the server ignores the parameter");
    }
    let growing = |token: Option<&str>| {
        let number = token.map_or(0, |token| token.parse::<u64>().unwrap()) + 1;
        json!({"data": [], "next": number})
    };
    let (mock, _) = endless(Paginate::token("/next", "p"), growing).await;
    assert_eq!(mock.requests().len(), 1_000);
}

#[tokio::test]
async fn more_pages_without_a_way_to_them_are_an_error() {
    let paginate = Paginate::token("/next", "p").more("/more");
    let error = read(stream().records("/data").paginate(paginate), json!({"data": [{"id": 1}], "more": true}))
        .await
        .unwrap_err();
    assert!(error.message().contains("more pages, and not where"), "{error}");
    let error =
        read(stream().records("/data").paginate(Paginate::token("/next", "p")), json!({"data": [], "next": {"a": 1}}));
    assert!(error.await.unwrap_err().message().contains("neither text nor number"));
    let error = read(stream().paginate(Paginate::last("/x", "p")), json!([{"id": 1}])).await.unwrap_err();
    assert!(error.message().contains("no record of the page has a value at /x"), "{error}");
}

#[tokio::test]
async fn what_is_not_json_is_asked_for_again_and_then_an_error() {
    let mock = MockApi::start();
    mock.list("/t").insert(json!({"id": 1}));
    mock.fault("/t", Fault::truncate());
    mock.fault("/t", Fault::response(MockResponse::new(200).with_body("[{\"id\":1},")));
    let source = connect(api(&mock).stream(stream())).await;
    assert_eq!(keys(&source.read("t", None).await.unwrap()), ["1"]);
    mock.fault("/t", Fault::response(MockResponse::new(200).with_body("<html>Sign in</html>")).always());
    assert!(source.error("t").await.message().contains("web page"));
}

#[tokio::test]
async fn a_parent_without_the_field_is_an_error_that_names_it() {
    let mock = MockApi::start();
    mock.list("/t").insert(json!({"id": 1}));
    let child = Stream::new("c", "/t/{parent.number}/c").parent("t");
    let source = connect(api(&mock).stream(stream()).stream(child)).await;
    let mut parent = snowfeed::Parent::new(snowfeed::RowPath::ROOT.child("1"));
    parent.fields = vec![Value::Null];
    let error = crate::support::drain(&*source.reader, source.request("c").parent(parent)).await.unwrap_err();
    assert!(error.message().contains("no value at \"number\""), "{error}");
}

#[tokio::test]
async fn a_token_that_a_post_sends_in_the_query_may_belong_into_the_body() {
    let mock = MockApi::start();
    mock.route("/search", |_| MockResponse::json(&json!({"data": [{"id": 1}], "cursor": "a"})));
    let stream = Stream::new("t", "/search").records("/data").body(json!({"limit": 1}));
    let error =
        connect(api(&mock).stream(stream.paginate(Paginate::token("/cursor", "cursor")))).await.error("t").await;
    assert!(error.message().starts_with("the list does not end"), "{error}");
    let expected = "correct `paginate`: the server does not move on; it is asked with the parameter \"cursor\": write \
                    `\"/cursor\"` for a place in the body";
    assert_eq!(error.help(), Some(expected));
}
