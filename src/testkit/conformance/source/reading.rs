//! Checks of a source's specification and of the records that it reads.

use std::collections::BTreeSet;

use bytestring::ByteString;
use futures::{StreamExt, TryStreamExt};
use serde::de::IgnoredAny;
use serde_json::json;

use super::super::Fresh;
use super::{SETTLE_TIME, SourceCase, drain, newest};
use crate::engine::columns::ColumnCheck;
use crate::{Checkpoint, ConnectContext, ErrorKind, Mode, Monitor, Record, StoredRecord, VerifyRequest, Version};

/// The maximum number of checkpoints of a read to try, evenly spread.
const CHECKPOINTS: usize = 64;

/// `spec` always returns the same: a plain name, and at least one table, without duplicates.
pub(super) async fn clause_1_spec_is_constant_and_names_its_streams(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let (one, two) = (case.source.spec(), case.source.spec());
    assert_eq!((&one.name, &one.version, &one.resource_kind), (&two.name, &two.version, &two.resource_kind));
    assert_eq!(one.streams, two.streams);
    assert_eq!(one.settings.schema(), two.settings.schema());
    one.validate().unwrap_or_else(|error| panic!("{error}: {}", error.help().unwrap_or_default()));
}

/// `connect` sends no request: an error about settings comes before any.
pub(super) async fn clause_2_connect_sends_no_request(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let context = ConnectContext::detached();
    let reader = case.source.connect(&case.settings, context.clone()).await;
    let reader = reader.unwrap_or_else(|error| panic!("connect failed: {error:?}"));
    tokio::time::sleep(SETTLE_TIME).await;
    assert_eq!(context.monitor.traffic(), crate::Traffic::default());
    drop(reader);
}

/// `check` accepts the settings of the case, however often it is called, on one reader and on a new one.
pub(super) async fn clause_2_check_succeeds_every_time(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let reader = case.reader().await;
    for reader in [&reader, &reader, &case.reader().await] {
        reader.check().await.unwrap_or_else(|error| panic!("check failed: {error:?}"));
    }
}

/// `discover` returns the resource of the case.
pub(super) async fn clause_2_discover_finds_the_resource(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let found: crate::Result<Vec<_>> = case.reader().await.discover().try_collect().await;
    let found = found.unwrap_or_else(|error| panic!("discover failed: {error:?}"));
    assert!(found.contains(&case.resource), "discover did not return {:?}: {found:?}", case.resource);
}

/// Every batch belongs to a table that the source declares.
pub(super) async fn clause_3_every_batch_names_a_stream_of_the_spec(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let tables = case.source.spec().streams;
    for batch in case.batches_of_both_modes().await {
        assert!(tables.iter().any(|table| table.name == batch.stream), "the table {:?} is not declared", batch.stream);
    }
}

/// A key is not empty, and fits in an index.
pub(super) async fn clause_3_every_key_has_1_to_255_bytes(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for batch in case.batches_of_both_modes().await {
        for record in &batch.records {
            assert!(
                (1..=Record::MAX_KEY).contains(&record.key.len()),
                "the key {:?} has {} bytes",
                record.key,
                record.key.len()
            );
        }
    }
}

/// When read again, no record has a lower version than before.
pub(super) async fn clause_3_no_version_decreases_between_reads(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let before = newest(&case.batches(Mode::Incremental, None).await);
    if let Some(change) = &case.change {
        change().await;
    }
    for (key, version) in newest(&case.batches(Mode::Incremental, None).await) {
        assert!(
            before.get(&key).is_none_or(|before| *before <= version),
            "the version of {key:?} decreased to {version:?}"
        );
    }
}

/// Every document is complete JSON.
pub(super) async fn clause_3_every_document_is_json(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for batch in case.batches_of_both_modes().await {
        batch.records.iter().for_each(assert_json);
    }
}

/// No column is null in all records of the case, as it would be if its path were mistyped or its type never matched.
pub(super) async fn clause_3_every_column_matches_a_value(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let check = ColumnCheck::new(&case.source.spec());
    case.batches_of_both_modes().await.iter().for_each(|batch| check.observe(batch));
    let missing = check.missing(1);
    assert!(missing.is_empty(), "these columns match no value; check their paths and types: {missing:?}");
}

