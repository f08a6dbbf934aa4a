//! Streams of every kind against an oracle: an upstream that changes between any two requests, up to three engines that crash or stand still at
//! any point, commits that fail, and reconcile runs. In the end, no row is lost, stale, falsely deleted or left over, and an idle run
//! asks for no child and commits nothing.
//!
//! `PROPTEST_CASES` sets the number of upstreams, `PROPTEST_RNG_SEED` the first seed. One seed always has the same history.

mod backend;
mod oracle;
mod source;
mod traits;
mod upstream;

use std::sync::Arc;

use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, IngestReport, IngestRequest};
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::prelude::*;
use snowfeed::{Backend, ErrorReport, Limits, RunStatus, StateKey};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout};

use backend::ModelBackend;
use source::{CHILDREN, GRANDCHILDREN, ModelSource, SKEW, STREAMS, Shared};
use upstream::{Engine, Upstream};

/// The number of steps before the upstream calms down.
const STEPS: usize = 250;

/// The number of engines at once, at most.
const ENGINES: usize = 3;

/// A run that has not ended after this time never ends.
const ENDLESS: Duration = Duration::from_secs(20_000);

/// The largest checkpoint, in bytes.
const MAX_CHECKPOINT: usize = 4_096;

/// Opens the backend of another process.
type Open = Box<dyn Fn() -> Arc<dyn Backend>>;

struct Trial {
    upstream: Shared,
    open: Open,
    resource: Resource,
    began: Instant,
    engines: Engine,
}

impl Trial {
    fn new(seed: u64, open: Open) -> Self {
        Self {
            upstream: Shared::new(Upstream::new(seed)),
            open,
            resource: Resource::new("r").unwrap(),
            began: Instant::now(),
            engines: 0,
        }
    }

    /// A connector of a process of its own, whose clock is wrong by a few seconds.
    fn connector(&mut self, skew: i64, commit_rows: usize) -> (Engine, Connector) {
        let (engine, upstream, began) = (self.engines, self.upstream.clone(), self.began);
        self.engines += 1;
        let source = ModelSource { upstream: upstream.clone(), engine };
        let backend = ModelBackend { backend: (self.open)(), upstream, engine };
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock =
            move || start + SignedDuration::try_from(began.elapsed()).unwrap() + SignedDuration::from_secs(skew);
        let limits = Limits::default().commit_rows(commit_rows).max_deleted_percent(100);
        (engine, Connector::new(source, Arc::new(backend)).limits(limits).clock(clock))
    }

    /// Starts an engine with random streams in a random mode.
    fn start(&mut self) -> (Engine, JoinHandle<Result<IngestReport>>) {
        let (skew, commit_rows, mode, streams, concurrency) = {
            let mut upstream = self.upstream.lock();
            let skew = [0, 0, -2, 3_i64][upstream.random.usize(0..4)];
            let commit_rows = [1, 3, 5_000][upstream.random.usize(0..3)];
            let mode = if upstream.chance(15) { Mode::Reconcile } else { Mode::Incremental };
            let is_whole = upstream.chance(60);
            let mut streams: Vec<&str> = STREAMS.into_iter().filter(|_| is_whole || upstream.chance(50)).collect();
            if streams.is_empty() {
                streams = vec![CHILDREN];
            }
            (skew, commit_rows, mode, streams, upstream.random.usize(1..6))
        };
        assert!(Duration::from_secs(skew.unsigned_abs()) <= SKEW);
        let (engine, connector) = self.connector(skew, commit_rows);
        self.upstream
            .lock()
            .note(format!("engine {engine} starts: {mode:?} {streams:?}, {concurrency} at once, {commit_rows} rows"));
        let request = IngestRequest::new([self.resource.clone()]).mode(mode).streams(streams).concurrency(concurrency);
        (engine, tokio::spawn(async move { connector.ingest(request).await }))
    }

