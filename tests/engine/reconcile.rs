//! Reconcile runs: they find what the source no longer has, and mark nothing else.

use std::sync::{Arc, Mutex};

use snowfeed::engine::{Event, IngestRequest};
use snowfeed::{ErrorKind, Mode, RunStatus, Sink, SourceEvent, StateStore, UnseenQuery};
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, connector, ingest, keys, live, overtaken, resource, waiting_in_a_sweep};

#[tokio::test]
async fn what_vanished_is_marked_and_the_rest_stays() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b", "c"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    source.truth.lock().unwrap().extend([("b".into(), None), ("c".into(), Some(2))]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.status, RunStatus::Complete);
    assert_eq!((run.counts.deleted, run.counts.updated, run.counts.unchanged), (1, 1, 1));
    assert_eq!(live(&memory), keys(&[("a", 1), ("c", 2)]), "c was only overlooked by the pass");
    assert_eq!(memory.latest("r").await.unwrap().unwrap().state.reconcile, None);
}

#[tokio::test]
async fn a_record_about_which_the_source_says_nothing_stays() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn an_interrupted_pass_goes_on_where_it_was() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b", "c"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(live(&memory).len(), 3, "nothing is deleted before the pass is over");

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    source.truth.lock().unwrap().insert("c".into(), None);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.offered, run.counts.deleted), (RunStatus::Complete, 2, 1));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1)]), "a was seen before the interruption");
    assert_eq!(source.reads.lock().unwrap().last().unwrap(), &(Some(1), Mode::Reconcile));
}

#[tokio::test]
async fn a_pass_that_goes_on_says_since_when() {
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
    let pass = memory.latest("r").await.unwrap().unwrap().state.reconcile.unwrap();
    ingest(&connector, Mode::Incremental).await;
    assert!(warnings.lock().unwrap().is_empty());
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    ingest(&connector, Mode::Reconcile).await;
    let said = std::mem::take(&mut *warnings.lock().unwrap());
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("reconciliation of r") && said[0].contains(&pass.started_at.to_string()), "{said:?}");
    ingest(&connector, Mode::Reconcile).await;
    assert!(warnings.lock().unwrap().is_empty(), "the next pass begins anew");
}

#[tokio::test]
async fn an_incremental_run_between_leaves_the_pass_alone() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;

    source.script("r", vec![Step::Batch(&["a", "b"], 1), Step::Batch(&["new"], 1)]);
    ingest(&connector, Mode::Incremental).await;
    let state = memory.latest("r").await.unwrap().unwrap().state;
    assert_eq!(state.checkpoint.unwrap().parse::<usize>().unwrap(), 2);
    assert_eq!(state.reconcile.unwrap().checkpoint.unwrap().parse::<usize>().unwrap(), 1);

    source.script("r", vec![Step::Batch(&["a"], 1), Step::Batch(&["b", "new"], 1)]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0));
    assert_eq!(live(&memory).len(), 3);
}

#[tokio::test]
async fn a_pass_finds_changes_that_moved_no_version() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    let renamed = snowfeed::Record::upsert("a", snowfeed::Version(1), r#"{"label":"renamed"}"#);
    source.script("r", vec![Step::Raw(snowfeed::Batch::new("t").record(renamed))]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(run.counts.updated, 1);
    assert_eq!(memory.rows(&resource("r"), "t")[0].json.as_deref(), Some(r#"{"label":"renamed"}"#));
}

#[tokio::test]
async fn many_vanished_records_are_looked_at_in_steps() {
    let source = Scripted::new(vec![]);
    let many: Vec<String> = (0..1_234).map(|key| format!("{key:05}")).collect();
    let refs: Vec<&str> = many.iter().map(String::as_str).collect();
    source.script("r", vec![Step::Raw(crate::support::batch(&refs, 1))]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![]);
    source.truth.lock().unwrap().extend(many.iter().map(|key| (key.clone(), None)));
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).allow_deletions(true);
    let run = connector.ingest(request).await.unwrap().runs.remove(0);
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 1_234));
    assert!(live(&memory).is_empty());
}

#[tokio::test]
async fn after_a_pass_an_incremental_run_goes_on_from_its_end() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Batch(&["b"], 1)]);
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Reconcile).await;
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(source.reads.lock().unwrap().as_slice(), [(None, Mode::Reconcile), (Some(2), Mode::Incremental)]);
}

#[tokio::test]
async fn an_interrupted_sweep_asks_about_no_record_twice() {
    let many: Vec<String> = (0..600).map(|key| format!("{key:05}")).collect();
    let refs: Vec<&str> = many.iter().map(String::as_str).collect();
    let source = Scripted::new(vec![Step::Raw(crate::support::batch(&refs, 1))]);
    let (connector, _) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![]);
    source.truth.lock().unwrap().extend(many.iter().map(|key| (key.clone(), Some(1))));
    let stop = CancellationToken::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (stopped, log) = (stop.clone(), asked.clone());
    let connector = connector.observer(move |event: &Event| {
        if let Event::Verifying { records, .. } = event {
            log.lock().unwrap().push(*records);
            stopped.cancel();
        }
    });
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).cancel(stop);
    assert!(connector.ingest(request).await.unwrap().interrupted());
    assert_eq!(ingest(&connector, Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(*asked.lock().unwrap(), [500, 100]);
}

#[tokio::test]
async fn a_sweep_that_was_overtaken_deletes_nothing() {
    let (hold, connector, memory) = waiting_in_a_sweep(connector).await;
    let run = overtaken(&hold, &connector).await;
    assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Conflict));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[tokio::test]
async fn a_sweep_is_interrupted_while_the_source_is_asked() {
    let (hold, connector, memory) = waiting_in_a_sweep(connector).await;
    let stop = CancellationToken::new();
    let interrupt = async {
        hold.has_come.notified().await;
        stop.cancel();
    };
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).cancel(stop.clone());
    let ingest = tokio::time::timeout(std::time::Duration::from_secs(600), connector.ingest(request));
    let (report, ()) = tokio::join!(ingest, interrupt);
    assert!(report.expect("it goes on").unwrap().interrupted());
    assert!(memory.latest("r").await.unwrap().unwrap().state.reconcile.is_some());
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[tokio::test]
async fn a_reset_forgets_a_pass_that_was_under_way() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 1)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;
    let pass = memory.latest("r").await.unwrap().unwrap().state.reconcile.unwrap();
    connector.reset(&resource("r")).await.unwrap();
    let new = memory.latest("r").await.unwrap().unwrap().state.reconcile.unwrap();
    assert!(new.id != pass.id && new.is_reset && new.checkpoint.is_none(), "{new:?}");
    let query = UnseenQuery::new(resource("r"), "t", pass.id, 9);
    assert_eq!(memory.unseen(query).await.unwrap().len(), 2, "the marks are gone");
}
