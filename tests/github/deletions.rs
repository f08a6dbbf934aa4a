//! What counts as a deletion: evidence about the issue itself, and nothing else. And a reconcile run reads the truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use github_server::{Fault, GithubServer, ReceivedRequest};
use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{ErrorKind, Mode, Resource, RunRecord, RunStatus};

use crate::support::{REPOSITORY, upstream};

/// A repository, and the destination of its issues.
struct Replica {
    upstream: GithubServer,
    memory: Memory,
}

impl Replica {
    /// This many issues, ingested.
    async fn new(issues: u32) -> Self {
        let replica = Self { upstream: upstream(issues).await, memory: Memory::new() };
        replica.complete(Mode::Incremental).await;
        replica
    }

    fn connector(&self) -> Connector {
        let settings = [("api_url", json!(self.upstream.url())), ("retries", json!(2)), ("max_wait_minutes", json!(1))];
        Connector::new(GithubIssues::default(), Arc::new(self.memory.clone()))
            .with_settings(settings.map(|(name, value)| (name.to_owned(), value)))
    }

    async fn ingest(&self, request: IngestRequest) -> RunRecord {
        self.connector().ingest(request).await.unwrap().runs.remove(0)
    }

    async fn run(&self, mode: Mode) -> RunRecord {
        self.ingest(IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(mode)).await
    }

    async fn complete(&self, mode: Mode) -> RunRecord {
        let run = self.run(mode).await;
        assert_eq!((run.status, &run.error), (RunStatus::Complete, &None));
        run
    }

    /// Checks that a run marks nothing deleted, does not end as complete, and says why.
    #[track_caller]
    fn assert_rejected(&self, run: &RunRecord, expected: &str) {
        assert_ne!(run.status, RunStatus::Complete, "{run:?}");
        assert_eq!(run.counts.deleted, 0, "{run:?}");
        let error = run.error.as_ref().unwrap();
        assert!(error.message.contains(expected) && error.help.is_some(), "{error:?}");
        assert_eq!(self.deleted(), 0, "{error:?}");
    }

    /// The live rows, by id.
    fn live(&self) -> BTreeMap<String, String> {
        let rows = self.memory.rows(&Resource::new(REPOSITORY).unwrap(), "issues").into_iter();
        rows.filter(|row| row.deleted_at.is_none()).map(|row| (row.key, row.json.unwrap().to_string())).collect()
    }

    fn deleted(&self) -> usize {
        let rows = self.memory.rows(&Resource::new(REPOSITORY).unwrap(), "issues");
        rows.iter().filter(|row| row.deleted_at.is_some()).count()
    }

    #[track_caller]
    fn assert_same(&self) {
        let there = self.upstream.snapshot(REPOSITORY).into_iter().map(|issue| (issue.id.to_string(), issue.text));
        assert_eq!(self.live(), there.collect());
    }
}

fn is_item(request: &ReceivedRequest) -> bool {
    request.path().contains("/issues/")
}

fn is_list(request: &ReceivedRequest) -> bool {
    request.path().ends_with("/issues")
}

/// The list still has the pull requests, and each issue answers 410: an answer about the repository.
#[tokio::test]
async fn disabled_issues_are_not_deleted_and_return_when_enabled() {
    let replica = Replica::new(60).await;
    replica.upstream.disable_all_but_pull_requests(REPOSITORY);
    let run = replica.run(Mode::Reconcile).await;
    replica.assert_rejected(&run, "issues are disabled");
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(Mode::Reconcile).allow_deletions(true);
    replica.assert_rejected(&replica.ingest(request).await, "issues are disabled");
    replica.upstream.enable_issues(REPOSITORY);
    replica.complete(Mode::Reconcile).await;
    replica.complete(Mode::Incremental).await;
    replica.assert_same();
}

