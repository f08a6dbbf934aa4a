//! Confirmation before data is lost.

use std::io::{self, IsTerminal, Write};

use super::terminal::plain;
use crate::{Error, Result};

/// The error for a command that needs a confirmation but has no terminal.
pub(super) fn unanswerable(what: &str) -> Option<Error> {
    (!io::stdin().is_terminal()).then(|| {
        Error::configuration(format!("there is no terminal to ask whether to {what}"))
            .with_help(format!("add --yes to {what} without being asked"))
    })
}

/// Asks, and waits for the answer.
pub(super) fn confirmed(question: &str) -> Result<bool> {
    let failed = |error: io::Error| Error::unavailable("the answer cannot be read").with_source(error);
    let mut stderr = io::stderr();
    write!(stderr, "{} [y/N] ", plain(question)).and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
