//! The record of a run: while it runs, after it is killed, and after another run.

use std::sync::{Arc, Mutex};

use snowfeed::engine::{Connector, Event, IngestRequest};
use snowfeed::{ErrorKind, Mode, RunRecord, RunStatus, StateChange, StateStore, StreamState};
use tokio_util::sync::CancellationToken;

use crate::support::{Hold, Scripted, Step, batch, blocked_in_sweep, connector, ingest, key, resource, runs_of};

/// Ingests `r`, and drops the future after this many commits: to the store, that looks like a killed process.
async fn killed_after(connector: &Connector, commits: u64) {
    let reached = Arc::new(tokio::sync::Notify::new());
    let notify = reached.clone();
    let connector = connector.clone().observer(move |event: &Event| {
        if matches!(event, Event::Committed { commits: made, .. } if *made == commits) {
            notify.notify_one();
        }
    });
    tokio::select! {
        ended = connector.ingest(IngestRequest::new([resource("r")])) => panic!("the ingestion ended: {ended:?}"),
        () = reached.notified() => {}
    }
}

/// The records of `r`, newest first.
async fn records(store: &impl StateStore) -> Vec<RunRecord> {
    store.runs(runs_of("r", 99)).await.unwrap()
}

#[tokio::test]
async fn the_record_of_a_killed_run_counts_every_commit_it_made() {
    let mut filtered = batch(&["c", "d"], 1).checkpoint(snowfeed::Checkpoint::new(&3).unwrap());
    filtered.excluded.insert("pull request".into(), 2);
    let steps = [Step::Batch(&["a"], 1), Step::Batch(&["b", "a"], 2), Step::Raw(filtered)];
    for commits in 1..=3 {
        let steps = steps.iter().take(usize::try_from(commits).unwrap()).cloned().chain([Step::Hang]).collect();
        let (connector, memory) = connector(&Scripted::new(steps));
        killed_after(&connector, commits).await;
        let record = records(&memory).await.remove(0);
        assert_eq!((record.status, record.commits), (RunStatus::Running, commits));
        assert!(record.counts.add_up(), "{:?}", record.counts);
        let offered = [1, 3, 7][usize::try_from(commits).unwrap() - 1];
        assert_eq!(record.counts.offered, offered, "after {commits} commits: {:?}", record.counts);
        assert_eq!(record.counts.skipped_total(), if commits == 3 { 2 } else { 0 });
        assert!(record.traffic.requests >= commits, "{:?}", record.traffic);
    }
}

#[tokio::test]
async fn batches_without_checkpoints_count_in_the_record_of_a_killed_run() {
    let steps = vec![Step::Raw(batch(&["a"], 1)), Step::Raw(batch(&["b"], 1)), Step::Raw(batch(&["c"], 1)), Step::Hang];
    let (connector, memory) = connector(&Scripted::new(steps));
    killed_after(&connector, 3).await;
    let record = records(&memory).await.remove(0);
    assert_eq!((record.status, record.commits, record.counts.inserted), (RunStatus::Running, 3, 3));
}

#[tokio::test]
async fn even_an_idle_run_ends_the_record_of_a_killed_run() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang]);
    let (connector, memory) = connector(&source);
    killed_after(&connector, 1).await;
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap().state.status, RunStatus::Running);
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    let next = ingest(&connector, Mode::Incremental).await;
    assert_eq!((next.status, next.commits), (RunStatus::Complete, 0));
    let statuses: Vec<RunStatus> = records(&memory).await.iter().map(|run| run.status).collect();
    assert_eq!(statuses, [RunStatus::Complete, RunStatus::Interrupted]);
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap().state.status, RunStatus::Complete);
}

#[tokio::test]
async fn a_reset_ends_the_record_of_a_killed_run() {
    let (connector, memory) = connector(&Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang]));
    killed_after(&connector, 1).await;
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(records(&memory).await[0].status, RunStatus::Interrupted);
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap().state.status, RunStatus::Interrupted);
}

#[tokio::test]
async fn a_superseded_run_still_records_its_own_end() {
    let (hold, connector, memory): (Arc<Hold>, _, _) = blocked_in_sweep(connector).await;
    let supersede = async {
        hold.reached.notified().await;
        // Another process commits, which ends the record of the waiting run.
        let entry = memory.latest(&key("r")).await.unwrap().unwrap();
        let mut state = entry.state;
        (state.status, state.run) = (RunStatus::Complete, snowfeed::RunId::new());
        memory.append(StateChange::new(key("r"), entry.version, entry.at).state(state)).await.unwrap();
        assert_eq!(records(&memory).await[0].status, RunStatus::Interrupted);
        hold.resume.notify_one();
    };
    let (run, ()) = tokio::join!(ingest(&connector, Mode::Reconcile), supersede);
    assert_eq!(
        (run.status, run.error.as_ref().map(|error| error.kind)),
        (RunStatus::Partial, Some(ErrorKind::Conflict))
    );
    assert_eq!(records(&memory).await[0], run, "the run's own record replaces the one that ended it");
}

#[tokio::test]
async fn a_cancelled_run_is_interrupted_everywhere() {
    let (connector, memory) = connector(&Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang]));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let connector = connector.observer(move |event: &Event| {
        if matches!(event, Event::Committed { .. }) {
            stopped.cancel();
        }
    });
    let report = connector.ingest(IngestRequest::new([resource("r")]).cancel(stop)).await.unwrap();
    assert_eq!((report.status(), report.runs[0].status), (RunStatus::Interrupted, RunStatus::Interrupted));
    assert_eq!(records(&memory).await, report.runs);
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(state.status, RunStatus::Interrupted);
    assert_eq!(serde_json::to_value(&state).unwrap()["status"], "interrupted");
}

#[tokio::test]
async fn a_dropped_ingestion_notifies_its_observer_of_its_end() {
    let (connector, memory) = connector(&Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang]));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let (log, committed) = (ended.clone(), Arc::new(tokio::sync::Notify::new()));
    let notify = committed.clone();
    let connector = connector.observer(move |event: &Event| match event {
        Event::Committed { .. } => notify.notify_one(),
        Event::Ended(run) => log.lock().unwrap().push((**run).clone()),
        _ => {}
    });
    tokio::select! {
        ended = connector.ingest(IngestRequest::new([resource("r")])) => panic!("the ingestion ended: {ended:?}"),
        () = committed.notified() => {}
    }
    let ended = ended.lock().unwrap().clone();
    assert_eq!(
        ended.iter().map(|run| (run.status, run.counts.inserted)).collect::<Vec<_>>(),
        [(RunStatus::Interrupted, 1)]
    );
    assert!(ended[0].ended_at.is_some());
    // Only the next run ends the durable record.
    assert_eq!(records(&memory).await[0].status, RunStatus::Running);
}

#[test]
fn states_of_older_versions_are_read() {
    let run = snowfeed::RunId::new();
    for (text, status) in
        [("RUNNING", RunStatus::Running), ("DONE", RunStatus::Complete), ("FAILED", RunStatus::Failed)]
    {
        let state: StreamState = serde_json::from_str(&format!(r#"{{"status":"{text}","run":"{run}"}}"#)).unwrap();
        assert_eq!(state.status, status);
    }
}
