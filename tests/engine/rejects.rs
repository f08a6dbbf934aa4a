//! What was rejected stays outstanding until the source has corrected it.

use snowfeed::backends::Memory;
use snowfeed::engine::Connector;
use snowfeed::{Batch, Checkpoint, Mode, Record, Reject, RejectQuery, RunStatus, SecretRef, Version};

use crate::support::{Scripted, Step, batch, connector, ingest, live, resource};

/// A batch whose checkpoint is the number of the step, with a reject for each of these reasons.
fn rejecting(step: usize, reasons: &[&str]) -> Batch {
    let mut batch = batch(&["a"], 1).checkpoint(Checkpoint::new(&step).unwrap());
    batch.rejects = reasons.iter().map(|reason| Reject { reason: (*reason).into(), raw: "{}".into() }).collect();
    batch
}

async fn outstanding(connector: &Connector) -> Vec<String> {
    let query = RejectQuery { resource: Some(resource("r")), limit: 9 };
    let found = connector.rejects(query).await.unwrap();
    assert_eq!(found.total(), found.rejects.len() as u64);
    let mut reasons: Vec<String> = found.rejects.into_iter().map(|reject| reject.reason).collect();
    reasons.sort();
    reasons
}

/// A connector that has rejected two things.
async fn rejected() -> (Scripted, Connector, Memory) {
    let source = Scripted::new(vec![Step::Raw(rejecting(1, &["no id", "no time"]))]);
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Partial);
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    (source, connector, memory)
}

#[tokio::test]
async fn what_was_corrected_without_a_newer_time_arrives_by_a_reconcile_run_and_is_no_longer_outstanding() {
    let (source, connector, memory) = rejected().await;
    let corrected = rejecting(1, &["no time"]).record(Record::upsert("b", Version(1), "{}"));
    source.script("r", vec![Step::Raw(corrected)]);
    // Nothing tells an incremental run of it.
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    assert!(!live(&memory).contains_key("b"));

    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.rejected), (RunStatus::Partial, 1), "one is still odd");
    assert_eq!(outstanding(&connector).await, ["no time"]);
    assert!(live(&memory).contains_key("b"));
}

#[tokio::test]
async fn a_pass_that_did_not_come_to_its_end_forgets_no_reject() {
    let (source, connector, _) = rejected().await;
    let fails = Step::Fail(snowfeed::ErrorKind::Unavailable, "down");
    source.script("r", vec![Step::Raw(rejecting(1, &["no time"])), fails]);
    ingest(&connector, Mode::Reconcile).await;
    assert_eq!(outstanding(&connector).await, ["no id", "no time"]);
    connector.reset(&resource("r")).await.unwrap();
    assert_eq!(outstanding(&connector).await, ["no id", "no time"], "a pass that was given up has seen only a part");
}

#[tokio::test]
async fn a_pass_that_was_resumed_keeps_the_rejects_of_its_first_part() {
    let (source, connector, _) = rejected().await;
    let first = Step::Raw(rejecting(1, &["no time"]));
    source.script("r", vec![first.clone(), Step::Fail(snowfeed::ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Reconcile).await;
    source.script("r", vec![first, Step::Batch(&["c"], 1)]);
    assert_eq!(ingest(&connector, Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(outstanding(&connector).await, ["no time"]);
}

#[tokio::test]
async fn a_reason_is_kept_without_the_secret_that_it_repeats() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush-7fQ2-zz91-Kd").unwrap();
    let secret: SecretRef = format!("file:{}", file.path().display()).parse().unwrap();
    secret.resolve().unwrap();
    let reasons = ["no id: hush-7fQ2-zz91-Kd", "no id: \\u0068ush-7fQ2-zz91-Kd", "no id: HUSH 7fq2%2dzz91-KD!"];
    let (connector, _) = connector(&Scripted::new(vec![Step::Raw(rejecting(1, &reasons))]));
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(outstanding(&connector).await, ["no id: ***", "no id: ***!"], "two are the same now");
}
