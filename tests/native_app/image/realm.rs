//! Where a registry sends the credentials, and where they really go.

use serde_json::json;
use snowfeed::native_app::image::{Credentials, Push};
use snowfeed::{Error, ErrorKind};
use wiremock::matchers::{any, header, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::ImageFolder;
use super::registry::Registry;

const PATH: &str = "db/schema/images/widgets";

fn asks(challenge: &str) -> ResponseTemplate {
    ResponseTemplate::new(401).insert_header("www-authenticate", challenge)
}

/// Another host: it issues a token to anyone, and accepts everything.
async fn elsewhere() -> MockServer {
    let server = MockServer::start().await;
    let token = ResponseTemplate::new(200).set_body_json(json!({"token": "elsewhere"}));
    Mock::given(any()).respond_with(token).mount(&server).await;
    server
}

/// The address of the same port under another name of this machine.
fn under_another_name(server: &MockServer) -> String {
    server.uri().replace("127.0.0.1", "localhost")
}

async fn pushed_to(server: &MockServer) -> Result<(), Error> {
    let images = ImageFolder::new();
    let image = images.image();
    let push = Push::new(&image, &format!("{}/{PATH}", server.uri()), "1").unwrap();
    push.credentials(Credentials::new("ROBOT", "hunter2".into())).run().await.map(drop)
}

fn given(verb: &str, to: &str) -> wiremock::MockBuilder {
    Mock::given(method(verb)).and(path_regex(to))
}

async fn assert_unasked(other: &MockServer, what: &str) {
    let asked = other.received_requests().await.unwrap();
    assert!(asked.is_empty(), "{what}: {asked:?}");
}

#[tokio::test]
async fn a_realm_on_another_host_gets_no_credentials() {
    let other = elsewhere().await;
    let realms = [
        format!("{}/token", under_another_name(&other)),
        format!("{}/token", other.uri().replace("http://", "http://user:pw@localhost.:").replace(":127.0.0.1", "")),
        "https://elsewhere.invalid/token".to_owned(),
        "//elsewhere.invalid/token".to_owned(),
        "nonsense".to_owned(),
    ];
    for realm in realms {
        for challenge in [
            format!("Bearer realm=\"{realm}\",service=\"registry\""),
            format!("Basic realm=\"registry\", Bearer realm=\"{realm}\""),
        ] {
            let server = MockServer::start().await;
            given("GET", "/v2/$").respond_with(asks(&challenge)).mount(&server).await;
            let error = pushed_to(&server).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{challenge}: {error}");
            assert!(error.help().unwrap().contains("token_host"), "{challenge}: {error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            let sent = server.received_requests().await.unwrap();
            assert!(sent.iter().all(|request| !request.headers.contains_key("authorization")), "{challenge}");
        }
    }
    assert_unasked(&other, "a realm").await;
}

#[tokio::test]
async fn a_redirect_gets_no_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let (server, other) = (MockServer::start().await, elsewhere().await);
        let away = ResponseTemplate::new(status).insert_header("location", format!("{}/token", other.uri()));
        let challenge = format!("Bearer realm=\"{}/token\"", server.uri());
        given("GET", "/v2/$").respond_with(asks(&challenge)).mount(&server).await;
        given("GET", "/token$").respond_with(away.clone()).mount(&server).await;
        assert_eq!(pushed_to(&server).await.unwrap_err().kind(), ErrorKind::Authentication);
        assert_unasked(&other, "a token's redirect").await;

        // Every request of an authenticated push, and the very first one.
        for (verb, to) in [("GET", "/v2/$"), ("HEAD", "/manifests/"), ("POST", "/uploads/"), ("PUT", "/manifests/")] {
            let server = MockServer::start().await;
            given(verb, to).respond_with(away.clone()).with_priority(1).mount(&server).await;
            given("GET", "/v2/$").respond_with(asks("Basic realm=\"x\"")).mount(&server).await;
            given("HEAD", "/manifests/").respond_with(ResponseTemplate::new(404)).mount(&server).await;
            given("HEAD", "/blobs/").respond_with(ResponseTemplate::new(200)).mount(&server).await;
            if verb == "POST" {
                given("HEAD", "/blobs/").respond_with(ResponseTemplate::new(404)).with_priority(1).mount(&server).await;
            }
            assert!(pushed_to(&server).await.is_err(), "{verb} {to}");
            assert_unasked(&other, &format!("{verb} {to}, {status}")).await;
        }
    }
}

