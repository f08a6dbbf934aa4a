//! `status --watch`: shows the status again and again.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::View;
use crate::Result;
use crate::cli::Exit;

const EVERY: Duration = Duration::from_secs(2);

/// In a metered store, where each look wakes the warehouse.
const EVERY_METERED: Duration = Duration::from_secs(60);

/// Moves the cursor to the top left and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

impl View {
    /// Shows the status until the user stops it. A failed read is shown, too: it may be over at the next one.
    pub(super) async fn watch(&self, cancel: &CancellationToken) -> Result<Exit> {
        let is_metered = self.connector.unrecorded().is_some();
        let every = if is_metered { EVERY_METERED } else { EVERY };
        let is_terminal = io::stdout().is_terminal();
        loop {
            let Some(document) = cancel.run_until_cancelled(self.read()).await else { break };
            if is_terminal {
                let mut stdout = io::stdout().lock();
                // If standard output is gone, `show` ends the command.
                let _ = stdout.write_all(CLEAR.as_bytes()).and_then(|()| stdout.flush());
            }
            match document {
                Ok(document) => self.show(&document)?,
                Err(error) => self.output.error(&error),
            }
            if is_metered {
                self.output.note("this keeps the warehouse awake, which costs credits; Ctrl-C stops it");
            }
            if cancel.run_until_cancelled(sleep(every)).await.is_none() {
                break;
            }
        }
        Ok(Exit::Complete)
    }
}
