//! A budget of credits, with a destination that bills each commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::cost::{Budget, Credits, Period};
use snowfeed::engine::{Connector, EnableRequest, Event, IngestRequest};
use snowfeed::jiff::Timestamp;
use snowfeed::{
    Commit, CommitReport, ConfigStore, ErrorKind, Mode, Namespace, Resource, Result, RunStatus, Sink, StateStore,
    StoredRecord, StreamSpec, UnseenQuery,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::support::{Scripted, Step, ingest, key, limits, resource};

/// A destination that bills 0.4 credits for each commit.
#[derive(Debug, Clone, Default)]
struct Billing {
    memory: Memory,
    commits: Arc<AtomicU64>,
}

const PRICE: Credits = Credits::from_micros(400_000);

#[async_trait]
impl Sink for Billing {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.memory.ensure_streams(resource, streams).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let mut report = self.memory.commit(commit).await?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        report.streams.values_mut().for_each(|stream| stream.credits = PRICE);
        Ok(report)
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }
}

struct Bench {
    sink: Billing,
    store: Store,
    connector: Connector,
}

impl Bench {
    /// Noon of the last day of a month.
    const BEGIN: &str = "2026-11-30T12:00:00Z";

    fn new(source: &Scripted) -> Self {
        Self::over(source, Billing::default(), Store::metered())
    }

    /// A program that begins now.
    fn over(source: &Scripted, sink: Billing, store: Store) -> Self {
        let (begin, began) = (Self::BEGIN.parse::<Timestamp>().unwrap(), Instant::now());
        let config = Arc::new(store.memory.clone());
        let connector = Connector::with_stores(source.clone(), Arc::new(sink.clone()), config, Arc::new(store.clone()))
            .limits(limits())
            .clock(move || begin + began.elapsed());
        Self { sink, store, connector }
    }

    fn commits(&self) -> u64 {
        self.sink.commits.load(Ordering::SeqCst)
    }

    async fn budget(&self, text: &str) {
        self.connector.set_budget(Some(text.parse().unwrap())).await.unwrap();
    }
}

fn batches() -> Scripted {
    Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 2), Step::Batch(&["c"], 3), Step::Batch(&["d"], 4)])
}

#[tokio::test(start_paused = true)]
async fn a_run_that_uses_up_the_budget_commits_what_it_has_read_and_continues_with_the_next_period() {
    let source = batches();
    let bench = Bench::new(&source);
    bench.budget("0.8/day").await;
    let run = ingest(&bench.connector, Mode::Incremental).await;
    assert_eq!((run.status, run.error), (RunStatus::Interrupted, None));
    assert!((2..=3).contains(&run.commits), "what it has read may take one more commit: {}", run.commits);
    assert_eq!(run.credits.micros(), PRICE.micros() * run.commits);
    let stored = bench.store.memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(stored.message.as_deref(), Some("the budget is used up; the next run continues from the last commit"));
    let recorded = bench.store.memory.runs(snowfeed::RunQuery::new(1)).await.unwrap().remove(0);
    assert_eq!(recorded.credits, run.credits);

    // Another program knows it from the state.
    let other = Bench::over(&source, bench.sink.clone(), bench.store.clone());
    let used = other.connector.budget().await.unwrap().unwrap();
    assert_eq!((used.used, used.paused_until), (run.credits, Some("2026-12-01T00:00:00Z".parse().unwrap())));
    let error = other.connector.ingest(IngestRequest::new([resource("r")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.message().starts_with("paused until 2026-12-01T00:00:00Z: "), "{}", error.message());
    assert!(error.help().unwrap().contains("configure --budget"));
    assert_eq!(other.commits(), run.commits);

    tokio::time::advance(Duration::from_secs(12 * 3_600)).await;
    bench.budget("5/day").await;
    let run = ingest(&bench.connector, Mode::Incremental).await;
    assert_eq!(run.status, RunStatus::Complete, "nothing is lost");
    let keys: Vec<String> = bench.sink.memory.rows(&resource("r"), "t").into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_zero_runs_nothing_until_it_is_removed() {
    let source = batches();
    let bench = Bench::new(&source);
    bench.budget("0/month").await;
    let request = || IngestRequest::new([resource("r")]);
    assert_eq!(bench.connector.ingest(request()).await.unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(bench.commits(), 0);
    bench.connector.set_budget(None).await.unwrap();
    assert_eq!(bench.connector.budget().await.unwrap(), None);
    assert_eq!(bench.connector.ingest(request()).await.unwrap().status(), RunStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_pauses_and_resumes_at_midnight_and_reports_it_once() {
    let source = batches();
    let mut bench = Bench::new(&source);
    let pauses = Arc::new(AtomicU64::new(0));
    let counted = pauses.clone();
    bench.connector = bench.connector.observer(move |event: &Event| {
        if let Event::Paused(used) = event {
            assert_eq!(used.budget, Budget { credits: PRICE, per: Period::Day });
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    bench.budget("0.4/day").await;
    bench.connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    let cancel = CancellationToken::new();
    let mut commits = Vec::new();
    let watch = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(6 * 3_600)).await;
            commits.push(bench.commits());
        }
        cancel.cancel();
    };
    let (served, ()) = tokio::join!(bench.connector.serve(4, cancel.clone()), watch);
    served.unwrap();
    assert!((1..=2).contains(&commits[0]), "one, and perhaps what was read ahead: {commits:?}");
    assert!(commits[1] >= commits[0] && commits[2] > commits[0], "on the next day it goes on: {commits:?}");
    assert_eq!(bench.connector.budget().await.unwrap().map(|used| used.paused_until.is_some()), Some(true));
    assert_eq!(pauses.load(Ordering::SeqCst), 2, "one for each day");
}

#[tokio::test]
async fn a_budget_needs_a_destination_that_bills() {
    let memory = Memory::new();
    let connector = Connector::new(Scripted::default(), Arc::new(memory.clone()));
    let error = connector.set_budget(Some("1/day".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // What a person writes into the table is checked.
    for invalid in ["-1/day", "NaN/day", "1"] {
        memory.put(Namespace::Connector, "budget", &invalid.into()).await.unwrap();
        let error = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.help().unwrap().contains("configure --budget"), "{error}");
    }
}

/// The budget of the month counts what earlier days have used.
#[tokio::test(start_paused = true)]
async fn days_add_up_to_a_month() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let bench = Bench::new(&source);
    bench.budget("0.8/month").await;
    ingest(&bench.connector, Mode::Incremental).await;
    // The clock begins a day before a new month, so that the first day does not count for the second.
    tokio::time::advance(Duration::from_secs(24 * 3_600)).await;
    for (day, expected) in [(2, "0.4"), (3, "0.8")] {
        source.script("r", (1..=day).map(|version| Step::Batch(&["a"], version)).collect());
        ingest(&bench.connector, Mode::Incremental).await;
        assert_eq!(bench.connector.budget().await.unwrap().unwrap().used.to_string(), expected);
        tokio::time::advance(Duration::from_secs(24 * 3_600)).await;
    }
    assert!(bench.connector.budget().await.unwrap().unwrap().paused_until.is_some());
}
