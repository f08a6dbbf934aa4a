//! Output for programs: one document per command, and nothing else.

use github_server::{Fault, GithubServer, RetryAfter};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::support::{LONG, Program, end, signal};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_writes_one_json_document() {
    let upstream = GithubServer::builder().seed(7).token("t").repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "t");
    for (args, expected) in [
        (&["check"][..], &["checks", "error", "schema_version", "source", "version", "warnings"][..]),
        (&["discover", "--set", "repositories=acme/*"], &["resources", "schema_version", "titles"]),
        (&["configure", "page_size=50"], &["budget", "schema_version", "stored"]),
        (&["configure"], &["schema_version", "settings"]),
        (&["enable", "acme/gears"], &["resources", "schema_version"]),
        (&["ingest"], &["counts", "destination", "runs", "schema_version", "status"]),
        (
            &["status"],
            &[
                "as_of",
                "budget",
                "cost",
                "failing",
                "health",
                "health_counts",
                "last_change_at",
                "last_checked_at",
                "last_success_at",
                "late_since",
                "next_due_at",
                "resources",
                "schema_version",
                "stale",
            ],
        ),
        (&["ingest", "--estimate"], &["bytes", "load", "read_ms", "records", "requests", "schema_version", "streams"]),
        (&["runs"], &["runs", "schema_version"]),
        (&["rejects"], &["rejects", "schema_version", "total"]),
        (&["preview", "acme/gears"], &["resource", "rows", "schema_version", "stream"]),
        (&["reset", "acme/gears", "--yes"], &["reset", "resource", "schema_version", "streams"]),
        (&["disable", "acme/gears"], &["resources", "schema_version"]),
    ] {
        let ended = program.run(&[&["--json"], args].concat()).await.expect(0);
        assert_eq!(keys(&ended.json()), expected, "{args:?}");
        assert!(ended.stderr.is_empty(), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(program.json(&["schema"]).await["properties"]["page_size"]["default"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_reports_its_counts_and_runs() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    let report = program.json(&["ingest", "acme/gears"]).await;
    assert_eq!(report["status"], "complete");
    assert_eq!((&report["counts"]["offered"], &report["counts"]["inserted"]), (&30.into(), &30.into()));
    let run = &report["runs"][0];
    assert_eq!((&run["resource"], &run["status"]), (&"acme/gears".into(), &"complete".into()));
    assert!(run["traffic"]["requests"].as_u64().unwrap() > 0 && run["error"].is_null());
    let history = program.json(&["runs"]).await;
    assert_eq!(history["runs"][0]["id"], run["id"]);
    let row = &program.json(&["preview", "acme/gears", "--limit", "1"]).await["rows"][0];
    assert!(row["title"].is_string() && row["is_pull_request"].is_boolean() && row["raw"].is_string(), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_a_json_document() {
    let program = Program::new("github_issues");
    let ended = program.run(&["--json", "--set", "tokne=x", "check"]).await.expect(4);
    let error = &ended.json()["error"];
    assert_eq!((&error["kind"], &error["help"]), (&"configuration".into(), &"did you mean `token`?".into()));
    assert!(error["message"].as_str().unwrap().contains("tokne") && ended.stderr.is_empty());
    let usage = program.run(&["ingst", "--json"]).await.expect(2);
    assert_eq!(usage.json()["error"]["kind"], "usage");
    for error in [&ended.json()["error"], &usage.json()["error"]] {
        assert!(["kind", "message", "causes", "help"].iter().all(|name| error.get(name).is_some()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_argument_is_named() {
    let program = Program::new("github_issues");
    let message = async |args: &[&str]| {
        let document = program.run(args).await.expect(2).json();
        assert_eq!(document["error"]["kind"], "usage");
        document["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(message(&["--json", "enable"]).await.contains("<REPOSITORY>"));
    assert!(message(&["--json"]).await.contains("command"));
    #[cfg(feature = "native-app")]
    assert_eq!(message(&["--json", "app"]).await, "a command is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_and_waits_are_logged_unless_quiet() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    for (args, is_logged) in
        [(&["--json", "ingest", "acme/gears"][..], true), (&["--json", "--quiet", "ingest"], false)]
    {
        upstream.fault(Fault::SecondaryLimit { code: 403, retry_after: Some(RetryAfter::Seconds(1)) });
        let ended = program.run(args).await.expect(0);
        assert_eq!(ended.json()["status"], "complete");
        for what in ["reading anonymously", "waiting"] {
            assert_eq!(ended.stderr.contains(what), is_logged, "{args:?}, {what}: {}", ended.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_for_all_resources_is_logged_once() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 3).repository("acme/nuts", 3);
    let upstream = upstream.start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["enable", "acme/gears", "acme/nuts", "--schedule", "1m"]).await.expect(0);
    // Stored schedules may be shorter than the accepted minimum.
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    let shorter = "UPDATE RESOURCE_CONFIGURATION SET value = replace(value, '\"1m\"', '\"1s\"')";
    assert_eq!(database.execute(shorter, []).unwrap(), 2);
    drop(database);
    let mut child = program.start(&["run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..6 {
        tokio::time::timeout(LONG, lines.next_line()).await.expect("no run finished in time").unwrap().unwrap();
    }
    signal(&child, "TERM");
    let ended = end(child).await.expect(0);
    assert_eq!(ended.stderr.matches("reading anonymously").count(), 1, "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_lists_every_check() {
    let upstream = GithubServer::builder().token("right").repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "wrong");
    let document = program.run(&["--json", "check"]).await.expect(5).json();
    assert_eq!(document["error"]["kind"], "authentication");
    let results: Vec<_> = document["checks"].as_array().unwrap().iter().map(|check| check["ok"].clone()).collect();
    assert_eq!(results, [true, true, false]);
}
