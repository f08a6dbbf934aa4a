//! A proxy between a process and the Snowflake server, which logs every statement and can withhold it or its response.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::crash_points::CrashPoint;
use crate::statements::{SentStatement, name};

/// On which side of a statement the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The statement has not reached the server.
    Before,
    /// The server has executed it, and the process gets no response.
    After,
}

#[derive(Debug, Default)]
struct Log {
    /// The names of the statements so far.
    names: Vec<String>,
    /// The statements themselves.
    sent: Vec<SentStatement>,
    kill_point: Option<(Side, CrashPoint)>,
    reached: bool,
}

#[derive(Debug)]
struct Shared {
    server: String,
    client: reqwest::Client,
    seen: Mutex<Log>,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Proxy {
    /// Listens on a free port, on the current runtime.
    pub(crate) async fn start(server: String) -> Self {
        let client = reqwest::Client::builder().no_gzip().no_proxy().build().unwrap();
        let shared = Arc::new(Shared { server, client, seen: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::clone(&shared);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                let service = service_fn(move |request| respond(Arc::clone(&shared), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // Fails when the process is killed in the middle, as intended.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self { port, shared, accept }
    }

    /// Clears the log, and sets the kill point.
    pub(crate) fn expect(&self, kill_point: Option<(Side, CrashPoint)>) {
        *self.shared.seen.lock().unwrap() = Log { kill_point, ..Log::default() };
    }

    /// Whether the step was reached. From then on, its request gets no response.
    pub(crate) fn has_reached(&self) -> bool {
        self.shared.seen.lock().unwrap().reached
    }

    /// The statements since then.
    pub(crate) fn sent(&self) -> Vec<SentStatement> {
        self.shared.seen.lock().unwrap().sent.clone()
    }

    /// The names of the statements since then.
    pub(crate) fn names(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().names.clone()
    }
}

impl Shared {
    /// Records a statement; returns on which side of it the process is to be killed.
    fn note(&self, name: &str, sent: Option<SentStatement>) -> Option<Side> {
        let mut seen = self.seen.lock().unwrap();
        seen.sent.extend(sent);
        seen.names.push(name.to_owned());
        let nth = seen.names.iter().filter(|seen| *seen == name).count();
        let (side, step) = seen.kill_point.as_ref()?;
        (step.name == name && step.nth == nth).then_some(*side)
    }

    /// Signals that the kill point is reached, and never returns.
    async fn hang(&self) -> ! {
        self.seen.lock().unwrap().reached = true;
        std::future::pending().await
    }
}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let is_compressed = head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let sent = SentStatement::parse(head.uri.path(), &body, is_compressed);
    let side = shared.note(&name(head.uri.path(), sent.as_ref()), sent);
    if side == Some(Side::Before) {
        shared.hang().await;
    }
    let mut headers = head.headers;
    for hop_by_hop in [HOST, TRANSFER_ENCODING] {
        headers.remove(hop_by_hop);
    }
    let address = format!("{}{}", shared.server, head.uri);
    let forwarded = shared.client.request(head.method, address).headers(headers).body(body).send().await.unwrap();
    if side == Some(Side::After) {
        drop(forwarded.bytes().await);
        shared.hang().await;
    }
    let mut respond = Response::builder().status(forwarded.status());
    for (name, value) in forwarded.headers().iter().filter(|(name, _)| *name != TRANSFER_ENCODING) {
        respond = respond.header(name, value);
    }
    Ok(respond.body(Full::new(forwarded.bytes().await.unwrap())).unwrap())
}
