//! Runs that could not begin: each leaves a failed record with its reason, as one that began would.

use jiff::Timestamp;

use super::planned::NewestRun;
use super::resources::{ResourceLookup, parse_resources};
use super::schedule::next_due;
use super::{Connector, Schedule};
use crate::{
    ConfigSnapshot, Error, ErrorKind, ErrorReport, Mode, Resource, ResourceConfig, RunRecord, RunStatus, StateKey,
    StreamStatus,
};

/// A resource whose runs cannot begin.
pub(super) struct Unstarted {
    /// Its name, which may be none that the source can have.
    pub(super) name: String,
    /// Its streams, without source-wide ones: other resources read those.
    pub(super) streams: Vec<String>,
    /// `None`: that cannot be read either.
    pub(super) schedule: Option<Schedule>,
    pub(super) error: ErrorReport,
}

impl Unstarted {
    fn keys(&self) -> impl Iterator<Item = StateKey> {
        self.streams.iter().map(|stream| StateKey::new(self.name.as_str(), stream.as_str()))
    }

    /// Whether its next run is due.
    fn is_due(&self, newest: &StreamStatus, now: Timestamp) -> bool {
        let default = Schedule::default();
        let schedule = self.schedule.as_ref().unwrap_or(&default);
        next_due([schedule], newest.run.as_ref().map(|run| run.started_at), now).is_some_and(|due| due <= now)
    }
}

impl Connector {
    /// A resource that cannot be read because of an error. `config` is `None` if it is unreadable.
    pub(super) fn unstarted(&self, name: &str, config: Option<&ResourceConfig>, error: &Error) -> Unstarted {
        let selected = self.selection(config).streams;
        let streams = if selected.is_empty() { self.selection(None).streams } else { selected };
        let own = streams.into_iter().filter(|stream| !stream.is_source_wide);
        let schedule = config.and_then(|config| Schedule::stored(config).ok());
        let (name, streams) = (name.to_owned(), own.map(|stream| stream.name).collect());
        Unstarted { name, streams, schedule, error: error.report() }
    }

    /// Records a failed run of each stream of these resources; with `only_due`, of those whose next run is due, so that a failure that is
    /// found again and again leaves one record for each run that it prevented. Returns the records.
    pub(super) async fn record_unstarted(&self, unstarted: &[Unstarted], mode: Mode, only_due: bool) -> Vec<RunRecord> {
        if unstarted.is_empty() {
            return Vec::new();
        }
        let keys: Vec<StateKey> = unstarted.iter().flat_map(Unstarted::keys).collect();
        let statuses = match keys.is_empty() {
            true => Ok(Vec::new()),
            false => self.statuses(&keys).await,
        };
        let mut statuses = statuses.unwrap_or_else(|error| {
            tracing::warn!(%error, "the newest runs of streams that cannot be read are unknown");
            keys.iter().map(|_| StreamStatus::default()).collect()
        });
        let now = self.now();
        let (mut stored, mut unstored) = (Vec::new(), Vec::new());
        for one in unstarted {
            let failed = |key: StateKey, newest: &StreamStatus| {
                let run = self.new_run(key, mode);
                let ended_at = Some(now.max(run.started_at));
                let run = RunRecord { status: RunStatus::Failed, ended_at, error: Some(one.error.clone()), ..run };
                let marks = NewestRun::new(newest.run.as_ref()).marks.after(&run, now);
                RunRecord { marks, ..run }
            };
            for (key, newest) in one.keys().zip(statuses.drain(..one.streams.len())) {
                if !only_due || one.is_due(&newest, now) {
                    stored.push(failed(key, &newest));
                }
            }
            if one.streams.is_empty() {
                // It has no stream whose history the record could join.
                unstored.push(failed(StateKey::new(one.name.as_str(), ""), &StreamStatus::default()));
            }
        }
        if let Some(first) = stored.first() {
            self.idle_runs.note_write(first.key());
            self.known.note_runs(&stored);
            if let Err(error) = self.state.append_runs(stored.clone()).await {
                tracing::error!(%error, "runs that could not begin could not be recorded");
            }
        }
        stored.extend(unstored);
        stored
    }

    /// Records that runs could not begin because the settings are malformed or incomplete: of the named resources, or of all enabled ones.
    pub(super) async fn record_misconfigured(&self, named: &[Resource], mode: Mode, only_due: bool, error: &Error) {
        // The other errors are those of a store that cannot be used, or belongs to another source.
        if error.kind() != ErrorKind::Configuration {
            return;
        }
        let Ok(ConfigSnapshot { connector, resources }) = self.snapshot().await else { return };
        let settings = self.unchecked_settings(connector);
        let (known, _) = parse_resources(resources);
        let names = ResourceLookup::new(self, &settings, known.keys().map(Resource::name));
        let named: Vec<Resource> = named.iter().filter_map(|one| names.find(one.name()).ok()).collect();
        let is_wanted = |resource: &Resource, config: &ResourceConfig| {
            if named.is_empty() { config.enabled } else { named.contains(resource) }
        };
        let unstarted: Vec<Unstarted> = known
            .iter()
            .filter(|(resource, config)| is_wanted(resource, config))
            .map(|(resource, config)| self.unstarted(resource.name(), Some(config), error))
            .collect();
        self.record_unstarted(&unstarted, mode, only_due).await;
    }
}
