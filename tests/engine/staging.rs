//! Records that a sink stages while the source is read: when they are committed, and with what.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{
    Commit, CommitReport, ConfigStore, Limits, Mode, Namespace, OutstandingRejects, RejectQuery, RunId, RunQuery,
    RunRecord, RunStatus, Sink, Stage, StagedRecords, StateChange, StateEntry, StateKey, StateStore, StateVersion,
    StoredRecord, UnseenQuery,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, batch, ingest, key, keys, live, resource};

const COMMIT_AFTER: Duration = Duration::from_secs(60);

/// A backend in memory that stages records, and notes the sizes of its commits.
#[derive(Debug, Clone, Default)]
struct Staging {
    memory: Memory,
    /// The records that were staged, and those that came with the commit.
    commits: Arc<Mutex<Vec<(usize, usize)>>>,
    /// The number of records that fill a stage.
    full: Option<usize>,
    /// Whether stages cannot be written.
    fails: bool,
    /// The number of records that have been staged.
    staged: Arc<watch::Sender<usize>>,
    /// The number of records that must have been staged before tables are created.
    tables_after: usize,
    /// Whether tables cannot be created.
    refuses_tables: bool,
}

impl Staging {
    /// A connector that stages every batch.
    fn connector(&self, source: &Scripted) -> Connector {
        Connector::new(source.clone(), Arc::new(self.clone()))
    }

    fn commits(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut *self.commits.lock().unwrap())
    }
}

/// Keeps the records in memory. It accepts each key once.
#[derive(Debug)]
struct MemoryStage {
    records: Vec<Record>,
    full: Option<usize>,
    fails: bool,
    staged: Arc<watch::Sender<usize>>,
}

#[async_trait]
impl Stage for MemoryStage {
    fn accepts(&self, records: &[Record]) -> bool {
        let all: Vec<&str> = self.records.iter().chain(records).map(|record| record.key.as_str()).collect();
        all.iter().enumerate().all(|(at, key)| !all[..at].contains(key))
    }

    async fn add(&mut self, records: Vec<Record>) -> Result<()> {
        if self.fails {
            return Err(Error::unavailable("the stage is full"));
        }
        self.staged.send_modify(|staged| *staged += records.len());
        self.records.extend(records);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.full.is_some_and(|full| self.records.len() >= full)
    }

    async fn finish(self: Box<Self>) -> Result<StagedRecords> {
        Ok(StagedRecords::new(self.records.len() as u64, self.records))
    }
}

#[async_trait]
impl Sink for Staging {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.staged.subscribe().wait_for(|staged| *staged >= self.tables_after).await.unwrap();
        if self.refuses_tables {
            return Err(Error::configuration("the role may not create tables"));
        }
        self.memory.ensure_streams(resource, streams).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<CommitReport> {
        commit.validate()?;
        for part in &mut commit.parts {
            let staged = part.staged.take();
            let staged = staged.as_ref().map(|staged| staged.content::<Vec<Record>>().unwrap().clone());
            let staged = staged.unwrap_or_default();
            self.commits.lock().unwrap().push((staged.len(), part.records.len()));
            part.records.extend(staged);
        }
        self.memory.commit(commit).await
    }

    async fn stage(&self, _: &Resource, _: &str, _: RunId) -> Result<Box<dyn Stage>> {
        Ok(Box::new(MemoryStage {
            records: Vec::new(),
            full: self.full,
            fails: self.fails,
            staged: self.staged.clone(),
        }))
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        Sink::rejects(&self.memory, query).await
    }

    /// Every batch is a buffer of its own.
    fn limits(&self) -> Limits {
        Limits::default().commit_rows(1).commit_after(COMMIT_AFTER).stage(true)
    }
}

#[async_trait]
impl ConfigStore for Staging {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        self.memory.get(namespace, key).await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.memory.put(namespace, key, value).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.memory.remove(namespace, key).await
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.memory.list(namespace).await
    }
}

