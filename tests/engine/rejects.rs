//! A reject stays outstanding until the source has corrected the record.

use snowfeed::backends::Memory;
use snowfeed::engine::Connector;
use snowfeed::{Batch, Checkpoint, Mode, Record, Reject, RejectQuery, RunStatus, SecretRef, Version};

use crate::store::Store;
use crate::support::{Scripted, Step, batch, connector, ingest, limits, live, resource};

/// A batch whose checkpoint is the number of the step, with a reject for each of these reasons.
fn rejecting(step: usize, reasons: &[&str]) -> Batch {
    let mut batch = batch(&["a"], 1).checkpoint(Checkpoint::new(&step).unwrap());
    batch.rejects = reasons.iter().map(|reason| Reject::new(*reason, "{}")).collect();
    batch
}

async fn outstanding(connector: &Connector) -> Vec<String> {
    let query = RejectQuery::new(9).resource(resource("r"));
    let found = connector.rejects(query).await.unwrap();
    assert_eq!(found.total(), found.rejects.len() as u64);
    let mut reasons: Vec<String> = found.rejects.into_iter().map(|reject| reject.reason).collect();
    reasons.sort();
    reasons
}

/// A connector with two outstanding rejects.
async fn rejected() -> (Scripted, Connector, Memory) {
    let source = Scripted::new(vec![Step::Raw(rejecting(1, &["no id", "no time"]))]);
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Partial);
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    (source, connector, memory)
}

#[tokio::test]
async fn a_reconcile_run_clears_a_reject_corrected_without_a_newer_version() {
    let (source, connector, memory) = rejected().await;
    let corrected = rejecting(1, &["no time"]).record(Record::upsert("b", Version(1), "{}"));
    source.script("r", vec![Step::Raw(corrected)]);
    // An incremental run does not see the correction.
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    assert!(!live(&memory).contains_key("b"));

    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.rejected), (RunStatus::Partial, 1), "one record is still rejected");
    assert_eq!(outstanding(&connector).await, ["no time"]);
    assert!(live(&memory).contains_key("b"));
}

/// A batch whose checkpoint is the number of the step: one record is malformed, another one has a document that is not JSON.
fn malformed(step: usize) -> Batch {
    Batch::new()
        .record(Record::upsert("c", Version(1), "{"))
        .reject("no id", r#"{"about":"7"}"#)
        .reject("no id", "{}")
        .checkpoint(Checkpoint::new(&step).unwrap())
}

/// The same records, corrected.
fn corrected(step: usize) -> Batch {
    let records = [Record::upsert("b", Version(2), r#"{"about":"7"}"#), Record::upsert("c", Version(2), "{}")];
    Batch::new().records(records).checkpoint(Checkpoint::new(&step).unwrap())
}

#[tokio::test]
async fn a_record_clears_the_rejects_about_it_in_an_incremental_run() {
    let source = Scripted::new(vec![Step::Raw(malformed(1))]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await.len(), 3);
    // A record about something else clears nothing.
    source.script("r", vec![Step::Raw(malformed(1)), Step::Batch(&["d"], 1)]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await.len(), 3);

    source.script("r", vec![Step::Raw(malformed(1)), Step::Batch(&["d"], 1), Step::Raw(corrected(3))]);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    assert_eq!(outstanding(&connector).await, ["no id"], "its raw text names no record");
    assert!(live(&memory).contains_key("b"));
    ingest(&connector, Mode::Reconcile).await;
}

#[tokio::test]
async fn a_record_clears_a_reject_of_the_same_run() {
    let mut limits = limits();
    limits.commit_rows = 1;
    let source = Scripted::new(vec![Step::Raw(malformed(1)), Step::Raw(corrected(2))]);
    let memory = Memory::new();
    let connector = Connector::new(source, std::sync::Arc::new(memory)).limits(limits);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await, ["no id"]);
}

#[tokio::test]
async fn corrected_rejects_are_cleared_and_repeated_ones_kept() {
    let (source, connector, _) = rejected().await;
    let old = rejecting(1, &["no id", "no time"]);
    let mut correction = rejecting(2, &["no time"]);
    correction.records.clear();
    correction.corrected = old.rejects.clone();
    source.script("r", vec![Step::Raw(old), Step::Raw(correction)]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await, ["no time"]);
}

/// A failed commit corrects nothing, and the next run tries again.
#[tokio::test]
async fn a_failed_commit_clears_nothing() {
    let store = Store::metered();
    let source = Scripted::new(vec![Step::Raw(malformed(1))]);
    let connector = store.connector(&source, limits());
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Raw(malformed(1)), Step::Raw(corrected(2))]);
    store.refuse(|change| change.state.as_ref().is_some_and(|state| state.status == RunStatus::Running));
    assert_ne!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    store.refuse(|_| false);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await, ["no id"]);
}

#[tokio::test]
async fn an_unfinished_reconciliation_clears_no_rejects() {
    let (source, connector, _) = rejected().await;
    let failure = Step::Fail(snowfeed::ErrorKind::Unavailable, "down");
    source.script("r", vec![Step::Raw(rejecting(1, &["no time"])), failure]);
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(
        outstanding(&connector).await,
        ["no id", "no time"],
        "an abandoned reconciliation has seen only some records"
    );
}

#[tokio::test]
async fn a_resumed_reconciliation_keeps_the_rejects_of_its_first_part() {
    let (source, connector, _) = rejected().await;
    let first = Step::Raw(rejecting(1, &["no time"]));
    source.script("r", vec![first.clone(), Step::Fail(snowfeed::ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;
    source.script("r", vec![first, Step::Batch(&["c"], 1)]);
    assert_eq!(ingest(&connector, Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(outstanding(&connector).await, ["no time"]);
}

#[tokio::test]
async fn secrets_are_redacted_from_reject_reasons() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush-7fQ2-zz91-Kd").unwrap();
    let secret: SecretRef = format!("file:{}", file.path().display()).parse().unwrap();
    secret.resolve().unwrap();
    let reasons = ["no id: hush-7fQ2-zz91-Kd", "no id: \\u0068ush-7fQ2-zz91-Kd", "no id: HUSH 7fq2%2dzz91-KD!"];
    let (connector, _) = connector(&Scripted::new(vec![Step::Raw(rejecting(1, &reasons))]));
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await, ["no id: ***", "no id: ***!"], "two rejects are equal after redaction");
}
