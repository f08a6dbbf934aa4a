//! What a process knows of a connector's health without asking the stores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Configured, ConnectorHealth, Failure, Health};
use crate::engine::{Connector, Event};
use crate::{ConfigSnapshot, Error, ErrorReport, Result, RunRecord, RunStatus, StateKey, StreamStatus};

/// How long a read of stores counts as current where reads are free.
const READ_EVERY: Duration = Duration::from_secs(15);

/// What the stores said when this process last read them, and what its own runs have done since. Empty until somebody asks for the
/// health again and again: other programs do not pay for it. Clones share it.
#[derive(Clone, Default)]
pub(in crate::engine) struct KnownHealth(Arc<Mutex<Option<Basis>>>);

/// What the health is derived from.
pub(super) struct Basis {
    pub(super) snapshot: ConfigSnapshot,
    pub(super) configured: Vec<Configured>,
    pub(super) statuses: HashMap<StateKey, StreamStatus>,
    /// Why the settings cannot be used.
    pub(super) settings: Option<ErrorReport>,
    /// Since when and why the stores cannot be read.
    outage: Option<(Timestamp, ErrorReport)>,
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
        let key = StateKey::new(run.resource.as_str(), run.stream.as_str());
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
    fn current(&self) -> HashMap<StateKey, StreamStatus> {
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
    fn lock(&self) -> MutexGuard<'_, Option<Basis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Basis)) {
        if let Some(basis) = &mut *self.lock() {
            change(basis);
        }
    }

    /// Whether the stores were read, and when last.
    fn read_at(&self) -> Option<Instant> {
        self.lock().as_ref().map(|basis| basis.read_at)
    }

    fn set(&self, mut basis: Basis) {
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
