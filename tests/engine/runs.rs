//! The effects and reports of a run.

use std::sync::{Arc, Mutex};

use snowfeed::engine::{Event, IngestRequest};
use snowfeed::testkit::fault_injection::unsteady_clock;
use snowfeed::{Checkpoint, Counts, ErrorKind, Limits, Mode, Record, Reject, RunQuery, RunStatus, StateStore, Version};
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, batch, connector, ingest, key, keys, limits, live, resource, runs_of};

#[tokio::test]
async fn a_run_reads_everything_and_the_next_continues_from_its_checkpoint() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1), Step::Batch(&["c"], 1)]);
    let (connector, memory) = connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.inserted, run.commits, run.traffic.requests), (RunStatus::Complete, 3, 2, 2));

    source.script("r", vec![Step::Batch(&["a", "b"], 1), Step::Batch(&["c"], 1), Step::Batch(&["a"], 2)]);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.counts.offered, run.counts.updated), (1, 1));
    assert_eq!(live(&memory), keys(&[("a", 2), ("b", 1), ("c", 1)]));
    assert_eq!(source.reads.lock().unwrap().as_slice(), [(None, Mode::Incremental), (Some(2), Mode::Incremental)]);
}

#[tokio::test]
async fn an_idle_run_writes_only_its_record() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let before = (memory.history(&key("r"), 99).await.unwrap(), memory.rows(&resource("r"), "t"));
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.commits), (RunStatus::Complete, 0));
    assert_eq!((memory.history(&key("r"), 99).await.unwrap(), memory.rows(&resource("r"), "t")), before);
    assert_eq!(memory.runs(runs_of("r", 99)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn rereading_unchanged_records_leaves_the_state_alone() {
    let again = batch(&["a"], 1).checkpoint(Checkpoint::new(&0).unwrap());
    let source = Scripted::new(vec![Step::Raw(again)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let before = memory.latest(&key("r")).await.unwrap().unwrap();
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.counts.offered, run.counts.unchanged), (1, 1));
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap(), before);
}

#[tokio::test]
async fn a_failed_run_keeps_its_commits_and_records_the_error() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, memory) = connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(run.error.unwrap().message, "down");
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!((state.status, state.message.as_deref()), (RunStatus::Partial, Some("down")));
    assert_eq!(state.checkpoint.unwrap().parse::<usize>().unwrap(), 1);

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 1));
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap().state.status, RunStatus::Complete);
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn a_failure_before_any_commit_is_failed_and_recorded() {
    let source = Scripted::new(vec![Step::Fail(ErrorKind::Authentication, "bad token")]);
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Failed);
    let run = memory.runs(runs_of("r", 1)).await.unwrap().remove(0);
    assert_eq!(run.error.unwrap().kind, ErrorKind::Authentication);
}

#[tokio::test]
async fn a_panic_in_the_source_is_an_error() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Panic]);
    let (connector, _) = connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.error.unwrap().kind), (RunStatus::Partial, ErrorKind::Internal));
}

#[tokio::test]
async fn one_resource_that_fails_does_not_stop_the_others() {
    let source = Scripted::default();
    source.script("bad", vec![Step::Fail(ErrorKind::NotFound, "gone")]);
    source.script("good", vec![Step::Batch(&["a"], 1)]);
    let (connector, _) = connector(&source);
    let report = connector.ingest(IngestRequest::new([resource("good"), resource("bad")])).await.unwrap();
    let statuses: Vec<_> = report.runs.iter().map(|run| (run.resource.as_str(), run.status)).collect();
    assert_eq!(statuses, [("bad", RunStatus::Failed), ("good", RunStatus::Complete)]);
    assert_eq!(report.status(), RunStatus::Partial);
}

