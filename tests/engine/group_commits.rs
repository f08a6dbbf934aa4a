//! Streams of one resource share commits where each commit costs money.

use std::collections::BTreeMap;
use std::sync::Arc;

use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{ErrorKind, RunRecord, RunStatus};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::backend::Store;
use crate::support::{Scripted, Step, resource};

/// Many more permits than there are commits.
const OPEN: usize = 99;

struct Bench {
    store: Store,
    connector: Connector,
    gate: Arc<Semaphore>,
}

/// A connector with four streams that have one record each, and a backend that holds each commit until the gate opens.
fn bench(is_metered: bool) -> Bench {
    let source = Scripted::with_streams(["a", "b", "c", "d"]);
    for stream in ["a", "b", "c", "d"] {
        source.script_stream("r", stream, vec![Step::Batch(&["1"], 1)]);
    }
    let gate = Arc::new(Semaphore::new(0));
    let store = Store { is_metered, gate: Some(gate.clone()), ..Store::default() };
    Bench { connector: Connector::new(source, Arc::new(store.clone())), store, gate }
}

impl Bench {
    /// Ingests these streams, until nothing more happens.
    async fn start(&self, streams: &[&str]) -> JoinHandle<BTreeMap<String, RunRecord>> {
        let streams: Vec<String> = streams.iter().map(|stream| (*stream).to_owned()).collect();
        let request = IngestRequest::new([resource("r")]).streams(streams).concurrency(9);
        let connector = self.connector.clone();
        let task = tokio::spawn(async move {
            let runs = connector.ingest(request).await.unwrap().runs;
            runs.into_iter().map(|run| (run.stream.clone(), run)).collect()
        });
        settle().await;
        task
    }

    /// The streams of each commit so far.
    fn commits(&self) -> Vec<String> {
        let commits = self.store.commits.lock().unwrap();
        let mut commits = commits.clone();
        commits.iter_mut().for_each(|streams| streams.sort());
        commits.iter().map(|streams| streams.concat()).collect()
    }

    /// The streams with a row.
    fn stored(&self) -> String {
        let has_rows = |stream: &&str| !self.store.memory.rows(&resource("r"), stream).is_empty();
        ["a", "b", "c", "d"].into_iter().filter(has_rows).collect()
    }
}

/// Lets all tasks go on until they wait.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn completed(runs: &BTreeMap<String, RunRecord>) -> String {
    let completed = runs.values().filter(|run| run.status == RunStatus::Complete && run.counts.inserted == 1);
    completed.map(|run| run.stream.as_str()).collect()
}

#[tokio::test]
async fn commits_that_wait_for_another_one_become_one() {
    let bench = bench(true);
    let ingested = bench.start(&["a", "b", "c", "d"]).await;
    assert_eq!(bench.commits(), ["a"], "the first waits for nothing");
    bench.gate.add_permits(OPEN);
    assert_eq!(completed(&ingested.await.unwrap()), "abcd");
    assert_eq!((bench.commits(), bench.stored().as_str()), (vec!["a".into(), "bcd".into()], "abcd"));
}

#[tokio::test]
async fn commits_that_cost_nothing_do_not_wait() {
    let bench = bench(false);
    let ingested = bench.start(&["a", "b", "c", "d"]).await;
    assert_eq!(bench.commits(), ["a", "b", "c", "d"]);
    bench.gate.add_permits(OPEN);
    assert_eq!(completed(&ingested.await.unwrap()), "abcd");
}

