//! The example `custom_source` passes the conformance suite of a source, and the delivery suite.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, IngestRequest};
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

/// 2,500 lines, which make three batches of each stream.
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

/// 500 of the 2,500 lines replace earlier ones: `lines` has the newest of each id, and `revisions`, once a user selects it, has all.
#[tokio::test]
async fn each_stream_is_selected_and_read_by_itself() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stars.jsonl");
    (0..2_500).for_each(|line| append(&path, line % 2_000, "star"));
    let settings: Settings = [("path".to_owned(), folder.path().to_str().unwrap().into())].into_iter().collect();
    let (memory, stars) = (Memory::new(), Resource::new("stars").unwrap());
    let connector =
        Connector::new(custom_source::JsonLines, Arc::new(memory.clone())).with_settings(settings.values().clone());
    let count = |stream: &str| memory.rows(&stars, stream).len();

    let report = connector.ingest(IngestRequest::new([stars.clone()])).await.unwrap();
    assert_eq!(report.runs.iter().map(|run| run.stream.as_str()).collect::<Vec<_>>(), ["lines"]);
    assert_eq!((count("lines"), count("revisions")), (2_000, 0));

    connector.enable(EnableRequest::new(stars.clone()).streams(["lines", "revisions"])).await.unwrap();
    append(&path, 0, "nova");
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    let inserted = report.runs.iter().map(|run| (run.stream.as_str(), run.counts.inserted, run.counts.updated));
    assert_eq!(inserted.collect::<Vec<_>>(), [("lines", 0, 1), ("revisions", 2_501, 0)]);
}

mod conformance {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}