#[tokio::test]
async fn filtered_records_are_counted_and_the_run_is_complete() {
    let mut filtered = batch(&["a"], 1).checkpoint(Checkpoint::new(&1).unwrap());
    filtered.excluded.insert("pull request".into(), 2);
    let (connector, _) = connector(&Scripted::new(vec![Step::Raw(filtered)]));
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.offered, run.counts.skipped["pull_request"]), (RunStatus::Complete, 3, 2));
}

#[tokio::test]
async fn filtered_records_alone_need_no_commit() {
    let mut filtered = batch(&[], 1);
    filtered.excluded.insert("pull request".into(), 2);
    let source = Scripted::new(vec![Step::Raw(filtered.clone())]);
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.counts.skipped_total(), run.commits), (2, 0));
}

#[tokio::test]
async fn a_batch_without_a_checkpoint_keeps_the_previous_one() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Raw(batch(&["b"], 1))]);
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let (connector, memory) = connector(&source);
        ingest(&connector, mode).await;
        let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
        assert_eq!(state.checkpoint.unwrap().parse::<usize>().unwrap(), 1, "{mode:?}");
    }
}

#[tokio::test]
async fn a_run_with_rejects_is_partial_and_they_are_kept() {
    let rejected = batch(&["a"], 1).reject("no id", "{}").checkpoint(Checkpoint::new(&1).unwrap());
    let (connector, memory) = connector(&Scripted::new(vec![Step::Raw(rejected.clone())]));
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.rejected), (RunStatus::Partial, 1));
    assert_eq!(memory.rejects(&resource("r"), "t"), rejected.rejects);
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert!(state.message.unwrap().contains("1 record was rejected (no id);"));
}

#[tokio::test]
async fn a_run_names_the_most_frequent_reason_of_its_rejects_and_its_count() {
    let rejecting = |step: usize, reasons: &[&str]| {
        let mut rejected = batch(&["a"], 1).checkpoint(Checkpoint::new(&step).unwrap());
        rejected.rejects =
            reasons.iter().enumerate().map(|(n, reason)| Reject::new(*reason, format!("{step} {n}"))).collect();
        Step::Raw(rejected)
    };
    let source = Scripted::new(vec![rejecting(1, &["no time", "no id", "no id"]), rejecting(2, &["no time", "no id"])]);
    let (connector, memory) = connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    let reason = run.reject_reason.clone().unwrap();
    assert_eq!((run.counts.rejected, &*reason.reason, reason.count), (5, "no id", 3));
    let stored = connector.runs(RunQuery::new(1)).await.unwrap();
    assert_eq!(stored[0].reject_reason, Some(reason));
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    let message =
        "5 records were rejected, 3 because: no id; they are kept in a separate table, and listed by `rejects`";
    assert_eq!(state.message.as_deref(), Some(message));
    // The next run has reasons of its own.
    source.script("r", vec![Step::Batch(&["a"], 2)]);
    assert_eq!(ingest(&connector, Mode::Incremental).await.reject_reason, None);
}

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 5), Step::Batch(&["a"], 3)]);
    let (connector, memory) = connector(&source);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!(run.counts.skipped[Counts::OLDER], 1);
    assert_eq!(live(&memory), keys(&[("a", 5)]));
}

#[tokio::test]
async fn small_batches_become_one_commit_and_keep_the_last_checkpoint() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Batch(&["c"], 1)]);
    let (connector, memory) = connector(&source);
    let connector = connector.limits(snowfeed::Limits::default());
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.commits, run.counts.inserted), (1, 3));
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(state.checkpoint.unwrap().parse::<usize>().unwrap(), 3);
}

#[tokio::test]
async fn a_cancelled_run_commits_what_it_read_and_resumes_later() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Hang]);
    let (connector, memory) = connector(&source);
    // Far from any limit, so the batches are still buffered when the run is cancelled.
    let limits = Limits::default().commit_after(std::time::Duration::from_secs(3600));
    let stop = CancellationToken::new();
    let (observed, reads) = (stop.clone(), Mutex::new(0));
    let watched = connector.clone().limits(limits).observer(move |event: &Event| {
        if matches!(event, Event::Read { .. }) {
            *reads.lock().unwrap() += 1;
            if *reads.lock().unwrap() == 2 {
                observed.cancel();
            }
        }
    });
    let report = watched.ingest(IngestRequest::new([resource("r")]).cancel(stop)).await.unwrap();
    assert_eq!((report.status(), report.interrupted()), (RunStatus::Interrupted, true));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]));

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1), Step::Batch(&["c"], 1)]);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.offered), (RunStatus::Complete, 1));
}

