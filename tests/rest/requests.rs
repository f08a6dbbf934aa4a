//! What is sent: rule 10, bodies, paths, headers, pace.

use futures::TryStreamExt;
use serde_json::{Value, json};
use snowfeed::rest::{Order, Paginate, Since, Stream};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};
use snowfeed::{ErrorKind, ReadRequest, Resource, Result};

use crate::support::{Connected, api, connect, drain, keys, record_bodies};

async fn read(source: &Connected, resource: &str, stream: &str) -> Result<()> {
    let request = ReadRequest::new(Resource::new(resource).unwrap(), stream);
    drain(&*source.reader, request).await.map(drop)
}

async fn issues(mock: &MockApi, stream: Stream) -> Connected {
    mock.route("*", |_| MockResponse::json(&json!([])));
    let described = api(mock).resource("projects", "/id").stream(Stream::new("projects", "/projects").optional());
    connect(described.stream(stream)).await
}

#[tokio::test]
async fn rule_10_a_value_inside_a_longer_text_is_checked() {
    let mock = MockApi::start();
    let jql = "project='{resource}' order by updated";
    let source = issues(&mock, Stream::new("issues", "/search").query("jql", jql)).await;
    read(&source, "ABC-1", "issues").await.unwrap();
    assert_eq!(mock.requests()[0].query("jql"), Some("project='ABC-1' order by updated"));
    for name in ["A' or 1=1", "a\"b", "a b", "a)", "a\nb"] {
        let error = read(&source, name, "issues").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.message().contains("must not stand for {resource} inside the text"), "{error}");
    }
    assert_eq!(mock.requests().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn rule_10_a_value_of_its_own_is_escaped_and_keeps_its_type() {
    let mock = MockApi::start();
    let source = issues(&mock, Stream::new("issues", "/projects/{resource}/issues?name={resource}")).await;
    read(&source, "a/b ü?#%&'\"", "issues").await.unwrap();
    let request = &mock.requests()[0];
    assert_eq!(request.path(), "/projects/a%2Fb%20%C3%BC%3F%23%25%26%27%22/issues");
    assert_eq!(request.query("name"), Some("a/b ü?#%&'\""));
    for name in [".", ".."] {
        assert!(read(&source, name, "issues").await.is_err(), "{name} would lead to another path");
    }
}

/// Examples in an API's documentation are encoded already.
#[tokio::test]
async fn a_query_in_the_path_is_read_as_in_a_url() {
    let mock = MockApi::start();
    let path = "/t?sort%5B0%5D[field]=Name&q=a%20b c&order=updated_at+asc&share=50%25&at={resource}&half=50%";
    let source = issues(&mock, Stream::new("issues", path)).await;
    read(&source, "a+b%20c", "issues").await.unwrap();
    let request = &mock.requests()[0];
    for (name, value) in [
        ("sort[0][field]", "Name"),
        ("q", "a b c"),
        ("order", "updated_at asc"),
        ("share", "50%"),
        ("at", "a+b%20c"),
        ("half", "50%"),
    ] {
        assert_eq!(request.query(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn rule_10_a_quote_in_graphql_is_refused_and_a_variable_takes_it() {
    let mock = MockApi::start();
    let body = |query: &str| json!({"query": query, "variables": {"name": "{resource}"}});
    let stream = Stream::new("issues", "/graphql").body(body("{ issues(team: \"{resource}\") { id } }"));
    let source = issues(&mock, stream).await;
    assert!(read(&source, "it's", "issues").await.is_err());
    let mock = MockApi::start();
    let stream = Stream::new("issues", "/graphql").body(body("query($name: String) { issues(team: $name) { id } }"));
    let source = issues(&mock, stream).await;
    let bodies = record_bodies(&mock, "/graphql", |_| MockResponse::json(&json!([])));
    read(&source, "it's", "issues").await.unwrap();
    assert_eq!(bodies.json()[0]["variables"]["name"], "it's");
    assert_eq!(mock.requests()[0].method(), "POST");
}

#[tokio::test]
async fn a_post_that_only_asks_is_repeated_after_a_failure() {
    let mock = MockApi::start();
    mock.route("/search", |_| MockResponse::json(&json!({"data": [{"id": 1}]})));
    mock.fault("/search", snowfeed::testkit::mock_api::Fault::disconnect());
    mock.fault("/search", snowfeed::testkit::mock_api::Fault::status(500));
    let source = connect(api(&mock).stream(Stream::new("issues", "/search").body(json!({})).records("/data"))).await;
    assert_eq!(keys(&source.read("issues", None).await.unwrap()), ["1"]);
}

#[tokio::test]
async fn a_token_goes_to_a_place_in_the_body_that_is_made() {
    let mock = MockApi::start();
    mock.route("/graphql", |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let (id, next) = if body["variables"]["after"] == 7 { (2, Value::Null) } else { (1, json!(7)) };
        MockResponse::json(&json!({"data": [{"id": id}], "next": next}))
    });
    let stream = Stream::new("issues", "/graphql").body(json!({"variables": {}})).records("/data");
    let source = connect(api(&mock).stream(stream.paginate(Paginate::token("/next", "/variables/after")))).await;
    assert_eq!(keys(&source.read("issues", None).await.unwrap()), ["1", "2"]);
}

#[tokio::test]
async fn headers_of_the_api_and_of_a_stream_are_sent() {
    let mock = MockApi::start();
    mock.route("/t", |_| MockResponse::json(&json!([])));
    let stream = Stream::new("t", "/t").header("X-Stream", "s").header("Accept", "application/vnd.x+json");
    let source = connect(api(&mock).header("X-Api", "a").stream(stream)).await;
    source.read("t", None).await.unwrap();
    let request = &mock.requests()[0];
    let headers = ["x-api", "x-stream", "accept"].map(|name| request.header(name));
    assert_eq!(headers, [Some("a"), Some("s"), Some("application/vnd.x+json")]);
}

#[tokio::test]
async fn check_and_discover_ask_the_list_of_resources() {
    let mock = MockApi::start();
    mock.list("/projects").extend([json!({"id": "A"}), json!({"id": 7})]);
    let described = api(&mock)
        .resource("projects", "/id")
        .stream(Stream::new("projects", "/projects").optional())
        .stream(Stream::new("issues", "/projects/{resource}/issues").order(Order::Key));
    let source = connect(described).await;
    source.reader.check().await.unwrap();
    let found: Vec<Resource> = source.reader.discover().try_collect().await.unwrap();
    assert_eq!(found.iter().map(Resource::name).collect::<Vec<_>>(), ["A", "7"]);
    assert!(found.iter().all(|resource| resource.title().is_none()));
    mock.fault("*", snowfeed::testkit::mock_api::Fault::status(403).always());
    assert_eq!(source.reader.check().await.unwrap_err().kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn discovered_resources_have_titles() {
    let mock = MockApi::start();
    let listed = [json!({"id": "A", "name": "Apollo"}), json!({"id": "B", "name": 7}), json!({"id": "C", "name": ""})];
    mock.list("/projects").extend(listed.into_iter().chain([json!({"id": "D", "name": null}), json!({"id": "E"})]));
    let described =
        api(&mock).resource("projects", "/id").resource_title("/name").stream(Stream::new("projects", "/projects"));
    let source = connect(described).await;
    let found: Vec<Resource> = source.reader.discover().try_collect().await.unwrap();
    let found: Vec<_> = found.iter().map(|resource| (resource.name(), resource.title())).collect();
    assert_eq!(found, [("A", Some("Apollo")), ("B", Some("7")), ("C", None), ("D", None), ("E", None)]);
}

#[tokio::test]
async fn check_asks_like_a_first_read() {
    let mock = MockApi::start();
    mock.route("/t", |_| MockResponse::json(&json!([])));
    let stream = Stream::new("t", "/t?q=updated>={since}&after={since}").version("/updated_at");
    connect(api(&mock).stream(stream)).await.reader.check().await.unwrap();
    let request = &mock.requests()[0];
    assert_eq!((request.query("q"), request.query("after")), (Some("updated>=1970-01-01T00:00:00Z"), None));

    let mock = MockApi::start();
    mock.route("/t", |_| MockResponse::json(&json!([])));
    let stream = Stream::new("t", "/t").cursor("after").version("/updated_at").since(Since::new().start("2020-01-01"));
    connect(api(&mock).stream(stream)).await.reader.check().await.unwrap();
    assert_eq!(mock.requests()[0].query("after"), Some("2020-01-01T00:00:00Z"));
}

#[tokio::test]
async fn check_finds_what_no_record_has() {
    let mock = MockApi::start();
    mock.list("/t").extend([json!({"id": 1, "updated_at": "2026-01-01T00:00:00Z"}), json!({"id": 2})]);
    mock.list("/t/1/c");
    let stream = || Stream::new("t", "/t").paginate(Paginate::none());
    let since = |at: &str| stream().version("/updated_at").cursor("since").since(Since::new().at(at));
    let child = Stream::new("c", "/t/{parent.number}/c").parent("t");
    for (described, message, help) in [
        (
            api(&mock).stream(stream().version("/updatedAt")),
            "2 of 2 records have no version at /updatedAt",
            "correct `version`",
        ),
        (api(&mock).stream(since("/changed")), "no record has a value at /changed", "correct `since.at`"),
        (
            api(&mock).stream(stream()).stream(child),
            "no record has a value at number, which the stream \"c\" needs",
            "correct it there",
        ),
        (
            api(&mock).resource("t", "/name").stream(stream()),
            "no record has a value at /name, the name of a resource",
            "correct `resource.id`",
        ),
    ] {
        let error = connect(described).await.reader.check().await.unwrap_err();
        assert_eq!((error.message(), error.help()), (&*format!("stream \"t\": {message}"), Some(help)));
    }
    // One record without it may be right.
    connect(api(&mock).stream(stream().version("/updated_at"))).await.reader.check().await.unwrap();
}

#[tokio::test]
async fn a_source_without_a_list_is_discovered_without_a_request() {
    let mock = MockApi::start();
    let source = connect(api(&mock).stream(Stream::new("tickets", "/tickets"))).await;
    let found: Vec<Resource> = source.reader.discover().try_collect().await.unwrap();
    assert_eq!((found[0].name(), found.len(), mock.requests().len()), ("helpdesk", 1, 0));
}
