//! What a process knows of a connector's health without asking the stores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::{Event, Schedule};
use crate::{
    ConfigSnapshot, Error, ErrorReport, Resource, ResourceConfig, Result, RunRecord, RunStatus, StateKey, StreamStatus,
};

/// What the stores said when this process last read them, and what its own runs have done since. Empty until the health is asked for the first
/// time, so that other programs do not pay for it. Clones share it.
#[derive(Clone, Default)]
pub(in crate::engine) struct KnownHealth(Arc<Mutex<Option<Basis>>>);

/// A resource, and what its configuration says.
pub(super) struct Configured {
    pub(super) resource: Resource,
    /// That of an enabled resource, if it is unreadable.
    pub(super) config: ResourceConfig,
    /// An error if its streams cannot be read.
    pub(super) schedule: Result<Schedule>,
    /// The streams that are read.
    pub(super) keys: Vec<StateKey>,
}

/// What the health is derived from.
pub(super) struct Basis {
    pub(super) snapshot: ConfigSnapshot,
    pub(super) configured: Vec<Configured>,
    pub(super) statuses: HashMap<StateKey, StreamStatus>,
    /// Why the settings cannot be used.
    pub(super) settings: Option<ErrorReport>,
    /// Since when and why the stores cannot be read.
    pub(super) outage: Option<(Timestamp, ErrorReport)>,
    /// The runs of this process that have not ended.
    running: HashMap<StateKey, RunRecord>,
    read_at: Instant,
}

impl Basis {
    pub(super) fn new(
        snapshot: ConfigSnapshot,
        configured: Vec<Configured>,
        statuses: HashMap<StateKey, StreamStatus>,
        settings: Option<ErrorReport>,
    ) -> Self {
        Self {
            snapshot,
            configured,
            statuses,
            settings,
            outage: None,
            running: HashMap::new(),
            read_at: Instant::now(),
        }
    }

    /// Replaces this by a newer read. The runs of this process are newer than what a store says of them: a metered one does not record
    /// each.
    fn replace(&mut self, mut newer: Self) {
        newer.running = std::mem::take(&mut self.running);
        for (key, status) in std::mem::take(&mut self.statuses) {
            if let Some(found) = newer.statuses.get_mut(&key) {
                keep_newer_run(found, status.run);
            }
        }
        *self = newer;
    }

    fn started(&mut self, key: StateKey, run: RunRecord) {
        self.running.insert(key, RunRecord { lease_until: Some(Timestamp::MAX), ..run });
    }

    fn ended(&mut self, run: &RunRecord) {
        let key = run.key();
        self.running.remove(&key);
        let status = self.statuses.entry(key).or_default();
        let before = status.run.as_ref().map(|run| run.marks).unwrap_or_default();
        // A run that could not read the store does not know what was before it.
        let is_ignorant = run.marks.last_success_at.is_none() && before.last_success_at.is_some();
        let marks = if is_ignorant { before.after(run, run.started_at) } else { run.marks };
        // Health needs none of the names of columns.
        let (empty_columns, new_columns) = (Vec::new(), Vec::new());
        status.run = Some(RunRecord { marks, empty_columns, new_columns, ..run.clone() });
    }

    /// The statuses, in which the runs of this process that go on are the newest ones.
    pub(super) fn current(&self) -> HashMap<StateKey, StreamStatus> {
        let mut statuses = self.statuses.clone();
        for (key, run) in &self.running {
            let status = statuses.entry(key.clone()).or_default();
            let marks = status.run.as_ref().map(|run| run.marks).unwrap_or_default();
            status.run = Some(RunRecord { marks, ..run.clone() });
        }
        statuses
    }
}

/// Keeps a run of this process if the store has none that is newer.
fn keep_newer_run(found: &mut StreamStatus, known: Option<RunRecord>) {
    let Some(known) = known else { return };
    let is_newer = found.run.as_ref().is_none_or(|run| run.started_at < known.started_at);
    if is_newer && known.status != RunStatus::Running {
        found.run = Some(known);
    }
}

/// What health needs of a state: checkpoints and lists of newest records can be long.
fn without_progress(status: &StreamStatus) -> StreamStatus {
    let mut status = status.clone();
    if let Some(entry) = &mut status.entry {
        (entry.state.checkpoint, entry.state.newest, entry.state.reconcile) = (None, None, None);
    }
    status
}

impl KnownHealth {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Basis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Basis)) {
        if let Some(basis) = &mut *self.lock() {
            change(basis);
        }
    }

    /// An entry of the connector's configuration, as it was read last.
    #[cfg(feature = "cli")]
    pub(in crate::engine) fn entry(&self, wanted: &str) -> Option<serde_json::Value> {
        let known = self.lock();
        let mut entries = known.as_ref()?.snapshot.connector.iter();
        entries.find(|(key, _)| key == wanted).map(|(_, value)| value.clone())
    }

    /// Whether the stores were read, and when last.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.lock().as_ref().map(|basis| basis.read_at)
    }

    pub(super) fn set(&self, mut basis: Basis) {
        basis.statuses.values_mut().for_each(|status| *status = without_progress(status));
        match &mut *self.lock() {
            Some(known) => known.replace(basis),
            none => *none = Some(basis),
        }
    }

    /// Notes what a run of this process does.
    pub(in crate::engine) fn note_event(&self, event: &Event, now: Timestamp) {
        match event {
            Event::Started { run, resource, stream, mode } => self.update(|basis| {
                let key = StateKey::new(resource.name(), stream);
                basis.started(key.clone(), RunRecord::new(*run, key, *mode, now));
            }),
            Event::Ended(run) => self.update(|basis| basis.ended(run)),
            _ => {}
        }
    }

    /// Notes runs that could not begin.
    pub(in crate::engine) fn note_runs(&self, runs: &[RunRecord]) {
        self.update(|basis| runs.iter().for_each(|run| basis.ended(run)));
    }

    /// Notes that the stores cannot be read.
    pub(in crate::engine) fn note_outage(&self, error: &Error, now: Timestamp) {
        self.update(|basis| {
            let since = basis.outage.as_ref().map_or(now, |(since, _)| *since);
            basis.outage = Some((since, error.report()));
        });
    }

    /// Notes that they can be read.
    pub(in crate::engine) fn note_usable(&self) {
        self.update(|basis| basis.outage = None);
    }

    /// Notes what a store says of these streams.
    pub(in crate::engine) fn note_statuses(&self, keys: &[StateKey], statuses: &[StreamStatus]) {
        self.update(|basis| {
            for (key, status) in keys.iter().zip(statuses) {
                let mut status = without_progress(status);
                keep_newer_run(&mut status, basis.statuses.remove(key).and_then(|known| known.run));
                basis.statuses.insert(key.clone(), status);
            }
        });
    }
}