#[tokio::test]
async fn a_source_without_checkpoints_is_read_in_full_each_time() {
    let source = Scripted::new(vec![Step::Raw(batch(&["a", "b"], 0))]);
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.counts.inserted, 2);
    let entries = memory.history(&key("r"), 99).await.unwrap().len();
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.counts.unchanged), (RunStatus::Complete, 2));
    assert_eq!(memory.history(&key("r"), 99).await.unwrap().len(), entries, "an unchanged state was written");
}

#[tokio::test]
async fn a_clock_that_steps_back_does_no_harm() {
    let source = Scripted::default();
    let (connector, memory) = connector(&source);
    let connector = connector.clock(unsteady_clock("2026-01-01T12:00:00Z".parse().unwrap()));
    let mut steps = Vec::new();
    for version in 1..=12 {
        steps.push(Step::Batch(&["a"], version));
        source.script("r", steps.clone());
        assert_eq!(ingest(&connector, Mode::Incremental).await.counts.offered, 1, "the checkpoint went backwards");
    }
    let history = memory.history(&key("r"), 99).await.unwrap();
    assert!(history.is_sorted_by(|newer, older| newer.at >= older.at && newer.version > older.version));
    assert_eq!(live(&memory), keys(&[("a", 12)]));
}

#[tokio::test]
async fn old_history_is_pruned() {
    let source = Scripted::new(vec![]);
    let (connector, memory) = connector(&source);
    let connector = connector.limits(limits().history(3));
    for _ in 0..6 {
        ingest(&connector, Mode::Incremental).await;
    }
    assert_eq!(memory.runs(runs_of("r", 99)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn observers_see_a_run_from_start_to_end() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (connector, _) = connector(&Scripted::new(vec![Step::Batch(&["a"], 1)]));
    let log = seen.clone();
    let connector = connector.observer(move |event: &Event| {
        let name = match event {
            Event::Started { .. } => "started",
            Event::Read { records, .. } => {
                assert_eq!(*records, 1);
                "read"
            }
            Event::Committed { counts, .. } => {
                assert_eq!(counts.inserted, 1);
                "committed"
            }
            Event::Ended(run) => {
                assert_eq!(run.status, RunStatus::Complete);
                "ended"
            }
            _ => "other",
        };
        log.lock().unwrap().push(name);
    });
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(*seen.lock().unwrap(), ["started", "read", "committed", "ended"]);
}

#[tokio::test]
async fn a_deletion_from_the_source_marks_the_row() {
    let gone = snowfeed::Batch::new().record(Record::delete("a", Version(2)));
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1), Step::Raw(gone)]);
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.counts.deleted, 1);
    assert_eq!(live(&memory), keys(&[("b", 1)]));
    assert_eq!(memory.rows(&resource("r"), "t").len(), 2, "the row was deleted");
}

#[tokio::test]
async fn limits_of_zero_lose_no_records() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1), Step::Batch(&["c"], 1)]);
    for limits in [Limits::default().commit_rows(0), Limits::default().commit_bytes(0), Limits::default().read_ahead(0)]
    {
        let (connector, memory) = connector(&source);
        let connector = connector.limits(limits);
        assert_eq!(ingest(&connector, Mode::Incremental).await.counts.inserted, 3, "{limits:?}");
        assert_eq!(ingest(&connector, Mode::Reconcile).await.status, RunStatus::Complete);
        assert_eq!(live(&memory).len(), 3, "{limits:?}");
    }
}
