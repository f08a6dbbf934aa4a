//! Secrets that a push must not reveal.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;
use snowfeed::native_app::image::{Credentials, Push};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use wiremock::matchers::{header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::ImageFolder;

/// Records all log events.
#[derive(Clone, Default)]
pub(crate) struct CapturedLog(Arc<Mutex<String>>);

impl CapturedLog {
    /// The records so far.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Visit for CapturedLog {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0.lock().unwrap(), " {field}={value:?}");
    }
}

impl Subscriber for CapturedLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let _ = write!(self.0.lock().unwrap(), "\n{}", event.metadata().target());
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A registry that exchanges the password for a token, as Snowflake's does, and then fails.
async fn token_exchange() -> MockServer {
    let server = MockServer::start().await;
    let challenge = format!("Bearer realm=\"{}/token\",service=\"registry\"", server.uri());
    let asks = ResponseTemplate::new(401).insert_header("www-authenticate", challenge);
    Mock::given(method("GET")).and(path("/v2/")).respond_with(asks).mount(&server).await;
    let token = ResponseTemplate::new(200).set_body_json(json!({"token": "hunter2-token"}));
    let wanted = Mock::given(method("GET")).and(path("/token")).and(header_exists("authorization"));
    wanted.respond_with(token).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    server
}

#[tokio::test]
async fn no_secret_of_a_push_is_ever_printed() {
    let (images, server, captured) = (ImageFolder::new(), token_exchange().await, CapturedLog::default());
    let image = images.image();
    let push = Push::new(&image, &format!("{}/db/schema/images/widgets", server.uri()), "1").unwrap();
    let push = push.credentials(Credentials::new("ROBOT", "hunter2-password".into()));
    let printed = format!("{push:?}");
    let error = push.run().with_subscriber(captured.clone()).await.unwrap_err();

    let requests = server.received_requests().await.unwrap();
    let authorized = requests.iter().filter_map(|request| request.headers.get("authorization"));
    assert!(authorized.clone().any(|value| value.to_str().unwrap().starts_with("Basic ")), "the password was used");
    assert!(authorized.clone().any(|value| value == "Bearer hunter2-token"), "the token was used");
    let log = captured.text();
    assert!(log.contains("retrying"), "nothing was recorded: {log}");
    for text in [log, printed, format!("{error:?}{error}"), format!("{:?}", error.report())] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
