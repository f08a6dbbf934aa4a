//! Signals: the first one asks to stop, a later one stops at once.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::{Error, Result};

/// The note when an ingestion stops.
pub(super) const STOPPING: &str =
    "stopping: committing what has been read; the next run continues from there (again: stop at once)";

/// How long further signals count as the first one. `timeout` signals the program and then its process group, so that one request
/// arrives as two.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Signals to one command. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt {
    now: CancellationToken,
}

impl Interrupt {
    /// Cancels the returned token at the first Ctrl-C or SIGTERM, with a note. A signal after [`ONE_REQUEST`] ends the command
    /// [at once](Self::at_once). Commits are safe in both cases.
    pub(super) fn listen(&self, progress: Progress, message: &'static str) -> Result<CancellationToken> {
        let mut signals = Signals::listen()
            .map_err(|error| Error::internal("the program cannot listen for signals").with_source(error))?;
        let token = CancellationToken::new();
        let (cancel, now) = (token.clone(), self.now.clone());
        tokio::spawn(async move {
            signals.next().await;
            progress.note(message);
            cancel.cancel();
            let over = Instant::now() + ONE_REQUEST;
            while timeout_at(over, signals.next()).await.is_ok() {}
            signals.next().await;
            now.cancel();
        });
        Ok(token)
    }

    /// Waits for a signal that stops the command at once.
    pub(super) async fn at_once(&self) {
        self.now.cancelled().await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