#[tokio::test]
async fn a_conflict_of_one_stream_fails_no_other() {
    let bench = bench(true);
    let ingested = bench.start(&["a", "b", "c", "d"]).await;
    // Another process commits to one of the streams.
    let source = Scripted::with_streams(["a", "b", "c", "d"]);
    source.script_stream("r", "c", vec![Step::Batch(&["2"], 1)]);
    let other = Connector::new(source, Arc::new(bench.store.memory.clone()));
    other.ingest(IngestRequest::new([resource("r")]).streams(["c".to_owned()])).await.unwrap();
    bench.gate.add_permits(OPEN);
    let runs = ingested.await.unwrap();
    assert_eq!((completed(&runs).as_str(), bench.commits()[1].as_str()), ("abd", "bcd"));
    assert_eq!(runs["c"].error.as_ref().unwrap().kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn an_error_of_one_stream_fails_no_other() {
    let bench = bench(true);
    bench.store.refused.lock().unwrap().insert("c".into());
    let ingested = bench.start(&["a", "b", "c", "d"]).await;
    bench.gate.add_permits(OPEN);
    let runs = ingested.await.unwrap();
    assert_eq!((completed(&runs).as_str(), bench.stored().as_str()), ("abd", "abd"));
    assert_eq!((runs["c"].status, runs["c"].error.as_ref().unwrap().message.as_str()), (RunStatus::Failed, "refused"));
    assert_eq!(bench.commits(), ["a", "bcd", "b", "c", "d"]);
}

#[tokio::test]
async fn two_commits_of_one_stream_are_never_in_one_group() {
    let bench = bench(true);
    let first = bench.start(&["a"]).await;
    let (second, third) = (bench.start(&["b"]).await, bench.start(&["b"]).await);
    bench.gate.add_permits(OPEN);
    assert_eq!(completed(&first.await.unwrap()), "a");
    let statuses = [second.await.unwrap()["b"].status, third.await.unwrap()["b"].status];
    assert_eq!(statuses, [RunStatus::Complete, RunStatus::Failed], "the second one is in conflict with the first");
    assert_eq!(bench.commits(), ["a", "b", "b"]);
}

#[tokio::test]
async fn those_that_wait_are_committed_if_the_first_is_dropped() {
    let bench = bench(true);
    let first = bench.start(&["a"]).await;
    let (second, third) = (bench.start(&["b"]).await, bench.start(&["c"]).await);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    bench.gate.add_permits(OPEN);
    assert_eq!((completed(&second.await.unwrap()), completed(&third.await.unwrap())), ("b".into(), "c".into()));
    assert_eq!((bench.commits(), bench.stored().as_str()), (vec!["a".into(), "bc".into()], "bc"));
}

#[tokio::test]
async fn one_that_is_dropped_while_it_waits_is_not_committed() {
    let bench = bench(true);
    let first = bench.start(&["a"]).await;
    let (second, third) = (bench.start(&["b"]).await, bench.start(&["c"]).await);
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    bench.gate.add_permits(OPEN);
    assert_eq!((completed(&first.await.unwrap()), completed(&third.await.unwrap())), ("a".into(), "c".into()));
    assert_eq!((bench.commits(), bench.stored().as_str()), (vec!["a".into(), "c".into()], "ac"));
}

#[tokio::test]
async fn one_that_is_dropped_in_a_group_leaves_the_others_their_answers() {
    let bench = bench(true);
    let first = bench.start(&["a"]).await;
    let (second, third) = (bench.start(&["b"]).await, bench.start(&["c"]).await);
    bench.gate.add_permits(1);
    assert_eq!(completed(&first.await.unwrap()), "a");
    settle().await;
    assert_eq!(bench.commits(), ["a", "bc"]);
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    bench.gate.add_permits(OPEN);
    assert_eq!(completed(&third.await.unwrap()), "c");
    assert_eq!(bench.commits(), ["a", "bc"]);
}

#[tokio::test]
async fn a_group_without_callers_is_cancelled_and_later_commits_go_on() {
    let bench = bench(true);
    let first = bench.start(&["a"]).await;
    let waiting = [bench.start(&["b"]).await, bench.start(&["c"]).await];
    bench.gate.add_permits(1);
    first.await.unwrap();
    settle().await;
    waiting.iter().for_each(JoinHandle::abort);
    settle().await;
    bench.gate.add_permits(OPEN);
    settle().await;
    assert_eq!((bench.commits(), bench.stored().as_str()), (vec!["a".into(), "bc".into()], "a"));
    assert_eq!(completed(&bench.start(&["b", "d"]).await.await.unwrap()), "bd");
}
