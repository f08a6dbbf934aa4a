//! Checks of a source's specification and of the records that it reads.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use futures::{StreamExt, TryStreamExt};
use serde::de::IgnoredAny;
use serde_json::json;

use super::super::Fresh;
use super::{SETTLE_TIME, SourceCase, drain, newest};
use crate::engine::columns::ColumnCheck;
use crate::{
    Checkpoint, ConnectContext, ErrorKind, Mode, Monitor, Record, RowPath, StoredRecord, StreamKind, VerifyRequest,
    Version,
};

/// The maximum number of checkpoints of a read to try, evenly spread.
const CHECKPOINTS: usize = 64;

/// `spec` always returns the same: a plain name, and at least one stream, without duplicates.
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

/// A read returns records of the requested stream only: no stream with records is a part of another one.
pub(super) async fn clause_3_streams_do_not_contain_the_same_records(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    if case.overlap {
        return;
    }
    let mut contents = BTreeMap::new();
    for (stream, batches) in case.all_streams().await {
        let records = batches.iter().flat_map(|batch| &batch.records);
        let records: BTreeSet<_> = records.map(|record| (record.key.clone(), record.json().cloned())).collect();
        contents.insert(stream, records);
    }
    for (stream, records) in contents.iter().filter(|(_, records)| !records.is_empty()) {
        let other = contents.iter().find(|(other, all)| *other != stream && records.is_subset(all));
        assert!(
            other.is_none(),
            "the read of {:?} returned every record of the stream {stream:?}: return only those of `ReadRequest::stream`, or \
             declare `SourceCase::overlapping_streams`",
            other.map(|(other, _)| other)
        );
    }
}

/// A key is not empty, and fits in an index.
pub(super) async fn clause_3_every_key_has_1_to_255_bytes(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for stream in case.streams() {
        for record in case.batches_of_both_modes(&stream).await.iter().flat_map(|batch| &batch.records) {
            let length = record.key.len();
            assert!((1..=Record::MAX_KEY).contains(&length), "the key {:?} of {stream} has {length} bytes", record.key);
        }
    }
}

/// When read again, no record has a lower version than before.
pub(super) async fn clause_3_no_version_decreases_between_reads(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let before = case.all_streams().await;
    if let Some(change) = &case.change {
        change().await;
    }
    for (stream, batches) in before {
        let before = newest(&batches);
        for (key, version) in newest(&case.batches(&stream, Mode::Incremental, None).await) {
            assert!(
                before.get(&key).is_none_or(|before| *before <= version),
                "the version of {key:?} of {stream} decreased to {version:?}"
            );
        }
    }
}

/// Every document is complete JSON.
pub(super) async fn clause_3_every_document_is_json(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for stream in case.streams() {
        case.batches_of_both_modes(&stream).await.iter().flat_map(|batch| &batch.records).for_each(assert_json);
    }
}

/// No column is null in all records of the case, as it would be if its path were mistyped or its type never matched.
pub(super) async fn clause_3_every_column_matches_a_value(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let mut missing = Vec::new();
    for stream in case.source.spec().streams {
        let check = ColumnCheck::new(&stream);
        case.batches_of_both_modes(&stream.name).await.iter().for_each(|batch| check.observe(&batch.records));
        missing.extend(check.missing(1));
    }
    assert!(missing.is_empty(), "these columns match no value; check their paths and types: {missing:?}");
}

/// Panics unless a record's document is JSON.
fn assert_json(record: &Record) {
    let valid = record.json().map(|json| serde_json::from_str::<IgnoredAny>(json));
    assert!(!matches!(valid, Some(Err(_))), "the document of {:?} is not JSON: {valid:?}", record.key);
}

/// The records of `whole` that `read` lacks, or has in an older state.
fn lost<'a>(
    whole: &'a BTreeMap<RowPath, Version>,
    read: &BTreeMap<RowPath, Version>,
) -> Vec<(&'a RowPath, &'a Version)> {
    whole.iter().filter(|(key, version)| read.get(*key).is_none_or(|v| v < version)).collect()
}

