//! GitHub issues, read from an upstream that changes at every request.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use github_server::{GithubServer, Mutations};
use proptest::prelude::*;
use serde_json::{Value, json};
use snowfeed::engine::{Connector, IngestReport, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Backend, Limits, RunStatus};

use crate::crash::{CrashPoint, CrashSwitch, CrashingBackend, CrashingSource, crash_points};
use crate::destination::{Destination, FoundRow};
use crate::mutations::Mutation;

pub(crate) const WIDGETS: &str = "acme/widgets";
const GADGETS: &str = "acme/gadgets";

fn mutations(max: usize) -> impl Strategy<Value = Vec<(bool, Mutation)>> {
    let mutation = prop_oneof![
        2 => (1..5_u8).prop_map(Mutation::Create),
        4 => any::<u16>().prop_map(Mutation::Edit),
        2 => any::<u16>().prop_map(Mutation::Close),
        2 => (1..60_u8).prop_map(Mutation::Bulk),
        2 => any::<u16>().prop_map(Mutation::Delete),
        1 => any::<u16>().prop_map(Mutation::Hide),
        2 => any::<u16>().prop_map(Mutation::Transfer),
        1 => any::<u8>().prop_map(Mutation::RenameLabel),
        4 => (1..30_u8).prop_map(Mutation::Later),
    ];
    proptest::collection::vec((any::<bool>(), mutation), 0..=max)
}

fn background_mutations() -> impl Strategy<Value = Mutations> {
    // Less than a page per request: a list that changes faster than it is read cannot be read to its end.
    (0..4_u32, any::<bool>(), any::<bool>()).prop_map(|(changes, deletions, bulk_edits)| Mutations {
        changes,
        deletions,
        bulk_edits,
    })
}

#[derive(Debug, Clone)]
struct ProcessRun {
    mode: Mode,
    crash: CrashPoint,
    background: Mutations,
    before: Vec<(bool, Mutation)>,
    during: Vec<(bool, Mutation)>,
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    issues: [u32; 2],
    page_size: u32,
    concurrency: u8,
    commit_rows: usize,
    /// Whether an issue updated in the very second of `since` is listed: GitHub's documentation says both.
    inclusive: bool,
    processes: Vec<ProcessRun>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![2 => Just(Mode::Incremental), 1 => Just(Mode::Reconcile)];
    let process = (mode, crash_points(), background_mutations(), mutations(5), mutations(12));
    let process = process.prop_map(|(mode, crash, background, before, during)| ProcessRun {
        mode,
        crash,
        background,
        before,
        during,
    });
    let processes = proptest::collection::vec(process, 1..5);
    let shape = (any::<u64>(), [0..250_u32, 0..60_u32], 20..50_u32, 1..9_u8, 1..120_usize, any::<bool>());
    (shape, processes).prop_map(|((seed, issues, page_size, concurrency, commit_rows, inclusive), processes)| Case {
        seed,
        issues,
        page_size,
        concurrency,
        commit_rows,
        inclusive,
        processes,
    })
}

/// The raw documents of live rows by id, and the ids of deleted ones; fails when an id has two rows.
pub(crate) fn table(rows: Vec<FoundRow>) -> (BTreeMap<u64, String>, HashSet<u64>) {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: u64,
    }
    let (mut live, mut deleted) = (BTreeMap::new(), HashSet::new());
    for row in rows {
        let id = serde_json::from_str::<WithId>(&row.raw).unwrap().id;
        assert!(!live.contains_key(&id) && !deleted.contains(&id), "{id} has two rows");
        if row.deleted {
            deleted.insert(id);
        } else {
            live.insert(id, row.raw);
        }
    }
    (live, deleted)
}

/// The upstream's issues.
pub(crate) fn upstream_issues(upstream: &GithubServer, repository: &str) -> BTreeMap<u64, String> {
    upstream.snapshot(repository).into_iter().map(|issue| (issue.id, issue.text)).collect()
}

pub(crate) fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

/// A connector that reads the upstream.
pub(crate) fn connector<B: Backend>(
    source: impl Source,
    backend: Arc<B>,
    upstream: &GithubServer,
    page_size: u32,
) -> Connector {
    let settings = [("api_url".to_owned(), json!(upstream.url())), ("page_size".to_owned(), json!(page_size))];
    Connector::new(source, backend).with_settings(settings)
}

struct Trial {
    case: Case,
    upstream: Arc<GithubServer>,
    labels_renamed: Arc<Mutex<bool>>,
}

