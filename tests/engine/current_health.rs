//! Health at any moment: by the clock, by the runs of this process, and from the stores only where that is free.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, Health, IngestRequest};
use snowfeed::{ErrorKind, Mode, RunStatus};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::support::{Scripted, Step, ingest, limits, resource};

/// A clock that follows tokio's, from noon.
fn clock() -> impl Fn() -> Timestamp + Send + Sync + Clone + 'static {
    let began = Instant::now();
    move || Timestamp::from_second(12 * 3_600).unwrap() + began.elapsed()
}

fn read() -> Scripted {
    Scripted::new(vec![Step::Batch(&["a"], 1)])
}

async fn word(connector: &Connector) -> Health {
    connector.current_health().await.unwrap().facts.health
}

#[tokio::test(start_paused = true)]
async fn a_stream_becomes_late_by_time_alone() {
    let connector = Connector::new(read(), Arc::new(Memory::new())).limits(limits()).clock(clock());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    assert_eq!(connector.known_health(), None);
    assert_eq!(word(&connector).await, Health::NeverRun);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(word(&connector).await, Health::Healthy, "its own run is known at once");
    sleep(Duration::from_secs(19 * 60)).await;
    assert_eq!(word(&connector).await, Health::Healthy);
    sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(word(&connector).await, Health::Late);
    assert_eq!(connector.current_health().await.unwrap(), connector.health().await.unwrap(), "as `status` says");
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_its_end_are_known_at_once_and_a_restart_knows_both() {
    let (source, memory, clock) = (read(), Memory::new(), clock());
    let connect = || Connector::new(source.clone(), Arc::new(memory.clone())).limits(limits()).clock(clock.clone());
    let connector = connect();
    ingest(&connector, Mode::Incremental).await;
    let succeeded = connector.current_health().await.unwrap().facts.last_success_at;
    assert!(succeeded.is_some());
    sleep(Duration::from_secs(1_800)).await;
    source.script("r", vec![Step::Fail(ErrorKind::Unavailable, "down"); 9]);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Failed);
    for connector in [&connector, &connect()] {
        let facts = connector.current_health().await.unwrap().facts;
        assert_eq!((facts.health, facts.last_success_at), (Health::Failing, succeeded));
        assert_eq!(facts.failing.unwrap().message, "down");
    }
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(word(&connector).await, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_does_is_noticed_within_15_seconds_where_reading_is_free() {
    let (memory, clock) = (Memory::new(), clock());
    let connect = || Connector::new(read(), Arc::new(memory.clone())).limits(limits()).clock(clock.clone());
    let (connector, other) = (connect(), connect());
    connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    assert_eq!(word(&connector).await, Health::NeverRun);
    ingest(&other, Mode::Incremental).await;
    assert_eq!(word(&connector).await, Health::NeverRun, "it was read just now");
    sleep(Duration::from_secs(15)).await;
    assert_eq!(word(&connector).await, Health::Healthy);
    other.disable(&resource("r")).await.unwrap();
    sleep(Duration::from_secs(15)).await;
    assert_eq!(word(&connector).await, Health::Paused);
}

#[tokio::test(start_paused = true)]
async fn an_idle_metered_store_gets_no_call_for_health() {
    let (source, store) = (read(), Store::metered());
    let connector = store.connector(&source, limits()).clock(clock());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    ingest(&connector, Mode::Incremental).await;
    word(&connector).await;
    let (reads, writes) = (store.reads.load(Ordering::SeqCst), store.writes.load(Ordering::SeqCst));
    for _ in 0..100 {
        sleep(Duration::from_secs(60)).await;
        word(&connector).await;
    }
    let idle = ingest(&connector, Mode::Incremental).await;
    let facts = connector.current_health().await.unwrap().facts;
    assert_eq!((facts.health, facts.last_success_at), (Health::Healthy, idle.ended_at), "an idle run leaves no record");
    assert_eq!(store.writes.load(Ordering::SeqCst), writes);
    assert_eq!(store.reads.load(Ordering::SeqCst), reads + READS_OF_A_RUN, "only those of the run itself");
    // A configuration that `serve` reads makes no idle run older than it is.
    connector.statuses(&[crate::support::key("r")]).await.unwrap();
    assert_eq!(connector.known_health().unwrap().facts.last_success_at, idle.ended_at);
    sleep(Duration::from_secs(3 * 24 * 3_600)).await;
    assert_eq!(word(&connector).await, Health::Late);
}

/// Reading the state, and what other streams have written.
const READS_OF_A_RUN: usize = 1;

#[tokio::test(start_paused = true)]
async fn a_metered_store_that_cannot_be_used_makes_the_connector_fail_and_keeps_the_old_success() {
    let (source, store) = (read(), Store::metered());
    let connector = store.connector(&source, limits()).clock(clock());
    connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    word(&connector).await;
    let cancel = CancellationToken::new();
    let look = async {
        sleep(Duration::from_secs(60)).await;
        let healthy = connector.current_health().await.unwrap().facts;
        assert_eq!(healthy.health, Health::Healthy);
        store.break_reads(true);
        sleep(Duration::from_secs(3_600)).await;
        let failing = connector.current_health().await.unwrap().facts;
        assert_eq!((failing.health, failing.failing.unwrap().message.as_str()), (Health::Failing, DEAD));
        assert!(failing.last_success_at >= healthy.last_success_at);
        store.break_reads(false);
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(word(&connector).await, Health::Healthy);
        cancel.cancel();
    };
    tokio::join!(connector.serve(1, cancel.clone()), look).0.unwrap();
}

/// What the broken store says.
const DEAD: &str = "the state store is unavailable";

#[tokio::test(start_paused = true)]
async fn a_run_of_this_process_is_not_late_however_long_it_takes() {
    let (source, store) = (Scripted::new(vec![Step::Hang]), Store::metered());
    let connector = store.connector(&source, limits()).clock(clock()).heartbeat(Duration::from_secs(60));
    connector.enable(EnableRequest::new(resource("r")).schedule("1m".parse().unwrap())).await.unwrap();
    word(&connector).await;
    let cancel = CancellationToken::new();
    let request = IngestRequest::new([resource("r")]).cancel(cancel.clone());
    let run = async { connector.ingest(request).await.unwrap() };
    let look = async {
        sleep(Duration::from_secs(3_600)).await;
        let running = word(&connector).await;
        cancel.cancel();
        running
    };
    let (_, running) = tokio::join!(run, look);
    assert_eq!(running, Health::Running);
    assert_eq!(word(&connector).await, Health::Interrupted);
}
