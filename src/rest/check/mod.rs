//! Checks a description before the first request.

mod api;
mod drift;
mod pointers;
mod relations;
mod requests;
mod stream;
mod warnings;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

pub use self::drift::{Drift, drift};
use super::api::Api;
use super::file::closest;
use super::place::Place;
use super::stream::Stream;
use crate::{Error, Result};

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

/// Returns everything that is wrong with a description: errors, then warnings, both in its order.
pub fn check(api: &Api) -> Vec<Problem> {
    let mut problems = Problems { api, all: Vec::new() };
    api::check(&mut problems);
    for (index, stream) in api.streams.iter().enumerate() {
        let at = Place::stream(index, &stream.name);
        stream::check(&mut problems, stream, &at);
        requests::check(&mut problems, stream, &at);
        relations::check(&mut problems, stream, &at);
    }
    // A warning about what is wrong anyway would only distract.
    if problems.all.is_empty() {
        warnings::check(&mut problems);
    }
    problems.all.sort_by_key(|problem| problem.severity == Severity::Warning);
    problems.all
}

impl Api {
    /// Checks the description, and puts each stream after the one that it depends on.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for the first [`Problem`] that is an error; the help counts the others.
    pub fn validated(self) -> Result<Self> {
        require(check(&self))?;
        Ok(self.sorted())
    }

    /// Puts each stream after the one that it depends on.
    pub(super) fn sorted(mut self) -> Self {
        sort(&mut self.streams);
        self
    }
}

/// Returns the warnings.
///
/// # Errors
/// `Configuration` for the first error.
pub(super) fn require(problems: Vec<Problem>) -> Result<Vec<Problem>> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let Some(first) = problems.first().filter(|_| errors > 0) else { return Ok(problems) };
    let others = match errors - 1 {
        0 => String::new(),
        1 => format!("; then there is another mistake: {}", problems[1]),
        n => format!("; then there are {n} more mistakes, the next one: {}", problems[1]),
    };
    Err(Error::configuration(first.to_string()).with_help(format!("{}{others}", first.help)))
}

/// Puts each stream after the one that it depends on, and leaves the others in their order.
fn sort(streams: &mut Vec<Stream>) {
    let mut rest = std::mem::take(streams);
    while !rest.is_empty() {
        let known: BTreeSet<String> = streams.iter().map(|stream| stream.name.clone()).collect();
        let is_next = |stream: &Stream| depends_on(stream).is_none_or(|name| known.contains(name));
        // What depends on itself is an error that the check has found.
        let next = rest.iter().position(is_next).unwrap_or(0);
        streams.push(rest.remove(next));
    }
}

/// The name of the stream that must come first.
fn depends_on(stream: &Stream) -> Option<&str> {
    stream.deletes.as_deref().or(stream.parent.as_ref().map(|parent| parent.stream.as_str()))
}

/// Collects problems.
struct Problems<'a> {
    api: &'a Api,
    all: Vec<Problem>,
}

impl<'a> Problems<'a> {
    fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), help.into());
    }

    fn warn(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, place, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, place: Place, message: String, help: String) {
        self.all.push(Problem { severity, place, position: None, message, help });
    }

    /// The stream of this name.
    fn stream(&self, name: &str) -> Option<&'a Stream> {
        self.api.streams.iter().find(|stream| stream.name == name)
    }

    /// The stream that a key names, which must exist.
    fn named(&mut self, name: &str, place: &Place) -> Option<&'a Stream> {
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
