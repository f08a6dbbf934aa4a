//! The context of a command.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::args::Global;
use super::super::destination::{Destination, Store};
use super::super::interrupt::Interrupt;
use super::super::invocation::Selected;
use super::super::output::Output;
use super::super::progress::Progress;
use super::super::settings::SettingsOverrides;
use crate::engine::Connector;
use crate::{Result, Settings, Source, SourceSpec};

/// The context of a command.
pub(super) struct Session<S> {
    pub(super) source: Arc<S>,
    pub(super) spec: SourceSpec,
    pub(super) overrides: SettingsOverrides,
    /// What may be wrong with the description of the source.
    pub(super) warnings: Vec<String>,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) output: Output,
    pub(super) progress: Progress,
    pub(super) interrupt: Interrupt,
}

impl<S: Source> Session<S> {
    /// Rejects invalid names before a command creates a database. An existing database may know a name in an older form.
    pub(super) fn refuse(&self, names: &[String]) -> Result<()> {
        if self.destination.missing().is_none() {
            return Ok(());
        }
        let given: Settings = self.overrides.values().clone().into_iter().collect();
        names.iter().try_for_each(|name| self.source.resource(&given, name).map(drop))
    }

    /// The connector over the destination, which is created if it is missing.
    pub(super) fn open(&self) -> Result<Connector> {
        let store = self.destination.open()?;
        Ok(self.connector(&*store))
    }

    /// The connector over the destination, or over an empty one if it is missing.
    pub(super) fn open_existing(&self) -> Result<Connector> {
        if let Some(missing) = self.destination.missing() {
            self.output.note(&missing);
        }
        let store = self.destination.open_existing()?;
        Ok(self.connector(&*store))
    }

    /// The connector over the destination, for a command that writes nothing: a write-protected file suffices.
    pub(super) fn open_to_read(self) -> Result<Connector> {
        if let Some(missing) = self.destination.missing() {
            self.output.note(&missing);
        }
        let store = self.destination.open_to_read()?;
        Ok(self.connector(&*store))
    }

    pub(super) fn connector(&self, store: &dyn Store) -> Connector {
        Connector::new(self.source.clone(), store.backend()).with_settings(self.overrides.values().clone())
    }
}

/// The longest file that is taken for a description, in bytes.
const LONGEST_DESCRIPTION: u64 = 1 << 20;

/// Reads the settings of this call. A file in the current folder is not read unless `--config` names it: its author would decide where
/// credentials go.
pub(super) fn read_settings(spec: &SourceSpec, global: &Global, output: Output) -> Result<SettingsOverrides> {
    let file = format!("{}.toml", spec.name);
    let found = Path::new(&file).canonicalize().ok();
    let description = match &global.selected {
        Some(Selected::Described { file, .. }) => file.canonicalize().ok(),
        _ => None,
    };
    let is_settings = |path: &Path| !is_description(path);
    if global.config.is_none() && found != description && found.as_deref().is_some_and(is_settings) {
        let note = format!("the file {file} in the current folder is not loaded; `--config {file}` loads it");
        if output.is_json() { tracing::warn!("{note}") } else { output.note(&note) }
    }
    SettingsOverrides::read(spec, global.config.as_deref(), |name| std::env::var_os(name), &global.set)
}

/// Whether a file describes a source, as one of several descriptions of the same API does.
fn is_description(path: &Path) -> bool {
    if !path.metadata().is_ok_and(|file| file.is_file() && file.len() < LONGEST_DESCRIPTION) {
        return false;
    }
    let table: Option<toml::Table> = std::fs::read_to_string(path).ok().and_then(|text| text.parse().ok());
    table.is_some_and(|table| table.contains_key("stream") && table.contains_key("base_url"))
}

/// Sets how often the connector records idle runs, if that is given.
pub(super) fn with_heartbeat(connector: Connector, heartbeat: Option<Duration>) -> Connector {
    match heartbeat {
        Some(heartbeat) => connector.heartbeat(heartbeat),
        None => connector,
    }
}
