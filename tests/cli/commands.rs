//! The text output of each command.

use github_server::{Fault, GithubServer, RetryAfter};

use super::support::Program;

async fn upstream() -> GithubServer {
    GithubServer::builder().seed(7).repository("acme/widgets", 250).repository("acme/gears", 30).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_prints_a_line_for_each_check() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    let ended = program.run(&["check"]).await.expect(0);
    for line in ["database  ok", "settings  ok", "remote    ok"] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discover_lists_accessible_resources() {
    let upstream = upstream().await;
    let ended = Program::github(upstream.url()).run(&["discover", "--set", "repositories=acme/*"]).await.expect(0);
    assert!(ended.stdout.contains("acme/gears") && ended.stdout.contains("acme/widgets"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_summarizes_each_resource_and_a_second_one_finds_nothing() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    let first = program.run(&["ingest", "acme/widgets", "acme/gears"]).await.expect(0);
    let line = |text: &str| first.stdout.lines().find(|line| line.starts_with(text)).unwrap_or_default().to_owned();
    assert!(line("acme/widgets").contains(" 250 ") && line("acme/gears").contains(" 30 "), "{}", first.stdout);
    assert!(first.stderr.contains("acme/gears: complete"), "progress is shown: {}", first.stderr);
    let again = program.json(&["ingest"]).await;
    assert_eq!(again["counts"]["inserted"], 0);
    assert_eq!(again["runs"].as_array().unwrap().len(), 2, "both are still enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_marks_deleted_rows() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    upstream.delete("acme/gears", 3);
    let report = program.json(&["ingest", "--reconcile"]).await;
    assert_eq!(report["counts"]["deleted"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletions_need_confirmation() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    (1..=20).for_each(|number| upstream.delete("acme/gears", number));
    let asked = program.run(&["ingest", "--reconcile"]).await.expect(3);
    assert!(asked.stderr.contains("more than 10 of the 30 live rows of the table `issues`"), "{}", asked.stderr);
    assert!(asked.stderr.contains("--reconcile --allow-deletions"), "{}", asked.stderr);
    let status = program.run(&["status"]).await.expect(0);
    assert!(status.stdout.contains("no row was marked deleted"), "{}", status.stdout);
    assert_eq!(program.json(&["ingest"]).await["counts"]["deleted"], 0, "an ordinary run confirms nothing");
    program.run(&["ingest", "--reconcile", "--max-deletions", "60"]).await.expect(3);
    let confirmed = program.run(&["--json", "ingest", "--reconcile", "--allow-deletions"]).await.expect(0);
    let confirmed: serde_json::Value = serde_json::from_str(&confirmed.stdout).unwrap();
    assert_eq!(confirmed["counts"]["deleted"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_reported_with_its_reason_and_end() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    upstream.fault(Fault::SecondaryLimit { code: 403, retry_after: Some(RetryAfter::Seconds(1)) });
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(0);
    let wait = ended.stderr.lines().find(|line| line.starts_with("acme/gears: waiting until ")).unwrap_or_default();
    assert!(wait.contains(" UTC: secondary"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_for_all_resources_is_printed_once() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    let ended = program.run(&["ingest", "acme/gears", "acme/widgets"]).await.expect(0);
    assert_eq!(ended.stderr.matches("warning: reading anonymously").count(), 1, "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_commands_create_no_database() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    for args in [
        &["check"][..],
        &["discover", "--set", "repositories=acme/*"],
        &["status"],
        &["runs"],
        &["rejects"],
        &["configure"],
        &["schema"],
    ] {
        program.run(args).await.expect(0);
    }
    program.run(&["ingest"]).await.expect(4);
    program.run(&["preview", "acme/gears"]).await.expect(6);
    program.run(&["disable", "acme/gears"]).await.expect(6);
    assert!(program.folder().read_dir().unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_path_comes_from_db_or_the_environment() {
    let program = Program::new("github_issues").variable("SNOWFEED_DB", "variable.db");
    program.run(&["enable", "acme/gears"]).await.expect(0);
    program.run(&["--db", "argument.db", "enable", "acme/gears"]).await.expect(0);
    assert!(program.folder().join("variable.db").exists() && program.folder().join("argument.db").exists());
    assert!(!program.folder().join("github.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_enabled_and_disabled_resources() {
    let program = Program::new("github_issues");
    let enabled = program.run(&["enable", "acme/gears", "--schedule", "15 2 * * *"]).await.expect(0);
    assert_eq!(enabled.stdout, "enabled acme/gears, schedule 15 2 * * *, streams issues (default)\n");
    let status = program.run(&["status"]).await.expect(0).stdout;
    assert!(status.contains("repository") && status.contains("15 2 * * *") && status.contains("never run"), "{status}");
    program.run(&["disable", "acme/gears"]).await.expect(0);
    let status = program.json(&["status"]).await;
    assert_eq!(status["resources"][0]["enabled"], false);
    assert!(status["resources"][0]["next_due"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_checked_before_any_change() {
    let program = Program::new("github_issues");
    let never = program.run(&["enable", "acme/gears", "--schedule", "0 2 30 2 *"]).await.expect(4);
    assert!(never.stderr.contains("never due"), "{}", never.stderr);
    program.run(&["enable", "acme/gears"]).await.expect(0);
    program.run(&["disable", "acme/gears", "acme/nuts"]).await.expect(6);
    assert_eq!(program.json(&["status"]).await["resources"][0]["enabled"], true);
    for command in [&["runs", "--limit", "0"][..], &["preview", "acme/gears", "--limit", "0"]] {
        program.run(command).await.expect(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_are_reported_with_their_position() {
    let program = Program::new("custom_source");
    std::fs::write(program.folder().join("odd.jsonl"), "{\"id\":1}\nno JSON\n").unwrap();
    let ended = program.run(&["--set", "path=.", "ingest", "odd"]).await.expect(3);
    let mut notes = ended.stderr.lines().filter_map(|line| line.strip_prefix("odd: "));
    let summary = notes.find(|line| line.starts_with("rejected 1 record (")).unwrap();
    assert!(summary.ends_with("): list the outstanding ones with `rejects`"), "{summary}");
    let runs = program.run(&["runs"]).await.expect(0).stdout;
    assert!(runs.contains(summary), "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preview_escapes_terminal_control_characters() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    upstream.patch("acme/gears", 5, serde_json::json!({"title": "red \u{1b}[31m alert\u{7}"})).unwrap();
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    let shown = program.run(&["preview", "acme/gears", "--limit", "30"]).await.expect(0).stdout;
    assert_eq!(shown.lines().count(), 31, "{shown}");
    assert!(shown.contains("alert") && !shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_needs_yes_without_a_terminal_and_restarts_ingestion() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    let refused = program.run(&["reset", "acme/gears"]).await.expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(program.json(&["ingest"]).await["counts"]["inserted"], 0);
    program.run(&["reset", "acme/gears", "--yes"]).await.expect(0);
    assert_eq!(program.json(&["ingest"]).await["counts"]["unchanged"], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_filters_by_limit_and_resource() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    for _ in 0..3 {
        program.run(&["ingest", "acme/gears"]).await.expect(0);
    }
    assert_eq!(program.json(&["runs", "--limit", "2"]).await["runs"].as_array().unwrap().len(), 2);
    assert_eq!(program.json(&["runs", "acme/gears"]).await["runs"].as_array().unwrap().len(), 3);
    program.run(&["runs", "acme/unknown"]).await.expect(6);
    let words = program.run(&["runs"]).await.expect(0).stdout;
    assert_eq!(words.matches("complete").count(), 3, "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_exist_for_every_shell() {
    let program = Program::new("github_issues");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = program.run(&["completions", shell]).await.expect(0).stdout;
        assert!(script.contains("github_issues") && script.contains("SNOWFEED_COMPLETE"), "{shell}: {script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_go_to_standard_output() {
    let program = Program::new("github_issues");
    let help = program.run(&["--help"]).await.expect(0).stdout;
    assert!(help.contains("github_issues ingest") && help.contains("130  interrupted"), "{help}");
    let version = program.run(&["--version"]).await.expect(0).stdout;
    assert_eq!(version, concat!("github ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_keeps_the_result() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    assert!(!program.run(&["status"]).await.expect(0).stderr.is_empty(), "a missing database is reported");
    assert!(program.run(&["-q", "status"]).await.expect(0).stderr.is_empty());
    let ended = program.run(&["-q", "ingest", "acme/gears"]).await.expect(0);
    assert!(ended.stdout.contains("acme/gears") && ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_pipe_is_not_an_error() {
    let program = Program::new("github_issues");
    let mut child = program.start(&["schema"]);
    drop(child.stdout.take());
    let ended = super::support::end(child).await.expect(0);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_resource_name_is_rejected() {
    let program = Program::new("github_issues");
    for command in ["enable", "ingest"] {
        for name in ["nope", "a/b/c", "acme/*", "https://gitlab.com/acme/widgets", "https://github.com/acme"] {
            let ended = program.run(&[command, "acme/gears", name]).await.expect(4);
            assert!(ended.stderr.contains("help: write `"), "{name}: {}", ended.stderr);
        }
    }
    assert!(!program.folder().join("github.db").exists());
    program.run(&["enable", "acme/gears"]).await.expect(0);
    program.run(&["enable", "nope"]).await.expect(4);
    for command in
        [&["disable", "nope"][..], &["reset", "nope", "--yes"], &["remove", "nope", "--yes"], &["runs", "nope"]]
    {
        program.run(command).await.expect(4);
    }
    assert_eq!(program.json(&["status"]).await["resources"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_spellings_of_a_repository_name_one_resource() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    let enabled = program.run(&["enable", "https://github.com/Acme/Widgets"]).await.expect(0);
    assert_eq!(enabled.stdout, "enabled acme/widgets, schedule 30m, streams issues (default)\n");
    for name in [
        "ACME/widgets",
        "acme/widgets.git",
        "git@github.com:acme/widgets.git",
        "https://github.com/acme/widgets/issues",
    ] {
        let report = program.json(&["ingest", name]).await;
        assert_eq!(report["runs"][0]["resource"], "acme/widgets", "{name}");
    }
    assert_eq!(program.json(&["status"]).await["resources"].as_array().unwrap().len(), 1);
    let both = program.json(&["ingest", "acme/widgets", "Acme/Widgets"]).await;
    assert_eq!(both["runs"].as_array().unwrap().len(), 1, "one resource, once");
    assert_eq!(program.json(&["runs", "Acme/Widgets"]).await["runs"].as_array().unwrap().len(), 5);
    assert_eq!(program.json(&["preview", "Acme/Widgets"]).await["resource"], "acme/widgets");
    program.run(&["disable", "Acme/Widgets"]).await.expect(0);
    assert_eq!(program.json(&["status"]).await["resources"][0]["enabled"], false);
}

/// A resource stored by an older version keeps its name, its state and its view.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_keeps_the_case_it_was_stored_under() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    program.run(&["enable", "acme/gears"]).await.expect(0);
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    database.execute("update RESOURCE_CONFIGURATION set key = 'Acme/Gears'", []).unwrap();
    for name in ["acme/gears", "ACME/GEARS", "Acme/Gears", "https://github.com/acme/gears"] {
        assert_eq!(program.json(&["ingest", name]).await["runs"][0]["resource"], "Acme/Gears", "{name}");
    }
    let listed = program.json(&["discover", "--set", "repositories=acme/*"]).await;
    assert_eq!(listed["resources"], serde_json::json!(["Acme/Gears", "acme/widgets"]));
    assert_eq!(program.json(&["status"]).await["resources"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_forgets_a_resource_and_keeps_its_rows() {
    let upstream = upstream().await;
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    let refused = program.run(&["remove", "acme/gears"]).await.expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    program.run(&["remove", "acme/gears", "acme/none", "--yes"]).await.expect(6);
    assert_eq!(
        program.json(&["status"]).await["resources"].as_array().unwrap().len(),
        1,
        "nothing is removed without --yes"
    );
    let removed = program.run(&["remove", "Acme/Gears", "--yes"]).await.expect(0);
    assert_eq!(removed.stdout, "acme/gears is removed; its rows stay\n");
    assert_eq!(program.json(&["status"]).await["resources"].as_array().unwrap().len(), 0);
    program.run(&["remove", "acme/gears", "--yes"]).await.expect(6);
    let again = program.json(&["ingest", "acme/gears"]).await;
    assert_eq!((&again["counts"]["unchanged"], &again["counts"]["inserted"]), (&30.into(), &0.into()), "{again}");
    let document = program.json(&["remove", "acme/gears", "--yes"]).await;
    let removed = serde_json::json!([{"resource": "acme/gears", "removed": true}]);
    assert_eq!((&document["resources"], &document["schema_version"]), (&removed, &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_below_one_minute_is_rejected() {
    let program = Program::new("github_issues");
    for schedule in ["1s", "59s", "*/5 * * * * *"] {
        let ended = program.run(&["enable", "acme/gears", "--schedule", schedule]).await.expect(4);
        assert!(ended.stderr.contains("too short") && ended.stderr.contains("at least one minute"), "{}", ended.stderr);
    }
    assert!(!program.folder().join("github.db").exists());
    program.run(&["enable", "acme/gears", "--schedule", "1m"]).await.expect(0);
}
