//! Rejects are listed until they are corrected.

use std::fs;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::support::Program;

/// A source over a file of lines, two of which are malformed.
async fn rejected() -> Program {
    let program = Program::new("custom_source").variable("JSONL_PATH", ".");
    fs::write(program.folder().join("odd.jsonl"), "{\"id\":1}\nno JSON\n{\"id\":null}\n").unwrap();
    program.run(&["ingest", "odd"]).await.expect(3);
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_listed_until_a_reconcile_run_resolves_them() {
    let program = rejected().await;
    let listed = program.run(&["rejects", "odd"]).await.expect(0);
    assert_eq!(listed.stdout.lines().count(), 3, "{}", listed.stdout);
    assert!(listed.stdout.contains("no JSON") && listed.stderr.contains("--reconcile"), "{listed:?}");
    let status = program.run(&["status"]).await.expect(0).stdout;
    assert!(status.contains("2 rejected records are outstanding; `rejects` lists them"), "{status}");
    assert_eq!(program.json(&["status"]).await["resources"][0]["rejects"], 2);
    let first = program.run(&["rejects", "--limit", "1"]).await.expect(0);
    assert!(first.stderr.contains("1 of 2 are shown"), "{}", first.stderr);

    fs::write(program.folder().join("odd.jsonl"), "{\"id\":1}\n{\"id\":2}\n{\"id\":null}\n").unwrap();
    let run = program.run(&["--json", "ingest", "--reconcile"]).await.expect(3).json();
    assert_eq!((&run["counts"]["inserted"], &run["counts"]["rejected"]), (&1.into(), &1.into()));
    let left = program.json(&["rejects"]).await;
    assert_eq!((&left["total"], left["rejects"][0]["raw"].as_str().unwrap().trim()), (&1.into(), "{\"id\":null}"));

    fs::write(program.folder().join("odd.jsonl"), "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n").unwrap();
    program.run(&["ingest", "--reconcile"]).await.expect(0);
    assert_eq!(program.json(&["rejects"]).await["total"], 0);
    let none = program.run(&["rejects", "odd"]).await.expect(0);
    assert!(none.stderr.contains("no rejected records are outstanding"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_and_ingest_name_the_most_frequent_reason() {
    let program = rejected().await;
    let lines = "{\"id\":1}\nno JSON\nno JSON either\n{\"id\":null}\n";
    for name in ["one", "two"] {
        fs::write(program.folder().join(format!("{name}.jsonl")), lines).unwrap();
    }
    let reason = "rejected 3 records, 2 because: ";
    let ingested = program.run(&["ingest", "one"]).await.expect(3);
    assert!(ingested.stderr.contains(reason), "{ingested:?}");
    program.run(&["enable", "two"]).await.expect(0);
    let mut child = program.start(&["run"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = loop {
        let line = lines.next_line().await.unwrap().expect("it reads the new one at once");
        if line.contains("two: ") {
            break line;
        }
    };
    assert!(line.contains("3 rejected") && line.contains(reason), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_are_shortened_and_escaped() {
    let program = Program::new("custom_source").variable("JSONL_PATH", ".");
    fs::write(program.folder().join("odd.jsonl"), format!("\u{1b}[31m{}\n", "x".repeat(5_000))).unwrap();
    program.run(&["ingest", "odd"]).await.expect(3);
    let listed = program.run(&["rejects"]).await.expect(0).stdout;
    assert!(listed.contains('…') && !listed.contains('\u{1b}') && listed.len() < 500, "{listed:?}");
    let reject = program.json(&["rejects"]).await["rejects"][0].clone();
    assert_eq!((reject["raw"].as_str().unwrap().chars().count(), &reject["raw_is_cut"]), (2_000, &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_of_an_unknown_resource_are_not_found() {
    rejected().await.run(&["rejects", "other"]).await.expect(6);
}
