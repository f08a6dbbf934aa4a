//! Records that are too large for a row in Snowflake.

use std::borrow::Cow;

use super::plan::{RowId, hex};
use crate::Record;
use crate::record::{content_hash, document_of};

/// The maximum size of a document, in bytes: VARIANT and VARCHAR hold 128 MiB, and the file that loads the document also holds
/// its key.
const MAX_DOCUMENT_BYTES: usize = (128 << 20) - (1 << 20);

/// The number of bytes of a reject that are kept.
pub(super) const MAX_RAW_BYTES: usize = 1 << 20;

/// A record that is too large for a row.
#[derive(Debug, Clone)]
pub(super) struct Oversized {
    key: String,
    /// The text of the parent's path.
    parent: String,
    pub(super) reason: String,
    /// The beginning of its document.
    pub(super) raw: String,
    pub(super) hash: String,
}

impl Oversized {
    /// Returns what is kept of a record, if it is too large.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let document = record.json().filter(|json| json.len() > MAX_DOCUMENT_BYTES)?;
        let reason = format!(
            "{}has {} bytes, and a row in Snowflake holds {MAX_DOCUMENT_BYTES} at most; its beginning is kept here",
            document_of(&record.key),
            document.len()
        );
        let (key, parent) = (record.key.clone(), record.parent().to_text());
        Some(Self { key, parent, reason, raw: beginning(document).to_owned(), hash: hex(&content_hash(document)) })
    }

    /// The identity of its row.
    pub(super) fn row_id(&self) -> RowId<'_> {
        RowId::new(&self.key, &self.parent)
    }

    /// Splits records by whether they fit in a row.
    pub(super) fn split(records: &[Record]) -> (Cow<'_, [Record]>, Vec<Self>) {
        let oversized: Vec<_> = records.iter().filter_map(Self::of).collect();
        if oversized.is_empty() {
            return (Cow::Borrowed(records), oversized);
        }
        let fits = |record: &&Record| record.json().is_none_or(|json| json.len() <= MAX_DOCUMENT_BYTES);
        (records.iter().filter(fits).cloned().collect(), oversized)
    }
}

/// The part of a reject that is kept.
pub(super) fn beginning(raw: &str) -> &str {
    let mut end = raw.len().min(MAX_RAW_BYTES);
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    &raw[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    #[test]
    fn an_oversized_document_is_recognized_and_its_beginning_is_kept() {
        let records = [
            Record::upsert("small", Version(1), "{}"),
            Record::upsert("fits", Version(1), "x".repeat(MAX_DOCUMENT_BYTES)),
            Record::upsert("long", Version(1), "é".repeat(MAX_DOCUMENT_BYTES / 2 + 1)),
        ];
        let (fitting, oversized) = Oversized::split(&records);
        assert_eq!((fitting.len(), oversized.len()), (2, 1));
        assert_eq!(oversized[0].raw.len(), MAX_RAW_BYTES);
        let reason = &oversized[0].reason;
        assert!(reason.contains("\"long\" has 133169154 bytes") && reason.contains("133169152 at most"));
    }
}
