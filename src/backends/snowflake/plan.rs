//! What a commit's records make of the rows that are there: decided here, by the rule that all backends share, so that what
//! has not changed is not even sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytestring::ByteString;
use serde::Serialize;

use crate::backends::merge::{Merge, Present};
use crate::record::content_hash;
use crate::{Counts, Operation, Record, Version};

/// A row as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Image<'a> {
    /// The key.
    k: &'a str,
    /// The version.
    v: i64,
    /// The hash of the document; none where the stored document stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    h: Option<String>,
    /// The document; none where the stored one stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<&'a str>,
    /// Whether the document is JSON, so that it can be had as a VARIANT.
    j: bool,
    /// Whether the row is marked deleted.
    x: bool,
    /// What is done to a row that is there.
    o: Act,
}

/// What is done to a row that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Act {
    /// It gets a document.
    Write,
    /// It keeps its document, and is marked deleted.
    Delete,
    /// Only its version rises.
    Raise,
}

impl Image<'_> {
    /// About how many bytes it takes up as JSON.
    pub(super) fn size(&self) -> usize {
        self.k.len() + self.d.map_or(0, |document| document.len() + document.len() / 8) + 96
    }
}

/// What becomes of one key.
struct Row<'a> {
    present: Option<Present>,
    document: Option<&'a ByteString>,
    changed: bool,
    touched: bool,
}

/// The rows to be written, in the order in which their keys first came, and what became of the records.
pub(super) fn plan<'a>(mut present: HashMap<String, Present>, records: &'a [Record]) -> (Vec<Image<'a>>, Counts) {
    let mut counts = Counts::default();
    let mut rows: Vec<(&'a str, Row<'a>)> = Vec::new();
    let mut places: HashMap<&'a str, usize> = HashMap::new();
    for record in records {
        let place = match places.entry(record.key.as_str()) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let present = present.remove(&record.key);
                rows.push((&record.key, Row { present, document: None, changed: false, touched: false }));
                *place.insert(rows.len() - 1)
            }
        };
        rows[place].1.apply(record).count(&mut counts);
    }
    let touched = rows.into_iter().filter(|(_, row)| row.touched);
    (touched.filter_map(|(key, row)| row.image(key)).collect(), counts)
}

impl<'a> Row<'a> {
    fn apply(&mut self, record: &'a Record) -> Merge {
        let hash = record.json().map(|json| content_hash(json));
        let merge = Merge::of(self.present, record.version, hash.as_ref());
        let stored = self.present.and_then(|present| present.hash);
        let deleted = match merge {
            Merge::Unchanged | Merge::Older => return merge,
            Merge::Insert | Merge::Update => false,
            Merge::InsertDeleted | Merge::Delete | Merge::Raise => true,
        };
        self.present = Some(Present { version: record.version, hash: hash.or(stored), deleted });
        self.changed |= merge != Merge::Raise;
        self.touched = true;
        if let Operation::Upsert(json) = &record.operation {
            self.document = Some(json);
        }
        merge
    }

    fn image(self, key: &'a str) -> Option<Image<'a>> {
        let Present { version: Version(version), hash, deleted } = self.present?;
        let document = self.document.map(|document| &**document);
        Some(Image {
            k: key,
            v: version,
            h: hash.filter(|_| document.is_some()).map(|hash| hex(&hash)),
            d: document,
            j: document.is_some_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()),
            x: deleted,
            o: match (document, self.changed) {
                (Some(_), _) => Act::Write,
                (None, true) => Act::Delete,
                (None, false) => Act::Raise,
            },
        })
    }
}

/// A hash as it is stored.
pub(super) fn hex(hash: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*hash))
}

/// The hash that [`hex`] wrote.
pub(super) fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upsert(version: i64, text: &str) -> Record {
        Record::upsert("k", Version(version), text.to_owned())
    }

    fn delete(version: i64) -> Record {
        Record::delete("k", Version(version))
    }

    fn present(version: i64, text: Option<&str>, deleted: bool) -> HashMap<String, Present> {
        let present = Present { version: Version(version), hash: text.map(content_hash), deleted };
        [("k".to_owned(), present)].into()
    }

    #[test]
    fn what_has_not_changed_is_not_written() {
        let records = [upsert(5, "{}"), upsert(4, "[]")];
        let (images, counts) = plan(present(5, Some("{}"), false), &records);
        assert_eq!(images, []);
        assert_eq!((counts.unchanged, counts.skipped_total()), (1, 1));
    }

    #[test]
    fn a_key_that_comes_and_goes_in_one_commit_is_one_row() {
        let records = [upsert(1, "{\"a\":1}"), delete(2)];
        let (images, counts) = plan(HashMap::new(), &records);
        assert_eq!((counts.inserted, counts.deleted), (1, 1));
        let [image] = images.as_slice() else { panic!("{images:?}") };
        assert_eq!((image.v, image.d, image.x, image.o, image.j), (2, Some("{\"a\":1}"), true, Act::Write, true));
    }

    #[test]
    fn a_later_deletion_raises_the_version_and_changes_nothing_else() {
        let records = [delete(9)];
        let (images, counts) = plan(present(5, Some("{}"), true), &records);
        let [image] = images.as_slice() else { panic!("{images:?}") };
        assert_eq!((image.v, image.d, image.x, image.o), (9, None, true, Act::Raise));
        assert_eq!(counts.unchanged, 1);
    }

    #[test]
    fn what_is_no_json_is_said_so() {
        let records = [upsert(1, "{oops")];
        assert!(!plan(HashMap::new(), &records).0[0].j);
    }

    proptest! {
        #[test]
        fn a_hash_survives_being_written(hash in any::<[u8; 16]>()) {
            prop_assert_eq!(unhex(&hex(&hash)), Some(hash));
        }
    }
}
