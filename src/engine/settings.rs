//! The settings of a connector: stored ones, overrides, and the check of where they send credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::Connector;
use super::budget_meter::{BUDGET_KEY, parse_budget};
use super::credentials::{BINDINGS_KEY, CredentialUse, bind, stored_uses, verify};
use super::resources::parse_resources;
use crate::cost::Budget;
use crate::{ConfigSnapshot, Error, Namespace, Resource, ResourceConfig, Result, Settings};

/// The key in [`Namespace::Connector`] under which the settings are stored, as in the reference system.
const CONFIG_KEY: &str = "config";

/// The stored configuration.
pub(super) struct Configured {
    /// The effective settings.
    pub(super) config: Settings,
    /// All resources that were ever enabled.
    pub(super) resources: BTreeMap<Resource, ResourceConfig>,
    /// The names of resources whose stored settings are unreadable, and why.
    pub(super) unreadable: Vec<(String, Error)>,
    /// The credits that the connector may use.
    pub(super) budget: Option<Budget>,
}

impl Connector {
    /// The effective settings: the stored ones with the overrides.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if one is unknown or malformed; the errors of the store.
    pub async fn settings(&self) -> Result<Settings> {
        self.effective(self.stored_settings().await?)
    }

    /// The effective settings without validation, for operations that must work although one of them is invalid.
    pub(super) fn unchecked_settings(&self, connector: Vec<(String, Value)>) -> Settings {
        let stored = connector.into_iter().find(|(key, _)| key == CONFIG_KEY).map(|(_, value)| value);
        let mut values = parse_settings(stored).unwrap_or_default();
        self.spec.settings.merge(&mut values, self.overrides.clone());
        values.into_iter().collect()
    }

    /// Validates the effective settings of a snapshot.
    pub(super) fn validate_settings(&self, connector: Vec<(String, Value)>) -> Result<()> {
        let stored = connector.into_iter().find(|(key, _)| key == CONFIG_KEY).map(|(_, value)| value);
        self.effective(parse_settings(stored)?).map(drop)
    }

    /// Applies the overrides to stored settings.
    fn effective(&self, mut stored: Map<String, Value>) -> Result<Settings> {
        self.spec.validate()?;
        self.spec.settings.merge(&mut stored, self.overrides.clone());
        self.spec.settings.configure(stored)
    }

    /// The stored configuration, after a check that the store does not belong to another source.
    pub(super) async fn snapshot(&self) -> Result<ConfigSnapshot> {
        self.config.claim(&self.spec.name, false).await?;
        let snapshot = self.config.snapshot().await?;
        self.note_snapshot(&snapshot);
        Ok(snapshot)
    }

    /// The effective settings, and all resources that were ever enabled, ordered by name.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) also if a credential would be sent to a server that it was not given for.
    pub(super) async fn configuration(&self) -> Result<Configured> {
        let ConfigSnapshot { connector, resources } = self.snapshot().await?;
        let find = |wanted: &str| connector.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
        let stored = parse_settings(find(CONFIG_KEY))?;
        let config = self.effective(stored.clone())?;
        self.check_bindings(&stored, find(BINDINGS_KEY)).await?;
        let budget = parse_budget(find(BUDGET_KEY))?;
        let (resources, unreadable) = parse_resources(resources);
        Ok(Configured { config, resources, unreadable, budget })
    }

    /// Validates settings and merges them into the stored ones. A null removes a setting, even one that the source no longer
    /// has. Names may be dotted. The effective settings are validated: missing ones may come from the
    /// [overrides](Self::with_settings), which are not stored. Idempotent.
    ///
    /// A stored setting that decides where a credential is sent (a URL, a proxy, a file of certificates), or which credential, works only
    /// with the credential that was effective when it was provisioned: write access to the store must not be enough to
    /// redirect the credentials of others. [Overrides](Self::with_settings) are trusted.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), and nothing is stored; the errors of the store.
    pub async fn provision(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        self.spec.validate()?;
        let settings = &self.spec.settings;
        let mut stored = self.stored_settings().await?;
        let values: Vec<(String, Value)> = values.into_iter().collect();
        for (name, value) in values.clone() {
            if value.is_null() {
                // A setting of an earlier version of the source may be stored and unknown now.
                if !settings.remove(&mut stored, &name) {
                    settings.property(&name)?;
                }
            } else {
                settings.merge(&mut stored, [(name, value)]);
            }
        }
        // Other programs use the stored settings without these overrides.
        if let Some((_, error)) = settings.first_invalid(&stored.clone().into_iter().collect()) {
            return Err(error);
        }
        self.effective(stored.clone())?;
        self.config.claim(&self.spec.name, true).await?;
        self.bind_credentials(&stored, values).await?;
        self.config.put(Namespace::Connector, CONFIG_KEY, &Value::Object(stored)).await
    }

    async fn stored_settings(&self) -> Result<Map<String, Value>> {
        self.config.claim(&self.spec.name, false).await?;
        parse_settings(self.config.get(Namespace::Connector, CONFIG_KEY).await?)
    }

    /// Checks that every effective credential was given for the servers that the stored settings send it to.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), with help on how to confirm it.
    pub async fn check_credentials(&self) -> Result<()> {
        self.configuration().await.map(drop)
    }

    /// Refuses to send a credential to a server that it was not given for.
    pub(super) async fn check_bindings(&self, stored: &Map<String, Value>, bindings: Option<Value>) -> Result<()> {
        let uses = stored_uses(&self.spec, stored, &self.overrides);
        if uses.is_empty() {
            return Ok(());
        }
        let (spec, known) = (self.spec.clone(), self.proven_uses().clone());
        let verify = move || verify(&spec, uses, bindings.as_ref(), &known);
        let proven = run_blocking(verify).await??;
        self.proven_uses().extend(proven);
        Ok(())
    }

    fn proven_uses(&self) -> MutexGuard<'_, BTreeSet<CredentialUse>> {
        self.proven_uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores that the effective credentials may be used with these settings.
    pub(super) async fn bind_credentials(
        &self,
        stored: &Map<String, Value>,
        named: Vec<(String, Value)>,
    ) -> Result<()> {
        let uses = stored_uses(&self.spec, stored, &self.overrides);
        if uses.is_empty() {
            return Ok(());
        }
        let before = self.config.get(Namespace::Connector, BINDINGS_KEY).await?;
        let spec = self.spec.clone();
        let bind = move || bind(&spec, &uses, &named, before.as_ref());
        match run_blocking(bind).await? {
            Some(after) => self.config.put(Namespace::Connector, BINDINGS_KEY, &after).await,
            None => Ok(()),
        }
    }
}

fn parse_settings(stored: Option<Value>) -> Result<Map<String, Value>> {
    match stored {
        None => Ok(Map::new()),
        Some(Value::Object(values)) => Ok(values),
        Some(_) => Err(Error::configuration("the stored settings are not a JSON object")
            .with_help("remove the entry `config` of the table APP_CONFIGURATION and configure again")),
    }
}

/// Runs blocking work: reading files, hashing passwords.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("the check of the credentials was aborted").with_source(error))
}
