//! Records and the batches they travel in.

use std::collections::BTreeMap;

use bytestring::ByteString;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::Checkpoint;

/// Orders the states of one key: of two states, the one with the higher version is the newer one.
///
/// Any number that grows will do: a timestamp in microseconds (see the `From` implementation), a sequence number, a
/// revision. A source whose records carry nothing of the kind uses [`Version::NONE`] throughout; then the state that
/// arrives last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub i64);

impl Version {
    /// The version of records that have none. It is the lowest that a record should carry.
    pub const NONE: Self = Self(0);
}

impl From<Timestamp> for Version {
    /// Microseconds since 1970.
    fn from(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

/// What a record does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The key has this state now: a JSON text, exactly as the source sent it.
    Upsert(ByteString),
    /// The source no longer has the key. Sinks mark it deleted and keep its last state.
    Delete,
}

/// The state of one key, raw: snowfeed never builds a tree of values from it.
///
/// The engine rejects a record whose key has no byte or more than [`MAX_KEY`](Self::MAX_KEY), and one whose document is not JSON.
#[derive(Debug, Clone)]
pub struct Record {
    /// What identifies the thing in its table, permanently: 1 to 255 bytes, so that every backend can index it.
    pub key: String,
    /// Orders this state among those of the same key.
    pub version: Version,
    /// The state itself, or its end.
    pub operation: Operation,
    /// Whether a parser has read the document already.
    is_parsed: bool,
}

impl Record {
    /// The bytes that a key has at most.
    pub const MAX_KEY: usize = 255;

    /// The key has this state now. `json` is a complete JSON text; sinks store it as it is.
    pub fn upsert(key: impl Into<String>, version: impl Into<Version>, json: impl Into<ByteString>) -> Self {
        let operation = Operation::Upsert(json.into());
        Self { key: key.into(), version: version.into(), operation, is_parsed: false }
    }

    /// The source no longer has the key.
    pub fn delete(key: impl Into<String>, version: impl Into<Version>) -> Self {
        Self { key: key.into(), version: version.into(), operation: Operation::Delete, is_parsed: false }
    }

    /// Says that a parser has read the whole document, as it has each text that `http::json::elements` gives, so that the engine
    /// does not read it once more.
    #[must_use]
    pub fn parsed(mut self) -> Self {
        self.is_parsed = true;
        self
    }

    /// Why this is not a record that a sink can keep, in words for a person; `None` when it is one.
    pub(crate) fn defect(&self) -> Option<String> {
        let length = self.key.len();
        if length == 0 {
            return Some("the key is empty".to_owned());
        }
        if length > Self::MAX_KEY {
            let begin: String = self.key.chars().take(32).collect();
            return Some(format!("the key {begin:?}… has {length} bytes, of which {} are allowed", Self::MAX_KEY));
        }
        let json = self.json().filter(|_| !self.is_parsed)?;
        let error = serde_json::from_str::<IgnoredAny>(json).err()?;
        Some(format!("{}is not JSON: {error}", document_of(&self.key)))
    }

    /// The JSON text, unless this is a deletion.
    pub fn json(&self) -> Option<&ByteString> {
        match &self.operation {
            Operation::Upsert(json) => Some(json),
            Operation::Delete => None,
        }
    }

    /// The memory this record stands for, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.json().map_or(0, |json| json.len())
    }
}

/// How the reason begins for which the document of any key was rejected.
pub(crate) const DOCUMENT_OF: &str = "the document of the key ";

/// How the reason begins for which the document of this key was rejected.
pub(crate) fn document_of(key: &str) -> String {
    format!("{DOCUMENT_OF}{key:?} ")
}

impl PartialEq for Record {
    /// Whether key, version and operation are the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.key, self.version, &self.operation) == (&other.key, other.version, &other.operation)
    }
}

impl Eq for Record {}

/// The hash by which sinks see that a row has not changed: XXH3, 128 bits, of the JSON text.
///
/// It guards against needless rewriting, not against an attacker.
pub fn content_hash(json: &str) -> [u8; 16] {
    XxHash3_128::oneshot(json.as_bytes()).to_be_bytes()
}

/// Something that a source received and could not make a [`Record`] of, such as an object without a key.
///
/// Sinks keep it, beside the reason, so that nothing is lost; a run with rejects never ends as complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Why it is no record, in words for a person: `no id`.
    pub reason: String,
    /// What was received.
    pub raw: ByteString,
}

/// Records of one table on their way from a source to a sink, and the checkpoint that holds once they are committed.
///
/// ```
/// use snowfeed::{Batch, Checkpoint, Record, Version};
///
/// let batch = Batch::new("posts")
///     .record(Record::upsert("1", Version::NONE, r#"{"id":1,"title":"hello"}"#))
///     .checkpoint(Checkpoint::new(&1)?);
/// assert_eq!(batch.offered(), 1);
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The table, by the name of its [`TableSpec`](crate::TableSpec).
    pub table: String,
    /// The records, in the order in which the source has them. Of two records with the same key and version the later
    /// one counts.
    pub records: Vec<Record>,
    /// What could not be made a record of.
    pub rejects: Vec<Reject>,
    /// Rejects of earlier batches that no longer hold. Those that a record corrects need not be here, where the source tells
    /// its [subject](crate::Source::subject).
    pub corrected: Vec<Reject>,
    /// How many records were left out on purpose, by reason: a code in snake case, such as `pull_request`.
    pub excluded: BTreeMap<String, u64>,
    /// Where to resume once this batch *and all batches before it* are committed. `None`: not resumable here.
    pub checkpoint: Option<Checkpoint>,
}

impl Batch {
    /// An empty batch for a table.
    pub fn new(table: impl Into<String>) -> Self {
        Self { table: table.into(), ..Self::default() }
    }

    /// Adds one record.
    #[must_use]
    pub fn record(mut self, record: Record) -> Self {
        self.records.push(record);
        self
    }

    /// Adds records.
    #[must_use]
    pub fn records(mut self, records: impl IntoIterator<Item = Record>) -> Self {
        self.records.extend(records);
        self
    }

    /// Sets the checkpoint.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Everything the source saw for this batch: records, rejects and what was left out on purpose.
    pub fn offered(&self) -> u64 {
        (self.records.len() + self.rejects.len()) as u64 + self.excluded.values().sum::<u64>()
    }

    /// The memory this batch stands for, in bytes.
    pub fn size(&self) -> usize {
        self.records.iter().map(Record::size).sum::<usize>()
            + self
                .rejects
                .iter()
                .chain(&self.corrected)
                .map(|reject| reject.raw.len() + reject.reason.len())
                .sum::<usize>()
    }
}