#[async_trait]
impl StateStore for Staging {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.memory.append(change).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.memory.latest(key).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        self.memory.history(key, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.memory.runs(query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        self.memory.prune(key, keep).await
    }

    fn is_metered(&self) -> bool {
        true
    }
}

/// Where the stream of the resource `r` resumes.
async fn resumes_at(staging: &Staging) -> Option<usize> {
    let entry = staging.memory.latest(&key("r")).await.unwrap()?;
    entry.state.checkpoint.map(|checkpoint| checkpoint.parse().unwrap())
}

fn three_batches() -> Vec<Step> {
    vec![Step::Batch(&["a"], 1), Step::Batch(&["b", "c"], 1), Step::Batch(&["d"], 1)]
}

#[tokio::test]
async fn all_that_is_staged_is_one_commit_at_the_end() {
    let (staging, source) = (Staging::default(), Scripted::new(three_batches()));
    let run = ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!((run.status, run.commits, run.counts.inserted), (RunStatus::Complete, 1, 4));
    assert_eq!((staging.commits(), resumes_at(&staging).await), (vec![(4, 0)], Some(3)));
    assert_eq!(live(&staging.memory), keys(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_first_read_stages_while_the_tables_are_created() {
    let staging = Staging { tables_after: 3, ..Staging::default() };
    let connector = staging.connector(&Scripted::new(three_batches()));
    let run = tokio::time::timeout(COMMIT_AFTER, ingest(&connector, Mode::Incremental)).await.unwrap();
    assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 4));
    assert_eq!(staging.commits(), [(4, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_tables_cannot_be_created_stops_reading() {
    let steps = vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Hang];
    let staging = Staging { tables_after: 1, refuses_tables: true, ..Staging::default() };
    let connector = staging.connector(&Scripted::new(steps));
    let run = tokio::time::timeout(COMMIT_AFTER, ingest(&connector, Mode::Incremental)).await.unwrap();
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0));
    assert_eq!(run.error.unwrap().message, "the role may not create tables");
}

#[tokio::test]
async fn a_small_run_stages_nothing() {
    let (staging, source) = (Staging::default(), Scripted::new(vec![Step::Batch(&["a", "b"], 1)]));
    ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!(staging.commits(), [(0, 2)]);
}

#[tokio::test]
async fn a_full_stage_is_committed() {
    let (staging, source) = (Staging { full: Some(3), ..Staging::default() }, Scripted::new(three_batches()));
    ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!(staging.commits(), [(3, 0), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_staged_is_committed_in_time_while_the_source_is_silent() {
    let steps = vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Hang];
    let (staging, source) = (Staging::default(), Scripted::new(steps));
    let connector = staging.connector(&source);
    let (began, cancel) = (Instant::now(), CancellationToken::new());
    let request = IngestRequest::new([resource("r")]).cancel(cancel.clone());
    let watch = async {
        tokio::time::sleep(COMMIT_AFTER - Duration::from_secs(1)).await;
        assert_eq!(staging.commits(), []);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((staging.commits(), resumes_at(&staging).await), (vec![(2, 0)], Some(2)));
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(connector.ingest(request), watch);
    assert_eq!(report.unwrap().runs[0].status, RunStatus::Interrupted);
    assert!(began.elapsed() < 2 * COMMIT_AFTER);
}

#[tokio::test]
async fn what_is_staged_before_an_error_is_committed() {
    let steps = vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Fail(ErrorKind::Unavailable, "down")];
    let (staging, source) = (Staging::default(), Scripted::new(steps));
    let run = ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!((run.status, run.commits, run.counts.inserted), (RunStatus::Partial, 1, 2));
    assert_eq!((staging.commits(), resumes_at(&staging).await), (vec![(2, 0)], Some(2)));
}

#[tokio::test]
async fn an_interrupted_run_commits_what_is_staged() {
    let steps = vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Hang];
    let (staging, source) = (Staging::default(), Scripted::new(steps));
    let (connector, cancel) = (staging.connector(&source), CancellationToken::new());
    let request = IngestRequest::new([resource("r")]).cancel(cancel.clone());
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(connector.ingest(request), stop);
    assert_eq!(report.unwrap().runs[0].status, RunStatus::Interrupted);
    assert_eq!(live(&staging.memory), keys(&[("a", 1), ("b", 1)]));
    assert_eq!(resumes_at(&staging).await, Some(2));
}

#[tokio::test]
async fn a_stage_that_fails_fails_the_run_and_commits_nothing() {
    let (staging, source) = (Staging { fails: true, ..Staging::default() }, Scripted::new(three_batches()));
    let run = ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0));
    assert!(run.error.unwrap().message.contains("the stage is full"));
    assert_eq!((staging.commits(), resumes_at(&staging).await), (vec![], None));
    let run = ingest(&Staging { fails: false, ..staging.clone() }.connector(&source), Mode::Incremental).await;
    assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 4));
}

#[tokio::test]
async fn records_that_the_stage_does_not_accept_are_committed_after_it() {
    let steps = vec![
        // Repeats a key in itself.
        Step::Batch(&["e", "e"], 1),
        Step::Batch(&["a"], 1),
        Step::Batch(&["b"], 1),
        Step::Batch(&["a"], 2),
        Step::Batch(&["c"], 1),
    ];
    let (staging, source) = (Staging::default(), Scripted::new(steps));
    let run = ingest(&staging.connector(&source), Mode::Incremental).await;
    assert_eq!((run.counts.inserted, run.counts.updated, run.counts.unchanged), (4, 1, 1));
    assert_eq!(staging.commits(), [(0, 2), (2, 0), (0, 1), (0, 1)]);
    assert_eq!(live(&staging.memory), keys(&[("a", 2), ("b", 1), ("c", 1), ("e", 1)]));
}

#[tokio::test]
async fn rejects_come_with_what_is_staged_and_their_correction_after_it() {
    let reject = batch(&["a"], 1).reject("no id", r#"{"about":"7"}"#).checkpoint(Checkpoint::new(&1).unwrap());
    let correct = Batch::new().record(Record::upsert("b", Version(1), r#"{"about":"7"}"#));
    let correct = correct.checkpoint(Checkpoint::new(&3).unwrap());
    let steps = vec![Step::Raw(reject), Step::Batch(&["c"], 1), Step::Raw(correct), Step::Batch(&["d"], 1)];
    let (staging, source) = (Staging::default(), Scripted::new(steps));
    let connector = staging.connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.counts.inserted, run.counts.rejected), (4, 1));
    assert_eq!(staging.commits(), [(2, 0), (0, 1), (0, 1)]);
    let found = connector.rejects(RejectQuery::new(9).resource(resource("r"))).await.unwrap();
    assert_eq!(found.total(), 0);
}

#[tokio::test]
async fn a_reconcile_run_stages_and_marks() {
    let (staging, source) = (Staging::default(), Scripted::new(three_batches()));
    let connector = staging.connector(&source);
    ingest(&connector, Mode::Incremental).await;
    staging.commits();
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 2)]);
    source.truth.lock().unwrap().extend([("c".into(), None), ("d".into(), Some(2))]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.updated, run.counts.deleted), (RunStatus::Complete, 2, 1), "{run:?}");
    assert_eq!(staging.commits().first(), Some(&(2, 0)));
    assert_eq!(live(&staging.memory), keys(&[("a", 1), ("b", 2), ("d", 2)]));
}
