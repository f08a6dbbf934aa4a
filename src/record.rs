//! Records, and the batches that carry them.

use std::collections::BTreeMap;

use bytestring::ByteString;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::Checkpoint;

mod path;

pub use path::{Position, RowPath, Sequence};

/// Orders the states of one key: the state with the higher version is newer.
///
/// Use any number that grows: a timestamp in microseconds (see the `From` implementations), a sequence number, a
/// revision. A source whose records have none uses [`Version::NONE`] throughout; then the state that arrives last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub i64);

impl Version {
    /// The version of records that have none, and the lowest that a record should have.
    pub const NONE: Self = Self(0);
}

impl From<i64> for Version {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl From<Timestamp> for Version {
    /// Microseconds since 1970.
    fn from(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

/// A record's effect on its key.
///
/// It is exhaustive: a destination that ignored a new operation would lose data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets the state of the key: a JSON text, exactly as the source sent it.
    Upsert(ByteString),
    /// Deletes the key. Sinks mark it deleted and keep its last state.
    Delete,
}

/// Why a record holds, which decides whether it replaces a stored state with a higher version.
///
/// It is exhaustive: a destination that ignored a new kind would keep wrong rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Evidence {
    /// The source has listed it, perhaps from a replica that lags behind: the version decides.
    #[default]
    Listed,
    /// The source was [asked](crate::Reader::verify) about this very record, or a reconcile run has listed the children of its parent: it
    /// replaces the stored state, whatever the version.
    Verified,
    /// A run of another stream has asked about it: it replaces the stored state, whatever the version, if the row still has this sequence.
    /// Otherwise, the row has changed since, and stays as it is.
    VerifiedAt(Sequence),
}

/// The state of one key, as raw JSON.
///
/// The engine rejects a record whose key is empty or longer than [`MAX_KEY`](Self::MAX_KEY), and one whose document is not JSON.
#[derive(Debug, Clone)]
pub struct Record {
    /// Identifies the object in its stream permanently: 1 to 255 bytes, so that every backend can index it.
    pub key: String,
    /// Orders this state among those of the same key.
    pub version: Version,
    /// The state itself, or a deletion.
    pub operation: Operation,
    /// Whether a parser has already validated the document.
    is_parsed: bool,
    /// The row that it belongs to; see [`parent`](Self::parent).
    parent: RowPath,
    /// See [`evidence`](Self::evidence).
    evidence: Evidence,
}

impl Record {
    /// The longest key, in bytes.
    pub const MAX_KEY: usize = 255;

    /// Sets the state of a key. `json` is a complete JSON text; sinks store it unchanged.
    pub fn upsert(key: impl Into<String>, version: impl Into<Version>, json: impl Into<ByteString>) -> Self {
        Self::new(key.into(), version.into(), Operation::Upsert(json.into()))
    }

    /// Deletes a key that the source no longer has.
    pub fn delete(key: impl Into<String>, version: impl Into<Version>) -> Self {
        Self::new(key.into(), version.into(), Operation::Delete)
    }

    fn new(key: String, version: Version, operation: Operation) -> Self {
        Self { key, version, operation, is_parsed: false, parent: RowPath::ROOT, evidence: Evidence::Listed }
    }

    /// Declares that the document has been parsed, as `http::json::elements` does, so that the engine does not validate it again.
    #[must_use]
    pub fn parsed(mut self) -> Self {
        self.is_parsed = true;
        self
    }

    /// Notes that the document has been validated.
    pub(crate) fn set_parsed(&mut self) {
        self.is_parsed = true;
    }

    /// The path of the parent's row in the parent's stream; [`RowPath::ROOT`] unless this is a record of a child stream. A key identifies a
    /// record only among those of the same parent.
    ///
    /// The engine sets it: a reader lists the children of the parent in the request.
    pub fn parent(&self) -> &RowPath {
        &self.parent
    }

    /// Sets the parent.
    #[must_use]
    pub fn of_parent(mut self, parent: RowPath) -> Self {
        self.parent = parent;
        self
    }

    /// Its path: that of its parent, and its key.
    pub fn path(&self) -> RowPath {
        self.parent.child(&self.key)
    }

    /// Why it holds. The engine sets it: what a reader returns from [`read`](crate::Reader::read) is listed.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// Sets why it holds.
    #[must_use]
    pub(crate) fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = evidence;
        self
    }

    /// Why a sink cannot store this record, as a message for people; `None` if it can.
    pub(crate) fn defect(&self) -> Option<String> {
        let length = self.key.len();
        if length == 0 {
            return Some("the key is empty".to_owned());
        }
        if length > Self::MAX_KEY {
            let begin: String = self.key.chars().take(32).collect();
            return Some(format!("the key {begin:?}… has {length} bytes, of which {} are allowed", Self::MAX_KEY));
        }
        let error = self.syntax_error()?;
        Some(format!("{}is not JSON: {error}", document_of(&self.key)))
    }

    /// Whether the document is JSON. A deletion has none.
    #[cfg(feature = "snowflake")]
    pub(crate) fn is_json(&self) -> bool {
        self.syntax_error().is_none()
    }

