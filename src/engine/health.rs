//! Health: one answer to whether data is fresh, and what to do if it is not.

#[cfg(test)]
mod cases;
mod current;
mod known;
mod report;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub(super) use known::KnownHealth;
use known::{Basis, Configured};
pub use report::{ConnectorHealth, Failure, Health, HealthFacts, ResourceHealth, StreamHealth};
use stream::Known;

use serde_json::Value;

use super::resources::parse_resources;
use super::{Connector, Schedule};
use crate::{ErrorReport, Resource, ResourceConfig, Result, StateKey, StreamStatus};

/// The health of a connector, and what it was derived from.
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command line shows it"))]
pub(crate) struct Survey {
    pub(crate) health: ConnectorHealth,
    /// The configuration of each resource, in the order of those of `health`.
    pub(crate) configs: Vec<(Resource, ResourceConfig)>,
    /// The statuses of all streams of the resources, selected or not.
    pub(crate) statuses: HashMap<StateKey, StreamStatus>,
}

impl Connector {
    /// The health of every resource that was ever enabled, of its streams, and of the connector. Takes one read of the configuration and
    /// one of the states, however many resources there are.
    ///
    /// # Errors
    /// Returns the errors of the stores. Settings that cannot be read are part of the result.
    pub async fn health(&self) -> Result<ConnectorHealth> {
        Ok(self.survey().await?.health)
    }

    /// The health of the connector, and what it was derived from.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub(crate) async fn survey(&self) -> Result<Survey> {
        let Basis { configured, statuses, settings, .. } = self.read_health().await?;
        let health = self.assess(&configured, &statuses, settings.as_ref());
        let configs = configured.into_iter().map(|configured| (configured.resource, configured.config)).collect();
        Ok(Survey { health, configs, statuses })
    }

    /// Reads what the health is derived from.
    async fn read_health(&self) -> Result<Basis> {
        let snapshot = self.config.snapshot().await?;
        let configured = self.configured_resources(snapshot.resources.clone());
        let mut keys = Vec::new();
        for configured in &configured {
            // Those of the streams that are not selected, too, for those who show them.
            keys.extend(self.keys(&configured.resource, Some(&configured.config)));
            keys.extend(configured.keys.iter().filter(|key| key.resource != configured.resource.name()).cloned());
        }
        let found = self.state.latest_many(&keys).await?;
        let statuses = keys.into_iter().zip(found).collect();
        let settings = self.validate_settings(snapshot.connector.clone()).err().map(|error| error.report());
        Ok(Basis::new(snapshot, configured, statuses, settings))
    }

    /// The stored resources, ordered by name. One that is unreadable counts as enabled.
    fn configured_resources(&self, stored: Vec<(String, Value)>) -> Vec<Configured> {
        let (known, unreadable) = parse_resources(stored);
        let known = known.into_iter().map(|(resource, config)| self.configured(resource, config));
        let mut configured: Vec<Configured> = known.collect();
        for (name, error) in unreadable {
            let Ok(resource) = Resource::new(name) else { continue };
            let config = ResourceConfig { enabled: true, ..ResourceConfig::default() };
            configured.push(Configured { schedule: Err(error), ..self.configured(resource, config) });
        }
        configured.sort_by(|a, b| a.resource.cmp(&b.resource));
        configured
    }

    /// How often a run that finds nothing new is recorded; `None` if each is.
    #[cfg(feature = "cli")]
    pub(crate) fn unrecorded(&self) -> Option<jiff::SignedDuration> {
        let longest = jiff::SignedDuration::MAX;
        let heartbeat = jiff::SignedDuration::try_from(self.limits.heartbeat).unwrap_or(longest);
        self.state.is_metered().then_some(heartbeat)
    }

    fn configured(&self, resource: Resource, config: ResourceConfig) -> Configured {
        let selection = self.selection(Some(&config));
        let schedule = selection.check(&self.spec).and_then(|()| Schedule::stored(&config));
        // Without a stream that exists, the default ones tell when it was last read.
        let streams = if selection.streams.is_empty() { self.selection(None).streams } else { selection.streams };
        let keys = streams.iter().map(|stream| StateKey::new(stream.owner(&resource).name(), &stream.name)).collect();
        Configured { resource, config, schedule, keys }
    }

    fn assess(
        &self,
        configured: &[Configured],
        statuses: &HashMap<StateKey, StreamStatus>,
        settings: Option<&ErrorReport>,
    ) -> ConnectorHealth {
        let now = self.now();
        let heartbeat = self.state.is_metered().then_some(self.limits.heartbeat);
        let has_run = statuses.values().any(|status| status.run.is_some());
        let never = StreamStatus::default();
        let resources: Vec<ResourceHealth> = configured
            .iter()
            .map(|Configured { resource, config, schedule, keys }| {
                let stream = |key: &StateKey| {
                    let (status, schedule) = (statuses.get(key).unwrap_or(&never), schedule.as_ref());
                    let known = Known { status, schedule, is_enabled: config.enabled, heartbeat, now };
                    StreamHealth { stream: key.stream.clone(), facts: known.facts() }
                };
                let streams: Vec<StreamHealth> = keys.iter().map(stream).collect();
                let facts = HealthFacts::roll_up(streams.iter().map(|stream| &stream.facts));
                ResourceHealth { resource: resource.clone(), facts, streams }
            })
            .collect();
        let mut facts = HealthFacts::roll_up(resources.iter().map(|resource| &resource.facts));
        // Runs may get settings that this process does not have. Where there were any, their records tell whether settings are missing.
        if let Some(report) = settings.filter(|_| !has_run && facts.health >= Health::NotConfigured) {
            let (since, tries, kind) = (None, 0, Some(report.kind));
            let (message, help) = (report.message.clone(), report.help.clone());
            facts.health = Health::NotConfigured;
            facts.failing = Some(Failure { since, tries, kind, message, help });
        }
        let mut counts = BTreeMap::new();
        for resource in &resources {
            *counts.entry(resource.facts.health).or_default() += 1;
        }
        ConnectorHealth { as_of: now, facts, counts, resources }
    }
}
