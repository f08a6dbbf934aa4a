//! Scheduled runs of several streams.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::projects::projects;
use crate::support::{BEGIN, LONG, Program, end, signal};

/// Starts `run` and returns the lines of the first `count` runs that end, with the process.
async fn run(program: &Program, count: usize) -> (Vec<Value>, Child) {
    let mut child = program.start(&["run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || tokio::time::timeout(LONG, lines.next_line()).await.expect("no run ended in time").unwrap();
    while next().await.expect("the program ended") != BEGIN.trim_end() {}
    let mut ended = Vec::new();
    while ended.len() < count {
        ended.push(serde_json::from_str(&next().await.expect("the program ended")).unwrap());
    }
    (ended, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_selected_streams_of_each_project_run_when_it_is_due() {
    let program = projects();
    program.write("acme", "issues", &["fail unavailable"]);
    program.write("acme", "comments", &[r#"{"id":1}"#]);
    program.run(&["enable", "acme", "--streams", "issues,comments"]).await.expect(0);
    program.run(&["enable", "other"]).await.expect(0);
    let (lines, child) = run(&program, 3).await;
    let ended: BTreeMap<_, _> = lines
        .iter()
        .map(|line| {
            ((line["resource"].as_str().unwrap(), line["stream"].as_str().unwrap()), line["status"].as_str().unwrap())
        })
        .collect();
    let expected =
        [(("acme", "issues"), "failed"), (("acme", "comments"), "complete"), (("other", "issues"), "complete")];
    assert_eq!(ended, expected.into());
    signal(&child, "TERM");
    end(child).await.expect(0);
    let runs = program.json(&["runs"]).await["runs"].as_array().unwrap().len();
    assert_eq!(runs, 3, "none was started twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_selected_later_is_due_at_once() {
    let program = projects();
    program.write("acme", "comments", &[r#"{"id":1}"#]);
    program.run(&["enable", "acme", "--schedule", "24h"]).await.expect(0);
    program.run(&["ingest"]).await.expect(0);
    assert_ne!(program.json(&["status"]).await["resources"][0]["next_due"], Value::Null);
    program.run(&["enable", "acme", "--streams", "issues,comments"]).await.expect(0);
    let (lines, child) = run(&program, 1).await;
    assert_eq!((&lines[0]["stream"], &lines[0]["counts"]["inserted"]), (&"comments".into(), &1.into()));
    signal(&child, "TERM");
    end(child).await.expect(0);
    let runs = program.json(&["runs"]).await["runs"].as_array().unwrap().len();
    assert_eq!(runs, 2, "the other stream is not due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_is_warned_of_once() {
    let program = projects();
    program.run(&["enable", "acme", "--streams", "issues,events"]).await.expect(0);
    program.run(&["enable", "gone", "--streams", "events"]).await.expect(0);
    let program = program.redeclaring("+issues,comments");
    let (lines, child) = run(&program, 1).await;
    assert_eq!((&lines[0]["resource"], &lines[0]["stream"]), (&"acme".into(), &"issues".into()));
    signal(&child, "TERM");
    let ended = end(child).await.expect(0);
    assert_eq!(
        ended.stderr.matches("acme: this version of the source has no stream \"events\"").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("none of the selected streams: events"), "{}", ended.stderr);
}
