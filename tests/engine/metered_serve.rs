//! Schedules, in virtual time, over a store that handles one caller at a time, in order.

use std::time::Duration;

use snowfeed::engine::{Connector, EnableRequest};
use snowfeed::{Checkpoint, Limits, StateStore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::support::{Scripted, Step, key, resource};

/// A connector that commits this many seconds after it has read something.
fn connector(source: Scripted, commit_after: u64) -> (Connector, Store) {
    let store = Store::default();
    let limits = Limits::default().commit_after(Duration::from_secs(commit_after));
    (store.connector(&source, limits), store)
}

/// Serves until the second `stop`, while another caller occupies the store from the tenth second to the second
/// `released`. The timetable is read in the fifteenth second. Returns the commits at the stop, and at the end.
async fn serve(connector: &Connector, store: &Store, released: u64, stop: u64) -> [Option<Checkpoint>; 2] {
    connector.enable(EnableRequest::new(resource("r"))).await.unwrap();
    let cancel = CancellationToken::new();
    let occupy = async {
        sleep(Duration::from_secs(10)).await;
        let _guard = store.lock.lock().await;
        sleep(Duration::from_secs(released - 10)).await;
    };
    let committed = async || store.memory.latest(&key("r")).await.unwrap().and_then(|entry| entry.state.checkpoint);
    let end = async {
        sleep(Duration::from_secs(stop)).await;
        let committed = committed().await;
        cancel.cancel();
        committed
    };
    let serve = async { tokio::join!(connector.serve(4, cancel.clone()), end) };
    let all = async { tokio::join!(tokio::time::timeout(Duration::from_secs(600), serve), occupy).0 };
    let (served, at_stop) = all.await.expect("serving timed out");
    served.unwrap();
    [at_stop, committed().await]
}

/// A source that returns one batch and then hangs.
fn endless() -> Scripted {
    Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang])
}

#[tokio::test(start_paused = true)]
async fn the_next_run_continues_while_the_timetable_is_read() {
    let (connector, store) = connector(endless(), 12);
    let [at_stop, at_end] = serve(&connector, &store, 20, 30).await;
    assert!(at_stop.is_some() && at_stop == at_end, "{at_stop:?}, {at_end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_waiting_behind_a_timetable_read_still_ends() {
    let (connector, store) = connector(endless(), 16);
    let [at_stop, at_end] = serve(&connector, &store, 20, 18).await;
    assert!(at_stop.is_none() && at_end.is_some(), "{at_stop:?}, {at_end:?}");
}

#[tokio::test(start_paused = true)]
async fn cancellation_works_while_the_timetable_is_read() {
    let (connector, store) = connector(Scripted::default(), 1);
    assert_eq!(serve(&connector, &store, 86_400, 18).await, [None, None]);
}
