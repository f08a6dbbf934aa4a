//! What the tests of described sources share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use snowfeed::rest::{Api, RestSource};
use snowfeed::testkit::mock_api::{MockApi, MockRequest, MockResponse};
use snowfeed::{
    Batch, Checkpoint, ConnectContext, Error, Mode, ReadRequest, Reader, Resource, Result, RetryConfig, Settings,
    Source,
};

/// Retries at once, so that faults cost no time.
pub(crate) fn fast() -> RetryConfig {
    RetryConfig { first_delay: Duration::from_millis(1), max_attempts: 4, ..RetryConfig::default() }
}

/// For suites whose concurrent requests share the failures of a server: one request can meet several in a row.
pub(crate) fn patient() -> RetryConfig {
    RetryConfig { max_attempts: 12, ..fast() }
}

/// A described source that is connected to a mock.
pub(crate) struct Connected {
    pub(crate) reader: Arc<dyn Reader>,
}

/// Connects a description whose base URL is that of the mock.
pub(crate) async fn connect(api: Api) -> Connected {
    try_connect(api, Settings::default()).await.unwrap()
}

pub(crate) async fn try_connect(api: Api, settings: Settings) -> Result<Connected> {
    let source = RestSource::new(api)?.retry(fast());
    let reader = source.connect(&settings, ConnectContext::detached()).await?;
    Ok(Connected { reader: reader.into() })
}

/// An API without resources at a mock.
pub(crate) fn api(mock: &MockApi) -> Api {
    Api::new("helpdesk", mock.url())
}

impl Connected {
    pub(crate) fn request(&self, stream: &str) -> ReadRequest {
        ReadRequest::new(Resource::new("helpdesk").unwrap(), stream)
    }

    /// Reads a stream from a checkpoint to its end.
    pub(crate) async fn read(&self, stream: &str, checkpoint: Option<Checkpoint>) -> Result<Vec<Batch>> {
        drain(&*self.reader, self.request(stream).checkpoint(checkpoint)).await
    }

    /// Reads a stream whole.
    pub(crate) async fn reconcile(&self, stream: &str) -> Result<Vec<Batch>> {
        drain(&*self.reader, self.request(stream).mode(Mode::Reconcile)).await
    }

    /// The error that a read ends with.
    pub(crate) async fn error(&self, stream: &str) -> Error {
        self.read(stream, None).await.expect_err("the read must fail")
    }
}

pub(crate) async fn drain(reader: &dyn Reader, request: ReadRequest) -> Result<Vec<Batch>> {
    let (mut batches, mut read) = (Vec::new(), reader.read(request));
    while let Some(batch) = read.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// The keys of the records, in order.
pub(crate) fn keys(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| &batch.records).map(|record| record.key.clone()).collect()
}

/// Answers all requests for a path by a function, and records their bodies: the log has none.
pub(crate) fn record_bodies(
    mock: &MockApi,
    path: &str,
    respond: impl Fn(&MockRequest) -> MockResponse + Send + Sync + 'static,
) -> Bodies {
    let bodies = Bodies::default();
    let recorded = bodies.clone();
    mock.route(path, move |request| {
        recorded.0.lock().unwrap().push(String::from_utf8(request.body().to_vec()).unwrap());
        respond(request)
    });
    bodies
}

/// Answers requests for a path as another mock does, without the time that servers tell.
pub(crate) fn without_date(mock: &MockApi, path: &str, list: MockApi) {
    mock.route(path, move |request| list.answer(request.clone()).with_header("Date", ""));
}

/// The bodies of requests, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bodies(Arc<Mutex<Vec<String>>>);

impl Bodies {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn json(&self) -> Vec<Value> {
        self.texts().iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }
}

/// The newest state of each key, as a destination would have it.
pub(crate) fn rows(batches: &[Batch]) -> BTreeMap<String, Option<Value>> {
    let mut rows = BTreeMap::new();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        let state = record.json().map(|json| serde_json::from_str(json).unwrap());
        let newest = rows.entry(record.key.clone()).or_insert((record.version, state.clone()));
        if newest.0 <= record.version {
            *newest = (record.version, state);
        }
    }
    rows.into_iter().map(|(key, (_, state))| (key, state)).collect()
}

pub(crate) fn last_checkpoint(batches: &[Batch]) -> Option<Checkpoint> {
    batches.iter().rev().find_map(|batch| batch.checkpoint.clone())
}

/// A time, this many seconds after the beginning of 2026.
pub(crate) fn at(seconds: i64) -> String {
    jiff::Timestamp::from_second(1_767_225_600 + seconds).unwrap().to_string()
}

pub(crate) fn ticket(id: u64, seconds: i64) -> Value {
    json!({"id": id, "subject": format!("Ticket {id}"), "updated_at": at(seconds)})
}

/// The requests for a path, as texts, with their queries decoded.
pub(crate) fn requests(mock: &MockApi, path: &str) -> Vec<String> {
    mock.requests().iter().filter(|request| request.path() == path).map(ToString::to_string).collect()
}
