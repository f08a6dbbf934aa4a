//! A small data set, and thousands of processes that crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Limits, Namespace, RunRecord, RunStatus, StateEntry, StateKey};

use crate::crash::{CrashPoint, CrashSwitch, CrashingBackend, CrashingSource, crash_points};
use crate::destination::Destination;
use crate::scenario::{Change, STREAMS, Scenario, ScenarioSource, changes};

/// A process from its start to its end.
#[derive(Debug, Clone)]
struct ProcessRun {
    mode: Mode,
    crash: CrashPoint,
    /// The selected streams.
    streams: Vec<&'static str>,
    /// The stream that fails in this process, if any.
    failing: Option<&'static str>,
    before: Vec<Change>,
    during: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Case {
    initial: Vec<Change>,
    step: usize,
    commit_rows: usize,
    /// The number of streams that are read at once.
    concurrency: usize,
    /// Rows and state are in different stores.
    split_stores: bool,
    processes: Vec<ProcessRun>,
}

fn any_process() -> impl Strategy<Value = ProcessRun> {
    let mode = prop_oneof![2 => Just(Mode::Incremental), 1 => Just(Mode::Reconcile)];
    let streams = prop_oneof![
        2 => Just(STREAMS.to_vec()),
        1 => proptest::sample::subsequence(STREAMS.to_vec(), 1..=STREAMS.len()),
    ];
    let failing = prop_oneof![3 => Just(None), 1 => proptest::sample::select(STREAMS.to_vec()).prop_map(Some)];
    (mode, crash_points(), streams, failing, changes(6), changes(40)).prop_map(
        |(mode, crash, streams, failing, before, during)| ProcessRun { mode, crash, streams, failing, before, during },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let processes = proptest::collection::vec(any_process(), 1..6);
    (changes(120), 1..9_usize, 1..30_usize, 1..4_usize, any::<bool>(), processes).prop_map(
        |(initial, step, commit_rows, concurrency, split_stores, processes)| Case {
            initial,
            step,
            commit_rows,
            concurrency,
            split_stores,
            processes,
        },
    )
}

/// The rows of a stream.
#[derive(Debug, PartialEq)]
struct Found {
    live: BTreeMap<u32, String>,
    /// The keys of deleted rows.
    deleted: BTreeSet<u32>,
}

/// The rows of a stream; fails when a key has two.
async fn found(destination: &Destination, stream: &str) -> Found {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: u32,
    }
    let (mut live, mut deleted) = (BTreeMap::new(), BTreeSet::new());
    for row in destination.rows(&resource(), stream).await {
        let key = serde_json::from_str::<WithId>(&row.raw).unwrap().id;
        assert_eq!(crate::scenario::stream_of(key), stream, "{key} is in the table of another stream");
        assert!(!live.contains_key(&key) && !deleted.contains(&key), "{key} has two rows");
        if row.deleted {
            deleted.insert(key);
        } else {
            live.insert(key, row.raw);
        }
    }
    Found { live, deleted }
}

fn resource() -> Resource {
    Resource::new("items").unwrap()
}

fn key(stream: &str) -> StateKey {
    StateKey::new("items", stream)
}

/// What a process must not touch: a stream that is not selected keeps its rows and its state, and of a stream that fails, nothing
/// is deleted.
struct Untouched {
    stream: &'static str,
    is_selected: bool,
    rows: Found,
    state: Option<StateEntry>,
}

struct Trial {
    case: Case,
    scenario: Arc<Mutex<Scenario>>,
    skips_records: bool,
}

impl Trial {
    /// Selects these streams.
    async fn select(&self, destination: &Destination, streams: &[&str]) {
        let config = serde_json::json!({"enabled": true, "streams": streams});
        destination.backend().put(Namespace::Resource, "items", &config).await.unwrap();
    }

    /// The runs of the selected streams, unless the process crashes.
    async fn run(
        &self,
        destination: &Destination,
        mode: Mode,
        failing: Option<&'static str>,
        switch: CrashSwitch,
    ) -> Option<Vec<RunRecord>> {
        let source = ScenarioSource {
            scenario: self.scenario.clone(),
            step: self.case.step,
            failing,
            skips_records: self.skips_records,
        };
        let source = CrashingSource { source: Arc::new(source), switch: switch.clone(), meanwhile: || () };
        let backend = Arc::new(CrashingBackend { backend: destination.backend(), switch: switch.clone() });
        let connector = match self.case.split_stores {
            true => Connector::with_stores(source, backend.clone(), backend.clone(), backend),
            false => Connector::new(source, backend),
        };
        let connector = connector.limits(Limits::default().commit_rows(self.case.commit_rows).max_deleted_percent(100));
        let request = IngestRequest::new([resource()]).mode(mode).concurrency(self.case.concurrency);
        Some(switch.run_until_crash(connector.ingest(request)).await?.unwrap().runs)
    }

