//! Tests a description with saved answers.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::description::read;
use super::files;
use crate::cli::Exit;
use crate::cli::output::{Output, table};
use crate::rest::{Replay, replay};
use crate::{Error, Result};

/// The folder of the saved answers of a description.
pub(super) fn folder(description: &Path) -> PathBuf {
    description.with_extension("samples")
}

/// Reads the saved answers of a description, and reports what does not fit.
pub(super) fn test(description: &Path, output: Output) -> Result<Exit> {
    let (_, file) = read(description)?;
    let folder = folder(description);
    let mut replays: Vec<Replay> = Vec::new();
    for path in saved(&folder)? {
        let stream = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = files::text(&path, "sample")?;
        replays.push(replay(&file.api, &stream, &text).map_err(|error| error.with_context("file", path.display()))?);
    }
    let is_tested = |name: &str| replays.iter().any(|replay| replay.stream == name);
    let untested: Vec<&str> =
        file.api.streams.iter().map(|stream| stream.name.as_str()).filter(|name| !is_tested(name)).collect();
    output.result(&json!({"streams": replays, "untested": untested}), || {
        let row = |replay: &Replay| {
            let result = if replay.mistakes.is_empty() { "ok" } else { "failed" };
            vec![replay.stream.clone(), replay.records.to_string(), result.to_owned()]
        };
        table(&["stream", "records", "result"], &["records"], replays.iter().map(row))
    })?;
    for name in &untested {
        output.note(&format!(
            "not tested: {name}; save a page of its list as {}",
            folder.join(format!("{name}.json")).display()
        ));
    }
    if !output.is_json() {
        for Replay { stream, mistakes, .. } in &replays {
            for mistake in mistakes {
                output.report(Some(stream), &Error::configuration(mistake.clone()).report());
            }
        }
    }
    let fits = replays.iter().all(|replay| replay.mistakes.is_empty());
    Ok(if fits { Exit::Complete } else { Exit::Configuration })
}

/// The saved answers, in the order of their names.
fn saved(folder: &Path) -> Result<Vec<PathBuf>> {
    let missing = || {
        Error::configuration(format!("there is no saved answer in {}", folder.display()))
            .with_help("save the body of a page of each list as STREAM.json in that folder; `snowfeed new` does so for the list that it asks for")
    };
    let entries = std::fs::read_dir(folder).map_err(|error| missing().with_source(error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|error| missing().with_source(error))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    if paths.is_empty() { Err(missing()) } else { Ok(paths) }
}