/// In both modes, the batches up to a checkpoint and those read from it contain everything together.
pub(super) async fn clause_4_resuming_at_any_checkpoint_leaves_no_gap(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for stream in case.streams() {
        for mode in [Mode::Incremental, Mode::Reconcile] {
            let batches = case.batches(&stream, mode, None).await;
            let whole = newest(&batches);
            let checkpoints: Vec<(usize, &Checkpoint)> =
                batches.iter().enumerate().filter_map(|(n, batch)| Some((n, batch.checkpoint.as_ref()?))).collect();
            let step = checkpoints.len().div_ceil(CHECKPOINTS).max(1);
            for (n, checkpoint) in checkpoints.into_iter().step_by(step) {
                let rest = case.batches(&stream, mode, Some(checkpoint.clone())).await;
                let both = newest(batches[..=n].iter().chain(&rest));
                let lost = lost(&whole, &both);
                assert!(
                    lost.is_empty(),
                    "resuming {stream} after batch {n} ({checkpoint:?}, {mode:?}) misses these records: {lost:?}"
                );
            }
        }
    }
}

/// Reading from the last checkpoint returns later changes. (Only if the case can change the resource.)
pub(super) async fn clause_4_changes_after_the_last_checkpoint_arrive(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let Some(change) = &case.change else { return };
    let mut read = case.all_streams().await;
    for round in 0..3 {
        change().await;
        for (stream, batches) in &mut read {
            let checkpoint = batches.iter().rev().find_map(|batch| batch.checkpoint.clone());
            // The checkpoints of an append stream lead downwards; what is new is at the top.
            let is_append = matches!(case.spec_of(stream).kind, StreamKind::Append(_));
            let checkpoint = checkpoint.filter(|_| !is_append);
            batches.extend(case.batches(stream, Mode::Incremental, checkpoint).await);
            let all = newest(&case.batches(stream, Mode::Incremental, None).await);
            let resumed = newest(&*batches);
            let lost = lost(&all, &resumed);
            assert!(lost.is_empty(), "after change {round}, these records of {stream} are missing: {lost:?}");
        }
    }
}