/// A server that does not send `has_issues`: then the responses for the issues themselves decide.
#[tokio::test]
async fn disabled_issues_are_not_deleted_when_the_repository_does_not_report_it() {
    let replica = Replica::new(60).await;
    replica.upstream.disable_all_but_pull_requests(REPOSITORY);
    let id = replica.upstream.repository_id(REPOSITORY);
    let body = format!(r#"{{"id":{id},"full_name":"{REPOSITORY}"}}"#);
    let path = format!("/repositories/{id}");
    replica.upstream.fault_while(move |request| request.path() == path, Fault::Body { code: 200, body });
    replica.assert_rejected(&replica.run(Mode::Reconcile).await, "issues are disabled");
}

/// An ordinary run would store the pull requests alone, and report itself as complete.
#[tokio::test]
async fn reading_only_pull_requests_is_incomplete_when_issues_are_disabled() {
    let upstream = upstream(60).await;
    upstream.disable_all_but_pull_requests(REPOSITORY);
    let replica = Replica { upstream, memory: Memory::new() };
    replica.assert_rejected(&replica.run(Mode::Incremental).await, "issues are disabled");
    replica.upstream.enable_issues(REPOSITORY);
    replica.complete(Mode::Incremental).await;
    replica.upstream.disable_all_but_pull_requests(REPOSITORY);
    replica.upstream.clock().advance(std::time::Duration::from_secs(3_600));
    let pull =
        replica.upstream.snapshot(REPOSITORY).into_iter().find(|issue| issue.text.contains(r#""pull_request":{"#));
    replica.upstream.edit(REPOSITORY, pull.unwrap().number);
    for _ in 0..2 {
        replica.assert_rejected(&replica.run(Mode::Incremental).await, "issues are disabled");
    }
    replica.upstream.enable_issues(REPOSITORY);
    replica.complete(Mode::Incremental).await;
    replica.assert_same();
}

/// Responses about the token, the route or the server. One issue is really gone, so the source is asked.
#[tokio::test]
async fn the_same_response_for_every_issue_is_not_evidence() {
    let another =
        json!({ "id": 1, "number": 999_999, "title": "another", "updated_at": "2024-01-02T03:04:05Z" }).to_string();
    let disabled = json!({ "message": "Issues has been disabled in this repository." }).to_string();
    for (fault, expected) in [
        (Fault::status(404), "does not give it on request"),
        (Fault::Body { code: 410, body: "gone".into() }, "does not give it on request"),
        (Fault::Body { code: 410, body: disabled }, "issues are disabled"),
        (Fault::Body { code: 200, body: another }, "does not give it on request"),
        (Fault::Moved("https://login.example/sign-in".into()), "is redirected to something else"),
        (Fault::Moved("https://api.github.com/repositories/7/issues/1".into()), "does not give it on request"),
        (Fault::Html, "is a web page"),
        (Fault::status(451), "blocked for legal reasons"),
        (Fault::status(403), "issues of acme/widgets"),
    ] {
        let replica = Replica::new(40).await;
        replica.upstream.hide(REPOSITORY, 7);
        replica.upstream.fault_while(is_item, fault.clone());
        replica.assert_rejected(&replica.run(Mode::Reconcile).await, expected);
        replica.upstream.clear_faults();
        let run = replica.complete(Mode::Reconcile).await;
        assert_eq!((run.counts.deleted, replica.deleted()), (1, 1), "{fault:?}");
        replica.assert_same();
    }
}

/// A pull request that is found proves nothing about issues.
#[tokio::test]
async fn the_control_issue_is_of_the_same_kind() {
    let replica = Replica::new(40).await;
    let is_pull = |text: &str| text.contains(r#""pull_request":{"#);
    let issues: Vec<u32> = replica
        .upstream
        .snapshot(REPOSITORY)
        .into_iter()
        .filter(|issue| !is_pull(&issue.text))
        .map(|issue| issue.number)
        .collect();
    replica.upstream.hide(REPOSITORY, issues[0]);
    let asked = issues.clone();
    let is_issue = move |request: &ReceivedRequest| {
        let number = request.path().rsplit('/').next().and_then(|number| number.parse().ok());
        is_item(request) && number.is_some_and(|number| asked.contains(&number))
    };
    replica.upstream.fault_while(is_issue, Fault::status(404));
    replica.assert_rejected(&replica.run(Mode::Reconcile).await, "does not give it on request");
}

/// The list is empty, and so is the evidence. A person may know better.
#[tokio::test]
async fn without_a_control_issue_deletions_need_confirmation() {
    let replica = Replica::new(8).await;
    let numbers: Vec<u32> = replica.upstream.snapshot(REPOSITORY).iter().map(|issue| issue.number).collect();
    for number in numbers {
        replica.upstream.hide(REPOSITORY, number);
    }
    let run = replica.run(Mode::Reconcile).await;
    replica.assert_rejected(&run, "to compare with");
    assert!(run.error.unwrap().help.unwrap().contains("--allow-deletions"));
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(Mode::Reconcile).allow_deletions(true);
    let run = replica.ingest(request).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 8));
}

/// Each response proves the deletion of that issue, so even the last one may be deleted.
#[tokio::test]
async fn an_explicit_deletion_response_needs_no_control_issue() {
    let replica = Replica::new(8).await;
    let numbers: Vec<u32> = replica.upstream.snapshot(REPOSITORY).iter().map(|issue| issue.number).collect();
    for number in numbers {
        replica.upstream.delete(REPOSITORY, number);
    }
    assert_eq!(replica.complete(Mode::Reconcile).await.counts.deleted, 8);
}

/// A list that is empty with 200, and a server that returns no issue: most of the table would go.
#[tokio::test]
async fn an_implausible_number_of_deletions_needs_confirmation() {
    let replica = Replica::new(80).await;
    let before = replica.live();
    let numbers: Vec<u32> = replica.upstream.snapshot(REPOSITORY).iter().map(|issue| issue.number).collect();
    for number in &numbers[..30] {
        replica.upstream.delete(REPOSITORY, *number);
    }
    let run = replica.run(Mode::Reconcile).await;
    replica.assert_rejected(&run, "have disappeared at once");
    assert_eq!((run.status, run.error.map(|error| error.kind)), (RunStatus::Partial, Some(ErrorKind::InvalidData)));
    assert_eq!(replica.live(), before);
    replica.complete(Mode::Incremental).await;
    assert_eq!(replica.live(), before, "an ordinary run confirms nothing");
    replica.assert_rejected(&replica.run(Mode::Reconcile).await, "have disappeared at once");
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]).mode(Mode::Reconcile).allow_deletions(true);
    assert_eq!(replica.ingest(request).await.status, RunStatus::Complete);
    replica.assert_same();
}