    /// Undisturbed runs of all streams.
    async fn run_undisturbed(&self, destination: &Destination, mode: Mode) -> Vec<RunRecord> {
        self.select(destination, &STREAMS).await;
        let runs = self.run(destination, mode, None, CrashSwitch::new(None)).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.stream.as_str()).collect::<Vec<_>>(), STREAMS);
        for run in &runs {
            assert_eq!((run.status, &run.error), (RunStatus::Complete, &None), "{}", run.stream);
            assert!(run.counts.add_up());
        }
        runs
    }

    /// Every item has its current state, except for changes that only a reconcile run can find.
    async fn assert_nothing_lost(&self, destination: &Destination) {
        for stream in STREAMS {
            let Found { live, .. } = found(destination, stream).await;
            let scenario = self.scenario.lock().unwrap();
            for (key, document) in scenario.documents(stream) {
                let stored = live.get(&key).unwrap_or_else(|| panic!("{key} is lost"));
                let version = |document: &str| document.split(r#","revision":"#).next().unwrap().to_owned();
                assert_eq!(version(stored), version(&document), "{key} has an old version");
                assert!(scenario.changed_silently || *stored == document, "{stored} differs from {document}");
            }
        }
    }

    /// The tables equal the source.
    async fn assert_same(&self, destination: &Destination) {
        for stream in STREAMS {
            let found = found(destination, stream).await.live;
            assert_eq!(found, self.scenario.lock().unwrap().documents(stream));
        }
    }

    /// The streams that this process neither reads nor may delete rows of, as they are now.
    async fn untouched(&self, destination: &Destination, process: &ProcessRun) -> Vec<Untouched> {
        let mut untouched = Vec::new();
        for stream in STREAMS {
            let is_selected = process.streams.contains(&stream);
            if !is_selected || process.failing == Some(stream) {
                let rows = found(destination, stream).await;
                let state = destination.backend().latest(&key(stream)).await.unwrap();
                untouched.push(Untouched { stream, is_selected, rows, state });
            }
        }
        untouched
    }

    async fn assert_untouched(&self, destination: &Destination, before: Vec<Untouched>) {
        for Untouched { stream, is_selected, rows, state } in before {
            let now = found(destination, stream).await;
            if is_selected {
                assert!(now.deleted.is_subset(&rows.deleted), "the failing stream {stream} deleted rows");
            } else {
                assert_eq!(now, rows, "{stream} is not selected");
                assert_eq!(
                    destination.backend().latest(&key(stream)).await.unwrap(),
                    state,
                    "{stream} is not selected"
                );
            }
        }
    }

    /// No row was deleted whose item has existed all the time.
    async fn assert_none_falsely_deleted(&self, destination: &Destination) {
        for stream in STREAMS {
            let Found { deleted, .. } = found(destination, stream).await;
            let scenario = self.scenario.lock().unwrap();
            // Keys are never used again.
            let falsely: Vec<u32> = deleted.into_iter().filter(|key| scenario.items.contains_key(key)).collect();
            assert!(falsely.is_empty(), "{falsely:?} were marked deleted");
        }
    }

    /// A complete run has stored every item of its stream that existed when it began.
    async fn assert_covers(&self, destination: &Destination, run: &RunRecord, at_start: &Scenario) {
        let Found { live, deleted } = found(destination, &run.stream).await;
        let of_stream = at_start.items.iter().filter(|(key, _)| crate::scenario::stream_of(**key) == run.stream);
        for (key, item) in of_stream {
            let is_current = live.get(key).is_some_and(|document| {
                let document: serde_json::Value = serde_json::from_str(document).unwrap();
                document["version"].as_i64().unwrap() >= item.version
            });
            let is_gone = !self.scenario.lock().unwrap().items.contains_key(key);
            assert!(
                is_current || is_gone || deleted.contains(key),
                "a complete run missed {key}, which existed when it began"
            );
        }
    }

    async fn execute(&self, mut destination: Destination) {
        self.case.initial.iter().for_each(|change| self.scenario.lock().unwrap().change(*change));
        let source = ScenarioSource { scenario: self.scenario.clone(), step: 1, failing: None, skips_records: false };
        let streams = source.spec().streams;
        for process in &self.case.processes {
            let at_start = {
                let mut scenario = self.scenario.lock().unwrap();
                process.before.iter().for_each(|change| scenario.change(*change));
                scenario.pending = process.during.clone().into();
                scenario.clone()
            };
            self.select(&destination, &process.streams).await;
            let untouched = self.untouched(&destination, process).await;
            let ended = self.run(&destination, process.mode, process.failing, CrashSwitch::new(process.crash)).await;
            self.scenario.lock().unwrap().pending.clear();
            destination = destination.reopen().await;
            self.assert_untouched(&destination, untouched).await;
            self.assert_none_falsely_deleted(&destination).await;
            if let Some(runs) = ended {
                assert_eq!(runs.iter().map(|run| run.stream.as_str()).collect::<Vec<_>>(), process.streams);
                for run in runs {
                    if process.failing == Some(run.stream.as_str()) {
                        let error = run.error.as_ref().unwrap();
                        assert!(error.kind == ErrorKind::Unavailable && run.status != RunStatus::Complete, "{run:?}");
                    } else {
                        assert_eq!((run.status, &run.error), (RunStatus::Complete, &None), "{}", run.stream);
                        self.assert_covers(&destination, &run, &at_start).await;
                    }
                }
            }
            // After any crash, the checkpoints are not ahead of the rows.
            let copy = destination.copy(&[resource()], &streams).await;
            self.run_undisturbed(&copy, Mode::Incremental).await;
            self.assert_nothing_lost(&copy).await;
        }
        self.run_undisturbed(&destination, Mode::Incremental).await;
        self.assert_nothing_lost(&destination).await;
        // The first run may resume a reconciliation from before the last deletions; only the next one finds those.
        let mut is_reconciling = false;
        for stream in STREAMS {
            let entry = destination.backend().latest(&key(stream)).await.unwrap();
            is_reconciling |= entry.is_some_and(|entry| entry.state.reconcile.is_some());
        }
        if is_reconciling {
            self.run_undisturbed(&destination, Mode::Reconcile).await;
        }
        self.run_undisturbed(&destination, Mode::Reconcile).await;
        self.assert_same(&destination).await;
        for idle in self.run_undisturbed(&destination, Mode::Incremental).await {
            assert!(!idle.counts.wrote(), "an idle run wrote: {:?}", idle.counts);
        }
        let undisturbed = Destination::memory();
        self.run_undisturbed(&undisturbed, Mode::Incremental).await;
        for stream in STREAMS {
            assert_eq!(found(&destination, stream).await.live, found(&undisturbed, stream).await.live);
        }
    }
}

