//! A small data set, and thousands of process lifetimes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Limits, RunRecord, RunStatus};

use crate::crash::{CrashPoint, CrashSwitch, CrashingBackend, Watched, crash_points};
use crate::place::Place;
use crate::scenario::{Change, Reader, Scenario, TABLES, changes};

/// A process from its start to its end.
#[derive(Debug, Clone)]
struct Life {
    mode: Mode,
    crash: CrashPoint,
    before: Vec<Change>,
    during: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Case {
    begin: Vec<Change>,
    step: usize,
    commit_rows: usize,
    /// Rows and state are in different stores.
    apart: bool,
    lives: Vec<Life>,
}

fn lives() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![2 => Just(Mode::Incremental), 1 => Just(Mode::Reconcile)];
    let life = (mode, crash_points(), changes(6), changes(40));
    let life = life.prop_map(|(mode, crash, before, during)| Life { mode, crash, before, during });
    let lives = proptest::collection::vec(life, 1..6);
    (changes(120), 1..9_usize, 1..30_usize, any::<bool>(), lives)
        .prop_map(|(begin, step, commit_rows, apart, lives)| Case { begin, step, commit_rows, apart, lives })
}

/// The live documents and the keys of deleted ones; fails when a key has two rows.
async fn found(place: &Place, table: &str) -> (BTreeMap<u32, String>, Vec<u32>) {
    #[derive(serde::Deserialize)]
    struct Keyed {
        id: u32,
    }
    let (mut live, mut deleted) = (BTreeMap::new(), Vec::new());
    for row in place.rows(&world(), table).await {
        let key = serde_json::from_str::<Keyed>(&row.raw).unwrap().id;
        assert!(!live.contains_key(&key) && !deleted.contains(&key), "{key} is double");
        if row.deleted {
            deleted.push(key);
        } else {
            live.insert(key, row.raw);
        }
    }
    (live, deleted)
}

fn world() -> Resource {
    Resource::new("world").unwrap()
}

struct Trial {
    case: Case,
    scenario: Arc<Mutex<Scenario>>,
    skips: bool,
}

impl Trial {
    async fn run(&self, place: &Place, mode: Mode, switch: CrashSwitch) -> Option<RunRecord> {
        let reader = Reader { scenario: self.scenario.clone(), step: self.case.step, skips: self.skips };
        let source = Watched { source: Arc::new(reader), switch: switch.clone(), meanwhile: || () };
        let backend = Arc::new(CrashingBackend { backend: place.backend(), switch: switch.clone() });
        let connector = match self.case.apart {
            true => Connector::with_stores(source, backend.clone(), backend.clone(), backend),
            false => Connector::new(source, backend),
        };
        let connector = connector.limits(Limits::default().commit_rows(self.case.commit_rows).max_deleted_percent(100));
        let request = IngestRequest::new([world()]).mode(mode);
        let mut report = switch.run_until_crash(connector.ingest(request)).await?.unwrap();
        Some(report.runs.remove(0))
    }

    /// An undisturbed run.
    async fn run_undisturbed(&self, place: &Place, mode: Mode) -> RunRecord {
        let run = self.run(place, mode, CrashSwitch::new(None)).await.unwrap();
        assert_eq!((run.status, &run.error), (RunStatus::Complete, &None));
        assert!(run.counts.add_up());
        run
    }

