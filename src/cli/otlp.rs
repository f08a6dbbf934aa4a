//! Traces over OTLP, where the usual variables of OpenTelemetry name a collector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use url::Url;

use super::log::{Exported, LIBRARIES};
use super::output::Output;
use crate::SourceSpec;
use crate::error::{redact, remember};
use crate::net::{TransportFailure, is_loopback_url};

/// The variables with the collector's address: that of traces, and that of everything.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The longest time that the end of the program waits for the collector.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// The longest time for one request, unless a variable sets another.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// The traces of this process on their way to a collector.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Those that the environment asks for. What it asks for in vain is said once, and stops nothing.
    pub(super) fn from_environment(spec: &SourceSpec, output: Output) -> Option<Self> {
        let endpoint = variable(&ENDPOINTS)?;
        let is = |name: &str, value: &str| variable(&[name]).is_some_and(|found| found.eq_ignore_ascii_case(value));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let made = exporter(&endpoint).map(|exporter| {
            let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(spec));
            Self(provider.build())
        });
        made.inspect_err(|why| output.note(&format!("no traces are sent: {why}"))).ok()
    }

    /// What takes spans to the collector: all of this library, and of other crates those at `info`.
    pub(super) fn layer(&self) -> Exported {
        let scope = InstrumentationScope::builder("snowfeed").with_version(env!("CARGO_PKG_VERSION")).build();
        // Without what says where in the code a span is, and which thread and for how long had it.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false);
        // Spans of the HTTP libraries would tell of the export itself, without end.
        let targets = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_targets(LIBRARIES.map(|library| (library, LevelFilter::OFF)))
            .with_target("snowfeed", LevelFilter::DEBUG);
        layer.with_filter(targets.and(filter_fn(|metadata| metadata.is_span()))).boxed()
    }

    /// Sends what is pending, within a few seconds.
    pub(super) async fn finish(self) {
        // The SDK blocks, and its thread needs this runtime. What fails has been said by then, and the end of a program is no time to retry.
        let _ = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_FLUSH)).await;
    }
}

/// The first of these variables that is not empty.
fn variable(names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .map(|value| value.trim().to_owned())
        .filter(|v| !v.is_empty())
}

fn exporter(endpoint: &str) -> Result<Exporter, String> {
    let protocol = variable(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        let protocol = redact(&protocol).into_owned();
        return Err(format!(
            "the protocol {protocol:?} is not supported; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        ));
    }
    // Without the address: it may have a password.
    let unusable = || format!("{} or {} is not a URL that begins with http:// or https://", ENDPOINTS[0], ENDPOINTS[1]);
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(unusable)?;
    url.password().into_iter().for_each(remember);
    let headers = variable(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]).unwrap_or_default();
    for (_, value) in headers.split(',').filter_map(|header| header.split_once('=')) {
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        crate::error::remember_authorization(&value);
    }
    let timeout = variable(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    let timeout = timeout.and_then(|millis| millis.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
    let client = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
    let client = if is_loopback_url(&url) { client.no_proxy() } else { client };
    let http = client.build().map_err(|error| format!("the HTTP client cannot be set up: {error}"))?;
    let failure = Arc::default();
    let client = CollectorClient { http, runtime: Handle::current(), failure: Arc::clone(&failure) };
    let made = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client).build();
    // Its own messages may repeat the address.
    let inner = made.map_err(|_| "the variables OTEL_EXPORTER_OTLP_… have an invalid value".to_owned())?;
    Ok(Exporter { inner, failure, is_failing: AtomicBool::new(false) })
}

/// What the traces say about this program. The variables take precedence.
fn resource(spec: &SourceSpec) -> Resource {
    const NAME: &str = "service.name";
    let found = Resource::builder().build();
    let is_named = |name: Value| !name.as_str().starts_with("unknown_service");
    let own = [(NAME, &spec.name), ("service.version", &spec.version)];
    let missing = own.into_iter().filter(|(key, _)| match found.get(&Key::new(*key)) {
        Some(name) => *key == NAME && !is_named(name),
        None => true,
    });
    let missing = missing.map(|(key, value)| KeyValue::new(key, value.clone()));
    Resource::builder().with_attributes(missing.collect::<Vec<_>>()).build()
}

/// Why the last request brought no answer.
type LastFailure = Arc<Mutex<Option<TransportFailure>>>;

/// Sends the requests of the SDK's thread on the runtime of the program.
#[derive(Debug)]
struct CollectorClient {
    http: reqwest::Client,
    runtime: Handle,
    failure: LastFailure,
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let sending = async move {
            let mut response = http.execute(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LONGEST_ANSWER {
                    body.clear();
                    break;
                }
            }
            let mut answer = Response::new(Bytes::from(body));
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
            Ok(answer)
        };
        let sent: Result<_, reqwest::Error> =
            self.runtime.spawn(sending.with_subscriber(NoSubscriber::default())).await?;
        let failure = sent.as_ref().err().map(|error| TransportFailure::classify(error));
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        Ok(sent?)
    }
}

/// Removes secrets from spans, as from the log, and says once when the collector does not take them.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    failure: LastFailure,
    is_failing: AtomicBool,
}

impl Exporter {
    fn note(&self, exported: &OTelSdkResult) {
        let Err(error) = exported else {
            if self.is_failing.swap(false, Ordering::Relaxed) {
                tracing::info!(target: "snowfeed::cli", "traces reach the collector again");
            }
            return;
        };
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            let error = match (failure, error) {
                (Some(failure), _) => failure.message("the collector"),
                (None, OTelSdkError::InternalFailure(message)) => message.clone(),
                (None, error) => error.to_string(),
            };
            let help = "check OTEL_EXPORTER_OTLP_ENDPOINT; runs go on without traces until the collector answers";
            tracing::warn!(target: "snowfeed::cli", error, help, "traces cannot be sent");
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.name = redact(&span.name).into_owned().into();
            for KeyValue { value, .. } in &mut span.attributes {
                if let Value::String(text) = value {
                    *text = redact(text.as_str()).into_owned().into();
                }
            }
        }
        let exported = self.inner.export(batch).await;
        self.note(&exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
