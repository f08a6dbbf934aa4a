//! Entity tags and modification dates: what the client keeps from a response, and sends back.

use snowfeed::Monitor;
use wiremock::matchers::{header_exists, method};
use wiremock::{Mock, MockServer};

use crate::support::{client, json as ok, status};

/// A tag of this many bytes.
fn tag(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test]
async fn an_oversized_validator_is_not_kept() {
    for (bytes, kept) in [(3, true), (1_024, true), (1_025, false), (100_000, false)] {
        let server = MockServer::start().await;
        let answer = ok("[1]").insert_header("etag", tag(bytes)).insert_header("last-modified", tag(bytes));
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let client = client(&server.uri()).build().unwrap();
        let response = client.get("x").send(&Monitor::detached()).await.unwrap();
        assert_eq!(response.etag().is_some(), kept, "{bytes}");
        assert_eq!(response.header("last-modified").is_some(), kept, "{bytes}");
        client.get("x").if_none_match(&tag(bytes)).send(&Monitor::detached()).await.unwrap();
        let requests = server.received_requests().await.unwrap();
        assert_eq!(requests[1].headers.contains_key("if-none-match"), kept, "{bytes}");
    }
}

#[tokio::test]
async fn a_tag_that_cannot_be_sent_is_left_out() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ok("[1]")).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let response = client.get("x").if_none_match("a\r\nb: c").send(&Monitor::detached()).await.unwrap();
    assert_eq!(response.body(), "[1]");
    assert!(!server.received_requests().await.unwrap()[0].headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn a_tag_that_the_server_rejects_is_omitted_in_the_retry() {
    for refusal in [400, 413, 431] {
        let server = MockServer::start().await;
        let refused = Mock::given(header_exists("if-none-match")).respond_with(status(refusal));
        refused.with_priority(1).mount(&server).await;
        Mock::given(method("GET")).respond_with(ok("[1]")).mount(&server).await;
        let client = client(&server.uri()).build().unwrap();
        let monitor = Monitor::detached();
        let response = client.get("x").if_none_match("\"x\"").send(&monitor).await.unwrap();
        assert_eq!((response.body().as_ref(), monitor.traffic().requests), ("[1]", 2), "{refusal}");
    }
    // Without a tag there is nothing to leave out.
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(status(400)).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let monitor = Monitor::detached();
    let error = client.get("x").if_none_match("\"x\"").send(&monitor).await.unwrap_err();
    assert_eq!((error.status(), monitor.traffic().requests), (Some(400), 2));
}

#[tokio::test]
async fn an_error_repeats_the_beginning_of_a_header() {
    let server = MockServer::start().await;
    let location = format!("http://elsewhere.invalid/{}", "x".repeat(100_000));
    Mock::given(method("GET")).respond_with(status(302).insert_header("location", location)).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert!(error.to_string().len() < 10_000 && error.to_string().contains("elsewhere.invalid"));
}

#[tokio::test]
async fn an_oversized_link_is_rejected() {
    let server = MockServer::start().await;
    let link = format!("<?page=2&x={}>; rel=\"next\"", "x".repeat(10_000));
    Mock::given(method("GET")).respond_with(ok("[1]").insert_header("link", link)).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let response = client.get("x").send(&Monitor::detached()).await.unwrap();
    assert!(response.next().unwrap_err().to_string().contains("longer"));
}