    /// Every item has its current state, except for changes that only a reconcile run can find.
    async fn assert_nothing_lost(&self, place: &Place) {
        for table in TABLES {
            let (live, _) = found(place, table).await;
            let scenario = self.scenario.lock().unwrap();
            for (key, document) in scenario.documents(table) {
                let there = live.get(&key).unwrap_or_else(|| panic!("{key} is lost"));
                let version = |document: &str| document.split(r#","revision":"#).next().unwrap().to_owned();
                assert_eq!(version(there), version(&document), "an old state");
                assert!(scenario.changed_silently || *there == document, "{there} is not {document}");
            }
        }
    }

    /// The table equals the source.
    async fn assert_same(&self, place: &Place) {
        for table in TABLES {
            let found = found(place, table).await.0;
            assert_eq!(found, self.scenario.lock().unwrap().documents(table));
        }
    }

    async fn execute(&self, mut place: Place) {
        self.case.begin.iter().for_each(|change| self.scenario.lock().unwrap().change(*change));
        let tables = Reader { scenario: self.scenario.clone(), step: 1, skips: false }.spec().tables;
        for life in &self.case.lives {
            let then = {
                let mut scenario = self.scenario.lock().unwrap();
                life.before.iter().for_each(|change| scenario.change(*change));
                scenario.coming = life.during.clone().into();
                scenario.clone()
            };
            let ended = self.run(&place, life.mode, CrashSwitch::new(life.crash)).await;
            self.scenario.lock().unwrap().coming.clear();
            place = place.reopen().await;
            if let Some(run) = ended {
                assert_eq!((run.status, &run.error), (RunStatus::Complete, &None));
                for (key, thing) in then.things {
                    let (live, deleted) = found(&place, crate::scenario::table_of(key)).await;
                    let fresh = live.get(&key).is_some_and(|document| {
                        let document: serde_json::Value = serde_json::from_str(document).unwrap();
                        document["version"].as_i64().unwrap() >= thing.version
                    });
                    let gone = !self.scenario.lock().unwrap().things.contains_key(&key);
                    assert!(fresh || gone || deleted.contains(&key), "{key} was there when a complete run began");
                }
            }
            // After any crash: the checkpoint claims no more than the rows hold.
            let copy = place.copy(&[world()], &tables).await;
            self.run_undisturbed(&copy, Mode::Incremental).await;
            self.assert_nothing_lost(&copy).await;
        }
        self.run_undisturbed(&place, Mode::Incremental).await;
        self.assert_nothing_lost(&place).await;
        // A reconcile run that began before the last deletions is resumed first; only the next one finds those.
        let entry = place.backend().latest("world").await.unwrap();
        if entry.is_some_and(|entry| entry.state.reconcile.is_some()) {
            self.run_undisturbed(&place, Mode::Reconcile).await;
        }
        self.run_undisturbed(&place, Mode::Reconcile).await;
        self.assert_same(&place).await;
        let idle = self.run_undisturbed(&place, Mode::Incremental).await;
        assert!(!idle.counts.wrote(), "an idle run wrote: {:?}", idle.counts);
        let undisturbed = Place::memory();
        self.run_undisturbed(&undisturbed, Mode::Incremental).await;
        for table in TABLES {
            assert_eq!(found(&place, table).await.0, found(&undisturbed, table).await.0);
        }
    }
}

fn run(case: &Case, place: impl FnOnce() -> Place, skips: bool) {
    let trial = Trial { case: case.clone(), scenario: Arc::default(), skips };
    // Time is paused, so that the number of batches decides about commits, and not the clock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { trial.execute(place()).await });
}

proptest! {
    #![proptest_config(crate::cases(3_000))]
    #[test]
    fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_memory(case in lives()) {
        run(&case, Place::memory, false);
    }
}

proptest! {
    #![proptest_config(crate::cases(60))]
    #[test]
    fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_sqlite(case in lives()) {
        run(&case, Place::sqlite, false);
    }
}

/// Uses the wall clock: virtual time would run out while the test waits for the server.
#[cfg(feature = "snowflake")]
mod snowflake {
    use super::*;

    proptest! {
        #![proptest_config(crate::cases(8))]
        #[test]
        fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_snowflake(case in lives()) {
            if let Some(place) = Place::snowflake() {
                live_through_in(&case, place);
            }
        }

        #[test]
        fn a_crash_anywhere_ends_in_the_table_of_an_undisturbed_run_in_a_hostile_snowflake(case in lives()) {
            if let Some(place) = Place::hostile() {
                live_through_in(&case, place);
            }
        }
    }

    fn live_through_in(case: &Case, place: Place) {
        let trial = Trial { case: case.clone(), scenario: Arc::default(), skips: false };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { trial.execute(place).await });
    }
}

/// These tests can fail: they detect a source whose checkpoints skip records.
#[test]
fn a_checkpoint_that_skips_records_is_detected() {
    let mut runner = proptest::test_runner::TestRunner::new(crate::cases(300));
    let outcome = runner.run(&lives(), |case| {
        let lost = std::panic::catch_unwind(|| run(&case, Place::memory, true)).is_err();
        prop_assert!(!lost);
        Ok(())
    });
    assert!(outcome.is_err(), "300 cases, and nobody noticed what was lost");
}
