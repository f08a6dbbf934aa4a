//! What runs leave behind about the health of their streams, and what the connector says about it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, Health, IngestRequest};
use snowfeed::{
    ConfigStore, ErrorKind, Failing, Mode, Namespace, RunQuery, RunRecord, RunStatus, SettingsSchema, SourceEvent,
    StateStore,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::support::{Scripted, Step, ingest, key, limits, resource, runs_of};

/// A clock that the test moves.
#[derive(Clone)]
struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_second(12 * 3_600).unwrap())))
    }

    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn pass(&self, time: SignedDuration) {
        *self.0.lock().unwrap() += time;
    }
}

fn connector(source: &Scripted, clock: &Clock) -> (Connector, Memory) {
    let (memory, clock) = (Memory::new(), clock.clone());
    let connector = Connector::new(source.clone(), Arc::new(memory.clone())).limits(limits());
    (connector.clock(move || clock.now()), memory)
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

async fn newest(store: &impl StateStore) -> RunRecord {
    store.runs(RunQuery::new(1)).await.unwrap().remove(0)
}

async fn health(connector: &Connector) -> Health {
    connector.health().await.unwrap().facts.health
}

#[tokio::test]
async fn each_run_carries_on_what_is_known_of_its_stream() {
    let (clock, source) = (Clock::new(), Scripted::new(vec![Step::Batch(&["a"], 1)]));
    let (connector, memory) = connector(&source, &clock);
    let noon = clock.now();
    ingest(&connector, Mode::Incremental).await;
    let marks = newest(&memory).await.marks;
    assert_eq!((marks.last_success_at, marks.last_change_at, marks.failing), (Some(noon), Some(noon), None));
    assert_eq!(health(&connector).await, Health::Healthy);

    source.script("r", vec![Step::Fail(ErrorKind::Unavailable, "down"); 2]);
    for tries in [1, 2] {
        clock.pass(HOUR);
        let ended = ingest(&connector, Mode::Incremental).await;
        let stored = newest(&memory).await;
        assert_eq!(ended.marks, stored.marks, "the observer and the store know the same");
        assert_eq!(stored.marks.failing, Some(Failing::new(noon + HOUR, tries)));
        assert_eq!((stored.marks.last_success_at, stored.marks.last_change_at), (Some(noon), Some(noon)));
    }
    let report = connector.health().await.unwrap();
    let failing = report.facts.failing.unwrap();
    assert_eq!((report.facts.health, failing.tries, failing.message.as_str()), (Health::Failing, 2, "down"));

    source.script("r", vec![Step::Batch(&["a"], 1)]);
    clock.pass(HOUR);
    ingest(&connector, Mode::Incremental).await;
    let marks = newest(&memory).await.marks;
    assert_eq!((marks.last_success_at, marks.failing), (Some(clock.now()), None));
    assert_eq!(marks.last_change_at, Some(noon), "it found nothing new");
    assert_eq!(health(&connector).await, Health::Healthy);
}

#[tokio::test]
async fn the_record_of_a_commit_has_them_too() {
    let clock = Clock::new();
    let source = Scripted::new(vec![Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, memory) = connector(&source, &clock);
    ingest(&connector, Mode::Incremental).await;
    clock.pass(HOUR);
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Hang]);
    let request = IngestRequest::new([resource("r")]);
    let _ = tokio::time::timeout(Duration::from_millis(200), connector.ingest(request)).await;
    let run = newest(&memory).await;
    assert_eq!((run.status, run.marks.last_change_at), (RunStatus::Running, Some(clock.now())));
    assert_eq!(run.marks.failing.map(|failing| failing.tries), Some(1));
    assert!(run.lease_until.is_some_and(|until| until > clock.now()));
    assert_eq!(health(&connector).await, Health::Failing, "only a success ends it");
}

