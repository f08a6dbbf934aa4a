//! What the commands say about health.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::schema::assert_fits;
use crate::support::Program;

/// A program whose resource `numbers` was read, and whose resource `broken` fails.
async fn mixed() -> Program {
    let program = Program::new("custom_source").variable("JSONL_PATH", ".");
    fs::write(program.folder().join("numbers.jsonl"), "{\"id\":1}\n").unwrap();
    program.run(&["ingest", "numbers"]).await.expect(0);
    program.run(&["enable", "broken"]).await.expect(0);
    program
}

fn database(program: &Program) -> rusqlite::Connection {
    let files = fs::read_dir(program.folder()).unwrap().map(|file| file.unwrap().path());
    let file = files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "db")).unwrap();
    rusqlite::Connection::open(file).unwrap()
}

/// Makes all runs older, as if nothing had run since; or by a negative age, as under a clock that was ahead.
pub(crate) fn age(program: &Program, age: SignedDuration) {
    let database = database(program);
    let mut find = database.prepare("SELECT id, record FROM INGESTION_RUN").unwrap();
    let rows = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (id, record) in rows.map(|row| row.unwrap()).collect::<Vec<(String, String)>>() {
        let mut record: Value = serde_json::from_str(&record).unwrap();
        for name in ["started_at", "ended_at", "last_success_at", "last_change_at", "lease_until"] {
            if let Some(time) = record[name].as_str() {
                record[name] = (time.parse::<Timestamp>().unwrap() - age).to_string().into();
            }
        }
        let started = record["started_at"].as_str().unwrap().to_owned();
        database
            .execute(
                "UPDATE INGESTION_RUN SET record = ?2, started_at = ?3 WHERE id = ?1",
                (id, record.to_string(), started),
            )
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_gets_an_exit_code_and_a_person_what_to_do() {
    let program = mixed().await;
    let never = program.run(&["status", "--fail-if-stale", "2h"]).await.expect(9);
    assert!(never.stderr.contains("stale: broken: it was never completely read; "), "{never:?}");
    assert!(never.stderr.contains("stale: 1 of 2 enabled, by a limit of 2 h"), "{never:?}");
    // Why a check has failed is part of its result, and programs of monitoring may discard standard output.
    let quiet = program.run(&["-q", "status", "--fail-if-stale", "2h"]).await.expect(9);
    assert!(quiet.stderr.starts_with("stale: broken: ") && !quiet.stderr.contains("waiting"), "{quiet:?}");
    program.run(&["disable", "broken"]).await.expect(0);
    let fresh = program.run(&["status", "--fail-if-stale", "2h"]).await.expect(0);
    assert!(!fresh.stderr.contains("stale"), "{fresh:?}");
    age(&program, SignedDuration::from_hours(5));
    let stale = program.run(&["status", "--fail-if-stale", "2h"]).await.expect(9);
    assert!(
        stale.stderr.contains("stale: numbers: its last success was 5 h ago; no run has ended in time"),
        "{stale:?}"
    );
    assert!(stale.stdout.contains("◷ late"), "{stale:?}");
    let document = program.run(&["--json", "status", "--fail-if-stale", "2h"]).await.expect(9);
    assert!(document.stderr.is_empty(), "{document:?}");
    let document = document.json();
    assert_fits("status", &document);
    assert_eq!((&document["health"], &document["stale"]), (&"late".into(), &serde_json::json!(["numbers"])));
    assert_eq!(document["health_counts"], serde_json::json!({"late": 1, "paused": 1}));
    program.run(&["status", "--fail-if-stale", "6h"]).await.expect(0);
    for wrong in ["soon", "0s", "-2h"] {
        program.run(&["status", &format!("--fail-if-stale={wrong}")]).await.expect(2);
    }
    program.run(&["disable", "numbers"]).await.expect(0);
    let none = program.run(&["status", "--fail-if-stale", "6h"]).await.expect(9);
    assert!(none.stderr.contains("is enabled, so nothing is kept up to date"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_written_once_with_what_to_do() {
    let program = mixed().await;
    let ended = program.run(&["ingest"]).await.expect(3);
    let document = program.json(&["status"]).await;
    assert_fits("status", &document);
    assert_eq!(document["health"], "failing");
    let failing = &document["failing"];
    let (message, help) = (failing["message"].as_str().unwrap(), failing["help"].as_str().unwrap());
    assert_eq!(ended.stderr.matches(message).count(), 1, "{}", ended.stderr);
    let shown = program.run(&["status"]).await.expect(0).stdout;
    assert_eq!(shown.matches(message).count(), 1, "{shown}");
    assert!(shown.contains(&format!("    → {help}")), "{shown}");
    assert!(shown.find("broken") < shown.find("numbers"), "the worst comes first: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_terminal_gets_cards() {
    let program = mixed().await.variable("COLUMNS", "60");
    program.run(&["ingest"]).await.expect(3);
    let shown = program.run(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("✓ healthy (checked ") && shown.contains("\n  last success  "), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_died_is_interrupted_once_its_lease_is_over() {
    let program = mixed().await;
    let database = database(&program);
    let make_running = "UPDATE INGESTION_RUN SET status = 'running', record = json_set(record, '$.status', 'running', \
         '$.ended_at', NULL, '$.lease_until', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+1 minute'))";
    database.execute(make_running, ()).unwrap();
    let numbers = async || {
        let status = program.json(&["status"]).await;
        status["resources"].as_array().unwrap().iter().find(|one| one["resource"] == "numbers").unwrap().clone()
    };
    assert_eq!(
        (&numbers().await["health"], &numbers().await["last_run"]["status"]),
        (&"running".into(), &"running".into())
    );
    age(&program, SignedDuration::from_hours(1));
    let dead = numbers().await;
    assert_eq!((&dead["health"], &dead["last_run"]["status"]), (&"interrupted".into(), &"interrupted".into()));
    assert_eq!(program.json(&["runs"]).await["runs"][0]["status"], "interrupted");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn watching_shows_the_status_until_it_is_stopped() {
    use crate::support::{end, signal};

    let program = mixed().await;
    let child = program.start(&["status", "--watch"]);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    signal(&child, "INT");
    let ended = end(child).await.expect(0);
    assert!(ended.stdout.matches("○ never run").count() >= 2, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_says_when_the_next_run_is_due_and_what_to_do_about_a_failure() {
    use crate::support::{end, signal};

    let program = mixed().await;
    let child = program.start(&["run"]);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    signal(&child, "TERM");
    let ended = end(child).await.expect(0);
    assert_eq!(ended.stderr.matches("next run in ").count(), 1, "{ended:?}");
    assert!(ended.stdout.contains("broken: failed") && ended.stdout.contains("\n  → "), "{ended:?}");
}
