//! What the servers and the tests share.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, Event, IngestReport, IngestRequest};
use snowfeed::jiff::Timestamp;
use snowfeed::rest::{Api, ApiFile, RestSource};
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockRequest, MockResponse};
use snowfeed::{Mode, Resource, RetryConfig, RunStatus, Settings, Source, SourceEvent};
use tempfile::TempDir;

/// The text of a description of the gallery.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(Path::new("examples/rest").join(format!("{name}.toml"))).unwrap()
}

/// A description of the gallery, without errors.
pub(crate) fn file(name: &str) -> ApiFile {
    ApiFile::parse(&text(name), &format!("{name}.toml")).unwrap()
}

/// The places of the warnings about a description of the gallery.
pub(crate) fn warnings(name: &str) -> Vec<String> {
    file(name).warnings.iter().map(|warning| warning.place.to_string()).collect()
}

/// Retries at once, so that faults cost no time, and often: concurrent requests share the failures of a server.
fn fast() -> RetryConfig {
    RetryConfig { first_delay: Duration::from_millis(1), max_attempts: 12, ..RetryConfig::default() }
}

/// A described API at its server.
pub(crate) struct Described {
    pub(crate) mock: MockApi,
    resource: Resource,
    api: Api,
    source: RestSource,
    settings: Settings,
    secrets: Arc<TempDir>,
}

