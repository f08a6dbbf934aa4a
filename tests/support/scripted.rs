//! A scripted Snowflake: a server on loopback whose responses the test defines.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use snowfeed::RetryConfig;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The secrets that must not appear in any output.
pub(crate) const PASSWORD: &str = "hunter2-password";
pub(crate) const SESSION_TOKEN: &str = "hunter2-session-token";
pub(crate) const MASTER_TOKEN: &str = "hunter2-master-token";

/// A connection to a server on this machine.
pub(crate) fn connection(port: u16) -> ConnectionConfig {
    ConnectionConfig::new("TESTORG-ACCOUNT", "TESTER", Credentials::Password(PASSWORD.into()))
        .protocol(Protocol::Http)
        .host("127.0.0.1")
        .port(port)
}

/// Retries for tests: four attempts with very short pauses.
pub(crate) fn fast_retries() -> RetryConfig {
    let pause = Duration::from_millis(1);
    RetryConfig { max_attempts: 4, first_delay: pause, max_delay: pause, ..HttpClient::DEFAULT_RETRY }
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
}

impl ReceivedRequest {
    pub(crate) fn sql(&self) -> &str {
        self.body["sqlText"].as_str().unwrap_or_default()
    }

    pub(crate) fn request_id(&self) -> &str {
        &self.query["requestId"]
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Respond with status, headers, body.
    Respond(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Announce more bytes than are sent, and close the connection.
    BreakOff(Vec<u8>),
    /// Close the connection without a response.
    Reset,
    /// Send the body in two parts with silence in between.
    Slowly(Vec<u8>, Duration),
    /// Send nothing.
    Hang,
}

impl Reply {
    pub(crate) fn json(body: Value) -> Self {
        Self::status(200, &body.to_string())
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Respond(status, vec![("content-type", "application/json".to_owned())], body.as_bytes().to_vec())
    }

    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Self {
        Self::Respond(status, vec![("content-type", kind.to_owned())], body.as_bytes().to_vec())
    }

    /// An error from Snowflake.
    pub(crate) fn error(code: &str, state: &str, message: &str) -> Self {
        Self::json(json!({
            "data": { "errorCode": code, "sqlState": state, "queryId": "the-query" },
            "code": code, "message": message, "success": false, "headers": null
        }))
    }

    /// The error of an expired session.
    pub(crate) fn expired(code: &str) -> Self {
        Self::status(401, &json!({"data": null, "code": code, "message": "expired", "success": false}).to_string())
    }

    /// A result with these rows.
    pub(crate) fn rows(rows: Value) -> Self {
        Self::json(json!({ "data": result(rows), "code": null, "message": null, "success": true }))
    }

    /// The response while a statement is still running.
    pub(crate) fn running(code: &str) -> Self {
        let data = json!({ "getResultUrl": "/queries/the-query/result", "queryId": "the-query" });
        Self::json(json!({ "data": data, "code": code, "message": "running", "success": true }))
    }
}

/// The data of a result with one column.
pub(crate) fn result(rows: Value) -> Value {
    json!({
        "queryId": "the-query", "queryResultFormat": "json", "total": rows.as_array().unwrap().len(),
        "rowtype": [{ "name": "V", "type": "text", "nullable": true, "scale": null }], "rowset": rows
    })
}

/// Makes the response from the request.
type Handler = Arc<dyn Fn(&ReceivedRequest) -> Reply + Send + Sync>;

#[derive(Default)]
struct Script {
    /// The responses, by path. The last one is repeated.
    replies: HashMap<String, VecDeque<Reply>>,
    /// Takes precedence over it.
    handlers: HashMap<String, Handler>,
    request: Vec<ReceivedRequest>,
}

/// See the module.
pub(crate) struct ScriptedServer {
    pub(crate) port: u16,
    script: Arc<Mutex<Script>>,
    seen: watch::Receiver<usize>,
}

pub(crate) const LOGIN: &str = "/session/v1/login-request";
pub(crate) const RENEW: &str = "/session/token-request";
pub(crate) const QUERY: &str = "/queries/v1/query-request";
pub(crate) const ABORT: &str = "/queries/v1/abort-request";
pub(crate) const RESULT: &str = "/queries/the-query/result";
pub(crate) const CLOSE: &str = "/session";

impl ScriptedServer {
    /// A server that accepts every login, and answers every statement with no rows.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script::default()));
        let (notify, seen) = watch::channel(0);
        let notify = Arc::new(notify);
        let served = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served), Arc::clone(&notify)));
            }
        });
        let server = Self { port, script, seen };
        let tokens = json!({
            "token": SESSION_TOKEN, "masterToken": MASTER_TOKEN, "validityInSeconds": 3600, "sessionId": 1,
            "parameters": [{ "name": "TIMEZONE", "value": "UTC" }]
        });
        server.on(LOGIN, [Reply::json(json!({ "data": tokens, "code": null, "message": null, "success": true }))]);
        server.on(QUERY, [Reply::rows(json!([]))]);
        server.on(ABORT, [Reply::json(json!({ "data": null, "success": true }))]);
        server.on(CLOSE, [Reply::json(json!({ "data": null, "success": true }))]);
        server
    }

    /// Responds to requests for a path with these in turn, then repeats the last one.
    pub(crate) fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.insert(path.to_owned(), replies.into_iter().collect());
    }

    /// Responds to each request for a path with a response made from it.
    pub(crate) fn on_request(&self, path: &str, answer: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) {
        self.script.lock().unwrap().handlers.insert(path.to_owned(), Arc::new(answer));
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::with_retry(connection(self.port), fast_retries()).unwrap()
    }

    /// The requests for a path so far.
    pub(crate) fn requests(&self, path: &str) -> Vec<ReceivedRequest> {
        let script = self.script.lock().unwrap();
        script.request.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.script.lock().unwrap().request.iter().map(|request| request.path.clone()).collect()
    }

    /// Waits for the next request for a path, or returns the one that has already arrived.
    pub(crate) async fn wait_for(&self, path: &str) -> ReceivedRequest {
        let mut seen = self.seen.clone();
        let came = async {
            loop {
                if let Some(request) = self.requests(path).pop() {
                    return request;
                }
                seen.changed().await.unwrap();
            }
        };
        let longest = Duration::from_secs(600);
        tokio::time::timeout(longest, came)
            .await
            .unwrap_or_else(|_| panic!("no request for {path} arrived: {:?}", self.paths()))
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, notify: Arc<watch::Sender<usize>>) {
    // A head and a body are two packets: the second one must not wait until the first one is acknowledged.
    stream.set_nodelay(true).unwrap();
    while let Some(request) = read(&mut stream).await {
        let reply = {
            let mut script = script.lock().unwrap();
            script.request.push(request.clone());
            let handler = script.handlers.get(&request.path).cloned();
            match script.replies.get_mut(&request.path) {
                _ if handler.is_some() => handler.unwrap()(&request),
                Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
                Some(replies) => replies.front().cloned().unwrap_or(Reply::Hang),
                None => Reply::status(404, ""),
            }
        };
        notify.send_modify(|count| *count += 1);
        if !reply.send(&mut stream).await {
            return;
        }
    }
}

