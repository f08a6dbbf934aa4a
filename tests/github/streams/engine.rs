//! All ten streams through the engine, from a server that changes while it is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use github_server::{Fault, GithubServer, Mutations, ReceivedRequest, RecordKind};
use serde_json::json;
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, EnableRequest, IngestReport, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Backend, Limits, Mode, Resource, RowQuery, RowSelection, RunStatus, Sequence};

use super::{settings, truth};
use crate::support::REPOSITORY;

const STREAMS: [&str; 10] = [
    "issues",
    "issue_comments",
    "review_comments",
    "labels",
    "milestones",
    "releases",
    "issue_events",
    "pulls",
    "reviews",
    "commits",
];

/// A repository with these numbers of issues and of the records of each kind; of milestones and releases, 90 at most.
async fn upstream(issues: u32, records: u32) -> GithubServer {
    let builder = GithubServer::builder().seed(11).repository(REPOSITORY, issues);
    let count = |kind| match kind {
        RecordKind::Milestone | RecordKind::Release => records.min(90),
        _ => records,
    };
    RecordKind::STREAMS
        .into_iter()
        .fold(builder, |builder, (_, kind)| builder.records(kind, count(kind)))
        .start()
        .await
        .unwrap()
}

fn connector(upstream: &GithubServer, backend: Arc<dyn Backend>) -> Connector {
    let settings = settings(upstream, json!({}));
    Connector::new(GithubIssues::default(), backend).with_settings(settings.values().clone())
}

async fn ingest(connector: &Connector, mode: Mode) -> IngestReport {
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(mode).streams(STREAMS);
    // The server is small, so that a few records are a large share of a table.
    connector.ingest(request.allow_deletions(true)).await.unwrap()
}

async fn complete(connector: &Connector, mode: Mode) -> IngestReport {
    let report = ingest(connector, mode).await;
    assert_eq!(report.status(), RunStatus::Complete, "{:#?}", report.runs);
    report
}

/// The documents of the live rows of a stream, each with the number of its rows.
async fn stored(backend: &dyn Backend, stream: &str) -> BTreeMap<String, usize> {
    let resource = Resource::new(REPOSITORY).unwrap();
    let everything = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX >> 1) };
    let query = RowQuery::new(resource, stream, everything, 1_000_000).documents();
    let mut documents = BTreeMap::new();
    for row in backend.select_rows(query).await.unwrap().into_iter().filter(|row| !row.is_deleted) {
        *documents.entry(row.json.unwrap().to_string()).or_default() += 1;
    }
    documents
}

/// Compares every table with the server: lost, duplicated and falsely deleted or left-over rows.
async fn assert_same(upstream: &GithubServer, backend: &dyn Backend) {
    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    expected.insert("issues", upstream.snapshot(REPOSITORY).into_iter().map(|issue| issue.text).collect());
    let pulls = upstream.pulls(REPOSITORY).into_iter();
    expected.insert("pulls", pulls.map(|(number, _)| upstream.pull(REPOSITORY, number)).collect());
    for (stream, kind) in RecordKind::STREAMS {
        expected.insert(stream, truth(upstream, kind).into_values().collect());
    }
    for (stream, documents) in expected {
        let stored = stored(backend, stream).await;
        let lost = documents.iter().filter(|document| !stored.contains_key(*document)).count();
        let duplicated = stored.values().filter(|rows| **rows > 1).count();
        let leftover = stored.keys().filter(|document| !documents.contains(document)).count();
        // An event stays, although it disappears with its issue.
        let leftover = if stream == "issue_events" { 0 } else { leftover };
        assert_eq!((lost, duplicated, leftover), (0, 0, 0), "lost, duplicated and left-over rows of {stream}");
        assert!(!documents.is_empty(), "{stream} proves nothing");
    }
}

fn backends() -> [Arc<dyn Backend>; 2] {
    [Arc::new(Memory::new()), Arc::new(Sqlite::in_memory().unwrap())]
}

