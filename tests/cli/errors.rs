//! Failures: one clear line, a specific exit code, and an entry in the history.

use std::fs;
use std::time::{Duration, Instant};

use github_server::{Fault, GithubServer};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::support::{Ended, Program, end};

#[track_caller]
fn assert_stderr(ended: &Ended, what: &str) {
    let errors: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "one line: {}", ended.stderr);
    assert!(errors[0].contains(what) && ended.stderr.contains("\nhelp: "), "{}", ended.stderr);
}

async fn last_error(program: &Program) -> String {
    program.json(&["runs", "--limit", "1"]).await["runs"][0]["error"]["kind"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token() {
    let upstream = GithubServer::builder().token("right").repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "wrong-hush");
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(5);
    assert_stderr(&ended, "acme/gears");
    assert_eq!(last_error(&program).await, "authentication");
}

/// The reviews of no pull request ask nothing, which is no success.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_while_a_child_stream_has_nothing_to_read() {
    let upstream = GithubServer::builder().token("right").repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "wrong-hush");
    let ended = program.run(&["ingest", "acme/gears", "--streams", "pulls,reviews"]).await.expect(5);
    assert!(ended.stdout.contains("reviews") && ended.stdout.contains("complete"), "{ended:?}");
    let right = Program::github(upstream.url()).variable("GITHUB_TOKEN", "right");
    right.run(&["ingest", "acme/gears", "--streams", "pulls,reviews"]).await.expect(0);
}