    fn syntax_error(&self) -> Option<serde_json::Error> {
        let json = self.json().filter(|_| !self.is_parsed)?;
        serde_json::from_str::<IgnoredAny>(json).err()
    }

    /// The JSON text, unless this is a deletion.
    pub fn json(&self) -> Option<&ByteString> {
        match &self.operation {
            Operation::Upsert(json) => Some(json),
            Operation::Delete => None,
        }
    }

    /// The memory that this record takes, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.json().map_or(0, |json| json.len())
    }
}

/// The start of every reason for rejecting a document whose key is known.
pub(crate) const DOCUMENT_OF: &str = "the document of the key ";

/// The start of the reason for rejecting the document of this key.
pub(crate) fn document_of(key: &str) -> String {
    format!("{DOCUMENT_OF}{key:?} ")
}

impl PartialEq for Record {
    /// Compares path, version, operation and evidence.
    fn eq(&self, other: &Self) -> bool {
        (&self.parent, &self.key, self.version, &self.operation, self.evidence)
            == (&other.parent, &other.key, other.version, &other.operation, other.evidence)
    }
}

impl Eq for Record {}

/// Hashes a JSON text, so that a destination can tell that a row has not changed: XXH3 with 128 bits.
///
/// It guards against needless rewriting, not against an attacker.
pub fn content_hash(json: &str) -> [u8; 16] {
    XxHash3_128::oneshot(json.as_bytes()).to_be_bytes()
}

/// Something that a source received and could not turn into a [`Record`], such as an object without a key.
///
/// Sinks store it with its reason, so that nothing is lost. A run with rejects never ends as complete.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reject {
    /// Why it is not a record, as a message for people: `no id`.
    pub reason: String,
    /// The data as the source received it.
    pub raw: ByteString,
}

impl Reject {
    /// Rejects received data, with a reason.
    pub fn new(reason: impl Into<String>, raw: impl Into<ByteString>) -> Self {
        Self { reason: reason.into(), raw: raw.into() }
    }
}

/// Records of one stream, and the checkpoint that holds once they are committed.
///
/// ```
/// use snowfeed::{Batch, Checkpoint, Record, Version};
///
/// let batch = Batch::new()
///     .record(Record::upsert("1", Version::NONE, r#"{"id":1,"title":"hello"}"#))
///     .reject("no id", r#"{"title":"lost"}"#)
///     .exclude("draft", 2)
///     .checkpoint(Checkpoint::new(&1)?);
/// assert_eq!(batch.offered(), 4);
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Batch {
    /// The records, in the order in which the source has them. Of two records with the same key and version the later
    /// one wins.
    pub records: Vec<Record>,
    /// Objects that could not be turned into records.
    pub rejects: Vec<Reject>,
    /// Rejects of earlier batches that no longer hold. If the source implements [`subject`](crate::Source::subject), a record
    /// corrects the rejects of its subject without being listed here.
    pub corrected: Vec<Reject>,
    /// The numbers of objects left out on purpose, by reason: a code in snake case, such as `pull_request`.
    pub excluded: BTreeMap<String, u64>,
    /// Where to resume once this batch *and all batches before it* are committed. `None`: not resumable here. Of a
    /// [snapshot](crate::StreamKind::Snapshot), the validators of all its pages, in the last batch only.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the list has not changed since its last complete read: the whole answer of a [snapshot](crate::StreamKind::Snapshot) or of a
    /// parent's list, without records.
    pub is_unchanged: bool,
    /// Rows of the parent stream that are gone: set by the engine.
    pub(crate) gone: Vec<Position>,
    /// Records of the parent stream that were verified to exist: set by the engine.
    pub(crate) verified_parents: Vec<Record>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer for a list that has not changed since its last complete read: every page was requested conditionally, and none has
    /// changed.
    pub fn unchanged() -> Self {
        Self { is_unchanged: true, ..Self::default() }
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

    /// Adds an object that could not be turned into a record, and why.
    #[must_use]
    pub fn reject(mut self, reason: impl Into<String>, raw: impl Into<ByteString>) -> Self {
        self.rejects.push(Reject::new(reason, raw));
        self
    }

    /// Counts objects that were left out on purpose, such as 3 for the reason `pull_request`.
    #[must_use]
    pub fn exclude(mut self, reason: impl Into<String>, count: u64) -> Self {
        *self.excluded.entry(reason.into()).or_default() += count;
        self
    }

    /// Sets the checkpoint.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// The number of objects that the source read for this batch: records, rejects and exclusions.
    pub fn offered(&self) -> u64 {
        (self.records.len() + self.rejects.len()) as u64 + self.excluded.values().sum::<u64>()
    }

    /// The memory that this batch takes, in bytes.
    pub fn size(&self) -> usize {
        self.records.iter().chain(&self.verified_parents).map(Record::size).sum::<usize>()
            + self
                .rejects
                .iter()
                .chain(&self.corrected)
                .map(|reject| reject.raw.len() + reject.reason.len())
                .sum::<usize>()
    }
}
