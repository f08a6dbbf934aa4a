//! The log.

use std::fs;

use serde_json::Value;

use crate::support::{Ended, Program};

/// A program whose resource `numbers` can be read, and whose resource `broken` cannot.
async fn program() -> Program {
    let program = Program::new("custom_source").variable("JSONL_PATH", ".");
    fs::write(program.folder().join("numbers.jsonl"), "{\"id\":1}\n").unwrap();
    program.run(&["enable", "numbers", "broken"]).await.expect(0);
    program
}

/// The lines of standard error, each of which is a document.
fn lines(ended: &Ended) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ended.stderr.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_programs_is_one_document_for_each_line() {
    let program = program().await;
    let ended = program.run(&["--log-format", "json", "ingest"]).await.expect(3);
    let lines = lines(&ended);
    for line in &lines {
        let mut names: Vec<&String> = line.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["fields", "level", "message", "target", "timestamp"], "{line}");
    }
    let end = |resource: &str| {
        let is_end = |line: &&Value| line["message"] == "run ended" && line["fields"]["resource"] == resource;
        lines.iter().find(is_end).unwrap_or_else(|| panic!("{lines:#?}"))
    };
    let (complete, failed) = (end("numbers"), end("broken"));
    assert_eq!((&complete["level"], &complete["fields"]["status"]), (&"info".into(), &"complete".into()));
    assert_eq!(complete["fields"]["inserted"], 1);
    assert_eq!((&failed["level"], &failed["fields"]["kind"]), (&"error".into(), &"not_found".into()));
    assert!(failed["fields"]["help"].is_string(), "{failed}");
    assert_eq!(complete["fields"]["run"].as_str().map(str::len), Some(36));

    let refused = program.run(&["--log-format", "json", "disable", "nothing"]).await.expect(6);
    let refused = self::lines(&refused);
    assert_eq!((&refused[0]["level"], &refused[0]["fields"]["kind"]), (&"error".into(), &"not_found".into()));
    let quiet = program.run(&["--log-format", "json", "-q", "ingest"]).await.expect(3);
    assert!(self::lines(&quiet).iter().all(|line| line["level"] == "error"), "{quiet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_has_the_notation_of_the_implementation() {
    let program = program().await;
    for (format, line) in [("text", 2), ("json", 3)] {
        let file = program.folder().join("numbers.jsonl");
        let text = fs::read_to_string(&file).unwrap() + &format!("{{\"id\":{line}}}\n");
        fs::write(&file, text).unwrap();
        let ended = program.run(&["-vvv", "--log-format", format, "ingest"]).await.expect(3);
        assert!(ended.stderr.contains("batch read") && ended.stderr.contains("run ended"), "{ended:?}");
        for notation in ["Some(", " { ", "Complete", "Incremental", "Ok(", "None"] {
            assert!(!ended.stderr.contains(notation), "{notation}: {}", ended.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_chooses_what_is_logged_and_an_argument_overrides_it() {
    let program = program().await.variable("RUST_LOG", "warn,snowfeed=debug");
    let logged = program.run(&["ingest"]).await.expect(3);
    assert!(logged.stderr.contains("DEBUG snowfeed") && logged.stderr.contains("run started"), "{logged:?}");
    let verbose = program.run(&["-v", "ingest"]).await.expect(3);
    assert!(!verbose.stderr.contains("DEBUG") && verbose.stderr.contains("run started"), "{verbose:?}");
    let program = self::program().await.variable("RUST_LOG", "snowfeed=loud");
    let ignored = program.run(&["ingest"]).await.expect(3);
    assert!(ignored.stderr.contains("RUST_LOG is not a filter") && !ignored.stderr.contains("INFO"), "{ignored:?}");
}
