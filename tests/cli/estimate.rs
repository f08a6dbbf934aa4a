//! `ingest --estimate`, beside what then happens.

use github_server::GithubServer;
use serde_json::Value;

use super::support::Program;

fn number(document: &Value, path: &str) -> u64 {
    document.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {path}: {document:#}"))
}

/// Checks that numbers of an estimate and of a report differ by at most a quarter, or by very little.
#[track_caller]
pub(crate) fn assert_near(estimate: &Value, report: &Value, paths: &[(&str, &str)]) {
    for (estimated, happened) in paths {
        let (one, other) = (number(estimate, estimated), number(report, happened));
        let is_near = one.abs_diff(other) <= 3 + one.max(other) / 4;
        assert!(is_near, "{estimated} is {one}, and {happened} {other}: {estimate:#} {report:#}");
    }
}

/// What is read of one stream.
pub(crate) const READ: [(&str, &str); 3] = [
    ("/requests", "/runs/0/traffic/requests"),
    ("/records", "/runs/0/counts/offered"),
    ("/bytes", "/runs/0/traffic/bytes"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_stores_nothing_and_is_near_what_happens() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 900).start().await.unwrap();
    let program = Program::github(upstream.url());
    let arguments = ["ingest", "acme/gears", "--streams", "issues"];
    let estimate = program.json(&[&arguments[..], &["--estimate"]].concat()).await;
    assert_eq!(program.json(&["status"]).await["resources"], Value::Array(Vec::new()), "nothing is stored");
    assert_near(&estimate, &program.json(&arguments).await, &READ);
    assert_eq!(estimate["load"], Value::Null, "a file costs nothing");
    let again = program.json(&["ingest", "--estimate", "--streams", "issues"]).await;
    assert!(number(&again, "/records") <= 100, "everything is read: {again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_is_said_and_an_unreadable_stream_is_an_error() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/gears", "--estimate", "--streams", "pulls,reviews"]).await.expect(0);
    let reviews = ended.stdout.lines().find(|line| line.contains("reviews")).unwrap();
    assert_eq!(reviews.matches("unknown").count(), 3, "{}", ended.stdout);
    assert!(ended.stderr.contains("is not known before"), "{}", ended.stderr);
    program.run(&["ingest", "acme/nothing", "--estimate"]).await.expect(6);
    let none = program.run(&["ingest", "--estimate"]).await.expect(4);
    assert!(none.stderr.contains("name a repository"), "{}", none.stderr);
}
