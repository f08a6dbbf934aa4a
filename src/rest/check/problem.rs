//! What is wrong with a description.

use std::fmt;

use super::super::api::Api;
use super::super::file::closest;
use super::super::place::Place;
use super::super::stream::Stream;

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// The description cannot be read.
    Error,
    /// It can be read, but rows may be missing, or left over, or cost more than necessary.
    Warning,
}

/// What is wrong with a description, where, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// The file, line and column, if the description is in a file.
    pub position: Option<String>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do: an imperative without a full stop.
    pub help: String,
}

impl fmt::Display for Problem {
    /// `helpdesk.toml:7:8: stream "tickets": path: …`, without the help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        let place = self.place.to_string();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Collects problems.
pub(super) struct Problems<'a> {
    pub(super) api: &'a Api,
    pub(super) all: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), help.into());
    }

    pub(super) fn warn(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, place, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, place: Place, message: String, help: String) {
        self.all.push(Problem { severity, place, position: None, message, help });
    }

    /// The stream of this name.
    pub(super) fn stream(&self, name: &str) -> Option<&'a Stream> {
        self.api.streams.iter().find(|stream| stream.name == name)
    }

    /// The stream that a key names, which must exist.
    pub(super) fn named(&mut self, name: &str, place: &Place) -> Option<&'a Stream> {
        let found = self.stream(name);
        if found.is_none() {
            let names: Vec<&str> = self.api.streams.iter().map(|stream| stream.name.as_str()).collect();
            let meant = closest(name, names.iter().copied()).map(|name| format!("did you mean {name:?}? "));
            let help = format!("{}the streams are: {}", meant.unwrap_or_default(), names.join(", "));
            self.error(place.clone(), format!("there is no stream {name:?}"), help);
        }
        found
    }
}