#[tokio::test]
async fn all_streams_are_read_once_and_an_idle_run_costs_at_most_ten_requests() {
    for backend in backends() {
        let upstream = upstream(250, 200).await;
        let connector = connector(&upstream, backend.clone());
        complete(&connector, Mode::Incremental).await;
        assert_same(&upstream, backend.as_ref()).await;
        let pulls = upstream.pulls(REPOSITORY).len();
        // Pages of 100: three for each list, and one request for each pull request and for its reviews.
        let most = (9 * 3 + 2 * pulls) * 105 / 100 + 20;
        let first = upstream.requests().len();
        assert!(first <= most, "{first} requests for {pulls} pull requests, at most {most} expected");
        let report = complete(&connector, Mode::Incremental).await;
        assert!(!report.counts().changed(), "{:?}", report.counts());
        let idle = upstream.requests().split_off(first);
        let costs: Vec<String> =
            idle.iter().map(|request| format!("{} {:?}", request.target(), request.status())).collect();
        assert!(idle.len() <= 10, "an idle run sends {} requests: {costs:#?}", idle.len());
    }
}

#[tokio::test]
async fn changes_while_reading_lose_and_duplicate_no_row_of_any_stream() {
    for backend in backends() {
        let upstream = upstream(120, 110).await;
        upstream.mutate_records(RecordKind::STREAMS.map(|(_, kind)| kind));
        upstream.set_mutations(Mutations { changes: 2, deletions: true, bulk_edits: false });
        let connector = connector(&upstream, backend.clone());
        for _ in 0..3 {
            ingest(&connector, Mode::Incremental).await;
        }
        ingest(&connector, Mode::Reconcile).await;
        upstream.set_mutations(Mutations::NONE);
        for mode in [Mode::Incremental, Mode::Reconcile, Mode::Reconcile, Mode::Incremental] {
            complete(&connector, mode).await;
        }
        assert_same(&upstream, backend.as_ref()).await;
    }
}

/// Where pages have pull requests only, a read that goes on asks whether the repository still has its issues. Two such reads must not wait for
/// each other's requests.
#[tokio::test]
async fn reads_that_go_on_share_few_requests() {
    let builder = GithubServer::builder().repository(REPOSITORY, 600).pulls(600);
    let upstream = builder.records(RecordKind::IssueComment, 600).start().await.unwrap();
    let settings = settings(&upstream, json!({ "concurrency": 2, "page_size": 20, "retries": 0 }));
    let connector = Connector::new(GithubIssues::default(), Arc::new(Memory::new()))
        .with_settings(settings.values().clone())
        .limits(Limits::default().commit_rows(1));
    let ingest = || {
        let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).streams(["issues", "issue_comments"]);
        tokio::time::timeout(Duration::from_secs(30), connector.ingest(request))
    };
    upstream.fault_while(|request| request.number() > 20, Fault::status(502));
    assert_eq!(ingest().await.unwrap().unwrap().status(), RunStatus::Partial);
    upstream.clear_faults();
    assert_eq!(ingest().await.expect("the runs hang").unwrap().status(), RunStatus::Complete);
}

/// `check` says which streams the token may not read.
#[tokio::test]
async fn a_check_names_the_streams_that_the_token_may_not_read() {
    let upstream = upstream(30, 30).await;
    let connector = connector(&upstream, Arc::new(Sqlite::in_memory().unwrap()));
    let request = EnableRequest::new(Resource::new(REPOSITORY).unwrap()).streams(STREAMS);
    connector.enable(request).await.unwrap();
    complete(&connector, Mode::Incremental).await;
    let body = json!({ "message": "Resource not accessible by personal access token" }).to_string();
    let is_denied =
        |request: &ReceivedRequest| request.path().ends_with("/labels") || request.path().contains("/pulls/");
    upstream.fault_while(is_denied, Fault::Body { code: 403, body });
    upstream.requests();
    let checks = connector.check_streams().await.unwrap();
    assert_eq!(checks.len(), STREAMS.len());
    let denied = checks.iter().filter(|check| check.result.is_err()).map(|check| check.stream.as_str());
    assert_eq!(denied.collect::<Vec<_>>(), ["review_comments", "labels", "pulls", "reviews"]);
    for check in checks.into_iter().filter(|check| check.result.is_ok()) {
        assert_eq!(check.result.unwrap(), Some(()), "{}", check.stream);
    }
}
