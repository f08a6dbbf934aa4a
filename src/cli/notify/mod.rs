//! Tells a webhook and a command about each change of a resource's health.

mod message;
mod target;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::message::{Message, Told};
use self::target::Target;
use super::args::NotifyArgs;
use crate::engine::{Connector, ConnectorHealth, Event, Observer};
use crate::{Error, Result};

/// How often `run` compares the health: a stream becomes late by time alone.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long `run` waits after a run has ended for others that end with it, to tell them together.
const GROUP: Duration = Duration::from_secs(2);

/// The longest that one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The first pause after a failure, and the longest: each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The number of attempts of `ingest`, which ends after them.
const ATTEMPTS: u32 = 5;

/// Everyone who is told about changes of health.
#[derive(Debug)]
pub(super) struct Notifications {
    notifiers: Vec<Notifier>,
    ended: watch::Sender<()>,
}

/// One of them, and what it was told.
#[derive(Debug)]
struct Notifier {
    target: Target,
    told: Told,
    /// What the configuration has of it for the next process.
    kept: Value,
    failures: u32,
    next_attempt: Instant,
}

/// Notices that a run has ended.
pub(super) struct RunEnds(watch::Sender<()>);

impl Observer for RunEnds {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Ended(_)) {
            self.0.send_replace(());
        }
    }
}

impl Notifications {
    /// Those of the command line.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the reference to the URL is malformed.
    pub(super) fn new(args: &NotifyArgs, source: &str) -> Result<Self> {
        let notifier = |target| {
            let (told, kept) = (Told::new(source), Value::Null);
            Notifier { target, told, kept, failures: 0, next_attempt: Instant::now() }
        };
        let notifiers = Target::of_args(args)?.into_iter().map(notifier).collect();
        Ok(Self { notifiers, ended: watch::Sender::new(()) })
    }

    /// Whether no target is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.notifiers.is_empty()
    }

    /// An observer that makes [`watch`](Self::watch) look at once.
    pub(super) fn run_ends(&self) -> RunEnds {
        RunEnds(self.ended.clone())
    }

    /// Begins with what was told by earlier processes: only what differs is told.
    ///
    /// # Errors
    /// Returns the errors of the stores.
    pub(super) async fn begin(&mut self, connector: &Connector) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let health = connector.current_health().await?;
        for notifier in &mut self.notifiers {
            let kept = connector.known_told(notifier.target.name());
            notifier.told.begin(kept.as_ref(), &health);
            notifier.kept = kept.unwrap_or_else(|| notifier.told.kept());
        }
        Ok(())
    }

    /// Tells each change until `stop` is cancelled, and then those that are left once more.
    pub(super) async fn watch(self, connector: Connector, stop: CancellationToken) {
        let each = self.notifiers.into_iter().map(|notifier| {
            let (connector, ended, stop) = (connector.clone(), self.ended.subscribe(), stop.clone());
            notifier.watch(connector, ended, stop)
        });
        futures::future::join_all(each).await;
    }

    /// Tells what has changed, with some attempts.
    pub(super) async fn tell(self, connector: &Connector, health: &ConnectorHealth) {
        let each = self.notifiers.into_iter().map(async |mut notifier| {
            let message = notifier.told.changes(health);
            if notifier.insist(message).await {
                notifier.accept(connector, health).await;
            }
        });
        futures::future::join_all(each).await;
    }

    /// Passes a result on. An error means that nothing can be read or recorded at all, which is told.
    pub(super) async fn unless_outage<T>(self, result: Result<T>) -> Result<(Self, T)> {
        let error = match result {
            Ok(value) => return Ok((self, value)),
            Err(error) => error,
        };
        let each = self.notifiers.into_iter().map(async |mut notifier| {
            let message = notifier.told.outage(&error);
            notifier.insist(Some(message)).await;
        });
        futures::future::join_all(each).await;
        Err(error)
    }
}

impl Notifier {
    async fn watch(mut self, connector: Connector, mut ended: watch::Receiver<()>, stop: CancellationToken) {
        loop {
            let retry = if self.failures > 0 { self.next_attempt - Instant::now() } else { LOOK_EVERY };
            tokio::select! {
                () = stop.cancelled() => break,
                // The sender lives as long as the observer.
                Ok(()) = ended.changed() => sleep(GROUP).await,
                () = sleep(retry.min(LOOK_EVERY)) => {}
            }
            if self.next_attempt <= Instant::now()
                && let Ok(health) = connector.current_health().await
            {
                self.tell(&connector, &health, self.told.changes(&health)).await;
            }
        }
        // The runs that the end of the program has interrupted are no news.
        if let Some(health) = connector.known_health() {
            self.tell(&connector, &health, self.told.changes_but_interruptions(&health)).await;
        }
    }

    /// Takes this health as told, and keeps that for the next process. If that is killed before, it is told again.
    async fn accept(&mut self, connector: &Connector, health: &ConnectorHealth) {
        self.told.accept(health);
        let kept = self.told.kept();
        if kept == self.kept {
            return;
        }
        self.kept = kept;
        if let Err(error) = connector.keep_told(self.target.name(), &self.kept).await {
            tracing::warn!(%error, "what was told could not be stored; the next process may tell it again");
        }
    }

    /// Makes one attempt. What could not be told is compared again at the next one, so that the newest health is told.
    async fn tell(&mut self, connector: &Connector, health: &ConnectorHealth, message: Option<Message>) {
        let told = match &message {
            Some(message) => self.attempt(message).await,
            None => Ok(()),
        };
        match told {
            Ok(()) => {
                self.accept(connector, health).await;
                self.failures = 0;
            }
            Err(error) => {
                self.failures += 1;
                let pause = pause_after(self.failures);
                self.next_attempt = Instant::now() + pause;
                let (error, seconds) = (error.report(), pause.as_secs());
                let (causes, help) = (error.causes.join(": "), error.help);
                let error = error.message;
                tracing::warn!(
                    error,
                    causes,
                    help,
                    "a change of health could not be told; trying again in {seconds} s"
                );
            }
        }
    }

    /// Makes several attempts at the same message. Returns whether nothing is left to tell.
    async fn insist(&mut self, message: Option<Message>) -> bool {
        let Some(message) = message else { return true };
        for attempt in 1..=ATTEMPTS {
            let Err(error) = self.attempt(&message).await else { return true };
            let error = error.report();
            let (causes, help) = (error.causes.join(": "), error.help);
            let error = error.message;
            if attempt == ATTEMPTS {
                tracing::error!(error, causes, help, "a change of health could not be told");
                break;
            }
            tracing::warn!(error, causes, help, "a change of health could not be told; trying again");
            sleep(pause_after(attempt)).await;
        }
        false
    }

    async fn attempt(&self, message: &Message) -> Result<()> {
        let told = timeout(TIMEOUT, self.target.deliver(message)).await;
        told.unwrap_or_else(|_| {
            let seconds = TIMEOUT.as_secs();
            Err(Error::unavailable(format!("{} took longer than {seconds} s", self.target)))
        })?;
        tracing::info!(changes = message.changes_total, "a change of health was told");
        Ok(())
    }
}

/// The pause after this many failures.
fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}
