//! What a run changes in the marks of its stream, and how long a record can be believed that says that a run goes on.

use jiff::{SignedDuration, Timestamp};

use super::super::{Failing, Marks};
use super::{RunRecord, RunStatus};
use crate::ErrorKind;

/// How long a running record without [`RunRecord::lease_until`] counts as running: older versions wrote none.
const LEASE_OF_OLDER_VERSIONS: SignedDuration = SignedDuration::from_hours(24);

impl Marks {
    /// The marks at the end of a run that began with these. Of a run that has not ended, `at` is the time of its newest commit.
    #[must_use]
    pub fn after(mut self, run: &RunRecord, at: Timestamp) -> Self {
        let at = run.ended_at.unwrap_or(at);
        if run.counts.changed() {
            self.last_change_at = Some(at);
        }
        let error = run.error.as_ref().map(|error| error.kind);
        match (run.status, error) {
            (RunStatus::Complete, _) | (RunStatus::Partial, None) => {
                self.last_success_at = Some(at);
                self.failing = None;
            }
            (_, Some(ErrorKind::Conflict)) | (RunStatus::Running | RunStatus::Interrupted, _) => {}
            (RunStatus::Failed | RunStatus::Partial, _) => {
                let before = self.failing.unwrap_or(Failing::new(at, 0));
                self.failing = Some(Failing { tries: before.tries.saturating_add(1), ..before });
            }
        }
        self
    }
}

impl RunRecord {
    /// The status at a time: a run whose [lease](Self::lease_until) is over has died, and counts as interrupted.
    pub fn status_at(&self, now: Timestamp) -> RunStatus {
        let lease_until = || {
            let of_older_version = || self.started_at.saturating_add(LEASE_OF_OLDER_VERSIONS);
            self.lease_until.unwrap_or_else(|| of_older_version().unwrap_or(self.started_at))
        };
        match self.status {
            RunStatus::Running if lease_until() < now => RunStatus::Interrupted,
            status => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Counts, Error, Mode, RunId, StateKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A run that started at this second, and ended half a minute later.
    fn run(second: i64, status: RunStatus, error: Option<ErrorKind>, inserted: u64) -> RunRecord {
        let run = RunRecord::new(RunId::new(), StateKey::new("r", "s"), Mode::Incremental, at(second));
        let ended_at = (status != RunStatus::Running).then(|| at(second + 30));
        let counts = Counts { offered: inserted, inserted, ..Counts::default() };
        let error = error.map(|kind| Error::new(kind, "x").report());
        RunRecord { status, ended_at, counts, error, ..run }
    }

    fn is_success(run: &RunRecord) -> bool {
        run.status == RunStatus::Complete || run.status == RunStatus::Partial && run.error.is_none()
    }

    fn is_failure(run: &RunRecord) -> bool {
        let is_conflict = run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Conflict);
        matches!(run.status, RunStatus::Failed | RunStatus::Partial) && !is_success(run) && !is_conflict
    }

    /// The marks after all these runs, from all of them.
    fn of_history(runs: &[RunRecord]) -> Marks {
        let end = |run: &RunRecord| run.ended_at.unwrap_or(run.started_at);
        let since = runs.iter().rposition(is_success).map_or(0, |last| last + 1);
        let failed: Vec<&RunRecord> = runs[since..].iter().filter(|run| is_failure(run)).collect();
        Marks {
            last_success_at: runs.iter().rev().find(|run| is_success(run)).map(end),
            last_change_at: runs.iter().rev().find(|run| run.counts.changed()).map(end),
            failing: failed.first().map(|first| Failing::new(end(first), failed.len() as u64)),
        }
    }

    fn outcomes() -> impl Strategy<Value = Vec<(RunStatus, Option<ErrorKind>, u64)>> {
        let status = prop::sample::select(vec![
            RunStatus::Running,
            RunStatus::Complete,
            RunStatus::Partial,
            RunStatus::Interrupted,
            RunStatus::Failed,
        ]);
        let error = prop::option::of(prop::sample::select(vec![ErrorKind::Unavailable, ErrorKind::Conflict]));
        let outcome = (status, error, 0..2_u64).prop_map(|(status, error, inserted)| {
            let error = if status == RunStatus::Complete { None } else { error };
            (status, error, inserted)
        });
        prop::collection::vec(outcome, 0..12)
    }

    proptest! {
        #[test]
        fn marks_are_those_of_the_whole_history(outcomes in outcomes()) {
            let mut runs: Vec<RunRecord> = Vec::new();
            for (n, (status, error, inserted)) in (0..).zip(outcomes) {
                let run = run(60 * n, status, error, inserted);
                let before = runs.last().map(|before: &RunRecord| before.marks).unwrap_or_default();
                let marks = before.after(&run, run.started_at);
                // As a store writes and reads it.
                let stored = serde_json::to_string(&RunRecord { marks, ..run }).unwrap();
                runs.push(serde_json::from_str(&stored).unwrap());
                prop_assert_eq!(runs.last().unwrap().marks, of_history(&runs));
            }
        }
    }

    #[test]
    fn a_record_of_an_older_version_gives_marks_by_its_own_status() {
        use RunStatus::{Complete, Failed, Interrupted, Partial, Running};
        let read = |run: &RunRecord| -> Marks {
            let mut json = serde_json::to_value(run).unwrap();
            for name in ["last_success_at", "last_change_at", "failing", "lease_until"] {
                assert!(json.as_object_mut().unwrap().remove(name).is_some(), "{name} is written in each record");
            }
            serde_json::from_value::<RunRecord>(json).unwrap().marks
        };
        let failing = Some(Failing::new(at(90), 1));
        for (status, error, inserted, success, change, failing) in [
            (Complete, None, 1, Some(at(90)), Some(at(90)), None),
            (Complete, None, 0, Some(at(90)), None, None),
            (Partial, None, 0, Some(at(90)), None, None),
            (Partial, Some(ErrorKind::Unavailable), 1, None, Some(at(90)), failing),
            (Failed, Some(ErrorKind::Unavailable), 0, None, None, failing),
            (Failed, Some(ErrorKind::Conflict), 0, None, None, None),
            (Interrupted, None, 0, None, None, None),
            (Running, None, 1, None, Some(at(60)), None),
        ] {
            let expected = Marks { last_success_at: success, last_change_at: change, failing };
            assert_eq!(read(&run(60, status, error, inserted)), expected, "{status} {error:?}");
        }
    }

    #[test]
    fn a_run_whose_lease_is_over_counts_as_interrupted() {
        use RunStatus::{Complete, Interrupted, Running};
        let running = run(60, Running, None, 0);
        let leased = RunRecord { lease_until: Some(at(100)), ..running.clone() };
        assert_eq!((leased.status_at(at(100)), leased.status_at(at(101))), (Running, Interrupted));
        let day = 60 + 24 * 3_600;
        assert_eq!((running.status_at(at(day)), running.status_at(at(day + 1))), (Running, Interrupted));
        assert_eq!(run(60, Complete, None, 0).status_at(at(1_000_000)), Complete);
    }
}