/// The false alarm ends: the next reconcile run lists everything and needs no `verify`.
#[tokio::test]
async fn a_temporarily_empty_list_deletes_nothing_later() {
    let replica = Replica::new(80).await;
    replica.upstream.fault_while(is_list, Fault::Body { code: 200, body: "[]".into() });
    replica.upstream.fault_while(is_item, Fault::status(404));
    replica.assert_rejected(&replica.run(Mode::Reconcile).await, "to compare with");
    replica.upstream.clear_faults();
    replica.upstream.forget_requests();
    replica.complete(Mode::Reconcile).await;
    replica.assert_same();
}

/// The server's clock was a year ahead; now it is right, and the issue has changed.
#[tokio::test]
async fn an_issue_whose_time_moves_back_is_repaired_by_a_reconcile_run() {
    for reset in [false, true] {
        let replica = Replica::new(30).await;
        let before = replica.upstream.snapshot(REPOSITORY);
        replica.upstream.clock().advance(std::time::Duration::from_secs(366 * 86_400));
        replica.upstream.edit(REPOSITORY, 7);
        replica.complete(Mode::Incremental).await;
        let issue = before.iter().find(|issue| issue.number == 7).unwrap();
        let mut text: serde_json::Value = serde_json::from_str(&issue.text).unwrap();
        text["title"] = "what it is called today".into();
        replica.upstream.put(REPOSITORY, &text.to_string()).unwrap();
        if reset {
            replica.connector().reset(&Resource::new(REPOSITORY).unwrap()).await.unwrap();
            assert_eq!(replica.complete(Mode::Incremental).await.counts.deleted, 0);
        } else {
            replica.complete(Mode::Reconcile).await;
        }
        replica.assert_same();
        let idle = replica.complete(Mode::Incremental).await;
        assert!(!idle.counts.wrote(), "{:?}", idle.counts);
    }
}

/// A server that was restored from a backup: issues are older than before, and a deleted one is back.
#[tokio::test]
async fn a_reconcile_run_follows_a_restored_server() {
    let replica = Replica::new(40).await;
    let backup = replica.upstream.snapshot(REPOSITORY);
    replica.upstream.clock().advance(std::time::Duration::from_secs(3_600));
    (1..=9).for_each(|number| replica.upstream.edit(REPOSITORY, number));
    replica.complete(Mode::Incremental).await;
    replica.upstream.delete(REPOSITORY, 4);
    replica.complete(Mode::Reconcile).await;
    assert_eq!(replica.deleted(), 1);
    backup.iter().for_each(|issue| replica.upstream.restore(REPOSITORY, issue).unwrap());
    replica.complete(Mode::Reconcile).await;
    replica.assert_same();
}

/// A lagging replica lists an old state of an issue; the single issue's address returns the current one.
#[tokio::test]
async fn a_lagging_list_never_reverts_an_issue() {
    let replica = Replica::new(30).await;
    let lagging = replica.upstream.snapshot(REPOSITORY);
    replica.upstream.clock().advance(std::time::Duration::from_secs(3_600));
    (1..=5).for_each(|number| replica.upstream.edit(REPOSITORY, number));
    replica.complete(Mode::Incremental).await;
    let mut old: Vec<_> = lagging.iter().collect();
    old.sort_by_key(|issue| issue.updated_at);
    let body = format!("[{}]", old.iter().map(|issue| issue.text.as_str()).collect::<Vec<_>>().join(","));
    replica.upstream.fault_while(is_list, Fault::Body { code: 200, body });
    replica.complete(Mode::Reconcile).await;
    replica.assert_same();
}
