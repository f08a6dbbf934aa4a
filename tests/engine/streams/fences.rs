//! Each stream has a fence of its own: a conflict in one stream stops no other, and a run that read before another one committed is
//! refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, Event, IngestRequest};
use snowfeed::{Backend, ErrorKind, Mode, RejectQuery, RunStatus, StateKey};
use tokio::sync::Notify;

use super::{connector, ingest, live, over, state, statuses, three};
use crate::support::{Hold, Scripted, Step, batch, limits, resource};

/// The connector, and a notification once it has made this many commits.
fn after_commits(connector: Connector, count: usize) -> (Connector, Arc<Notify>) {
    let (reached, commits) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let notify = reached.clone();
    let connector = connector.observer(move |event: &Event| {
        if matches!(event, Event::Committed { .. }) && commits.fetch_add(1, Ordering::SeqCst) + 1 == count {
            notify.notify_one();
        }
    });
    (connector, reached)
}

fn backends() -> [Arc<dyn Backend>; 2] {
    [Arc::new(Memory::new()), Arc::new(Sqlite::in_memory().unwrap())]
}

/// Rule 2: the others commit.
#[tokio::test]
async fn a_conflict_in_one_stream_does_not_stop_the_others() {
    let hold = Arc::<Hold>::default();
    let slow = three();
    slow.script_stream("r", "a", vec![Step::Hold(hold.clone()), Step::Batch(&["a1"], 1), Step::Batch(&["a2"], 1)]);
    let (first, memory) = connector(&slow);
    // Another program reads only `a` meanwhile.
    let fast = Scripted::with_streams(["a"]);
    fast.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Batch(&["a2"], 2)]);
    let second = over(&fast, &memory);
    let meanwhile = async {
        hold.reached.notified().await;
        let runs = ingest(&second, Mode::Incremental).await;
        hold.resume.notify_one();
        runs
    };
    let (runs, other) = tokio::join!(ingest(&first, Mode::Incremental), meanwhile);
    assert_eq!(statuses(&other), [("a", RunStatus::Complete)]);
    assert_eq!(statuses(&runs), [("a", RunStatus::Failed), ("b", RunStatus::Complete), ("c", RunStatus::Complete)]);
    assert_eq!(runs[0].error.as_ref().unwrap().kind, ErrorKind::Conflict);
    assert!(runs[0].error.as_ref().unwrap().message.contains("r (a)"), "{:?}", runs[0].error);
    assert_eq!(memory.rows(&resource("r"), "a")[1].version.0, 2);
    assert_eq!((live(&memory, "b").len(), live(&memory, "c").len()), (2, 2));
}

/// Rule 1: each stream has a fence of its own.
#[tokio::test]
async fn two_programs_that_read_different_streams_at_once_do_not_disturb_each_other() {
    let hold = Arc::<Hold>::default();
    let slow = Scripted::with_streams(["a"]);
    slow.script_stream("r", "a", vec![Step::Batch(&["a1"], 1), Step::Hold(hold.clone()), Step::Batch(&["a2"], 1)]);
    let (first, memory) = connector(&slow);
    let fast = Scripted::with_streams(["b"]);
    fast.script_stream("r", "b", vec![Step::Batch(&["b1"], 1)]);
    let second = over(&fast, &memory);
    let meanwhile = async {
        hold.reached.notified().await;
        for step in 1..=3 {
            fast.script_stream("r", "b", vec![Step::Batch(&["b1"], 1); step]);
            assert_eq!(statuses(&ingest(&second, Mode::Incremental).await), [("b", RunStatus::Complete)]);
        }
        second.ingest(IngestRequest::new([resource("r")]).mode(Mode::Reconcile)).await.unwrap();
        hold.resume.notify_one();
    };
    let (runs, ()) = tokio::join!(ingest(&first, Mode::Incremental), meanwhile);
    assert_eq!(statuses(&runs), [("a", RunStatus::Complete)]);
    assert_eq!(live(&memory, "a"), ["a1", "a2"]);
}

