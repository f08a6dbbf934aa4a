//! Sources with one fault each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::conformance::suite::{Fresh, delivery, source};
use snowfeed::{
    Batch, BatchStream, Checkpoint, ColumnType, ConnectContext, Error, Mode, ReadRequest, Reader, Record, Resource,
    ResourceStream, Result, Settings, Source, SourceSpec, StreamSpec, VerifyRequest, Version,
};

use super::failing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    SpecChanges,
    NameIsNotPlain,
    StreamIsDeclaredTwice,
    ConnectSendsARequest,
    CheckFailsTheSecondTime,
    DiscoverFindsNothing,
    StreamsReturnTheSameRecords,
    OneStreamReturnsAllRecords,
    KeyIsEmpty,
    KeyIsTooLong,
    KeyIsTooLongInReconcile,
    DocumentIsNotJson,
    ColumnMatchesNothing,
    CheckpointRunsAhead,
    ResumingAtTheEndReadsNothing,
    InvalidCheckpointReadsFromTheStart,
    ReconcileMissesARecord,
    StreamContinuesAfterAnError,
    ReadsWithoutBeingPolled,
    KeepsReadingWhenDropped,
    ReadsShareTheirPosition,
    VerifyReturnsARecordTwice,
    VerifyReturnsOtherRecords,
    VerifyReturnsInvalidJson,
    DocumentsAlwaysDiffer,
    HasNoRecords,
    StreamDependsOnASibling,
}

/// Two streams: the numbers from 1 to `count`, three in a batch, and their squares. A checkpoint is the last number read.
#[derive(Debug, Clone)]
struct Numbers {
    fault: Fault,
    count: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
    shared: Arc<AtomicU64>,
}

impl Numbers {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The batch of a stream after a position, and the position after it.
    fn batch(&self, stream: &str, position: u64, mode: Mode) -> Option<(Result<Batch>, u64)> {
        let count = self.count.load(Ordering::SeqCst);
        if position >= count || self.is(Fault::HasNoRecords) {
            return None;
        }
        let end = (position + 3).min(count);
        if self.is(Fault::StreamDependsOnASibling) {
            match stream {
                "numbers" => self.shared.store(count, Ordering::SeqCst),
                _ if self.shared.load(Ordering::SeqCst) == 0 => return None,
                _ => {}
            }
        }
        let is_square = stream == "squares" && !self.is(Fault::StreamsReturnTheSameRecords);
        let mut batch = Batch::new();
        for number in position + 1..=end {
            let key = match self.fault {
                Fault::KeyIsEmpty if number == 2 => String::new(),
                Fault::KeyIsTooLong if number == 2 => "2".repeat(256),
                _ => number.to_string(),
            };
            let json = match self.fault {
                Fault::DocumentIsNotJson if number == 2 => "{".into(),
                Fault::DocumentsAlwaysDiffer => self.calls.fetch_add(1, Ordering::SeqCst).to_string(),
                _ if is_square => (number * number).to_string(),
                _ => number.to_string(),
            };
            if is_square && self.is(Fault::OneStreamReturnsAllRecords) {
                batch = batch.record(Record::upsert(&*key, Version(1), number.to_string()));
            }
            if number == 4 && mode == Mode::Reconcile && self.is(Fault::ReconcileMissesARecord) {
                continue;
            }
            batch = batch.record(Record::upsert(key, Version(1), json));
            if number == 2 && mode == Mode::Reconcile && self.is(Fault::KeyIsTooLongInReconcile) {
                batch = batch.record(Record::upsert("2".repeat(256), Version(1), "2"));
            }
        }
        if self.is(Fault::DocumentsAlwaysDiffer) {
            return Some((Ok(batch), end));
        }
        let ahead = if self.is(Fault::CheckpointRunsAhead) { 1 } else { 0 };
        Some((Checkpoint::new(&(end + ahead)).map(|checkpoint| batch.checkpoint(checkpoint)), end))
    }
}

#[async_trait]
impl Source for Numbers {
    fn spec(&self) -> SourceSpec {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let version = if self.is(Fault::SpecChanges) { format!("{call}.0.0") } else { "1.0.0".into() };
        let name = if self.is(Fault::NameIsNotPlain) { "Numbers-1" } else { "numbers" };
        let squares = StreamSpec::new("squares");
        let spec = SourceSpec::new(name, version).stream(StreamSpec::new("numbers")).stream(squares.clone());
        if self.is(Fault::ColumnMatchesNothing) {
            let table = StreamSpec::new("numbers").column("name", "nmae", ColumnType::Text);
            return SourceSpec::new("numbers", "1.0.0").stream(squares).stream(table);
        }
        if self.is(Fault::StreamIsDeclaredTwice) { spec.stream(StreamSpec::new("numbers")) } else { spec }
    }

