//! Comments on issues and on lines of pull requests.

use github_server::{Fault, Mutations, RecordKind};
use serde_json::json;
use snowfeed::ErrorKind;

use super::{StreamReading, requests, split, truth, upstream_of};
use crate::support::REPOSITORY;

const KINDS: [(&str, RecordKind); 2] =
    [("issue_comments", RecordKind::IssueComment), ("review_comments", RecordKind::ReviewComment)];

#[tokio::test]
async fn comments_that_change_while_they_are_read_are_all_there() {
    for (stream, kind) in KINDS {
        for page_limit in [100, 30] {
            let builder = github_server::GithubServer::builder().seed(9).repository(REPOSITORY, 80);
            let upstream = builder.records(kind, 900).page_limit(page_limit).start().await.unwrap();
            upstream.mutate_records([kind]);
            upstream.set_mutations(Mutations::per_request(4));
            let mut reading = StreamReading::new(&upstream, stream).await;
            for _ in 0..3 {
                reading.read_some(3).await.unwrap();
            }
            reading.read().await.unwrap();
            upstream.set_mutations(Mutations::NONE);
            reading.read().await.unwrap();
            assert_eq!(reading.texts(), truth(&upstream, kind), "{stream} {page_limit}");
        }
    }
}

#[tokio::test]
async fn a_poll_without_news_is_one_request_that_costs_nothing() {
    for (stream, kind) in KINDS {
        let upstream = upstream_of(kind, 230).await;
        let mut reading = StreamReading::new(&upstream, stream).await;
        reading.read().await.unwrap();
        reading.read().await.unwrap();
        requests(&upstream);
        assert_eq!(reading.read().await.unwrap(), 0);
        let sent = requests(&upstream);
        assert!(sent.len() == 1 && sent[0].1 == 304, "{sent:?}");
        upstream.add_records(REPOSITORY, kind, 1);
        reading.read().await.unwrap();
        assert_eq!(reading.texts(), truth(&upstream, kind), "{stream}");
        assert!(requests(&upstream).len() <= 2);
    }
}

#[tokio::test]
async fn a_missing_comment_is_deleted_only_if_others_are_still_served() {
    for (stream, kind) in KINDS {
        let upstream = upstream_of(kind, 40).await;
        let mut reading = StreamReading::new(&upstream, stream).await;
        reading.read().await.unwrap();
        let ids: Vec<u64> = upstream.records(REPOSITORY, kind).iter().map(|record| record.id).collect();
        let keys: Vec<String> = ids[..3].iter().map(u64::to_string).collect();
        upstream.delete_record(REPOSITORY, kind, ids[0]);
        upstream.hide_record(REPOSITORY, kind, ids[1]);
        upstream.edit_record(REPOSITORY, kind, ids[2]);
        let (gone, found) = split(reading.verify(&keys).await.unwrap());
        assert_eq!(gone, keys[..2], "{stream}");
        assert_eq!(found[&keys[2]], truth(&upstream, kind)[&keys[2]]);
        // A gateway that serves lists only.
        upstream.fault_while(|request| request.path().contains("/comments/"), Fault::status(404));
        let error = reading.verify(&keys).await.unwrap_err();
        assert!(error.message().contains("does not give it on request"), "{error}");
    }
}

/// GitHub hides the comments on issues then, and serves those on pull requests.
#[tokio::test]
async fn comments_of_disabled_issues_are_not_deleted() {
    let upstream = upstream_of(RecordKind::IssueComment, 40).await;
    let mut reading = StreamReading::new(&upstream, "issue_comments").await;
    reading.read().await.unwrap();
    let keys: Vec<String> = reading.rows.keys().cloned().collect();
    upstream.disable_issues(REPOSITORY);
    let error = reading.verify(&keys).await.unwrap_err();
    assert!(error.message().contains("issues are disabled"), "{error}");
    let error = StreamReading::new(&upstream, "issue_comments").await.batches().await.unwrap_err();
    assert!(error.message().contains("issues are disabled"), "{error}");
}

#[tokio::test]
async fn comments_on_pull_requests_are_left_out_with_them_and_read_once_they_are_included() {
    let upstream = upstream_of(RecordKind::IssueComment, 300).await;
    let without = json!({ "pull_requests": false });
    let mut reading = StreamReading::with(&upstream, "issue_comments", without.clone()).await;
    let excluded: u64 = reading.batches().await.unwrap().iter().flat_map(|batch| batch.excluded.values()).sum();
    reading.read().await.unwrap();
    assert!(excluded > 0 && reading.texts().values().all(|text| !text.contains("/pull/")));
    assert_eq!(reading.rows.len() as u64 + excluded, 300);
    reading.reconnect(&upstream, json!({})).await;
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, RecordKind::IssueComment));
    for stream in ["review_comments", "pulls", "reviews"] {
        let error = StreamReading::with(&upstream, stream, without.clone()).await.batches().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.message().contains(stream) && error.help().unwrap().contains("pull_requests"), "{error}");
    }
}

/// A page that is too large is requested in halves, and a comment at which the server fails becomes a reject that names its neighbours.
#[tokio::test]
async fn a_comment_at_which_the_server_fails_is_named_and_read_once_it_can_be() {
    let upstream = upstream_of(RecordKind::IssueComment, 60).await;
    let mut times: Vec<_> = upstream.records(REPOSITORY, RecordKind::IssueComment);
    times.sort_by_key(|record| (record.updated_at, record.id));
    let bad = times[30].updated_at;
    // The page of a row is known by the number of rows before it, which never changes here.
    let is_bad = move |request: &github_server::ReceivedRequest| {
        let number = |name| request.query(name).and_then(|text| text.parse::<usize>().ok());
        let since = request.query("since").and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let before = times.iter().filter(|record| since.is_none_or(|since| record.updated_at >= since)).count();
        let skipped = times.len() - before;
        let (size, page) = (number("per_page").unwrap_or(30), number("page").unwrap_or(1));
        let first = skipped + (page - 1) * size;
        let is_list =
            request.path().ends_with("/issues/comments") && request.query("direction").as_deref() == Some("asc");
        is_list && (first..first + size).contains(&30)
    };
    upstream.fault_while(is_bad, Fault::status(500));
    let mut reading = StreamReading::with(&upstream, "issue_comments", json!({ "retries": 0, "concurrency": 1 })).await;
    let batches = reading.batches().await.unwrap();
    let rejects: Vec<_> = batches.iter().flat_map(|batch| &batch.rejects).collect();
    assert_eq!(rejects.len(), 1, "{rejects:?} {bad}");
    assert!(rejects[0].reason.contains("fails at this comment") && !rejects[0].reason.contains('#'), "{rejects:?}");
    reading.read().await.unwrap();
    assert_eq!(reading.rows.len(), 59);
    upstream.clear_faults();
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, RecordKind::IssueComment));
}
