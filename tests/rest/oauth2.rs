//! Tokens of an OAuth 2 server.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use snowfeed::rest::{Api, Auth, Stream};
use snowfeed::testkit::mock_api::{Fault, MockApi, MockResponse};
use snowfeed::{ErrorKind, Settings};
use tempfile::TempDir;

use crate::secrets::settings;
use crate::support::{Bodies, Connected, record_bodies, try_connect};

const SECRET: &str = "s3cr3t-of-the-client-0123456789";

/// A description that signs in with the token server of the mock.
fn described(mock: &MockApi, extra: &str) -> Api {
    let toml = format!(
        "name = \"helpdesk\"\nbase_url = \"{url}\"\n[auth.oauth2]\ntoken_url = \"{url}/token\"\nclient_id = \"{{client_id}}\"\n\
         client_secret = \"{{client_secret}}\"\n{extra}\n[[stream]]\nname = \"a\"\npath = \"/a\"\n[[stream]]\nname = \"b\"\npath = \"/b\"\n",
        url = mock.url()
    );
    Api::from_toml(&toml, "helpdesk.toml").unwrap()
}

fn secrets(folder: &TempDir) -> Settings {
    settings(
        folder,
        &[("client_id", "client-0123456789"), ("client_secret", SECRET), ("refresh", "refresh-0123456789")],
    )
}

/// Serves tokens `token-1`, `token-2` …, of which only the newest is accepted.
fn server(expires_in: Value) -> (MockApi, Bodies) {
    let mock = MockApi::start();
    let issued = std::sync::Arc::new(AtomicU64::new(0));
    let count = issued.clone();
    let bodies = record_bodies(&mock, "/token", move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("token-{number}-0123456789abcdef");
        MockResponse::json(&json!({"access_token": token, "token_type": "bearer", "expires_in": expires_in}))
    });
    for path in ["/a", "/b"] {
        let issued = issued.clone();
        mock.route(path, move |request| {
            let expected = format!("Bearer token-{}-0123456789abcdef", issued.load(Ordering::SeqCst));
            if request.header("authorization") == Some(&expected) {
                MockResponse::json(&json!([{"id": 1}]))
            } else {
                MockResponse::new(401)
            }
        });
    }
    (mock, bodies)
}

async fn connected(mock: &MockApi, extra: &str) -> Connected {
    let folder = TempDir::new().unwrap();
    try_connect(described(mock, extra), secrets(&folder)).await.unwrap()
}

#[tokio::test]
async fn concurrent_requests_share_one_token() {
    let (mock, bodies) = server(json!(3_600));
    let source = connected(&mock, "scope = \"read all\"").await;
    let reads = futures::future::join_all((0..8).map(|n| source.read(if n % 2 == 0 { "a" } else { "b" }, None))).await;
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    assert_eq!(mock.count("/token"), 1);
    let request = mock.requests().into_iter().find(|request| request.path() == "/token").unwrap();
    let body = bodies.texts().remove(0);
    assert_eq!((request.method(), request.header("content-type")), ("POST", Some("application/x-www-form-urlencoded")));
    for pair in ["grant_type=client_credentials", "scope=read+all", "client_id=client-0123456789"] {
        assert!(body.contains(pair), "{body}");
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_after_a_401() {
    let (mock, _) = server(json!("0"));
    let source = connected(&mock, "").await;
    for _ in 0..3 {
        source.read("a", None).await.unwrap();
    }
    assert_eq!(mock.count("/token"), 3, "each token has expired by the next request");
    let (mock, _) = server(json!(3_600));
    let source = connected(&mock, "").await;
    source.read("a", None).await.unwrap();
    mock.fault("/a", Fault::status(401));
    source.read("a", None).await.unwrap();
    assert_eq!(mock.count("/token"), 2);
    mock.fault("/a", Fault::status(401).times(2));
    let error = source.error("a").await;
    assert_eq!((error.kind(), mock.count("/token")), (ErrorKind::Authentication, 3), "once for each request");
}

#[tokio::test]
async fn a_refresh_token_is_sent() {
    let (mock, bodies) = server(json!(null));
    let source = connected(&mock, "refresh_token = \"{refresh}\"").await;
    source.read("a", None).await.unwrap();
    let body = bodies.texts().remove(0);
    assert!(body.contains("grant_type=refresh_token&refresh_token=refresh-0123456789"), "{body}");
}

#[tokio::test]
async fn every_wrong_answer_is_an_error_without_the_secret() {
    let json = |status: u16, body: Value| {
        MockResponse::new(status).with_header("Content-Type", "application/json").with_body(body.to_string())
    };
    for (answer, expected) in [
        (
            json(400, json!({"error": "invalid_client", "error_description": format!("bad {SECRET}")})),
            "invalid_client: bad ***",
        ),
        (json(400, json!({"error": "invalid_grant"})), "invalid_grant"),
        (json(401, json!({"error": "unauthorized_client"})), "unauthorized_client"),
        (json(200, json!({"error": "bad_verification_code"})), "bad_verification_code"),
        (json(200, json!({})), "has no `access_token`"),
        (json(200, json!({"access_token": ""})), "has no `access_token`"),
        (json(200, json!({"access_token": 7})), "has no `access_token`"),
        (json(200, json!({"access_token": "a b\n"})), "cannot be sent"),
        (json(200, json!({"access_token": "abc", "token_type": "mac"})), "type \"mac\""),
        (json(200, json!({"access_token": "abc", "expires_in": "soon"})), "`expires_in`"),
        (json(200, json!({"access_token": "abc", "expires_in": -5})), "`expires_in`"),
        (json(200, json!([1])), "is not a JSON object"),
        (json(200, json!("abc")), "is not a JSON object"),
        (json(404, json!({})), "the token server refuses"),
        (MockResponse::new(200).with_body("access_token=abc"), "is not a JSON object"),
        (MockResponse::new(200).with_body("<html>Sign in</html>"), "web page"),
        (MockResponse::new(503), ""),
    ] {
        let mock = MockApi::start();
        mock.fault("/token", Fault::response(answer.clone()).always());
        let error = connected(&mock, "").await.error("a").await;
        let shown = format!("{error:?} {error} {:?} {:?}", error.help(), error.report());
        assert!(error.to_string().contains(expected), "{answer:?}: {error}");
        assert!(!shown.contains(SECRET) && !shown.contains("0123456789"), "{shown}");
        assert!(error.help().is_some(), "{error}");
        assert_eq!(mock.count("/a"), 0, "nothing is sent without a token");
    }
}

#[tokio::test]
async fn secrets_are_not_sent_in_the_clear() {
    let mock = MockApi::start();
    let toml_url = described(&mock, "");
    let Some(Auth::Oauth2(mut oauth2)) = toml_url.auth else { panic!("no OAuth2") };
    oauth2.token_url = "http://id.example.com/token".into();
    let api = Api::new("helpdesk", mock.url()).auth(Auth::Oauth2(oauth2)).stream(Stream::new("a", "/a"));
    let error = try_connect(api, secrets(&TempDir::new().unwrap())).await.err().unwrap();
    assert!(error.help().is_some(), "{error}");
}

#[tokio::test]
async fn a_token_that_is_cut_short_on_its_way_is_asked_for_again() {
    let (mock, _) = server(json!(3600));
    mock.fault("/token", Fault::response(MockResponse::new(200).with_body("{\"access_token\": \"tok")));
    let source = connected(&mock, "").await;
    assert_eq!(source.read("a", None).await.unwrap().len(), 1);
    assert_eq!(mock.count("/token"), 2);
}
