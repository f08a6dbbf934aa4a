//! Plans the writes of a commit from the existing rows, by the rule that all backends share, so that unchanged rows are not sent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use crate::backends::surrogates;
use crate::sink::StalePolicy;
use crate::sink::merge::{Merge, MergeAction, StoredVersion};
use crate::{Counts, Evidence, Record, RowPath, Sequence, Version};

/// A row to write. Its JSON has short names: they repeat in every row that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RowWrite<'a> {
    #[serde(flatten)]
    id: RowId<'a>,
    #[serde(rename = "v")]
    version: i64,
    /// The hash of the document; `None` keeps the stored document.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The document; `None` keeps the stored one.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
    /// The document for the VARIANT, if it differs: without lone surrogates.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// Whether the document is valid JSON.
    #[serde(rename = "j")]
    is_json: bool,
    /// Whether the row is marked deleted.
    #[serde(rename = "x")]
    is_deleted: bool,
    /// The change to an existing row.
    #[serde(rename = "o")]
    kind: WriteKind,
    /// Whether it replaces a row of a higher version.
    #[serde(rename = "f", skip_serializing_if = "std::ops::Not::not")]
    replaces: bool,
    /// The sequence that the existing row must have; `None`: any.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
}

/// The identity of a row in its table, by the text of its parent's path, which is empty without a parent. Its JSON has the names of a
/// [`RowWrite`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct RowId<'a> {
    #[serde(rename = "k")]
    key: &'a str,
    #[serde(rename = "q", serialize_with = "serialize_text", skip_serializing_if = "is_empty")]
    parent: Arc<str>,
}

impl<'a> RowId<'a> {
    pub(super) fn new(key: &'a str, parent: &str) -> Self {
        Self { key, parent: parent.into() }
    }

    /// The text of the parent's path.
    pub(super) fn parent(&self) -> &str {
        &self.parent
    }
}

fn serialize_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn is_empty(text: &Arc<str>) -> bool {
    text.is_empty()
}

/// The identities of records, in order. Records of one parent follow one another, and share its text.
pub(super) fn row_ids(records: &[Record]) -> impl Iterator<Item = RowId<'_>> {
    let mut last: (&RowPath, Arc<str>) = (&RowPath::ROOT, "".into());
    records.iter().map(move |record| {
        if record.parent() != last.0 {
            last = (record.parent(), record.parent().to_text().into());
        }
        RowId { key: &record.key, parent: last.1.clone() }
    })
}

/// A change to an existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum WriteKind {
    /// Replaces its document.
    Write,
    /// Marks it deleted and keeps its document.
    Delete,
    /// Raises its version only.
    BumpVersion,
}

impl RowWrite<'_> {
    /// Whether it replaces a row of a higher version.
    pub(super) fn replaces(&self) -> bool {
        self.replaces
    }

    /// Whether the existing row must have a certain sequence.
    pub(super) fn is_conditional(&self) -> bool {
        self.seen.is_some()
    }
}

/// A row of the raw table.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExistingRow {
    pub(super) present: StoredVersion,
    /// Whether the current reconcile run has marked the row.
    pub(super) is_marked: bool,
}

/// The rows of the raw table that records concern.
#[derive(Debug, Default)]
pub(super) struct ExistingRows {
    /// By the text of the parent's path, then by key.
    pub(super) rows: HashMap<String, HashMap<String, ExistingRow>>,
    /// The number of the last commit that changed a row of the table; `None` if no row was looked for.
    pub(super) sequence: Option<i64>,
}

impl ExistingRows {
    fn remove(&mut self, id: &RowId<'_>) -> Option<ExistingRow> {
        self.rows.get_mut(&*id.parent)?.remove(id.key)
    }
}

/// The planned writes of one table.
pub(super) struct MergePlan<'a> {
    /// The rows to write, in the order of the first record of each.
    pub(super) writes: Vec<RowWrite<'a>>,
    pub(super) counts: Counts,
    /// The rows that the reconcile run must verify.
    pub(super) unmarked: HashSet<RowId<'a>>,
}

/// The state of one row while records are applied.
struct PendingRow<'a> {
    present: Option<StoredVersion>,
    /// The newest record with a document.
    upsert: Option<&'a Record>,
    changed: bool,
    touched: bool,
    is_marked: bool,
    replaces: bool,
    seen: Option<u64>,
}

