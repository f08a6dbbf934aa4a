//! Streams are read side by side, within one limit on concurrent runs and one read budget, fairly over resources.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snowfeed::engine::{Event, IngestReport, IngestRequest};
use snowfeed::{Limits, Mode, Record, RunStatus};
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::{checkpoint, connector, from, ingest, live, reads, statuses, three};
use crate::support::{Scripted, Step, batch, limits, resource};

async fn with_timeout(ingestion: impl Future<Output = snowfeed::Result<IngestReport>>) -> IngestReport {
    tokio::time::timeout(Duration::from_secs(600), ingestion).await.expect("the ingestion timed out").unwrap()
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_resource_are_read_concurrently() {
    let (source, barrier) = (three(), Arc::new(Barrier::new(3)));
    for stream in ["a", "b", "c"] {
        source.script_stream("r", stream, vec![Step::Meet(barrier.clone()), Step::Batch(&["k"], 1)]);
    }
    let (connector, _) = connector(&source);
    let report = with_timeout(connector.ingest(IngestRequest::new([resource("r")]).concurrency(3))).await;
    assert_eq!(report.status(), RunStatus::Complete);
}

/// The largest number of runs at once, and the order in which they started.
fn observed(
    connector: snowfeed::engine::Connector,
) -> (snowfeed::engine::Connector, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>) {
    let (largest, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (now, most, log) = (AtomicUsize::new(0), largest.clone(), started.clone());
    let connector = connector.observer(move |event: &Event| match event {
        Event::Started { resource, .. } => {
            log.lock().unwrap().push(resource.name().to_owned());
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
        Event::Ended(_) => drop(now.fetch_sub(1, Ordering::SeqCst)),
        _ => {}
    });
    (connector, largest, started)
}

#[tokio::test(start_paused = true)]
async fn the_number_of_concurrent_runs_is_limited_over_all_streams() {
    for concurrency in [1, 3, 9] {
        let (source, barrier) = (three(), Arc::new(Barrier::new(concurrency)));
        for name in ["r", "s", "t"] {
            for stream in ["a", "b", "c"] {
                source.script_stream(name, stream, vec![Step::Meet(barrier.clone()), Step::Batch(&["k"], 1)]);
            }
        }
        let (connector, _) = connector(&source);
        let (connector, largest, _) = observed(connector);
        let request = IngestRequest::new(["r", "s", "t"].map(resource)).concurrency(concurrency);
        let report = with_timeout(connector.ingest(request)).await;
        assert_eq!((report.runs.len(), report.status()), (9, RunStatus::Complete));
        assert_eq!(largest.load(Ordering::SeqCst), concurrency);
    }
}

/// A read budget that is much smaller than what the streams hold together.
#[tokio::test(start_paused = true)]
async fn many_streams_share_one_read_budget_without_a_deadlock() {
    const NAMES: [&str; 8] = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
    let large = |step: usize| {
        let records = (0..20).map(|n| Record::upsert(format!("{step} {n}"), 1, format!("\"{}\"", "x".repeat(5_000))));
        batch(&[], 1).records(records).checkpoint(snowfeed::Checkpoint::new(&(step + 1)).unwrap())
    };
    for concurrency in [1, 3, 8, 100] {
        for limits in [Limits::default().read_ahead(64 << 10), Limits::default().read_ahead(0), limits()] {
            let source = Scripted::with_streams(NAMES);
            for name in NAMES {
                source.script_stream("r", name, (0..10).map(|step| Step::Raw(large(step))).collect());
            }
            let (connector, memory) = connector(&source);
            let request = IngestRequest::new([resource("r")]).concurrency(concurrency);
            let report = with_timeout(connector.limits(limits).ingest(request)).await;
            assert_eq!((report.runs.len(), report.status()), (8, RunStatus::Complete), "{concurrency}");
            assert!(NAMES.iter().all(|name| live(&memory, name).len() == 200));
        }
    }
}

/// A reader without capacity is not polled: its query of stored rows must not keep the connection that the commits wait for.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_for_capacity_does_not_block_commits() {
    use crate::tree::{Bench, Kind, run};
    use snowfeed::StreamSpec;
    let (large, lists) = (["a", "b", "c"], ["l1", "l2", "l3", "l4", "l5"]);
    let streams = large.map(StreamSpec::new).into_iter().chain(lists.map(|name| StreamSpec::snapshot(name).exact()));
    let bench = Bench::new(Kind::Sqlite, streams);
    let text = "x".repeat(5_000);
    let page = |number: usize| (0..5).map(|n| format!("{number}-{n}@1={text}")).collect::<Vec<_>>().join(" ");
    for name in large {
        bench.tree.set(name, &(0..40).map(page).collect::<Vec<_>>().join("|"));
    }
    for name in lists {
        bench.tree.set(name, &page(0));
    }
    let connector = bench.connector().limits(Limits::default().read_ahead(64 << 10));
    for _ in 0..5 {
        let streams = large.into_iter().chain(lists).map(str::to_owned).collect();
        let runs = tokio::time::timeout(Duration::from_secs(60), run(&connector, Mode::Incremental, streams));
        let runs = runs.await.expect("the runs hang");
        assert!(runs.values().all(|run| run.status == RunStatus::Complete));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_with_many_streams_does_not_make_the_others_wait_for_all_of_them() {
    let source = Scripted::with_streams(["a", "b", "c", "d", "e", "f"]);
    let (connector, _) = connector(&source);
    let (connector, _, started) = observed(connector);
    let request = IngestRequest::new(["x", "y", "z"].map(resource)).concurrency(2);
    with_timeout(connector.ingest(request)).await;
    let started = started.lock().unwrap().clone();
    assert_eq!(started.len(), 18);
    // Each resource gets its turn before another one gets its second.
    for (turn, names) in started.chunks(3).enumerate() {
        let mut names = names.to_vec();
        names.sort();
        assert_eq!(names, ["x", "y", "z"], "turn {turn} of {started:?}");
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_interrupts_every_stream_and_each_continues() {
    let source = three();
    for (stream, keys) in [("a", &["a1"]), ("b", &["b1"]), ("c", &["c1"])] {
        source.script_stream("r", stream, vec![Step::Batch(keys, 1), Step::Hang]);
    }
    let (connector, memory) = connector(&source);
    let (stop, commits) = (CancellationToken::new(), AtomicUsize::new(0));
    let stopped = stop.clone();
    let watched = connector.clone().observer(move |event: &Event| {
        if matches!(event, Event::Committed { .. }) && commits.fetch_add(1, Ordering::SeqCst) == 2 {
            stopped.cancel();
        }
    });
    let report = with_timeout(watched.ingest(IngestRequest::new([resource("r")]).cancel(stop))).await;
    let interrupted = ["a", "b", "c"].map(|stream| (stream, RunStatus::Interrupted));
    assert_eq!((statuses(&report.runs).as_slice(), report.status()), (interrupted.as_slice(), RunStatus::Interrupted));
    for stream in ["a", "b", "c"] {
        assert_eq!((checkpoint(&memory, stream).await, live(&memory, stream).len()), (Some(1), 1));
        source.script_stream("r", stream, vec![Step::Batch(&["k"], 1), Step::Batch(&["l"], 1)]);
    }
    reads(&source);
    let runs = ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source), from([("a", Some(1)), ("b", Some(1)), ("c", Some(1))]));
    assert!(runs.iter().all(|run| (run.status, run.counts.inserted) == (RunStatus::Complete, 1)));
}

/// With one run at a time, the first stream is stopped, and the others do not start.
#[tokio::test]
async fn streams_not_started_before_a_stop_are_left_alone() {
    let source = three();
    source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Hang]);
    let (connector, memory) = connector(&source);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let watched = connector.observer(move |event: &Event| {
        if matches!(event, Event::Committed { .. }) {
            stopped.cancel();
        }
    });
    let report = with_timeout(watched.ingest(IngestRequest::new([resource("r")]).concurrency(1).cancel(stop))).await;
    assert_eq!(report.runs.len(), 3);
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Interrupted));
    assert_eq!(reads(&source), from([("a", None)]));
    use snowfeed::StateStore;
    for stream in ["b", "c"] {
        assert_eq!(memory.latest(&snowfeed::StateKey::new("r", stream)).await.unwrap(), None);
    }
}