    /// One step of everybody.
    async fn step(&mut self, live: &mut Vec<(Engine, JoinHandle<Result<IngestReport>>)>) {
        let (time, what, victim) = {
            let mut upstream = self.upstream.lock();
            (upstream.random.u64(0..600), upstream.random.u8(0..100), upstream.random.usize(0..ENGINES))
        };
        sleep(Duration::from_millis(time)).await;
        while let Some(ended) = live.iter().position(|(_, run)| run.is_finished()) {
            let (engine, run) = live.remove(ended);
            self.ended(engine, run.await);
        }
        match what {
            0..60 => self.upstream.lock().mutate(),
            60..84 if live.len() < ENGINES => live.push(self.start()),
            84..90 if victim < live.len() => {
                let (engine, run) = live.remove(victim);
                self.upstream.lock().note(format!("engine {engine} crashes"));
                run.abort();
                _ = run.await;
            }
            90..94 if victim < live.len() => {
                let mut upstream = self.upstream.lock();
                let until = Instant::now() + Duration::from_secs(upstream.random.u64(1..30));
                upstream.frozen.insert(live[victim].0, until);
                upstream.note(format!("engine {} stands still", live[victim].0));
            }
            94..96 => self.reset().await,
            _ => {}
        }
    }

    /// A user resets a stream.
    async fn reset(&mut self) {
        let stream = {
            let mut upstream = self.upstream.lock();
            let stream = STREAMS[upstream.random.usize(0..STREAMS.len())];
            upstream.note(format!("reset {stream}"));
            stream
        };
        let (_, connector) = self.connector(0, 1);
        // It fails if nothing was ever run, if the backend fails, or if another process has written the state meanwhile.
        let reset = connector.reset_streams(&self.resource, [stream]).await;
        self.upstream.lock().note(format!("reset: {reset:?}"));
    }

    fn ended(&self, engine: Engine, ended: std::result::Result<Result<IngestReport>, tokio::task::JoinError>) {
        let mut upstream = self.upstream.lock();
        match ended {
            Ok(Ok(report)) => {
                // Rule 26: nothing that `verify` has said is dropped, unless a run fails before it commits that.
                let owes = |error: &ErrorReport| error.message.starts_with("the list of `");
                if report.runs.iter().all(|run| run.error.as_ref().is_none_or(owes)) {
                    let answers =
                        upstream.answers.iter().filter(|((of, ..), answer)| *of == engine && answer.must_replace);
                    let dropped: Vec<_> =
                        answers.map(|(record, _)| format!("the answer about {record:?} was not stored")).collect();
                    upstream.faults.extend(dropped);
                }
                for run in report.runs {
                    let error = run.error.map(|error| error.message);
                    upstream.note(format!("engine {engine} ends {}: {:?} {error:?}", run.stream, run.status));
                    if !run.counts.add_up() {
                        upstream.faults.push(format!("the counts of {} do not add up: {:?}", run.stream, run.counts));
                    }
                }
            }
            Ok(Err(error)) => upstream.note(format!("engine {engine} fails: {error}")),
            Err(panic) => upstream.faults.push(format!("engine {engine} panicked: {panic}")),
        }
    }

    /// Runs all streams to their end while nothing changes.
    async fn run(&mut self, mode: Mode) {
        let (engine, connector) = self.connector(0, 5_000);
        self.upstream.lock().note(format!("engine {engine} runs alone: {mode:?}"));
        let request = IngestRequest::new([self.resource.clone()]).mode(mode).streams(STREAMS);
        let Ok(report) = timeout(ENDLESS, connector.ingest(request)).await else {
            self.upstream.lock().faults.push("a run does not end".to_owned());
            return;
        };
        let report = report.unwrap();
        let is_poisoned = !self.upstream.lock().broken.is_empty();
        for run in &report.runs {
            let may_fail = is_poisoned && [CHILDREN, GRANDCHILDREN].contains(&run.stream.as_str());
            if run.status != RunStatus::Complete && !may_fail {
                self.upstream
                    .lock()
                    .faults
                    .push(format!("a quiet run of {} ended as {:?}: {:?}", run.stream, run.status, run.error));
            }
        }
        self.ended(engine, Ok(Ok(report)));
        sleep(Duration::from_secs(20)).await;
    }

    async fn compare(&self, is_reconciled: bool) {
        let backend = (self.open)();
        let copy = {
            let upstream = self.upstream.lock();
            let traits = &upstream.traits;
            // Only a reconcile run finds these changes.
            if !is_reconciled && traits.breaks_promises {
                return;
            }
            upstream.snapshot()
        };
        let wrong = oracle::compare(&copy, backend.as_ref(), &self.resource, is_reconciled).await;
        let when = if is_reconciled { "after reconciling: " } else { "" };
        let mut upstream = self.upstream.lock();
        wrong.iter().for_each(|wrong| upstream.note(format!("WRONG {wrong}")));
        upstream.faults.extend(wrong.into_iter().map(|wrong| format!("{when}{wrong}")));
    }

