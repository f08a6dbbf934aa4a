//! The idle runs of a metered store that may have to be recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{RunRecord, StateKey};

/// How old the newest recorded run of a stream must be for an idle one to be recorded while the store is awake.
const WHEN_AWAKE: SignedDuration = SignedDuration::from_hours(1);

/// The idle runs since the last heartbeat. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleRuns(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    /// The newest idle run of each stream whose newest recorded run is older than [`WHEN_AWAKE`].
    runs: BTreeMap<StateKey, RunRecord>,
    /// Whether one of them must be recorded now.
    is_due: bool,
    /// A stream whose state this process has written; the store is therefore awake.
    written: Option<StateKey>,
}

impl IdleRuns {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the state of a stream was written, and that the store is therefore awake.
    pub(super) fn note_write(&self, key: StateKey) {
        self.lock().written = Some(key);
    }

    /// Adds an idle run. The newest recorded run of its stream began at `recorded`, if there is any.
    pub(super) fn add(&self, run: RunRecord, recorded: Option<Timestamp>, heartbeat: Duration) {
        if heartbeat.is_zero() {
            return;
        }
        let heartbeat = SignedDuration::try_from(heartbeat).unwrap_or(SignedDuration::MAX);
        let age = recorded.map_or(SignedDuration::MAX, |recorded| run.started_at.duration_since(recorded));
        let mut pending = self.lock();
        pending.is_due |= age >= heartbeat;
        if age >= heartbeat.min(WHEN_AWAKE) {
            pending.runs.insert(run.key(), run);
        }
    }

    /// Forgets an idle run, because a commit of another one has recorded it.
    pub(super) fn forget(&self, run: &RunRecord) {
        self.lock().runs.retain(|_, pending| pending.id != run.id);
    }

    /// Takes the runs to record now, and a stream whose state was written. If no run has to be recorded, forgets all of them: later runs
    /// of their streams take their place.
    pub(super) fn take(&self) -> (Vec<RunRecord>, Option<StateKey>) {
        let Pending { runs, is_due, written } = std::mem::take(&mut *self.lock());
        let runs = if is_due || written.is_some() { runs.into_values().collect() } else { Vec::new() };
        (runs, written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, RunId};

    const HOUR: i64 = 3_600;
    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(stream: &str, second: i64) -> RunRecord {
        RunRecord::new(RunId::new(), StateKey::new("r", stream), Mode::Incremental, at(second))
    }

    /// The streams of the runs that are recorded, after runs at `now` of streams whose newest recorded runs are these.
    fn recorded(runs: &[(&str, Option<i64>)], is_awake: bool, heartbeat: Duration) -> Vec<String> {
        let (idle, now) = (IdleRuns::default(), 100 * HOUR);
        for (stream, recorded) in runs {
            idle.add(run(stream, now), recorded.map(|hours| at(now - hours * HOUR)), heartbeat);
        }
        if is_awake {
            idle.note_write(StateKey::new("r", "x"));
        }
        idle.take().0.into_iter().map(|run| run.stream).collect()
    }

    #[test]
    fn idle_runs_are_recorded_once_a_day_and_with_others_once_an_hour() {
        let none: [&str; 0] = [];
        assert_eq!(recorded(&[("a", Some(23)), ("b", Some(0))], false, DAY), none);
        assert_eq!(recorded(&[("a", Some(24)), ("b", Some(2)), ("c", Some(0))], false, DAY), ["a", "b"]);
        assert_eq!(recorded(&[("a", Some(2)), ("b", Some(0))], true, DAY), ["a"]);
        assert_eq!(recorded(&[("a", None)], false, DAY), ["a"], "it was never recorded");
    }

    #[test]
    fn the_rate_can_be_chosen() {
        let none: [&str; 0] = [];
        assert_eq!(recorded(&[("a", Some(1)), ("b", Some(0))], false, Duration::from_secs(1_800)), ["a"]);
        assert_eq!(recorded(&[("a", Some(99)), ("b", None)], true, Duration::ZERO), none);
    }

    #[test]
    fn a_later_run_takes_the_place_of_one_that_was_not_recorded() {
        let idle = IdleRuns::default();
        for second in [0, 60] {
            idle.add(run("a", second), None, DAY);
        }
        let (runs, _) = idle.take();
        assert_eq!(runs.iter().map(|run| run.started_at).collect::<Vec<_>>(), [at(60)]);
        assert!(idle.take().0.is_empty());
        idle.add(run("a", 2 * HOUR), Some(at(0)), DAY);
        assert!(idle.take().0.is_empty());
        idle.note_write(StateKey::new("r", "a"));
        assert!(idle.take().0.is_empty(), "it would have been the second of two");
    }
}
