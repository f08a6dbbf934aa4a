//! The HTTP server for metrics and probes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::engine::Connector;
use crate::{Error, ErrorKind, Result};

/// The most connections at once; further ones wait.
const CONNECTIONS: usize = 32;

/// The longest time that a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// The longest life of a connection.
const CONNECTION: Duration = Duration::from_secs(60);

/// The longest wait for the stores. A scrape usually has ten seconds.
const STORES: Duration = Duration::from_secs(3);

/// The path of the metrics.
const METRICS: &str = "/metrics";

/// A pause after the system could not accept a connection, as when it has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the metrics and two probes over plain HTTP/1.1, at an address that should not be public.
///
/// * `GET /metrics`: [`Metrics::encode`], with the connector's health.
/// * `GET /healthz`: 200 as long as the process works at all.
/// * `GET /readyz`: 200 once [`ready`](Self::ready) was called, 503 before.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    is_ready: Arc<AtomicBool>,
}

impl Listener {
    /// Listens at an address; port 0 is any free one.
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) if the address cannot be used.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let refused = |error| {
            Error::new(ErrorKind::Configuration, format!("cannot listen at {address}"))
                .with_help("give an address of this machine with a free port, such as `127.0.0.1:9464`")
                .with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, is_ready: Arc::default() })
    }

    /// The address, with the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes `/readyz` answer 200 from now on.
    pub fn ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Serves until `cancel` is cancelled. Each request for the metrics shows the [current health](Connector::current_health) of the
    /// connector, so that a stream becomes late although nothing happens.
    pub async fn serve(self, metrics: Metrics, connector: Connector, cancel: CancellationToken) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        // Dropped with the server: a connection holds the connector, and with it the database.
        let mut open = JoinSet::new();
        let serve = async {
            loop {
                while open.try_join_next().is_some() {}
                // The semaphore is never closed.
                let Ok(permit) = connections.clone().acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection for metrics could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let (metrics, connector, is_ready) = (metrics.clone(), connector.clone(), self.is_ready.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (metrics, connector, is_ready) = (metrics.clone(), connector.clone(), is_ready.clone());
                    async move {
                        if request.uri().path() == METRICS {
                            show_health(&metrics, &connector).await;
                        }
                        Ok::<_, Infallible>(answer(&metrics, is_ready.load(Ordering::Acquire), &request))
                    }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD);
                let connection = server.serve_connection(TokioIo::new(stream), answer);
                open.spawn(async move {
                    // The client may go away at any time.
                    let _ = timeout(CONNECTION, connection).await;
                    drop(permit);
                });
            }
        };
        tokio::select! {
            () = serve => {}
            () = cancel.cancelled() => {}
        }
    }
}

/// Shows the health, or if a store does not answer in time, what is known of it.
async fn show_health(metrics: &Metrics, connector: &Connector) {
    let known = match timeout(STORES, connector.current_health()).await {
        Ok(Ok(health)) => Some(health),
        Ok(Err(_)) | Err(_) => connector.known_health(),
    };
    if let Some(health) = known {
        metrics.set_health(&health);
    }
}

fn answer(metrics: &Metrics, is_ready: bool, request: &Request<Incoming>) -> Response<String> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let (status, content_type, body) = match request.uri().path() {
        METRICS => (StatusCode::OK, prometheus_text::CONTENT_TYPE, metrics.encode()),
        "/healthz" => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        "/readyz" if is_ready => (StatusCode::OK, PLAIN, "ready\n".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "the configuration was not read yet\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /healthz and /readyz\n".to_owned()),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = Response::new(if is_read { body } else { String::new() });
    *response.status_mut() = if is_read { status } else { StatusCode::METHOD_NOT_ALLOWED };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