/// Panics unless a record's document is JSON.
fn assert_json(record: &Record) {
    let valid = record.json().map(|json| serde_json::from_str::<IgnoredAny>(json));
    assert!(!matches!(valid, Some(Err(_))), "the document of {:?} is not JSON: {valid:?}", record.key);
}

/// In both modes, the batches up to a checkpoint and those read from it contain everything together.
pub(super) async fn clause_4_resuming_at_any_checkpoint_leaves_no_gap(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let batches = case.batches(mode, None).await;
        let whole = newest(&batches);
        let checkpoints: Vec<(usize, &Checkpoint)> =
            batches.iter().enumerate().filter_map(|(n, batch)| Some((n, batch.checkpoint.as_ref()?))).collect();
        let step = checkpoints.len().div_ceil(CHECKPOINTS).max(1);
        for (n, checkpoint) in checkpoints.into_iter().step_by(step) {
            let rest = case.batches(mode, Some(checkpoint.clone())).await;
            let both = newest(batches[..=n].iter().chain(&rest));
            let lost: Vec<_> =
                whole.iter().filter(|(key, version)| both.get(key).is_none_or(|v| v < version)).collect();
            assert!(
                lost.is_empty(),
                "resuming after batch {n} ({checkpoint:?}, {mode:?}) misses these records: {lost:?}"
            );
        }
    }
}

/// Reading from the last checkpoint returns later changes. (Only if the case can change the resource.)
pub(super) async fn clause_4_changes_after_the_last_checkpoint_arrive(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let Some(change) = &case.change else { return };
    let mut batches = case.batches(Mode::Incremental, None).await;
    for round in 0..3 {
        change().await;
        let checkpoint = batches.iter().rev().find_map(|batch| batch.checkpoint.clone());
        batches.extend(case.batches(Mode::Incremental, checkpoint).await);
        let (resumed, all) = (newest(&batches), newest(&case.batches(Mode::Incremental, None).await));
        let lost: Vec<_> = all.iter().filter(|(key, version)| resumed.get(key).is_none_or(|v| v < version)).collect();
        assert!(lost.is_empty(), "after change {round}, these records are missing: {lost:?}");
    }
}

/// A foreign checkpoint is refused, instead of being taken for the start. (Only if the source has checkpoints.)
pub(super) async fn clause_4_an_unreadable_checkpoint_is_refused(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    if case.batches(Mode::Incremental, None).await.iter().all(|batch| batch.checkpoint.is_none()) {
        return;
    }
    for garbage in GARBAGE {
        let first = case.stream(Mode::Incremental, Some(garbage_checkpoint(garbage))).await.next().await;
        match first {
            Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error:?}"),
            other => panic!("the checkpoint {garbage} was accepted: {other:?}"),
        }
    }
}

/// JSON that no source would write as a checkpoint.
const GARBAGE: [&str; 2] = ["[[\"☃\"]]", "{\"☃\": {\"☃\": []}}"];

fn garbage_checkpoint(text: &str) -> Checkpoint {
    let value = serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|_| json!([[]]));
    Checkpoint::new(&value).unwrap_or_else(|error| panic!("{error}"))
}

/// Two reads return the same records.
pub(super) async fn clause_5_every_read_delivers_everything(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let one = newest(&case.batches(Mode::Incremental, None).await);
    let two = newest(&case.batches(Mode::Incremental, None).await);
    assert_eq!(one, two);
}

/// A reconcile run returns every record that an incremental read from the start returns.
pub(super) async fn clause_5_a_reconcile_run_delivers_everything(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let batches = case.batches(Mode::Incremental, None).await;
    let full = newest(&case.batches(Mode::Reconcile, None).await);
    let mut deleted = BTreeSet::new();
    for batch in &batches {
        for record in batch.records.iter().filter(|record| record.json().is_none()) {
            deleted.insert((batch.stream.clone(), record.key.clone()));
        }
    }
    let lost: Vec<_> =
        newest(&batches).into_keys().filter(|key| !full.contains_key(key) && !deleted.contains(key)).collect();
    assert!(lost.is_empty(), "a reconcile run misses these records: {lost:?}");
}

