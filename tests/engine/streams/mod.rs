//! Several streams of one resource: each has its own state, run, counts, reconciliation and rejects.

mod concurrency;
mod fences;
mod requests;
mod selection;
mod tables;

use std::sync::Arc;

use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{
    ConfigStore, ErrorKind, Mode, Namespace, RejectQuery, RunQuery, RunRecord, RunStatus, StateEntry, StateKey,
    StateStore,
};

use crate::support::{Scripted, Step, batch, limits, resource};

/// A connector over a fresh in-memory backend that commits every batch separately.
pub(super) fn connector(source: &Scripted) -> (Connector, Memory) {
    let memory = Memory::new();
    (over(source, &memory), memory)
}

/// Another connector over the same backend, as another program has it.
pub(super) fn over(source: &Scripted, memory: &Memory) -> Connector {
    Connector::new(source.clone(), Arc::new(memory.clone())).limits(limits())
}

/// The runs of the resource `r`, by stream.
pub(super) async fn ingest(connector: &Connector, mode: Mode) -> Vec<RunRecord> {
    let report = connector.ingest(IngestRequest::new([resource("r")]).mode(mode)).await.unwrap();
    assert!(report.runs.is_sorted_by_key(|run| run.stream.clone()));
    assert!(report.runs.iter().all(|run| run.resource == "r" && run.mode == mode && run.counts.add_up()), "{report:?}");
    report.runs
}

/// The streams of these runs, with their statuses.
pub(super) fn statuses(runs: &[RunRecord]) -> Vec<(&str, RunStatus)> {
    runs.iter().map(|run| (run.stream.as_str(), run.status)).collect()
}

/// Selects these streams of `r`.
pub(super) async fn select<const N: usize>(memory: &Memory, streams: [&str; N]) {
    let config = json!({"enabled": true, "streams": streams.as_slice()});
    memory.put(Namespace::Resource, "r", &config).await.unwrap();
}

/// The newest state of a stream of `r`.
pub(super) async fn state(memory: &Memory, stream: &str) -> StateEntry {
    memory.latest(&StateKey::new("r", stream)).await.unwrap().unwrap()
}

/// The number of the step that the checkpoint of a stream of `r` names.
pub(super) async fn checkpoint(memory: &Memory, stream: &str) -> Option<usize> {
    state(memory, stream).await.state.checkpoint.map(|checkpoint| checkpoint.parse().unwrap())
}

/// The keys of the live rows of a stream of `r`.
pub(super) fn live(memory: &Memory, stream: &str) -> Vec<String> {
    let rows = memory.rows(&resource("r"), stream).into_iter();
    rows.filter(|row| row.deleted_at.is_none()).map(|row| row.key).collect()
}

/// Where each stream resumed since the last call, ordered by stream.
pub(super) fn reads(source: &Scripted) -> Vec<(String, Option<usize>)> {
    let mut reads: Vec<_> = std::mem::take(&mut *source.stream_reads.lock().unwrap());
    reads.sort();
    reads.into_iter().map(|(_, stream, from)| (stream, from)).collect()
}

pub(super) fn from<const N: usize>(expected: [(&str, Option<usize>); N]) -> Vec<(String, Option<usize>)> {
    expected.map(|(stream, from)| (stream.to_owned(), from)).to_vec()
}

/// A source whose streams `a`, `b` and `c` each have two records in two steps.
pub(super) fn three() -> Scripted {
    let source = Scripted::with_streams(["a", "b", "c"]);
    for (name, [first, second]) in [("a", [&["a1"], &["a2"]]), ("b", [&["b1"], &["b2"]]), ("c", [&["c1"], &["c2"]])] {
        source.script_stream("r", name, vec![Step::Batch(first, 1), Step::Batch(second, 1)]);
    }
    source
}

