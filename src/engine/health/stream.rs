//! The health of one stream, from what the store and the configuration say.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::report::{Failure, Health, HealthFacts};
use crate::engine::schedule::{SKEW, Schedule, next_due};
use crate::state::{Failing, Marks};
use crate::{Error, ErrorReport, RunRecord, RunStatus, StateEntry, StreamStatus};

/// What decides about the health of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) status: &'a StreamStatus,
    /// The schedule of its resource; an error if that, or the selection of its streams, cannot be used.
    pub(super) schedule: Result<&'a Schedule, &'a Error>,
    pub(super) is_enabled: bool,
    /// How often a metered store records a run that found nothing new; zero: never. `None` if the store is not metered.
    pub(super) heartbeat: Option<Duration>,
    pub(super) now: Timestamp,
}

/// How the newest run went.
struct Newest {
    status: RunStatus,
    at: Timestamp,
    marks: Marks,
}

impl Newest {
    /// By the newest record. One from the future was written under a wrong clock, and hides the later ones until that time comes. The
    /// states are ordered without a clock, so that the newest one tells how the later run went.
    fn new(run: &RunRecord, entry: Option<&StateEntry>, now: Timestamp) -> Self {
        let at = run.ended_at.unwrap_or(run.started_at);
        let newest = Self { status: run.status_at(now), at, marks: run.marks };
        let later = entry.filter(|entry| run.started_at.duration_since(now) > SKEW && entry.state.run != run.id);
        let Some(StateEntry { at, state, .. }) = later else { return newest };
        let marks = match state.status {
            RunStatus::Complete => Marks { last_success_at: Some(*at), failing: None, ..run.marks },
            RunStatus::Failed => Marks { failing: run.marks.failing.or(Some(Failing::new(*at, 1))), ..run.marks },
            _ => run.marks,
        };
        Self { status: state.status, at: *at, marks }
    }
}

impl Known<'_> {
    /// The health of the stream.
    pub(super) fn facts(&self) -> HealthFacts {
        let Self { status, now, .. } = *self;
        let (run, entry) = (status.run.as_ref(), status.entry.as_ref());
        let newest = run.map(|run| Newest::new(run, entry, now));
        let marks = newest.as_ref().map(|newest| newest.marks).unwrap_or_default();
        let past = |at: Timestamp| at.min(now);
        let facts = HealthFacts {
            last_checked_at: newest.as_ref().map(|newest| past(newest.at)),
            last_success_at: marks.last_success_at.map(past),
            last_change_at: marks.last_change_at.map(past),
            ..HealthFacts::new(Health::Paused)
        };
        if !self.is_enabled {
            return facts;
        }
        let schedule = match self.schedule {
            Ok(schedule) => schedule,
            Err(error) => {
                let failing = Some(self.failure(&error.report(), marks.failing));
                return HealthFacts { health: Health::Failing, failing, ..facts };
            }
        };
        let (next_due_at, late_since) = self.due(schedule, run);
        let failing = marks.failing.map(|failing| {
            let report = run.and_then(|run| run.error.clone()).unwrap_or_else(|| self.last_message());
            self.failure(&report, Some(failing))
        });
        let health = match newest.map(|newest| newest.status) {
            _ if failing.is_some() => Health::Failing,
            Some(RunStatus::Interrupted) => Health::Interrupted,
            // A run that began in time and goes on is not late, however long it takes.
            Some(RunStatus::Running) => Health::Running,
            _ if late_since.is_some() => Health::Late,
            None => Health::NeverRun,
            Some(_) => Health::Healthy,
        };
        let late_since = late_since.filter(|_| health != Health::Running);
        HealthFacts { health, failing, next_due_at, late_since, ..facts }
    }

    fn failure(&self, report: &ErrorReport, failing: Option<Failing>) -> Failure {
        Failure {
            since: failing.map(|failing| failing.since.min(self.now)),
            tries: failing.map_or(0, |failing| failing.tries),
            kind: Some(report.kind),
            message: report.message.clone(),
            help: report.help.clone(),
        }
    }

    /// What is known about the failure if the newest run has not failed itself: it was interrupted, or goes on.
    fn last_message(&self) -> ErrorReport {
        let state = self.status.entry.as_ref().map(|entry| &entry.state);
        let message = state.filter(|state| matches!(state.status, RunStatus::Failed | RunStatus::Partial));
        let message = message.and_then(|state| state.message.clone());
        let message = message.unwrap_or_else(|| "runs have failed, and none has succeeded since".to_owned());
        Error::internal(message).with_help("`runs` lists them with their errors").report()
    }

    /// When the next run is due, and since when one is late: when the one after it is due, too, and has not begun either.
    fn due(&self, schedule: &Schedule, run: Option<&RunRecord>) -> (Option<Timestamp>, Option<Timestamp>) {
        let now = self.now;
        let Some(due) = next_due([schedule], run.map(|run| run.started_at), now) else { return (None, None) };
        if due == Timestamp::MIN {
            return (Some(now), None);
        }
        // A metered store need not have recorded the runs of the last hours.
        let unrecorded = match self.heartbeat {
            None => Some(SignedDuration::ZERO),
            Some(heartbeat) if heartbeat.is_zero() => None,
            Some(heartbeat) => SignedDuration::try_from(heartbeat).ok(),
        };
        let limit = unrecorded.and_then(|unrecorded| schedule.next(due)?.checked_add(unrecorded).ok());
        if limit.is_some_and(|limit| limit < now) {
            return (Some(due), Some(due));
        }
        let is_unknown = self.heartbeat.is_some() && due < now;
        (if is_unknown { schedule.next(now) } else { Some(due) }, None)
    }
}
