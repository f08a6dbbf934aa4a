//! State stores that bill every call.

use std::sync::atomic::Ordering;

use snowfeed::engine::Connector;
use snowfeed::{ErrorKind, Mode, RunQuery, RunStatus, StateStore};

use crate::store::Store;
use crate::support::{Scripted, Step, ingest, key, limits};

/// A connector whose state store bills every call.
fn metered(source: &Scripted) -> (Connector, Store) {
    let store = Store::metered();
    (store.connector(source, limits()), store)
}

#[tokio::test]
async fn an_idle_run_writes_nothing_to_a_metered_store() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, store) = metered(&source);
    ingest(&connector, Mode::Incremental).await;
    let (writes, runs) = (store.writes.load(Ordering::SeqCst), store.memory.runs(RunQuery::new(99)).await.unwrap());
    assert_eq!((writes, runs.len()), (2, 1), "one write with the rows, one at the end");
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    assert_eq!(store.writes.load(Ordering::SeqCst), writes);
    assert_eq!(store.memory.runs(RunQuery::new(99)).await.unwrap(), runs);
}

#[tokio::test]
async fn an_idle_run_after_a_failure_is_recorded() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, store) = metered(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Partial);
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    let latest = store.memory.latest(&key("r")).await.unwrap().unwrap();
    assert_eq!(latest.state.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_metered_store_is_pruned_occasionally() {
    let source = Scripted::default();
    let (connector, store) = metered(&source);
    for step in 1..=20 {
        source.script("r", vec![Step::Batch(&["a"], 1); step]);
        ingest(&connector, Mode::Incremental).await;
    }
    let versions = store.memory.latest(&key("r")).await.unwrap().unwrap().version.0;
    assert_eq!(store.prunes.load(Ordering::SeqCst) as u64, versions / 16, "of {versions} entries");
}
