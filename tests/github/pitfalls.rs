//! Pagination, the cursor and the data: rows 1 to 5, 9, 10 and 14 of the reference notes.

use github_server::{Fault, GithubServer, Mutations};
use serde_json::json;
use snowfeed::{ErrorKind, Record};

use crate::support::{REPOSITORY, Reading, is_deletion, secret, upstream};

#[tokio::test]
async fn pitfall_01_reading_works_when_page_numbers_are_rejected() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 1_500).page_depth(1).start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
}

#[tokio::test]
async fn pitfall_01_links_are_followed_verbatim() {
    for cursors in [false, true] {
        let builder = GithubServer::builder().repository(REPOSITORY, 700).cursor_links(cursors);
        let upstream = builder.start().await.unwrap();
        upstream.clock().advance(std::time::Duration::from_secs(60));
        upstream.bulk_edit(REPOSITORY, 450);
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        let parameter = if cursors { "after" } else { "page" };
        assert!(upstream.requests().iter().any(|request| request.query(parameter).is_some()), "no {parameter}=");
    }
}

#[tokio::test]
async fn pitfall_01_a_second_with_more_pages_than_github_serves_is_a_clear_error() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 700).page_depth(2).start().await.unwrap();
    upstream.clock().advance(std::time::Duration::from_secs(60));
    upstream.bulk_edit(REPOSITORY, 450);
    let error = Reading::new(&upstream, json!({})).read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("422") && error.help().unwrap().contains("one second"), "{error}");
}

