//! The engine, a backend and the GitHub source against a reference: any sequence of upstream changes, runs, crashes, parallel
//! runs, overlapping schedules, resets, failing streams, streams selected and deselected, and resources enabled and disabled. After
//! every step, the rows of every stream are what the reference allows.

mod comparison;
mod mirror;
mod reference;
mod scenario;
mod steps;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use github_server::GithubServer;
use proptest::prelude::*;
use serde_json::json;
use snowfeed::engine::{Connector, EnableRequest, Event, IngestReport, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Backend, Limits, RunId, RunRecord, RunStatus, StateEntry, StateKey};
use tokio_util::sync::CancellationToken;

use crate::crash::{CrashPoint, CrashSwitch, CrashingBackend, CrashingSource};
use crate::destination::{Destination, FoundRow};
use mirror::{MirroredIssues, STREAMS, StreamIndex};
use reference::{Coverage, Snapshot};
use scenario::Scenario;
use steps::{Ingestion, RepositoryIndex, RepositoryMutations, Step};

const NAMES: [&str; 2] = ["acme/widgets", "acme/gadgets"];

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    issues: [u32; 2],
    page_size: u32,
    concurrency: u8,
    commit_rows: usize,
    /// Whether an issue updated in the very second of `since` is listed.
    inclusive: bool,
    steps: Vec<Step>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let shape = (any::<u64>(), [0..60_u32, 0..20_u32], 8..30_u32, 1..6_u8, 1..40_usize, any::<bool>());
    (shape, steps::steps()).prop_map(|((seed, issues, page_size, concurrency, commit_rows, inclusive), steps)| Case {
        seed,
        issues,
        page_size,
        concurrency,
        commit_rows,
        inclusive,
        steps,
    })
}

/// The key of a stream of a repository.
fn key(which: RepositoryIndex, stream: StreamIndex) -> StateKey {
    StateKey::new(NAMES[which], STREAMS[stream])
}

/// Every stream of both repositories.
fn all_streams() -> impl Iterator<Item = (RepositoryIndex, StreamIndex)> {
    [0, 1].into_iter().flat_map(|which| [(which, 0), (which, 1)])
}

fn resource(which: RepositoryIndex) -> Resource {
    Resource::new(NAMES[which]).unwrap()
}

/// A run of these repositories, or of all enabled ones. A repository may lose all of its issues, so that there is nothing to compare
/// with: then the deletions need a confirmation.
fn request(named: impl IntoIterator<Item = RepositoryIndex>, mode: Mode) -> IngestRequest {
    IngestRequest::new(named.into_iter().map(resource)).mode(mode).allow_deletions(true)
}

struct Trial {
    case: Case,
    scenario: Arc<Scenario>,
    /// How far the clock of schedules was advanced, in hours.
    hours: Arc<AtomicI64>,
}

