//! Many scheduled resources, for hours of virtual time: open files, running tasks and resident memory, hour by hour.
//!
//! Small by default (20 resources, 6 hours). A thousand resources for 24 hours, each every 30 minutes:
//! `SNOWFEED_LOAD_RESOURCES=1000 SNOWFEED_LOAD_HOURS=24 cargo test --all-features --test load -- --nocapture`
//!
//! It has its own binary because it measures the process's resources.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "support/environment.rs"]
mod environment;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use environment::{number, skipped};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, EnableRequest, Event};
use snowfeed::prelude::*;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A source in which each read finds one new record of each resource, and one unchanged record.
#[derive(Debug, Clone)]
struct TickingSource;

#[async_trait]
impl Source for TickingSource {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("ticking", "1").stream(StreamSpec::new("ticks").column("tick", "tick", ColumnType::Integer))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for TickingSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        stream::once(async move {
            let last: i64 = request.checkpoint.map(|checkpoint| checkpoint.parse()).transpose()?.unwrap_or(0);
            request.monitor.request();
            let tick = last + 1;
            let record = |key: &str, tick| Record::upsert(key, Version(tick), format!(r#"{{"tick":{tick}}}"#));
            Ok(Batch::new().records([record("moving", tick), record("still", 0)]).checkpoint(Checkpoint::new(&tick)?))
        })
        .boxed()
    }
}

/// A sample of the process's resource usage.
#[derive(Debug, Clone, Copy)]
struct ProcessUsage {
    /// In MiB.
    resident: u64,
    descriptors: usize,
    tasks: usize,
}

impl ProcessUsage {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            resident: resident.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1_024,
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hours_of_scheduled_runs_leak_nothing() {
    if !fs::exists("/proc/self/fd").unwrap_or(false) {
        return skipped("this system has no /proc, which lists a process's open files");
    }
    let (resources, hours) =
        (number("SNOWFEED_LOAD_RESOURCES").unwrap_or(20), number("SNOWFEED_LOAD_HOURS").unwrap_or(6));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let (began, epoch) = (Instant::now(), Timestamp::from_second(1_800_000_000).unwrap());
    let (runs, commits) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (ended, committed) = (runs.clone(), commits.clone());
    let connector = Connector::new(TickingSource, Arc::new(Sqlite::open(&file).unwrap()))
        .clock(move || epoch + began.elapsed())
        .observer(move |event: &Event| match event {
            Event::Ended(run) => {
                assert_eq!(run.error, None);
                ended.fetch_add(1, Ordering::SeqCst);
            }
            Event::Committed { .. } => drop(committed.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        });
    for number in 0..resources {
        connector.enable(EnableRequest::new(Resource::new(format!("r{number}")).unwrap())).await.unwrap();
    }
    let stop = CancellationToken::new();
    let watch = async {
        println!(
            "| hour | runs | commits | file MiB | resident MiB | descriptors | tasks |\n|---|---|---|---|---|---|---|"
        );
        let mut samples = Vec::new();
        for hour in 1..=hours {
            // Between two rounds of runs.
            tokio::time::sleep_until(began + Duration::from_secs(hour * 3_600 - 15 * 60)).await;
            let now = ProcessUsage::now();
            println!(
                "| {hour} | {} | {} | {} | {} | {} | {} |",
                runs.load(Ordering::SeqCst),
                commits.load(Ordering::SeqCst),
                fs::metadata(&file).unwrap().len() >> 20,
                now.resident,
                now.descriptors,
                now.tasks
            );
            samples.push(now);
        }
        stop.cancel();
        samples
    };
    let (served, samples) = tokio::join!(connector.serve(8, stop.clone()), watch);
    served.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), resources * hours * 2);
    let first = samples[0];
    for now in &samples {
        assert_eq!((now.descriptors, now.tasks), (first.descriptors, first.tasks), "{samples:?}");
        // A leak of half a kilobyte per run would exceed this in a day with a thousand resources.
        assert!(now.resident <= first.resident + 20, "{samples:?}");
    }
}
