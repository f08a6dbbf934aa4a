//! The shape of our requests, checked against GitHub's own description of its API.
//!
//! Every request of the source `github` is recorded at our own upstream and sent again to Prism, which knows the
//! description and rejects what does not match it. Prism answers with one example for every page, so its responses are
//! useless; its rejections are not.
//!
//! The first run installs two packages with npm into the folder of build artefacts; Prism takes half a minute to start.
#![cfg(feature = "github")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "support/peers.rs"]
mod peers;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use github_server::{GithubServer, ReceivedRequest};
use peers::skipped;
use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::sources::github::GithubIssues;

const WIDGETS: &str = "acme/widgets";

/// A running Prism, which stops when dropped.
struct Prism {
    process: Child,
    url: String,
}

impl Drop for Prism {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prism {
    async fn start(modules: &Path) -> Self {
        let port = peers::free_port().to_string();
        let mut command = Command::new("node");
        // Without npx in between, there is one process to stop.
        command.arg(modules.join("@stoplight/prism-cli/dist/index.js"));
        command.args(["mock", "--errors", "--host", "127.0.0.1", "--port", &port]);
        command.arg(modules.join("@octokit/openapi/generated/api.github.com.json"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut prism = Self { process, url: format!("http://127.0.0.1:{port}") };
        let began = std::time::Instant::now();
        while reqwest::get(format!("{}/rate_limit", prism.url)).await.is_err() {
            assert_eq!(prism.process.try_wait().unwrap(), None, "Prism exited");
            assert!(began.elapsed() < Duration::from_secs(300), "Prism does not start");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        prism
    }

    /// The violation in a request; `None`: it matches GitHub's description.
    async fn violation(&self, request: &ReceivedRequest, target: &str) -> Option<String> {
        let method = request.method().parse().unwrap();
        let mut sent = reqwest::Client::new().request(method, format!("{}{target}", self.url));
        // Prism compares media types literally, and the description says `application/json` throughout.
        sent = sent.header("accept", "application/json");
        for name in ["user-agent", "x-github-api-version", "authorization", "if-none-match", "content-type"] {
            if let Some(value) = request.header(name) {
                sent = sent.header(name, value);
            }
        }
        let answer = sent.send().await.unwrap();
        let status = answer.status();
        let violations = answer.headers().get("sl-violations").map(|value| value.to_str().unwrap().to_owned());
        let violations: Vec<Value> = violations.map_or(Vec::new(), |text| serde_json::from_str(&text).unwrap());
        // Some of the description's own examples violate it; those violations are about the response.
        let request_violations: Vec<Value> =
            violations.into_iter().filter(|one| one["location"][0] == "request").collect();
        let refused = status.is_client_error() || !request_violations.is_empty();
        refused.then(|| format!("{} {target}: {status} {}", request.method(), json!(request_violations)))
    }
}

/// The same request by a path that is described: GitHub's responses link to `/repositories/{id}`, and its description lacks
/// that path.
fn described(request: &ReceivedRequest, repository: u64) -> String {
    request.target().replacen(&format!("/repositories/{repository}"), &format!("/repos/{WIDGETS}"), 1)
}

/// Does everything that the source can do with these settings.
async fn exercise(upstream: &GithubServer, settings: Value) {
    let Value::Object(mut settings) = settings else { panic!("settings are an object") };
    settings.insert("api_url".into(), upstream.url().into());
    let connector = Connector::new(GithubIssues::default(), Arc::new(Memory::new())).with_settings(settings.clone());
    connector.check().await.unwrap();
    // Our upstream has no list of the user's own repositories; only the request counts.
    let _ = connector.discover().await;
    let widgets = Resource::new(WIDGETS).unwrap();
    let request = || IngestRequest::new([widgets.clone()]);
    connector.ingest(request()).await.unwrap();
    let gone = upstream.snapshot(WIDGETS)[5].number;
    upstream.delete(WIDGETS, gone);
    upstream.clock().advance(Duration::from_secs(60));
    // Two polls, with and without news; a reconcile run, and its check of unseen issues.
    upstream.edit(WIDGETS, upstream.snapshot(WIDGETS)[9].number);
    for mode in [Mode::Incremental, Mode::Incremental, Mode::Reconcile] {
        let report = connector.ingest(request().mode(mode)).await.unwrap();
        assert_eq!(report.status(), snowfeed::RunStatus::Complete);
    }
}

async fn recorded() -> (u64, Vec<ReceivedRequest>) {
    // Some issues share a second, more than a page of them.
    let upstream = GithubServer::builder().repository(WIDGETS, 700).repository("someone/notes", 3).organization("acme");
    let upstream = upstream.start().await.unwrap();
    upstream.clock().advance(Duration::from_secs(60));
    upstream.bulk_edit(WIDGETS, 250);
    let dir = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &[u8]| {
        std::fs::write(dir.path().join(name), text).unwrap();
        format!("file:{}", dir.path().join(name).display())
    };
    exercise(&upstream, json!({ "repositories": [WIDGETS, "acme/*", "someone/*"] })).await;
    let token = secret("token", b"a-token");
    exercise(&upstream, json!({ "token": token, "repositories": [WIDGETS, "acme/*", "someone/*"] })).await;
    exercise(&upstream, json!({ "token": token })).await;
    let key = Command::new("openssl").args(["genrsa", "2048"]).output();
    match key {
        Ok(key) if key.status.success() => {
            let key = secret("key", &key.stdout);
            exercise(&upstream, json!({ "app_id": "12", "installation_id": 34, "private_key": key })).await;
        }
        _ => skipped("there is no openssl to make a GitHub App's key with"),
    }
    (upstream.repository_id(WIDGETS), upstream.requests())
}

#[tokio::test]
async fn every_request_is_as_github_describes_it() {
    let Some(modules) = tokio::task::spawn_blocking(|| peers::node("prism")).await.unwrap() else {
        return skipped("there is no npm to install Prism with");
    };
    let (repository, mut requests) = recorded().await;
    // Prism validates one request at a time: one of each kind is enough, and only `since` varies.
    let kind = |request: &ReceivedRequest| {
        let target = described(request, repository);
        let mut parts: Vec<String> = target
            .split(['?', '&'])
            .map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
            .collect();
        parts.retain(|part| !part.starts_with("since="));
        let has = |header| request.header(header).is_some();
        (
            request.method().to_owned(),
            parts,
            request.query("since").is_some(),
            has("if-none-match"),
            has("authorization"),
        )
    };
    requests.sort_by_key(kind);
    requests.dedup_by_key(|request| kind(request));
    let described_paths = ["/issues", "/issues/", "/rate_limit", "/orgs/", "/users/", "/user", "/user/repos", "page=2"];
    for part in described_paths {
        assert!(requests.iter().any(|request| request.target().contains(part)), "no request has {part}");
    }
    let prism = Prism::start(&modules).await;
    let mut refusals = Vec::new();
    for request in &requests {
        refusals.extend(prism.violation(request, &described(request, repository)).await);
    }
    assert_eq!(refusals, Vec::<String>::new(), "of {} kinds of requests", requests.len());

    // The test can fail: undescribed requests are rejected.
    let list = requests.iter().find(|request| request.query("since").is_some()).unwrap();
    for wrong in ["state=everything", "since=yesterday", "per_page=many", "sort=id", "direction=up"] {
        let target = format!("/repos/{WIDGETS}/issues?{wrong}");
        assert!(prism.violation(list, &target).await.is_some(), "Prism lets {target} pass");
    }
    assert!(prism.violation(list, "/repos/acme/widgets/isues").await.is_some(), "Prism knows any path");
}
