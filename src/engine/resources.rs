//! Which resource a name means, and forgetting one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::connector::WriteOrder;
use super::{Connector, Schedule};
use crate::state::{Reconciliation, ResourceState};
use crate::{
    Commit, ConfigSnapshot, Error, ErrorKind, Namespace, Resource, ResourceConfig, Result, RunId, RunStatus, Settings,
    Source, SourceSpec, StateChange, Sweep,
};

/// The names by which resources are known here, and those that the source takes for the same.
pub(super) struct ResourceLookup<'a> {
    source: &'a dyn Source,
    config: &'a Settings,
    /// Each known name by its canonical form, and by itself.
    known: BTreeMap<String, String>,
}

impl<'a> ResourceLookup<'a> {
    pub(super) fn new<'n>(
        source: &'a dyn Source,
        config: &'a Settings,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Self {
        let canonical = |name: &str| source.resource(config, name).ok().map(|one| (one.into(), name.to_owned()));
        let mut names: BTreeMap<String, String> = known.clone().filter_map(canonical).collect();
        // A name that was taken in before the source had another form for it goes on under it.
        names.extend(known.map(|name| (name.to_owned(), name.to_owned())));
        Self { source, config, known: names }
    }

    /// The resource that is known by this name or by another one of the same form; else a new one, in its canonical form.
    pub(super) fn find(&self, name: &str) -> Result<Resource> {
        if let Some(known) = self.known.get(name) {
            return Resource::new(known);
        }
        let canonical = self.source.resource(self.config, name)?;
        self.known.get(canonical.name()).map_or(Ok(canonical), Resource::new)
    }
}

impl Connector {
    /// Enables a resource and makes its tables and views. `schedule` replaces the one it has; `None` keeps it. Gives the
    /// resource as it is [known here](Self::resolve).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the source has no resource of that name, or when the schedule never
    /// comes, as that of 30 February, or comes more often than every [`Schedule::SHORTEST`]; whatever the stores and the sink
    /// report.
    pub async fn enable(&self, resource: &Resource, schedule: Option<&Schedule>) -> Result<Resource> {
        self.spec.validate()?;
        if let Some(schedule) = schedule {
            schedule.check(self.now())?;
        }
        let (resource, before) = self.lookup(resource).await?;
        self.sink.ensure_tables(&resource, &self.spec.tables).await?;
        self.enable_over(&resource, before.as_ref(), schedule).await?;
        Ok(resource)
    }

    /// Enables a resource that is configured so. Its run will make its tables.
    pub(super) async fn enable_over(
        &self,
        resource: &Resource,
        before: Option<&ResourceConfig>,
        schedule: Option<&Schedule>,
    ) -> Result<()> {
        let mut after = before.cloned().unwrap_or_default();
        after.enabled = true;
        if let Some(schedule) = schedule {
            after.schedule = Some(schedule.to_string());
        }
        if before != Some(&after) {
            self.put_resource_config(resource, &after).await?;
        }
        Ok(())
    }

    /// Disables a resource. Its rows and its state stay. Says whether it was enabled.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the resource was never enabled; whatever the store reports.
    pub async fn disable(&self, resource: &Resource) -> Result<bool> {
        let (resource, config) = self.lookup(resource).await?;
        let mut config = config.ok_or_else(|| self.unknown(&resource))?;
        let was_enabled = std::mem::take(&mut config.enabled);
        if was_enabled {
            self.put_resource_config(&resource, &config).await?;
        }
        Ok(was_enabled)
    }

    /// Every resource that was ever enabled, ordered by name. One whose stored settings cannot be read is logged and left out.
    ///
    /// # Errors
    /// Whatever the store reports.
    pub async fn resources(&self) -> Result<Vec<(Resource, ResourceConfig)>> {
        Ok(parse_resources(self.config.list(Namespace::Resource).await?).0.into_iter().collect())
    }

    async fn put_resource_config(&self, resource: &Resource, config: &ResourceConfig) -> Result<()> {
        let value = serde_json::to_value(config)
            .map_err(|error| Error::internal("a resource's settings cannot be written").with_source(error))?;
        self.config.claim(&self.spec.name, true).await?;
        self.config.put(Namespace::Resource, resource.name(), &value).await
    }

    /// The resources that a user means by these names: one that is known here under another name of the same
    /// [canonical form](Source::resource), else a new one in that form.
    ///
    /// # Errors
    /// What [`Source::resource`] reports; whatever the configuration store reports.
    pub async fn resolve<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Vec<Resource>> {
        let ConfigSnapshot { connector, resources } = self.config.snapshot().await?;
        let config = self.unchecked_settings(connector);
        let known = ResourceLookup::new(self.source.as_ref(), &config, resources.iter().map(|(name, _)| name.as_str()));
        names.into_iter().map(|name| known.find(name.as_ref())).collect()
    }

    /// The resource that this one is known as, and how it is configured.
    pub(super) async fn lookup(&self, named: &Resource) -> Result<(Resource, Option<ResourceConfig>)> {
        let ConfigSnapshot { connector, resources } = self.snapshot().await?;
        let config = self.unchecked_settings(connector);
        let names = ResourceLookup::new(self.source.as_ref(), &config, resources.iter().map(|(name, _)| name.as_str()));
        let resource = names.find(named.name())?;
        let stored: Option<Value> =
            resources.into_iter().find(|(name, _)| name == resource.name()).map(|(_, value)| value);
        let stored = stored.map(|value| parse_resource_config(resource.name(), value)).transpose()?;
        Ok((resource, stored))
    }

