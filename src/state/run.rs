//! The records of runs.

mod marks;
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Marks, StateKey};
use crate::cost::Credits;
use crate::{ErrorReport, Traffic};

/// Identifies one run of one resource. Ids of later runs sort after those of earlier ones (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id.
    #[allow(clippy::new_without_default, reason = "each call returns another value")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        text.parse()
            .map(Self)
            .map_err(|error| crate::Error::invalid_data(format!("{text:?} is not a run id")).with_source(error))
    }
}

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// Reads what is new since the checkpoint.
    Incremental,
    /// Reads everything once, and marks deleted what the source no longer has.
    Reconcile,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incremental => "incremental",
            Self::Reconcile => "reconcile",
        })
    }
}

/// The status of a run. The state of a resource, the command line and its JSON use the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// The run has committed something and has not ended. After a crash it stays until the next run of the resource commits.
    // Older versions wrote these words in upper case.
    #[serde(alias = "RUNNING")]
    Running,
    /// Everything that the source returned is in the destination.
    #[serde(alias = "DONE")]
    Complete,
    /// Something was left out: the run failed after it had committed, or it rejected records.
    Partial,
    /// The run was stopped, or its process died, before it had read everything. The next run continues from its last commit.
    Interrupted,
    /// The run failed, and nothing was committed.
    #[serde(alias = "FAILED")]
    Failed,
}

impl RunStatus {
    /// The status in snake case, such as `interrupted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The counts of the records that a source returned. `offered` is the sum of all others.
///
/// In JSON `skipped` is a number, and `skipped_by_reason` has the number for each reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "stored::StoredCounts", into = "stored::StoredCounts")]
#[non_exhaustive]
pub struct Counts {
    /// All objects that the source read.
    pub offered: u64,
    /// Keys that arrived for the first time.
    pub inserted: u64,
    /// Keys whose state changed, including restored ones.
    pub updated: u64,
    /// Keys whose state was the same.
    pub unchanged: u64,
    /// Keys marked deleted.
    pub deleted: u64,
    /// Records that were not stored, by reason: a code in snake case, such as [`Counts::OLDER`].
    pub skipped: BTreeMap<String, u64>,
    /// Objects that could not be turned into records; they are kept in a separate table.
    pub rejected: u64,
}

impl Counts {
    /// The reason for skipping records that are older than the stored ones.
    pub const OLDER: &'static str = "older_version";

    /// Counts records that were not stored. The reason becomes a code: `pull request` becomes `pull_request`.
    pub fn skip(&mut self, reason: impl AsRef<str>, count: u64) {
        if count > 0 {
            *self.skipped.entry(reason_code(reason.as_ref())).or_default() += count;
        }
    }

    /// The number of records that were not stored, for whatever reason.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Whether every object that the source read is accounted for.
    pub fn add_up(&self) -> bool {
        self.offered
            == self.inserted + self.updated + self.unchanged + self.deleted + self.rejected + self.skipped_total()
    }

    /// Whether the state of any key has changed.
    pub fn changed(&self) -> bool {
        self.inserted + self.updated + self.deleted > 0
    }

    /// Whether the tables now have every record as the source has returned it, unless a later one of the same key has replaced it.
    pub(crate) fn stored_all(&self) -> bool {
        self.rejected == 0 && self.skipped_total() == 0
    }

    /// Whether any row was written.
    pub fn wrote(&self) -> bool {
        self.inserted + self.updated + self.deleted + self.rejected > 0
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.offered += other.offered;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.rejected += other.rejected;
        for (reason, count) in &other.skipped {
            self.skip(reason, *count);
        }
    }
}

/// A reason as a code: `pull request` becomes `pull_request`.
fn reason_code(reason: &str) -> String {
    let lower = |c: char| if c.is_alphanumeric() { c.to_lowercase().collect() } else { " ".to_owned() };
    let words: String = reason.chars().map(lower).collect();
    words.split_whitespace().collect::<Vec<_>>().join("_")
}

/// Where a run's time went, in milliseconds. Reading and committing overlap, so they need not add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timings {
    /// From start to end.
    pub total_ms: u64,
    /// Waiting for the source's next batch.
    pub read_ms: u64,
    /// In the sink's `commit`.
    pub commit_ms: u64,
    /// In verifying what the source no longer lists.
    pub verify_ms: u64,
}

