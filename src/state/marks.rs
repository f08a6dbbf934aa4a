//! What the record of a run says about the history of its stream.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Runs that failed since the last success of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failing {
    /// The end of the first of them.
    pub since: Timestamp,
    /// Their number.
    pub tries: u64,
}

impl Failing {
    /// This many runs have failed, the first one at `since`.
    pub fn new(since: Timestamp, tries: u64) -> Self {
        Self { since, tries }
    }
}

/// The facts of a stream as they are at the end of a run. Each run begins with those of the run before, so that the newest record tells
/// them without the history.
///
/// Only a complete run ends a series of failures. A run that rejected records and has read everything counts as complete; one that an
/// error stopped counts as failed, whether it had committed or not. An interrupted run, and one that a newer run has replaced, count as
/// neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Marks {
    /// The end of the newest complete run.
    pub last_success_at: Option<Timestamp>,
    /// The end of the newest run that inserted, updated or deleted a row; while it runs, its newest commit.
    pub last_change_at: Option<Timestamp>,
    /// The failures since the last success.
    pub failing: Option<Failing>,
}
