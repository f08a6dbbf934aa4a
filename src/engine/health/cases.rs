//! The cases that this model and the views of the native app answer equally: `cases.json` has them with the answers of the model, and a
//! test of the app gives them to its views. `SNOWFEED_BLESS=1` rewrites the file.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::report::{Health, HealthFacts};
use super::stream::Known;
use crate::engine::Schedule;
use crate::state::Marks;
use crate::{
    Error, ErrorKind, Mode, ResourceConfig, RunId, RunRecord, RunStatus, StateEntry, StateKey, StateVersion,
    StreamState, StreamStatus,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/health/cases.json");

/// A Thursday at noon. All cases are judged at this time.
const NOW: i64 = 1_772_712_000;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How often the native app records runs that find nothing new.
const HEARTBEAT: Duration = Duration::from_secs(24 * 60 * 60);

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds_ago).unwrap()
}

/// A run that began this long ago and took half a minute.
fn run(seconds_ago: i64, status: RunStatus) -> RunRecord {
    let run = RunRecord::new(RunId::new(), StateKey::new("", ""), Mode::Incremental, at(seconds_ago));
    let ended_at = (status != RunStatus::Running).then(|| at(seconds_ago - 30));
    let error = (status == RunStatus::Failed).then(|| Error::unavailable("down").with_help("wait").report());
    RunRecord { status, ended_at, error, lease_until: Some(at(seconds_ago - 3 * HOUR)), ..run }
}

/// The newest of these runs, each with the marks after the one before it.
fn last(runs: impl IntoIterator<Item = RunRecord>) -> Value {
    let mut marks = Marks::default();
    let mut newest = Value::Null;
    for run in runs {
        marks = marks.after(&run, run.started_at);
        newest = serde_json::to_value(RunRecord { marks, ..run }).unwrap();
    }
    newest
}

/// The record of a run as an older version wrote it, without marks.
fn old(run: &RunRecord) -> Value {
    let mut json = serde_json::to_value(run).unwrap();
    for name in ["last_success_at", "last_change_at", "failing", "lease_until"] {
        json.as_object_mut().unwrap().remove(name);
    }
    json
}

/// A stream: its newest run, or null, and its newest state.
#[derive(Clone)]
struct Stream {
    run: Value,
    state: Option<(Timestamp, StreamState)>,
}

fn stream(run: Value) -> Stream {
    Stream { run, state: None }
}

fn of(runs: impl IntoIterator<Item = RunRecord>) -> Stream {
    stream(last(runs))
}

impl Stream {
    fn state(self, seconds_ago: i64, status: RunStatus, message: Option<&str>) -> Self {
        let state = StreamState { message: message.map(str::to_owned), ..StreamState::new(status, RunId::new()) };
        Self { state: Some((at(seconds_ago), state)), ..self }
    }
}

/// A resource with its streams.
struct Resource {
    name: String,
    enabled: bool,
    schedule: Option<&'static str>,
    streams: Vec<Stream>,
}

fn resource(name: impl Into<String>, schedule: Option<&'static str>, streams: impl Into<Vec<Stream>>) -> Resource {
    Resource { name: name.into(), enabled: true, schedule, streams: streams.into() }
}

fn paused(name: &str, streams: impl Into<Vec<Stream>>) -> Resource {
    Resource { enabled: false, ..resource(name, None, streams) }
}

const STREAMS: [&str; 3] = ["issues", "comments", "reactions"];

impl Resource {
    fn facts(&self) -> Vec<HealthFacts> {
        let config =
            ResourceConfig { enabled: self.enabled, schedule: self.schedule.map(str::to_owned), streams: None };
        let schedule = Schedule::stored(&config);
        let facts = self.streams.iter().map(|stream| {
            let run: Option<RunRecord> = serde_json::from_value(stream.run.clone()).unwrap();
            let entry = stream.state.clone().map(|(at, state)| StateEntry::new(StateVersion(1), at, state));
            let (status, heartbeat) = (StreamStatus::new(entry, run), Some(HEARTBEAT));
            let known =
                Known { status: &status, schedule: schedule.as_ref(), is_enabled: self.enabled, heartbeat, now: at(0) };
            known.facts()
        });
        facts.collect()
    }

