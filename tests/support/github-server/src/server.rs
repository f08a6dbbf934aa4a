//! Accepts connections, and answers each request: log, latency, fault or response.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::answer::Answer;
use crate::builder::{Links, Settings};
use crate::clock::{Clock, http_date};
use crate::data::ServerData;
use crate::fault::{Fault, Faults};
use crate::handle::GithubServer;
use crate::log::{Log, ReceivedRequest};
use crate::mutations::Mutations;
use crate::{fault_injection, routes};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The state that the server's tasks and the test's handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) seed: u64,
    base_url: String,
    data: Mutex<ServerData>,
    mutations: Mutex<Mutations>,
    faults: Mutex<Faults>,
    access: Mutex<Access>,
}

/// Ignores poisoning: the test that panicked has already failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(crate) fn data(&self) -> MutexGuard<'_, ServerData> {
        lock(&self.data)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn access(&self) -> MutexGuard<'_, Access> {
        lock(&self.access)
    }

    pub(crate) fn mutations(&self) -> Mutations {
        *lock(&self.mutations)
    }

    pub(crate) fn set_mutations(&self, mutations: Mutations) {
        *lock(&self.mutations) = mutations;
    }
}

/// Starts to listen; the returned handle stops it.
pub(crate) async fn start(settings: Settings, clock: Clock, data: ServerData, seed: u64) -> io::Result<GithubServer> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        base_url: format!("http://{address}{}", settings.path_prefix),
        mutations: Mutex::new(settings.mutations),
        settings,
        clock,
        log: Log::default(),
        seed,
        data: Mutex::new(data),
        faults: Mutex::default(),
        access: Mutex::default(),
    });
    let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
    Ok(GithubServer { shared, accept })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve_connection(stream, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until either side closes it.
async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| Box::pin(answer(Arc::clone(&shared), request, Arc::clone(&reset))));
    let mut connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    if outcome.is_err() && reset.load(Ordering::Relaxed) {
        // A reset rather than an orderly end.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// The server drops the connection without an answer.
#[derive(Debug)]
struct ConnectionDropped;

impl fmt::Display for ConnectionDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server dropped the connection")
    }
}

impl std::error::Error for ConnectionDropped {}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    reset: Arc<AtomicBool>,
) -> Result<Response<Body>, ConnectionDropped> {
    let uri = request.uri();
    let (received, in_flight) = shared.log.arrive(|number| {
        let query = uri.query().unwrap_or_default();
        ReceivedRequest::new(number, request.method().as_str(), uri.path(), query, request.headers().clone())
    });
    if !shared.settings.latency.is_zero() {
        tokio::time::sleep(shared.settings.latency).await;
    }
    let fault = shared.faults().take(&received);
    match fault {
        Some(Fault::Stall) => std::future::pending::<()>().await,
        Some(Fault::Reset) => {
            reset.store(true, Ordering::Relaxed);
            return Err(ConnectionDropped);
        }
        _ => {}
    }
    let too_many = shared.settings.most_at_once.is_some_and(|most| in_flight.at_once > most);
    let answer = match fault.as_ref().and_then(|fault| fault_injection::replacement(fault, &shared, &received)) {
        Some(answer) => answer,
        None if too_many => with_quota(Answer::secondary_limit(403), &shared, &received),
        None => routes::answer(&shared, &received),
    };
    let answer = add_common_headers(rewrite_links(answer, &shared), &shared, received.number());
    let answer = match &fault {
        Some(fault) => fault_injection::corrupt(fault, answer, &shared),
        None => answer,
    };
    shared.log.answered(received.number(), answer.status, answer.body.len());
    let body = fault_injection::body(fault.as_ref(), answer.body);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Rewrites or drops links, as a gateway does.
fn rewrite_links(mut answer: Answer, shared: &Shared) -> Answer {
    let links = match &shared.settings.links {
        Links::Own => return answer,
        Links::Dropped => None,
        Links::Behind(base_url) => answer
            .headers
            .get("link")
            .and_then(|link| link.to_str().ok())
            .map(|link| link.replace(&shared.base_url, base_url)),
    };
    answer.headers.remove("link");
    match links {
        Some(links) => answer.with("link", links),
        None => answer,
    }
}

/// Adds the headers of the client's quota without using any of it.
pub(crate) fn with_quota(answer: Answer, shared: &Shared, request: &ReceivedRequest) -> Answer {
    let now = shared.clock.wire();
    let quota = shared.access().spend(request, &shared.settings, now, 0);
    quota.headers(answer)
}

/// Adds the headers that every answer has.
fn add_common_headers(answer: Answer, shared: &Shared, number: u64) -> Answer {
    answer
        .with_default("date", http_date(shared.clock.wire()))
        .with("server", "github.com")
        .with("x-github-media-type", "github.v3; format=json")
        .with("x-github-request-id", format!("{:04X}:{number:06X}", shared.seed & 0xffff))
        .with("vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With")
}
