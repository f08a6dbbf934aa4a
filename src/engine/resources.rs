//! Resolves the names of resources, and enables, disables, resets and removes resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::connector::WriteOrder;
use super::planned::PlannedStream;
use super::{Connector, Schedule, StreamSelection};
use crate::state::{Reconciliation, StreamState};
use crate::{
    ConfigSnapshot, Error, ErrorKind, Namespace, Resource, ResourceConfig, Result, RunId, RunStatus, Settings,
    SourceSpec, StateChange, StateEntry, StateKey, StreamCommit, Sweep,
};

/// Finds known resources by any spelling of their names.
pub(super) struct ResourceLookup<'a> {
    connector: &'a Connector,
    config: &'a Settings,
    /// The known names, by canonical form and by themselves.
    known: BTreeMap<String, String>,
}

impl<'a> ResourceLookup<'a> {
    pub(super) fn new<'n>(
        connector: &'a Connector,
        config: &'a Settings,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Self {
        let canonical =
            |name: &str| connector.source.resource(config, name).ok().map(|one| (one.into(), name.to_owned()));
        let mut names: BTreeMap<String, String> = known.clone().filter_map(canonical).collect();
        // A name that was stored before the source had a canonical form for it stays in use.
        names.extend(known.map(|name| (name.to_owned(), name.to_owned())));
        Self { connector, config, known: names }
    }

    /// Returns the resource known by this name or by another spelling of it; otherwise a new one, in canonical form.
    pub(super) fn find(&self, name: &str) -> Result<Resource> {
        let spec = &self.connector.spec;
        if name == Resource::source_wide().name() && spec.streams.iter().any(|stream| stream.is_source_wide) {
            let kind = &spec.resource_kind;
            return Err(Error::configuration(format!("{name} is not the name of a {kind}: it stands for all of them"))
                .with_help(format!("name a {kind}: its source-wide streams are read with it")));
        }
        if let Some(known) = self.known.get(name) {
            return Resource::new(known);
        }
        let canonical = self.connector.source.resource(self.config, name)?;
        self.known.get(canonical.name()).map_or(Ok(canonical), Resource::new)
    }
}

/// A request to enable a resource.
///
/// ```
/// use snowfeed::Resource;
/// use snowfeed::engine::EnableRequest;
///
/// let request = EnableRequest::new(Resource::new("acme/widgets")?).schedule("10m".parse()?).streams(["issues"]);
/// assert!(request.schedule.is_some());
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EnableRequest {
    /// The resource.
    pub resource: Resource,
    /// Its schedule; `None` keeps the stored one, by default [`Schedule::default`].
    pub schedule: Option<Schedule>,
    /// The streams that are read; `None` keeps the stored ones, by default [`StreamSelection::Default`]. A stream that is selected later
    /// is read from its start; one that is no longer selected keeps its rows and its checkpoint.
    pub streams: Option<StreamSelection>,
}

impl EnableRequest {
    /// Enables a resource with its stored schedule and streams.
    pub fn new(resource: Resource) -> Self {
        Self { resource, schedule: None, streams: None }
    }

    /// Replaces its schedule.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// Replaces the streams that are read.
    #[must_use]
    pub fn streams(mut self, streams: impl Into<StreamSelection>) -> Self {
        self.streams = Some(streams.into());
        self
    }
}

impl Connector {
    /// Enables a resource and creates the tables and views of its selected streams. Returns the resource under its
    /// [known name](Self::resolve).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), and nothing is stored, if the source cannot have a resource of that name or has
    /// no stream of a selected name, if no stream is selected, or if the schedule is never due, like 30 February, or due more often
    /// than every [`Schedule::SHORTEST`]; the errors of the stores and the sink.
    pub async fn enable(&self, request: EnableRequest) -> Result<Resource> {
        let EnableRequest { resource, schedule, streams } = request;
        self.spec.validate()?;
        if let Some(schedule) = &schedule {
            schedule.check(self.now())?;
        }
        let streams = streams.map(|streams| streams.stored(&self.spec)).transpose()?;
        let (resource, before) = self.lookup(&resource).await?;
        let mut after = before.clone().unwrap_or_default();
        if let Some(schedule) = schedule {
            after.schedule = Some(schedule.to_string());
        }
        if let Some(streams) = streams {
            after.streams = streams;
        }
        let selection = self.selection(Some(&after));
        selection.check(&self.spec)?;
        for streams in PlannedStream::selected(&self.spec, [(resource.clone(), selection.streams)]).values() {
            if let Some(stream) = streams.first() {
                stream.tables.ensure(self.sink.as_ref()).await?;
            }
        }
        self.enable_over(&resource, before.as_ref(), after).await?;
        Ok(resource)
    }