    fn together(&self) -> HealthFacts {
        HealthFacts::roll_up(&self.facts())
    }

    fn json(&self) -> Value {
        let streams: BTreeMap<&str, Value> = STREAMS
            .iter()
            .zip(self.streams.iter().zip(self.facts()))
            .map(|(name, (stream, facts))| {
                let state = stream.state.as_ref().map(|(at, state)| json!({ "at": at, "state": state }));
                (*name, json!({ "run": stream.run, "state": state, "expected": facts }))
            })
            .collect();
        json!({
            "resource": self.name, "enabled": self.enabled, "schedule": self.schedule, "streams": streams,
            "expected": self.together(),
        })
    }
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn resources() -> Vec<Resource> {
    use RunStatus::{Complete, Failed, Interrupted, Partial, Running};
    let one = |name: &str, stream: Stream| resource(name, None, [stream]);
    let on = |name: &str, schedule, seconds_ago| resource(name, Some(schedule), [of([run(seconds_ago, Complete)])]);
    let conflict = |seconds_ago| RunRecord {
        error: Some(Error::new(ErrorKind::Conflict, "moved on").report()),
        ..run(seconds_ago, Failed)
    };
    let changed = |seconds_ago, status| {
        let run = run(seconds_ago, status);
        RunRecord { counts: crate::Counts { offered: 2, inserted: 2, ..run.counts.clone() }, ..run }
    };
    let partial = RunRecord { error: Some(Error::unavailable("gone").report()), ..run(HOUR, Partial) };
    let mut old_word = old(&run(HOUR, Complete));
    old_word["status"] = "DONE".into();
    let mut old_failed = old(&run(HOUR, Failed));
    old_failed["status"] = "FAILED".into();
    let mut old_interrupted = old(&run(HOUR, Partial));
    old_interrupted["interrupted"] = true.into();
    let mut did_not_start = last([run(3 * HOUR, Complete), run(HOUR, Failed)]);
    did_not_start["started"] = false.into();
    did_not_start["error"]["code"] = "INACCESSIBLE_WAREHOUSE".into();
    let leased = |seconds_ago, until: i64| RunRecord { lease_until: Some(at(-until)), ..run(seconds_ago, Running) };
    vec![
        one("never run", stream(Value::Null)),
        one("healthy", of([run(HOUR, Complete)])),
        one("healthy, just now", of([run(0, Complete)])),
        one("with a change", of([changed(DAY, Complete), run(HOUR, Complete)])),
        one("rejected some", of([run(HOUR, Partial)])),
        one("failing once", of([run(HOUR, Failed)])),
        one("failing after a success", of([run(2 * HOUR, Complete), run(HOUR, Failed)])),
        one("failing three times", of([run(3 * HOUR, Failed), run(2 * HOUR, Failed), run(HOUR, Failed)])),
        one("failing for a week", of([run(7 * DAY, Failed), run(HOUR, Failed)])),
        one("failing and late", of([run(9 * DAY, Complete), run(5 * DAY, Failed)])),
        one("failing, then partial with an error", of([run(2 * HOUR, Failed), partial.clone()])),
        one("partial with an error", of([partial])),
        one("failed, then complete", of([run(2 * HOUR, Failed), run(HOUR, Complete)])),
        one("failed, then rejected some", of([run(2 * HOUR, Failed), run(HOUR, Partial)])),
        one("failed, then interrupted", of([run(2 * HOUR, Failed), run(HOUR, Interrupted)])),
        one("failed, then running", of([run(2 * HOUR, Failed), run(HOUR, Running)])),
        one(
            "failed, then running, with a message",
            of([run(2 * HOUR, Failed), run(HOUR, Running)]).state(2 * HOUR, Failed, Some("still down")),
        ),
        one(
            "failed, then running, with a message of a success",
            of([run(2 * HOUR, Failed), run(HOUR, Running)]).state(2 * HOUR, Complete, Some("all is well")),
        ),
        one("replaced by a newer run", of([run(2 * HOUR, Complete), conflict(HOUR)])),
        one("failed, then replaced", of([run(2 * HOUR, Failed), conflict(HOUR)])),
        one("interrupted", of([run(2 * HOUR, Complete), run(HOUR, Interrupted)])),
        one("interrupted long ago", of([run(9 * DAY, Interrupted)])),
        one("running", of([run(HOUR, Running)])),
        one("running for long", of([leased(40 * HOUR, MINUTE)])),
        one("running until now", of([leased(HOUR, 0)])),
        one("running with an expired lease", of([leased(HOUR, -1)])),
        one("running with a commit", of([changed(HOUR, Running)])),
        one("running without a lease", stream(old(&run(23 * HOUR, Running)))),
        one("running without a lease for a day", stream(old(&run(24 * HOUR, Running)))),
        one("running without a lease for too long", stream(old(&run(24 * HOUR + 1, Running)))),
        one("late by a second", of([run(25 * HOUR + 1, Complete)])),
        one("not late yet", of([run(25 * HOUR, Complete)])),
        one("late after rejecting some", of([run(2 * DAY, Partial)])),
        one("restored from last week", of([changed(7 * DAY, Complete)])),
        one("restored while it ran", of([run(7 * DAY, Running)])),
        one("restored while it failed", of([run(7 * DAY, Failed)])),
        one("a clock an hour ahead", of([run(-HOUR, Complete)])),
        one("a clock half a minute ahead", of([run(-30, Complete)])),
        one("a clock a minute ahead", of([run(-MINUTE, Complete)])),
        one("a clock an hour ahead, failing", of([run(-HOUR, Failed)])),
        one("a clock an hour ahead, running", of([run(-HOUR, Running)])),
        one(
            "a clock an hour ahead, and a failure since",
            of([run(-HOUR, Complete)]).state(MINUTE, Failed, Some("down")),
        ),
        one("a clock an hour ahead, and a success since", of([run(-HOUR, Failed)]).state(MINUTE, Complete, None)),
        one(
            "a clock an hour ahead, failing, and a failure since",
            of([run(-HOUR, Failed)]).state(MINUTE, Failed, None),
        ),
        one(
            "a clock an hour ahead, and interrupted since",
            of([run(-HOUR, Complete)]).state(MINUTE, Interrupted, None),
        ),
        one("a clock an hour behind", of([run(25 * HOUR + HOUR, Complete)])),
        one("old, complete", stream(old(&run(HOUR, Complete)))),
        one("old, complete with a change", stream(old(&changed(HOUR, Complete)))),
        one("old, failed", stream(old(&run(HOUR, Failed)))),
        one("old, replaced", stream(old(&conflict(HOUR)))),
        one("old, partial", stream(old(&run(HOUR, Partial)))),
        one("old, in upper case", stream(old_word)),
        one("old, failed, in upper case", stream(old_failed)),
        one("old, with a flag for interrupted", stream(old_interrupted)),
        one("old and late", stream(old(&run(3 * DAY, Complete)))),
        one("did not start", stream(did_not_start)),
        paused("paused", [of([run(HOUR, Complete)])]),
        paused("paused, failing", [of([run(2 * HOUR, Complete), run(HOUR, Failed)])]),
        paused("paused, running", [of([run(HOUR, Running)])]),
        paused("paused, never run", [stream(Value::Null)]),
        paused("paused long ago", [of([run(90 * DAY, Complete)])]),
        on("every two hours", "2h", 3 * HOUR),
        on("every two hours, late", "2h", 29 * HOUR),
        on("every 90 minutes", "1h 30m", HOUR),
        on("every 90 minutes, late", "1h 30m", 28 * HOUR),
        on("every 90 seconds", "90s", 10),
        on("every day", "24h", 20 * HOUR),
        on("every day, late", "24h", 75 * HOUR),
        on("nightly", "15 2 * * *", 10 * HOUR),
        on("nightly, of the day before yesterday", "15 2 * * *", 2 * DAY + 9 * HOUR),
        on("nightly, late", "15 2 * * *", 3 * DAY + 11 * HOUR),
        on("on weekdays", "0 9 * * 1-5", 3 * HOUR),
        on("on weekdays, since Friday", "0 9 * * MON-FRI", 6 * DAY + 3 * HOUR),
        on("on weekdays, since Tuesday", "0 9 * * 1-5", 2 * DAY + 3 * HOUR),
        on("every five minutes", "*/5 * * * *", 7 * MINUTE),
        on("every five minutes, late", "*/5 * * * *", 25 * HOUR),
        on("on the first of the month", "0 0 1 * *", 4 * DAY + 11 * HOUR),
        on("on the first of the month, since January", "0 0 1 * *", 40 * DAY),
        on("twice a day in spring", "30 6,18 * 3-5 *", 5 * HOUR),
        on("on the last day of the month", "0 0 L * *", 5 * DAY + 11 * HOUR),
        on("on the 29th of February", "0 0 29 2 *", 300 * DAY),
        on("on the 13th or a Friday", "0 0 13 * 5", 6 * DAY),
        resource("never run, nightly", Some("15 2 * * *"), [stream(Value::Null)]),
        resource("no schedule", Some("every full moon"), [of([run(2 * HOUR, Complete), run(HOUR, Failed)])]),
        resource("two streams", None, [of([run(HOUR, Complete)]), of([changed(3 * HOUR, Complete)])]),
        resource(
            "one of two fails",
            None,
            [of([run(HOUR, Complete)]), of([run(2 * HOUR, Complete), run(HOUR, Failed)])],
        ),
        resource(
            "one of three never ran",
            None,
            [of([run(HOUR, Complete)]), stream(Value::Null), of([run(HOUR, Complete)])],
        ),
        resource(
            "one of three is late",
            None,
            [of([run(HOUR, Complete)]), of([run(3 * DAY, Complete)]), of([run(HOUR, Running)])],
        ),
        resource("both fail", None, [of([run(HOUR, Failed)]), of([run(3 * HOUR, Failed), run(HOUR, Failed)])]),
        resource("interrupted and late", None, [of([run(HOUR, Interrupted)]), of([run(3 * DAY, Complete)])]),
        paused("two paused streams", [of([run(HOUR, Complete)]), of([run(2 * HOUR, Failed)])]),
    ]
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Resources with random histories of up to three streams.
fn random(count: usize) -> Vec<Resource> {
    let mut numbers = Numbers(1);
    let schedules =
        [None, Some("2h"), Some("1h 30m"), Some("15 2 * * *"), Some("*/20 7-9 * * 1-5"), Some("0 12 1,15 * *")];
    let statuses =
        [RunStatus::Running, RunStatus::Complete, RunStatus::Partial, RunStatus::Interrupted, RunStatus::Failed];
    (0..count)
        .map(|number| {
            let streams: Vec<Stream> = (0..=numbers.below(3)).map(|_| history(&mut numbers, &statuses)).collect();
            let schedule = schedules[usize::try_from(numbers.below(6)).unwrap()];
            let enabled = numbers.below(8) > 0;
            Resource { enabled, ..resource(format!("random {number}"), schedule, streams) }
        })
        .collect()
}

fn history(numbers: &mut Numbers, statuses: &[RunStatus]) -> Stream {
    // From the future, the last hours, the last days, or the last weeks.
    let span = [2 * HOUR, 4 * HOUR, 4 * DAY, 40 * DAY][usize::try_from(numbers.below(4)).unwrap()];
    let mut ago = numbers.below(span) - if span == 2 * HOUR { 2 * HOUR } else { 0 };
    let mut runs = Vec::new();
    for _ in 0..numbers.below(5) {
        let status = statuses[usize::try_from(numbers.below(5)).unwrap()];
        let error = match (status, numbers.below(3)) {
            (RunStatus::Complete, _) | (_, 0) => None,
            (_, 1) => Some(Error::new(ErrorKind::Conflict, "moved on").report()),
            _ => Some(Error::unavailable("down").with_help("wait").report()),
        };
        let mut run = RunRecord { error, ..run(ago, status) };
        run.counts.inserted = numbers.below(2).unsigned_abs();
        run.lease_until = (numbers.below(3) > 0).then(|| at(ago - numbers.below(3 * HOUR)));
        runs.push(run);
        ago += numbers.below(DAY) + 31;
    }
    runs.reverse();
    let newest = match runs.last() {
        Some(run) if numbers.below(4) == 0 => old(run),
        _ => last(runs),
    };
    match numbers.below(3) {
        0 if !newest.is_null() => {
            let status = statuses[usize::try_from(numbers.below(5)).unwrap()];
            stream(newest).state(numbers.below(HOUR), status, (numbers.below(2) == 0).then_some("a message"))
        }
        _ => stream(newest),
    }
}

/// Resources that make a connector together, by their names.
const CONNECTORS: [&[&str]; 12] = [
    &[],
    &["healthy"],
    &["never run"],
    &["healthy", "with a change", "every day"],
    &["healthy", "paused, failing"],
    &["paused", "paused long ago"],
    &["healthy", "running", "never run"],
    &["healthy", "nightly, late", "every two hours, late"],
    &["late by a second", "interrupted"],
    &["failing once", "failing for a week", "interrupted", "healthy", "paused"],
    &["restored from last week", "restored while it ran"],
    &["one of two fails", "two streams", "two paused streams"],
];

/// The answers without what only one side can know: the texts of a schedule that cannot be read, and the help of a failure without an error.
fn cases() -> Value {
    let mut resources = resources();
    let connectors: Vec<Value> = CONNECTORS
        .iter()
        .map(|names| {
            let parts: Vec<HealthFacts> = names
                .iter()
                .map(|name| resources.iter().find(|resource| resource.name == **name).unwrap().together())
                .collect();
            json!({ "resources": names, "expected": HealthFacts::roll_up(&parts) })
        })
        .collect();
    resources.extend(random(160));
    let resources: Vec<Value> = resources.iter().map(Resource::json).collect();
    json!({ "now": at(0), "resources": resources, "connectors": connectors })
}

/// Replaces what differs each time: the ids of runs.
fn without_ids(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if matches!(name.as_str(), "id" | "run") && member.is_string() {
                    *member =
                        format!("00000000-0000-7000-8000-0000000000{}", if name == "id" { "01" } else { "02" }).into();
                } else {
                    without_ids(member);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_ids),
        _ => {}
    }
}

#[test]
fn the_model_gives_the_answers_that_the_views_of_the_native_app_must_give() {
    let mut cases = cases();
    without_ids(&mut cases);
    // One line for each resource.
    let lines = |name: &str| {
        let values = cases[name].as_array().unwrap().iter().map(|value| serde_json::to_string(value).unwrap());
        values.collect::<Vec<_>>().join(",\n")
    };
    let now = &cases["now"];
    let text = format!(
        "{{\"now\": {now},\n\"resources\": [\n{}\n],\n\"connectors\": [\n{}\n]}}\n",
        lines("resources"),
        lines("connectors")
    );
    if std::env::var_os("SNOWFEED_BLESS").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap();
    let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    assert!(kept == text, "SNOWFEED_BLESS=1 keeps the changed answers: {differs:?}");
}

#[test]
fn the_cases_have_every_word() {
    let resources = resources();
    for health in Health::ALL.into_iter().filter(|health| *health != Health::NotConfigured) {
        assert!(resources.iter().any(|resource| resource.together().health == health), "{health}");
    }
    assert!(SignedDuration::try_from(HEARTBEAT).unwrap() == SignedDuration::from_hours(24));
    assert_eq!(crate::Limits::default().heartbeat, HEARTBEAT);
}
