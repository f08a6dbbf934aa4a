//! What is told to a webhook and to a command about changes of health.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{LONG, Program, end, signal};

/// The path of the webhook, which is its secret.
const HOOK: &str = "/services/T012/B345/correct-horse-battery";

/// A program whose resource `numbers` was read, and whose resource `broken` cannot be read; and a server for its messages.
async fn scene() -> (Program, MockServer) {
    let server = MockServer::start().await;
    let program = Program::new("custom_source")
        .variable("JSONL_PATH", ".")
        .variable("ALERT_URL", &format!("{}{HOOK}", server.uri()))
        .variable("JSONL_TOKEN", "not-for-commands");
    fs::write(program.folder().join("numbers.jsonl"), "{\"id\":1}\n").unwrap();
    program.run(&["ingest", "numbers"]).await.expect(0);
    program.run(&["enable", "broken"]).await.expect(0);
    (program, server)
}

/// Answers like this from now on.
async fn answer(server: &MockServer, status: u16, times: u64) {
    let mock = Mock::given(method("POST")).and(path(HOOK)).and(header("content-type", "application/json"));
    mock.respond_with(ResponseTemplate::new(status)).up_to_n_times(times).mount(server).await;
}

/// What the server got.
async fn messages(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests.into_iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

/// A command that appends what it gets to the file `told`.
fn command(program: &Program, script: &str) -> String {
    let file = program.folder().join("tell.sh");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_tells_each_change_once() {
    let (program, server) = scene().await;
    answer(&server, 200, 99).await;
    let told = command(&program, "cat >> told; echo >> told; env | sort > environment");
    let ingest = ["ingest", "--notify-url", "env:ALERT_URL", "--notify-command", &told];
    for _ in 0..2 {
        program.run(&ingest).await.expect(3);
    }
    fs::write(program.folder().join("broken.jsonl"), "{\"id\":2}\n").unwrap();
    for _ in 0..2 {
        program.run(&ingest).await.expect(0);
    }
    let messages = messages(&server).await;
    let [failing, healthy] = &messages[..] else { panic!("{messages:#?}") };
    let text = failing["text"].as_str().unwrap();
    assert!(text.starts_with("✕ jsonl: broken is failing: ") && text.contains(" → "), "{text}");
    let change = &failing["changes"][0];
    assert_eq!(
        (&change["resource"], &change["before"], &change["health"]),
        (&"broken".into(), &Value::Null, &"failing".into())
    );
    assert_eq!(
        (&failing["source"], &failing["health"], &failing["changes_total"]),
        (&"jsonl".into(), &"failing".into(), &1.into())
    );
    assert!(change["failing"]["help"].is_string() && change["next_due_at"].is_string(), "{change}");
    assert_eq!(healthy["text"], "✓ jsonl: broken is healthy (was failing)");
    let lines = fs::read_to_string(program.folder().join("told")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["changes"], healthy["changes"]);
    let environment = fs::read_to_string(program.folder().join("environment")).unwrap();
    assert!(
        environment.contains("SNOWFEED_HEALTH=healthy\nSNOWFEED_SOURCE=jsonl\nSNOWFEED_TEXT=✓ jsonl"),
        "{environment}"
    );
    assert!(!environment.contains("ALERT_URL") && !environment.contains("not-for-commands"), "{environment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_tries_again_until_it_is_told_and_then_no_more() {
    let (program, server) = scene().await;
    answer(&server, 503, 2).await;
    answer(&server, 204, 99).await;
    let child = program.start(&["run", "--notify-url", "env:ALERT_URL"]);
    while messages(&server).await.len() < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    signal(&child, "TERM");
    let ended = end(child).await.expect(0);
    let messages = messages(&server).await;
    assert_eq!(messages.len(), 3, "two were refused, and none came after the third: {messages:#?}");
    assert_eq!(messages[2]["changes"][0]["resource"], "broken");
    assert_eq!(ended.stderr.matches("a change of health could not be told; trying again in").count(), 2, "{ended:?}");
    assert!(!ended.stderr.contains("correct-horse") && !ended.stdout.contains("correct-horse"), "{ended:?}");

    let child = program.start(&["run", "--notify-url", "env:ALERT_URL"]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    signal(&child, "TERM");
    end(child).await.expect(0);
    assert_eq!(self::messages(&server).await.len(), 3, "a restart changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_delivered_fails_no_run_and_shows_no_secret() {
    let (program, server) = scene().await;
    answer(&server, 500, 99).await;
    let told = command(&program, "cat > /dev/null; echo \"no route for $SNOWFEED_SOURCE\" >&2; exit 7");
    let args = ["ingest", "--notify-url", "env:ALERT_URL", "--notify-command", &told];
    let ended = program.run(&args).await.expect(3);
    assert_eq!(messages(&server).await.len(), 5);
    assert_eq!(ended.stderr.matches("a change of health could not be told").count(), 10, "{ended:?}");
    assert!(ended.stderr.contains("the webhook env:ALERT_URL could not be called"), "{ended:?}");
    assert!(ended.stderr.contains("exit status: 7: no route for jsonl"), "{ended:?}");
    assert!(!ended.stderr.contains("correct-horse"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_given_by_reference_only() {
    let (program, _server) = scene().await;
    let program =
        program.variable("PLAIN", "http://hooks.example/correct-horse-battery").variable("WORD", "correct-horse");
    for (given, what) in [
        ("https://hooks.example/correct-horse", "must be a reference"),
        ("env:MISSING", "cannot be read"),
        ("env:PLAIN", "is not encrypted"),
        ("env:WORD", "is not a URL"),
    ] {
        for command in ["ingest", "run"] {
            let refused = program.run(&[command, "--notify-url", given]).await.expect(4);
            assert!(refused.stderr.contains(what) && refused.stderr.contains("help: "), "{refused:?}");
            assert!(!refused.stderr.contains("correct-horse"), "{refused:?}");
        }
    }
}

/// Waits until the server has got this many messages.
async fn wait_for_messages(server: &MockServer, number: usize) {
    let wait = async {
        while messages(server).await.len() < number {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("there were never {number} messages"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_pending_when_the_process_was_killed_is_told_by_the_next_one_and_then_no_more() {
    let (program, server) = scene().await;
    answer(&server, 503, 1).await;
    let run = ["run", "--notify-url", "env:ALERT_URL"];
    let killed = program.start(&run);
    wait_for_messages(&server, 1).await;
    signal(&killed, "KILL");
    end(killed).await;
    // The attempts of the second process fail, too, and it is killed while it waits.
    server.reset().await;
    answer(&server, 503, 2).await;
    let killed = program.start(&run);
    wait_for_messages(&server, 2).await;
    signal(&killed, "KILL");
    end(killed).await;

    server.reset().await;
    answer(&server, 200, 99).await;
    for restart in 0..2 {
        let child = program.start(&run);
        wait_for_messages(&server, 1).await;
        if restart > 0 {
            // Longer than the time after which it compares.
            tokio::time::sleep(Duration::from_secs(17)).await;
        }
        signal(&child, "KILL");
        end(child).await;
    }
    let told = messages(&server).await;
    let [failing] = &told[..] else { panic!("each restart tells it again: {told:#?}") };
    assert_eq!((&failing["changes"][0]["resource"], &failing["health"]), (&"broken".into(), &"failing".into()));

    // Its end is told by whoever sees it, with what was told before.
    fs::write(program.folder().join("broken.jsonl"), "{\"id\":2}\n").unwrap();
    program.run(&["ingest", "--notify-url", "env:ALERT_URL"]).await.expect(0);
    let told = messages(&server).await;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[1]["text"], "✓ jsonl: broken is healthy (was failing)");
    program.run(&["ingest", "--notify-url", "env:ALERT_URL"]).await.expect(0);
    assert_eq!(messages(&server).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_already_wrong_at_the_first_start_is_told_and_a_run_that_was_cut_off_is_not() {
    let (program, server) = scene().await;
    answer(&server, 200, 99).await;
    program.run(&["ingest"]).await.expect(3);
    let child = program.start(&["run", "--notify-url", "env:ALERT_URL"]);
    wait_for_messages(&server, 1).await;
    signal(&child, "KILL");
    end(child).await;
    let told = messages(&server).await;
    assert!(told[0]["text"].as_str().unwrap().starts_with("✕ jsonl: broken is failing: "), "{told:#?}");
    assert_eq!(told[0]["changes_total"], 1, "a resource that works is no news: {told:#?}");

    fs::write(program.folder().join("broken.jsonl"), "{\"id\":2}\n").unwrap();
    program.run(&["ingest", "--notify-url", "env:ALERT_URL"]).await.expect(0);
    let database = rusqlite::Connection::open(program.folder().join("jsonl.db")).unwrap();
    let cut_off = "UPDATE INGESTION_RUN SET status = 'running', record = json_set(record, '$.status', 'running', \
                   '$.ended_at', NULL, '$.lease_until', '2026-01-01T00:00:00Z')";
    database.execute(cut_off, ()).unwrap();
    assert_eq!(program.json(&["status"]).await["health"], "interrupted");
    program.run(&["ingest", "--notify-url", "env:ALERT_URL"]).await.expect(0);
    let told = messages(&server).await;
    assert_eq!(told.len(), 2, "the next run has continued: {told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_run_cannot_open_is_told_before_it_ends() {
    let (program, server) = scene().await;
    answer(&server, 200, 99).await;
    fs::write(program.folder().join("jsonl.db"), "no database at all, but long enough to look like one").unwrap();
    let ended = program.run(&["run", "--notify-url", "env:ALERT_URL"]).await;
    assert!(ended.code != Some(0), "{ended:?}");
    let told = messages(&server).await;
    let text = told[0]["text"].as_str().unwrap();
    assert!(text.starts_with("✕ jsonl: the connector is failing: ") && text.contains(" → "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_with_which_run_cannot_begin_are_told_once_although_nothing_is_due() {
    let (program, server) = scene().await;
    answer(&server, 200, 99).await;
    program.run(&["disable", "broken"]).await.expect(0);
    for _ in 0..2 {
        let mut run = program.command(&["run", "--notify-url", "env:ALERT_URL"]);
        end(run.env_remove("JSONL_PATH").spawn().unwrap()).await.expect(4);
    }
    let told = messages(&server).await;
    let [failing] = &told[..] else { panic!("{told:#?}") };
    let text = failing["text"].as_str().unwrap();
    assert!(text.starts_with("✕ jsonl: the connector is failing: ") && text.contains("path"), "{text}");
    let child = program.start(&["run", "--notify-url", "env:ALERT_URL"]);
    wait_for_messages(&server, 2).await;
    signal(&child, "TERM");
    end(child).await.expect(0);
    assert_eq!(messages(&server).await[1]["text"], "✓ jsonl: the connector is healthy (was failing)");
}