#[tokio::test]
async fn each_stream_has_its_own_checkpoint_status_counts_and_rejects() {
    let source = three();
    let rejecting = batch(&["b3"], 1).reject("no id", "{}").checkpoint(snowfeed::Checkpoint::new(&3).unwrap());
    source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1), Step::Batch(&["b2"], 1), Step::Raw(rejecting)]);
    source.script_stream("r", "c", vec![]);
    let (connector, memory) = connector(&source);
    let runs = ingest(&connector, Mode::Incremental).await;
    assert_eq!(statuses(&runs), [("a", RunStatus::Complete), ("b", RunStatus::Partial), ("c", RunStatus::Complete)]);
    let counts: Vec<_> = runs.iter().map(|run| (run.counts.inserted, run.counts.rejected, run.commits)).collect();
    assert_eq!(counts, [(2, 0, 2), (3, 1, 3), (0, 0, 0)]);
    assert_eq!(checkpoint(&memory, "a").await, Some(2));
    assert_eq!(checkpoint(&memory, "b").await, Some(3));
    assert_eq!(checkpoint(&memory, "c").await, None);
    let states = [state(&memory, "a").await.state, state(&memory, "b").await.state];
    assert_eq!(states.each_ref().map(|state| state.has_rejects), [false, true]);
    assert!(states[0].message.is_none() && states[1].message.as_ref().unwrap().contains("1 record was rejected"));
    // Each table has the rows and the rejects of its stream alone.
    assert_eq!(live(&memory, "a"), ["a1", "a2"]);
    assert_eq!(live(&memory, "b"), ["b1", "b2", "b3"]);
    for (stream, expected) in [("a", 0), ("b", 1)] {
        assert_eq!(connector.rejects(RejectQuery::new(9).stream(stream)).await.unwrap().total(), expected);
    }
    for run in &runs {
        let key = StateKey::new("r", &*run.stream);
        assert_eq!(memory.runs(RunQuery::new(9).key(&key)).await.unwrap(), std::slice::from_ref(run));
    }
    // The next runs continue each from its own checkpoint.
    reads(&source);
    source.script_stream("r", "c", vec![Step::Batch(&["c1"], 1)]);
    let runs = ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source), from([("a", Some(2)), ("b", Some(3)), ("c", None)]));
    assert_eq!(runs.iter().map(|run| run.counts.inserted).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn two_streams_of_one_key_are_two_rows() {
    let source = Scripted::with_streams(["a", "b"]);
    source.script_stream("r", "a", vec![Step::Batch(&["1"], 5)]);
    source.script_stream("r", "b", vec![Step::Batch(&["1"], 3)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    for (stream, version) in [("a", 5), ("b", 3)] {
        assert_eq!(memory.rows(&resource("r"), stream)[0].version.0, version);
    }
}

#[tokio::test]
async fn a_failing_stream_stops_neither_its_siblings_nor_other_resources_and_says_why() {
    let failures = [
        Step::Fail(ErrorKind::Authentication, "403: the token may not read this"),
        Step::Fail(ErrorKind::Unavailable, "down"),
        Step::Fail(ErrorKind::InvalidData, "not what was expected"),
        Step::Fail(ErrorKind::NotFound, "there is no such list"),
        Step::Panic,
    ];
    for failure in failures {
        let source = three();
        source.script_stream("r", "b", vec![failure.clone()]);
        source.script_stream("other", "b", vec![Step::Batch(&["o"], 1)]);
        let (connector, memory) = connector(&source);
        let request = IngestRequest::new([resource("r"), resource("other")]);
        let report = connector.ingest(request).await.unwrap();
        let statuses: Vec<_> = report.runs.iter().map(|run| (&*run.resource, &*run.stream, run.status)).collect();
        let complete = |resource, stream| (resource, stream, RunStatus::Complete);
        let expected = [
            complete("other", "a"),
            complete("other", "b"),
            complete("other", "c"),
            complete("r", "a"),
            ("r", "b", RunStatus::Failed),
            complete("r", "c"),
        ];
        assert_eq!((statuses.as_slice(), report.status()), (expected.as_slice(), RunStatus::Partial), "{failure:?}");
        assert_eq!((live(&memory, "a").len(), live(&memory, "b").len(), live(&memory, "c").len()), (2, 0, 2));
        let failed = report.runs[4].error.as_ref().unwrap();
        if let Step::Fail(kind, message) = &failure {
            assert_eq!((failed.kind, failed.message.as_str()), (*kind, *message));
        }
        let state = state(&memory, "b").await.state;
        assert_eq!((state.status, state.checkpoint), (RunStatus::Failed, None));
        assert!(state.message.unwrap().contains(&failed.message));
        // The resource exists: one of its streams was read.
        assert_eq!(connector.resources().await.unwrap().len(), 2);
        // The next run tries again, and continues the others.
        source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1)]);
        reads(&source);
        ingest(&connector, Mode::Incremental).await;
        assert_eq!(reads(&source), from([("a", Some(2)), ("b", None), ("c", Some(2))]));
        assert_eq!(live(&memory, "b"), ["b1"]);
    }
}

#[tokio::test]
async fn a_resource_none_of_whose_streams_exists_is_not_left_enabled() {
    let source = three();
    for stream in ["a", "b", "c"] {
        source.script_stream("r", stream, vec![Step::Fail(ErrorKind::NotFound, "no such thing")]);
    }
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    assert!(connector.resources().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reset_resets_every_stream_and_a_removal_too() {
    let source = three();
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    // One is in the middle of a reconciliation, one is not selected.
    select(&memory, ["a"]).await;
    source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;
    connector.reset(&resource("r")).await.unwrap();
    for stream in ["a", "b", "c"] {
        let state = state(&memory, stream).await.state;
        assert_eq!(state.checkpoint, None, "{stream}");
        assert!(
            state.reconcile.is_some_and(|reconcile| reconcile.is_reset && reconcile.checkpoint.is_none()),
            "{stream}"
        );
        assert!(!live(&memory, stream).is_empty(), "{stream}");
    }
    select(&memory, ["a", "b", "c"]).await;
    source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Batch(&["a2"], 1)]);
    reads(&source);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source), from([("a", None), ("b", None), ("c", None)]));
    connector.remove(&resource("r")).await.unwrap();
    for stream in ["a", "b", "c"] {
        assert_eq!(checkpoint(&memory, stream).await, None);
    }
}

#[tokio::test]
async fn statuses_are_those_of_each_stream() {
    let source = three();
    source.script_stream("r", "b", vec![Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, _) = connector(&source);
    let runs = ingest(&connector, Mode::Incremental).await;
    let keys = ["c", "unknown", "b", "a"].map(|stream| StateKey::new("r", stream));
    let statuses = connector.statuses(&keys).await.unwrap();
    let expected = [Some(&runs[2]), None, Some(&runs[1]), Some(&runs[0])];
    assert_eq!(statuses.iter().map(|status| status.run.as_ref()).collect::<Vec<_>>(), expected);
    let states = statuses.iter().map(|status| status.entry.as_ref().map(|entry| entry.state.status));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [Some(RunStatus::Complete), None, Some(RunStatus::Failed), Some(RunStatus::Complete)]
    );
}
