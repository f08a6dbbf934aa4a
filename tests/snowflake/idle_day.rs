//! A day of `run` in virtual time: the statements of each hour, of many resources with ten streams each, on several schedules.
//!
//! Small by default (20 resources). The number of reads does not depend on it:
//! `SNOWFEED_LOAD_RESOURCES=1000 cargo test --release --all-features --test snowflake idle_day -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use snowfeed::engine::{Connector, Event};
use snowfeed::internals::snowflake::Statement;
use snowfeed::prelude::*;
use snowfeed::{RunStatus, Sink};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::mocks::{AcceptAll, backend};
use crate::peers::environment::number;
use crate::recording::RecordingClient;

const STREAMS: u32 = 10;
const CONCURRENCY: u32 = 16;

/// A source with ten streams, in which one of a number of reads finds a new record.
#[derive(Debug, Clone)]
struct Rarely {
    reads: Arc<AtomicUsize>,
    /// How long a read takes.
    pause: Duration,
    /// The number of reads for each record.
    rarely: usize,
}

#[async_trait]
impl Source for Rarely {
    fn spec(&self) -> SourceSpec {
        let stream = |number| StreamSpec::new(format!("s{number}")).column("id", "id", ColumnType::Integer);
        (0..STREAMS).map(stream).fold(SourceSpec::new("rarely", "1").authoritative(), SourceSpec::stream)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Rarely {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let (read, pause) = (self.reads.fetch_add(1, Ordering::SeqCst), self.pause);
        let checkpoint = request.checkpoint.unwrap();
        let rarely = self.rarely;
        let record = || Record::upsert(read.to_string(), Version(1), format!("{{\"id\":{read}}}"));
        let records = (read % rarely == rarely - 1).then(record);
        let batch = async move {
            sleep(pause).await;
            Ok(Batch::new().records(records).checkpoint(checkpoint))
        };
        stream::once(batch).boxed()
    }
}

/// The reads of cycles and the other statements among those sent.
fn sorted(sent: Vec<Statement>) -> (Vec<Statement>, Vec<Statement>) {
    // The first read of a process also reads the catalog.
    const READS: [&str; 3] = ["SELECT s.*", "SELECT 'connector'", "SELECT 'entry'"];
    sent.into_iter().partition(|sent| READS.iter().any(|read| sent.sql.starts_with(read)))
}

/// Beats of 30 minutes and an hour, a daily time, and a time 40 seconds after a beat, which shares its cycle.
fn schedule(number: u32) -> &'static str {
    match number % 20 {
        0 => "1h",
        1 => "15 2 * * *",
        2 => "40 0 12 * * *",
        _ => "30m",
    }
}

/// What was sent in an hour: the reads of cycles, the records of idle runs, and other statements.
struct Hour {
    reads: Vec<Statement>,
    heartbeats: usize,
    other: usize,
}