impl Described {
    /// The description `name`, whose host is replaced by the server; everything else is as the file says. The settings must be all that
    /// it has: plain ones, and secrets.
    pub(crate) fn new(
        name: &str,
        resource: &str,
        mock: MockApi,
        plain: &[(&str, &str)],
        secrets: &[(&str, &str)],
    ) -> Self {
        let mut api = file(name).api;
        let schema = RestSource::new(api.clone()).unwrap().spec().settings;
        let (mut given, mut known) = (Vec::new(), Vec::new());
        given.extend(plain.iter().map(|(name, _)| ((*name).to_owned(), false)));
        given.extend(secrets.iter().map(|(name, _)| ((*name).to_owned(), true)));
        known.extend(schema.names().map(|name| (name.to_owned(), schema.is_secret(name))));
        given.sort();
        known.sort();
        assert_eq!(known, given, "the settings of {name}, and whether they are secret");

        let path = api.base_url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        api.base_url = format!("{}{path}", mock.url());
        let folder = TempDir::new().unwrap();
        let reference = |(name, secret): &(&str, &str)| {
            let path = folder.path().join(name);
            fs::write(&path, secret).unwrap();
            ((*name).to_owned(), format!("file:{}", path.display()).into())
        };
        let mut settings: BTreeMap<String, Value> = secrets.iter().map(reference).collect();
        settings.extend(plain.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
        let source = RestSource::new(api.clone()).unwrap().retry(fast());
        // Those that stood only in the host are gone with it.
        let schema = source.spec().settings;
        settings.retain(|name, _| schema.names().any(|known| known == name));
        let (settings, secrets) = (settings.into_iter().collect(), Arc::new(folder));
        Self { mock, resource: Resource::new(resource).unwrap(), api, source, settings, secrets }
    }

    /// Changes the description: a test reaches a smaller cap with fewer records.
    pub(crate) fn adjust(mut self, adjust: impl FnOnce(&mut Api)) -> Self {
        adjust(&mut self.api);
        self.source = RestSource::new(self.api.clone()).unwrap().retry(fast());
        self
    }

    /// Asks for smaller pages: a test has several of them with fewer records.
    pub(crate) fn smaller_pages(self, size: &str, smaller: &str) -> Self {
        let count = self.api.streams.iter().filter(|stream| stream.path.contains(size)).count();
        assert!(count > 0, "no path has {size}");
        self.adjust(|api| api.streams.iter_mut().for_each(|stream| stream.path = stream.path.replace(size, smaller)))
    }

    pub(crate) fn connector(&self, memory: &Memory) -> Connector {
        Connector::new(self.source.clone(), Arc::new(memory.clone())).with_settings(self.settings.values().clone())
    }

    /// The error of a check, and what it advises.
    pub(crate) async fn check_error(&self) -> (String, String) {
        let error = self.connector(&Memory::new()).check().await.expect_err("the check must fail");
        (error.to_string(), error.help().unwrap_or_default().to_owned())
    }

    /// What a check warns about.
    pub(crate) async fn check_warnings(&self) -> Vec<String> {
        let warned = Arc::<Mutex<Vec<String>>>::default();
        let noted = warned.clone();
        let connector = self.connector(&Memory::new()).observer(move |event: &Event| {
            if let Event::Remote(SourceEvent::Warning(warning)) = event {
                noted.lock().unwrap().push(warning.clone());
            }
        });
        connector.check().await.unwrap();
        let warned = warned.lock().unwrap();
        warned.clone()
    }

    /// The errors of an ingestion that does not complete.
    pub(crate) async fn error(&self, memory: &Memory) -> String {
        let report = self.connector(memory).ingest(IngestRequest::new([self.resource.clone()])).await.unwrap();
        let errors = report.runs.iter().filter_map(|run| run.error.as_ref()).map(|error| format!("{error:?}"));
        errors.collect::<Vec<_>>().join("\n")
    }

    /// Reads all streams, which must be complete.
    pub(crate) async fn ingest(&self, memory: &Memory, mode: Mode) -> IngestReport {
        let request = IngestRequest::new([self.resource.clone()]).mode(mode);
        let report = self.connector(memory).ingest(request).await.unwrap();
        assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
        report
    }

    /// The rows of a table that live, by path: `key`, or `parent/key`.
    pub(crate) fn live(&self, memory: &Memory, stream: &str) -> BTreeMap<String, Value> {
        let spec = self.source.spec().streams.into_iter().find(|spec| spec.name == stream).unwrap();
        let owner = if spec.is_source_wide { Resource::source_wide() } else { self.resource.clone() };
        let rows = memory.rows(&owner, stream).into_iter().filter(|row| row.deleted_at.is_none());
        rows.map(|row| (row.path().to_string(), serde_json::from_str(row.json.as_ref().unwrap()).unwrap())).collect()
    }

    /// Asserts that the live rows of a table are these records, by the path of each.
    #[track_caller]
    pub(crate) fn assert_rows(
        &self,
        memory: &Memory,
        stream: &str,
        expected: impl IntoIterator<Item = (String, Value)>,
    ) {
        let (live, expected) = (self.live(memory, stream), expected.into_iter().collect::<BTreeMap<_, _>>());
        let keys = |rows: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| -> Vec<String> {
            rows.iter().filter(|(key, row)| other.get(*key) != Some(row)).map(|(key, _)| key.clone()).collect()
        };
        let (wrong, missing) = (keys(&live, &expected), keys(&expected, &live));
        assert!(wrong.is_empty() && missing.is_empty(), "{stream}: extra or stale {wrong:?}, missing {missing:?}");
    }

    /// The number of requests of a second run right after the first one.
    pub(crate) async fn requests_of_second_run(&self) -> usize {
        let memory = Memory::new();
        self.ingest(&memory, Mode::Incremental).await;
        self.mock.clear_requests();
        self.ingest(&memory, Mode::Incremental).await;
        self.mock.count("*")
    }

    /// The case of the suites.
    pub(crate) fn case(self) -> SourceCase {
        SourceCase::new(self.source, self.settings, self.resource).keeping(self.mock).keeping(self.secrets)
    }
}

/// A JSON response with this status.
pub(crate) fn answer(status: u16, body: &Value) -> MockResponse {
    MockResponse::new(status).with_header("Content-Type", "application/json").with_body(body.to_string())
}

/// Answers requests for a path as the server itself does, except those that a rule of the API refuses.
pub(crate) fn refuse(
    mock: &MockApi,
    path: &str,
    response: MockResponse,
    rule: impl Fn(&MockRequest) -> bool + Send + Sync + 'static,
) {
    mock.fault(path, Fault::response(response).when(rule).always());
}

/// A rate limit: the request after the first `free` ones is refused, and every other one within the second after that.
#[derive(Clone, Default)]
pub(crate) struct RateLimit(Arc<Mutex<Limited>>);

#[derive(Default)]
struct Limited {
    requests: u64,
    since: Option<Instant>,
    refused: HashSet<String>,
    impatient: Vec<String>,
}

impl RateLimit {
    /// `response` must tell the client to wait for a second.
    pub(crate) fn after(mock: &MockApi, free: u64, response: MockResponse) -> Self {
        let limit = Self::default();
        let limited = limit.0.clone();
        refuse(mock, "*", response, move |request| {
            let mut limited = limited.lock().unwrap_or_else(PoisonError::into_inner);
            limited.requests += 1;
            if limited.requests == free + 1 {
                limited.since = Some(Instant::now());
            }
            let is_refused = limited.since.is_some_and(|since| since.elapsed() < Duration::from_secs(1));
            let sent = format!("{request} {}", String::from_utf8_lossy(request.body()));
            if is_refused && !limited.refused.insert(sent.clone()) {
                limited.impatient.push(sent);
            }
            is_refused
        });
        limit
    }

    /// Asserts that requests were refused, and that none of them came again within the second.
    #[track_caller]
    pub(crate) fn assert_obeyed(&self) {
        let limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!limited.refused.is_empty(), "no request was refused");
        assert!(limited.impatient.is_empty(), "sent again without a wait: {:?}", limited.impatient);
    }
}

/// The header of basic authentication.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// A time, this many seconds after the beginning of 2026.
pub(crate) fn at(seconds: i64) -> String {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap().to_string()
}

/// The current time, this many seconds later.
pub(crate) fn from_now(seconds: i64) -> String {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now + seconds).unwrap().to_string()
}

/// The text of a field at this pointer; empty if there is none.
pub(crate) fn text_at<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The records by their keys, as texts.
pub(crate) fn by_key(records: Vec<Value>, pointer: &str) -> impl Iterator<Item = (String, Value)> {
    records.into_iter().map(move |record| {
        let key = match record.pointer(pointer).unwrap() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (key, record)
    })
}