/// Rule 3: A reads the list and waits; another program stores a newer state of a record; A continues with the older state.
#[tokio::test]
async fn a_run_without_checkpoints_that_read_before_another_one_stored_a_row_is_refused() {
    for mode in [Mode::Incremental, Mode::Reconcile] {
        for backend in backends() {
            let program = |steps: Vec<Step>| {
                let mut source = Scripted::with_streams(["a"]);
                source.is_authoritative = true;
                source.script_stream("r", "a", steps);
                Connector::new(source, backend.clone()).limits(limits())
            };
            let whole = |keys: &[&str], version| Step::Raw(batch(keys, version));
            ingest(&program(vec![whole(&["k", "l"], 1)]), Mode::Incremental).await;
            let hold = Arc::<Hold>::default();
            let slow = program(vec![whole(&["k"], 1), Step::Hold(hold.clone()), whole(&["l"], 2)]);
            let (slow, committed) = after_commits(slow, 1);
            let fast = program(vec![whole(&["k", "l", "new"], 3)]);
            let meanwhile = async {
                committed.notified().await;
                assert_eq!(ingest(&fast, Mode::Incremental).await[0].status, RunStatus::Complete);
                hold.resume.notify_one();
            };
            let (runs, ()) = tokio::join!(ingest(&slow, mode), meanwhile);
            let query = snowfeed::UnseenQuery::new(resource("r"), "a", snowfeed::RunId::new(), 9);
            let live = backend.unseen(query).await.unwrap();
            let live: Vec<_> = live.iter().map(|record| (record.key.as_str(), record.version.0)).collect();
            assert_eq!(live, [("k", 3), ("l", 3), ("new", 3)], "{mode:?}");
            assert_eq!(runs[0].counts.deleted, 0);
            if mode == Mode::Reconcile {
                assert_eq!(runs[0].error.as_ref().unwrap().kind, ErrorKind::Conflict);
            }
        }
    }
}

/// A run that found a record corrected does not clear the reject that another run has seen again since.
#[tokio::test]
async fn a_correction_that_another_run_has_overtaken_is_refused() {
    let rejecting = || Step::Raw(batch(&[], 1).reject("no id", r#"{"about":"7"}"#));
    let correcting = || Step::Raw(batch(&[], 1).record(snowfeed::Record::upsert("7", 1, r#"{"about":"7"}"#)));
    for backend in backends() {
        let program = |steps: Vec<Step>| {
            let source = Scripted::with_streams(["a"]);
            source.script_stream("r", "a", steps);
            Connector::new(source, backend.clone()).limits(limits())
        };
        // The record is stored already, so that reading it again changes no row.
        ingest(&program(vec![correcting(), rejecting()]), Mode::Incremental).await;
        let hold = Arc::<Hold>::default();
        let slow = program(vec![Step::Hold(hold.clone()), correcting()]);
        let fast = program(vec![Step::Batch(&["other"], 1), rejecting()]);
        let meanwhile = async {
            hold.reached.notified().await;
            ingest(&fast, Mode::Incremental).await;
            hold.resume.notify_one();
        };
        let (runs, ()) = tokio::join!(ingest(&slow, Mode::Incremental), meanwhile);
        assert_eq!(runs[0].error.as_ref().map(|error| error.kind), Some(ErrorKind::Conflict));
        assert_eq!(slow.rejects(RejectQuery::new(9)).await.unwrap().total(), 1);
        // Undisturbed, it clears the reject, although it changes no row.
        ingest(&program(vec![]), Mode::Incremental).await;
        let run = ingest(&program(vec![Step::Batch(&[], 1), correcting()]), Mode::Incremental).await.remove(0);
        assert_eq!((run.status, run.counts.unchanged), (RunStatus::Complete, 1));
        assert_eq!(slow.rejects(RejectQuery::new(9)).await.unwrap().total(), 0);
        let state = backend.latest(&StateKey::new("r", "a")).await.unwrap().unwrap().state;
        assert!(!state.has_rejects);
    }
}

/// A reset of the resource refuses the runs of all its streams that are under way.
#[tokio::test]
async fn a_reset_stops_the_runs_of_all_streams() {
    let holds = ["a", "b", "c"].map(|name| (name, Arc::<Hold>::default()));
    let source = three();
    for (name, hold) in &holds {
        let steps = vec![Step::Batch(&["k"], 1), Step::Hold(hold.clone()), Step::Batch(&["l"], 1)];
        source.script_stream("r", name, steps);
    }
    let (connector, memory) = connector(&source);
    let (connector, committed) = after_commits(connector, 3);
    let reset = async {
        committed.notified().await;
        connector.reset(&resource("r")).await.unwrap();
        holds.iter().for_each(|(_, hold)| hold.resume.notify_one());
    };
    let (runs, ()) = tokio::join!(ingest(&connector, Mode::Incremental), reset);
    for run in runs {
        assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Conflict), "{}", run.stream);
        assert_eq!(live(&memory, &run.stream), ["k"]);
        assert_eq!(state(&memory, &run.stream).await.state.checkpoint, None);
    }
}