/// A foreign checkpoint is refused, instead of being taken for the start. (Only for streams with checkpoints.)
pub(super) async fn clause_4_an_unreadable_checkpoint_is_refused(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for (stream, batches) in case.all_streams().await {
        if batches.iter().all(|batch| batch.checkpoint.is_none()) {
            continue;
        }
        for garbage in GARBAGE {
            let checkpoint = Some(garbage_checkpoint(garbage));
            let first = case.read(&stream, Mode::Incremental, checkpoint).await.next().await;
            match first {
                Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error:?}"),
                other => panic!("the checkpoint {garbage} was accepted: {other:?}"),
            }
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
    for (stream, batches) in case.all_streams().await {
        let again = newest(&case.batches(&stream, Mode::Incremental, None).await);
        assert_eq!(newest(&batches), again, "two reads of {stream}");
    }
}

/// A reconcile run returns every record that an incremental read from the start returns.
pub(super) async fn clause_5_a_reconcile_run_delivers_everything(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for (stream, batches) in case.all_streams().await {
        let full = newest(&case.batches(&stream, Mode::Reconcile, None).await);
        let records = batches.iter().flat_map(|batch| &batch.records);
        let deleted: BTreeSet<_> = records.filter(|record| record.json().is_none()).map(Record::path).collect();
        let listed = newest(&batches).into_keys();
        let lost: Vec<_> = listed.filter(|key| !full.contains_key(key) && !deleted.contains(key)).collect();
        assert!(lost.is_empty(), "a reconcile run misses these records of {stream}: {lost:?}");
    }
}

/// A read ends after its first error.
pub(super) async fn clause_5_the_stream_ends_after_an_error(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for list in case.lists().await {
        let request = case.list_request(&list, Monitor::detached()).checkpoint(Some(garbage_checkpoint(GARBAGE[0])));
        let mut read = case.reader().await.read(request);
        while let Some(batch) = read.next().await {
            if batch.is_err() {
                let after = read.next().await;
                assert!(after.is_none(), "the read of {list:?} continued after its error: {after:?}");
                break;
            }
        }
    }
}

/// A read that is not polled sends no request.
pub(super) async fn clause_6_nothing_happens_before_the_stream_is_polled(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let monitor = Monitor::detached();
    let reader = case.reader().await;
    let lists = case.lists().await;
    let reads: Vec<_> = lists.iter().map(|list| reader.read(case.list_request(list, monitor.clone()))).collect();
    tokio::time::sleep(SETTLE_TIME).await;
    assert_eq!(monitor.traffic(), crate::Traffic::default());
    drop(reads);
}

/// After a read is dropped, at any batch, the source counts no more traffic, and reads as before.
pub(super) async fn clause_6_a_dropped_stream_leaves_nothing_running(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for list in case.lists().await {
        let whole = case.list_batches(&list).await;
        for batches in 0..3 {
            let monitor = Monitor::detached();
            let request = case.list_request(&list, monitor.clone());
            let mut read = case.reader().await.read(request);
            for _ in 0..batches {
                drop(read.next().await);
            }
            // Drop it in the middle of a batch, too.
            let waiting = tokio::time::timeout(std::time::Duration::from_micros(50), read.next()).await;
            drop((waiting, read));
            let before = monitor.traffic();
            tokio::time::sleep(SETTLE_TIME).await;
            assert_eq!(monitor.traffic(), before, "the dropped read of {list:?} still reads");
        }
        assert_eq!(newest(&case.list_batches(&list).await), newest(&whole));
    }
}

/// For each list, two reads of one reader and one with other settings, all polled in turn, each return everything.
pub(super) async fn clause_7_concurrent_reads_do_not_interfere(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    let (reader, other) = (case.reader().await, case.connect(&case.other).await);
    let lists = case.lists().await;
    let mut reads = Vec::new();
    for reader in [&reader, &reader, &other] {
        for list in &lists {
            reads.push((list, reader.read(case.list_request(list, Monitor::detached())), Vec::new()));
        }
    }
    for _ in 0..2 {
        for (_, read, batches) in &mut reads {
            batches.extend(read.try_next().await.unwrap_or_else(|error| panic!("the source failed: {error:?}")));
        }
    }
    let rest = reads.into_iter().map(|(list, read, mut batches)| async move {
        batches.extend(drain(read).await);
        (list, newest(&batches))
    });
    for (list, read) in futures::future::join_all(rest).await {
        assert_eq!(read, newest(&case.list_batches(list).await), "a concurrent read of {list:?}");
    }
}

/// `verify` returns only requested records, each once.
pub(super) async fn clause_9_verify_returns_only_requested_records(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for stream in case.streams() {
        let batches = case.batches(&stream, Mode::Reconcile, None).await;
        let known = batches.iter().flat_map(|batch| &batch.records).filter_map(|record| {
            Some(StoredRecord {
                parent: record.parent().clone(),
                ..StoredRecord::new(record.key.as_str(), record.version, record.json()?.clone())
            })
        });
        // A made-up record: the document of another one with a different key.
        let mut records: Vec<StoredRecord> = known.take(2).collect();
        let json = records.first().map_or_else(|| ByteString::from("{}"), |record| record.json.clone());
        let parent = records.first().map_or(RowPath::ROOT, |record| record.parent.clone());
        let made_up = StoredRecord { parent, ..StoredRecord::new("999999999999999", Version(5), json) };
        records.push(made_up);
        records.dedup_by(|a, b| a.key == b.key);
        let request = VerifyRequest {
            checkpoint: batches.iter().rev().find_map(|batch| batch.checkpoint.clone()),
            ..VerifyRequest::new(case.spec_of(&stream).owner(&case.resource), stream, records.clone())
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
