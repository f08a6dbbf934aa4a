//! The JSON output matches `docs/json-schema.json`.

use github_server::GithubServer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::json_schema::violations;
use super::support::{LONG, Program, end, signal};

/// The published schema.
fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/json-schema.json")).unwrap()
}

#[track_caller]
pub(crate) fn assert_fits(definition: &str, document: &Value) {
    let found = violations(&schema(), definition, document);
    assert!(found.is_empty(), "{definition}: {found:#?}\n{document:#}");
}

/// A source that rejects one line of a file.
fn with_a_reject() -> Program {
    let program = Program::new("custom_source");
    std::fs::write(program.folder().join("odd.jsonl"), "{\"id\":1}\nno JSON\n").unwrap();
    program.variable("JSONL_PATH", ".")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_matches_the_schema() {
    let upstream = GithubServer::builder().seed(7).token("t").repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "t");
    for (definition, args) in [
        ("status", &["status"][..]),
        ("runs", &["runs"]),
        ("rejects", &["rejects"]),
        ("check", &["check"]),
        ("discover", &["discover", "--set", "repositories=acme/*"]),
        ("configure", &["configure", "page_size=50"]),
        ("settings", &["configure"]),
        ("enable", &["enable", "acme/gears"]),
        ("status", &["status"]),
        ("estimate", &["ingest", "--estimate"]),
        ("ingest", &["ingest"]),
        ("ingest", &["ingest", "--reconcile"]),
        ("status", &["status"]),
        ("runs", &["runs"]),
        ("rejects", &["rejects"]),
        ("preview", &["preview", "acme/gears"]),
        ("reset", &["reset", "acme/gears", "--yes"]),
        ("enable", &["disable", "acme/gears"]),
        ("status", &["status"]),
    ] {
        assert_fits(definition, &program.json(args).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_rejected_and_failed_records_match_the_schema() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    let without = ["--json", "ingest", "acme/gears", "--set", "pull_requests=false"];
    let report = program.run(&without).await.expect(0).json();
    assert_fits("ingest", &report);
    let counts = &report["counts"];
    assert_eq!(counts["skipped_by_reason"], json!({"pull_request": counts["skipped"]}));
    assert!(counts["skipped"].as_u64().unwrap() > 0, "{counts}");

    for (definition, args, code) in [
        ("error", &["--json", "--set", "tokne=x", "status"][..], 4),
        ("error", &["--json", "ingst"], 2),
        ("error", &["--json", "--set", "tokne=x", "run"], 4),
        ("error", &["--json", "rejects", "acme/unknown"], 6),
        ("ingest", &["--json", "ingest", "acme/nothing"], 6),
    ] {
        let ended = program.run(args).await.expect(code);
        assert_fits(definition, &ended.json());
        assert_eq!(ended.stdout.lines().count() == 1, args.contains(&"run"), "one line of `run`: {}", ended.stdout);
    }
    let closed = GithubServer::builder().token("right").repository("acme/gears", 3).start().await.unwrap();
    let wrong = Program::github(closed.url()).variable("GITHUB_TOKEN", "wrong");
    let failed = wrong.run(&["--json", "check"]).await.expect(5).json();
    assert_fits("check", &failed);
    assert!(failed["error"].is_object(), "{failed}");

    let program = with_a_reject();
    let report = program.run(&["--json", "ingest", "odd"]).await.expect(3).json();
    assert_fits("ingest", &report);
    let rejects = program.json(&["rejects", "odd"]).await;
    assert_fits("rejects", &rejects);
    assert_eq!((&rejects["total"], &rejects["rejects"][0]["raw"]), (&1.into(), &"no JSON\n".into()));
    let status = program.json(&["status"]).await;
    assert_fits("status", &status);
    assert_eq!((&status["resources"][0]["rejects"], &status["resources"][0]["state"]), (&1.into(), &"partial".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_writes_one_line_per_run() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["enable", "acme/gears"]).await.expect(0);
    let mut child = program.start(&["run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(LONG, lines.next_line()).await.expect("no run finished in time").unwrap().unwrap();
    assert_fits("run", &serde_json::from_str(&line).unwrap());
    signal(&child, "TERM");
    end(child).await.expect(0);
}

#[test]
fn a_document_that_does_not_match_is_detected() {
    let error = json!({"kind": "odd", "message": 1, "causes": [], "help": null, "unconfirmed_deletions": null});
    let document = json!({"schema_version": 1, "error": error});
    assert_eq!(violations(&schema(), "error", &document).len(), 2);
    assert_eq!(violations(&schema(), "error", &json!({"schema_version": 2})).len(), 2);
    let record = json!({"schema_version": 1, "destination": null});
    assert_eq!(violations(&schema(), "run", &record).len(), 21);
}
