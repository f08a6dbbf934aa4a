use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use snowfeed::http::{Authorize, Bearer};
use snowfeed::{Error, ErrorKind, Monitor, Result};
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer};

use crate::support::{answering, client, count, json, status};

/// A token that gets a new number whenever the current one is rejected.
#[derive(Debug, Default)]
struct Numbered(AtomicUsize);

impl Numbered {
    fn current(&self) -> SecretString {
        format!("Bearer {}", self.0.load(Ordering::SeqCst)).into()
    }
}

#[async_trait]
impl Authorize for Numbered {
    async fn header(&self) -> Result<Option<SecretString>> {
        Ok(Some(self.current()))
    }

    async fn on_unauthorized(&self, header: &SecretString) -> bool {
        if header.expose_secret() == self.current().expose_secret() {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        true
    }
}

#[tokio::test]
async fn a_wrong_token_is_an_error_at_once_and_never_anonymous() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer wrong"))
        .respond_with(status(401))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(json("[]")).mount(&server).await;
    let client = client(&server.uri()).authorization(Arc::new(Bearer::new(&" wrong\n".into()))).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?} {error}").contains("wrong"), "{error:?}");
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer 1")).respond_with(json("[]")).with_priority(1).mount(&server).await;
    Mock::given(any()).respond_with(status(401)).mount(&server).await;
    let client = client(&server.uri()).authorization(Arc::new(Numbered::default())).build().unwrap();
    client.get("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(count(&server).await, 2);
    client.post("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(count(&server).await, 3);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_is_an_error() {
    let server = answering([status(401)]).await;
    let client = client(&server.uri()).authorization(Arc::new(Numbered::default())).build().unwrap();
    let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    #[derive(Debug)]
    struct Missing;
    #[async_trait]
    impl Authorize for Missing {
        async fn header(&self) -> Result<Option<SecretString>> {
            Err(Error::configuration("the token file is gone"))
        }
    }
    let server = answering([json("[]")]).await;
    let missing = client(&server.uri()).authorization(Arc::new(Missing)).build().unwrap();
    let error = missing.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.message(), "the token file is gone");
    let broken = client(&server.uri()).authorization(Arc::new(Bearer::new(&"a\nb".into()))).build().unwrap();
    let error = broken.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(count(&server).await, 0);
}

#[tokio::test]
async fn no_error_contains_a_credential_from_a_query() {
    let said = r#"{"message":"bad: /x?access_token=hushhush&page=2"}"#;
    for answer in [
        status(400),
        status(404).set_body_string(said),
        status(500),
        status(302).insert_header("location", "https://elsewhere.example/y?access_token=hushhush&page=2"),
        status(302).insert_header("location", "http://[/?access_token=hushhush&page=2"),
        status(302),
        json("no json").insert_header("x", "y"),
        status(200).set_body_bytes([0xff]),
    ] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let client = client(&server.uri()).retry(snowfeed::RetryConfig { max_attempts: 1, ..Default::default() });
        let request = client.build().unwrap().get("x").query(&[("access_token", "hushhush"), ("page", "2")]);
        assert!(!format!("{request:?}").contains("hush"), "{request:?}");
        let read = |response: snowfeed::http::Response| {
            assert!(!format!("{response:?}").contains("hush"), "{response:?}");
            response.next()?;
            response.json::<Vec<u8>>().map(drop)
        };
        let error = request.send_with(&Monitor::detached(), read).await.unwrap_err();
        let report = serde_json::to_string(&error.report()).unwrap();
        assert!(report.contains("access_token=***&page=2"), "{report}");
        assert!(!format!("{error} {error:?} {report}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn the_header_token_is_redacted_in_any_query() {
    let server = answering([status(400)]).await;
    let bearer = Arc::new(Bearer::new(&"hunter2hunter2".into()));
    let client = client(&server.uri()).authorization(bearer).build().unwrap();
    let error = client.get("x?q=hunter2hunter2").send(&Monitor::detached()).await.unwrap_err();
    assert!(error.to_string().contains("x?q=***"), "{error}");
}
