//! The trait of stores that keep state.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Counts, RunRecord, StateKey, StateVersion, StreamState};
use crate::Result;
use crate::cost::Credits;

/// Selects records of runs. The default selects the newest of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunQuery {
    /// Only runs of this resource.
    pub resource: Option<String>,
    /// Only runs of the stream of this name.
    pub stream: Option<String>,
    /// The number to return at most.
    pub limit: usize,
}

impl RunQuery {
    /// Selects the `limit` newest runs.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Selects only runs of this resource.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Selects only runs of the stream of this name.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Selects only runs of this stream of this resource.
    #[must_use]
    pub fn key(self, key: &StateKey) -> Self {
        self.resource(&key.resource).stream(&key.stream)
    }

    /// Whether it selects this run.
    pub fn selects(&self, run: &RunRecord) -> bool {
        self.resource.as_ref().is_none_or(|resource| *resource == run.resource)
            && self.stream.as_ref().is_none_or(|stream| *stream == run.stream)
    }
}

/// One entry of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateEntry {
    /// Its version: higher than that of every entry before it.
    pub version: StateVersion,
    /// When it was written; never before the entry before it, whatever the clock says.
    pub at: Timestamp,
    /// The state.
    pub state: StreamState,
}

impl StateEntry {
    /// An entry.
    pub fn new(version: StateVersion, at: Timestamp, state: StreamState) -> Self {
        Self { version, at, state }
    }
}

/// The newest entry and the newest run of a key: the results of [`latest`](StateStore::latest) and [`runs`](StateStore::runs).
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct StreamStatus {
    /// The newest entry.
    pub entry: Option<StateEntry>,
    /// The newest run.
    pub run: Option<RunRecord>,
}

impl StreamStatus {
    /// The newest entry and the newest run of a key.
    pub fn new(entry: Option<StateEntry>, run: Option<RunRecord>) -> Self {
        Self { entry, run }
    }
}

/// The changes of a run to the state store, which are stored together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StateChange {
    /// The stream whose state changes.
    pub key: StateKey,
    /// The version of the entry that the run builds on. If the newest entry is another one, another run has moved on,
    /// and the change is refused.
    pub base: StateVersion,
    /// The clock's time.
    pub at: Timestamp,
    /// The new entry; `None` if the state has not changed and only the run is recorded. Then `base` is not compared.
    pub state: Option<StreamState>,
    /// The run's record, which replaces the one of the same id. `None` if no run makes the change.
    pub run: Option<RunRecord>,
}

impl StateChange {
    /// A change without content.
    pub fn new(key: StateKey, base: StateVersion, at: Timestamp) -> Self {
        Self { key, base, at, state: None, run: None }
    }

    /// Sets the new entry.
    #[must_use]
    pub fn state(mut self, state: StreamState) -> Self {
        self.state = Some(state);
        self
    }

    /// Sets the run's record.
    #[must_use]
    pub fn run(mut self, run: RunRecord) -> Self {
        self.run = Some(run);
        self
    }

    /// Adds the counts of a commit to the run's record. A [`Sink`](crate::Sink) calls it before it stores the change, so that
    /// rows, record and state agree.
    pub fn count(&mut self, counts: &Counts) {
        if let Some(state) = &mut self.state {
            state.confirm_newest(counts);
        }
        if let Some(run) = &mut self.run {
            run.counts += counts;
            if counts.changed() {
                run.marks.last_change_at = Some(run.ended_at.unwrap_or(self.at));
            }
        }
    }

    /// Adds the credits that a commit has used to the run's record and to the state. A [`Sink`](crate::Sink) that is billed calls it before
    /// it stores the change, and [reports](crate::StreamReport::credits) the same number.
    pub fn spend(&mut self, credits: Credits) {
        if let Some(run) = &mut self.run {
            run.credits += credits;
        }
        if let Some(state) = &mut self.state {
            state.spending.add(credits, self.at);
        }
    }
}

/// Keeps the progress of ingestion: for each key an append-only list of entries, and the history of runs.
///
/// # Contract
/// 1. `append` adds an entry after the newest one of its key, and `latest` returns it. Its version is higher than all earlier ones.
/// 2. The entry inserted last is the newest: a clock that steps back cannot revive an old entry. The stored time of
///    an entry is never earlier than that of the entry before it.
/// 3. `append` refuses a change whose `base` is not the newest version with a [`Conflict`](crate::ErrorKind::Conflict),
///    and stores nothing of it, not even the run record. Of two appends on one base exactly one succeeds.
/// 4. Entry and run record are stored together or not at all. A record replaces the one of the same run.
/// 5. `history` and `runs` return the newest first. `runs` orders by start, then id, and the query selects before its limit applies.
/// 6. `prune` never removes the newest entry of a key, nor its newest run, and never changes the next version.
/// 7. Keys do not share entries, not even those of the streams of one resource; any text is a legal resource and a legal stream in a
///    key, and values come back equal.
/// 8. `latest_many` returns for each key, in the order of the keys, what `latest` and `runs` return.
/// 9. A new entry supersedes every other run of its key, which can no longer commit: those whose records are
///    [`Running`](crate::RunStatus::Running) become [`Interrupted`](crate::RunStatus::Interrupted). Runs of other streams go on.
///
/// 10. `append_runs` stores each record as `append` does with a change without a state: it is compared with nothing, ends no other run, and
///     refuses nothing. If it fails, some of the records may be stored.
///
/// `state_store_conformance!` of the test kit tests all of them.
///
/// # Wrappers
/// A type that forwards to another store must forward every method, those with a default too: put
/// `#[deny(clippy::missing_trait_methods)]` on the `impl`.
///
/// # Cancellation
/// A dropped future has stored its change entirely or not at all.
///
/// # Errors
/// [`Conflict`](crate::ErrorKind::Conflict) as above; [`Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be
/// reached or written.
#[async_trait]
pub trait StateStore: Debug + Send + Sync + 'static {
    /// Stores a change. Returns the newest version, which is `base` if the change has no new state.
    async fn append(&self, change: StateChange) -> Result<StateVersion>;

    /// Stores records of runs that change no state. Override it if every call costs a round trip.
    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        for run in runs {
            let key = run.key();
            let at = run.ended_at.unwrap_or(run.started_at);
            self.append(StateChange::new(key, StateVersion::NONE, at).run(run)).await?;
        }
        Ok(())
    }

    /// Returns the newest entry of a key.
    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>>;

    /// Returns at most `limit` entries of a key, the newest first.
    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>>;

    /// Returns the selected runs, the newest first.
    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>>;

    /// Removes all but the newest `keep` entries and the newest `keep` runs of a key, and keeps at least one of each.
    /// Returns the number of removed rows. A run without a stream, as older versions recorded it, is removed if the newest `keep` runs of
    /// the key are newer.
    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64>;

    /// Returns the newest entry and the newest run of each of these keys. Override it if every query costs a round trip.
    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let mut statuses = Vec::with_capacity(keys.len());
        for key in keys {
            let run = self.runs(RunQuery::new(1).key(key)).await?.into_iter().next();
            statuses.push(StreamStatus::new(self.latest(key).await?, run));
        }
        Ok(statuses)
    }

    /// Whether every call costs money, as in a warehouse that it wakes. Then the engine rarely records a run that found nothing new (see
    /// [`Limits::heartbeat`](crate::Limits::heartbeat)), prunes only every sixteenth entry, and polls the configuration rarely.
    fn is_metered(&self) -> bool {
        false
    }
}
