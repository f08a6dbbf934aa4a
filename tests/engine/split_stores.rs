//! Rows and state in separate stores: only the reconciliation under way deletes rows.

use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{ErrorKind, Mode, RunStatus, StateChange, StateStore};

use crate::store::Store;
use crate::support::{
    Scripted, Step, blocked_in_sweep, ingest, keys, limits, live, reset_during_sweep, resource, runs_of,
};

fn connector(source: &Scripted) -> (Connector, Store) {
    let store = Store::default();
    (store.connector(source, limits()), store)
}

/// A source whose `verify` reports every record as deleted, like a source without its own `verify`.
fn everything_gone(first: Vec<Step>, all: &[&str]) -> Scripted {
    let source = Scripted::new(first);
    source.truth.lock().unwrap().extend(all.iter().map(|key| ((*key).to_owned(), None)));
    source
}

#[tokio::test]
async fn a_reconciliation_whose_end_cannot_be_recorded_deletes_nothing() {
    let source = everything_gone(vec![Step::Batch(&["a", "b"], 1)], &["a", "b"]);
    let (connector, store) = connector(&source);
    // Only this ends the reconciliation.
    store.refuse(|change| change.state.as_ref().is_some_and(|state| state.reconcile.is_none()));
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Unavailable));
    store.refuse(|_| false);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0), "both records were seen");
    assert_eq!(live(&store.memory), keys(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn a_reset_that_cannot_be_recorded_deletes_nothing() {
    let source =
        everything_gone(vec![Step::Batch(&["a", "b"], 1), Step::Fail(ErrorKind::Unavailable, "down")], &["a", "b"]);
    let (connector, store) = connector(&source);
    ingest(&connector, Mode::Reconcile).await;
    store.refuse(|_| true);
    connector.reset(&resource("r")).await.unwrap_err();
    store.refuse(|_| false);
    source.script("r", vec![Step::Batch(&["a", "b"], 1)]);
    assert_eq!(ingest(&connector, Mode::Reconcile).await.counts.deleted, 0);
    assert_eq!(live(&store.memory), keys(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn a_superseded_sweep_deletes_nothing() {
    let (hold, connector, store) = blocked_in_sweep(connector).await;
    let run = reset_during_sweep(&hold, &connector).await;
    assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Conflict));
    assert_eq!(live(&store.memory), keys(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[tokio::test]
async fn a_run_superseded_at_its_end_is_still_in_the_history() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, store) = connector(&source);
    let memory = store.memory.clone();
    store.refuse(move |change| {
        // A reset comes between the last commit and the end.
        if let Some(mut state) = change.state.clone().filter(|state| state.status == RunStatus::Complete) {
            state.checkpoint = None;
            let reset = StateChange::new(change.key.clone(), change.base, change.at).state(state);
            futures::executor::block_on(memory.append(reset)).unwrap();
        }
        false
    });
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!(run.error.as_ref().map(|error| error.kind), Some(ErrorKind::Conflict));
    let known = store.memory.runs(runs_of("r", 9)).await.unwrap();
    assert_eq!(known, [run], "the history lacks its end or error");
}

/// The state of one stream cannot be written: the others are reset all the same.
#[tokio::test]
async fn a_reset_that_fails_for_one_stream_resets_the_others() {
    let source = Scripted::with_streams(["a", "b", "c"]);
    for stream in ["a", "b", "c"] {
        source.script_stream("r", stream, vec![Step::Batch(&["k"], 1)]);
    }
    let (connector, store) = connector(&source);
    connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    store.refuse(|change| change.key.stream == "a");
    connector.reset(&resource("r")).await.unwrap_err();
    let mut checkpoints = Vec::new();
    for stream in ["a", "b", "c"] {
        let entry = store.memory.latest(&snowfeed::StateKey::new("r", stream)).await.unwrap().unwrap();
        checkpoints.push(entry.state.checkpoint.is_some());
    }
    assert_eq!(checkpoints, [true, false, false]);
}