    /// Enables a resource with this configuration. Its run creates its tables.
    pub(super) async fn enable_over(
        &self,
        resource: &Resource,
        before: Option<&ResourceConfig>,
        mut after: ResourceConfig,
    ) -> Result<()> {
        after.enabled = true;
        if before != Some(&after) {
            self.put_resource_config(resource, &after).await?;
        }
        Ok(())
    }

    /// Disables a resource. Its rows and its state stay. Returns whether it was enabled.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the resource was never enabled; the errors of the store.
    pub async fn disable(&self, resource: &Resource) -> Result<bool> {
        let (resource, config) = self.lookup(resource).await?;
        let mut config = config.ok_or_else(|| self.unknown(&resource))?;
        let was_enabled = std::mem::take(&mut config.enabled);
        if was_enabled {
            self.put_resource_config(&resource, &config).await?;
        }
        Ok(was_enabled)
    }

    /// Returns all resources that were ever enabled, ordered by name. Those with unreadable settings are logged and skipped.
    ///
    /// # Errors
    /// Returns the errors of the store.
    pub async fn resources(&self) -> Result<Vec<(Resource, ResourceConfig)>> {
        Ok(parse_resources(self.config.list(Namespace::Resource).await?).0.into_iter().collect())
    }

    async fn put_resource_config(&self, resource: &Resource, config: &ResourceConfig) -> Result<()> {
        let value = serde_json::to_value(config)
            .map_err(|error| Error::internal("a resource's settings cannot be written").with_source(error))?;
        self.config.claim(&self.spec.name, true).await?;
        self.config.put(Namespace::Resource, resource.name(), &value).await
    }

    /// Returns the resources that a user means by these names: a known one with the same [canonical form](crate::Source::resource), otherwise
    /// a new one in that form.
    ///
    /// # Errors
    /// Returns the errors of [`Source::resource`](crate::Source::resource) and of the configuration store.
    pub async fn resolve<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Vec<Resource>> {
        let ConfigSnapshot { connector, resources } = self.config.snapshot().await?;
        let config = self.unchecked_settings(connector);
        let known = ResourceLookup::new(self, &config, resources.iter().map(|(name, _)| name.as_str()));
        names.into_iter().map(|name| known.find(name.as_ref())).collect()
    }

    /// Returns the known resource for this one, and its configuration.
    pub(super) async fn lookup(&self, named: &Resource) -> Result<(Resource, Option<ResourceConfig>)> {
        let ConfigSnapshot { connector, resources } = self.snapshot().await?;
        let config = self.unchecked_settings(connector);
        let names = ResourceLookup::new(self, &config, resources.iter().map(|(name, _)| name.as_str()));
        let resource = names.find(named.name())?;
        let stored: Option<Value> =
            resources.into_iter().find(|(name, _)| name == resource.name()).map(|(_, value)| value);
        let stored = stored.map(|value| parse_resource_config(resource.name(), value)).transpose()?;
        Ok((resource, stored))
    }

    /// Resets the state of a resource's own streams, so that the next run reads it from the start. Rows stay; what that run reads replaces
    /// them, whatever the version, and the other rows stay until a reconcile run checks for deletions.
    /// A current run of the resource can no longer commit. Does nothing if the resource has never run.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the resource was never enabled and has no state; the errors of the stores.
    pub async fn reset(&self, resource: &Resource) -> Result<()> {
        let (resource, config) = self.lookup(resource).await?;
        let keys = self.keys(&resource, config.as_ref());
        self.reset_keys(&resource, config.as_ref(), &keys).await
    }

    /// Resets only these streams of a resource, selected or not; see [`reset`](Self::reset). A [source-wide](crate::StreamSpec::source_wide)
    /// stream is reset for all resources.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), and nothing is reset, if the source has no stream of a name or no stream is
    /// named; the errors of [`reset`](Self::reset).
    pub async fn reset_streams(&self, resource: &Resource, streams: impl Into<StreamSelection>) -> Result<()> {
        let streams = streams.into().resolve(&self.spec)?;
        let (resource, config) = self.lookup(resource).await?;
        let keys: Vec<StateKey> =
            streams.into_iter().map(|stream| StateKey::new(stream.owner(&resource).name(), &stream.name)).collect();
        self.reset_keys(&resource, config.as_ref(), &keys).await
    }

    async fn reset_keys(&self, resource: &Resource, config: Option<&ResourceConfig>, keys: &[StateKey]) -> Result<()> {
        let states = self.states(keys).await?;
        if config.is_none() && states.is_empty() {
            return Err(self.unknown(resource));
        }
        self.forget_progress(resource, states, "reset: the next run reads from the start").await
    }

