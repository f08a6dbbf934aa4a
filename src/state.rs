//! State: what has been ingested, and what each run did.

mod run;
mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use run::{Counts, Mode, RunId, RunRecord, RunStatus, Timings};
pub use store::{ResourceStatus, StateChange, StateEntry, StateStore, StateVersion};

use crate::Checkpoint;

/// A full pass over everything the source has, which finds what it no longer has. It outlives the run that began it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// The name under which the sink remembers the keys it has seen: the id of the run that began the pass.
    pub id: RunId,
    /// When the pass began.
    pub started_at: Timestamp,
    /// Where the pass may resume; `None` at its start.
    pub checkpoint: Option<Checkpoint>,
    /// Whether a reset began it: what it reads replaces what is stored, whatever the version, and an incremental run goes on with it
    /// and ends it. Only a reconcile run looks for deletions at its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_reset: bool,
    /// How many rows of each table it has marked deleted so far.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deleted: BTreeMap<String, u64>,
}

impl Reconciliation {
    /// A pass that begins.
    pub fn new(id: RunId, started_at: Timestamp) -> Self {
        Self { id, started_at, checkpoint: None, is_reset: false, deleted: BTreeMap::new() }
    }
}

/// The state of one resource: the value of an entry in `APP_STATE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceState {
    /// How the last run that wrote it stands or ended, in the same word as in that run's record.
    pub status: RunStatus,
    /// The run that wrote this.
    pub run: RunId,
    /// Where an incremental read resumes; `None`: at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The full pass that is under way, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<Reconciliation>,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the resource is, by the first checkpoint that is about to be committed, where another program may read the same thing
    /// under another name at the same moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Checkpoint>,
    /// Whether rejects may be outstanding: only then does a run look for those that it corrects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_rejects: bool,
}
