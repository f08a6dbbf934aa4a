//! Tests of health.

use std::time::Duration;

use jiff::Timestamp;

use super::report::{Failure, Health, HealthFacts};
use super::stream::Known;
use crate::engine::Schedule;
use crate::state::Marks;
use crate::{
    Error, ErrorKind, Mode, RunId, RunRecord, RunStatus, StateEntry, StateKey, StateVersion, StreamState, StreamStatus,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// Noon, on a beat of every schedule here.
const NOON: i64 = 12 * HOUR;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A run that began at this second, and ended or committed a minute later.
fn run(second: i64, status: RunStatus) -> RunRecord {
    let run = RunRecord::new(RunId::new(), StateKey::new("r", "s"), Mode::Incremental, at(second));
    let ended_at = (status != RunStatus::Running).then(|| at(second + MINUTE));
    let error = (status == RunStatus::Failed).then(|| Error::unavailable("down").with_help("wait").report());
    let run = RunRecord { status, ended_at, error, lease_until: Some(at(second + 3 * MINUTE)), ..run };
    RunRecord { marks: Marks::default().after(&run, at(second)), ..run }
}

/// A run after another one.
fn after(before: &RunRecord, second: i64, status: RunStatus) -> RunRecord {
    let next = run(second, status);
    RunRecord { marks: before.marks.after(&next, next.started_at), ..next }
}

struct Case {
    status: StreamStatus,
    schedule: Result<Schedule, Error>,
    is_enabled: bool,
    heartbeat: Option<Duration>,
}

/// An enabled stream that is due every 30 minutes, in a store that is not metered.
fn case(run: impl Into<Option<RunRecord>>) -> Case {
    let (status, schedule) = (StreamStatus::new(None, run.into()), Ok(Schedule::default()));
    Case { status, schedule, is_enabled: true, heartbeat: None }
}

impl Case {
    fn at(&self, second: i64) -> HealthFacts {
        let Self { status, schedule, is_enabled, heartbeat } = self;
        let (schedule, now) = (schedule.as_ref(), at(second));
        Known { status, schedule, is_enabled: *is_enabled, heartbeat: *heartbeat, now }.facts()
    }

    /// The health at each of these times.
    #[track_caller]
    fn assert(&self, expected: &[(i64, Health)]) {
        for (second, health) in expected {
            assert_eq!(self.at(*second).health, *health, "at {} minutes", second / MINUTE);
        }
    }
}

#[test]
fn each_word_and_each_transition() {
    use Health::{Failing, Healthy, Interrupted, Late, NeverRun, Running};
    use RunStatus::{Complete, Failed, Partial};

    case(None).assert(&[(NOON, NeverRun), (NOON + 99 * HOUR, NeverRun)]);
    let running = case(run(NOON, RunStatus::Running));
    running.assert(&[(NOON + MINUTE, Running), (NOON + 3 * MINUTE, Running), (NOON + 3 * MINUTE + 1, Interrupted)]);
    // The next one is due at half past twelve, and the one after it at one.
    let healthy = case(run(NOON, Complete));
    healthy.assert(&[(NOON + MINUTE, Healthy), (NOON + HOUR, Healthy), (NOON + HOUR + 1, Late)]);
    case(run(NOON, Partial)).assert(&[(NOON + MINUTE, Healthy), (NOON + HOUR + 1, Late)]);
    // Its process is not alive, and that is worse than late.
    case(run(NOON, RunStatus::Interrupted)).assert(&[(NOON + MINUTE, Interrupted), (NOON + 2 * HOUR, Interrupted)]);
    case(run(NOON, Failed)).assert(&[(NOON + MINUTE, Failing), (NOON + 99 * HOUR, Failing)]);
    // Only a success ends it.
    let failed = run(NOON, Failed);
    for status in [RunStatus::Running, RunStatus::Interrupted, Failed] {
        case(after(&failed, NOON + 30 * MINUTE, status)).assert(&[(NOON + 31 * MINUTE, Failing)]);
    }
    case(after(&failed, NOON + 30 * MINUTE, Complete)).assert(&[(NOON + 31 * MINUTE, Healthy)]);
    // A run that takes long is not late.
    let long = RunRecord { lease_until: Some(at(NOON + 9 * HOUR)), ..run(NOON, RunStatus::Running) };
    let long = case(long);
    long.assert(&[(NOON + 8 * HOUR, Running)]);
    assert_eq!(long.at(NOON + 8 * HOUR).late_since, None);
}

#[test]
fn a_disabled_stream_is_paused_whatever_happened() {
    for status in [RunStatus::Complete, RunStatus::Failed, RunStatus::Running] {
        let paused = Case { is_enabled: false, ..case(run(NOON, status)) };
        let facts = paused.at(NOON + 9 * HOUR);
        assert_eq!((facts.health, facts.next_due_at, facts.late_since), (Health::Paused, None, None));
        assert!(facts.last_checked_at.is_some());
    }
}

#[test]
fn a_schedule_that_cannot_be_read_is_a_failure() {
    let error = Error::configuration("no schedule").with_help("enable it again");
    let broken = Case { schedule: Err(error), ..case(run(NOON, RunStatus::Complete)) };
    let facts = broken.at(NOON + MINUTE);
    let failing = facts.failing.unwrap();
    assert_eq!(
        (facts.health, failing.message.as_str(), failing.help.as_deref()),
        (Health::Failing, "no schedule", Some("enable it again"))
    );
    assert_eq!((failing.since, failing.tries, facts.last_success_at), (None, 0, Some(at(NOON + MINUTE))));
}

#[test]
fn a_failure_says_since_when_what_and_what_to_do() {
    let first = run(NOON, RunStatus::Failed);
    let second = after(&first, NOON + 30 * MINUTE, RunStatus::Failed);
    let facts = case(second.clone()).at(NOON + HOUR);
    let expected = Failure {
        since: Some(at(NOON + MINUTE)),
        tries: 2,
        kind: Some(ErrorKind::Unavailable),
        message: "down".to_owned(),
        help: Some("wait".to_owned()),
    };
    assert_eq!(facts.failing, Some(expected.clone()));
    assert_eq!((facts.last_checked_at, facts.last_success_at), (Some(at(NOON + 31 * MINUTE)), None));
    // While the next one runs, its state tells what failed.
    let mut running = case(after(&second, NOON + HOUR, RunStatus::Running));
    let state =
        StreamState { message: Some("still down".to_owned()), ..StreamState::new(RunStatus::Failed, second.id) };
    running.status.entry = Some(StateEntry::new(StateVersion(3), at(NOON), state));
    let failing = running.at(NOON + HOUR + MINUTE).failing.unwrap();
    assert_eq!((failing.since, failing.tries, failing.message.as_str()), (expected.since, 2, "still down"));
}

#[test]
fn a_metered_store_is_late_only_after_the_heartbeat_too() {
    use Health::{Healthy, Late};
    let metered = |hours: u64| {
        let heartbeat = Some(Duration::from_secs(3_600 * hours));
        Case { heartbeat, ..case(run(NOON, RunStatus::Complete)) }
    };
    metered(24).assert(&[(NOON + 25 * HOUR, Healthy), (NOON + 25 * HOUR + 1, Late)]);
    metered(1).assert(&[(NOON + 2 * HOUR, Healthy), (NOON + 2 * HOUR + 1, Late)]);
    metered(0).assert(&[(NOON + 999 * HOUR, Healthy)]);
    let facts = metered(24).at(NOON + 5 * HOUR + MINUTE);
    assert_eq!(facts.next_due_at, Some(at(NOON + 5 * HOUR + 30 * MINUTE)), "runs since then need not be recorded");
    assert_eq!(metered(24).at(NOON + 26 * HOUR).late_since, Some(at(NOON + 30 * MINUTE)));
}

#[test]
fn the_next_run_is_due_by_the_schedule() {
    let due = |second| case(run(NOON, RunStatus::Complete)).at(second).next_due_at;
    assert_eq!(due(NOON + MINUTE), Some(at(NOON + 30 * MINUTE)));
    assert_eq!(due(NOON + 40 * MINUTE), Some(at(NOON + 30 * MINUTE)), "it is overdue");
    assert_eq!(case(None).at(NOON).next_due_at, Some(at(NOON)));
    let nightly = Case { schedule: "15 2 * * *".parse(), ..case(run(NOON, RunStatus::Complete)) };
    nightly.assert(&[(NOON + 38 * HOUR, Health::Healthy), (NOON + 39 * HOUR, Health::Late)]);
}

#[test]
fn a_clock_that_was_an_hour_ahead_hides_nothing() {
    let now = NOON;
    // Recorded under the wrong clock. What happened since is older by the clock, so that this stays the newest record for an hour.
    let ahead = run(NOON + HOUR, RunStatus::Complete);
    let mut case = case(ahead.clone());
    let facts = case.at(now);
    assert_eq!(
        (facts.health, facts.last_checked_at, facts.last_success_at),
        (Health::Healthy, Some(at(now)), Some(at(now)))
    );
    assert_eq!((facts.next_due_at, facts.late_since), (Some(at(now)), None), "a run from the future delays nothing");
    let later = |status, message: Option<&str>| {
        let state = StreamState { message: message.map(str::to_owned), ..StreamState::new(status, RunId::new()) };
        Some(StateEntry::new(StateVersion(9), at(now - MINUTE), state))
    };
    case.status.entry = later(RunStatus::Failed, Some("down"));
    let facts = case.at(now);
    let failing = facts.failing.unwrap();
    assert_eq!((facts.health, failing.message.as_str(), failing.tries), (Health::Failing, "down", 1));
    assert_eq!(failing.since, Some(at(now - MINUTE)));
    // A failure under the wrong clock, and a success since.
    case.status.run = Some(run(NOON + HOUR, RunStatus::Failed));
    case.status.entry = later(RunStatus::Complete, None);
    let facts = case.at(now);
    assert_eq!((facts.health, facts.last_success_at), (Health::Healthy, Some(at(now - MINUTE))));
    // A clock that was behind: the record is old, and so it is late until the next run.
    let behind = super::tests::case(run(NOON - HOUR, RunStatus::Complete));
    behind.assert(&[(now, Health::Healthy), (now + 1, Health::Late)]);
}

#[test]
fn a_database_restored_from_last_week_is_late_until_its_next_run() {
    let week = 7 * 24 * HOUR;
    let restored = run(NOON, RunStatus::Complete);
    let facts = case(restored.clone()).at(NOON + week);
    assert_eq!((facts.health, facts.late_since), (Health::Late, Some(at(NOON + 30 * MINUTE))));
    assert_eq!(facts.last_success_at, Some(at(NOON + MINUTE)));
    case(after(&restored, NOON + week, RunStatus::Complete)).assert(&[(NOON + week + MINUTE, Health::Healthy)]);
    // It ran when the copy was made.
    case(run(NOON, RunStatus::Running)).assert(&[(NOON + week, Health::Interrupted)]);
}

fn facts(health: Health, success: Option<i64>) -> HealthFacts {
    HealthFacts { last_success_at: success.map(at), ..HealthFacts::new(health) }
}

#[test]
fn several_are_as_healthy_as_the_worst_of_them() {
    for (index, worst) in Health::ALL.into_iter().enumerate() {
        for other in &Health::ALL[index..] {
            assert_eq!(Health::worst([worst, *other]), worst);
            assert_eq!(Health::worst([*other, worst]), worst);
        }
    }
    assert_eq!(Health::worst([]), Health::NotConfigured);
    let rolled = HealthFacts::roll_up([&facts(Health::Healthy, Some(9)), &facts(Health::Healthy, Some(7))]);
    assert_eq!((rolled.health, rolled.last_success_at), (Health::Healthy, Some(at(7))), "up to then it is complete");
    let rolled = HealthFacts::roll_up([&facts(Health::Healthy, Some(9)), &facts(Health::NeverRun, None)]);
    assert_eq!((rolled.health, rolled.last_success_at), (Health::NeverRun, None));
    let rolled = HealthFacts::roll_up([&facts(Health::Healthy, Some(9)), &facts(Health::Paused, Some(1))]);
    assert_eq!((rolled.health, rolled.last_success_at), (Health::Healthy, Some(at(9))), "paused ones do not count");
    let rolled = HealthFacts::roll_up([&facts(Health::Paused, Some(3)), &facts(Health::Paused, Some(1))]);
    assert_eq!((rolled.health, rolled.last_success_at), (Health::Paused, Some(at(1))));
}

#[test]
fn the_words_are_those_of_every_surface() {
    for health in Health::ALL {
        assert_eq!(serde_json::to_value(health).unwrap(), health.as_str());
        assert_eq!(health.as_str().replace('_', " "), health.words());
    }
}
