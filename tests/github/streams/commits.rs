//! Commits of the default branch.

use github_server::{Fault, GithubServer, RecordKind};
use jiff::Timestamp;
use serde_json::json;

use super::{StreamReading, requests, split, truth, upstream_of};
use crate::support::REPOSITORY;

const KIND: RecordKind = RecordKind::Commit;

fn early() -> Timestamp {
    "2015-03-01T00:00:00Z".parse().unwrap()
}

fn late() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_branch_is_read_whole_and_an_idle_read_is_one_request_that_costs_nothing() {
    for count in [1, 99, 100, 250] {
        let upstream = upstream_of(KIND, count).await;
        let mut reading = StreamReading::new(&upstream, "commits").await;
        reading.read().await.unwrap();
        assert_eq!(reading.texts(), truth(&upstream, KIND), "{count}");
        assert!(requests(&upstream).len() <= 5 + count as usize / 100);
        assert_eq!(reading.read().await.unwrap(), 0);
        let sent = requests(&upstream);
        assert!(sent.len() == 1 && sent[0].1 == 304, "{sent:?}");
    }
}

/// A branch that is merged late brings commits with old dates.
#[tokio::test]
async fn commits_are_found_whatever_their_dates() {
    let upstream = upstream_of(KIND, 120).await;
    let mut reading = StreamReading::new(&upstream, "commits").await;
    reading.read().await.unwrap();
    for count in [1, 3, 230] {
        for number in 0..count {
            upstream.push_commit(REPOSITORY, if number % 2 == 0 { early() } else { late() });
        }
        requests(&upstream);
        let before = reading.rows.len();
        reading.read().await.unwrap();
        assert_eq!(reading.texts(), truth(&upstream, KIND), "{count}");
        assert_eq!(reading.rows.len(), before + count);
        assert!(requests(&upstream).len() <= 2 + count / 100, "only what is new");
    }
}

#[tokio::test]
async fn an_interrupted_read_goes_on_where_it_was_left_while_commits_arrive() {
    let upstream = upstream_of(KIND, 500).await;
    let mut reading = StreamReading::with(&upstream, "commits", json!({ "page_size": 50 })).await;
    let mut rounds = 0;
    while reading.read_some(2).await.unwrap() == 2 {
        upstream.push_commit(REPOSITORY, early());
        upstream.push_commit(REPOSITORY, late());
        rounds += 1;
        assert!(rounds < 50);
    }
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, KIND));
    assert!(requests(&upstream).len() < 60, "no page twice");
}

#[tokio::test]
async fn after_a_forced_push_the_new_commits_are_read_and_the_old_ones_are_verified_as_gone() {
    let upstream = upstream_of(KIND, 150).await;
    let mut reading = StreamReading::new(&upstream, "commits").await;
    reading.read().await.unwrap();
    let commits = upstream.records(REPOSITORY, KIND);
    let sha = |index: usize| commits[index].path.replace("commits/", "");
    for commit in &commits[147..] {
        upstream.delete_record(REPOSITORY, KIND, commit.id);
    }
    upstream.push_commit(REPOSITORY, late());
    reading.read().await.unwrap();
    let now = truth(&upstream, KIND);
    assert!(now.keys().all(|key| reading.rows.contains_key(key)));
    let keys = [sha(149), sha(147), sha(146), sha(0)];
    let (gone, found) = split(reading.verify(&keys).await.unwrap());
    let mut expected = keys[..2].to_vec();
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(found.keys().cloned().collect::<std::collections::BTreeSet<_>>(), keys[2..].iter().cloned().collect());
    assert!(found.iter().all(|(key, text)| now[key] == *text));
    // A gateway without comparisons.
    upstream.fault_while(|request| request.path().contains("/compare/"), Fault::status(404));
    assert!(reading.verify(&keys).await.is_err());
}

/// Git has removed the old head, or GitHub fails at the comparison.
#[tokio::test]
async fn a_branch_that_cannot_be_compared_is_read_whole() {
    for status in [404, 422, 500] {
        let upstream = upstream_of(KIND, 150).await;
        let mut reading = StreamReading::with(&upstream, "commits", json!({ "retries": 0 })).await;
        reading.read().await.unwrap();
        upstream.push_commit(REPOSITORY, early());
        upstream.fault_while(|request| request.path().contains("/compare/"), Fault::status(status));
        reading.read().await.unwrap();
        assert_eq!(reading.texts(), truth(&upstream, KIND), "{status}");
        upstream.fault_while(|request| request.path().contains("/compare/"), Fault::status(403));
    }
}

/// A comparison that has fewer commits than it counts.
#[tokio::test]
async fn a_comparison_that_is_cut_off_is_not_trusted() {
    let upstream = upstream_of(KIND, 50).await;
    let mut reading = StreamReading::new(&upstream, "commits").await;
    reading.read().await.unwrap();
    upstream.push_commit(REPOSITORY, early());
    upstream.push_commit(REPOSITORY, late());
    let body = json!({ "status": "ahead", "total_commits": 2, "commits": [] }).to_string();
    upstream.fault_while(|request| request.path().contains("/compare/"), Fault::Body { code: 200, body });
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, KIND));
}

/// The head that an interrupted read left is gone.
#[tokio::test]
async fn an_interrupted_read_of_a_head_that_is_gone_begins_anew() {
    let upstream = upstream_of(KIND, 150).await;
    let mut reading = StreamReading::with(&upstream, "commits", json!({ "page_size": 50 })).await;
    reading.read_some(1).await.unwrap();
    let head = upstream.records(REPOSITORY, KIND).pop().unwrap();
    upstream.delete_record(REPOSITORY, KIND, head.id);
    upstream.push_commit(REPOSITORY, late());
    reading.read().await.unwrap();
    assert!(truth(&upstream, KIND).keys().all(|key| reading.rows.contains_key(key)));
}

#[tokio::test]
async fn an_empty_repository_has_no_commits() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 3).start().await.unwrap();
    let mut reading = StreamReading::new(&upstream, "commits").await;
    assert_eq!(reading.read().await.unwrap(), 0);
    upstream.push_commit(REPOSITORY, late());
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, KIND));
}