/// It may take an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_while_settings_are_checked() {
    for command in ["check", "discover"] {
        let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
        upstream.fault(Fault::PrimaryLimit { reset_in: Duration::from_secs(1) });
        let program = Program::github(upstream.url()).variable("GITHUB_REPOSITORIES", "acme/gears");
        let ended = program.run(&[command]).await.expect(0);
        assert!(ended.stderr.contains("waiting until") && ended.stderr.contains("primary rate limit"), "{ended:?}");
        upstream.fault(Fault::PrimaryLimit { reset_in: Duration::from_secs(1) });
        let logged = program.run(&["--json", command]).await.expect(0);
        assert!(logged.stderr.contains("WARN") && logged.stderr.contains("primary rate limit"), "{logged:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_while_settings_are_checked() {
    let program = Program::github("http://127.0.0.1:1").variable("GITHUB_REPOSITORIES", "acme/gears");
    let began = Instant::now();
    let mut child = program.start(&["check"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = loop {
        let line = lines.next_line().await.unwrap().expect("a retry is reported");
        if line.contains("cannot be reached") {
            break line;
        }
    };
    assert!(first.contains("before trying again"), "{first}");
    assert!(began.elapsed() < Duration::from_secs(2), "said after {:?}", began.elapsed());
    let ended = end(child).await.expect(7);
    assert!(ended.stdout.contains("remote    failed"), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "ended only after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_while_settings_are_checked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let program = Program::github(&url)
        .variable("GITHUB_REPOSITORIES", "acme/gears")
        .variable("GITHUB_TIMEOUT_SECONDS", "3")
        .variable("GITHUB_RETRIES", "0");
    for command in ["check", "discover"] {
        let ended = program.run(&[command]).await.expect(7);
        assert!(ended.stderr.contains("no response from github for 2"), "{command}: {}", ended.stderr);
        let silent = program.run(&["-q", command]).await.expect(7);
        assert!(!silent.stderr.contains("no answer"), "{command}: {}", silent.stderr);
    }
}

/// A captive portal answers every request with its login page: retrying is useless.
#[tokio::test(flavor = "multi_thread")]
async fn a_portal_in_place_of_the_server_while_settings_are_checked() {
    for fault in [Fault::Html, Fault::EmptyBody] {
        let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
        upstream.fault_while(|_| true, fault);
        let program = Program::github(upstream.url()).variable("GITHUB_REPOSITORIES", "acme/gears");
        let ended = program.run(&["check"]).await;
        assert!(ended.stdout.contains("remote    failed"), "{ended:?}");
        assert!(ended.stderr.contains("check the base URL"), "{ended:?}");
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_repository() {
    let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/geras"]).await.expect(6);
    assert_stderr(&ended, "acme/geras");
    assert_eq!(last_error(&program).await, "not_found");
}

/// If both names were read, the view over all resources would have every row twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_new_name_of_a_renamed_repository_is_rejected() {
    let upstream =
        GithubServer::builder().repository("acme/gears", 30).repository("acme/nuts", 3).start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears", "acme/nuts"]).await.expect(0);
    upstream.rename_repository("acme/gears", "acme/cogs");
    for args in [&["ingest", "acme/cogs"][..], &["ingest", "--reconcile", "acme/cogs"]] {
        let ended = program.run(args).await.expect(4);
        assert_stderr(&ended, "acme/cogs is the same repository as acme/gears");
        assert!(ended.stderr.contains("`remove`"), "{}", ended.stderr);
    }
    let known = program.json(&["status"]).await;
    assert_eq!(known["resources"].as_array().unwrap().len(), 2, "an unreadable resource is not left enabled: {known}");
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    let rows = || database.query_row("select count(*) from issues", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(), 33, "no row of it is written");
    program.run(&["enable", "acme/cogs"]).await.expect(0);
    program.run(&["ingest"]).await.expect(3);
    assert_eq!(rows(), 33);
    program.run(&["remove", "acme/cogs", "--yes"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
}

/// Neither has committed anything when the other one checks.
#[tokio::test(flavor = "multi_thread")]
async fn both_names_of_a_repository_at_once() {
    let upstream = GithubServer::builder().repository("acme/gears", 300).start().await.unwrap();
    upstream.rename_repository("acme/gears", "acme/cogs");
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/gears", "acme/cogs"]).await.expect(3);
    assert_stderr(&ended, "is the same repository as");
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    let rows: i64 = database.query_row("select count(*) from issues", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_issues() {
    let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
    upstream.disable_issues("acme/gears");
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(6);
    assert_stderr(&ended, "disabled");
    assert_eq!(last_error(&program).await, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_among_several_is_partial() {
    let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/gears", "acme/none"]).await.expect(3);
    assert_stderr(&ended, "acme/none");
    assert_eq!(program.json(&["preview", "acme/gears"]).await["rows"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached() {
    let program = Program::github("http://127.0.0.1:1").variable("GITHUB_RETRIES", "0");
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(7);
    assert!(ended.stderr.contains("error: acme/gears: "), "{}", ended.stderr);
    assert_eq!(last_error(&program).await, "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_database_stays_unchanged() {
    let program = Program::new("github_issues");
    let text = "Dear diary, this is no database. ".repeat(100);
    fs::write(program.folder().join("github.db"), &text).unwrap();
    for args in [&["status"][..], &["enable", "acme/gears"], &["ingest", "acme/gears"], &["check"]] {
        assert_stderr(&program.run(args).await.expect(4), "github.db");
    }
    assert_eq!(fs::read_to_string(program.folder().join("github.db")).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_enabled_resources_is_reported() {
    let program = Program::new("github_issues");
    assert_stderr(&program.run(&["ingest"]).await.expect(4), "no repository is enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_resource_is_not_found() {
    let program = Program::new("github_issues");
    program.run(&["enable", "acme/gears"]).await.expect(0);
    for args in [&["disable", "acme/x"][..], &["reset", "acme/x", "--yes"], &["preview", "acme/x"], &["runs", "acme/x"]]
    {
        assert_stderr(&program.run(args).await.expect(6), "acme/x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_schedule_is_refused_with_an_example() {
    let program = Program::new("github_issues");
    assert_stderr(&program.run(&["enable", "acme/gears", "--schedule", "soon"]).await.expect(4), "soon");
    assert!(!program.folder().join("github.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_or_option_is_a_usage_error() {
    let program = Program::new("github_issues");
    for args in [&["ingst"][..], &["ingest", "--recncile"], &["ingest", "--concurrency", "0"], &["-v", "-q", "status"]]
    {
        let ended = program.run(args).await.expect(2);
        assert!(ended.stdout.is_empty() && ended.stderr.contains("--help"), "{args:?}: {ended:?}");
    }
}
