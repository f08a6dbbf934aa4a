//! The example `json_file` passes the conformance suites of a destination, and the guide that explains it quotes it verbatim.

#![cfg(feature = "github")]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{Reject, RejectQuery, Resource, Sink, StateStore, StoredRow};
use tempfile::TempDir;

#[path = "../examples/json_file.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the example is a separate program")]
mod json_file;

use json_file::JsonFile;

/// A destination in a separate folder.
struct Probe {
    destination: Arc<JsonFile>,
    _folder: TempDir,
}

fn probe() -> Probe {
    let folder = TempDir::new().unwrap();
    let destination = Arc::new(JsonFile::open(folder.path().join("test.json")).unwrap());
    Probe { destination, _folder: folder }
}

/// A store whose folder lives as long as the process.
fn store() -> JsonFile {
    JsonFile::open(TempDir::new().unwrap().keep().join("test.json")).unwrap()
}

#[async_trait]
impl SinkProbe for Probe {
    fn sink(&self) -> Arc<dyn Sink> {
        self.destination.clone()
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(self.destination.clone())
    }

    fn numbers_commits(&self) -> bool {
        false
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        self.destination.rows(resource, table)
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let query = RejectQuery::new(usize::MAX).resource(resource.clone());
        let found = Sink::rejects(&*self.destination, query).await.unwrap();
        let in_table = found.rejects.into_iter().filter(|reject| reject.table == table);
        in_table.map(|reject| Reject::new(reject.reason, reject.raw)).collect()
    }
}

mod sink {
    snowfeed::sink_conformance!(super::probe());
}

mod states {
    snowfeed::state_store_conformance!(super::store());
}

mod settings {
    snowfeed::config_store_conformance!(super::store());
}

#[test]
fn the_guide_quotes_the_example() {
    let without_indent = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let example = without_indent(&fs::read_to_string("examples/json_file.rs").unwrap());
    let guide = fs::read_to_string("docs/guides/write-a-destination.md").unwrap();
    let blocks: Vec<&str> =
        guide.split("\n```rust\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect();
    assert!(blocks.len() >= 4, "the guide has only {} Rust code blocks", blocks.len());
    for block in blocks.iter().filter(|block| !block.contains("_conformance!")) {
        for part in block.split("\n// …\n") {
            assert!(example.contains(&without_indent(part)), "examples/json_file.rs does not contain:\n{part}");
        }
    }
}
