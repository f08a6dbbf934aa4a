//! The order of rows and state, in one store and in split stores, and faulty backends (mocks).

use std::sync::Arc;

use crate::mocks::{MockBackend, MockConfigStore, MockSink, MockStateStore};
use mockall::Sequence;
use mockall::predicate::always;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{CommitReport, Counts, Error, ErrorKind, RunStatus, StateStore, StateVersion, StreamReport};

use crate::support::{Scripted, Step, connector, limits, live, resource};

fn report(counts: Counts, version: Option<u64>) -> snowfeed::Result<CommitReport> {
    Ok(CommitReport::new().stream("t", StreamReport::new(counts, version.map(StateVersion))))
}

fn inserted(count: u64) -> Counts {
    let mut counts = Counts::default();
    (counts.offered, counts.inserted) = (count, count);
    counts
}

/// A backend that has no settings and no state, and creates any table.
fn fresh_backend() -> MockBackend {
    let mut backend = MockBackend::new();
    backend.expect_list().returning(|_| Ok(vec![]));
    backend.expect_put().returning(|_, _, _| Ok(()));
    backend.expect_ensure_streams().returning(|_, _| Ok(()));
    backend.expect_latest().returning(|_| Ok(None));
    backend.expect_runs().returning(|_| Ok(vec![]));
    backend.expect_prune().returning(|_, _| Ok(0));
    backend
}

async fn run(connector: &Connector) -> snowfeed::RunRecord {
    connector.ingest(IngestRequest::new([resource("r")])).await.unwrap().runs.remove(0)
}

#[tokio::test]
async fn each_commit_carries_its_checkpoint_and_builds_on_the_one_before() {
    let mut backend = fresh_backend();
    let mut order = Sequence::new();
    for (base, checkpoint) in [(0, "1"), (1, "2")] {
        backend
            .expect_commit()
            .withf(move |commit| {
                let change = commit.parts[0].change.as_ref().unwrap();
                let state = change.state.as_ref().unwrap();
                change.base == StateVersion(base) && state.checkpoint.as_ref().unwrap().as_str() == checkpoint
            })
            .once()
            .in_sequence(&mut order)
            .returning(move |_| report(inserted(1), Some(base + 1)));
    }
    backend
        .expect_append()
        .withf(|end| end.base == StateVersion(2))
        .once()
        .in_sequence(&mut order)
        .returning(|_| Ok(StateVersion(3)));
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let connector = Connector::new(source, Arc::new(backend)).limits(limits());
    assert_eq!(run(&connector).await.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_stale_run_is_refused_and_keeps_the_newer_state() {
    let mut backend = fresh_backend();
    backend.expect_commit().once().returning(|_| Err(Error::new(ErrorKind::Conflict, "another run has committed")));
    backend.expect_append().withf(|end| end.state.is_none() && end.run.is_some()).once().returning(|end| Ok(end.base));
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let run = run(&Connector::new(source, Arc::new(backend)).limits(limits())).await;
    assert_eq!((run.status, run.error.unwrap().kind), (RunStatus::Failed, ErrorKind::Conflict));
}

#[tokio::test]
async fn one_of_two_concurrent_runs_is_refused_and_nothing_is_lost() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Batch(&["c"], 1)]);
    let (connector, memory) = connector(&source);
    let (first, second) = tokio::join!(run(&connector), run(&connector));
    let statuses = [first.status, second.status];
    assert!(statuses.contains(&RunStatus::Complete), "{statuses:?}");
    for run in [first, second] {
        assert!(run.error.is_none_or(|error| error.kind == ErrorKind::Conflict));
    }
    assert_eq!(live(&memory).len(), 3);
}

#[tokio::test]
async fn nothing_is_committed_after_a_failed_commit() {
    let mut backend = fresh_backend();
    backend.expect_commit().once().returning(|_| Err(Error::unavailable("the disk is full")));
    backend
        .expect_append()
        .withf(|end| end.state.as_ref().is_some_and(|state| state.checkpoint.is_none()))
        .once()
        .returning(|_| Ok(StateVersion(1)));
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let run = run(&Connector::new(source, Arc::new(backend)).limits(limits())).await;
    assert_eq!((run.status, run.error.unwrap().message.as_str()), (RunStatus::Failed, "the disk is full"));
}

#[tokio::test]
async fn an_inconsistent_sink_report_fails_the_run() {
    let mut offered = Counts::default();
    offered.offered = 1;
    for counts in [inserted(0), offered, inserted(2)] {
        let mut backend = fresh_backend();
        backend.expect_commit().once().return_once(move |_| report(counts, Some(1)));
        backend.expect_append().returning(|_| Ok(StateVersion(2)));
        let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
        let run = run(&Connector::new(source, Arc::new(backend)).limits(limits())).await;
        assert_ne!(run.status, RunStatus::Complete);
        assert_eq!(run.error.unwrap().kind, ErrorKind::Internal);
    }
}

#[tokio::test]
async fn a_run_whose_end_cannot_be_recorded_is_not_complete() {
    let mut backend = fresh_backend();
    backend.expect_append().once().returning(|_| Err(Error::unavailable("the store is gone")));
    let run = run(&Connector::new(Scripted::new(vec![]), Arc::new(backend))).await;
    assert_eq!((run.status, run.error.unwrap().kind), (RunStatus::Partial, ErrorKind::Unavailable));
}

#[tokio::test]
async fn with_split_stores_rows_are_committed_first() {
    let (mut sink, mut config, mut state) = (MockSink::new(), MockConfigStore::new(), MockStateStore::new());
    let mut order = Sequence::new();
    config.expect_list().returning(|_| Ok(vec![]));
    config.expect_put().returning(|_, _, _| Ok(()));
    sink.expect_ensure_streams().returning(|_, _| Ok(()));
    state.expect_latest().returning(|_| Ok(None));
    state.expect_runs().returning(|_| Ok(vec![]));
    sink.expect_commit()
        .withf(|commit| commit.parts.len() == 1 && commit.parts[0].change.is_none())
        .once()
        .in_sequence(&mut order)
        .returning(|_| report(inserted(1), None));
    state
        .expect_append()
        .with(always())
        .times(2)
        .in_sequence(&mut order)
        .returning(|change| Ok(StateVersion(change.base.0 + 1)));
    state.expect_prune().returning(|_, _| Ok(0));
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let connector = Connector::with_stores(source, Arc::new(sink), Arc::new(config), Arc::new(state)).limits(limits());
    assert_eq!(run(&connector).await.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_crash_between_rows_and_state_repeats_rows_and_loses_none() {
    let rows = snowfeed::backends::Memory::new();
    let state = Arc::new(snowfeed::backends::Memory::new());
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let mut broken = MockStateStore::new();
    broken.expect_latest().returning(|_| Ok(None));
    broken.expect_runs().returning(|_| Ok(vec![]));
    broken.expect_append().returning(|_| Err(Error::unavailable("crashed")));
    let connect = |state: Arc<dyn StateStore>| {
        Connector::with_stores(source.clone(), Arc::new(rows.clone()), Arc::new(rows.clone()), state).limits(limits())
    };
    run(&connect(Arc::new(broken))).await;
    assert_eq!(live(&rows).len(), 1, "only the first commit's rows are stored");
    let again = run(&connect(state)).await;
    assert_eq!((again.counts.unchanged, again.counts.inserted), (1, 1));
    assert_eq!(live(&rows).len(), 2);
}
