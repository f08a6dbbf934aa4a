//! Nothing is lost and nothing is stale, whatever changes, failures and crashes occur.

use github_server::{Fault, GithubServer, Mutations};
use serde_json::json;
use snowfeed::{Checkpoint, ErrorKind, Version};

use crate::support::{REPOSITORY, Reading, upstream};

#[tokio::test]
async fn a_crash_after_any_batch_loses_nothing() {
    for every in [1, 2, 3, 5] {
        let churn = Mutations { changes: 2, deletions: false, bulk_edits: true };
        let builder = GithubServer::builder().seed(every as u64).repository(REPOSITORY, 1_500).mutations(churn);
        let upstream = builder.start().await.unwrap();
        let mut reading = Reading::new(&upstream, json!({ "page_size": 30 }));
        for _ in 0..20 {
            reading.read_some(every).await.unwrap();
        }
        upstream.set_mutations(Mutations::NONE);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

#[tokio::test]
async fn resuming_after_a_crash_takes_few_extra_requests() {
    for read in [3, 6, 10, 14] {
        let upstream = upstream(2_000).await;
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read_some(read).await.unwrap();
        let left = 2_000 - reading.table.len();
        upstream.forget_requests();
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        let requests = upstream.requests().len();
        assert!(requests <= left.div_ceil(100) + 20, "{requests} requests for {left} issues");
    }
}

#[tokio::test]
async fn ranges_are_read_concurrently_within_the_limit() {
    for concurrency in [1, 4] {
        let builder =
            GithubServer::builder().repository(REPOSITORY, 3_000).latency(std::time::Duration::from_millis(5));
        let upstream = builder.start().await.unwrap();
        let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency }));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert_eq!(upstream.counts().max_in_flight, concurrency);
        assert!(upstream.counts().requests < 60, "{:?}", upstream.counts());
    }
}

#[tokio::test]
async fn transiently_broken_responses_are_retried() {
    let faults = [
        Fault::TruncatedBody,
        Fault::TruncatedJson,
        Fault::Html,
        Fault::EmptyBody,
        Fault::EmptyPage,
        Fault::Reset,
        Fault::InvalidUtf8,
        Fault::status(500),
    ];
    let upstream = GithubServer::builder().repository(REPOSITORY, 1_500).start().await.unwrap();
    upstream.fault_rate(0.15, faults);
    let mut reading = Reading::new(&upstream, json!({ "retries": 10 }));
    reading.read().await.unwrap();
    upstream.clear_faults();
    reading.assert_same(&upstream);
}

#[tokio::test]
async fn persistently_broken_responses_are_errors_and_never_skipped() {
    for fault in [Fault::TruncatedJson, Fault::Html, Fault::EmptyBody, Fault::EmptyPage] {
        let upstream = upstream(300).await;
        upstream.fault_while(|request| request.query("since").is_some(), fault.clone());
        let error = Reading::new(&upstream, json!({ "retries": 1 })).read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn records_without_an_id_are_rejected_and_records_without_a_time_are_kept() {
    let upstream = upstream(30).await;
    upstream.fault_while(|request| request.path().ends_with("/issues"), Fault::MissingKey("id".into()));
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    assert_eq!((reading.rejects.len(), reading.table.len()), (1, 29));
    assert_eq!(reading.rejects[0].0, "no id");

    let upstream = crate::support::upstream(30).await;
    upstream.fault_while(|request| request.path().ends_with("/issues"), Fault::MissingKey("updated_at".into()));
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    assert_eq!(reading.table.len(), 30);
    assert_eq!(reading.table.values().filter(|record| record.version == Version::NONE).count(), 1);
}

#[tokio::test]
async fn pull_requests_can_be_excluded_and_are_counted() {
    let upstream = upstream(500).await;
    let mut reading = Reading::new(&upstream, json!({ "pull_requests": false }));
    reading.read().await.unwrap();
    let pulls = upstream.snapshot(REPOSITORY).iter().filter(|issue| issue.text.contains("\"pull_request\":{")).count();
    assert!(pulls > 50);
    assert_eq!((reading.table.len(), reading.excluded), (500 - pulls, pulls as u64));
}

#[tokio::test]
async fn a_poll_returns_new_rows_and_little_else() {
    let upstream = upstream(2_000).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    // Records updated in the last seconds before the previous poll are delivered again.
    let mut again = 5;
    for changes in [1, 25, 60, 130, 700] {
        upstream.clock().advance(std::time::Duration::from_secs(3_600));
        upstream.bulk_edit(REPOSITORY, changes);
        upstream.create(REPOSITORY, 2);
        reading.offered = 0;
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        let new = changes as u64 + 2;
        assert!((new..=2 * new + again).contains(&reading.offered), "{} for {new} changes", reading.offered);
        again = new;
    }
}

#[tokio::test]
async fn a_checkpoint_in_another_format_is_rejected() {
    let upstream = upstream(3).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.checkpoint = Some(Checkpoint::new(&json!({ "v": 99 })).unwrap());
    let error = reading.read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(upstream.requests().is_empty());
}