    /// The keys of all streams of a resource, selected or not, and of selected ones that the source no longer has. Source-wide streams
    /// do not belong to it.
    pub(crate) fn keys(&self, resource: &Resource, config: Option<&ResourceConfig>) -> Vec<StateKey> {
        let own = self.spec.streams.iter().filter(|stream| !stream.is_source_wide).map(|stream| stream.name.as_str());
        own.chain(self.dropped_streams(config)).map(|stream| StateKey::new(resource.name(), stream)).collect()
    }

    /// The newest states of these streams, where they have one.
    async fn states(&self, keys: &[StateKey]) -> Result<Vec<(StateKey, StateEntry)>> {
        let statuses = self.statuses(keys).await?;
        Ok(keys.iter().zip(statuses).filter_map(|(key, status)| Some((key.clone(), status.entry?))).collect())
    }

    /// Resets the states of a resource's streams.
    async fn forget_progress(
        &self,
        resource: &Resource,
        states: Vec<(StateKey, StateEntry)>,
        message: &str,
    ) -> Result<()> {
        let mut forgotten = Ok(());
        // One that fails must not keep the others as they are.
        for (key, entry) in states {
            forgotten = forgotten.and(self.forget_state(resource, key, entry, message).await);
        }
        forgotten
    }

    async fn forget_state(&self, resource: &Resource, key: StateKey, entry: StateEntry, message: &str) -> Result<()> {
        let status = match entry.state.status {
            // It can no longer commit.
            RunStatus::Running => RunStatus::Interrupted,
            ended => ended,
        };
        let state = StreamState {
            status,
            checkpoint: None,
            reconcile: Some(Reconciliation { is_reset: true, ..Reconciliation::new(RunId::new(), self.now()) }),
            message: Some(message.into()),
            claim: None,
            newest: None,
            ..entry.state.clone()
        };
        let (base, at, run, stream) = (entry.version, self.now(), entry.state.run, key.stream.clone());
        let change = StateChange { key, base, at, state: Some(state), run: None };
        match entry.state.reconcile {
            None => self.state.append(change).await.map(drop),
            // Its marks are deleted with it.
            Some(reconcile) => {
                let spec = self.spec.streams.iter().find(|spec| spec.name == stream);
                let table = spec.map_or(stream.as_str(), |spec| spec.table());
                let part = StreamCommit::new(table, run).sweep(Sweep::Abandon(reconcile.id)).change(change);
                self.deliver(resource, at, part, None, WriteOrder::StateFirst, &mut { base }).await.map(drop)
            }
        }
    }

    pub(super) fn unknown(&self, resource: &Resource) -> Error {
        unknown_resource(&self.spec, resource.name())
    }

    /// Deletes the configuration of a resource.
    pub(super) async fn forget(&self, resource: &Resource) -> Result<()> {
        self.config.remove(Namespace::Resource, resource.name()).await.map(drop)
    }

    /// Removes a resource: its configuration, its schedule and its state. A current run can no longer commit. Rows and the history of
    /// runs stay; when the resource is enabled again, it is read from the start, and rows merge by key.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the resource is unknown; the errors of the stores.
    pub async fn remove(&self, resource: &Resource) -> Result<()> {
        let resource = self.resolve([resource.name()]).await?.remove(0);
        self.ensure_known(&resource).await?;
        let config = self.config.get(Namespace::Resource, resource.name()).await?;
        let config = config.and_then(|value| parse_resource_config(resource.name(), value).ok());
        // If this is interrupted here, removing it again does the rest.
        self.config.remove(Namespace::Resource, resource.name()).await?;
        let states = self.states(&self.keys(&resource, config.as_ref())).await?;
        self.forget_progress(&resource, states, "removed").await
    }

    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if nothing is stored for the resource.
    pub(crate) async fn ensure_known(&self, resource: &Resource) -> Result<()> {
        let is_configured = self.config.get(Namespace::Resource, resource.name()).await?.is_some();
        let mut states = self.states(&self.keys(resource, None)).await?.into_iter().map(|(_, entry)| entry.state);
        // A reset without a read since is not progress.
        let is_under_way = |reconcile: &Reconciliation| !reconcile.is_reset || reconcile.checkpoint.is_some();
        let has_progress =
            states.any(|state| state.checkpoint.is_some() || state.reconcile.as_ref().is_some_and(is_under_way));
        if is_configured || has_progress { Ok(()) } else { Err(self.unknown(resource)) }
    }
}

/// The error for an unknown resource.
pub(crate) fn unknown_resource(spec: &SourceSpec, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("the {} {name} is not known here", spec.resource_kind))
        .with_help("`status` lists the known ones")
}

/// Parses stored resources. Returns the names of unreadable ones with their errors: one row that was edited by hand must not stop
/// the others.
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
                tracing::error!(resource = %name, %error, help, "a resource is skipped; the others continue");
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
