//! How run records and their counts are written as JSON, and how those of older versions are read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::super::Failing;
use super::{Counts, Marks, Mode, RejectReason, RunId, RunProgress, RunRecord, RunStatus, Timings};
use crate::cost::Credits;
use crate::{ErrorReport, Traffic};

/// The sentence that older versions wrote for [`Counts::OLDER`].
const OLDER_SENTENCE: &str = "older than the stored version";

/// A run record as any version has written it.
#[derive(Deserialize)]
pub(super) struct StoredRun {
    id: RunId,
    resource: String,
    /// Older versions recorded one run for all streams of a resource.
    #[serde(default)]
    stream: String,
    mode: Mode,
    status: RunStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// Older versions wrote `partial`, and this beside it.
    #[serde(default)]
    interrupted: bool,
    counts: Counts,
    commits: u64,
    traffic: Traffic,
    timings: Timings,
    error: Option<ErrorReport>,
    #[serde(default)]
    empty_columns: Vec<String>,
    #[serde(default)]
    new_columns: Vec<String>,
    #[serde(default)]
    credits: Credits,
    #[serde(default)]
    reject_reason: Option<RejectReason>,
    #[serde(default)]
    last_success_at: Option<Timestamp>,
    #[serde(default)]
    last_change_at: Option<Timestamp>,
    /// `None` in a record of an older version, which has no marks.
    #[serde(default, deserialize_with = "present")]
    failing: Option<Option<Failing>>,
    #[serde(default)]
    lease_until: Option<Timestamp>,
    #[serde(default)]
    progress: Option<RunProgress>,
}

/// Reads a value that is there, if only as `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl From<StoredRun> for RunRecord {
    fn from(run: StoredRun) -> Self {
        let StoredRun { id, resource, stream, mode, started_at, ended_at, counts, commits, traffic, timings, .. } = run;
        let (error, empty_columns, new_columns, credits) = (run.error, run.empty_columns, run.new_columns, run.credits);
        let status = if run.interrupted { RunStatus::Interrupted } else { run.status };
        let (last_success_at, last_change_at, lease_until) = (run.last_success_at, run.last_change_at, run.lease_until);
        let marks = run.failing.map(|failing| Marks { last_success_at, last_change_at, failing });
        let mut run = Self {
            id,
            resource,
            stream,
            mode,
            status,
            started_at,
            ended_at,
            counts,
            commits,
            traffic,
            timings,
            empty_columns,
            new_columns,
            credits,
            reject_reason: run.reject_reason,
            error,
            marks: Marks::default(),
            lease_until,
            progress: run.progress,
        };
        run.marks = marks.unwrap_or_else(|| Marks::default().after(&run, run.started_at));
        run
    }
}

/// Counts as they are written.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCounts {
    offered: u64,
    inserted: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    #[serde(default)]
    skipped: Skipped,
    #[serde(default)]
    skipped_by_reason: BTreeMap<String, u64>,
    #[serde(default)]
    rejected: u64,
}

/// How many records were skipped. Older versions wrote the number for each reason, and nothing at zero.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Skipped {
    Total(u64),
    ByReason(BTreeMap<String, u64>),
}

impl Default for Skipped {
    fn default() -> Self {
        Self::Total(0)
    }
}

impl From<StoredCounts> for Counts {
    fn from(stored: StoredCounts) -> Self {
        let StoredCounts { offered, inserted, updated, unchanged, deleted, rejected, .. } = stored;
        let mut counts =
            Self { offered, inserted, updated, unchanged, deleted, rejected, skipped: stored.skipped_by_reason };
        match stored.skipped {
            Skipped::ByReason(by_reason) => {
                for (reason, count) in by_reason {
                    counts.skip(if reason == OLDER_SENTENCE { Self::OLDER } else { &reason }, count);
                }
            }
            Skipped::Total(_) => {}
        }
        counts
    }
}

impl From<Counts> for StoredCounts {
    fn from(counts: Counts) -> Self {
        let skipped = Skipped::Total(counts.skipped_total());
        let Counts { offered, inserted, updated, unchanged, deleted, rejected, skipped: skipped_by_reason } = counts;
        Self { offered, inserted, updated, unchanged, deleted, skipped, skipped_by_reason, rejected }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(change: impl FnOnce(&mut serde_json::Value)) -> RunRecord {
        let mut record = json!({
            "id": "0197f3a0-0000-7000-8000-000000000000", "resource": "r", "mode": "incremental", "status": "partial",
            "started_at": "2026-01-01T00:00:00Z", "ended_at": null, "interrupted": false,
            "counts": {"offered": 3, "inserted": 1, "updated": 0, "unchanged": 0, "deleted": 0, "rejected": 0,
                "skipped": {"older than the stored version": 1, "pull request, left out": 1}},
            "commits": 1, "traffic": {"requests": 1, "bytes": 2, "waited_ms": 3},
            "timings": {"total_ms": 1, "read_ms": 1, "commit_ms": 0, "verify_ms": 0}, "error": null
        });
        change(&mut record);
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let run = record(|record| record["interrupted"] = true.into());
        assert_eq!(run.status, RunStatus::Interrupted);
        assert_eq!((run.counts.skipped[Counts::OLDER], run.counts.skipped["pull_request_left_out"]), (1, 1));
        assert!(run.counts.add_up());
        let run = record(|record| drop(record["counts"].as_object_mut().unwrap().remove("skipped")));
        assert_eq!((run.status, run.counts.skipped_total()), (RunStatus::Partial, 0));
    }

    #[test]
    fn a_record_round_trips_and_names_every_count() {
        let run = record(|_| ());
        let json = serde_json::to_value(&run).unwrap();
        assert_eq!(json["counts"]["skipped"], 2);
        assert_eq!(json["counts"]["skipped_by_reason"], json!({"older_version": 1, "pull_request_left_out": 1}));
        assert_eq!(serde_json::from_value::<RunRecord>(json).unwrap(), run);
        let none = serde_json::to_value(Counts::default()).unwrap();
        assert_eq!((&none["skipped"], &none["skipped_by_reason"]), (&json!(0), &json!({})));
    }
}
