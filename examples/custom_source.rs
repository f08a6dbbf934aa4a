//! A complete source of one's own: a folder of `.jsonl` files, each a resource, to which lines are appended.
//!
//! ```sh
//! cargo run --example custom_source -- --set path=tests/data/jsonl ingest planets.jsonl
//! ```

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use snowfeed::prelude::*;

/// The settings; their comments are their documentation.
#[derive(Deserialize, JsonSchema)]
struct Settings {
    /// The folder that holds the files.
    path: PathBuf,
}

/// Where the next line begins: what a checkpoint holds.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Position {
    byte: u64,
}

#[derive(Deserialize)]
struct Line {
    id: u64,
}

#[derive(Debug)]
struct JsonLines;

fn io(error: std::io::Error) -> Error {
    Error::configuration("the folder cannot be read").with_source(error)
}

fn open(path: PathBuf) -> Result<std::fs::File> {
    std::fs::File::open(&path).map_err(io)
}

#[async_trait]
impl Source for JsonLines {
    fn spec(&self) -> SourceSpec {
        todo!()
    }
}
