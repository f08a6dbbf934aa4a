//! Who may read what: rows 11 to 13 of the reference notes.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use github_server::{Fault, GithubServer};
use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Checkpoint, ErrorKind, Mode, Resource, RunStatus};

use crate::environment::skipped;
use crate::support::{REPOSITORY, Reading, check, config, discover, secret, upstream};

#[tokio::test]
async fn pitfall_11_each_rejection_has_its_own_message() {
    let mut messages = Vec::new();
    for (code, kind) in [
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Authentication),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Unavailable),
        (410, ErrorKind::NotFound),
        (422, ErrorKind::InvalidData),
        (451, ErrorKind::NotFound),
    ] {
        let upstream = upstream(3).await;
        upstream.fault_while(|_| true, Fault::status(code));
        let error = Reading::new(&upstream, json!({})).read().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert!(error.to_string().contains(REPOSITORY) && error.help().is_some(), "{code}: {error}");
        messages.push(error.message().to_owned());
    }
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 7);
}

#[tokio::test]
async fn pitfall_11_a_bad_token_never_falls_back_to_anonymous_reading() {
    let builder = GithubServer::builder().repository(REPOSITORY, 3).token("the-right-one");
    let upstream = builder.start().await.unwrap();
    let (_file, reference) = secret("a-wrong-one");
    let mut reading = Reading::new(&upstream, json!({ "token": reference }));
    assert_eq!(reading.read().await.unwrap_err().kind(), ErrorKind::Authentication);
    let error = check(&reading.config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?}").contains("a-wrong-one"));
    assert!(upstream.requests().iter().all(|request| request.header("authorization").is_some()));
}

#[tokio::test]
async fn pitfall_11_anonymous_reading_is_always_announced() {
    let upstream = upstream(3).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    assert!(reading.warnings().iter().any(|warning| warning.contains("anonymously")));
    let (_file, reference) = secret("token");
    let mut reading = Reading::new(&upstream, json!({ "token": reference }));
    reading.read().await.unwrap();
    assert_eq!(reading.warnings(), Vec::<String>::new());
}

#[tokio::test]
async fn pitfall_11_a_renamed_repository_is_followed_and_its_old_name_is_not_trusted() {
    let upstream = upstream(40).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.rename_repository(REPOSITORY, "acme/gadgets");
    upstream.add_repository(REPOSITORY);
    upstream.create(REPOSITORY, 5);
    upstream.clock().advance(std::time::Duration::from_secs(60));
    upstream.edit("acme/gadgets", 7);
    reading.read().await.unwrap();
    assert_eq!(reading.table.len(), 40);
    let edited = upstream.snapshot("acme/gadgets").into_iter().find(|issue| issue.number == 7).unwrap();
    assert_eq!(reading.table[&edited.id.to_string()].json().unwrap(), edited.text.as_str());
}

/// The reconcile run neither reads the new repository nor asks it about issues, even where the run itself finds nothing.
#[tokio::test]
async fn pitfall_11_a_reconcile_run_does_not_trust_the_old_name_either() {
    for issues in [40, 1] {
        let (upstream, memory) = (upstream(issues).await, Memory::new());
        let settings = [("api_url".to_owned(), upstream.url().into())];
        let connector = Connector::new(GithubIssues::default(), Arc::new(memory.clone())).with_settings(settings);
        let resource = Resource::new(REPOSITORY).unwrap();
        let ingest = async |mode| {
            let report = connector.ingest(IngestRequest::new([resource.clone()]).mode(mode)).await.unwrap();
            assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
        };
        ingest(Mode::Incremental).await;
        upstream.rename_repository(REPOSITORY, "acme/gadgets");
        upstream.add_repository(REPOSITORY);
        upstream.create(REPOSITORY, 5);
        upstream.delete("acme/gadgets", 1);
        ingest(Mode::Reconcile).await;
        let rows = memory.rows(&resource, "issues");
        let alive: BTreeSet<String> =
            rows.iter().filter(|row| row.deleted_at.is_none()).map(|row| row.key.clone()).collect();
        let there = upstream.snapshot("acme/gadgets").into_iter().map(|issue| issue.id.to_string()).collect();
        assert_eq!((alive, rows.len()), (there, usize::try_from(issues).unwrap()));
        // The old repository is gone: that is an error, and not a reason to look it up by name again.
        upstream.fault_while(|request| request.path().starts_with("/repositories/"), Fault::status(404));
        let report = connector.ingest(IngestRequest::new([resource.clone()]).mode(Mode::Reconcile)).await.unwrap();
        assert_eq!(report.runs[0].error.as_ref().map(|error| error.kind), Some(ErrorKind::NotFound), "{report:?}");
    }
}