impl Trial {
    /// A connector to a backend, as a separate process would have it; changes happen while it reads.
    fn connector(
        &self,
        backend: Arc<dyn Backend>,
        switch: &CrashSwitch,
        failing: Option<StreamIndex>,
        meanwhile: RepositoryMutations,
    ) -> Connector {
        let scenario = Arc::clone(&self.scenario);
        let pending: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(meanwhile.into()));
        let meanwhile = move || {
            let next = pending.lock().unwrap().pop_front();
            if let Some((which, mutation)) = next {
                scenario.apply(which, mutation);
            }
        };
        let source = Arc::new(MirroredIssues::new(failing));
        let source = CrashingSource { source, switch: switch.clone(), meanwhile };
        let backend = Arc::new(CrashingBackend { backend, switch: switch.clone() });
        let case = &self.case;
        let settings = [
            ("api_url", json!(self.scenario.upstream.url())),
            ("page_size", json!(case.page_size)),
            ("concurrency", json!(case.concurrency)),
        ];
        Connector::new(source, backend)
            .with_settings(settings.map(|(name, value)| (name.to_owned(), value)))
            .limits(Limits::default().commit_rows(case.commit_rows).max_deleted_percent(100))
    }

    fn undisturbed(&self, destination: &Destination) -> Connector {
        self.connector(destination.backend(), &CrashSwitch::new(None), None, Vec::new())
    }

    /// Checks the invariants of the reference, and returns the rows of each stream of each resource.
    async fn assert_invariants(&self, destination: &Destination) -> [[Vec<FoundRow>; 2]; 2] {
        let backend = destination.backend();
        let now = self.scenario.snapshots();
        let mut all = <[[Vec<FoundRow>; 2]; 2]>::default();
        for (which, stream) in all_streams() {
            let rows = destination.rows(&resource(which), STREAMS[stream]).await;
            let state = backend.latest(&key(which, stream)).await.unwrap().map(|entry| entry.state);
            let checkpoint = state.as_ref().and_then(|state| state.checkpoint.as_ref());
            let checkpoint = checkpoint.map(|checkpoint| serde_json::from_str(checkpoint.as_str()).unwrap());
            self.scenario.reference(which, |reference| {
                reference.assert_invariants(stream, &now[which], &rows, checkpoint.as_ref());
                let known = &reference.streams[stream].reconcile;
                let reconcile = state.and_then(|state| state.reconcile).map(|reconcile| match known {
                    Some((id, gone)) if *id == reconcile.id => (reconcile.id, gone.clone()),
                    _ => (reconcile.id, reference.gone_before.clone()),
                });
                reference.streams[stream].reconcile = reconcile;
            });
            all[which][stream] = rows;
        }
        all
    }

    /// The selected streams of a repository.
    fn selected(&self, which: RepositoryIndex) -> Vec<StreamIndex> {
        self.scenario.reference(which, |reference| reference.selected.clone().unwrap_or_else(|| vec![0, 1]))
    }

    /// The streams that a run of these repositories reads.
    fn read_by(&self, named: &[RepositoryIndex]) -> Vec<(RepositoryIndex, StreamIndex)> {
        let is_read = |(which, stream): &(RepositoryIndex, StreamIndex)| {
            named.contains(which) && self.selected(*which).contains(stream)
        };
        all_streams().filter(is_read).collect()
    }

    /// Runs, and checks the outcome against the reference.
    async fn run(&self, destination: &Destination, named: &[RepositoryIndex], ingestion: &Ingestion) -> IngestReport {
        let Ingestion { mode, failing, meanwhile } = ingestion.clone();
        let connector = self.connector(destination.backend(), &CrashSwitch::new(None), failing, meanwhile);
        let before = self.begin(destination).await;
        let request = request(named.iter().copied(), mode);
        let report = with_timeout(connector.ingest(request)).await.unwrap();
        let named = if named.is_empty() { self.enabled() } else { named.to_vec() };
        self.assert_untouched(destination, &before, &self.read_by(&named), failing).await;
        self.assert_outcomes(&report, named, failing);
        self.end(destination, &before, &report.runs).await;
        report
    }

    /// Every selected stream was read, and only the failing one has failed.
    fn assert_outcomes(&self, report: &IngestReport, named: Vec<RepositoryIndex>, failing: Option<StreamIndex>) {
        let mut expected = self.read_by(&named);
        expected.sort_by_key(|(which, stream)| (NAMES[*which], STREAMS[*stream]));
        assert_eq!(report.runs.iter().map(indexes).collect::<Vec<_>>(), expected);
        for run in &report.runs {
            assert!(run.counts.add_up());
            if failing == Some(indexes(run).1) {
                assert_ne!(run.status, RunStatus::Complete);
                assert_eq!(run.error.as_ref().map(|error| error.kind), Some(ErrorKind::Unavailable), "{run:?}");
            } else {
                assert_eq!((run.status, &run.error), (RunStatus::Complete, &None), "{} ({})", run.resource, run.stream);
            }
        }
    }

    async fn step(&self, mut destination: Destination, step: &Step) -> Destination {
        for (which, now) in self.scenario.snapshots().iter().enumerate() {
            self.scenario.reference(which, |reference| reference.gone_before = reference.gone(now));
        }
        match step {
            Step::Mutate(which, mutation) => self.scenario.apply(*which, *mutation),
            Step::Run(named, ingestion) => {
                self.run(&destination, named, ingestion).await;
                named.iter().for_each(|which| self.scenario.reference(*which, |r| r.enabled = Some(true)));
            }
            Step::RunEnabled(ingestion) => self.run_enabled(&destination, ingestion).await,
            Step::Crash(ingestion, crash) => destination = self.crash(destination, ingestion, *crash).await,
            Step::Together(ingestion, other) => self.run_together(&destination, ingestion, *other).await,
            Step::Serve(meanwhile) => self.serve(&destination, meanwhile).await,
            Step::Reset(which) => {
                // An enabled resource can be reset even if it has never run.
                let keys = [key(*which, 0), key(*which, 1)];
                let statuses = destination.backend().latest_many(&keys).await.unwrap();
                let has_run = statuses.iter().any(|status| status.entry.is_some());
                let is_known = has_run || self.scenario.reference(*which, |reference| reference.enabled.is_some());
                let reset = self.undisturbed(&destination).reset(&resource(*which)).await;
                assert_eq!(reset.is_ok(), is_known, "{reset:?}");
            }
            Step::Enable(which) => {
                self.undisturbed(&destination).enable(EnableRequest::new(resource(*which))).await.unwrap();
                self.scenario.reference(*which, |reference| reference.enabled = Some(true));
            }
            Step::Select(which, streams) => {
                self.select(&destination, *which, streams).await;
            }
            Step::Disable(which) => {
                let disabled = self.undisturbed(&destination).disable(&resource(*which)).await.ok();
                self.scenario.reference(*which, |reference| {
                    assert_eq!(disabled, reference.enabled);
                    reference.enabled = disabled.map(|_| false);
                });
            }
        }
        self.assert_invariants(&destination).await;
        destination
    }

    async fn select(&self, destination: &Destination, which: RepositoryIndex, streams: &[StreamIndex]) {
        let names: Vec<&str> = streams.iter().map(|stream| STREAMS[*stream]).collect();
        let request = EnableRequest::new(resource(which)).streams(names);
        self.undisturbed(destination).enable(request).await.unwrap();
        self.scenario.reference(which, |reference| {
            (reference.enabled, reference.selected) = (Some(true), Some(streams.to_vec()));
        });
    }

    fn enabled(&self) -> Vec<RepositoryIndex> {
        let is_enabled =
            |which: &RepositoryIndex| self.scenario.reference(*which, |reference| reference.enabled == Some(true));
        [0, 1].into_iter().filter(is_enabled).collect()
    }

    async fn run_enabled(&self, destination: &Destination, ingestion: &Ingestion) {
        let enabled = self.enabled();
        if enabled.is_empty() {
            let refused = self.undisturbed(destination).ingest(IngestRequest::default()).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Configuration);
            return;
        }
        self.run(destination, &[], ingestion).await;
    }

    async fn crash(&self, destination: Destination, ingestion: &Ingestion, crash: CrashPoint) -> Destination {
        let switch = CrashSwitch::new(crash);
        let Ingestion { mode, failing, meanwhile } = ingestion.clone();
        let connector = self.connector(destination.backend(), &switch, failing, meanwhile);
        let before = self.begin(&destination).await;
        let request = request([0, 1], mode);
        let ended = switch.run_until_crash(with_timeout(connector.ingest(request))).await;
        drop(connector);
        let destination = destination.reopen().await;
        self.assert_untouched(&destination, &before, &self.read_by(&[0, 1]), failing).await;
        if let Some(report) = ended {
            let report = report.unwrap();
            self.assert_outcomes(&report, vec![0, 1], failing);
            self.end(&destination, &before, &report.runs).await;
        }
        // The run may have crashed before it enabled anything.
        let known = self.undisturbed(&destination).resources().await.unwrap();
        for which in [0, 1] {
            let enabled = known.iter().find(|(known, _)| *known == resource(which)).map(|(_, config)| config.enabled);
            self.scenario.reference(which, |reference| {
                assert!(enabled == Some(true) || enabled == reference.enabled, "{enabled:?}");
                reference.enabled = enabled;
            });
        }
        destination
    }

    async fn run_together(&self, destination: &Destination, ingestion: &Ingestion, other: Mode) {
        let before = self.begin(destination).await;
        let first = self.connector(destination.backend(), &CrashSwitch::new(None), None, ingestion.meanwhile.clone());
        let second = self.connector(destination.another(), &CrashSwitch::new(None), None, Vec::new());
        let both =
            futures::future::join(first.ingest(request([0, 1], ingestion.mode)), second.ingest(request([0, 1], other)));
        let (first, second) = with_timeout(both).await;
        let runs: Vec<RunRecord> =
            [first.unwrap(), second.unwrap()].into_iter().flat_map(|report| report.runs).collect();
        runs.iter().for_each(assert_complete_or_superseded);
        let read = self.read_by(&[0, 1]);
        for stream in &read {
            let mut its_runs = runs.iter().filter(|run| indexes(run) == *stream);
            assert!(its_runs.any(|run| run.status == RunStatus::Complete), "both runs were superseded: {runs:?}");
        }
        self.assert_untouched(destination, &before, &read, None).await;
        // A reconcile run that both processes worked on belongs to the one that began it.
        let incremental: Vec<RunRecord> = runs.into_iter().filter(|run| run.mode == Mode::Incremental).collect();
        self.end(destination, &before, &incremental).await;
        [0, 1].into_iter().for_each(|which| self.scenario.reference(which, |r| r.enabled = Some(true)));
    }

    /// Runs until each of two processes has ended six runs.
    async fn serve(&self, destination: &Destination, meanwhile: &RepositoryMutations) {
        if self.enabled().is_empty() {
            return;
        }
        let start = jiff::Timestamp::now();
        let serve = |backend, meanwhile| {
            let (cancel, ended) = (CancellationToken::new(), AtomicU32::new(0));
            let (stop, hours) = (cancel.clone(), Arc::clone(&self.hours));
            let running = Mutex::new(BTreeSet::new());
            let watch = move |event: &Event| match event {
                Event::Started { resource, stream, .. } => {
                    let key = StateKey::new(resource.name(), stream);
                    assert!(running.lock().unwrap().insert(key.clone()), "two runs of {key} overlap");
                }
                Event::Ended(run) => {
                    assert_complete_or_superseded(run);
                    running.lock().unwrap().remove(&StateKey::new(&run.resource, &run.stream));
                    if ended.fetch_add(1, Ordering::SeqCst) == 5 {
                        stop.cancel();
                    }
                }
                _ => {}
            };
            // Whenever the schedule is checked, everything is overdue.
            let clock = move || start + jiff::SignedDuration::from_hours(hours.fetch_add(1, Ordering::SeqCst));
            let connector = self.connector(backend, &CrashSwitch::new(None), None, meanwhile);
            let connector = connector.observer(watch).clock(clock);
            async move { connector.serve(2, cancel).await }
        };
        let both = futures::future::join(
            serve(destination.backend(), meanwhile.clone()),
            serve(destination.another(), Vec::new()),
        );
        let (first, second) = with_timeout(both).await;
        first.and(second).unwrap();
    }

    async fn execute(&self, mut destination: Destination) {
        for step in &self.case.steps {
            destination = self.step(destination, step).await;
        }
        for which in [0, 1] {
            self.select(&destination, which, &[0, 1]).await;
        }
        let quiet = |mode| Ingestion { mode, failing: None, meanwhile: Vec::new() };
        self.run(&destination, &[0, 1], &quiet(Mode::Incremental)).await;
        // The first run may resume an unfinished reconciliation.
        for _ in 0..2 {
            self.run(&destination, &[0, 1], &quiet(Mode::Reconcile)).await;
        }
        let idle = self.run(&destination, &[0, 1], &quiet(Mode::Incremental)).await;
        assert!(!idle.counts().wrote(), "an idle run wrote: {:?}", idle.counts());
    }
}