fn run(case: &Case, destination: impl FnOnce() -> Destination, skips_records: bool) {
    let trial = Trial { case: case.clone(), scenario: Arc::default(), skips_records };
    // Time is paused, so that the number of batches determines the commits, not the clock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { trial.execute(destination()).await });
}

proptest! {
    #![proptest_config(crate::cases(3_000))]
    #[test]
    fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_memory(case in any_case()) {
        run(&case, Destination::memory, false);
    }
}

proptest! {
    #![proptest_config(crate::cases(60))]
    #[test]
    fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_sqlite(case in any_case()) {
        run(&case, Destination::sqlite, false);
    }
}

/// Uses the wall clock: virtual time would run out while the test waits for the server.
#[cfg(feature = "snowflake")]
mod snowflake {
    use super::*;

    proptest! {
        #![proptest_config(crate::cases(8))]
        #[test]
        fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_snowflake(case in any_case()) {
            if let Some(destination) = Destination::snowflake() {
                run_in_real_time(&case, destination);
            }
        }

        #[test]
        fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_a_hostile_snowflake(case in any_case()) {
            if let Some(destination) = Destination::hostile() {
                run_in_real_time(&case, destination);
            }
        }
    }

    fn run_in_real_time(case: &Case, destination: Destination) {
        let trial = Trial { case: case.clone(), scenario: Arc::default(), skips_records: false };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { trial.execute(destination).await });
    }
}

/// The tests above detect a source whose checkpoints skip records.
#[test]
fn a_checkpoint_that_skips_records_is_detected() {
    let mut runner = proptest::test_runner::TestRunner::new(crate::cases(300));
    let outcome = runner.run(&any_case(), |case| {
        let failed = std::panic::catch_unwind(|| run(&case, Destination::memory, true)).is_err();
        prop_assert!(!failed);
        Ok(())
    });
    assert!(outcome.is_err(), "300 cases did not detect the lost records");
}
