//! Reconcile runs mark exactly the records that the source no longer has.

use std::sync::{Arc, Mutex};

use snowfeed::engine::{Event, IngestRequest};
use snowfeed::{ErrorKind, Mode, RunStatus, Sink, SourceEvent, StateStore, UnseenQuery};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Scripted, Step, blocked_in_sweep, connector, ingest, key, keys, live, reset_during_sweep, resource,
};

#[tokio::test]
async fn vanished_records_are_marked_and_the_others_stay() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b", "c"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    source.truth.lock().unwrap().extend([("b".into(), None), ("c".into(), Some(2))]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.status, RunStatus::Complete);
    assert_eq!((run.counts.deleted, run.counts.updated, run.counts.unchanged), (1, 1, 1));
    assert_eq!(live(&memory), keys(&[("a", 1), ("c", 2)]), "verify still finds c");
    assert_eq!(memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile, None);
}

#[tokio::test]
async fn a_record_that_verify_does_not_return_stays() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn an_interrupted_reconciliation_resumes() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b", "c"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(live(&memory).len(), 3, "nothing is deleted before the reconciliation ends");

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    source.truth.lock().unwrap().insert("c".into(), None);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.offered, run.counts.deleted), (RunStatus::Complete, 2, 1));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]), "a was seen before the interruption");
    assert_eq!(source.reads.lock().unwrap().last().unwrap(), &(Some(1), Mode::Reconcile));
}

#[tokio::test]
async fn a_resumed_reconciliation_reports_its_start() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, memory) = connector(&source);
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let log = warnings.clone();
    let connector = connector.observer(move |event: &Event| {
        if let Event::Source { event: SourceEvent::Warning(warning), .. } = event {
            log.lock().unwrap().push(warning.clone());
        }
    });
    ingest(&connector, Mode::Reconcile).await;
    let reconcile = memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile.unwrap();
    ingest(&connector, Mode::Incremental).await;
    assert!(warnings.lock().unwrap().is_empty());
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    ingest(&connector, Mode::Reconcile).await;
    let logged = std::mem::take(&mut *warnings.lock().unwrap());
    assert_eq!(logged.len(), 1);
    assert!(
        logged[0].contains("reconciliation of r") && logged[0].contains(&reconcile.started_at.to_string()),
        "{logged:?}"
    );
    ingest(&connector, Mode::Reconcile).await;
    assert!(warnings.lock().unwrap().is_empty(), "the next reconcile run starts a new reconciliation");
}

#[tokio::test]
async fn an_incremental_run_does_not_disturb_an_open_reconciliation() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;

    source.script("r", vec![Step::Batch(&["a", "b"], 1), Step::Batch(&["new"], 1)]);
    ingest(&connector, Mode::Incremental).await;
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(state.checkpoint.unwrap().parse::<usize>().unwrap(), 2);
    assert_eq!(state.reconcile.unwrap().checkpoint.unwrap().parse::<usize>().unwrap(), 1);

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b", "new"], 1)]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0));
    assert_eq!(live(&memory).len(), 3);
}

#[tokio::test]
async fn a_reconcile_run_finds_changes_that_kept_their_version() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let renamed = snowfeed::Record::upsert("a", snowfeed::Version(1), r#"{"label":"renamed"}"#);
    source.script("r", vec![Step::Raw(snowfeed::Batch::new().record(renamed))]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.counts.updated, 1);
    assert_eq!(memory.rows(&resource("r"), "t")[0].json.as_deref(), Some(r#"{"label":"renamed"}"#));
}

#[tokio::test]
async fn many_vanished_records_are_swept_in_steps() {
    let source = Scripted::new(vec![]);
    let names: Vec<String> = (0..1_234).map(|key| format!("{key:05}")).collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    source.script("r", vec![Step::Raw(crate::support::batch(&refs, 1))]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![]);
    source.truth.lock().unwrap().extend(names.iter().map(|key| (key.clone(), None)));
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).allow_deletions(true);
    let run = connector.ingest(request).await.unwrap().runs.remove(0);
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 1_234));
    assert!(live(&memory).is_empty());
}

#[tokio::test]
async fn an_incremental_run_continues_from_the_end_of_a_reconciliation() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Reconcile).await;
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(source.reads.lock().unwrap().as_slice(), [(None, Mode::Reconcile), (Some(2), Mode::Incremental)]);
}

#[tokio::test]
async fn an_interrupted_sweep_verifies_no_record_twice() {
    let names: Vec<String> = (0..600).map(|key| format!("{key:05}")).collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let source = Scripted::new(vec![Step::Raw(crate::support::batch(&refs, 1))]);
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![]);
    source.truth.lock().unwrap().extend(names.iter().map(|key| (key.clone(), Some(1))));
    let stop = CancellationToken::new();
    let verified = Arc::new(Mutex::new(Vec::new()));
    let (stopped, log) = (stop.clone(), verified.clone());
    let connector = connector.observer(move |event: &Event| {
        if let Event::Verifying { records, .. } = event {
            log.lock().unwrap().push(*records);
            stopped.cancel();
        }
    });
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).cancel(stop);
    assert!(connector.ingest(request).await.unwrap().interrupted());
    assert_eq!(ingest(&connector, Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(*verified.lock().unwrap(), [500, 100]);
}

#[tokio::test]
async fn a_superseded_sweep_deletes_nothing() {
    let (hold, connector, memory) = blocked_in_sweep(connector).await;
    let run = reset_during_sweep(&hold, &connector).await;
    assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Conflict));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[tokio::test]
async fn a_sweep_is_interrupted_during_verify() {
    let (hold, connector, memory) = blocked_in_sweep(connector).await;
    let stop = CancellationToken::new();
    let interrupt = async {
        hold.reached.notified().await;
        stop.cancel();
    };
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).cancel(stop.clone());
    let ingest = tokio::time::timeout(std::time::Duration::from_secs(600), connector.ingest(request));
    let (report, ()) = tokio::join!(ingest, interrupt);
    assert!(report.expect("the ingestion timed out").unwrap().interrupted());
    assert!(memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile.is_some());
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[tokio::test]
async fn a_reset_discards_an_open_reconciliation() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;
    let reconcile = memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile.unwrap();
    connector.reset(&resource("r")).await.unwrap();
    let new = memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile.unwrap();
    assert!(new.id != reconcile.id && new.is_reset && new.checkpoint.is_none(), "{new:?}");
    let query = UnseenQuery::new(resource("r"), "t", reconcile.id, 9);
    assert_eq!(memory.unseen(query).await.unwrap().len(), 2, "the marks were deleted");
}