/// There, the same id belongs to another repository.
#[tokio::test]
async fn pitfall_11_a_checkpoint_is_not_used_with_another_server() {
    let (ours, memory) = (upstream(40).await, Memory::new());
    let builder = GithubServer::builder().repository("stranger/other", 5).repository(REPOSITORY, 3);
    let theirs = builder.start().await.unwrap();
    assert_eq!(ours.repository_id(REPOSITORY), theirs.repository_id("stranger/other"));
    let resource = Resource::new(REPOSITORY).unwrap();
    let connector = |upstream: &GithubServer| {
        let settings = [("api_url".to_owned(), upstream.url().into())];
        Connector::new(GithubIssues::default(), Arc::new(memory.clone())).with_settings(settings)
    };
    let ingest = async |connector: &Connector, mode| {
        let report = connector.ingest(IngestRequest::new([resource.clone()]).mode(mode)).await.unwrap();
        report.runs.into_iter().next().unwrap()
    };
    ingest(&connector(&ours), Mode::Incremental).await;
    let before = memory.rows(&resource, "issues");
    assert_eq!(before.len(), 40);
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let error = ingest(&connector(&theirs), mode).await.error.unwrap();
        assert_eq!(error.kind, ErrorKind::Checkpoint, "{error:?}");
        assert!(error.message.contains(ours.url()) && error.message.contains(theirs.url()), "{error:?}");
        assert!(error.help.as_ref().is_some_and(|help| help.contains("`reset`")), "{error:?}");
        assert_eq!(memory.rows(&resource, "issues"), before, "{mode:?}");
    }
    assert_eq!(ingest(&connector(&ours), Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(memory.rows(&resource, "issues"), before);
    connector(&theirs).reset(&resource).await.unwrap();
    let run = ingest(&connector(&theirs), Mode::Incremental).await;
    assert_eq!((run.status, run.counts.offered), (RunStatus::Complete, 3), "{run:?}");
}

#[tokio::test]
async fn pitfall_11_deletions_are_not_verified_on_another_server() {
    let (ours, theirs) = (upstream(40).await, upstream(5).await);
    let mut reading = Reading::new(&ours, json!({}));
    reading.read().await.unwrap();
    reading.config = config(&theirs, json!({}));
    assert_eq!(reading.verify(&[7]).await.unwrap_err().kind(), ErrorKind::Checkpoint);
    assert_eq!(theirs.counts().requests, 0);
}

/// A state from an older version does not name its server: it is rewritten as soon as it is read.
#[tokio::test]
async fn pitfall_11_a_checkpoint_without_a_server_belongs_to_the_configured_one() {
    let (ours, theirs) = (upstream(40).await, upstream(5).await);
    let mut reading = Reading::new(&ours, json!({}));
    reading.read().await.unwrap();
    let mut old: serde_json::Value = reading.checkpoint.as_ref().unwrap().parse().unwrap();
    old.as_object_mut().unwrap().remove("server");
    reading.checkpoint = Some(Checkpoint::new(&old).unwrap());
    ours.forget_requests();
    reading.read().await.unwrap();
    reading.assert_same(&ours);
    assert_eq!(ours.counts().requests, 1);
    reading.config = config(&theirs, json!({}));
    assert_eq!(reading.read().await.unwrap_err().kind(), ErrorKind::Checkpoint);
}

#[tokio::test]
async fn pitfall_11_a_first_read_under_the_old_name_follows_the_redirect() {
    let upstream = upstream(40).await;
    upstream.rename_repository(REPOSITORY, "acme/gadgets");
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    assert_eq!(reading.table.len(), 40);
}

#[tokio::test]
async fn a_server_that_serves_issues_by_repository_name_only_is_read() {
    for (known, concurrency) in [(false, 1), (true, 1), (false, 8), (true, 8)] {
        let upstream = upstream(1_000).await;
        upstream.fault_while(move |request| request.path().starts_with("/repositories/"), Fault::status(404));
        if !known {
            upstream.fault_while(|request| request.path() == "/repos/acme/widgets", Fault::status(404));
        }
        let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency }));
        // A crash after the first page, which is read by name in any case.
        reading.read_some(1).await.unwrap();
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        upstream.forget_requests();
        reading.read().await.unwrap();
        assert_eq!(upstream.counts().requests, 1);
    }
}

/// A throw-away key for the test; `None` where there is no `openssl`.
fn rsa_key() -> Option<String> {
    let made = Command::new("openssl").args(["genrsa", "2048"]).output().ok()?;
    made.status.success().then(|| String::from_utf8(made.stdout).unwrap())
}

