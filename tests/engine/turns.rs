//! Schedules, in virtual time, over a store that is used by one at a time, each in its turn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, Limits};
use snowfeed::{Checkpoint, Result, RunRecord, StateChange, StateEntry, StateStore, StateVersion};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, resource};

/// A memory that takes up one call after another, in the order in which they came: the turn is given to whoever is next,
/// whether he looks or not.
#[derive(Debug, Clone, Default)]
struct InTurn {
    memory: Memory,
    turn: Arc<Mutex<()>>,
}

#[async_trait]
impl StateStore for InTurn {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        let _turn = self.turn.lock().await;
        self.memory.append(change).await
    }

    async fn latest(&self, key: &str) -> Result<Option<StateEntry>> {
        let _turn = self.turn.lock().await;
        self.memory.latest(key).await
    }

    async fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>> {
        let _turn = self.turn.lock().await;
        self.memory.history(key, limit).await
    }

    async fn runs(&self, key: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let _turn = self.turn.lock().await;
        self.memory.runs(key, limit).await
    }

    async fn prune(&self, key: &str, keep: usize) -> Result<u64> {
        let _turn = self.turn.lock().await;
        self.memory.prune(key, keep).await
    }
}

/// A connector that keeps its state there, and commits so many seconds after it has read something.
fn connector(source: Scripted, commit_after: u64) -> (Connector, InTurn) {
    let store = InTurn::default();
    let (rows, config) = (Arc::new(store.memory.clone()), Arc::new(store.memory.clone()));
    let limits = Limits { commit_after: Duration::from_secs(commit_after), ..Limits::default() };
    (Connector::apart(source, rows, config, Arc::new(store.clone())).limits(limits), store)
}

/// Serves until the second `stop`, while somebody else has the store's turn from the tenth second to the second
/// `released`. The timetable is read in the fifteenth second. Gives what is committed in the end.
async fn serve(connector: &Connector, store: &InTurn, released: u64, stop: u64) -> Option<Checkpoint> {
    connector.enable(&resource("r"), None).await.unwrap();
    let cancel = CancellationToken::new();
    let occupy = async {
        sleep(Duration::from_secs(10)).await;
        let _turn = store.turn.lock().await;
        sleep(Duration::from_secs(released - 10)).await;
    };
    let end = async {
        sleep(Duration::from_secs(stop)).await;
        cancel.cancel();
    };
    let serve = async { tokio::join!(connector.serve(4, cancel.clone()), end).0 };
    let all = async { tokio::join!(tokio::time::timeout(Duration::from_secs(600), serve), occupy).0 };
    all.await.expect("it ends").unwrap();
    store.memory.latest("r").await.unwrap()?.state.checkpoint
}

/// Reads something, and has no end.
fn endless() -> Scripted {
    Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang])
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_next_in_turn_goes_on_while_the_timetable_is_read() {
    let (connector, store) = connector(endless(), 12);
    assert!(serve(&connector, &store, 20, 30).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_behind_the_timetable_is_ended_all_the_same() {
    let (connector, store) = connector(endless(), 16);
    assert!(serve(&connector, &store, 20, 18).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heeded_while_the_timetable_is_read() {
    let (connector, store) = connector(Scripted::default(), 1);
    assert!(serve(&connector, &store, 86_400, 18).await.is_none());
}
