use std::sync::Arc;

use snowfeed::http::Bearer;
use snowfeed::{ErrorKind, Monitor};
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer};

use crate::support::{answering, client, count, json, status};

#[tokio::test]
async fn a_redirect_of_a_renamed_repository_is_followed_and_reported() {
    for code in [301, 302, 303, 307, 308] {
        let server = MockServer::start().await;
        let moved = status(code).insert_header("location", "../../repositories/7/issues?page=2");
        Mock::given(path("/v3/repos/a/old")).respond_with(moved).mount(&server).await;
        Mock::given(path("/v3/repositories/7/issues"))
            .and(header("authorization", "Bearer t"))
            .respond_with(json("[]").insert_header("link", "<?page=3>; rel=\"next\""))
            .mount(&server)
            .await;
        let client = client(&format!("{}/v3", server.uri()));
        let client = client.authorization(Arc::new(Bearer::new(&"t".into()))).build().unwrap();
        let response = client.get("repos/a/old").send(&Monitor::detached()).await.unwrap();
        assert!(response.redirected());
        assert_eq!(response.url().path(), "/v3/repositories/7/issues");
        let next = response.next().unwrap().unwrap();
        assert_eq!((next.path(), next.query()), ("/v3/repositories/7/issues", Some("page=3")));
    }
}

#[tokio::test]
async fn an_allowed_redirect_status_is_returned() {
    let server = answering([status(301).insert_header("location", "https://elsewhere.example/x")]).await;
    let client = client(&server.uri()).build().unwrap();
    let response = client.get("x").allow_status(&[301]).send(&Monitor::detached()).await.unwrap();
    assert_eq!(response.header("Location"), Some("https://elsewhere.example/x"));
    assert!(!response.redirected());
}

#[tokio::test]
async fn an_allowed_status_after_a_redirect_has_the_final_url() {
    let server = MockServer::start().await;
    let moved = status(301).insert_header("location", "/new");
    Mock::given(path("/old")).respond_with(moved).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let response = client.get("old").allow_status(&[404]).send(&Monitor::detached()).await.unwrap();
    assert_eq!((response.status(), response.redirected(), response.url().path()), (404, true, "/new"));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_named_and_not_followed() {
    let other = answering([json("[]")]).await;
    let server = answering([status(302).insert_header("location", format!("{}/x", other.uri()))]).await;
    let client = client(&server.uri()).authorization(Arc::new(Bearer::new(&"t".into()))).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.message().contains(&other.uri()), "{error}");
    let error = client.get(&format!("{}/x", other.uri())).send(&Monitor::detached()).await.unwrap_err();
    assert!(error.message().contains(&other.uri()), "{error}");
    assert_eq!(count(&other).await, 0);
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn redirect_loops_end() {
    let server = answering([status(301).insert_header("location", "/x")]).await;
    let client = client(&server.uri()).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(count(&server).await, 6);
}

#[tokio::test]
async fn a_redirect_without_a_target_and_one_of_a_post_are_errors() {
    let server = answering([status(301)]).await;
    let client = client(&server.uri()).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let server = answering([status(307).insert_header("location", "/y")]).await;
    let client = crate::support::client(&server.uri()).build().unwrap();
    client.post("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(count(&server).await, 1);
}