/// Plans the writes of records, given the existing rows that they concern.
pub(super) fn plan<'a>(mut found: ExistingRows, records: &'a [Record], policy: StalePolicy) -> MergePlan<'a> {
    let mut counts = Counts::default();
    let mut rows: Vec<(RowId<'a>, PendingRow<'a>)> = Vec::new();
    let mut places: HashMap<RowId<'a>, usize> = HashMap::new();
    for (id, record) in row_ids(records).zip(records) {
        let place = match places.entry(id) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let id = place.key().clone();
                let found = found.remove(&id);
                rows.push((id, PendingRow::new(found)));
                *place.insert(rows.len() - 1)
            }
        };
        rows[place].1.apply(record, policy).count(&mut counts);
    }
    let unmarked = rows.iter().filter(|(_, row)| !row.is_marked).map(|(id, _)| id.clone()).collect();
    let touched = rows.into_iter().filter(|(_, row)| row.touched);
    MergePlan { writes: touched.filter_map(|(id, row)| row.into_write(id)).collect(), counts, unmarked }
}

impl<'a> PendingRow<'a> {
    fn new(found: Option<ExistingRow>) -> Self {
        let (present, is_marked) = found.map_or((None, false), |found| (Some(found.present), found.is_marked));
        Self { present, upsert: None, changed: false, touched: false, is_marked, replaces: false, seen: None }
    }

    fn apply(&mut self, record: &'a Record, policy: StalePolicy) -> Merge {
        let merge = Merge::new(self.present, record, policy, self.is_marked);
        self.is_marked |= merge.marks;
        let stored = self.present.and_then(|present| present.hash);
        let deleted = match merge.action {
            MergeAction::Unchanged | MergeAction::Skip => return merge,
            MergeAction::Insert | MergeAction::Update => false,
            MergeAction::InsertDeleted | MergeAction::Delete | MergeAction::BumpVersion => true,
        };
        if let Evidence::VerifiedAt(Sequence(seen)) = record.evidence() {
            self.seen = Some(seen);
        }
        self.replaces |= self.present.is_some_and(|present| merge.version < present.version);
        self.present = Some(StoredVersion::new(merge.version, merge.hash.or(stored), deleted));
        self.changed |= merge.action != MergeAction::BumpVersion;
        self.touched = true;
        if record.json().is_some() {
            self.upsert = Some(record);
        }
        merge
    }

    fn into_write(self, id: RowId<'a>) -> Option<RowWrite<'a>> {
        let StoredVersion { version: Version(version), hash, deleted, .. } = self.present?;
        let document = self.upsert.and_then(Record::json).map(|document| &**document);
        Some(RowWrite {
            id,
            version,
            hash: hash.filter(|_| document.is_some()).map(|hash| hex(&hash)),
            document,
            variant: document.and_then(surrogates::replaced),
            is_json: self.upsert.is_some_and(Record::is_json),
            is_deleted: deleted,
            kind: match (document, self.changed) {
                (Some(_), _) => WriteKind::Write,
                (None, true) => WriteKind::Delete,
                (None, false) => WriteKind::BumpVersion,
            },
            replaces: self.replaces,
            seen: self.seen,
        })
    }
}

/// Formats a hash as it is stored.
pub(super) fn hex(hash: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*hash))
}

