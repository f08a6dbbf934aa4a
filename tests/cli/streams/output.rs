//! What the commands show of several streams.

use serde_json::{Value, json};

use super::projects::{declaring, projects};
use crate::schema::assert_fits;
use crate::support::Program;

/// A program over the project `acme`: its issues are complete, its comments have a reject, its events fail.
async fn mixed() -> Program {
    let program = projects();
    program.write("acme", "issues", &[r#"{"id":1}"#, r#"{"id":2}"#]);
    program.write("acme", "comments", &[r#"{"id":7}"#, "odd"]);
    program.write("acme", "events", &["fail unavailable"]);
    program.run(&["enable", "acme", "--streams", "issues,comments,events"]).await.expect(0);
    program
}

fn words(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// The lines of a table, in words.
fn rows(stdout: &str) -> Vec<Vec<&str>> {
    stdout.lines().map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_shows_each_stream_and_one_that_fails_stops_no_other() {
    let program = mixed().await;
    let ended = program.run(&["ingest"]).await.expect(3);
    let rows = rows(&ended.stdout);
    assert_eq!(rows[0][..4], ["resource", "stream", "status", "inserted"]);
    let shown: Vec<_> = rows[1..].iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(
        shown,
        [["acme", "comments", "partial", "1"], ["acme", "events", "failed", "0"], ["acme", "issues", "complete", "2"]]
    );
    for line in [
        "acme: reading changes",
        "acme (comments): reading changes",
        "acme: complete, 2 inserted",
        "acme (events): failed, nothing new",
        "acme (comments): rejected 1 record",
        "error: acme (events): events cannot be read",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_that_of_all_streams() {
    let program = mixed().await;
    program.run(&["ingest", "--streams", "issues"]).await.expect(0);
    program.run(&["ingest", "--streams", "events"]).await.expect(7);
    program.run(&["ingest", "--streams", "issues,events"]).await.expect(3);
    program.write("acme", "comments", &["fail unavailable"]);
    program.run(&["ingest", "--streams", "comments,events"]).await.expect(7);
    program.write("acme", "comments", &["fail authentication"]);
    program.run(&["ingest", "--streams", "comments,events"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_stays_enabled_unless_no_stream_of_it_exists() {
    let program = projects();
    for stream in ["issues", "comments"] {
        program.write("none", stream, &["fail not_found"]);
        program.write("half", stream, &[if stream == "issues" { "fail not_found" } else { "" }]);
    }
    program.run(&["ingest", "none", "--streams", "issues,comments"]).await.expect(6);
    program.run(&["ingest", "half", "--streams", "issues,comments"]).await.expect(3);
    let status = program.json(&["status"]).await;
    let known: Vec<_> = status["resources"].as_array().unwrap().iter().map(|one| &one["resource"]).collect();
    assert_eq!(known, [&json!("half")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_the_health_of_each_stream() {
    let program = mixed().await;
    let before = program.run(&["status"]).await.expect(0).stdout;
    assert_eq!(before.matches("○ never run").count(), 2, "{before}");
    for stream in ["issues", "comments", "events"] {
        assert!(before.contains(&format!("○ {stream}: never run")), "{before}");
    }
    program.run(&["ingest"]).await.expect(3);
    program.run(&["enable", "acme", "--streams", "comments,events"]).await.expect(0);
    let shown = program.run(&["status"]).await.expect(0).stdout;
    let rows = rows(&shown);
    assert_eq!(rows[3], ["health", "project", "last success", "last change", "next due", "tries"], "{shown}");
    assert_eq!((rows[4][..3].to_vec(), rows[4].last()), (vec!["✕ failing", "acme", "–"], Some(&"1")), "{shown}");
    assert!(shown.contains("✓ comments: healthy (checked ") && shown.contains("1 record was rejected"), "{shown}");
    assert!(shown.contains("✕ events: failing for ") && shown.contains("events cannot be read"), "{shown}");
    assert!(!shown.contains("issues"), "it is not selected: {shown}");

    let status = program.json(&["status"]).await["resources"][0].clone();
    assert_eq!((&status["state"], &status["message"]), (&"failed".into(), &"events cannot be read".into()));
    assert_eq!(
        (&status["rejects"], &status["health"], &status["failing"]["tries"]),
        (&1.into(), &"failing".into(), &1.into())
    );
    let newest = status["streams"].as_array().unwrap().iter().map(|one| one["last_run"]["started_at"].as_str()).max();
    assert_eq!(status["last_run"]["started_at"].as_str(), newest.unwrap());
    let streams: Vec<Value> = status["streams"].as_array().unwrap().clone();
    let named = |name: &str| streams.iter().find(|one| one["stream"] == name).unwrap();
    for (stream, selected, state, rejects) in
        [("issues", false, "complete", 0), ("comments", true, "partial", 1), ("events", true, "failed", 0)]
    {
        let one = named(stream);
        let got = (&one["selected"], &one["state"], &one["rejects"], &one["last_run"]["stream"]);
        assert_eq!(got, (&selected.into(), &state.into(), &rejects.into(), &stream.into()));
    }
    program.run(&["enable", "acme", "--streams", "comments"]).await.expect(0);
    let status = program.json(&["status"]).await["resources"][0].clone();
    assert_eq!(status["state"], "partial", "a stream that is not selected does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_one_stream_shows_no_streams() {
    let program = declaring("+issues");
    program.write("acme", "issues", &[r#"{"id":1}"#, "odd"]);
    let ended = program.run(&["ingest", "acme"]).await.expect(3);
    assert!(
        ended.stderr.contains("acme: reading changes") && ended.stderr.contains("acme: partial"),
        "{}",
        ended.stderr
    );
    let status = program.run(&["status"]).await.expect(0).stdout;
    for (shown, lines) in [(ended.stdout, 2), (program.run(&["runs"]).await.expect(0).stdout, 2), (status, 7)] {
        assert!(!shown.contains("stream") && !shown.contains("issues"), "{shown}");
        assert_eq!(shown.lines().count(), lines, "{shown}");
    }
    assert_eq!(program.json(&["status"]).await["resources"][0]["streams"][0]["stream"], "issues");
    for command in ["enable", "ingest", "reset", "runs", "rejects", "preview"] {
        let help = program.run(&[command, "--help"]).await.expect(0).stdout;
        assert!(!help.contains("--stream"), "{help}");
    }
    let enabled = program.run(&["enable", "acme"]).await.expect(0).stdout;
    assert_eq!(enabled, "enabled acme, schedule 30m\n");
    // A later version has several default ones.
    let program = program.redeclaring("+issues,+comments");
    assert!(program.run(&["runs"]).await.expect(0).stdout.contains("issues"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_rejects_are_listed_by_stream() {
    let program = mixed().await;
    program.write("acme", "issues", &[r#"{"id":1}"#, "strange"]);
    program.run(&["ingest"]).await.expect(3);
    let shown = program.run(&["runs"]).await.expect(0).stdout;
    assert_eq!(rows(&shown)[0][..5], ["started", "project", "stream", "mode", "status"]);
    assert_eq!(shown.lines().count(), 4, "{shown}");
    let runs = program.json(&["runs", "--stream", "events"]).await["runs"].clone();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["stream"]), (1, &"events".into()));
    assert_eq!(program.json(&["runs", "acme", "--stream", "events"]).await["runs"], runs);

    let all = program.json(&["rejects"]).await;
    assert_eq!(all["total"], 2);
    let comments = program.json(&["rejects", "--stream", "comments"]).await;
    assert_eq!(
        (&comments["total"], &comments["rejects"][0]["stream"], &comments["rejects"][0]["raw"]),
        (&1.into(), &"comments".into(), &"odd".into())
    );
    let shown = program.run(&["rejects", "acme", "--stream", "issues"]).await.expect(0).stdout;
    assert!(shown.contains("strange") && !shown.contains("odd"), "{shown}");

    for command in [&["runs"][..], &["rejects"], &["preview", "acme"]] {
        let error = program.run(&[command, &["--stream", "isues"]].concat()).await.expect(4).stderr;
        assert!(error.contains("has no stream \"isues\"") && error.contains("did you mean `issues`?"), "{error}");
    }
    let none = program.run(&["rejects", "--stream", "events"]).await.expect(0);
    assert!(none.stderr.contains("no rejected records are outstanding"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn preview_shows_a_stream_that_was_read() {
    let program = mixed().await;
    program.run(&["enable", "acme", "--streams", "comments"]).await.expect(0);
    program.run(&["ingest"]).await.expect(3);
    let first = program.json(&["preview", "acme"]).await;
    assert_eq!(
        (&first["stream"], &first["rows"][0]["id"]),
        (&"comments".into(), &7.into()),
        "what is read comes first"
    );
    let program = program.redeclaring("+issues,comments,events,labels");
    let never = program.run(&["preview", "acme", "--stream", "labels"]).await.expect(6).stderr;
    assert!(never.contains("the stream labels of acme was never read") && never.contains("--streams"), "{never}");
    program.run(&["enable", "acme", "--streams", "issues"]).await.expect(0);
    assert_eq!(program.json(&["preview", "acme", "--stream", "comments"]).await["rows"][0]["id"], 7);
    let empty = program.run(&["preview", "acme"]).await.expect(0).stderr;
    assert!(empty.contains("acme has no rows yet"), "{empty}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_about_several_streams_match_the_schema() {
    let program = mixed().await;
    for (definition, args, code) in [
        ("enable", &["enable", "acme", "--streams", "issues,comments,events"][..], 0),
        ("status", &["status"], 0),
        ("ingest", &["ingest"], 3),
        ("enable", &["enable", "acme", "--streams", "issues"], 0),
        ("status", &["status"], 0),
        ("runs", &["runs"], 0),
        ("rejects", &["rejects"], 0),
        ("preview", &["preview", "acme", "--stream", "comments"], 0),
        ("reset", &["reset", "acme", "--streams", "issues,comments", "--yes"], 0),
        ("enable", &["disable", "acme"], 0),
        ("error", &["ingest", "--streams", "isues"], 4),
    ] {
        let ended = program.run(&[&["--json"], args].concat()).await.expect(code);
        assert_fits(definition, &ended.json());
    }
    let program = program.redeclaring("+pulls");
    assert_fits("status", &program.json(&["status"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_which_stream_cannot_be_read() {
    let program = mixed().await;
    let ended = program.run(&["check"]).await.expect(7);
    let shown: Vec<_> = rows(&ended.stdout).into_iter().filter(|row| row[0].starts_with("acme")).collect();
    assert_eq!(shown[0], ["acme", "ok", "can be read"]);
    assert_eq!(shown[1], ["acme (comments)", "ok", "can be read"]);
    assert_eq!(shown[2][..2], ["acme (events)", "failed"]);
    assert!(ended.stderr.contains("error: acme (events): events cannot be read"), "{}", ended.stderr);
    let document = program.run(&["--json", "check"]).await.expect(7).json();
    assert_fits("check", &document);
    assert_eq!(document["checks"].as_array().unwrap().last().unwrap()["name"], "acme (events)");
    assert_eq!(document["error"]["message"], "events cannot be read");
    // No run was recorded.
    assert_eq!(program.json(&["runs"]).await["runs"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_wide_stream_is_shown_with_each_resource_that_selects_it() {
    let program = declaring("+issues,+*users");
    program.write("acme", "issues", &[r#"{"id":1}"#]);
    program.write("*", "users", &[r#"{"id":5}"#, "odd"]);
    program.run(&["enable", "beta", "--streams", "issues"]).await.expect(0);
    let ended = program.run(&["ingest", "acme", "beta"]).await.expect(3);
    let shown: Vec<_> = rows(&ended.stdout)[1..].iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(
        shown,
        [["*", "users", "partial", "1"], ["acme", "issues", "complete", "1"], ["beta", "issues", "complete", "0"]]
    );
    assert!(ended.stderr.contains("\nusers: partial, 1 inserted"), "{}", ended.stderr);
    let status = program.json(&["status"]).await;
    let streams = |index: usize| {
        let streams = status["resources"][index]["streams"].as_array().unwrap();
        streams.iter().map(|stream| json!([stream["stream"], stream["state"], stream["rejects"]])).collect::<Vec<_>>()
    };
    assert_eq!(status["resources"].as_array().unwrap().len(), 2, "the source is no resource");
    assert_eq!(streams(0), [json!(["issues", "complete", 0]), json!(["users", "partial", 1])]);
    assert_eq!(streams(1), [json!(["issues", "complete", 0])]);
    assert_eq!(program.json(&["preview", "acme", "--stream", "users"]).await["rows"][0]["id"], 5);
    assert_eq!(program.json(&["runs", "--stream", "users"]).await["runs"][0]["resource"], "*");
    program.run(&["reset", "acme", "--streams", "users", "--yes"]).await.expect(0);
    let again = program.run(&["ingest", "acme"]).await.expect(3);
    assert_eq!(rows(&again.stdout)[1][..3], ["*", "users", "partial"]);
    let refused = program.run(&["enable", "*"]).await.expect(4).stderr;
    assert!(refused.contains("* is not the name of a project: it stands for all of them"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_the_streams() {
    let help = projects().run(&["enable", "--help"]).await.expect(0).stdout;
    assert!(help.contains("--streams <STREAMS>") && help.contains("issues (default), comments, events"), "{help}");
    assert!(!help.contains('{'), "every placeholder is filled: {help}");
    let help = projects().run(&["ingest", "--help"]).await.expect(0).stdout;
    assert!(help.contains("--streams <STREAMS>") && help.contains("stays"), "{help}");
}
