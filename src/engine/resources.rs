//! Which resource a name means, and forgetting one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Connector;
use super::connector::parse_resource_config;
use crate::state::Reconcile;
use crate::{Config, ConfigSnapshot, Domain, Resource, ResourceConfig, Result, Source};

/// The names by which resources are known here, and those that the source takes for the same.
pub(super) struct Names<'a> {
    source: &'a dyn Source,
    config: &'a Config,
    /// Each known name by its canonical form, and by itself.
    known: BTreeMap<String, String>,
}

impl<'a> Names<'a> {
    pub(super) fn new<'n>(
        source: &'a dyn Source,
        config: &'a Config,
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
    /// The resources that a user means by these names: one that is known here under another name of the same
    /// [canonical form](Source::resource), else a new one in that form.
    ///
    /// # Errors
    /// What [`Source::resource`] reports; whatever the configuration store reports.
    pub async fn resolve<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Vec<Resource>> {
        let ConfigSnapshot { connector, resources } = self.config.snapshot().await?;
        let config = self.unchecked(connector);
        let known = Names::new(self.source.as_ref(), &config, resources.iter().map(|(name, _)| name.as_str()));
        names.into_iter().map(|name| known.find(name.as_ref())).collect()
    }

    /// The resource that this one is known as, and how it is configured.
    pub(super) async fn known(&self, named: &Resource) -> Result<(Resource, Option<ResourceConfig>)> {
        let ConfigSnapshot { connector, resources } = self.config.snapshot().await?;
        let config = self.unchecked(connector);
        let names = Names::new(self.source.as_ref(), &config, resources.iter().map(|(name, _)| name.as_str()));
        let resource = names.find(named.name())?;
        let stored: Option<Value> =
            resources.into_iter().find(|(name, _)| name == resource.name()).map(|(_, value)| value);
        let stored = stored.map(|value| parse_resource_config(resource.name(), value)).transpose()?;
        Ok((resource, stored))
    }

    /// Forgets a resource: its configuration, its schedule, and where it stands. A run that is under way is fenced off. Rows
    /// stay, and the history of runs; when it is enabled again, it is read from the start, and rows merge by key.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the resource is not known here; whatever the stores report.
    pub async fn remove(&self, resource: &Resource) -> Result<()> {
        let resource = self.resolve([resource.name()]).await?.remove(0);
        self.must_know(&resource).await?;
        // Where this is cut off in between, removing it again does the rest.
        self.config.remove(Domain::Resource, resource.name()).await?;
        self.forget_progress(&resource, "removed").await
    }

    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when nothing is stored of a resource that could be removed.
    pub(crate) async fn must_know(&self, resource: &Resource) -> Result<()> {
        let is_configured = self.config.get(Domain::Resource, resource.name()).await?.is_some();
        let state = self.state(resource).await?.map(|entry| entry.state);
        // A reset that nothing has been read since is no progress.
        let is_under_way = |pass: &Reconcile| !pass.is_reset || pass.checkpoint.is_some();
        let has_progress =
            state.is_some_and(|state| state.checkpoint.is_some() || state.reconcile.as_ref().is_some_and(is_under_way));
        if is_configured || has_progress { Ok(()) } else { Err(self.unknown(resource)) }
    }
}
