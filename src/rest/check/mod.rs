//! Checks a description before the first request.

mod api;
mod drift;
mod errors;
mod headers;
mod placeholders;
mod pointers;
mod problem;
mod relations;
mod requests;
mod stream;
mod warnings;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

#[cfg(test)]
use self::drift::is_page_size;
pub use self::drift::{Drift, drift};
pub(super) use self::drift::{fills_page, is_full_page, is_page_number, is_page_number_token, is_size};
pub(super) use self::placeholders::reserved;
use self::problem::Problems;
pub use self::problem::{Problem, Severity};
use self::relations::depends_on;
pub(super) use self::warnings::{PAGINATE, drift_help};
use super::api::Api;
use super::place::Place;
use super::stream::Stream;
use crate::{Error, Result};

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
    if problems.all.iter().all(|problem| problem.severity == Severity::Warning) {
        warnings::check(&mut problems);
    }
    // Of a default for all streams, each stream finds the same.
    let mut seen: Vec<Problem> = Vec::new();
    problems.all.retain(|problem| {
        let is_new = !seen.contains(problem);
        if is_new {
            seen.push(problem.clone());
        }
        is_new
    });
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
