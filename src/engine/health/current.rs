//! The health at any moment, for those who ask again and again.

use std::time::Duration;

use super::{ConnectorHealth, Failure, Health};
use crate::engine::Connector;
use crate::{ConfigSnapshot, Error, Result};

/// How long a read of stores counts as current where reads are free.
const READ_EVERY: Duration = Duration::from_secs(15);

impl Connector {
    /// The [health](Self::health) at this moment, for a program that asks again and again while the connector works.
    ///
    /// The first call reads the stores. Later ones derive the health from what this process has read and done since, and from the clock:
    /// a stream becomes late by time alone. They read the stores again, at most every 15 seconds, only if that is free. A
    /// [metered](crate::StateStore::is_metered) store gets no further call: the process then notices what others enable, disable and read
    /// when [`serve`](Self::serve) reads the configuration.
    ///
    /// # Errors
    /// Returns the errors of the stores if they were never read. Later ones make the connector failing, and the rest of the result is
    /// what was known.
    pub async fn current_health(&self) -> Result<ConnectorHealth> {
        let read_at = self.known.read_at();
        let is_current = read_at.is_some_and(|at| self.state.is_metered() || at.elapsed() < READ_EVERY);
        if !is_current {
            match self.read_health().await {
                Ok(basis) => self.known.set(basis),
                Err(error) if read_at.is_some() => self.known.note_outage(&error, self.now()),
                Err(error) => return Err(error),
            }
        }
        self.known_health().ok_or_else(|| Error::internal("the health that was read is not known"))
    }

    /// The health by what this process knows, without any call of a store; `None` before the first
    /// [`current_health`](Self::current_health).
    pub fn known_health(&self) -> Option<ConnectorHealth> {
        let known = self.known.lock();
        let basis = known.as_ref()?;
        let mut health = self.assess(&basis.configured, &basis.current(), basis.settings.as_ref());
        if let Some((since, report)) = basis.outage.as_ref().filter(|_| health.facts.failing.is_none()) {
            let (since, tries, kind) = (Some(*since), 0, Some(report.kind));
            let (message, help) = (report.message.clone(), report.help.clone());
            health.facts.health = Health::Failing;
            health.facts.failing = Some(Failure { since, tries, kind, message, help });
        }
        Some(health)
    }

    /// Notes a configuration that was read.
    pub(in crate::engine) fn note_snapshot(&self, snapshot: &ConfigSnapshot) {
        self.known.update(|basis| {
            if basis.snapshot != *snapshot {
                basis.settings = self.validate_settings(snapshot.connector.clone()).err().map(|error| error.report());
                basis.configured = self.configured_resources(snapshot.resources.clone());
                basis.snapshot = snapshot.clone();
            }
        });
    }
}