impl Reply {
    /// Whether the connection stays open.
    async fn send(self, stream: &mut TcpStream) -> bool {
        match self {
            Self::Respond(status, headers, body) => {
                let _ = stream.write_all(head(status, &headers, body.len()).as_bytes()).await;
                stream.write_all(&body).await.is_ok()
            }
            Self::BreakOff(body) => {
                let _ = stream.write_all(head(200, &[], body.len() + 10).as_bytes()).await;
                let _ = stream.write_all(&body).await;
                let _ = stream.shutdown().await;
                false
            }
            Self::Reset => false,
            Self::Slowly(body, silence) => {
                let _ = stream.write_all(head(200, &[], body.len()).as_bytes()).await;
                let (first, second) = body.split_at(body.len() / 2);
                let _ = stream.write_all(first).await;
                tokio::time::sleep(silence).await;
                stream.write_all(second).await.is_ok()
            }
            Self::Hang => {
                // Until the client has disconnected.
                let _ = stream.read_u8().await;
                false
            }
        }
    }
}

fn head(status: u16, headers: &[(&'static str, String)], length: usize) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n")
}

async fn read(stream: &mut TcpStream) -> Option<ReceivedRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let method = words.next()?.to_owned();
    let target = url::Url::parse("http://loopback").unwrap().join(words.next()?).unwrap();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    Some(ReceivedRequest {
        method,
        path: target.path().to_owned(),
        query: target.query_pairs().into_owned().collect(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
