//! A small data set, and thousands of processes that crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Limits, RunRecord, RunStatus};

use crate::crash::{CrashPoint, CrashSwitch, CrashingBackend, CrashingSource, crash_points};
use crate::destination::Destination;
use crate::scenario::{Change, Scenario, ScenarioSource, TABLES, changes};

/// A process from its start to its end.
#[derive(Debug, Clone)]
struct ProcessRun {
    mode: Mode,
    crash: CrashPoint,
    before: Vec<Change>,
    during: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Case {
    initial: Vec<Change>,
    step: usize,
    commit_rows: usize,
    /// Rows and state are in different stores.
    split_stores: bool,
    processes: Vec<ProcessRun>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![2 => Just(Mode::Incremental), 1 => Just(Mode::Reconcile)];
    let process = (mode, crash_points(), changes(6), changes(40));
    let process = process.prop_map(|(mode, crash, before, during)| ProcessRun { mode, crash, before, during });
    let processes = proptest::collection::vec(process, 1..6);
    (changes(120), 1..9_usize, 1..30_usize, any::<bool>(), processes).prop_map(
        |(initial, step, commit_rows, split_stores, processes)| Case {
            initial,
            step,
            commit_rows,
            split_stores,
            processes,
        },
    )
}

/// The live documents and the keys of deleted ones; fails when a key has two rows.
async fn found(destination: &Destination, table: &str) -> (BTreeMap<u32, String>, Vec<u32>) {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: u32,
    }
    let (mut live, mut deleted) = (BTreeMap::new(), Vec::new());
    for row in destination.rows(&resource(), table).await {
        let key = serde_json::from_str::<WithId>(&row.raw).unwrap().id;
        assert!(!live.contains_key(&key) && !deleted.contains(&key), "{key} has two rows");
        if row.deleted {
            deleted.push(key);
        } else {
            live.insert(key, row.raw);
        }
    }
    (live, deleted)
}

fn resource() -> Resource {
    Resource::new("items").unwrap()
}

struct Trial {
    case: Case,
    scenario: Arc<Mutex<Scenario>>,
    skips_records: bool,
}

impl Trial {
    async fn run(&self, destination: &Destination, mode: Mode, switch: CrashSwitch) -> Option<RunRecord> {
        let source =
            ScenarioSource { scenario: self.scenario.clone(), step: self.case.step, skips_records: self.skips_records };
        let source = CrashingSource { source: Arc::new(source), switch: switch.clone(), meanwhile: || () };
        let backend = Arc::new(CrashingBackend { backend: destination.backend(), switch: switch.clone() });
        let connector = match self.case.split_stores {
            true => Connector::with_stores(source, backend.clone(), backend.clone(), backend),
            false => Connector::new(source, backend),
        };
        let connector = connector.limits(Limits::default().commit_rows(self.case.commit_rows).max_deleted_percent(100));
        let request = IngestRequest::new([resource()]).mode(mode);
        let mut report = switch.run_until_crash(connector.ingest(request)).await?.unwrap();
        Some(report.runs.remove(0))
    }

    /// An undisturbed run.
    async fn run_undisturbed(&self, destination: &Destination, mode: Mode) -> RunRecord {
        let run = self.run(destination, mode, CrashSwitch::new(None)).await.unwrap();
        assert_eq!((run.status, &run.error), (RunStatus::Complete, &None));
        assert!(run.counts.add_up());
        run
    }

    /// Every item has its current state, except for changes that only a reconcile run can find.
    async fn assert_nothing_lost(&self, destination: &Destination) {
        for table in TABLES {
            let (live, _) = found(destination, table).await;
            let scenario = self.scenario.lock().unwrap();
            for (key, document) in scenario.documents(table) {
                let stored = live.get(&key).unwrap_or_else(|| panic!("{key} is lost"));
                let version = |document: &str| document.split(r#","revision":"#).next().unwrap().to_owned();
                assert_eq!(version(stored), version(&document), "{key} has an old version");
                assert!(scenario.changed_silently || *stored == document, "{stored} differs from {document}");
            }
        }
    }

    /// The table equals the source.
    async fn assert_same(&self, destination: &Destination) {
        for table in TABLES {
            let found = found(destination, table).await.0;
            assert_eq!(found, self.scenario.lock().unwrap().documents(table));
        }
    }

    async fn execute(&self, mut destination: Destination) {
        self.case.initial.iter().for_each(|change| self.scenario.lock().unwrap().change(*change));
        let tables = ScenarioSource { scenario: self.scenario.clone(), step: 1, skips_records: false }.spec().streams;
        for process in &self.case.processes {
            let at_start = {
                let mut scenario = self.scenario.lock().unwrap();
                process.before.iter().for_each(|change| scenario.change(*change));
                scenario.pending = process.during.clone().into();
                scenario.clone()
            };
            let ended = self.run(&destination, process.mode, CrashSwitch::new(process.crash)).await;
            self.scenario.lock().unwrap().pending.clear();
            destination = destination.reopen().await;
            if let Some(run) = ended {
                assert_eq!((run.status, &run.error), (RunStatus::Complete, &None));
                for (key, item) in at_start.items {
                    let (live, deleted) = found(&destination, crate::scenario::table_of(key)).await;
                    let is_current = live.get(&key).is_some_and(|document| {
                        let document: serde_json::Value = serde_json::from_str(document).unwrap();
                        document["version"].as_i64().unwrap() >= item.version
                    });
                    let is_gone = !self.scenario.lock().unwrap().items.contains_key(&key);
                    assert!(
                        is_current || is_gone || deleted.contains(&key),
                        "a complete run missed {key}, which existed when it began"
                    );
                }
            }
            // After any crash, the checkpoint is not ahead of the rows.
            let copy = destination.copy(&[resource()], &tables).await;
            self.run_undisturbed(&copy, Mode::Incremental).await;
            self.assert_nothing_lost(&copy).await;
        }
        self.run_undisturbed(&destination, Mode::Incremental).await;
        self.assert_nothing_lost(&destination).await;
        // The first run may resume a reconciliation from before the last deletions; only the next one finds those.
        let entry = destination.backend().latest("items").await.unwrap();
        if entry.is_some_and(|entry| entry.state.reconcile.is_some()) {
            self.run_undisturbed(&destination, Mode::Reconcile).await;
        }
        self.run_undisturbed(&destination, Mode::Reconcile).await;
        self.assert_same(&destination).await;
        let idle = self.run_undisturbed(&destination, Mode::Incremental).await;
        assert!(!idle.counts.wrote(), "an idle run wrote: {:?}", idle.counts);
        let undisturbed = Destination::memory();
        self.run_undisturbed(&undisturbed, Mode::Incremental).await;
        for table in TABLES {
            assert_eq!(found(&destination, table).await.0, found(&undisturbed, table).await.0);
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
