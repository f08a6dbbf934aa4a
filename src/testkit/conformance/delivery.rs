//! Delivery guarantees of a source with the engine: the final contents of the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;

use super::{Clause, Fresh, SourceCase};
use crate::backends::Memory;
use crate::engine::{Connector, EnableRequest, IngestReport, IngestRequest};
use crate::sink::Limits;
use crate::state::{StateKey, StateStore};
use crate::testkit::fault_injection::{CrashPoint, CrashingBackend, FlakySource};
use crate::{Backend, Mode, Result, RowPath, RunStatus, Source, StateVersion, Version};

/// Tests a [`Source`] together with the engine: crashes at every commit, errors between batches, a rerun, streams that are read alone;
/// the tables of all its streams must come out the same. Generates one `#[test]` for each guarantee, over the [`SourceCase`] that the expression returns.
///
/// ```
/// mod delivery {
///     # use async_trait::async_trait;
///     # use futures::{StreamExt, stream};
///     # use snowfeed::prelude::*;
///     use snowfeed::testkit::conformance::SourceCase;
///
///     # #[derive(Debug)]
///     # struct Planets;
///     # #[async_trait]
///     # impl Source for Planets {
///     #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1.0.0").stream(StreamSpec::new("planets")) }
///     #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
///     # }
///     # #[async_trait]
///     # impl Reader for Planets {
///     #     async fn check(&self) -> Result<()> { Ok(()) }
///     #     fn discover(&self) -> ResourceStream { stream::iter([Resource::new("sun")]).boxed() }
///     #     fn read(&self, _: ReadRequest) -> BatchStream { stream::empty().boxed() }
///     # }
///     snowfeed::delivery_conformance!(SourceCase::new(Planets, Settings::default(), Resource::new("sun").unwrap()));
/// }
/// ```
#[macro_export]
macro_rules! delivery_conformance {
    ($make:expr) => {
        $crate::__delivery_clauses! { __conformance_tests (delivery, $crate::testkit::conformance::SourceCase, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __delivery_clauses {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            clause_1_a_crash_before_any_commit_loses_nothing
            clause_1_a_crash_after_any_commit_loses_nothing
            clause_1_a_crash_in_a_reconcile_run_loses_nothing
            clause_1_an_error_between_batches_loses_nothing
            clause_1_changes_after_a_crash_arrive
            clause_2_a_second_run_changes_no_row
            clause_2_two_concurrent_runs_leave_the_same_table
            clause_4_a_reconcile_run_deletes_nothing_that_exists
            clause_5_the_counts_add_up
            clause_6_a_failing_stream_stops_no_other_one
            clause_6_a_stream_is_read_alone_and_others_are_added_later
            clause_6_a_stream_that_is_not_read_keeps_its_rows_and_its_state
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<SourceCase>> {
    crate::__delivery_clauses! { __conformance_list () }
}

/// The maximum number of crash points tested in a run, evenly spread.
const MAX_CRASH_POINTS: u64 = 24;

/// A row of a table: its version, its document, and whether it is deleted.
type Row = (Version, Option<ByteString>, bool);

/// Every row of every table, by table and path.
type Rows = BTreeMap<(String, RowPath), Row>;

/// Runs a source once for these streams, with each batch in its own commit if possible.
async fn ingest_streams(
    case: &SourceCase,
    source: impl Source,
    backend: Arc<dyn Backend>,
    mode: Mode,
    streams: &[String],
) -> Result<IngestReport> {
    let limits = Limits { commit_rows: 1, ..Limits::default() };
    let connector = Connector::new(source, backend).with_settings(case.settings.values().clone()).limits(limits);
    connector.enable(EnableRequest::new(case.resource.clone()).streams(streams.to_vec())).await?;
    connector.ingest(IngestRequest::new([case.resource.clone()]).mode(mode)).await
}

/// Runs a source once for all its streams.
async fn ingest(case: &SourceCase, source: impl Source, backend: Arc<dyn Backend>, mode: Mode) -> Result<IngestReport> {
    ingest_streams(case, source, backend, mode, &case.streams()).await
}

/// Runs the case's source to the end of these streams.
async fn complete_streams(case: &SourceCase, memory: &Memory, mode: Mode, streams: &[String]) -> IngestReport {
    let report = ingest_streams(case, Arc::clone(&case.source), Arc::new(memory.clone()), mode, streams).await;
    let report = report.unwrap_or_else(|error| panic!("the run failed: {error:?}"));
    assert_eq!(report.status(), RunStatus::Complete, "the run did not complete: {report:?}");
    let read: Vec<&String> = report.runs.iter().map(|run| &run.stream).collect();
    assert!(streams.iter().all(|stream| read.contains(&stream)), "read {read:?}");
    report
}

/// Runs the case's source to the end of all its streams.
async fn complete(case: &SourceCase, memory: &Memory, mode: Mode) -> IngestReport {
    complete_streams(case, memory, mode, &case.streams()).await
}

fn rows(case: &SourceCase, memory: &Memory) -> Rows {
    let rows = case.streams().into_iter().flat_map(|stream| {
        let rows = memory.rows(&case.resource, &stream).into_iter();
        rows.map(move |row| ((stream.clone(), row.path()), (row.version, row.json, row.deleted_at.is_some())))
    });
    rows.collect()
}

/// A stream, and those that it requires.
fn read_with(case: &SourceCase, stream: &str) -> BTreeSet<String> {
    let mut read = BTreeSet::from([stream.to_owned()]);
    for spec in case.source.spec().streams.iter().rev() {
        if read.contains(&spec.name) {
            read.extend(spec.requires().map(str::to_owned));
        }
    }
    read
}

/// The rows of one stream.
fn of_stream(rows: &Rows, stream: &str) -> Rows {
    rows.iter().filter(|((of, _), _)| of == stream).map(|(key, row)| (key.clone(), row.clone())).collect()
}

/// The newest version of each stream's state.
async fn versions(case: &SourceCase, memory: &Memory) -> BTreeMap<String, StateVersion> {
    let mut versions = BTreeMap::new();
    for stream in case.streams() {
        let entry = memory.latest(&StateKey::new(case.resource.name(), &*stream)).await;
        let entry = entry.unwrap_or_else(|error| panic!("the state cannot be read: {error:?}"));
        versions.insert(stream, entry.map_or(StateVersion::NONE, |entry| entry.version));
    }
    versions
}

/// The tables after a run without a fault.
async fn expected(case: &SourceCase) -> Rows {
    let memory = Memory::new();
    complete(case, &memory, Mode::Incremental).await;
    rows(case, &memory)
}

/// Compares tables, and lists the keys that differ.
fn assert_same(found: &Rows, expected: &Rows, when: &str) {
    let differing = |one: &Rows, other: &Rows| -> Vec<(String, RowPath)> {
        one.iter().filter(|(key, row)| other.get(*key) != Some(row)).map(|(key, _)| key.clone()).take(5).collect()
    };
    let (lost, wrong) = (differing(expected, found), differing(found, expected));
    assert!(lost.is_empty(), "{when}, some rows are missing or stale: {lost:?}");
    assert!(wrong.is_empty(), "{when}, some rows are unexpected or differ: {wrong:?}");
}

/// Up to [`MAX_CRASH_POINTS`] numbers below `count`, including the first and the last.
fn crash_points(count: u64) -> impl Iterator<Item = u64> {
    let points = count.min(MAX_CRASH_POINTS);
    (0..points).map(move |n| if points < 2 { n } else { n * (count - 1) / (points - 1) })
}

/// Crashes at every commit of a run. After each crash, another run must produce the same table as a run without a crash.
async fn crash_everywhere(case: &SourceCase, mode: Mode, crash: fn(u64) -> CrashPoint) {
    let expected = expected(case).await;
    let before = || async {
        let memory = Memory::new();
        if mode == Mode::Reconcile {
            complete(case, &memory, Mode::Incremental).await;
        }
        memory
    };
    let counting = Arc::new(CrashingBackend::new(before().await, CrashPoint::BeforeCommit(u64::MAX)));
    let counted = ingest(case, Arc::clone(&case.source), counting.clone(), mode).await;
    assert!(counted.is_ok(), "the run failed: {counted:?}");
    for commit in crash_points(counting.commits()) {
        let memory = before().await;
        let crashing = Arc::new(CrashingBackend::new(memory.clone(), crash(commit)));
        // The outcome does not matter: the process has crashed.
        let _ = ingest(case, Arc::clone(&case.source), crashing.clone(), mode).await;
        if !crashing.has_crashed() {
            // This run may commit fewer times than the counted one.
            continue;
        }
        complete(case, &memory, mode).await;
        assert_same(&rows(case, &memory), &expected, &format!("after {:?} and a rerun", crash(commit)));
    }
}

/// After a crash before any commit, the next run loses nothing.
async fn clause_1_a_crash_before_any_commit_loses_nothing(fresh: Fresh<SourceCase>) {
    crash_everywhere(&*fresh.make().await, Mode::Incremental, CrashPoint::BeforeCommit).await;
}

/// After a crash right after any commit, whose result the run never saw, the next run loses nothing.
async fn clause_1_a_crash_after_any_commit_loses_nothing(fresh: Fresh<SourceCase>) {
    crash_everywhere(&*fresh.make().await, Mode::Incremental, CrashPoint::AfterCommit).await;
}

/// A reconcile run that crashed resumes, loses nothing, and deletes nothing that exists.
async fn clause_1_a_crash_in_a_reconcile_run_loses_nothing(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    crash_everywhere(&case, Mode::Reconcile, CrashPoint::BeforeCommit).await;
    crash_everywhere(&case, Mode::Reconcile, CrashPoint::AfterCommit).await;
}

/// After a failure between any batches, the next run continues.
async fn clause_1_an_error_between_batches_loses_nothing(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let expected = expected(&case).await;
    let mut batches = 0;
    for stream in case.streams() {
        batches = batches.max(case.batches(&stream, Mode::Incremental, None).await.len());
    }
    for batch in crash_points(batches as u64) {
        let memory = Memory::new();
        let after = usize::try_from(batch).unwrap_or(usize::MAX);
        let source = Arc::new(FlakySource::new(Arc::clone(&case.source), after).failures(1));
        let report = ingest(&case, Arc::clone(&source), Arc::new(memory.clone()), Mode::Incremental).await;
        let is_complete = report.is_ok_and(|report| report.status() == RunStatus::Complete);
        // A source that reads concurrently may return fewer batches this time.
        assert!(!(is_complete && source.has_failed()), "the run completed despite the source's error");
        complete(&case, &memory, Mode::Incremental).await;
        assert_same(&rows(&case, &memory), &expected, &format!("after an error at batch {batch} and a rerun"));
    }
}

/// Changes between a crash and the next run are delivered, too. Without [`changing`](SourceCase::changing) this checks nothing.
async fn clause_1_changes_after_a_crash_arrive(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let Some(change) = &case.change else { return };
    for commit in 0..3 {
        let memory = Memory::new();
        let crashing = CrashingBackend::new(memory.clone(), CrashPoint::AfterCommit(commit));
        let _ = ingest(&case, Arc::clone(&case.source), Arc::new(crashing), Mode::Incremental).await;
        change().await;
        complete(&case, &memory, Mode::Incremental).await;
        assert_same(&rows(&case, &memory), &expected(&case).await, "after a crash, a change and a rerun");
    }
}

/// If nothing has changed, a run inserts, updates and deletes nothing.
async fn clause_2_a_second_run_changes_no_row(fresh: Fresh<SourceCase>) {
    let (case, memory) = (fresh.make().await, Memory::new());
    complete(&case, &memory, Mode::Incremental).await;
    let before = rows(&case, &memory);
    let counts = complete(&case, &memory, Mode::Incremental).await.counts();
    assert_eq!((counts.inserted, counts.updated, counts.deleted), (0, 0, 0), "{counts:?}");
    assert_same(&rows(&case, &memory), &before, "after a second run");
}

/// One of two concurrent runs may be refused; no row is lost or duplicated.
async fn clause_2_two_concurrent_runs_leave_the_same_table(fresh: Fresh<SourceCase>) {
    let (case, memory) = (fresh.make().await, Memory::new());
    let run = || ingest(&case, Arc::clone(&case.source), Arc::new(memory.clone()), Mode::Incremental);
    let _ = futures::join!(run(), run());
    complete(&case, &memory, Mode::Incremental).await;
    assert_same(&rows(&case, &memory), &expected(&case).await, "after two concurrent runs");
}

/// A reconcile run of unchanged data marks nothing deleted.
async fn clause_4_a_reconcile_run_deletes_nothing_that_exists(fresh: Fresh<SourceCase>) {
    let (case, memory) = (fresh.make().await, Memory::new());
    complete(&case, &memory, Mode::Incremental).await;
    let before = rows(&case, &memory);
    let counts = complete(&case, &memory, Mode::Reconcile).await.counts();
    assert_eq!(counts.deleted, 0, "{counts:?}");
    assert_same(&rows(&case, &memory), &before, "after a reconcile run");
}

/// The counts account for every record.
async fn clause_5_the_counts_add_up(fresh: Fresh<SourceCase>) {
    let (case, memory) = (fresh.make().await, Memory::new());
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let counts = complete(&case, &memory, mode).await.counts();
        assert!(counts.add_up(), "{counts:?}");
    }
    assert!(!rows(&case, &memory).is_empty(), "the case has no records, so the checks prove nothing");
}

/// When the reads of one stream fail, at any batch, the other streams are complete, and the next run completes it.
async fn clause_6_a_failing_stream_stops_no_other_one(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let expected = expected(&case).await;
    let streams = case.streams();
    for failing in &streams {
        let batches = case.batches(failing, Mode::Incremental, None).await.len();
        for batch in [0, batches / 2] {
            let memory = Memory::new();
            let source = Arc::new(FlakySource::new(Arc::clone(&case.source), batch).stream(failing));
            let report = ingest(&case, Arc::clone(&source), Arc::new(memory.clone()), Mode::Incremental).await;
            let report = report.unwrap_or_else(|error| panic!("the ingestion failed: {error:?}"));
            assert_eq!(report.runs.len(), streams.len(), "a stream has no run: {report:?}");
            for run in &report.runs {
                let is_complete = run.status == RunStatus::Complete;
                let must_fail = run.stream == *failing && source.has_failed();
                assert_eq!(is_complete, !must_fail, "{failing} failed at batch {batch}: {run:?}");
            }
            for other in streams.iter().filter(|stream| !read_with(&case, stream).contains(failing)) {
                let (found, expected) = (of_stream(&rows(&case, &memory), other), of_stream(&expected, other));
                assert_same(&found, &expected, &format!("after {failing} failed at batch {batch}"));
            }
            complete(&case, &memory, Mode::Incremental).await;
            assert_same(
                &rows(&case, &memory),
                &expected,
                &format!("after {failing} failed at batch {batch} and a rerun"),
            );
        }
    }
}

/// Each stream can be read without the others, which are read from their start when they are selected later.
async fn clause_6_a_stream_is_read_alone_and_others_are_added_later(fresh: Fresh<SourceCase>) {
    // A source that remembers what it has read for another stream must not find it in memory.
    let streams = fresh.make().await.streams();
    for stream in streams {
        let (case, memory) = (fresh.make().await, Memory::new());
        complete_streams(&case, &memory, Mode::Incremental, std::slice::from_ref(&stream)).await;
        let alone = rows(&case, &memory);
        complete(&case, &memory, Mode::Incremental).await;
        let expected = expected(&case).await;
        let read = read_with(&case, &stream);
        let expected_alone = expected.iter().filter(|((of, _), _)| read.contains(of));
        let expected_alone = expected_alone.map(|(key, row)| (key.clone(), row.clone())).collect();
        assert_same(&alone, &expected_alone, &format!("after a run of {stream} alone"));
        assert_same(&rows(&case, &memory), &expected, &format!("after the other streams were added to {stream}"));
    }
}

/// A run of one stream, also one that reconciles, changes neither the rows nor the states of the others.
async fn clause_6_a_stream_that_is_not_read_keeps_its_rows_and_its_state(fresh: Fresh<SourceCase>) {
    let (case, memory) = (fresh.make().await, Memory::new());
    complete(&case, &memory, Mode::Incremental).await;
    for stream in case.streams() {
        for mode in [Mode::Incremental, Mode::Reconcile] {
            let (before, mut versions_before) = (rows(&case, &memory), versions(&case, &memory).await);
            complete_streams(&case, &memory, mode, std::slice::from_ref(&stream)).await;
            assert_same(&rows(&case, &memory), &before, &format!("after a run of {stream} alone ({mode:?})"));
            let mut versions = versions(&case, &memory).await;
            for read in read_with(&case, &stream) {
                let (version, version_before) = (versions.remove(&read), versions_before.remove(&read));
                assert!(version >= version_before, "the state of {read} was lost");
            }
            assert_eq!(versions, versions_before, "a run of {stream} changed the states of other streams");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_listed() {
        super::super::assert_complete(include_str!("delivery.rs"), &super::clauses());
    }

    #[test]
    fn crash_points_are_spread_evenly() {
        assert_eq!(crash_points(0).count(), 0);
        assert_eq!(crash_points(1).collect::<Vec<_>>(), [0]);
        assert_eq!(crash_points(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<u64> = crash_points(1_000).collect();
        assert_eq!((many.len(), many[0], many[23]), (24, 0, 999));
    }
}
