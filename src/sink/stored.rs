//! What a sink has stored: the queries for it, and their results.

use std::collections::BTreeMap;

use bytestring::ByteString;
use jiff::Timestamp;
use serde_json::Value;

use crate::state::{RunId, StateKey};
use crate::{JsonPath, Position, Reject, Resource, RowPath, Sequence, Version};

/// Selects records of a table that a reconcile run has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnseenQuery {
    /// The resource.
    pub resource: Resource,
    /// The table.
    pub table: String,
    /// The reconciliation.
    pub sweep: RunId,
    /// Only keys after this one.
    pub after: Option<String>,
    /// The number of records to return at most.
    pub limit: usize,
}

impl UnseenQuery {
    /// Selects the first `limit` records.
    pub fn new(resource: Resource, table: impl Into<String>, sweep: RunId, limit: usize) -> Self {
        Self { resource, table: table.into(), sweep, after: None, limit }
    }

    /// Selects only keys after this one.
    #[must_use]
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }
}

/// The numbers of a table's live rows during a reconcile run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LiveRows {
    /// All live rows.
    pub live: u64,
    /// Those that no commit of the reconciliation has marked.
    pub unseen: u64,
}

impl LiveRows {
    /// The numbers of live rows and of unmarked ones.
    pub fn new(live: u64, unseen: u64) -> Self {
        Self { live, unseen }
    }
}

/// Selects outstanding rejects. The default counts all and returns none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RejectQuery {
    /// Only those of this resource.
    pub resource: Option<Resource>,
    /// Only those of the stream of this name.
    pub stream: Option<String>,
    /// The number to return at most; all are counted.
    pub limit: usize,
    /// The longest text to return, in bytes; longer rejects are only counted.
    pub max_raw: Option<usize>,
}

impl RejectQuery {
    /// Selects the `limit` newest ones.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Selects only those of this resource.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Selects only those of the stream of this name.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Returns only those whose text has at most this many bytes.
    #[must_use]
    pub fn max_raw(mut self, bytes: usize) -> Self {
        self.max_raw = Some(bytes);
        self
    }
}

/// Rejects that the source has not corrected yet, as far as the engine knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutstandingRejects {
    /// Their numbers, by the stream of a resource; streams without any are missing.
    pub counts: BTreeMap<StateKey, u64>,
    /// Some of them, the last seen first.
    pub rejects: Vec<StoredReject>,
}

impl OutstandingRejects {
    /// The number for all resources together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The number for all streams of a resource together.
    pub fn of(&self, resource: &str) -> u64 {
        self.counts.iter().filter(|(key, _)| key.resource == resource).map(|(_, count)| count).sum()
    }
}

/// A reject as the destination stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredReject {
    /// The resource that it belongs to.
    pub resource: String,
    /// The table that it was meant for.
    pub table: String,
    /// Why it is not a record.
    pub reason: String,
    /// The text that the source received; a sink may keep only its beginning.
    pub raw: ByteString,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

impl StoredReject {
    /// A reject of a table of a resource, first and last seen at these times.
    pub fn new(
        resource: impl Into<String>,
        table: impl Into<String>,
        reject: Reject,
        [first_seen, last_seen]: [Timestamp; 2],
    ) -> Self {
        let Reject { reason, raw } = reject;
        Self { resource: resource.into(), table: table.into(), reason, raw, first_seen, last_seen }
    }
}

/// A live record as the destination stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRecord {
    /// The path of its parent; [`RowPath::ROOT`] unless its stream is a child.
    pub parent: RowPath,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: Version,
    /// Its document.
    pub json: ByteString,
}

impl StoredRecord {
    /// A stored record without a parent.
    pub fn new(key: impl Into<String>, version: impl Into<Version>, json: impl Into<ByteString>) -> Self {
        Self { parent: RowPath::ROOT, key: key.into(), version: version.into(), json: json.into() }
    }
}

/// A row as the destination stores it, live or deleted, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRow {
    /// The path of its parent; [`RowPath::ROOT`] unless its stream is a child.
    pub parent: RowPath,
    /// Its key.
    pub key: String,
    /// The version of its newest state.
    pub version: Version,
    /// Its newest document; `None` if only a deletion of the key has ever arrived.
    pub json: Option<ByteString>,
    /// When the key first arrived.
    pub first_seen: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// When it was marked deleted; `None` for a live row.
    pub deleted_at: Option<Timestamp>,
}

impl StoredRow {
    /// A live row without a parent that has not changed since it was inserted at this time.
    pub fn new(key: impl Into<String>, version: impl Into<Version>, json: Option<ByteString>, at: Timestamp) -> Self {
        Self {
            parent: RowPath::ROOT,
            key: key.into(),
            version: version.into(),
            json,
            first_seen: at,
            changed_at: at,
            deleted_at: None,
        }
    }

    /// Its path.
    pub fn path(&self) -> RowPath {
        self.parent.child(&self.key)
    }

    /// Sets when its state last changed, and when it was marked deleted.
    #[must_use]
    pub fn changed(mut self, at: Timestamp, deleted_at: Option<Timestamp>) -> Self {
        (self.changed_at, self.deleted_at) = (at, deleted_at);
        self
    }
}

/// The rows that a [`RowQuery`] selects.
///
/// It is exhaustive: a destination that ignored a new variant would return wrong rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSelection {
    /// The rows that commits have changed, deleted ones too, ordered by sequence, then by path.
    Changed {
        /// The first sequence to return.
        from: Sequence,
        /// Of the first sequence, return only the rows after this path.
        after: Option<RowPath>,
        /// The last sequence to return.
        until: Sequence,
    },
    /// The rows at these paths, deleted ones too, in any order.
    Paths(Vec<RowPath>),
    /// The live rows below these parents, in the order of the parents, then of the keys.
    Children {
        /// The parents, each once.
        parents: Vec<RowPath>,
        /// Return only the rows after this path, whose parent is one of these.
        after: Option<RowPath>,
    },
}

/// Selects rows of a stream of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowQuery {
    /// The resource.
    pub resource: Resource,
    /// The stream.
    pub stream: String,
    /// The rows.
    pub selection: RowSelection,
    /// The paths in the document whose values to return.
    pub fields: Vec<JsonPath>,
    /// Whether to return the documents.
    pub documents: bool,
    /// The number of rows to return at most.
    pub limit: usize,
}

impl RowQuery {
    /// Selects at most `limit` rows, without documents.
    pub fn new(resource: Resource, stream: impl Into<String>, selection: RowSelection, limit: usize) -> Self {
        Self { resource, stream: stream.into(), selection, fields: Vec::new(), documents: false, limit }
    }

    /// Returns the values at these paths of the document, too.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = JsonPath>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Returns the documents, too.
    #[must_use]
    pub fn documents(mut self) -> Self {
        self.documents = true;
        self
    }
}

/// A row that a [`RowQuery`] selected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectedRow {
    /// Its path, and the sequence of the commit that changed it last.
    pub position: Position,
    /// The version of its newest state.
    pub version: Version,
    /// When its state last changed, by the clock of the program that wrote it.
    pub changed_at: Timestamp,
    /// Whether it is marked deleted.
    pub is_deleted: bool,
    /// Its newest document, if the query asks for it and there is one.
    pub json: Option<ByteString>,
    /// The values of the query's fields, in their order; null where there is none.
    pub fields: Vec<Value>,
}

impl SelectedRow {
    /// A live row without document and fields.
    pub fn new(position: Position, version: Version, changed_at: Timestamp) -> Self {
        Self { position, version, changed_at, is_deleted: false, json: None, fields: Vec::new() }
    }
}
