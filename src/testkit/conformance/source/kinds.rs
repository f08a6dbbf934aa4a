//! Checks of what a source promises for the kinds of its streams.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use futures::TryStreamExt;

use super::super::Fresh;
use super::{SourceCase, drain, newest};
use crate::{ErrorKind, Mode, Monitor, Parent, RowPath, StreamKind};

/// The list of a parent's children has no checkpoint. For a parent that does not exist, the read returns no record: it fails with
/// `NotFound`, or is empty.
pub(super) async fn clause_10_a_list_of_children_belongs_to_its_parent(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for spec in case.source.spec().streams {
        let Some(child) = spec.child_of() else { continue };
        let lists = case.batches(&spec.name, Mode::Incremental, None).await;
        let has_checkpoint = lists.iter().any(|batch| batch.checkpoint.is_some());
        assert!(!has_checkpoint, "a list of {} has a checkpoint, which the engine ignores", spec.name);
        let Some(known) = case.parents(child).await.pop() else { continue };
        // A source may know a parent by one of its fields.
        let fields = known.fields.into_iter().map(|field| if field.is_number() { MADE_UP.into() } else { field });
        let made_up = Parent { path: with_last_key(&known.path, &MADE_UP.to_string()), fields: fields.collect() };
        let request = case.request(&spec.name, Mode::Incremental, None, Monitor::detached()).parent(made_up.clone());
        let read: crate::Result<Vec<_>> = case.reader().await.read(request).try_collect().await;
        match read {
            Ok(batches) => {
                let records = batches.iter().map(|batch| batch.records.len()).sum::<usize>();
                assert_eq!(records, 0, "the list of {} for a parent that does not exist: {made_up:?}", spec.name);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
        }
    }
}

/// The parents do not all have the same children, as they would if the reader ignored the parent.
pub(super) async fn clause_10_a_read_returns_the_children_of_its_parent(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for spec in case.source.spec().streams.into_iter().filter(|spec| spec.child_of().is_some()) {
        let mut lists: BTreeMap<RowPath, BTreeSet<(String, Option<ByteString>)>> = BTreeMap::new();
        for record in
            case.batches(&spec.name, Mode::Incremental, None).await.into_iter().flat_map(|batch| batch.records)
        {
            let child = (record.key.clone(), record.json().cloned());
            lists.entry(record.parent().clone()).or_default().insert(child);
        }
        let distinct: BTreeSet<_> = lists.values().collect();
        assert!(
            lists.len() < 2 || distinct.len() > 1,
            "all parents have the same list of {}: list the children of `ReadRequest::parent` only, or let the case have parents \
             with different children",
            spec.name
        );
    }
}

/// The key, and each numeric field, of a parent that does not exist.
const MADE_UP: u64 = 999_999_999_999_999;

fn with_last_key(path: &RowPath, key: &str) -> RowPath {
    path.parent().child(key)
}

/// A snapshot has validators in its last batch only. Read with them, it is unchanged, or the same list again; after a change, it is not
/// unchanged if it has another record.
pub(super) async fn clause_11_a_snapshot_is_unchanged_only_if_it_is_the_same(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for spec in case.source.spec().streams.into_iter().filter(|spec| spec.kind == StreamKind::Snapshot) {
        let name = &spec.name;
        let mut whole = case.batches(name, Mode::Incremental, None).await;
        assert!(whole.iter().all(|batch| !batch.is_unchanged), "{name} is unchanged, but was read without validators");
        let Some(validators) = whole.last().and_then(|batch| batch.checkpoint.clone()) else {
            assert!(
                whole.iter().all(|batch| batch.checkpoint.is_none()),
                "only the last batch of {name} has validators"
            );
            continue;
        };
        whole.pop();
        assert!(whole.iter().all(|batch| batch.checkpoint.is_none()), "only the last batch of {name} has validators");
        let whole = newest(&case.batches(name, Mode::Incremental, None).await);
        let again = case.batches(name, Mode::Incremental, Some(validators.clone())).await;
        let is_unchanged = again.iter().any(|batch| batch.is_unchanged);
        assert!(is_unchanged || newest(&again) == whole, "the list of {name} with its validators is another one");
        assert!(!is_unchanged || again.len() == 1, "an unchanged list of {name} has no other batch");
        let Some(change) = &case.change else { continue };
        change().await;
        let changed = drain(case.read(name, Mode::Incremental, Some(validators)).await).await;
        if newest(&case.batches(name, Mode::Incremental, None).await) != whole {
            assert!(changed.iter().all(|batch| !batch.is_unchanged), "{name} has changed, and is called unchanged");
        }
    }
}

/// No record of an append stream has a higher version than a record before it, except within the overlap.
pub(super) async fn clause_12_an_append_stream_lists_the_newest_first(fresh: Fresh<SourceCase>) {
    let case = fresh.make().await;
    for spec in case.source.spec().streams {
        let StreamKind::Append(append) = &spec.kind else { continue };
        let mut lowest = i64::MAX;
        for record in case.batches(&spec.name, Mode::Incremental, None).await.iter().flat_map(|batch| &batch.records) {
            let version = record.version.0;
            assert!(
                version <= lowest.saturating_add(append.overlap),
                "the record {:?} of {} comes after one of version {lowest}, and has the version {version}",
                record.key,
                spec.name
            );
            assert!(record.json().is_some(), "the append stream {} deletes {:?}", spec.name, record.key);
            lowest = lowest.min(version);
        }
    }
}