/// The stream that a run read.
fn indexes(run: &RunRecord) -> (RepositoryIndex, StreamIndex) {
    let which = NAMES.iter().position(|name| *name == run.resource).unwrap();
    (which, STREAMS.iter().position(|name| *name == run.stream).unwrap())
}

fn assert_complete_or_superseded(run: &RunRecord) {
    let superseded = run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Conflict);
    // A run that was asked to stop has not read everything.
    assert!(run.status == RunStatus::Complete || superseded || run.status == RunStatus::Interrupted, "{run:?}");
    assert!(run.counts.add_up());
}

async fn with_timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(600), future).await.expect("the operation timed out")
}

fn run(case: &Case, destination: impl FnOnce() -> Destination) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let [widgets, gadgets] = case.issues;
        let upstream = GithubServer::builder().seed(case.seed).since_inclusive(case.inclusive);
        let upstream = upstream.repository(NAMES[0], widgets).repository(NAMES[1], gadgets).start().await.unwrap();
        let scenario = Arc::new(Scenario::new(upstream, NAMES));
        Trial { case: case.clone(), scenario, hours: Arc::new(AtomicI64::new(1)) }.execute(destination()).await;
    });
}

proptest! {
    #![proptest_config(crate::fixed_cases(24))]
    #[test]
    fn any_sequence_of_steps_matches_the_model_in_memory(case in any_case()) {
        run(&case, Destination::memory);
    }
}

proptest! {
    #![proptest_config(crate::fixed_cases(16))]
    #[test]
    fn any_sequence_of_steps_matches_the_model_in_sqlite(case in any_case()) {
        run(&case, Destination::sqlite);
    }
}

#[cfg(feature = "snowflake")]
mod snowflake {
    use super::*;

    proptest! {
        #![proptest_config(crate::fixed_cases(4))]
        #[test]
        fn any_sequence_of_steps_matches_the_model_in_snowflake(case in any_case()) {
            if let Some(destination) = Destination::snowflake() {
                run(&case, || destination);
            }
        }
    }
}