    /// Forgets where the resource stands, so that the next run reads it from the start. Rows stay; what that run reads replaces
    /// them, whatever its version, and what it does not read stays as it is until a reconcile run looks for deletions.
    /// A run that is under way is fenced off. Where the resource has never run there is nothing to forget.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the resource was never enabled and has no state; whatever the stores
    /// report.
    pub async fn reset(&self, resource: &Resource) -> Result<()> {
        let (resource, config) = self.lookup(resource).await?;
        if config.is_none() && self.state(&resource).await?.is_none() {
            return Err(self.unknown(&resource));
        }
        self.forget_progress(&resource, "reset: the next run reads from the start").await
    }

    /// Stores that nothing of a resource has been read, where something has.
    pub(super) async fn forget_progress(&self, resource: &Resource, message: &str) -> Result<()> {
        let Some(entry) = self.state(resource).await? else { return Ok(()) };
        let status = match entry.state.status {
            // It can commit no more.
            RunStatus::Running => RunStatus::Interrupted,
            ended => ended,
        };
        let state = ResourceState {
            status,
            checkpoint: None,
            reconcile: Some(Reconciliation { is_reset: true, ..Reconciliation::new(RunId::new(), self.now()) }),
            message: Some(message.into()),
            ..entry.state.clone()
        };
        let (key, base, at, run) = (resource.name().into(), entry.version, self.now(), entry.state.run);
        let change = StateChange { key, base, at, state: Some(state), run: None };
        match entry.state.reconcile {
            None => self.state.append(change).await.map(drop),
            // What the pass has seen is forgotten with it.
            Some(pass) => {
                let (sweep, change) = (Some(Sweep::Abandon(pass.id)), Some(change));
                let commit = Commit { resource: resource.clone(), run, at, rows: Vec::new(), sweep, change };
                self.deliver(commit, WriteOrder::StateFirst, &mut { base }).await.map(drop)
            }
        }
    }

    pub(super) fn unknown(&self, resource: &Resource) -> Error {
        unknown_resource(&self.spec, resource.name())
    }

    /// Takes back that a resource was enabled.
    pub(super) async fn forget(&self, resource: &Resource) -> Result<()> {
        self.config.remove(Namespace::Resource, resource.name()).await.map(drop)
    }

    /// Forgets a resource: its configuration, its schedule, and where it stands. A run that is under way is fenced off. Rows
    /// stay, and the history of runs; when it is enabled again, it is read from the start, and rows merge by key.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the resource is not known here; whatever the stores report.
    pub async fn remove(&self, resource: &Resource) -> Result<()> {
        let resource = self.resolve([resource.name()]).await?.remove(0);
        self.ensure_known(&resource).await?;
        // Where this is cut off in between, removing it again does the rest.
        self.config.remove(Namespace::Resource, resource.name()).await?;
        self.forget_progress(&resource, "removed").await
    }

    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when nothing is stored of a resource that could be removed.
    pub(crate) async fn ensure_known(&self, resource: &Resource) -> Result<()> {
        let is_configured = self.config.get(Namespace::Resource, resource.name()).await?.is_some();
        let state = self.state(resource).await?.map(|entry| entry.state);
        // A reset that nothing has been read since is no progress.
        let is_under_way = |pass: &Reconciliation| !pass.is_reset || pass.checkpoint.is_some();
        let has_progress =
            state.is_some_and(|state| state.checkpoint.is_some() || state.reconcile.as_ref().is_some_and(is_under_way));
        if is_configured || has_progress { Ok(()) } else { Err(self.unknown(resource)) }
    }
}

/// The error of a resource that is not known here.
pub(crate) fn unknown_resource(spec: &SourceSpec, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("the {} {name} is not known here", spec.resource_kind))
        .with_help("`status` lists those that are")
}

/// The resources whose settings can be read, and the names of the others with what is wrong. One row that was changed by
/// hand must not stop the others.
pub(super) fn parse_resources(
    entries: Vec<(String, Value)>,
) -> (BTreeMap<Resource, ResourceConfig>, Vec<(String, Error)>) {
    let (mut resources, mut unreadable) = (BTreeMap::new(), Vec::new());
    for (name, value) in entries {
        let parsed =
            Resource::new(name.as_str()).and_then(|resource| Ok((resource, parse_resource_config(&name, value)?)));
        match parsed {
            Ok((resource, config)) => drop(resources.insert(resource, config)),
            Err(error) => {
                let help = error.help().unwrap_or_default();
                tracing::error!(resource = %name, %error, help, "a resource is left out; the others go on");
                unreadable.push((name, error));
            }
        }
    }
    (resources, unreadable)
}

pub(super) fn parse_resource_config(name: &str, value: Value) -> Result<ResourceConfig> {
    serde_json::from_value(value).map_err(|error| {
        Error::configuration(format!("the settings of {name:?} in the table RESOURCE_CONFIGURATION cannot be read"))
            .with_source(error)
            .with_help("remove the row, or set its VALUE to {\"enabled\": true}; then `enable` the resource again")
    })
}