#[tokio::test]
async fn pitfall_12_an_app_gets_installation_tokens_and_renews_them_one_at_a_time() {
    let Some(key) = rsa_key() else {
        return skipped("there is no openssl to make a key with");
    };
    let builder = GithubServer::builder().repository(REPOSITORY, 1_200).token("personal");
    let upstream = builder.token_lifetime(std::time::Duration::from_secs(3_600)).start().await.unwrap();
    let (_file, reference) = secret(&key);
    let app = json!({ "app_id": "12", "installation_id": 34, "private_key": reference });
    let mut reading = Reading::new(&upstream, app);
    let tokens = "/app/installations/34/access_tokens";
    check(&reading.config).await.unwrap();
    assert_eq!(upstream.requests_to(tokens), 1, "a check has a connection of its own");
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    assert_eq!(upstream.requests_to(tokens), 2);
    upstream.revoke_installation_tokens();
    reading.read().await.unwrap();
    assert_eq!(upstream.requests_to(tokens), 3, "a refused token is renewed");
    assert_eq!(discover(&reading.config).await.unwrap(), [Resource::new(REPOSITORY).unwrap()]);
}

#[tokio::test]
async fn pitfall_12_a_token_is_renewed_before_it_expires() {
    let Some(key) = rsa_key() else {
        return skipped("there is no openssl to make a key with");
    };
    let builder = GithubServer::builder().repository(REPOSITORY, 30).token("personal");
    let upstream = builder.token_lifetime(std::time::Duration::from_secs(240)).start().await.unwrap();
    let (_file, reference) = secret(&key);
    let mut reading =
        Reading::new(&upstream, json!({ "app_id": "12", "installation_id": 34, "private_key": reference }));
    reading.read().await.unwrap();
    let refused = upstream.requests().iter().filter(|request| request.status() == Some(401)).count();
    assert_eq!(refused, 0);
    assert!(upstream.requests_to("/app/installations/34/access_tokens") >= 2);
}

#[tokio::test]
async fn pitfall_12_a_failed_token_request_is_retried() {
    let Some(key) = rsa_key() else {
        return skipped("there is no openssl to make a key with");
    };
    for fault in [Fault::status(502), Fault::Reset, Fault::TruncatedBody] {
        let upstream = GithubServer::builder().repository(REPOSITORY, 30).token("personal").start().await.unwrap();
        let (_file, reference) = secret(&key);
        let app = json!({ "app_id": "12", "installation_id": 34, "private_key": reference });
        let mut reading = Reading::new(&upstream, app);
        upstream.fault_on("/access_tokens", fault);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert_eq!(upstream.requests_to("/app/installations/34/access_tokens"), 2);
    }
}

#[tokio::test]
async fn pitfall_12_an_invalid_key_is_rejected_and_not_quoted() {
    let upstream = upstream(3).await;
    let (_file, reference) = secret("-----BEGIN NOTHING hunter2");
    let app = json!({ "app_id": "12", "installation_id": 34, "private_key": reference });
    let error = Reading::new(&upstream, app).read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!format!("{error:?} {:?}", error.report()).contains("hunter2"));
}

#[tokio::test]
async fn pitfall_12_enterprise_addresses_and_the_pinned_version() {
    let builder = GithubServer::builder().repository(REPOSITORY, 300).path_prefix("/api/v3");
    let upstream = builder.start().await.unwrap();
    let url = format!("{}/api/v3", upstream.url().trim_end_matches("/api/v3"));
    let mut reading = Reading::new(&upstream, json!({ "api_url": url }));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.path().starts_with("/api/v3/")));
    assert!(requests.iter().all(|request| request.header("x-github-api-version") == Some("2022-11-28")));
}

#[tokio::test]
async fn pitfall_13_an_owner_may_be_an_organisation_or_a_user() {
    let builder = GithubServer::builder().organization("acme").repository("someone/dotfiles", 1);
    let upstream =
        (0..130).fold(builder, |builder, n| builder.repository(format!("acme/r{n}"), 0)).start().await.unwrap();
    let names = |entries: serde_json::Value| {
        let config = config(&upstream, json!({ "repositories": entries }));
        async move { discover(&config).await.map(|found| found.iter().map(|r| r.name().to_owned()).collect::<Vec<_>>()) }
    };
    assert_eq!(names(json!(["acme/*"])).await.unwrap().len(), 130);
    assert_eq!(names(json!(["someone"])).await.unwrap(), ["someone/dotfiles"]);
    assert_eq!(names(json!(["acme/r5", "someone/*"])).await.unwrap(), ["acme/r5", "someone/dotfiles"]);
    assert_eq!(names(json!(["nobody/*"])).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(json!(["acme/missing"])).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(json!([])).await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn check_reads_every_named_repository() {
    let upstream = upstream(3).await;
    check(&config(&upstream, json!({ "repositories": [REPOSITORY, "acme/*"] }))).await.unwrap();
    let error = check(&config(&upstream, json!({ "repositories": ["acme/gone"] }))).await.unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("acme/gone"), "{error}");
}