    async fn connect(&self, _: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        if self.is(Fault::ConnectSendsARequest) {
            context.monitor.request();
        }
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Numbers {
    async fn check(&self) -> Result<()> {
        let second = self.calls.fetch_add(1, Ordering::SeqCst) > 0;
        if second && self.is(Fault::CheckFailsTheSecondTime) { Err(Error::unavailable("once only")) } else { Ok(()) }
    }

    fn discover(&self) -> ResourceStream {
        stream::iter((!self.is(Fault::DiscoverFindsNothing)).then(|| Resource::new("all"))).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let start = match request.checkpoint.as_ref().map(Checkpoint::parse::<u64>) {
            None => 0,
            Some(Ok(position)) => position,
            Some(Err(_)) if self.is(Fault::InvalidCheckpointReadsFromTheStart) => 0,
            Some(Err(error)) => {
                let after = self.is(Fault::StreamContinuesAfterAnError).then(|| Ok(Batch::new()));
                return stream::iter([Err(error)].into_iter().chain(after)).boxed();
            }
        };
        let end = self.count.load(Ordering::SeqCst);
        let start = if self.is(Fault::ResumingAtTheEndReadsNothing) && start >= 9 { end } else { start };
        if self.is(Fault::ReadsWithoutBeingPolled) {
            request.monitor.request();
        }
        if self.is(Fault::KeepsReadingWhenDropped) {
            let monitor = request.monitor.clone();
            return stream::once(async move {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        monitor.request();
                    }
                });
            })
            .flat_map({
                let source = self.clone();
                move |()| source.clone().plain(&request.stream, start, request.mode)
            })
            .boxed();
        }
        if !self.is(Fault::StreamDependsOnASibling) {
            self.shared.store(start, Ordering::SeqCst);
        }
        self.clone().plain(&request.stream, start, request.mode)
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let mut gone: Vec<Record> =
            request.records.into_iter().map(|record| Record::delete(record.key, record.version)).collect();
        match self.fault {
            Fault::VerifyReturnsARecordTwice => gone.push(gone[0].clone()),
            Fault::VerifyReturnsInvalidJson => gone[0] = Record::upsert(gone[0].key.clone(), Version(9), "{").parsed(),
            Fault::VerifyReturnsOtherRecords => gone.push(Record::delete("another record", Version(9))),
            _ => {}
        }
        Ok(gone)
    }
}

impl Numbers {
    fn plain(self, name: &str, start: u64, mode: Mode) -> BatchStream {
        let name = name.to_owned();
        stream::unfold(start, move |position| {
            let (source, name) = (self.clone(), name.clone());
            async move {
                if source.is(Fault::StreamDependsOnASibling) && name == "squares" {
                    // Give a concurrent read of the sibling the time to begin.
                    tokio::time::sleep(Duration::from_millis(50 * u64::from(position == 0))).await;
                }
                if !source.is(Fault::ReadsShareTheirPosition) {
                    return source.batch(&name, position, mode);
                }
                let (batch, end) = source.batch(&name, source.shared.load(Ordering::SeqCst), mode)?;
                source.shared.store(end, Ordering::SeqCst);
                Some((batch, end))
            }
        })
        .boxed()
    }
}