#[tokio::test]
async fn pitfall_02_page_drift_loses_nothing() {
    for changes in [1, 3, 10] {
        let churn = Mutations { changes, deletions: false, bulk_edits: true };
        let builder = GithubServer::builder().seed(changes.into()).repository(REPOSITORY, 1_800).mutations(churn);
        let upstream = builder.start().await.unwrap();
        let existing: Vec<String> = upstream.snapshot(REPOSITORY).iter().map(|issue| issue.id.to_string()).collect();
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        let missing = existing.iter().filter(|id| !reading.table.contains_key(*id)).count();
        assert_eq!(missing, 0, "{changes} changes for each request");
        upstream.set_mutations(Mutations::NONE);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

#[tokio::test]
async fn pitfall_03_since_may_include_its_second_or_not_and_seconds_are_shared() {
    for inclusive in [true, false] {
        let builder = GithubServer::builder().repository(REPOSITORY, 400).since_inclusive(inclusive);
        let upstream = builder.start().await.unwrap();
        let mut reading = Reading::new(&upstream, json!({ "page_size": 20 }));
        reading.read().await.unwrap();
        // 34 issues in exactly the second of the newest one: before the poll and after it.
        upstream.bulk_edit(REPOSITORY, 34);
        reading.read().await.unwrap();
        upstream.bulk_edit(REPOSITORY, 34);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        let size = reading.checkpoint.unwrap().as_str().len();
        assert!(size < 400, "a checkpoint of {size} bytes");
    }
}

#[tokio::test]
async fn pitfall_04_a_change_without_a_new_time_is_found_by_a_reconcile_run() {
    let upstream = upstream(300).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    let before = reading.table.clone();
    upstream.rename_label(REPOSITORY, "bug", "defect");
    upstream.patch_silently(REPOSITORY, 7, json!({ "author_association": "MEMBER" })).unwrap();
    reading.read_all().await.unwrap();
    reading.assert_same(&upstream);
    let changed = reading.table.iter().filter(|(key, record)| before[*key] != **record).count();
    assert!(changed > 10, "only {changed} changed");
}

#[tokio::test]
async fn pitfall_05_a_missing_issue_is_verified_before_it_counts_as_deleted() {
    let builder = GithubServer::builder().repository(REPOSITORY, 50).repository("acme/other", 3);
    let upstream = builder.start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.delete(REPOSITORY, 1);
    upstream.hide(REPOSITORY, 2);
    upstream.transfer(REPOSITORY, 3, "acme/other");
    upstream.edit(REPOSITORY, 4);
    let mut records = reading.verify(&[1, 2, 3, 4]).await.unwrap();
    records.sort_by_key(|record| record.json().is_some());
    assert_eq!(records.iter().filter(|record| is_deletion(record)).count(), 3);
    for record in &records[..3] {
        assert_eq!(record.version, reading.table[&record.key].version);
    }
    let alive: Vec<&Record> = records[3..].iter().collect();
    assert_eq!(alive.len(), 1);
    let issue = upstream.snapshot(REPOSITORY).into_iter().find(|issue| issue.number == 4).unwrap();
    assert_eq!((&alive[0].key, &alive[0].json().unwrap()[..]), (&issue.id.to_string(), issue.text.as_str()));
}

#[tokio::test]
async fn pitfall_05_lost_access_does_not_look_like_deletions() {
    let upstream = upstream(20).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.fault_while(|_| true, Fault::status(404));
    assert_eq!(reading.verify(&[1, 2]).await.unwrap_err().kind(), ErrorKind::NotFound);
    upstream.clear_faults();
    upstream.disable_issues(REPOSITORY);
    let error = reading.verify(&[1, 2]).await.unwrap_err();
    assert!(error.to_string().contains("issues are disabled"), "{error}");
}

#[tokio::test]
async fn pitfall_05_a_response_that_is_not_an_issue_does_not_look_like_a_deletion() {
    let upstream = upstream(20).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.hide(REPOSITORY, 2);
    upstream.fault_while(|request| request.path().ends_with("/issues/1"), Fault::MissingKey("id".into()));
    let error = reading.verify(&[1, 2]).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidData, "the answer is not an issue"));
    upstream.clear_faults();
    upstream.fault_while(|request| request.path().ends_with("/issues"), Fault::EmptyBody);
    assert_eq!(reading.verify(&[1, 2]).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn pitfall_09_an_idle_poll_is_one_conditional_request_that_writes_nothing() {
    for issues in [0, 12, 70, 1_000] {
        let upstream = upstream(issues).await;
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        assert_eq!(reading.offered, u64::from(issues), "no row comes twice");
        let checkpoint = reading.checkpoint.clone();
        for _ in 0..2 {
            upstream.forget_requests();
            reading.batches = 0;
            reading.read().await.unwrap();
            let requests = upstream.requests();
            assert_eq!(requests.len(), 1, "{issues} issues");
            assert_eq!(requests[0].status(), Some(304), "{issues} issues: {requests:?}");
            assert_eq!((reading.batches, &reading.checkpoint), (0, &checkpoint));
        }
    }
}

#[tokio::test]
async fn pitfall_09_an_etag_of_other_credentials_is_not_used() {
    let upstream = upstream(40).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    let (_file, reference) = secret("some-token");
    reading.config = crate::support::config(&upstream, json!({ "token": reference }));
    upstream.forget_requests();
    reading.read().await.unwrap();
    assert_eq!(upstream.requests()[0].header("if-none-match"), None);
}

#[tokio::test]
async fn pitfall_10_pages_that_are_too_heavy_shrink() {
    let upstream = upstream(260).await;
    upstream.heavy_above(50);
    let mut reading = Reading::new(&upstream, json!({ "concurrency": 2 }));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
}

#[tokio::test]
async fn pitfall_10_pages_shrink_even_with_few_retries() {
    for retries in [0, 1] {
        let upstream = upstream(260).await;
        upstream.heavy_above(50);
        let mut reading = Reading::new(&upstream, json!({ "concurrency": 2, "retries": retries }));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

#[tokio::test]
async fn pitfall_10_a_server_that_keeps_failing_is_an_error() {
    let upstream = upstream(260).await;
    upstream.fault_while(|request| request.query("per_page").is_some(), Fault::status(502));
    let error = Reading::new(&upstream, json!({ "retries": 0, "page_size": 5 })).read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn pitfall_14_odd_data_arrives_byte_for_byte() {
    let upstream = upstream(1_200).await;
    let odd =
        json!({ "title": "NUL \u{0} here", "body": null, "user": null, "+1": { "-1": [1.0e3] }, "new": "\u{2028}" });
    upstream.patch(REPOSITORY, 3, odd).unwrap();
    upstream.patch(REPOSITORY, 4, json!({ "body": "ß".repeat(65_536) })).unwrap();
    upstream.add_field(REPOSITORY, "field_of_the_future", &json!({ "deep": [1, null] }), 150);
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    let has = |text: &str| reading.table.values().any(|record| record.json().unwrap().contains(text));
    assert!(has(r"\u0000") && has(r#""user":null"#) && has(r#""pull_request":{"#) && has("field_of_the_future"));
}
