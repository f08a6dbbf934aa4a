//! Which streams are read.

use serde_json::{Value, json};

use super::projects::{declaring, projects};
use crate::support::Program;

/// The streams of a report's runs, with their status.
fn statuses(report: &Value) -> Vec<(&str, &str)> {
    let runs = report["runs"].as_array().unwrap().iter();
    runs.map(|run| (run["stream"].as_str().unwrap(), run["status"].as_str().unwrap())).collect()
}

fn streams(report: &Value) -> Vec<&str> {
    statuses(report).into_iter().map(|(stream, _)| stream).collect()
}

/// A program whose project `acme` has three issues, two comments and one event.
fn filled() -> Program {
    let program = projects();
    program.write("acme", "issues", &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]);
    program.write("acme", "comments", &[r#"{"id":1}"#, r#"{"id":2}"#]);
    program.write("acme", "events", &[r#"{"id":1}"#]);
    program
}

fn views(program: &Program) -> Vec<String> {
    let database = rusqlite::Connection::open(program.folder().join("projects.db")).unwrap();
    let mut find = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name").unwrap();
    let names = find.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_streams_are_read_until_others_are_selected() {
    let program = filled();
    let enabled = program.run(&["enable", "acme"]).await.expect(0);
    assert_eq!(enabled.stdout, "enabled acme, schedule 30m, streams issues (default)\n");
    assert_eq!(views(&program), ["acme", "issues"], "only what is read has a table");
    assert_eq!(streams(&program.json(&["ingest"]).await), ["issues"]);

    let enabled = program.run(&["enable", "acme", "--streams", "events, comments,events"]).await.expect(0);
    assert_eq!(enabled.stdout, "enabled acme, schedule 30m, streams comments, events\n");
    assert_eq!(views(&program), ["acme", "acme/comments", "acme/events", "comments", "events", "issues"]);
    let report = program.json(&["ingest"]).await;
    assert_eq!(statuses(&report), [("comments", "complete"), ("events", "complete")]);
    assert_eq!(report["counts"]["inserted"], 3, "they are read from their start");

    let kept = program.json(&["enable", "acme", "--schedule", "10m"]).await;
    let expected = json!({"resource": "acme", "enabled": true, "schedule": "10m", "streams": ["comments", "events"]});
    assert_eq!(kept["resources"], json!([expected]));
    assert_eq!(program.json(&["disable", "acme"]).await["resources"][0]["streams"], json!(["comments", "events"]));

    let back = program.json(&["enable", "acme", "--streams", "default"]).await;
    assert_eq!((&back["resources"][0]["streams"], &back["resources"][0]["schedule"]), (&Value::Null, &"10m".into()));
    let report = program.json(&["ingest"]).await;
    assert_eq!((streams(&report), &report["counts"]["offered"]), (vec!["issues"], &0.into()), "its checkpoint stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_that_is_wrong_changes_nothing() {
    let program = filled();
    let listed = "the streams are: issues (default), comments, events";
    for (command, database) in [
        (&["enable", "acme"][..], false),
        (&["ingest", "acme"], false),
        (&["ingest"], true),
        (&["reset", "acme", "--yes"], true),
    ] {
        if database {
            program.run(&["enable", "acme"]).await.expect(0);
        }
        for (names, message, help) in [
            ("isues", "the source projects has no stream \"isues\"", format!("did you mean `issues`? {listed}")),
            ("comments,zzz", "has no stream \"zzz\"", listed.to_owned()),
            ("", "no stream is selected", listed.to_owned()),
            ("issues,", "the name of a stream is empty", listed.to_owned()),
            ("default,events", "`default` cannot be combined with other streams", "alone".to_owned()),
        ] {
            let args = [&["--json"], command, &["--streams", names]].concat();
            let error = program.run(&args).await.expect(4).json()["error"].clone();
            assert_eq!(error["kind"], "configuration", "{args:?}");
            assert!(error["message"].as_str().unwrap().contains(message), "{args:?}: {error}");
            assert!(error["help"].as_str().unwrap().ends_with(&help), "{args:?}: {error}");
        }
        assert_eq!(program.folder().join("projects.db").exists(), database, "{command:?}");
    }
    assert_eq!(program.json(&["status"]).await["resources"][0]["streams"].as_array().unwrap().len(), 1);
    let named = program.run(&["ingest", "--streams"]).await.expect(2);
    assert!(named.stderr.contains("--streams <STREAMS>"), "{}", named.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ingestion_can_read_other_streams_than_those_that_are_selected() {
    let program = filled();
    let report = program.json(&["ingest", "acme", "--streams", "events"]).await;
    assert_eq!((streams(&report), &report["counts"]["inserted"]), (vec!["events"], &1.into()));
    let status = &program.json(&["status"]).await["resources"][0];
    assert_eq!(status["enabled"], true, "as without `--streams`");
    let shown: Vec<_> =
        status["streams"].as_array().unwrap().iter().map(|one| (&one["stream"], &one["selected"])).collect();
    assert_eq!(shown, [(&"issues".into(), &true.into()), (&"events".into(), &false.into())]);
    assert_eq!(streams(&program.json(&["ingest"]).await), ["issues"]);

    program.run(&["enable", "acme", "--streams", "comments"]).await.expect(0);
    let all = program.json(&["ingest", "--reconcile", "--streams", "issues,comments"]).await;
    assert_eq!((streams(&all), &all["counts"]["inserted"]), (vec!["comments", "issues"], &2.into()));
    let defaults = program.json(&["ingest", "--streams", "default"]).await;
    assert_eq!(streams(&defaults), ["issues"]);
    assert_eq!(streams(&program.json(&["ingest"]).await), ["comments"], "the selection stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_run_deletes_rows_of_the_streams_that_it_reads_and_no_others() {
    let program = filled();
    program.run(&["enable", "acme", "--streams", "issues,comments,events"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
    for stream in ["issues", "comments", "events"] {
        program.write("acme", stream, &[]);
    }
    let report = program.json(&["ingest", "--reconcile", "--allow-deletions", "--streams", "comments"]).await;
    assert_eq!((streams(&report), &report["counts"]["deleted"]), (vec!["comments"], &2.into()));
    let rows = async |stream: &str| {
        let preview = program.json(&["preview", "acme", "--stream", stream]).await;
        let rows = preview["rows"].as_array().unwrap().clone();
        (rows.len(), rows.iter().filter(|row| !row["deleted_at"].is_null()).count())
    };
    assert_eq!((rows("issues").await, rows("comments").await, rows("events").await), ((3, 0), (2, 2), (1, 0)));
    program.run(&["enable", "acme", "--streams", "issues"]).await.expect(0);
    assert_eq!(program.json(&["ingest", "--reconcile", "--allow-deletions"]).await["counts"]["deleted"], 3);
    assert_eq!(rows("events").await, (1, 0), "what is not selected keeps its rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_reset_one_by_one() {
    let program = filled();
    program.run(&["enable", "acme", "--streams", "issues,comments,events"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
    program.run(&["enable", "acme", "--streams", "issues,comments"]).await.expect(0);
    let reset = program.json(&["reset", "acme", "--streams", "events,comments", "--yes"]).await;
    assert_eq!((&reset["streams"], &reset["reset"]), (&json!(["comments", "events"]), &true.into()));
    let report = program.json(&["ingest", "--streams", "issues,comments,events"]).await;
    let offered: Vec<_> = report["runs"].as_array().unwrap().iter().map(|run| &run["counts"]["offered"]).collect();
    assert_eq!(offered, [&json!(2), &json!(1), &json!(0)], "comments, events, issues");

    let said = program.run(&["reset", "acme", "--streams", "comments", "--yes"]).await.expect(0).stdout;
    assert_eq!(said, "acme (comments) is reset: the next run reads it from the start; its rows stay\n");
    assert_eq!(program.json(&["reset", "acme", "--yes"]).await["streams"], Value::Null);
    let report = program.json(&["ingest", "--streams", "issues,comments,events"]).await;
    assert_eq!(report["counts"]["unchanged"], 6, "`reset` without streams also resets what is not selected");
    program.run(&["reset", "other", "--streams", "comments", "--yes"]).await.expect(6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selected_stream_that_a_later_version_drops_is_ignored_with_a_warning() {
    let program = filled();
    program.run(&["enable", "acme", "--streams", "issues,events"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
    let program = program.redeclaring("+issues,comments");
    let ended = program.run(&["ingest"]).await.expect(0);
    assert_eq!(
        ended.stderr.matches("warning: acme: this version of the source has no stream \"events\"").count(),
        1,
        "{}",
        ended.stderr
    );
    let logged = program.run(&["--json", "ingest"]).await.expect(0);
    assert!(logged.stderr.contains("no stream \"events\""), "{}", logged.stderr);
    assert_eq!(statuses(&logged.json()), [("issues", "complete")]);
    let status = program.json(&["status"]).await["resources"][0].clone();
    assert_eq!((&status["state"], &status["message"]), (&"complete".into(), &Value::Null));
    let dropped = &status["streams"][1];
    assert_eq!((&dropped["stream"], &dropped["selected"]), (&"events".into(), &true.into()), "{status}");
    assert!(dropped["message"].as_str().unwrap().contains("no such stream"), "{status}");
    let shown = program.run(&["status"]).await.expect(0).stdout;
    assert!(shown.lines().any(|line| line.contains("events") && line.contains("no such stream")), "{shown}");
    let history = program.run(&["runs", "--stream", "events"]).await.expect(0).stdout;
    assert!(history.contains("complete"), "the history of a dropped stream stays: {history}");

    let program = program.redeclaring("+pulls");
    let failed = program.run(&["--json", "ingest"]).await.expect(4).json();
    let error = &failed["runs"][0]["error"];
    assert_eq!(error["message"], "this version of the source has none of the selected streams: issues, events");
    assert!(error["help"].as_str().unwrap().contains("the streams are: pulls (default)"), "{error}");
    let shown = program.run(&["status"]).await.expect(0).stdout;
    assert_eq!(shown.matches("no such stream").count(), 2, "{shown}");
    program.run(&["enable", "acme", "--streams", "default"]).await.expect(0);
    assert_eq!(statuses(&program.json(&["ingest"]).await), [("pulls", "complete")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_project_is_read_from_the_start_also_where_it_was_not_selected() {
    let program = filled();
    program.run(&["enable", "acme", "--streams", "issues,events"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
    program.run(&["enable", "acme", "--streams", "issues"]).await.expect(0);
    program.run(&["remove", "acme", "--yes"]).await.expect(0);
    let report = program.json(&["ingest", "acme", "--streams", "issues,events"]).await;
    assert_eq!(report["counts"]["unchanged"], 4, "{report}");
    let status = program.json(&["status"]).await;
    assert_eq!(status["resources"][0]["streams"][0]["selected"], true, "the default ones are selected again");
}

/// Rule 21: it selects all ancestors, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn selecting_a_child_selects_its_parent() {
    let program = declaring("+issues,pulls,reviews<pulls,replies<reviews");
    let enabled = program.run(&["enable", "acme", "--streams", "replies"]).await.expect(0);
    assert_eq!(enabled.stdout, "enabled acme, schedule 30m, streams pulls, reviews, replies\n");
    for note in ["pulls is read, too: reviews requires it", "reviews is read, too: replies requires it"] {
        assert!(enabled.stderr.contains(note), "{}", enabled.stderr);
    }
    let stored = program.json(&["enable", "acme"]).await;
    assert_eq!(stored["resources"][0]["streams"], json!(["pulls", "reviews", "replies"]));
    let both = program.run(&["enable", "acme", "--streams", "pulls,reviews"]).await.expect(0);
    assert!(!both.stderr.contains("too"), "{}", both.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_the_only_default_stream_s_whatever_is_selected() {
    let program = filled();
    program.run(&["enable", "acme", "--streams", "comments"]).await.expect(0);
    assert_eq!(views(&program), ["acme/comments", "comments"]);
    program.run(&["ingest", "--streams", "issues"]).await.expect(0);
    assert_eq!(views(&program), ["acme", "acme/comments", "comments", "issues"]);
    // A later version makes another stream a default one.
    let program = program.redeclaring("issues,+comments,+events");
    program.run(&["enable", "acme", "--streams", "issues,comments,events"]).await.expect(0);
    assert_eq!(views(&program), ["acme", "acme/comments", "acme/events", "comments", "events", "issues"]);
}