    /// The largest checkpoint of the streams, in bytes.
    async fn largest_checkpoint(&self) -> usize {
        let backend = (self.open)();
        let mut largest = 0;
        for stream in STREAMS {
            let entry = backend.latest(&StateKey::new(self.resource.name(), stream)).await.unwrap();
            let checkpoint = entry.and_then(|entry| entry.state.checkpoint);
            largest = largest.max(checkpoint.map_or(0, |checkpoint| checkpoint.as_str().len()));
        }
        largest
    }

    /// Lets everything happen, then compares.
    async fn execute(&mut self) {
        (0..12).for_each(|_| self.upstream.lock().mutate());
        let mut live = Vec::new();
        for _ in 0..STEPS {
            self.step(&mut live).await;
        }
        for (_, run) in live {
            run.abort();
            _ = run.await;
        }
        self.upstream.lock().calm();
        sleep(Duration::from_secs(40)).await;
        for _ in 0..3 {
            self.run(Mode::Incremental).await;
        }
        self.compare(false).await;
        for mode in [Mode::Reconcile, Mode::Reconcile, Mode::Incremental, Mode::Incremental] {
            self.run(mode).await;
        }
        self.compare(true).await;
        let cost = |upstream: &Upstream| (upstream.requests.children, upstream.commits);
        let before = cost(&self.upstream.lock());
        self.run(Mode::Incremental).await;
        {
            let mut upstream = self.upstream.lock();
            let after = cost(&upstream);
            if upstream.broken.is_empty() && after != before {
                let message = format!("an idle run raises (child requests, commits) from {before:?} to {after:?}");
                upstream.faults.push(message);
            }
        }
        let largest = self.largest_checkpoint().await;
        if largest > MAX_CHECKPOINT {
            self.upstream.lock().faults.push(format!("a checkpoint has {largest} bytes"));
        }
    }
}

/// What is wrong with the upstream of a seed, and its history.
struct Outcome {
    faults: Vec<String>,
    history: Vec<String>,
    /// How many answers of `verify` have replaced a higher version outside reconcile runs.
    replacements: u64,
}

/// Lets the upstream of a seed happen.
fn outcome(seed: u64, open: Open) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut trial = Trial::new(seed, open);
        trial.execute().await;
        let upstream = trial.upstream.lock();
        let traits = format!("{:?}", upstream.traits);
        Outcome {
            faults: upstream.faults.clone(),
            history: std::iter::once(traits).chain(upstream.history.clone()).collect(),
            replacements: upstream.replacements,
        }
    })
}

fn check(cases: u64, mut make: impl FnMut() -> Open) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (cases, first) = (number("PROPTEST_CASES").unwrap_or(cases), number("PROPTEST_RNG_SEED").unwrap_or(0));
    let (mut failed, mut replaced) = (Vec::new(), 0);
    for seed in first..first + cases {
        let Outcome { faults, history, replacements } = outcome(seed, make());
        replaced += replacements;
        if !faults.is_empty() {
            failed.push((seed, faults, history));
        }
    }
    println!("{replaced} answers of `verify` have replaced a higher version outside reconcile runs");
    let Some((seed, _, history)) = failed.iter().min_by_key(|(_, _, history)| history.len()) else {
        assert!(
            replaced > 0 || cases < 200,
            "no answer of `verify` has replaced a higher version outside reconcile runs"
        );
        return;
    };
    println!("the history of seed {seed}:\n{}", history.join("\n"));
    for (seed, faults, _) in &failed {
        println!("seed {seed}: {faults:#?}");
    }
    panic!("{} of {cases} upstreams were not read correctly", failed.len());
}

#[test]
fn no_row_is_lost_stale_falsely_deleted_or_left_over_in_memory() {
    check(300, || {
        let memory = Memory::new();
        Box::new(move || Arc::new(memory.clone()))
    });
}

#[test]
fn no_row_is_lost_stale_falsely_deleted_or_left_over_in_sqlite() {
    check(60, || {
        let sqlite = Sqlite::in_memory().unwrap();
        Box::new(move || Arc::new(sqlite.clone()))
    });
}