#[tokio::test]
async fn the_record_of_a_commit_tells_how_far_the_run_has_come() {
    let clock = Clock::new();
    let source = Scripted::new(vec![
        Step::Report(SourceEvent::Pages(50)),
        Step::Batch(&["a"], 1),
        Step::Report(SourceEvent::Waiting { reason: "limit".to_owned(), until: clock.now() + HOUR }),
        Step::Hang,
    ]);
    let (connector, memory) = connector(&source, &clock);
    let request = IngestRequest::new([resource("r")]);
    let _ = tokio::time::timeout(Duration::from_millis(200), connector.ingest(request)).await;
    let progress = newest(&memory).await.progress.unwrap();
    assert_eq!((progress.at, progress.of), (clock.now(), Some(50)));
    assert!((1..50).contains(&progress.read), "{progress:?}");

    source.script("r", vec![Step::Batch(&["a"], 2)]);
    clock.pass(HOUR);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(newest(&memory).await.progress, None, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_renews_its_lease_and_a_dead_one_does_not() {
    let began = Instant::now();
    let memory = Memory::new();
    let source = Scripted::new(vec![Step::Hang]);
    let start = Clock::new().now();
    let connector = Connector::new(source, Arc::new(memory.clone())).clock(move || start + began.elapsed());
    let request = IngestRequest::new([resource("r")]);
    let running = tokio::spawn({
        let connector = connector.clone();
        async move { connector.ingest(request).await }
    });
    sleep(Duration::from_secs(3_600)).await;
    let runs = memory.runs(runs_of("r", 9)).await.unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((runs[0].status, health(&connector).await), (RunStatus::Running, Health::Running));
    assert_eq!(memory.latest(&key("r")).await.unwrap(), None, "a renewal is no state");
    running.abort();
    sleep(Duration::from_secs(4 * 60)).await;
    assert_eq!(health(&connector).await, Health::Interrupted);
    assert_eq!(newest(&memory).await.status, RunStatus::Running, "nothing has run since");
}

/// A connector over a store that bills every call, after a run that found a record.
async fn metered(clock: &Clock) -> (Connector, Store) {
    let (store, source, clock) = (Store::metered(), Scripted::new(vec![Step::Batch(&["a"], 1)]), clock.clone());
    let connector = store.connector(&source, limits()).clock(move || clock.now());
    ingest(&connector, Mode::Incremental).await;
    (connector, store)
}

#[tokio::test]
async fn a_metered_store_records_an_idle_run_a_day() {
    let clock = Clock::new();
    let (connector, store) = metered(&clock).await;
    let began = clock.now();
    let writes = store.writes.load(Ordering::SeqCst);
    for hour in 1..=72 {
        clock.pass(HOUR);
        ingest(&connector, Mode::Incremental).await;
        assert_eq!(health(&connector).await, Health::Healthy);
        assert_eq!(store.writes.load(Ordering::SeqCst) - writes, hour / 24, "after {hour} hours");
    }
    let marks = newest(&store.memory).await.marks;
    assert_eq!((marks.last_success_at, marks.last_change_at), (Some(clock.now()), Some(began)));
    clock.pass(26 * HOUR);
    assert_eq!(health(&connector).await, Health::Late);
}

#[tokio::test]
async fn the_rate_of_the_heartbeat_can_be_chosen() {
    for (heartbeat, expected) in [(Duration::from_secs(2 * 3_600), 5), (Duration::ZERO, 0)] {
        let clock = Clock::new();
        let (connector, store) = metered(&clock).await;
        let connector = connector.heartbeat(heartbeat);
        let writes = store.writes.load(Ordering::SeqCst);
        for _ in 0..10 {
            clock.pass(HOUR);
            ingest(&connector, Mode::Incremental).await;
        }
        assert_eq!(store.writes.load(Ordering::SeqCst) - writes, expected, "{heartbeat:?}");
    }
}

#[tokio::test]
async fn an_hourly_commit_records_the_idle_streams_with_it() {
    let (clock, source) = (Clock::new(), Scripted::with_streams(["busy", "idle"]));
    let (store, at) = (Store::metered(), clock.clone());
    let connector = store.connector(&source, limits()).clock(move || at.now());
    for hour in 0..3_usize {
        source.script_stream("r", "busy", vec![Step::Batch(&["a"], 1); hour + 1]);
        source.script_stream("r", "idle", vec![Step::Batch(&["a"], 1)]);
        connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
        let marks = |stream| store.memory.runs(runs_of("r", 1).stream(stream));
        for stream in ["busy", "idle"] {
            let run = marks(stream).await.unwrap().remove(0);
            assert_eq!(run.marks.last_success_at, Some(clock.now()), "{stream} after {hour} hours");
        }
        clock.pass(HOUR);
    }
}

/// Serves for this long.
async fn serve(connector: &Connector, time: Duration) -> snowfeed::Result<()> {
    let cancel = CancellationToken::new();
    let stop = async {
        sleep(time).await;
        cancel.cancel();
    };
    tokio::join!(connector.serve(4, cancel.clone()), stop).0
}

/// A connector in virtual time whose resource `r` is configured like this, beside a healthy one.
async fn with_config(config: serde_json::Value) -> (Connector, Memory) {
    let (began, memory) = (Instant::now(), Memory::new());
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let start = Clock::new().now();
    let connector = Connector::new(source, Arc::new(memory.clone())).clock(move || start + began.elapsed());
    connector.enable(EnableRequest::new(resource("good"))).await.unwrap();
    memory.put(Namespace::Resource, "r", &config).await.unwrap();
    (connector, memory)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_begin_leaves_a_failed_record_each_time_it_is_due() {
    for config in [
        json!({"enabled": true, "schedule": "soon"}),
        json!({"enabled": true, "streams": ["dropped"]}),
        json!({"enabled": "yes"}),
    ] {
        let (connector, memory) = with_config(config.clone()).await;
        // At 12:00, 12:30, 13:00 and 13:30.
        serve(&connector, Duration::from_secs(2 * 3_600 - 60)).await.unwrap();
        let runs = memory.runs(runs_of("r", 99)).await.unwrap();
        assert_eq!(runs.len(), 4, "{config}: {runs:?}");
        assert!(runs.iter().all(|run| run.status == RunStatus::Failed && run.stream == "t" && run.error.is_some()));
        assert_eq!(runs[0].marks.failing.map(|failing| failing.tries), Some(4));
        let report = connector.health().await.unwrap();
        assert_eq!(report.facts.health, Health::Failing, "{config}");
        assert_eq!((report.counts[&Health::Failing], report.counts[&Health::Healthy]), (1, 1));
        assert!(report.facts.failing.unwrap().help.is_some(), "{config}");
    }
}

#[tokio::test]
async fn an_ingestion_records_the_runs_that_could_not_begin() {
    let (connector, memory) = with_config(json!({"enabled": "yes"})).await;
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    let failed: Vec<_> = report.runs.iter().filter(|run| run.status == RunStatus::Failed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(memory.runs(runs_of("r", 9)).await.unwrap(), [failed[0].clone()]);
}

/// A source with a setting that it needs.
#[derive(Debug)]
struct Demanding(Scripted);

#[async_trait::async_trait]
impl snowfeed::Source for Demanding {
    fn spec(&self) -> snowfeed::SourceSpec {
        #[derive(serde::Deserialize, snowfeed::schemars::JsonSchema)]
        #[schemars(crate = "snowfeed::schemars")]
        struct Settings {
            #[allow(dead_code, reason = "only its schema counts")]
            url: String,
        }
        self.0.spec().settings(SettingsSchema::of::<Settings>())
    }

    async fn connect(
        &self,
        settings: &snowfeed::Settings,
        context: snowfeed::ConnectContext,
    ) -> snowfeed::Result<Box<dyn snowfeed::Reader>> {
        self.0.connect(settings, context).await
    }
}

#[tokio::test]
async fn malformed_settings_are_a_failure_of_every_enabled_stream() {
    let memory = Memory::new();
    let source = Demanding(Scripted::new(vec![Step::Batch(&["a"], 1)]));
    let connector = Connector::new(source, Arc::new(memory.clone()));
    let report = connector.health().await.unwrap();
    assert_eq!((report.facts.health, report.resources.len()), (Health::NotConfigured, 0));
    connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    let report = connector.health().await.unwrap();
    assert_eq!(report.facts.health, Health::NotConfigured, "before any run");
    assert!(report.facts.failing.unwrap().message.contains("url"));

    let error = connector.ingest(IngestRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let run = newest(&memory).await;
    assert_eq!(run.error.map(|report| report.message), Some(error.to_string()));
    assert_eq!(health(&connector).await, Health::Failing);
    // A program that a supervisor restarts every few seconds.
    for _ in 0..3 {
        connector.serve(1, CancellationToken::new()).await.unwrap_err();
    }
    assert_eq!(memory.runs(RunQuery::new(9)).await.unwrap().len(), 1, "the next one is not due");

    let settings = [("url".to_owned(), json!("https://example.com"))];
    connector.provision(settings).await.unwrap();
    connector.ingest(IngestRequest::default()).await.unwrap();
    assert_eq!(health(&connector).await, Health::Healthy);
}

#[tokio::test]
async fn many_resources_take_one_read() {
    let memory = Memory::new();
    let connector = Connector::new(Scripted::default(), Arc::new(memory.clone()));
    for number in 0..10_000 {
        let config = json!({"enabled": number % 2 == 0});
        memory.put(Namespace::Resource, &format!("r{number}"), &config).await.unwrap();
    }
    let report = connector.health().await.unwrap();
    assert_eq!((report.facts.health, report.resources.len()), (Health::NeverRun, 10_000));
    assert_eq!((report.counts[&Health::NeverRun], report.counts[&Health::Paused]), (5_000, 5_000));
}
