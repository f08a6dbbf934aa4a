//! Resources, records and changes for the checks.

use jiff::Timestamp;

use crate::cost::Credits;
use crate::sink::{Commit, CommitReport, StalePolicy, StreamCommit, StreamReport, Sweep};
use crate::state::{StateChange, StateKey, StreamState};
use crate::{
    Counts, ErrorKind, Failing, Marks, Mode, Record, RejectReason, Resource, Result, RunId, RunRecord, RunStatus,
    StateVersion, StreamSpec, Traffic, Version,
};

/// The table that most checks write.
pub(super) const TABLE: &str = "issues";

/// Texts that break careless quoting, encoding, splitting or comparison.
pub(super) const ODD_TEXTS: &[&str] = &[
    "a-b/c",
    "a_b/c",
    "a/b_c",
    "vercel/next.js",
    "1x/ß",
    "A-b/c",
    "A-B/C",
    "issues",
    "Issues",
    "sqlite_master",
    "app_state",
    "APP_STATE",
    "select",
    "it's",
    "a\"b",
    "a\\b",
    "a;drop table issues",
    "a--b",
    "a b",
    "a\tb",
    "a\nb",
    "a\0b",
    "%_*?",
    "$1 ?1 :a @a",
    "日本語",
    "é",
    "e\u{301}",
    "🦀",
    "null",
    "0",
];

/// A resource.
pub(super) fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The default resource.
pub(super) fn widgets() -> Resource {
    resource("acme/widgets")
}

/// The default tables.
pub(super) fn tables() -> Vec<StreamSpec> {
    vec![StreamSpec::new(TABLE).column("title", "title", crate::ColumnType::Text)]
}

/// A time, this many seconds after the beginning of 2024.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_704_067_200 + seconds).unwrap_or_default()
}

/// An upsert.
pub(super) fn upsert(key: &str, version: i64, title: &str) -> Record {
    Record::upsert(key, Version(version), document(title))
}

/// The document of an upsert.
pub(super) fn document(title: &str) -> String {
    format!("{{\"title\":{}}}", serde_json::Value::from(title))
}

/// A deletion.
pub(super) fn delete(key: &str, version: i64) -> Record {
    Record::delete(key, Version(version))
}

/// The key of the default stream of a resource.
pub(super) fn key(resource: &str) -> StateKey {
    StateKey::new(resource, TABLE)
}

/// A commit of the default resource to the default stream.
pub(super) fn commit(seconds: i64, records: impl IntoIterator<Item = Record>) -> Commit {
    Commit::new(widgets(), at(seconds)).part(StreamCommit::new(TABLE, RunId::new()).records(records))
}

/// The same commit with this change of state.
pub(super) fn changed(change: StateChange, mut commit: Commit) -> Commit {
    commit.parts[0].change = Some(change);
    commit
}

/// The same commit with this effect on a reconcile run.
pub(super) fn swept(sweep: Sweep, mut commit: Commit) -> Commit {
    commit.parts[0].sweep = Some(sweep);
    commit
}

/// The report of the default stream.
pub(super) fn reported(mut report: CommitReport) -> StreamReport {
    report.streams.remove(TABLE).unwrap_or_else(|| panic!("the report lacks the stream {TABLE}"))
}

/// The same commit in a reconcile run that skips older states.
pub(super) fn marked(run: RunId, commit: Commit) -> Commit {
    marked_as(run, StalePolicy::Skip, commit)
}

/// The same commit in a reconcile run with this policy.
pub(super) fn marked_as(run: RunId, policy: StalePolicy, commit: Commit) -> Commit {
    swept(Sweep::Mark(run, policy), commit)
}

/// A run's record.
pub(super) fn run_record(key: &StateKey, id: RunId, started: i64) -> RunRecord {
    let mut counts = Counts { offered: 3, inserted: 1, unchanged: 1, ..Counts::default() };
    counts.skip("filtered", 1);
    RunRecord {
        id,
        resource: key.resource.clone(),
        stream: key.stream.clone(),
        mode: Mode::Incremental,
        status: RunStatus::Complete,
        started_at: at(started),
        ended_at: Some(at(started + 1)),
        counts,
        commits: 1,
        traffic: Traffic { requests: 2, bytes: 3, waited_ms: 4 },
        timings: Default::default(),
        empty_columns: Vec::new(),
        new_columns: Vec::new(),
        credits: Credits::from_micros(1),
        reject_reason: Some(RejectReason { reason: "no id".to_owned(), count: 1 }),
        error: Some(crate::Error::invalid_data("odd").with_help("look").report()),
        marks: Marks {
            last_success_at: Some(at(started + 1)),
            last_change_at: Some(at(started + 1)),
            failing: Some(Failing::new(at(started), 7)),
        },
        lease_until: Some(at(started + 2)),
        progress: None,
    }
}

/// A state with a unique message.
pub(super) fn state(run: RunId, message: &str) -> StreamState {
    StreamState { message: Some(message.into()), ..StreamState::new(RunStatus::Running, run) }
}

/// A change of state with a new run.
pub(super) fn change(key: &StateKey, base: StateVersion, seconds: i64, message: &str) -> StateChange {
    let run = RunId::new();
    StateChange::new(key.clone(), base, at(seconds)).state(state(run, message)).run(run_record(key, run, seconds))
}

/// Panics unless the result is an error of this kind.
#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    match result {
        Err(error) => assert_eq!(error.kind(), kind, "{error:?}"),
        Ok(done) => panic!("expected a {kind} error, got {done:?}"),
    }
}

/// Unwraps the result of a call that must not fail.
#[track_caller]
pub(super) fn must<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("the call failed: {error:?}"))
}
