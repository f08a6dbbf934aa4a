//! The requests that the server received, for tests of a client's behaviour.

use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    number: u64,
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    status: Option<u16>,
}

impl ReceivedRequest {
    pub(crate) fn new(number: u64, method: &str, path: &str, query: &str, headers: HeaderMap) -> Self {
        Self {
            number,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            status: None,
        }
    }

    /// Its place in the order of arrival, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The method, such as `GET`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Path and query, as in the request line.
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header's value, if it is present and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The status of the response; `None` while there is none, or when the server dropped the connection.
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

/// Totals since the start, or since [`GithubServer::forget_requests`](super::GithubServer::forget_requests).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests received.
    pub requests: u64,
    /// Answers with status 304.
    pub not_modified: u64,
    /// The most requests in flight at one moment.
    pub max_in_flight: usize,
    /// Bytes in the bodies of responses, as they were meant to be sent.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    inner: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    received: Vec<ReceivedRequest>,
    /// Requests forgotten: numbering continues after them.
    forgotten: u64,
    in_flight: usize,
    counts: Counts,
}

impl Log {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an arrival; the guard counts it as in flight until it is dropped.
    pub(crate) fn arrive(&self, request: impl FnOnce(u64) -> ReceivedRequest) -> (ReceivedRequest, InFlight<'_>) {
        let mut entries = self.entries();
        let number = entries.forgotten + entries.received.len() as u64 + 1;
        let request = request(number);
        entries.received.push(request.clone());
        entries.in_flight += 1;
        entries.counts.requests += 1;
        entries.counts.max_in_flight = entries.counts.max_in_flight.max(entries.in_flight);
        (request, InFlight { log: self, at_once: entries.in_flight })
    }

    pub(crate) fn answered(&self, number: u64, status: u16, bytes: usize) {
        let mut entries = self.entries();
        let index = number.checked_sub(entries.forgotten + 1).and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| entries.received.get_mut(index)) {
            request.status = Some(status);
        }
        entries.counts.bytes += bytes as u64;
        entries.counts.not_modified += u64::from(status == 304);
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.entries().received.clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.entries().counts
    }

    pub(crate) fn forget(&self) {
        let mut entries = self.entries();
        entries.forgotten += entries.received.len() as u64;
        entries.received.clear();
        entries.counts = Counts { max_in_flight: entries.in_flight, ..Counts::default() };
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    log: &'a Log,
    /// How many there were when this one arrived, itself included.
    pub(crate) at_once: usize,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.log.entries().in_flight -= 1;
    }
}
