//! Confirmation before data is lost.

use std::io::{self, IsTerminal, Write};

use super::terminal::plain;
use crate::{Error, Result};

/// The error for a command that needs a confirmation but has no terminal.
pub(super) fn no_terminal_error(what: &str) -> Option<Error> {
    (!io::stdin().is_terminal()).then(|| {
        Error::configuration(format!("cannot ask whether to {what}: standard input is not a terminal"))
            .with_help(format!("pass --yes to {what} without confirmation"))
    })
}

/// Asks, and waits for the answer.
pub(super) fn confirm(question: &str) -> Result<bool> {
    let failed = |error: io::Error| Error::unavailable("your answer cannot be read").with_source(error);
    let mut stderr = io::stderr();
    write!(stderr, "{} [y/N] ", plain(question)).and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
