//! Test servers, and a clock that skips the waits that the client announces.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use snowfeed::RetryConfig;
use snowfeed::http::{Builder, Client};
use snowfeed::{Monitor, SourceEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wiremock::{MockServer, Request, Respond, ResponseTemplate};

/// A client whose timeouts do not fire when the clock skips an hour.
pub(crate) fn client(base_url: &str) -> Builder {
    let day = Duration::from_secs(24 * 60 * 60);
    Client::builder(base_url)
        .timeout(day)
        .connect_timeout(day)
        .retry(RetryConfig { max_attempts: 3, ..RetryConfig::default() })
}

/// What happened while the work ran.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) events: Vec<SourceEvent>,
    pub(crate) monitor: Monitor,
}

impl Seen {
    /// Seconds waited, as the client reports them.
    pub(crate) fn waited(&self) -> u64 {
        self.monitor.traffic().waited_ms / 1000
    }

    pub(crate) fn requests(&self) -> u64 {
        self.monitor.traffic().requests
    }

    /// The reasons of all waits.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        let mut reasons = Vec::new();
        for event in &self.events {
            if let SourceEvent::Waiting { reason, .. } = event {
                reasons.push(reason.as_str());
            }
        }
        reasons
    }
}

/// Runs `work` while time is paused, except that every announced wait passes at once.
///
/// Tokio's paused clock alone would also skip what only looks like idleness, such as waiting for a server.
pub(crate) async fn skipping_waits<T, F: Future<Output = T>>(work: impl FnOnce(Monitor) -> F) -> (T, Seen) {
    tokio::time::pause();
    // The clock does not advance by itself while a blocking task runs.
    let (release, held) = mpsc::channel::<()>();
    let hold = tokio::task::spawn_blocking(move || held.recv().is_ok());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let monitor = Monitor::new(move |event| drop(tell.send(event)));
    let mut events = Vec::new();
    let output = {
        let mut work = pin!(work(monitor.clone()));
        loop {
            tokio::select! {
                biased;
                output = &mut work => break output,
                Some(event) = told.recv() => {
                    let first = events.len();
                    events.push(event);
                    while let Ok(event) = told.try_recv() {
                        events.push(event);
                    }
                    let wait = |event: &SourceEvent| match event {
                        SourceEvent::Waiting { until, .. } => Duration::try_from(until.duration_since(Timestamp::now())).ok(),
                        _ => None,
                    };
                    if let Some(longest) = events[first..].iter().filter_map(wait).max() {
                        tokio::time::advance(longest + Duration::from_millis(100)).await;
                    }
                }
            }
        }
    };
    while let Ok(event) = told.try_recv() {
        events.push(event);
    }
    drop(release);
    hold.await.unwrap();
    tokio::time::resume();
    (output, Seen { events, monitor })
}

/// Responds with these one after the other, then repeats the last one.
pub(crate) struct Sequence {
    answers: Vec<ResponseTemplate>,
    next: AtomicUsize,
}

impl Respond for Sequence {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let index = self.next.fetch_add(1, Ordering::SeqCst);
        self.answers[index.min(self.answers.len() - 1)].clone()
    }
}

/// A server that sends these responses in turn to any request.
pub(crate) async fn answering(answers: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let respond = Sequence { answers: answers.into_iter().collect(), next: AtomicUsize::new(0) };
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(respond).mount(&server).await;
    server
}

pub(crate) fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

pub(crate) fn json(body: &str) -> ResponseTemplate {
    status(200).set_body_raw(body, "application/json; charset=utf-8")
}

pub(crate) async fn count(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// A server made of bytes: each connection gets the next of `answers`, then always the last one, and is closed.
pub(crate) async fn bytes(answers: Vec<Vec<u8>>) -> String {
    let index = Arc::new(AtomicUsize::new(0));
    connections(move |mut stream| {
        let answer = answers[index.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// A server that hands every connection to `serve`; returns its base URL.
pub(crate) async fn connections<F>(mut serve: impl FnMut(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    base
}

/// Reads a request up to the end of its headers.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