/// A stream ends after its first error.
pub(super) async fn clause_5_the_stream_ends_after_an_error(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let mut stream = case.stream(Mode::Incremental, Some(garbage_checkpoint(GARBAGE[0]))).await;
    while let Some(batch) = stream.next().await {
        if batch.is_err() {
            let after = stream.next().await;
            assert!(after.is_none(), "the stream continued after its error: {after:?}");
            return;
        }
    }
}

/// A stream that is not polled sends no request.
pub(super) async fn clause_6_nothing_happens_before_the_stream_is_polled(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let monitor = Monitor::detached();
    let stream = case.reader().await.read(case.request(Mode::Incremental, None, monitor.clone()));
    tokio::time::sleep(SETTLE_TIME).await;
    assert_eq!(monitor.traffic(), crate::Traffic::default());
    drop(stream);
}

/// After a stream is dropped, at any batch, the source counts no more traffic, and reads as before.
pub(super) async fn clause_6_a_dropped_stream_leaves_nothing_running(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let whole = newest(&case.batches(Mode::Incremental, None).await);
    for batches in 0..3 {
        let monitor = Monitor::detached();
        let mut stream = case.reader().await.read(case.request(Mode::Incremental, None, monitor.clone()));
        for _ in 0..batches {
            drop(stream.next().await);
        }
        // Drop it in the middle of a batch, too.
        let waiting = tokio::time::timeout(std::time::Duration::from_micros(50), stream.next()).await;
        drop((waiting, stream));
        let before = monitor.traffic();
        tokio::time::sleep(SETTLE_TIME).await;
        assert_eq!(monitor.traffic(), before, "the dropped stream still reads");
    }
    assert_eq!(newest(&case.batches(Mode::Incremental, None).await), whole);
}

/// Two reads of one reader and one with other settings, polled in turn, each return everything.
pub(super) async fn clause_7_concurrent_reads_do_not_interfere(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let alone = newest(&case.batches(Mode::Incremental, None).await);
    let (reader, other) = (case.reader().await, case.connect(&case.other).await);
    let mut reads = Vec::new();
    for reader in [&reader, &reader, &other] {
        let stream = reader.read(case.request(Mode::Incremental, None, Monitor::detached()));
        reads.push((stream, Vec::new()));
    }
    for _ in 0..2 {
        for (stream, batches) in &mut reads {
            batches.extend(stream.try_next().await.unwrap_or_else(|error| panic!("the source failed: {error:?}")));
        }
    }
    let rest = reads.into_iter().map(|(stream, mut batches)| async move {
        batches.extend(drain(stream).await);
        newest(&batches)
    });
    for read in futures::future::join_all(rest).await {
        assert_eq!(read, alone);
    }
}

/// `verify` returns only requested records, each once.
pub(super) async fn clause_9_verify_returns_only_requested_records(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let batches = case.batches(Mode::Reconcile, None).await;
    for table in case.source.spec().streams {
        let known = batches.iter().filter(|batch| batch.stream == table.name).flat_map(|batch| &batch.records);
        let known = known.filter_map(|record| {
            Some(StoredRecord { key: record.key.clone(), version: record.version, json: record.json()?.clone() })
        });
        // A made-up record: the document of another one with a different key.
        let mut records: Vec<StoredRecord> = known.take(2).collect();
        let json = records.first().map_or_else(|| ByteString::from("{}"), |record| record.json.clone());
        let made_up = StoredRecord { key: "999999999999999".into(), version: Version(5), json };
        records.push(made_up);
        records.dedup_by(|a, b| a.key == b.key);
        let request = VerifyRequest {
            resource: case.resource.clone(),
            checkpoint: batches.iter().rev().find_map(|batch| batch.checkpoint.clone()),
            stream: table.name,
            records: records.clone(),
            allow_deletions: false,
            monitor: Monitor::detached(),
        };
        let returned =
            case.reader().await.verify(request).await.unwrap_or_else(|error| panic!("verify failed: {error:?}"));
        let mut keys = BTreeSet::new();
        for record in returned {
            assert_json(&record);
            let is_requested = records.iter().any(|requested| requested.key == record.key);
            assert!(is_requested, "verify returned {:?}, which was not requested", record.key);
            assert!(keys.insert(record.key.clone()), "verify returned {:?} twice", record.key);
        }
    }
}