#[tokio::test]
async fn no_upload_goes_to_another_host() {
    for challenge in ["Basic realm=\"x\"".to_owned(), String::new()] {
        let (server, other) = (MockServer::start().await, elsewhere().await);
        let challenge =
            if challenge.is_empty() { format!("Bearer realm=\"{}/token\"", server.uri()) } else { challenge };
        let token = ResponseTemplate::new(200).set_body_json(json!({"access_token": "hunter2-token"}));
        given("GET", "/token$").respond_with(token).mount(&server).await;
        given("GET", "/v2/$").respond_with(asks(&challenge)).mount(&server).await;
        given("POST", "/uploads/")
            .respond_with(ResponseTemplate::new(202).insert_header("location", format!("{}/up", other.uri())))
            .mount(&server)
            .await;
        let error = pushed_to(&server).await.unwrap_err();
        assert!(error.message().contains("referred to another or an unencrypted host"), "{error}");
        assert_unasked(&other, &challenge).await;
        // The same at the second opportunity: after the first piece.
        let server = MockServer::start().await;
        given("GET", "/v2/$").respond_with(asks("Basic realm=\"x\"")).mount(&server).await;
        let on = |to: &str| ResponseTemplate::new(202).insert_header("location", to);
        given("POST", "/uploads/").respond_with(on("/up/1")).mount(&server).await;
        given("PATCH", "/up/1").respond_with(on(&format!("{}/up", other.uri()))).mount(&server).await;
        assert!(pushed_to(&server).await.is_err());
        let patched = server.received_requests().await.unwrap();
        assert!(patched.iter().any(|request| request.method.as_str() == "PATCH"), "the upload started");
        assert_unasked(&other, "the second chunk").await;
    }
}

#[tokio::test]
async fn a_token_that_is_invalid_in_a_header_is_rejected() {
    for token in [json!({"token": "a\nb"}), json!({"token": 1}), json!([]), json!({"token": "é\u{7f}"})] {
        let server = MockServer::start().await;
        let challenge = format!("Bearer realm=\"{}/token\"", server.uri());
        given("GET", "/v2/$").respond_with(asks(&challenge)).mount(&server).await;
        given("GET", "/token$").respond_with(ResponseTemplate::new(200).set_body_json(&token)).mount(&server).await;
        assert!(pushed_to(&server).await.is_err(), "{token}");
    }
}

/// Debian's registry behind a token, which is valid for one request only.
#[tokio::test]
async fn an_expired_token_is_replaced_during_a_push() {
    let server = MockServer::start().await;
    let challenge = format!("Bearer realm=\"{}/token\",service=\"registry\"", server.uri());
    given("GET", "/v2/$").respond_with(asks(&challenge)).mount(&server).await;
    for (token, times) in [("first", 1), ("second", 9)] {
        let issued = ResponseTemplate::new(200).set_body_json(json!({"token": token}));
        let mock = given("GET", "/token$").and(header("authorization", "Basic Uk9CT1Q6aHVudGVyMg=="));
        mock.respond_with(issued).up_to_n_times(times).mount(&server).await;
    }
    // The first token is valid for the request for the tag.
    let first = Mock::given(header("authorization", "Bearer first"));
    first
        .and(method("HEAD"))
        .and(path_regex("/manifests/"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let first = Mock::given(header("authorization", "Bearer first"));
    first.respond_with(ResponseTemplate::new(401)).mount(&server).await;
    given("HEAD", "/blobs/").respond_with(ResponseTemplate::new(200)).mount(&server).await;
    given("PUT", "/manifests/").respond_with(ResponseTemplate::new(201)).mount(&server).await;
    let digest = ImageFolder::new().image().digest().to_owned();
    let tag = ResponseTemplate::new(200).insert_header("docker-content-digest", digest.as_str());
    Mock::given(method("HEAD")).and(path(format!("/v2/{PATH}/manifests/1"))).respond_with(tag).mount(&server).await;
    pushed_to(&server).await.unwrap();
}

#[tokio::test]
async fn a_registry_without_chunked_uploads_gets_a_blob_at_once() {
    let server = MockServer::start().await;
    given("GET", "/v2/$").respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let session = ResponseTemplate::new(202).insert_header("location", "/up?state=1");
    given("POST", "/uploads/").respond_with(session).mount(&server).await;
    given("PATCH", "/up").respond_with(ResponseTemplate::new(200)).mount(&server).await;
    given("PUT", "/up").respond_with(ResponseTemplate::new(201)).mount(&server).await;
    let _ = pushed_to(&server).await;
    let sent = server.received_requests().await.unwrap();
    let put = sent.iter().find(|request| request.url.path() == "/up" && request.method.as_str() == "PUT").unwrap();
    assert!(put.body.len() > 100 && put.url.query().unwrap().starts_with("state=1&digest=sha256"), "{put:?}");
}

/// The client connects to the address that names the registry.
#[tokio::test]
async fn another_name_of_the_registry_is_another_host() {
    let Some(registry) = Registry::open() else { return };
    let images = ImageFolder::new();
    let repository = registry.repository("widgets").replace("127.0.0.1", "localhost");
    assert!(Push::new(&images.image(), &repository, "1").unwrap().run().await.unwrap().changed);
}
