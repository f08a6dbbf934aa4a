//! A description in a TOML file.

mod de;
mod mistake;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::de::Node;
pub(super) use self::mistake::{closest, explained};
use super::api::Api;
use super::check::{Problem, check, require};
use super::place::Place;
use crate::{Error, Result};

/// A description that was read from a file and checked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiFile {
    /// The description.
    pub api: Api,
    /// The warnings, with their positions in the file.
    pub warnings: Vec<Problem>,
}

impl ApiFile {
    /// Reads and checks a description in TOML. `file` is the name of the file, for messages.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), with the file, the line, the column and the place: the text is not TOML; a key
    /// is unknown or missing; a value has another type, or is none of the possible ones; or what [`check`] finds.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(text.len(), |span| span.start);
            Error::configuration(format!("{}: not TOML: {}", position(text, file, offset), error.message()))
                .with_help(help(error.message(), &text[offset.min(text.len())..]))
        })?;
        let top = Spanned::new(parsed.span(), DeValue::Table(parsed.into_inner()));
        let DeValue::Table(table) = top.get_ref() else {
            return Err(Error::internal("a parsed file is not a table"));
        };
        let api = Api::deserialize(Node::new(top.get_ref(), top.span())).map_err(|mistake| {
            let position = position(text, file, mistake.offset.unwrap_or_default());
            let place = Place::in_file(table, mistake.keys()).to_string();
            let place = if place.is_empty() { place } else { format!("{place}: ") };
            let error = Error::configuration(format!("{position}: {place}{}", mistake.message));
            match mistake.help {
                Some(help) => error.with_help(help),
                None => error,
            }
        })?;
        let mut problems = check(&api);
        for problem in &mut problems {
            problem.position = Some(position(text, file, problem.place.offset(table)));
        }
        let warnings = require(problems)?;
        Ok(Self { api: api.sorted(), warnings })
    }
}

impl Api {
    /// Reads and checks a description in TOML, as [`ApiFile::parse`] does, without the warnings.
    ///
    /// # Errors
    /// As for `ApiFile::parse`.
    pub fn from_toml(text: &str, file: &str) -> Result<Self> {
        ApiFile::parse(text, file).map(|file| file.api)
    }
}

/// What to write in place of what is not TOML. `rest` is the text from there on.
fn help(message: &str, rest: &str) -> String {
    let word = rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
    match message {
        "duplicate key" if !word.is_empty() => format!("remove the key `{word}` here, or the one before it"),
        _ if message.starts_with("invalid basic string") => "close the text with a quote in the same line".to_owned(),
        _ if message.starts_with("invalid boolean") => "write `true` or `false`, in lower case".to_owned(),
        _ if message.starts_with("key with no value") => "write a key and a value: `name = \"value\"`".to_owned(),
        _ if rest.starts_with('{') => {
            "write TOML: `name = \"value\"`, one in a line; `snowfeed new NAME` writes a file to start from".to_owned()
        }
        _ => "texts stand in quotes, and a table of one line in { }".to_owned(),
    }
}

/// The file, line and column of an offset in its text; both are counted from 1, the column in characters.
fn position(text: &str, file: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{line}:{column}")
}