/// A day in which one of this many reads finds a record.
async fn day(rarely: usize) -> Vec<Hour> {
    let resources = u32::try_from(number("SNOWFEED_LOAD_RESOURCES").unwrap_or(20)).unwrap();
    // All runs of a beat take four minutes, so resources wait for a place for longer than the time that a cycle is shared.
    let pause = Duration::from_secs(4 * 60) * CONCURRENCY / (resources * STREAMS);
    let (accept_all, source) = (AcceptAll::default(), Rarely { reads: Arc::default(), pause, rarely });
    let streams = source.spec().streams;
    let made = backend(accept_all.client(), usize::MAX);
    let names: Vec<_> = (0..resources).map(|number| (format!("r{number}"), schedule(number))).collect();
    for (name, _) in &names {
        made.ensure_streams(&crate::support::resource(name), &streams).await.unwrap();
    }
    made.finish().await.unwrap();
    accept_all.enable(names, &streams);
    let recording = RecordingClient::new(Arc::new(accept_all.client()));
    let began = Instant::now();
    let start: Timestamp = "2100-01-01T00:10:00Z".parse().unwrap();
    let runs = Arc::new(Mutex::new(BTreeMap::<usize, usize>::new()));
    let counted = runs.clone();
    let serve = async |time: Duration| {
        let counted = counted.clone();
        let connector = Connector::new(source.clone(), Arc::new(backend(recording.clone(), usize::MAX)))
            .clock(move || start + began.elapsed())
            .observer(move |event: &Event| {
                if let Event::Ended(run) = event {
                    assert!(matches!(run.status, RunStatus::Complete | RunStatus::Interrupted), "{run:?}");
                    *counted
                        .lock()
                        .unwrap()
                        .entry(usize::try_from(began.elapsed().as_secs() / 3_600).unwrap())
                        .or_default() += 1;
                }
            });
        let cancel = CancellationToken::new();
        let stop = async {
            sleep(time).await;
            cancel.cancel();
        };
        tokio::join!(connector.serve(CONCURRENCY as usize, cancel.clone()), stop).0.unwrap();
    };
    let count = async {
        let mut hours = Vec::new();
        println!("| hour | runs | reads of cycles | heartbeats | other statements |\n|--:|--:|--:|--:|--:|");
        for hour in 0..24 {
            sleep(Duration::from_secs(3_600)).await;
            let (reads, other) = sorted(recording.statements());
            let runs = runs.lock().unwrap().get(&hour).copied().unwrap_or(0);
            let is_heartbeat = |sent: &&Statement| {
                sent.sql.starts_with("INSERT INTO")
                    && sent.sql.contains("\"SNOWFEED_RUN\"")
                    && sent.sql.contains("FLATTEN")
            };
            let heartbeats = other.iter().filter(is_heartbeat).count();
            let other = other.len() - heartbeats;
            println!("| {hour} | {runs} | {} | {heartbeats} | {other} |", reads.len());
            hours.push(Hour { reads, heartbeats, other });
        }
        hours
    };
    let day = async {
        // From ten past midnight until a quarter to one, and after a restart until the next day.
        serve(Duration::from_secs(12 * 3_600 + 35 * 60)).await;
        serve(Duration::from_secs(11 * 3_600 + 25 * 60 + 1)).await;
    };
    let (hours, ()) = tokio::join!(count, day);
    assert!(runs.lock().unwrap().values().sum::<usize>() > 40 * (resources * STREAMS) as usize);
    let reads: Vec<&Statement> = hours.iter().flat_map(|hour| &hour.reads).collect();
    let texts: BTreeSet<&str> = reads.iter().map(|sent| sent.sql.as_str()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(reads.iter().all(|sent| sent.binds.is_empty()));
    assert!(
        hours.iter().all(|hour| hour.reads.len() <= 9),
        "at most a start and two beats in an hour, each with three reads"
    );
    hours
}

/// The reads of a day: two at the start, at each beat, at a quarter past two, and at the restart.
const READS: usize = 2 * (1 + 48 + 1 + 1);

fn sum(hours: &[Hour], number: impl Fn(&Hour) -> usize) -> usize {
    hours.iter().map(number).sum()
}

#[tokio::test(start_paused = true)]
async fn a_day_of_run_is_three_constant_reads_for_each_beat() {
    let hours = day(20).await;
    // Nearly each cycle has written, and refills the result cache.
    let reads = sum(&hours, |hour| hour.reads.len());
    assert!((READS / 2 * 3 - 2..=READS / 2 * 3).contains(&reads), "{reads}");
    assert!(sum(&hours, |hour| hour.other) > 0, "no run has found anything");
    // The warehouse is awake because of the records. The streams without any are recorded with them, those of a cycle together.
    let heartbeats: Vec<usize> = hours.iter().map(|hour| hour.heartbeats).collect();
    assert!(heartbeats.iter().all(|number| *number <= 3), "{heartbeats:?}");
    assert!(sum(&hours, |hour| hour.heartbeats) >= 12, "{heartbeats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_day_without_anything_new_has_one_heartbeat_for_all_streams() {
    let hours = day(usize::MAX).await;
    assert_eq!(sum(&hours, |hour| hour.heartbeats), 1, "whatever the number of streams");
    assert_eq!(sum(&hours, |hour| hour.reads.len()), READS + 1, "the read that refills the result cache");
}
