//! Decides what an arriving record does to the stored row of its key: the rule that every destination follows.
//!
//! A [`Sink`](super::Sink) reads the version, the content hash and the deletion mark of the stored row, calls [`Merge::new`], and writes what
//! the [`MergeAction`] says:
//!
//! ```
//! use snowfeed::merge::{Merge, MergeAction, StoredVersion, content_hash};
//! use snowfeed::{Counts, Record, StalePolicy};
//!
//! let record = Record::upsert("7", 2, r#"{"id":7,"title":"new"}"#);
//! let stored = StoredVersion::new(1.into(), Some(content_hash(r#"{"id":7,"title":"old"}"#)), false);
//!
//! let merge = Merge::new(Some(stored), &record, StalePolicy::Skip, false);
//! assert_eq!(merge.action, MergeAction::Update);
//!
//! let mut counts = Counts::default();
//! merge.count(&mut counts);
//! assert_eq!((counts.offered, counts.updated), (1, 1));
//! ```

pub use crate::record::content_hash;

use super::StalePolicy;
use crate::{Counts, Evidence, Record, Sequence, Version};

/// The part of a stored row that merging compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredVersion {
    /// The version of its newest state.
    pub version: Version,
    /// The [hash](content_hash) of its document; `None` when only a deletion of the key has ever arrived.
    pub hash: Option<[u8; 16]>,
    /// Whether it is marked deleted.
    pub deleted: bool,
    /// The number of the commit that changed it last; `None` if the sink does not number its commits, or if this commit has changed it.
    pub sequence: Option<Sequence>,
}

impl StoredVersion {
    /// Describes a stored row.
    pub fn new(version: Version, hash: Option<[u8; 16]>, deleted: bool) -> Self {
        Self { version, hash, deleted, sequence: None }
    }

    /// Sets the number of the commit that changed it last.
    #[must_use]
    pub fn sequence(mut self, sequence: Sequence) -> Self {
        self.sequence = Some(sequence);
        self
    }
}

/// A destination's action for an arriving record.
///
/// It is exhaustive: a new action would change what every destination has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeAction {
    /// Insert a row for a key that is new.
    Insert,
    /// Insert a row without a document that is marked deleted, so that no older upsert revives the key.
    InsertDeleted,
    /// Replace the document, and clear the deletion mark.
    Update,
    /// Mark the row deleted, and keep its document.
    Delete,
    /// Store the version and nothing else: a deleted key was deleted again, later.
    BumpVersion,
    /// Write nothing: the state is the stored one.
    Unchanged,
    /// Write nothing: the state is older than the stored one, or the row has changed since it was verified.
    Skip,
}

/// The result of merging a record with the stored row of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merge {
    /// The action for the record.
    pub action: MergeAction,
    /// The version to store. A deletion never lowers the stored one: no older state may revive the row.
    pub version: Version,
    /// The [hash](content_hash) of the record's document; `None` for a deletion.
    pub hash: Option<[u8; 16]>,
    /// Whether to mark the key as seen, in a commit that [marks](super::Sweep::Mark).
    pub marks: bool,
}

impl Merge {
    /// Merges a record with the stored row of its key, if there is one.
    ///
    /// `policy` is the one of the commit's [`Sweep::Mark`](super::Sweep::Mark), and [`StalePolicy::Skip`] for every other commit. `is_marked` says
    /// whether the same reconciliation has marked the key before; it matters only for records older than the stored row.
    pub fn new(stored: Option<StoredVersion>, record: &Record, policy: StalePolicy, is_marked: bool) -> Self {
        let hash = record.json().map(|json| content_hash(json));
        if let Evidence::VerifiedAt(seen) = record.evidence()
            && stored.is_none_or(|stored| stored.sequence != Some(seen))
        {
            return Self { action: MergeAction::Skip, version: record.version, hash, marks: false };
        }
        let Some(stored) = stored else {
            let action = if hash.is_some() { MergeAction::Insert } else { MergeAction::InsertDeleted };
            return Self { action, version: record.version, hash, marks: true };
        };
        let is_older = record.version < stored.version;
        let is_verified = record.evidence() != Evidence::Listed;
        let replaces = match policy {
            _ if is_verified => true,
            StalePolicy::Skip => false,
            StalePolicy::Verify => stored.deleted && hash.is_some() && !is_marked,
            StalePolicy::Replace => !is_marked,
        };
        let action = match hash {
            _ if is_older && !replaces => MergeAction::Skip,
            Some(_) if record.version != stored.version || stored.deleted || stored.hash != hash => MergeAction::Update,
            None if !stored.deleted => MergeAction::Delete,
            None if record.version > stored.version => MergeAction::BumpVersion,
            _ => MergeAction::Unchanged,
        };
        let version = if hash.is_none() { stored.version.max(record.version) } else { record.version };
        Self { action, version, hash, marks: is_verified || policy != StalePolicy::Verify || !is_older }
    }

    /// Counts the record.
    pub fn count(&self, counts: &mut Counts) {
        counts.offered += 1;
        match self.action {
            MergeAction::Insert => counts.inserted += 1,
            MergeAction::Update => counts.updated += 1,
            MergeAction::Delete | MergeAction::InsertDeleted => counts.deleted += 1,
            MergeAction::BumpVersion | MergeAction::Unchanged => counts.unchanged += 1,
            MergeAction::Skip => counts.skip(Counts::OLDER, 1),
        }
    }
}