fn case(fault: Fault) -> SourceCase {
    let count = Arc::new(AtomicU64::new(20));
    let source = Numbers { fault, count: Arc::clone(&count), calls: Arc::default(), shared: Arc::default() };
    SourceCase::new(source, Settings::default(), Resource::new("all").unwrap()).changing(move || {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
}

mod correct {
    use super::{Fault, case};

    snowfeed::source_conformance!(case(Fault::None));
}

mod correct_with_the_engine {
    use super::{Fault, case};

    snowfeed::delivery_conformance!(case(Fault::None));
}

#[test]
fn a_source_that_breaks_a_delivery_guarantee_is_detected() {
    let lost: &[&str] = &[
        "clause_1_a_crash_before_any_commit_loses_nothing",
        "clause_1_a_crash_after_any_commit_loses_nothing",
        "clause_1_a_crash_in_a_reconcile_run_loses_nothing",
        "clause_1_an_error_between_batches_loses_nothing",
        "clause_1_changes_after_a_crash_arrive",
    ];
    let lost_later = [lost, &["clause_6_a_failing_stream_stops_no_other_one"]].concat();
    let swept = [
        "clause_1_a_crash_in_a_reconcile_run_loses_nothing",
        "clause_4_a_reconcile_run_deletes_nothing_that_exists",
        "clause_6_a_stream_that_is_not_read_keeps_its_rows_and_its_state",
    ];
    let rewritten = [
        lost,
        &[
            "clause_2_a_second_run_changes_no_row",
            "clause_2_two_concurrent_runs_leave_the_same_table",
            "clause_4_a_reconcile_run_deletes_nothing_that_exists",
            "clause_6_a_failing_stream_stops_no_other_one",
            "clause_6_a_stream_is_read_alone_and_others_are_added_later",
            "clause_6_a_stream_that_is_not_read_keeps_its_rows_and_its_state",
        ],
    ]
    .concat();
    let expected: [(Fault, &[&str]); 5] = [
        (Fault::CheckpointRunsAhead, &lost_later),
        (Fault::ReconcileMissesARecord, &swept),
        (Fault::DocumentsAlwaysDiffer, &rewritten),
        (Fault::HasNoRecords, &["clause_5_the_counts_add_up"]),
        (Fault::StreamDependsOnASibling, &["clause_6_a_stream_is_read_alone_and_others_are_added_later"]),
    ];
    for (fault, checks) in expected {
        let fresh = Fresh::new(move || async move { Arc::new(case(fault)) });
        assert_eq!(failing(delivery(), &fresh), checks, "{fault:?}");
    }
}

#[test]
fn a_source_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 25] = [
        (Fault::None, &[]),
        (Fault::SpecChanges, &["clause_1_spec_is_constant_and_names_its_streams"]),
        (Fault::NameIsNotPlain, &["clause_1_spec_is_constant_and_names_its_streams"]),
        (Fault::StreamIsDeclaredTwice, &["clause_1_spec_is_constant_and_names_its_streams"]),
        (Fault::ConnectSendsARequest, &["clause_2_connect_sends_no_request"]),
        (Fault::CheckFailsTheSecondTime, &["clause_2_check_succeeds_every_time"]),
        (Fault::DiscoverFindsNothing, &["clause_2_discover_finds_the_resource"]),
        (Fault::StreamsReturnTheSameRecords, &["clause_3_streams_do_not_contain_the_same_records"]),
        (Fault::OneStreamReturnsAllRecords, &["clause_3_streams_do_not_contain_the_same_records"]),
        (Fault::KeyIsEmpty, &["clause_3_every_key_has_1_to_255_bytes"]),
        (Fault::KeyIsTooLong, &["clause_3_every_key_has_1_to_255_bytes"]),
        (Fault::KeyIsTooLongInReconcile, &["clause_3_every_key_has_1_to_255_bytes"]),
        (Fault::ColumnMatchesNothing, &["clause_3_every_column_matches_a_value"]),
        (Fault::DocumentIsNotJson, &["clause_3_every_document_is_json"]),
        (
            Fault::CheckpointRunsAhead,
            &["clause_4_resuming_at_any_checkpoint_leaves_no_gap", "clause_4_changes_after_the_last_checkpoint_arrive"],
        ),
        (
            Fault::ResumingAtTheEndReadsNothing,
            &["clause_4_resuming_at_any_checkpoint_leaves_no_gap", "clause_4_changes_after_the_last_checkpoint_arrive"],
        ),
        (Fault::InvalidCheckpointReadsFromTheStart, &["clause_4_an_unreadable_checkpoint_is_refused"]),
        (Fault::ReconcileMissesARecord, &["clause_5_a_reconcile_run_delivers_everything"]),
        (Fault::StreamContinuesAfterAnError, &["clause_5_the_stream_ends_after_an_error"]),
        (Fault::ReadsWithoutBeingPolled, &["clause_6_nothing_happens_before_the_stream_is_polled"]),
        (Fault::KeepsReadingWhenDropped, &["clause_6_a_dropped_stream_leaves_nothing_running"]),
        (Fault::ReadsShareTheirPosition, &["clause_7_concurrent_reads_do_not_interfere"]),
        (Fault::VerifyReturnsARecordTwice, &["clause_9_verify_returns_only_requested_records"]),
        (Fault::VerifyReturnsInvalidJson, &["clause_9_verify_returns_only_requested_records"]),
        (Fault::VerifyReturnsOtherRecords, &["clause_9_verify_returns_only_requested_records"]),
    ];
    for (fault, checks) in expected {
        let fresh = Fresh::new(move || async move { Arc::new(case(fault)) });
        assert_eq!(failing(source(), &fresh), checks, "{fault:?}");
    }
}
