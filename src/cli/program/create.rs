//! Writes a new description.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::New;
use super::{sample, test};
use crate::cli::output::Output;
use crate::rest::{ApiFile, Proposal};
use crate::stream::{PLAIN_NAME, is_plain};
use crate::{Error, Result};

/// The URL of a description whose API is not known yet.
const EXAMPLE: &str = "https://api.example.com/v1/tickets";

pub(super) async fn new(new: &New, output: Output) -> Result<()> {
    if !is_plain(&new.name) {
        return Err(Error::configuration(format!("the name {:?} is not allowed", new.name))
            .with_help(format!("name it with {PLAIN_NAME}; it prefixes environment variables")));
    }
    let path = PathBuf::from(format!("{}.toml", new.name));
    if path.exists() {
        return Err(exists(&path));
    }
    let url = match (&new.url, &new.sample) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(_)) => None,
        (None, None) => ask_url()?,
    };
    let answer: Option<(Proposal, String)> = match (&new.sample, &url) {
        (Some(sample), url) => Some(sample::read(sample, url.as_deref().unwrap_or(EXAMPLE), &new.options)?),
        (None, Some(url)) => Some(sample::ask(url, &new.options).await?),
        (None, None) => None,
    };
    let proposal = answer.as_ref().map(|(proposal, _)| proposal);
    let text = match proposal {
        Some(proposal) => proposal.to_toml(&new.name),
        None => Proposal::blank(&new.name),
    };
    // A file that cannot be read would be a bug of the proposal: say so instead of leaving it.
    let warnings = ApiFile::parse(&text, &path.display().to_string())?.warnings;
    write(&path, &text)?;
    // The test of the description.
    let saved = answer.as_ref().map(|(proposal, body)| {
        let folder = test::folder(&path);
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
        let saved = folder.join(format!("{}.json", proposal.stream.name));
        write(&saved, body).map(|()| saved)
    });
    let saved = saved.transpose()?;
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let findings = proposal.map(|proposal| &proposal.findings);
    output.result(&json!({"file": path, "sample": saved, "findings": findings, "warnings": warnings}), || {
        let found = proposal.map(|proposal| sample::findings(proposal) + "\n\n").unwrap_or_default();
        let name = path.display();
        let saved = match &saved {
            Some(saved) => format!(
                " and {}, the answer: `snowfeed --source {name} test` reads it again after each change of the description\n",
                saved.display()
            ),
            None => ": ".to_owned(),
        };
        format!("{found}wrote {name}{saved}read its comments, then run `snowfeed --source {name} check`")
    })
}

/// Writes a new file.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => unwritable(path, error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| unwritable(path, error))
}

/// Asks for the URL, if there is a person to ask.
fn ask_url() -> Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let failed = |error: io::Error| Error::unavailable("your answer cannot be read").with_source(error);
    let mut stderr = io::stderr();
    write!(stderr, "URL of a list of the API (empty: write an example): ")
        .and_then(|()| stderr.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| answer.to_owned()))
}

fn exists(path: &Path) -> Error {
    Error::configuration(format!("the file {} exists", path.display()))
        .with_help("choose another name, or remove the file")
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::configuration(format!("the file {} cannot be written", path.display()))
        .with_source(error)
        .with_help("run it in a folder in which you may write")
}
