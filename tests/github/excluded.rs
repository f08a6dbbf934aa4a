//! Pull requests that the setting `pull_requests` excludes.

use std::sync::Arc;

use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Mode, Resource, RunRecord, RunStatus};

use crate::support::{REPOSITORY, Reading, config, upstream};

fn pull_requests(upstream: &GithubServer) -> usize {
    upstream.snapshot(REPOSITORY).iter().filter(|issue| issue.text.contains(r#""pull_request":{"#)).count()
}

/// Including those that the cursor has passed, even when the read that finds them is interrupted.
#[tokio::test]
async fn excluded_rows_are_read_once_they_are_included() {
    for (issues, cut_off_after) in [(12, 0), (12, 1), (1_000, 0), (1_000, 1), (1_000, 4)] {
        let upstream = upstream(issues).await;
        let left_out = pull_requests(&upstream);
        assert!(left_out > 0);
        let mut reading = Reading::new(&upstream, json!({ "pull_requests": false }));
        reading.read().await.unwrap();
        reading.read().await.unwrap();
        assert_eq!(reading.table.len() + left_out, upstream.len(REPOSITORY));
        reading.config = config(&upstream, json!({}));
        reading.read_some(cut_off_after).await.unwrap();
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        upstream.forget_requests();
        reading.read().await.unwrap();
        assert_eq!(upstream.counts().requests, 1, "only once");
    }
}

fn connector(upstream: &GithubServer, memory: &Memory, pull_requests: bool) -> Connector {
    let settings = [("api_url", Value::from(upstream.url())), ("pull_requests", pull_requests.into())];
    Connector::new(GithubIssues::default(), Arc::new(memory.clone()))
        .with_settings(settings.map(|(name, value)| (name.to_owned(), value)))
}

async fn ingest(connector: &Connector, mode: Mode) -> RunRecord {
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(mode);
    let run = connector.ingest(request).await.unwrap().runs.remove(0);
    assert_eq!(run.status, RunStatus::Complete, "{run:?}");
    run
}

#[tokio::test]
async fn rows_excluded_by_a_reconcile_run_are_read_once_they_are_included() {
    let (upstream, memory) = (upstream(300).await, Memory::new());
    let connector = |pull_requests| connector(&upstream, &memory, pull_requests);
    ingest(&connector(true), Mode::Incremental).await;
    ingest(&connector(false), Mode::Reconcile).await;
    upstream.clock().advance(std::time::Duration::from_secs(60));
    for issue in upstream.snapshot(REPOSITORY) {
        upstream.edit(REPOSITORY, issue.number);
    }
    ingest(&connector(false), Mode::Reconcile).await;
    ingest(&connector(true), Mode::Incremental).await;
    let rows = memory.rows(&Resource::new(REPOSITORY).unwrap(), "issues");
    for issue in upstream.snapshot(REPOSITORY) {
        let row = rows.iter().find(|row| row.key == issue.id.to_string()).unwrap();
        assert_eq!(row.json.as_deref(), Some(issue.text.as_str()), "issue {}", issue.number);
    }
}

#[tokio::test]
async fn a_reconcile_run_does_not_verify_excluded_rows() {
    let (upstream, memory) = (upstream(300).await, Memory::new());
    let connector = |pull_requests| connector(&upstream, &memory, pull_requests);
    ingest(&connector(true), Mode::Incremental).await;
    upstream.delete(REPOSITORY, 1);
    upstream.forget_requests();
    let counts = ingest(&connector(false), Mode::Reconcile).await.counts;
    let asked_for = upstream.requests().iter().filter(|request| request.path().contains("/issues/")).count();
    assert_eq!((asked_for, counts.deleted), (1, 1), "{counts:?}");
    let rows = memory.rows(&Resource::new(REPOSITORY).unwrap(), "issues");
    assert_eq!(rows.iter().filter(|row| row.deleted_at.is_none()).count(), 299);
}