/// Parses a hash from [`hex`].
pub(super) fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::content_hash;
    use proptest::prelude::*;

    fn upsert(version: i64, text: &str) -> Record {
        Record::upsert("k", Version(version), text.to_owned())
    }

    fn delete(version: i64) -> Record {
        Record::delete("k", Version(version))
    }

    fn present(version: i64, text: Option<&str>, deleted: bool) -> ExistingRows {
        let present = StoredVersion::new(Version(version), text.map(content_hash), deleted);
        let of_parent = [("k".to_owned(), ExistingRow { present, is_marked: false })].into();
        ExistingRows { rows: [(String::new(), of_parent)].into(), sequence: Some(0) }
    }

    fn plan<'a>(found: ExistingRows, records: &'a [Record]) -> (Vec<RowWrite<'a>>, Counts) {
        let MergePlan { writes, counts, .. } = super::plan(found, records, StalePolicy::Skip);
        (writes, counts)
    }

    #[test]
    fn what_has_not_changed_is_not_written() {
        let records = [upsert(5, "{}"), upsert(4, "[]")];
        let (writes, counts) = plan(present(5, Some("{}"), false), &records);
        assert_eq!(writes, []);
        assert_eq!((counts.unchanged, counts.skipped_total()), (1, 1));
    }

    #[test]
    fn a_key_that_comes_and_goes_in_one_commit_is_one_row() {
        let records = [upsert(1, "{\"a\":1}"), delete(2)];
        let (writes, counts) = plan(ExistingRows::default(), &records);
        assert_eq!((counts.inserted, counts.deleted), (1, 1));
        let [write] = writes.as_slice() else { panic!("{writes:?}") };
        assert_eq!(
            (write.version, write.document, write.is_deleted, write.kind, write.is_json),
            (2, Some("{\"a\":1}"), true, WriteKind::Write, true)
        );
    }

    #[test]
    fn a_later_deletion_raises_the_version_and_changes_nothing_else() {
        let records = [delete(9)];
        let (writes, counts) = plan(present(5, Some("{}"), true), &records);
        let [write] = writes.as_slice() else { panic!("{writes:?}") };
        assert_eq!(
            (write.version, write.document, write.is_deleted, write.kind),
            (9, None, true, WriteKind::BumpVersion)
        );
        assert_eq!(counts.unchanged, 1);
    }

    #[test]
    fn an_older_state_replaces_only_what_the_pass_has_not_marked() {
        let records = [upsert(3, "{\"a\":1}"), upsert(2, "[]")];
        let plan = super::plan(present(5, Some("{}"), false), &records, StalePolicy::Replace);
        let [write] = plan.writes.as_slice() else { panic!("{:?}", plan.writes) };
        assert_eq!((write.version, write.document, write.replaces()), (3, Some("{\"a\":1}"), true));
        assert_eq!((plan.counts.updated, plan.counts.skipped_total(), plan.unmarked.len()), (1, 1, 0));
        let mut marked = present(5, Some("{}"), false);
        marked.rows.values_mut().flat_map(HashMap::values_mut).for_each(|found| found.is_marked = true);
        let plan = super::plan(marked, &records, StalePolicy::Replace);
        assert_eq!((plan.writes.len(), plan.counts.skipped_total(), plan.unmarked.len()), (0, 2, 0));
    }

    #[test]
    fn an_older_state_that_has_to_be_verified_marks_nothing_and_revives() {
        let records = [upsert(3, "{\"a\":1}")];
        let plan = super::plan(present(5, Some("{}"), false), &records, StalePolicy::Verify);
        assert_eq!((plan.writes.len(), plan.counts.skipped_total(), plan.unmarked.len()), (0, 1, 1));
        let plan = super::plan(present(5, Some("{}"), true), &records, StalePolicy::Verify);
        let [write] = plan.writes.as_slice() else { panic!("{:?}", plan.writes) };
        assert_eq!((write.version, write.is_deleted, write.replaces(), plan.unmarked.len()), (3, false, true, 1));
    }

    #[test]
    fn the_same_key_below_two_parents_is_two_rows() {
        let below = |parent: &str| upsert(1, "{}").of_parent(RowPath::ROOT.child(parent));
        let records = [below("a"), below("b"), below("a"), upsert(1, "{}")];
        let (writes, counts) = plan(present(1, Some("{}"), false), &records);
        let parents: Vec<&str> = writes.iter().map(|write| &*write.id.parent).collect();
        assert_eq!((parents.as_slice(), counts.inserted, counts.unchanged), (&["[\"a\"]", "[\"b\"]"][..], 2, 2));
        let json = serde_json::to_value(&writes[0]).unwrap();
        assert_eq!((&json["k"], &json["q"]), (&"k".into(), &"[\"a\"]".into()));
    }

    #[test]
    fn what_is_no_json_is_said_so() {
        let records = [upsert(1, "{oops")];
        assert!(!plan(ExistingRows::default(), &records).0[0].is_json);
    }

    proptest! {
        #[test]
        fn a_hash_survives_being_written(hash in any::<[u8; 16]>()) {
            prop_assert_eq!(unhex(&hex(&hash)), Some(hash));
        }
    }
}
