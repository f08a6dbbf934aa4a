//! Provisioning, enabling, disabling, resetting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, Event, IngestRequest, Schedule};
use snowfeed::prelude::*;
use snowfeed::{ConfigStore, Namespace, RunStatus, StateStore};
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, connector, ingest, key, resource, runs_of};

#[derive(Debug, Clone)]
struct Configured;

#[derive(Deserialize, JsonSchema)]
struct ExampleSettings {
    #[allow(dead_code, reason = "only its presence matters")]
    url: String,
    #[serde(default)]
    #[allow(dead_code, reason = "only its type matters")]
    pages: u32,
}

#[async_trait]
impl Source for Configured {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("configured", "1")
            .settings(SettingsSchema::of::<ExampleSettings>())
            .stream(StreamSpec::new("t"))
    }

    async fn connect(&self, settings: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        settings.read::<ExampleSettings>()?;
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Configured {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        futures::stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        futures::stream::empty().boxed()
    }
}

#[tokio::test]
async fn settings_are_checked_merged_and_removed() {
    let memory = Arc::new(Memory::new());
    let connector = Connector::new(Configured, memory.clone());
    assert_eq!(connector.settings().await.unwrap_err().kind(), ErrorKind::Configuration, "`url` is missing");

    connector.provision([("url".into(), json!("u")), ("pages".into(), json!(3))]).await.unwrap();
    connector.provision([("pages".into(), json!(null))]).await.unwrap();
    assert_eq!(memory.get(Namespace::Connector, "config").await.unwrap(), Some(json!({"url": "u"})));

    for (name, value) in [("pages", json!("many")), ("urll", json!("u")), ("url", json!(null))] {
        let error = connector.provision([(name.into(), value)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert_eq!(
        memory.get(Namespace::Connector, "config").await.unwrap(),
        Some(json!({"url": "u"})),
        "nothing was stored"
    );
}

#[tokio::test]
async fn a_setting_that_the_source_no_longer_knows_can_be_removed() {
    let memory = Arc::new(Memory::new());
    memory.put(Namespace::Connector, "config", &json!({"url": "u", "old": 1})).await.unwrap();
    let connector = Connector::new(Configured, memory);
    assert_eq!(connector.settings().await.unwrap_err().kind(), ErrorKind::Configuration);
    connector.provision([("old".into(), json!(null))]).await.unwrap();
    connector.settings().await.unwrap();
    let error = connector.provision([("older".into(), json!(null))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "an unknown setting that is not stored");
}

#[tokio::test]
async fn overrides_take_precedence_and_are_not_stored() {
    let memory = Arc::new(Memory::new());
    let connector = Connector::new(Configured, memory.clone()).with_settings([("url".into(), json!("mine"))]);
    assert_eq!(connector.settings().await.unwrap().get("url"), Some(&json!("mine")));
    connector.check().await.unwrap();
    assert_eq!(memory.get(Namespace::Connector, "config").await.unwrap(), None);
}

/// A required setting from the environment must not block storing another one.
#[tokio::test]
async fn stored_settings_may_omit_overridden_ones() {
    let memory = Arc::new(Memory::new());
    let connector = Connector::new(Configured, memory.clone()).with_settings([("url".into(), json!("mine"))]);
    connector.provision([("pages".into(), json!(3))]).await.unwrap();
    assert_eq!(memory.get(Namespace::Connector, "config").await.unwrap(), Some(json!({"pages": 3})));
    let connector = connector.with_settings([("pages".into(), json!(4))]);
    let error = connector.provision([("pages".into(), json!("many"))]).await.unwrap_err();
    assert!(error.message().contains("`pages`"), "an overridden setting is still checked: {error}");
    assert_eq!(memory.get(Namespace::Connector, "config").await.unwrap(), Some(json!({"pages": 3})));
}

#[tokio::test]
async fn malformed_settings_stop_an_ingestion_before_it_reads() {
    let connector = Connector::new(Configured, Arc::new(Memory::new()));
    let error = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn resources_are_enabled_disabled_and_keep_their_schedule() {
    let (connector, memory) = connector(&Scripted::new(vec![]));
    let r = resource("r");
    let hourly: Schedule = "1h".parse().unwrap();
    connector.enable(EnableRequest::new(r.clone()).schedule(hourly)).await.unwrap();
    connector.enable(EnableRequest::new(r.clone())).await.unwrap();
    assert_eq!(memory.get(Namespace::Resource, "r").await.unwrap(), Some(json!({"enabled": true, "schedule": "1h"})));
    assert!(connector.disable(&r).await.unwrap());
    assert!(!connector.disable(&r).await.unwrap(), "it was already disabled");
    assert_eq!(memory.get(Namespace::Resource, "r").await.unwrap(), Some(json!({"enabled": false, "schedule": "1h"})));
    assert_eq!(connector.disable(&resource("other")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn without_a_name_the_enabled_resources_are_ingested() {
    let source = Scripted::default();
    source.script("on", vec![Step::Batch(&["a"], 1)]);
    source.script("off", vec![Step::Batch(&["a"], 1)]);
    let (connector, _) = connector(&source);
    let error = connector.ingest(IngestRequest::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.help()), (ErrorKind::Configuration, Some("name a resource")));
    connector.enable(EnableRequest::new(resource("on"))).await.unwrap();
    connector.enable(EnableRequest::new(resource("off"))).await.unwrap();
    connector.disable(&resource("off")).await.unwrap();
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    assert_eq!(report.runs.iter().map(|run| run.resource.as_str()).collect::<Vec<_>>(), ["on"]);
}

#[tokio::test]
async fn named_resources_are_enabled_and_read_once() {
    let (connector, _) = connector(&Scripted::new(vec![Step::Batch(&["a"], 1)]));
    let report = connector.ingest(IngestRequest::new([resource("r"), resource("r")])).await.unwrap();
    assert_eq!(report.runs.len(), 1);
    assert!(connector.resources().await.unwrap()[0].1.enabled);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_not_left_enabled() {
    let source = Scripted::new(vec![Step::Fail(ErrorKind::NotFound, "no such thing")]);
    let (connector, _) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, snowfeed::RunStatus::Failed);
    assert!(connector.resources().await.unwrap().is_empty());

    source.script("r", vec![]);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Fail(ErrorKind::NotFound, "gone")]);
    ingest(&connector, Mode::Incremental).await;
    assert!(connector.resources().await.unwrap()[0].1.enabled, "a resource that existed stays enabled");

    source.script("other", vec![Step::Fail(ErrorKind::Unavailable, "down")]);
    connector.ingest(IngestRequest::new([resource("other")])).await.unwrap();
    assert_eq!(connector.resources().await.unwrap().len(), 2, "a resource that may exist stays enabled");
}

#[tokio::test]
async fn a_reset_resource_is_read_from_the_start_and_keeps_its_rows() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, memory) = connector(&source);
    assert_eq!(connector.reset(&resource("r")).await.unwrap_err().kind(), ErrorKind::NotFound);
    ingest(&connector, Mode::Incremental).await;
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(memory.rows(&resource("r"), "t").len(), 1);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.counts.offered, run.counts.unchanged), (1, 1));
}

#[tokio::test]
async fn resetting_a_resource_that_never_ran_does_nothing() {
    let (connector, memory) = connector(&Scripted::default());
    connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(memory.latest(&key("r")).await.unwrap(), None);
}

#[tokio::test]
async fn resources_not_started_before_cancellation_are_left_alone() {
    let source = Scripted::default();
    for name in ["a", "b", "c"] {
        source.script(name, vec![Step::Batch(&["k"], 1)]);
    }
    let (connector, memory) = connector(&source);
    let stop = CancellationToken::new();
    let canceller = stop.clone();
    let connector = connector.observer(move |event: &Event| {
        if matches!(event, Event::Started { .. }) {
            canceller.cancel();
        }
    });
    let names = ["a", "b", "c"].map(resource);
    let report = connector.ingest(IngestRequest::new(names).concurrency(1).cancel(stop)).await.unwrap();
    assert!(report.interrupted() && report.runs.len() == 3, "{report:?}");
    for name in ["b", "c"] {
        assert_eq!(memory.latest(&key(name)).await.unwrap(), None);
        assert_eq!(memory.runs(runs_of(name, 9)).await.unwrap(), []);
    }
    assert!(source.reads.lock().unwrap().len() <= 1, "the source was read after the cancellation");
}

/// A source that counts its connections, whose reader keeps its context.
#[derive(Debug, Clone, Default)]
struct KeepingSource {
    connections: Arc<AtomicUsize>,
    /// Whether reads fail because the credentials are rejected.
    is_rejected: Arc<AtomicBool>,
}

impl KeepingSource {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for KeepingSource {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("keeping", "1").settings(SettingsSchema::of::<ExampleSettings>()).stream(StreamSpec::new("t"))
    }

    async fn connect(&self, _: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(KeepingReader { context, is_rejected: self.is_rejected.load(Ordering::SeqCst) }))
    }
}

