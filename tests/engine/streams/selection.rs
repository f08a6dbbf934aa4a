//! Streams that are added, deselected and selected again; a stream that was not read is not swept.

use snowfeed::{ErrorKind, Mode, RejectQuery, RunQuery, RunStatus, StateKey, StateStore};

use super::{checkpoint, connector, from, ingest, live, reads, select, state, statuses, three};
use crate::support::{Scripted, Step, batch, resource};

#[tokio::test]
async fn a_stream_that_is_added_later_is_read_from_its_start_alone() {
    let mut source = three();
    source.streams[2].1 = false;
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source), from([("a", None), ("b", None)]));
    assert_eq!(memory.latest(&StateKey::new("r", "c")).await.unwrap(), None);
    select(&memory, ["a", "b", "c"]).await;
    let before = [state(&memory, "a").await, state(&memory, "b").await];
    let runs = ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source), from([("a", Some(2)), ("b", Some(2)), ("c", None)]));
    assert_eq!(runs.iter().map(|run| run.counts.inserted).collect::<Vec<_>>(), [0, 0, 2]);
    assert_eq!([state(&memory, "a").await, state(&memory, "b").await], before);
    assert_eq!(live(&memory, "c"), ["c1", "c2"]);
}

#[tokio::test]
async fn a_deselected_stream_keeps_its_rows_and_continues_from_its_checkpoint() {
    let source = three();
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let before = (state(&memory, "b").await, memory.rows(&resource("r"), "b"));
    select(&memory, ["a", "c"]).await;
    source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1), Step::Batch(&["b2"], 1), Step::Batch(&["b3"], 1)]);
    for mode in [Mode::Incremental, Mode::Reconcile] {
        assert_eq!(statuses(&ingest(&connector, mode).await), [("a", RunStatus::Complete), ("c", RunStatus::Complete)]);
    }
    assert_eq!((state(&memory, "b").await, memory.rows(&resource("r"), "b")), before);
    assert_eq!(memory.runs(RunQuery::new(9).stream("b")).await.unwrap().len(), 1);
    select(&memory, ["a", "b", "c"]).await;
    reads(&source);
    let runs = ingest(&connector, Mode::Incremental).await;
    assert_eq!(reads(&source)[1], ("b".to_owned(), Some(2)));
    assert_eq!(runs[1].counts.inserted, 1);
    assert_eq!(live(&memory, "b"), ["b1", "b2", "b3"]);
}

/// Everything is gone at the source, and it would say so.
async fn all_gone(source: &Scripted, streams: &[&str]) {
    for stream in streams {
        source.script_stream("r", stream, vec![]);
    }
    let all = ["a", "b", "c"].into_iter().flat_map(|name| [format!("{name}1"), format!("{name}2")]);
    source.truth.lock().unwrap().extend(all.map(|key| (key, None)));
}

#[tokio::test]
async fn a_stream_that_was_not_read_is_not_swept() {
    for is_authoritative in [false, true] {
        let mut source = three();
        source.is_authoritative = is_authoritative;
        let rejecting = batch(&["b3"], 1).reject("no id", "{}").checkpoint(snowfeed::Checkpoint::new(&3).unwrap());
        source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1), Step::Batch(&["b2"], 1), Step::Raw(rejecting)]);
        let (connector, memory) = connector(&source);
        ingest(&connector, Mode::Incremental).await;
        all_gone(&source, &["b", "c"]).await;
        // Of `a`, one record is left.
        source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1)]);
        select(&memory, ["a"]).await;
        let before = [state(&memory, "b").await, state(&memory, "c").await];
        let runs = ingest(&connector, Mode::Reconcile).await;
        assert_eq!((statuses(&runs), runs[0].counts.deleted), (vec![("a", RunStatus::Complete)], 1));
        assert_eq!(live(&memory, "a"), ["a1"]);
        assert_eq!(live(&memory, "b"), ["b1", "b2", "b3"]);
        assert_eq!(live(&memory, "c"), ["c1", "c2"]);
        assert_eq!([state(&memory, "b").await, state(&memory, "c").await], before);
        assert_eq!(connector.rejects(RejectQuery::new(9)).await.unwrap().total(), 1, "the reject of `b` was cleared");
    }
}

#[tokio::test]
async fn a_failing_stream_in_a_reconcile_run_deletes_nothing_of_its_own_or_of_others() {
    for is_authoritative in [false, true] {
        let mut source = three();
        source.is_authoritative = is_authoritative;
        let (connector, memory) = connector(&source);
        ingest(&connector, Mode::Incremental).await;
        all_gone(&source, &[]).await;
        source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
        source.script_stream("r", "b", vec![Step::Fail(ErrorKind::Authentication, "403")]);
        source.script_stream("r", "c", vec![Step::Batch(&["c1"], 1)]);
        let runs = ingest(&connector, Mode::Reconcile).await;
        assert_eq!(statuses(&runs), [("a", RunStatus::Partial), ("b", RunStatus::Failed), ("c", RunStatus::Complete)]);
        assert_eq!(runs.iter().map(|run| run.counts.deleted).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(live(&memory, "a"), ["a1", "a2"]);
        assert_eq!(live(&memory, "b"), ["b1", "b2"]);
        assert_eq!(live(&memory, "c"), ["c1"]);
        // The reconciliation of one stream is over, that of another one continues.
        assert_eq!(state(&memory, "a").await.state.reconcile.unwrap().checkpoint.unwrap().as_str(), "1");
        assert_eq!(state(&memory, "c").await.state.reconcile, None);
        source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Batch(&["a2"], 1)]);
        source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1)]);
        reads(&source);
        let runs = ingest(&connector, Mode::Reconcile).await;
        assert_eq!(reads(&source), from([("a", Some(1)), ("b", None), ("c", None)]));
        assert_eq!(runs.iter().map(|run| run.counts.deleted).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(live(&memory, "a"), ["a1", "a2"]);
    }
}

#[tokio::test]
async fn an_incremental_run_of_one_stream_does_not_disturb_the_reconciliation_of_another() {
    let source = three();
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    select(&memory, ["a"]).await;
    ingest(&connector, Mode::Reconcile).await;
    let before = state(&memory, "a").await;
    assert!(before.state.reconcile.is_some());
    select(&memory, ["b", "c"]).await;
    source.script_stream("r", "b", vec![Step::Batch(&["b1"], 1), Step::Batch(&["b2"], 1), Step::Batch(&["b3"], 1)]);
    ingest(&connector, Mode::Incremental).await;
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(state(&memory, "a").await, before);
    assert_eq!(checkpoint(&memory, "b").await, Some(3));
}