/// A reason for which a run rejected records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RejectReason {
    /// The reason, as the rejects have it.
    pub reason: String,
    /// The number of records that the run rejected for it.
    pub count: u64,
}

/// How far a run has come, as one of its commits has recorded it. A commit is written anyway, so this costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunProgress {
    /// When the commit was made.
    pub at: Timestamp,
    /// The pages of the list that had been read.
    pub read: u64,
    /// The pages of the list; `None` if the source does not know their number, or was wrong about it.
    pub of: Option<u64>,
    /// Until when the source was waiting; `None` if it was not.
    pub waiting_until: Option<Timestamp>,
}

/// The record of one run of one resource: a row of the run history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "stored::StoredRun")]
#[non_exhaustive]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The resource.
    pub resource: String,
    /// The stream.
    pub stream: String,
    /// How it was read.
    pub mode: Mode,
    /// Its status.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is running, or after a crash.
    pub ended_at: Option<Timestamp>,
    /// What became of the records.
    pub counts: Counts,
    /// The number of its commits.
    pub commits: u64,
    /// The traffic of its source.
    pub traffic: Traffic,
    /// Where the time went.
    pub timings: Timings,
    /// Columns that were null in every record of the run, as `table.column`: a mistyped path, or a type that never fits.
    pub empty_columns: Vec<String>,
    /// The [inferred](crate::StreamSpec::infer_columns) columns that the run has added to the view, or whose types it has widened, as
    /// `table.column`.
    pub new_columns: Vec<String>,
    /// The credits that its commits have used, as the destination estimates them: its share of those that the whole program has used.
    pub credits: Credits,
    /// The most frequent reason for which the run rejected records.
    pub reject_reason: Option<RejectReason>,
    /// Why it did not complete.
    pub error: Option<ErrorReport>,
    /// The facts of its stream as they are at its end.
    #[serde(flatten)]
    pub marks: Marks,
    /// Until when a run that says [`Running`](RunStatus::Running) can be believed: each commit renews it. See
    /// [`status_at`](Self::status_at).
    pub lease_until: Option<Timestamp>,
    /// How far it had come at its last commit, while it is running.
    pub progress: Option<RunProgress>,
}

impl RunRecord {
    /// The resource and the stream that it ran for.
    pub(crate) fn key(&self) -> StateKey {
        StateKey::new(self.resource.as_str(), self.stream.as_str())
    }

    /// The record of a run that begins.
    pub fn new(id: RunId, key: StateKey, mode: Mode, started_at: Timestamp) -> Self {
        let StateKey { resource, stream } = key;
        Self {
            id,
            resource,
            stream,
            mode,
            status: RunStatus::Running,
            started_at,
            ended_at: None,
            counts: Counts::default(),
            commits: 0,
            traffic: Traffic::default(),
            timings: Timings::default(),
            empty_columns: Vec::new(),
            new_columns: Vec::new(),
            credits: Credits::ZERO,
            reject_reason: None,
            error: None,
            marks: Marks::default(),
            lease_until: None,
            progress: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_only_when_everything_is_accounted_for() {
        let mut counts = Counts { offered: 6, inserted: 1, updated: 1, unchanged: 1, deleted: 1, ..Counts::default() };
        assert!(!counts.add_up());
        counts.skip(Counts::OLDER, 1);
        counts.rejected = 1;
        assert!(counts.add_up());
        let mut sum = counts.clone();
        sum += &counts;
        assert!(sum.add_up());
        assert_eq!((sum.offered, sum.skipped_total()), (12, 2));
    }
}
