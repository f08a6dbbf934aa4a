//! Where state is kept.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Counts, ResourceState, RunRecord};
use crate::Result;

/// Counts the entries of one key: the fence against a second run. [`StateVersion::NONE`] is a key without entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateVersion(pub u64);

impl StateVersion {
    /// The version of a key that has no entry.
    pub const NONE: Self = Self(0);
}

/// One entry of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// Its version: higher than that of every entry before it.
    pub version: StateVersion,
    /// When it was written; never before the entry before it, whatever the clock says.
    pub at: Timestamp,
    /// The state.
    pub state: ResourceState,
}

/// How a key stands: what [`latest`](StateStore::latest) gives, and the first of [`runs`](StateStore::runs).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceStatus {
    /// The newest entry.
    pub entry: Option<StateEntry>,
    /// The newest run.
    pub run: Option<RunRecord>,
}

/// What a run changes in the state store, all of it together.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// The resource's name.
    pub key: String,
    /// The version of the entry that the run builds on. When the newest entry is another one, another run has moved on,
    /// and the change is refused.
    pub base: StateVersion,
    /// The clock's time.
    pub at: Timestamp,
    /// The new entry; `None` when the state has not changed and only the run is recorded. Then `base` is not compared.
    pub state: Option<ResourceState>,
    /// The run's record, replacing the one of the same id. `None` when no run is behind the change.
    pub run: Option<RunRecord>,
}

impl StateChange {
    /// Adds what a commit has counted to the run's record. A [`Sink`](crate::Sink) does so before it stores the change, so that
    /// rows and record agree.
    pub fn count(&mut self, counts: &Counts) {
        if let Some(run) = &mut self.run {
            run.counts += counts;
        }
    }
}

/// Keeps what has been ingested: for each key an append-only list of entries, and the history of runs.
///
/// # Contract
/// 1. `append` adds an entry after the newest one of its key, and `latest` gives it. Its version is higher than any before.
/// 2. The newest entry wins by order of insertion: a clock that steps back cannot revive an old entry. The stored time of
///    an entry is never before that of the entry before it.
/// 3. `append` refuses a change whose `base` is not the newest version with a [`Conflict`](crate::ErrorKind::Conflict),
///    and then nothing of it is stored, the run record neither. Of two appends on one base exactly one succeeds.
/// 4. Entry and run record are stored together or not at all. A record replaces the one of the same run.
/// 5. `history` and `runs` give the newest first. `runs` orders by start, then id.
/// 6. `prune` never removes the newest entry of a key, nor its newest run, and never changes the next version.
/// 7. Keys are apart, any text is a legal key, and values come back equal.
/// 8. `latest_many` gives for each key, in the order of the keys, what `latest` and `runs` give.
/// 9. A new entry supersedes every other run of its key, which can commit no more: those whose records say
///    [`Running`](crate::RunStatus::Running) are [`Interrupted`](crate::RunStatus::Interrupted) from then on.
///
/// The suite is `state_store_conformance!` of the test kit.
///
/// # Cancellation
/// A dropped future has stored its change wholly or not at all.
///
/// # Errors
/// [`Conflict`](crate::ErrorKind::Conflict) as above; [`Unavailable`](crate::ErrorKind::Unavailable) when the store cannot be
/// reached or written.
#[async_trait]
pub trait StateStore: Debug + Send + Sync + 'static {
    /// Stores a change; gives the newest version, which is `base` when the change has no new state.
    async fn append(&self, change: StateChange) -> Result<StateVersion>;

    /// The newest entry of a key.
    async fn latest(&self, key: &str) -> Result<Option<StateEntry>>;

    /// At most `limit` entries of a key, the newest first.
    async fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>>;

    /// At most `limit` runs, of one key or of all, the newest first.
    async fn runs(&self, key: Option<&str>, limit: usize) -> Result<Vec<RunRecord>>;

    /// Removes all but the newest `keep` entries and the newest `keep` runs of a key, at least one of each being kept;
    /// gives the number of rows removed.
    async fn prune(&self, key: &str, keep: usize) -> Result<u64>;

    /// How each of these keys stands. Stores whose every answer costs a round trip give them all at once.
    async fn latest_many(&self, keys: &[String]) -> Result<Vec<ResourceStatus>> {
        let mut standings = Vec::with_capacity(keys.len());
        for key in keys {
            standings.push(ResourceStatus {
                entry: self.latest(key).await?,
                run: self.runs(Some(key), 1).await?.into_iter().next(),
            });
        }
        Ok(standings)
    }

    /// Whether every call is paid for, as in a warehouse that is woken by it. Then the engine leaves no record of a run
    /// that found nothing new, prunes every sixteenth entry only, and does not look regularly for changed configuration.
    fn is_metered(&self) -> bool {
        false
    }
}
