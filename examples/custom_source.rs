//! A complete custom source: a folder of `.jsonl` files, each of which is a resource. Lines are only ever appended;
//! a line whose id occurred before replaces the earlier one.
//!
//! It has two streams. `lines` has the newest line of each id. `revisions` has every line, and is read only where a user selects it.
//!
//! ```sh
//! cargo run --example custom_source -- --db planets.db --set path=examples/data ingest planets
//! cargo run --example custom_source -- --db planets.db preview planets
//! cargo run --example custom_source -- --db planets.db --set path=examples/data enable planets --streams lines,revisions
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use snowfeed::prelude::*;

/// The settings: the comment of a field becomes its description.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Folder {
    /// The folder that holds the files.
    path: PathBuf,
}

/// The required fields of a line. Other fields are kept, too.
#[derive(Deserialize)]
struct Line {
    id: i64,
}

/// The source `jsonl`.
#[derive(Debug)]
pub struct JsonLines;

#[async_trait]
impl Source for JsonLines {
    fn spec(&self) -> SourceSpec {
        let stream = |name| {
            StreamSpec::new(name).column("id", "id", ColumnType::Integer).column("name", "name", ColumnType::Text)
        };
        SourceSpec::new("jsonl", "1.0.0")
            .resource_kind("file")
            .settings(SettingsSchema::of::<Folder>())
            .stream(stream("lines"))
            .stream(stream("revisions").optional())
    }

    async fn connect(&self, settings: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(settings.read::<Folder>()?))
    }
}

#[async_trait]
impl Reader for Folder {
    async fn check(&self) -> Result<()> {
        self.files().map(drop)
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([self.files()]).map_ok(stream::iter).try_flatten().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let folder = self.clone();
        let batches = stream::once(async move { folder.open(&request) });
        batches.map_ok(|lines| stream::try_unfold(lines, |lines| async { lines.batch() })).try_flatten().boxed()
    }
}

/// A file, and where its next line begins. That place is the checkpoint of the stream that is read, and a line's place is its version.
struct Lines {
    file: BufReader<File>,
    at: u64,
    /// Whether every line is a record of its own, identified by its place.
    all_revisions: bool,
}

impl Folder {
    fn files(&self) -> Result<Vec<Result<Resource>>> {
        let entries = self.path.read_dir().map_err(unreadable)?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
        let files = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        Ok(files.filter_map(|path| path.file_stem()?.to_str()).map(Resource::new).collect())
    }

    fn open(&self, request: &ReadRequest) -> Result<Lines> {
        let at = request.checkpoint.as_ref().map_or(Ok(0), Checkpoint::parse)?;
        let path = self.path.join(format!("{}.jsonl", request.resource));
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        Ok(Lines { file, at, all_revisions: request.stream == "revisions" })
    }
}

impl Lines {
    /// The next thousand lines.
    fn batch(mut self) -> Result<Option<(Batch, Self)>> {
        let mut batch = Batch::new();
        while batch.offered() < 1_000 {
            let mut line = String::new();
            let length = self.file.read_line(&mut line).map_err(unreadable)?;
            if !line.ends_with('\n') {
                break; // A line without its end is still being written: the next run will see it.
            }
            match serde_json::from_str::<Line>(&line) {
                Ok(Line { id }) => {
                    let version = Version(i64::try_from(self.at).unwrap_or(i64::MAX));
                    let key = if self.all_revisions { self.at.to_string() } else { id.to_string() };
                    batch.records.push(Record::upsert(key, version, line.trim_end()));
                }
                Err(error) => batch = batch.reject(error.to_string(), line),
            }
            self.at += length as u64;
        }
        let checkpoint = Checkpoint::new(&self.at)?;
        Ok((batch.offered() > 0).then(|| (batch.checkpoint(checkpoint), self)))
    }
}

fn unreadable(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::InvalidData => ErrorKind::InvalidData,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "the file or folder cannot be read").with_source(error).with_help("check the setting `path`")
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    snowfeed::cli::run(JsonLines).await
}