#[derive(Debug)]
struct KeepingReader {
    context: ConnectContext,
    is_rejected: bool,
}

#[async_trait]
impl Reader for KeepingReader {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        self.context.monitor.request();
        futures::stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let rejected = self.is_rejected.then(|| Err(Error::new(ErrorKind::Authentication, "the token is not valid")));
        futures::stream::iter(rejected).boxed()
    }
}

fn keeping(source: &KeepingSource, memory: &Arc<Memory>) -> Connector {
    Connector::new(source.clone(), memory.clone()).with_settings([("url".into(), json!("u"))])
}

#[tokio::test]
async fn a_dropped_connector_drops_its_backend() {
    let (source, memory) = (KeepingSource::default(), Arc::new(Memory::new()));
    let connector = keeping(&source, &memory).observer(|_: &Event| {});
    connector.ingest(IngestRequest::new([resource("a")])).await.unwrap();
    connector.discover().await.unwrap();
    drop(connector);
    assert_eq!(Arc::strong_count(&memory), 1, "something still holds the backend, which would never be closed");
}

#[tokio::test]
async fn a_source_connects_once_for_the_same_settings() {
    let (source, memory) = (KeepingSource::default(), Arc::new(Memory::new()));
    let connector = keeping(&source, &memory);
    for _ in 0..2 {
        connector.ingest(IngestRequest::new([resource("a"), resource("b")])).await.unwrap();
        connector.discover().await.unwrap();
    }
    assert_eq!(source.connections(), 1);
    let other = connector.clone().with_settings([("url".into(), json!("v"))]);
    for connector in [&other, &connector, &other] {
        connector.discover().await.unwrap();
    }
    assert_eq!(source.connections(), 2, "each has a reader of its own");
    connector.check().await.unwrap();
    assert_eq!(source.connections(), 3, "a check connects anew, to fail fast");
}

#[tokio::test]
async fn a_source_connects_anew_after_rejected_credentials() {
    let (source, memory) = (KeepingSource::default(), Arc::new(Memory::new()));
    source.is_rejected.store(true, Ordering::SeqCst);
    let connector = keeping(&source, &memory);
    let report = connector.ingest(IngestRequest::new([resource("a")])).await.unwrap();
    assert_eq!(report.runs[0].error.as_ref().unwrap().kind, ErrorKind::Authentication);
    source.is_rejected.store(false, Ordering::SeqCst);
    let report = connector.ingest(IngestRequest::new([resource("a")])).await.unwrap();
    assert_eq!((report.status(), source.connections()), (RunStatus::Complete, 2));
}
