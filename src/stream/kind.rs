//! How streams can be read, and what their sources promise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JsonPath;

/// How a stream can be read.
///
/// It is exhaustive: the engine reads each kind in a way of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// From a checkpoint on, a read returns everything that has changed. A reconcile run finds deletions.
    #[default]
    Incremental,
    /// Every read lists everything. Records that a complete list lacks are marked deleted.
    Snapshot,
    /// A read lists immutable records, the newest version first. Nothing is ever marked deleted.
    Append(Append),
    /// A read lists everything that belongs to one record of another stream.
    Child(ChildOf),
    /// From a checkpoint on, a read lists the records of another stream, named here, that are gone. It has no table of its own.
    DeletionsOf(String),
}

/// The order of an [append](StreamKind::Append) stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Append {
    /// How far below the newest known version to look again for records that appeared late, in units of the version.
    pub overlap: i64,
}

/// What a [child](StreamKind::Child) stream depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChildOf {
    /// The name of the parent stream.
    pub parent: String,
    /// When to list a parent's children again.
    pub revisit: Revisit,
    /// The paths in the parent's document whose values the reader needs; see [`Parent::fields`](crate::Parent::fields).
    pub fields: Vec<JsonPath>,
    /// How long a parent's list may lag behind the parent. The engine waits this long after it stored the parent.
    pub lag: Duration,
}

/// When to list a parent's children again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Revisit {
    /// When the parent's row has changed. The source promises that each change of a child, a deletion too, changes all its ancestors;
    /// a reconcile run finds what breaks the promise.
    WhenChanged,
    /// In every run: one request for each live parent.
    EveryRun,
}

/// What a complete list proves about records that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Listing {
    /// Little, if it came in several batches: records move from page to page while it is read. The engine verifies each record that it
    /// lacks ([`StreamSpec::verifiable`](super::StreamSpec::verifiable)), or reads the list a second time.
    #[default]
    MayDrift,
    /// That they are gone: the list holds every record that existed throughout the read, like one with a keyset or a cursor.
    Exact,
}
