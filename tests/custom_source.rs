//! The example `custom_source` passes the conformance suite of a source, and the delivery suite.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use snowfeed::testkit::conformance::SourceCase;
use snowfeed::{Resource, Settings};
use tempfile::TempDir;

#[path = "../examples/custom_source.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the example is a separate program")]
mod custom_source;

fn append(path: &Path, id: u32, note: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{}", serde_json::json!({"id": id, "name": note})).unwrap();
}

/// 2,500 lines, which make three batches.
fn case() -> SourceCase {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stars.jsonl");
    (0..2_500).for_each(|line| append(&path, line % 2_000, "star"));
    let config: Settings = [("path".to_owned(), folder.path().to_str().unwrap().into())].into_iter().collect();
    let change = move || {
        append(&path, 7, "changed");
        async {}
    };
    SourceCase::new(custom_source::JsonLines, config, Resource::new("stars").unwrap()).changing(change).keeping(folder)
}

mod conformance {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}
