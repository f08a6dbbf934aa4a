//! The state of streams, and the history of runs.

mod key;
mod marks;
mod newest;
mod run;
mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

pub use key::{StateKey, StateVersion};
pub use marks::{Failing, Marks};
pub(crate) use newest::NewestRecords;
pub use run::{Counts, Mode, RejectReason, RunId, RunProgress, RunRecord, RunStatus, Timings};
pub use store::{RunQuery, StateChange, StateEntry, StateStore, StreamStatus};

use crate::Checkpoint;
use crate::cost::Spending;

/// A reconciliation in progress: a read of everything that the source has, to find what it no longer has. It may take several
/// reconcile runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Identifies its marks in the sink: the id of the run that began it.
    pub id: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// Where it resumes; `None`: at the start.
    pub checkpoint: Option<Checkpoint>,
    /// Whether a reset began it. Then what it reads replaces what is stored, whatever the version, and an incremental run continues
    /// and ends it. Only a reconcile run checks for deletions at its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_reset: bool,
    /// The number of rows that it has marked deleted so far.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "deleted")]
    pub deleted: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads the number of deleted rows. Older versions wrote one for each table.
fn deleted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Deleted {
        Rows(u64),
        ByTable(BTreeMap<String, u64>),
    }
    Ok(match Deleted::deserialize(deserializer)? {
        Deleted::Rows(rows) => rows,
        Deleted::ByTable(tables) => tables.into_values().sum(),
    })
}

impl Reconciliation {
    /// A reconciliation that begins.
    pub fn new(id: RunId, started_at: Timestamp) -> Self {
        Self { id, started_at, checkpoint: None, is_reset: false, deleted: 0 }
    }
}

/// The state of one stream of a resource: the value of an entry in `APP_STATE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamState {
    /// The status of the last run that wrote it, as in that run's record.
    pub status: RunStatus,
    /// The run that wrote it.
    pub run: RunId,
    /// Where an incremental read resumes; `None`: at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The reconciliation in progress, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<Reconciliation>,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The first checkpoint, before it is committed. It shows other programs which resource this is, in case they read the same one
    /// under another name at the same moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Checkpoint>,
    /// Whether rejects may be outstanding: only then does a run query them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_rejects: bool,
    /// The records that an incremental read may return again, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) newest: Option<NewestRecords>,
    /// The credits that its commits have used.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    pub spending: Spending,
}

impl StreamState {
    /// The state of a stream of which nothing has been read yet, written by this run.
    pub fn new(status: RunStatus, run: RunId) -> Self {
        let (checkpoint, reconcile, message, claim, newest) = (None, None, None, None, None);
        let spending = Spending::default();
        Self { status, run, checkpoint, reconcile, message, claim, has_rejects: false, newest, spending }
    }

    /// Forgets the newest records if the commit that stores this state, with these counts, did not store each of its own: they may be among
    /// those that it did not.
    pub(crate) fn confirm_newest(&mut self, counts: &Counts) {
        if !counts.stored_all() {
            self.newest = None;
        }
    }
}
