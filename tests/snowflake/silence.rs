//! Values that are never printed, by any code, at any level.

use std::fmt::{self, Write};
use std::sync::{Mutex, Once};

use serde_json::json;
use snowfeed::backends::snowflake::Credentials;
use snowfeed::internals::snowflake::{Client, HttpClient, Statement};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::{LOGIN, QUERY, RENEW, RESULT, Reply, ScriptedServer, connection, fast_retries};

/// Everything that this process has logged since the listener was installed.
static HEARD: Mutex<String> = Mutex::new(String::new());

/// Listens to everything, and records it.
struct Ear;

impl Visit for Ear {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(HEARD.lock().unwrap(), " {field}={value:?}");
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Self);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Self);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let _ = write!(HEARD.lock().unwrap(), "\n{}", event.metadata().target());
        event.record(&mut Self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = write!(HEARD.lock().unwrap(), "\n{} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

fn listen() {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        tracing::subscriber::set_global_default(Ear).unwrap();
        log::set_logger(&Ear).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    listen();
    let mut printed = String::new();
    for credentials in [
        Credentials::Password("hunter2-password".into()),
        Credentials::OAuth("hunter2-oauth".into()),
        Credentials::AccessToken("hunter2-pat".into()),
    ] {
        let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
        let connection = connection(server.port).credentials(credentials);
        let client = HttpClient::with_retry(connection.clone(), fast_retries()).unwrap();
        let _ = write!(printed, "{connection:?} {client:?}");
        let mut session = client.open().await.unwrap();
        let renewed =
            json!({ "data": { "sessionToken": "hunter2-renewed", "masterToken": "hunter2-master" }, "success": true });
        server.on(RENEW, [Reply::json(renewed)]);
        let chunk = |path: &str| {
            let url = format!("http://127.0.0.1:{}{path}?signature=hunter2-signature", storage.port);
            let chunks = json!([{ "url": url, "rowCount": 1 }]);
            let data =
                json!({ "rowset": [], "chunks": chunks, "chunkHeaders": { "x-key": "hunter2-key" }, "queryId": "q" });
            Reply::json(json!({ "data": data, "success": true }))
        };
        storage.on("/good", [Reply::Respond(200, vec![], b"[\"x\"]".to_vec())]);
        storage.on("/bad", [Reply::text(403, "text/xml", "<hunter2-body/>")]);
        let rows = Reply::rows(json!([["hunter2-value"]]));
        let misshapen = Reply::status(200, "{\"data\": \"hunter2-body\", \"success\": true}");
        let late = vec![Reply::expired("390112"), Reply::running("333334")];
        for (acts, late) in [
            (vec![rows.clone()], &rows),
            (late.clone(), &rows),
            (late.clone(), &misshapen),
            (vec![chunk("/good")], &rows),
            (vec![chunk("/bad")], &rows),
            (vec![Reply::status(503, "hunter2-body")], &rows),
            (vec![Reply::status(200, "hunter2-body")], &rows),
            (vec![misshapen.clone()], &rows),
            (vec![Reply::status(200, "{\"data\": \"hunter2-body")], &rows),
            (vec![Reply::text(200, "text/html", "<html>hunter2-body")], &rows),
            (
                vec![Reply::Respond(
                    302,
                    vec![("location", "http://a:hunter2-b@localhost/?hunter2-c".to_owned())],
                    vec![],
                )],
                &rows,
            ),
            (vec![Reply::BreakOff(b"hunter2-body".to_vec())], &rows),
            (vec![Reply::Reset], &rows),
            (vec![Reply::error("002003", "02000", "does not exist")], &rows),
            (vec![Reply::expired("390104")], &rows),
        ] {
            server.on(QUERY, acts);
            server.on(RESULT, [Reply::running("333333"), late.clone()]);
            let statement = Statement::new("MERGE INTO t USING (SELECT ?)").bind("hunter2-bind");
            let ended = session.execute(statement).await;
            if let Err(error) = ended {
                let _ = write!(printed, "{error} {error:?} {:?} {session:?}", error.report());
            }
        }
        let _ = session.close().await;
        server.on(LOGIN, [Reply::error("390100", "08001", "Incorrect username or password was specified.")]);
        let error = client.open().await.unwrap_err();
        let _ = write!(printed, "{error} {error:?} {:?}", error.report());
    }
    let heard = HEARD.lock().unwrap();
    for part in ["snowfeed", "reqwest", "hyper_util", "MERGE INTO t", "request="] {
        assert!(heard.contains(part), "no output of {part} was captured");
    }
    for text in [heard.as_str(), printed.as_str()] {
        let around = text.find("hunter2").map(|at| &text[at.saturating_sub(300)..(at + 30).min(text.len())]);
        assert_eq!(around, None);
    }
}
