//! The budget of a connector: it pauses while the credits of a period are used up.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::budget_meter::{BUDGET_KEY, parse_budget};
use super::resources::parse_resources;
use super::{Connector, Event};
use crate::cost::{Budget, BudgetUse};
use crate::{ConfigSnapshot, Error, ErrorKind, Namespace, Resource, ResourceConfig, Result, StateKey};

impl Connector {
    /// Stores the credits that the connector may use in a period, or removes the budget. Idempotent.
    ///
    /// While they are used up, [`ingest`](Self::ingest) refuses to start and [`serve`](Self::serve) waits for the next period. A run that uses
    /// the last of them commits what it has read and ends as interrupted; each concurrent run may exceed the budget by one commit.
    /// The destination estimates the credits; see `credits` in [`StreamReport`](crate::StreamReport::credits).
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the destination bills no credits; the errors of the store.
    pub async fn set_budget(&self, budget: Option<Budget>) -> Result<()> {
        let Some(budget) = budget else { return self.config.remove(Namespace::Connector, BUDGET_KEY).await.map(drop) };
        if !self.state.is_metered() {
            return Err(Error::new(ErrorKind::Unsupported, "this destination bills no credits")
                .with_help("a budget is for Snowflake"));
        }
        self.config.claim(&self.spec.name, true).await?;
        self.config.put(Namespace::Connector, BUDGET_KEY, &Value::String(budget.to_string())).await
    }

    /// Returns how much of the stored budget is used; `None` if there is none.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the stored budget is invalid; the errors of the stores.
    pub async fn budget(&self) -> Result<Option<BudgetUse>> {
        let ConfigSnapshot { connector, resources } = self.snapshot().await?;
        let stored = connector.into_iter().find(|(key, _)| key == BUDGET_KEY).map(|(_, value)| value);
        self.read_budget(parse_budget(stored)?, &parse_resources(resources).0).await?;
        Ok(self.budget.used(self.now()))
    }

    /// Reads what the streams of all resources have used, if there is a budget.
    pub(super) async fn read_budget(
        &self,
        budget: Option<Budget>,
        resources: &BTreeMap<Resource, ResourceConfig>,
    ) -> Result<()> {
        let Some(budget) = budget else {
            self.budget.set(None);
            return Ok(());
        };
        let own = resources.iter().flat_map(|(resource, config)| self.keys(resource, Some(config)));
        let source = Resource::source_wide();
        let shared = self.spec.streams.iter().filter(|stream| stream.is_source_wide);
        let keys: Vec<_> = own.chain(shared.map(|stream| StateKey::new(source.name(), &stream.name))).collect();
        let entries = self.statuses(&keys).await?.into_iter().filter_map(|status| status.entry);
        self.budget.set(Some((budget, entries.map(|entry| entry.state.spending).collect())));
        Ok(())
    }

    /// Until when the connector is paused at this time; `None` if it is not. Reports each pause once.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let used = self.budget.used(now)?;
        let until = used.paused_until?;
        if self.budget.note_pause(until) {
            self.emit(Event::Paused(used));
        }
        Some(until)
    }

    /// Refuses to start while the connector is paused.
    pub(super) fn check_budget(&self) -> Result<()> {
        match self.budget.used(self.now()) {
            Some(used) if used.paused_until.is_some() => Err(Error::new(ErrorKind::RateLimited, used.to_string())
                .with_help("wait, or store another budget: `configure --budget 5/day`, `configure --budget none`")),
            _ => Ok(()),
        }
    }
}