impl Trial {
    async fn run(
        &self,
        destination: &Destination,
        mode: Mode,
        switch: CrashSwitch,
        during: impl IntoIterator<Item = (bool, Mutation)>,
    ) -> Option<IngestReport> {
        let (upstream, renamed) = (self.upstream.clone(), self.labels_renamed.clone());
        let pending: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(during.into_iter().collect()));
        let meanwhile = move || {
            if let Some(mutation) = pending.lock().unwrap().pop_front() {
                apply(&upstream, mutation, &renamed);
            }
        };
        let source = CrashingSource { source: Arc::new(GithubIssues::default()), switch: switch.clone(), meanwhile };
        let backend = Arc::new(CrashingBackend { backend: destination.backend(), switch: switch.clone() });
        let limits = Limits::default().commit_rows(self.case.commit_rows).max_deleted_percent(100);
        let connector = connector(source, backend, &self.upstream, self.case.page_size)
            .with_settings([("concurrency".to_owned(), json!(self.case.concurrency))])
            .limits(limits);
        // A repository may lose all of its issues, or all of its pull requests: then there is nothing to compare with.
        let request = IngestRequest::new([resource(WIDGETS), resource(GADGETS)]).mode(mode).allow_deletions(true);
        let ingestion = tokio::time::timeout(Duration::from_secs(600), connector.ingest(request));
        Some(switch.run_until_crash(ingestion).await?.expect("the ingestion timed out").unwrap())
    }

    /// An undisturbed run, of a source that does not change.
    async fn run_undisturbed(&self, destination: &Destination, mode: Mode) -> IngestReport {
        self.upstream.set_mutations(Mutations::NONE);
        let report = self.run(destination, mode, CrashSwitch::new(None), []).await.unwrap();
        assert_complete(&report);
        report
    }

    /// Every issue has its current state, byte for byte except for renamed labels.
    async fn assert_nothing_lost(&self, destination: &Destination) {
        let renamed = *self.labels_renamed.lock().unwrap();
        for name in [WIDGETS, GADGETS] {
            let (live, _) = table(destination.rows(&resource(name), "issues").await);
            for (id, text) in upstream_issues(&self.upstream, name) {
                let stored = live.get(&id).unwrap_or_else(|| panic!("{id} of {name} is lost: {text}"));
                if renamed {
                    assert_eq!(without_labels(stored), without_labels(&text));
                } else {
                    assert_eq!(*stored, text);
                }
            }
        }
    }

    async fn assert_same(&self, destination: &Destination) {
        for name in [WIDGETS, GADGETS] {
            let (live, _) = table(destination.rows(&resource(name), "issues").await);
            assert!(live == upstream_issues(&self.upstream, name), "the table of {name} differs from the upstream");
        }
    }

    async fn execute(&self, mut destination: Destination) {
        let tables = GithubIssues::default().spec().streams;
        for process in &self.case.processes {
            process.before.iter().for_each(|mutation| apply(&self.upstream, *mutation, &self.labels_renamed));
            self.upstream.set_mutations(process.background);
            let ended =
                self.run(&destination, process.mode, CrashSwitch::new(process.crash), process.during.clone()).await;
            destination = destination.reopen().await;
            if let Some(report) = ended {
                assert_complete(&report);
            }
            // After any crash, the checkpoints are not ahead of the rows.
            let copy = destination.copy(&[resource(WIDGETS), resource(GADGETS)], &tables).await;
            self.run_undisturbed(&copy, Mode::Incremental).await;
            self.assert_nothing_lost(&copy).await;
        }
        self.run_undisturbed(&destination, Mode::Incremental).await;
        self.assert_nothing_lost(&destination).await;
        // The first run may resume a reconciliation from before the last deletions; only the next one finds those.
        for _ in 0..2 {
            self.run_undisturbed(&destination, Mode::Reconcile).await;
        }
        self.assert_same(&destination).await;
        let idle = self.run_undisturbed(&destination, Mode::Incremental).await;
        assert!(!idle.counts().wrote(), "an idle run wrote: {:?}", idle.counts());
    }
}

pub(crate) fn assert_complete(report: &IngestReport) {
    for run in &report.runs {
        assert_eq!((run.status, &run.error), (RunStatus::Complete, &None), "{}", run.resource);
        assert!(run.counts.add_up());
    }
}

fn without_labels(issue: &str) -> Value {
    let mut issue: Value = serde_json::from_str(issue).unwrap();
    issue.as_object_mut().unwrap().remove("labels");
    issue
}

fn apply(upstream: &GithubServer, (first, mutation): (bool, Mutation), labels_renamed: &Mutex<bool>) {
    let (repository, other) = if first { (WIDGETS, GADGETS) } else { (GADGETS, WIDGETS) };
    if matches!(mutation, Mutation::RenameLabel(_)) {
        *labels_renamed.lock().unwrap() = true;
    }
    mutation.apply(upstream, repository, other);
}

fn run(case: &Case, destination: impl FnOnce() -> Destination) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let upstream = GithubServer::builder()
            .seed(case.seed)
            .repository(WIDGETS, case.issues[0])
            .repository(GADGETS, case.issues[1])
            .since_inclusive(case.inclusive)
            .start()
            .await
            .unwrap();
        let trial = Trial { case: case.clone(), upstream: Arc::new(upstream), labels_renamed: Arc::default() };
        trial.execute(destination()).await;
    });
}

proptest! {
    #![proptest_config(crate::cases(24))]
    #[test]
    fn github_issues_survive_a_crash_anywhere_in_memory(case in any_case()) {
        run(&case, Destination::memory);
    }
}

proptest! {
    #![proptest_config(crate::cases(16))]
    #[test]
    fn github_issues_survive_a_crash_anywhere_in_sqlite(case in any_case()) {
        run(&case, Destination::sqlite);
    }
}
