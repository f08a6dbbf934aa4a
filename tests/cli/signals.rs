//! Stopping a process in any way loses nothing.

use std::time::Duration;

use github_server::GithubServer;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::support::{LONG, Program, end, signal, until};

const ISSUES: u32 = 1_500;

async fn slow_upstream() -> GithubServer {
    let builder = GithubServer::builder().seed(7).repository("acme/widgets", ISSUES);
    builder.latency(Duration::from_millis(60)).start().await.unwrap()
}

/// One page at a time, which leaves time to interrupt.
const SLOWLY: [&str; 7] = ["ingest", "acme/widgets", "--set", "concurrency=1", "--set", "page_size=20", "--json"];

async fn rows(program: &Program) -> usize {
    program.json(&["preview", "acme/widgets", "--limit", "5000"]).await["rows"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_commits_and_the_next_run_continues() {
    for name in ["INT", "TERM"] {
        let upstream = slow_upstream().await;
        let program = Program::github(upstream.url());
        let child = program.start(&SLOWLY);
        until("pages are read", || upstream.requests().len() >= 10).await;
        signal(&child, name);
        let report = end(child).await.expect(130).json();
        assert_eq!((&report["status"], &report["runs"][0]["status"]), (&"interrupted".into(), &"interrupted".into()));
        let status = &program.json(&["status"]).await["resources"][0];
        assert_eq!((&status["state"], &status["last_run"]["status"]), (&"interrupted".into(), &"interrupted".into()));
        let kept = report["counts"]["inserted"].as_u64().unwrap();
        assert!(kept > 0 && kept < u64::from(ISSUES), "{kept}");

        let report = program.json(&["ingest"]).await;
        let counts = &report["counts"];
        assert_eq!(counts["inserted"].as_u64().unwrap() + kept, u64::from(ISSUES), "{report}");
        assert_eq!(rows(&program).await, ISSUES as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_prints_a_message() {
    let upstream = slow_upstream().await;
    let program = Program::github(upstream.url());
    let child = program.start(&SLOWLY[..6]);
    until("pages are read", || upstream.requests().len() >= 5).await;
    signal(&child, "INT");
    let ended = end(child).await.expect(130);
    assert!(ended.stderr.contains("stopping: ") && ended.stderr.contains("continues from there"), "{}", ended.stderr);
    assert!(ended.stdout.contains("interrupted"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_shows_as_interrupted_after_the_next_one() {
    let upstream = slow_upstream().await;
    let program = Program::github(upstream.url());
    let child = program.start(&SLOWLY);
    // Commits come every second, and each updates the run's record.
    until("a commit has happened", || upstream.requests().len() >= 40).await;
    signal(&child, "KILL");
    assert_eq!(end(child).await.code, None);
    let killed = program.json(&["runs"]).await["runs"][0].clone();
    assert_eq!(killed["status"], "running");
    assert_eq!(killed["counts"]["inserted"], rows(&program).await, "the run's record matches the rows: {killed}");

    program.run(&["ingest"]).await.expect(0);
    assert_eq!(rows(&program).await, ISSUES as usize);
    let runs = program.json(&["runs"]).await;
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    assert_eq!(runs["runs"][1]["status"], "interrupted");
    let words = program.run(&["runs"]).await.expect(0).stdout;
    assert!(words.lines().nth(2).unwrap().contains("interrupted"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_follows_the_schedule_until_stopped() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["enable", "acme/gears", "--schedule", "1m"]).await.expect(0);
    // Shorter than `enable` accepts, for the test's sake; stored schedules are followed all the same.
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    database.execute("update RESOURCE_CONFIGURATION set value = replace(value, '1m', '1s')", []).unwrap();
    let mut child = program.start(&["run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut inserted = Vec::new();
    for _ in 0..3 {
        let line =
            tokio::time::timeout(LONG, lines.next_line()).await.expect("no run finished in time").unwrap().unwrap();
        let run: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(run["status"], "complete");
        inserted.push(run["counts"]["inserted"].as_u64().unwrap());
    }
    assert_eq!(inserted, [30, 0, 0]);
    signal(&child, "TERM");
    end(child).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_signals_count_once() {
    let upstream = slow_upstream().await;
    let program = Program::github(upstream.url());
    let child = program.start(&SLOWLY);
    until("pages are read", || upstream.requests().len() >= 10).await;
    // Both signals are pending when it continues.
    for name in ["STOP", "INT", "TERM", "CONT"] {
        signal(&child, name);
    }
    let report = end(child).await.expect(130).json();
    assert_eq!(report["status"], "interrupted");
    let kept = report["counts"]["inserted"].as_u64().unwrap();
    assert_eq!(rows(&program).await as u64, kept);
    assert_eq!(program.json(&["runs"]).await["runs"][0]["status"], "interrupted");
}

#[cfg(feature = "snowflake")]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let program = Program::new("github_issues").snowflake(silent.local_addr().unwrap().port(), "hush", "DB");
    let mut child = program.start(&["ingest", "acme/gears", "--json"]);
    // It listens for signals before it sends a request.
    let _call = tokio::time::timeout(LONG, silent.accept()).await.expect("no connection was made").unwrap();
    let ask = async {
        while child.try_wait().unwrap().is_none() {
            signal(&child, "INT");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, ask).await.expect("the process did not stop");
    assert!(end(child).await.expect(130).stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_in_a_row_lose_nothing() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    let child = program.start(&["run"]);
    // It listens for signals before it creates the database.
    until("the program has started", || program.folder().join("github.db").exists()).await;
    signal(&child, "INT");
    signal(&child, "INT");
    let code = end(child).await.code;
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    assert_eq!(program.json(&["ingest", "acme/gears"]).await["counts"]["inserted"], 30);
}
