//! Which of two states of a key stays: the rule that every backend follows.

use crate::sink::StalePolicy;
use crate::{Counts, StateVersion, Version};

/// What a backend has of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    /// The version of its state.
    pub(super) version: Version,
    /// The hash of its document; `None` when only its deletion was ever seen.
    pub(super) hash: Option<[u8; 16]>,
    /// Whether it is marked deleted.
    pub(super) deleted: bool,
}

impl Present {
    /// The version of a record that was merged with it. A deletion never lowers it: nothing older may revive the row.
    pub(super) fn merged(present: Option<Self>, version: Version, is_deletion: bool) -> Version {
        present.filter(|_| is_deletion).map_or(version, |present| present.version.max(version))
    }
}

/// What an arriving record does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// A document for a key that was never seen.
    Insert,
    /// A deletion of a key that was never seen: it is remembered.
    InsertDeleted,
    /// A newer state, or a revival.
    Update,
    /// A live key is marked deleted.
    Delete,
    /// A deleted key is deleted again, later: only its version rises, so that nothing in between revives it.
    Raise,
    /// The same state again.
    Unchanged,
    /// A state older than the one that is there.
    Older,
}

impl Merge {
    /// Decides about a record with this version and, unless it is a deletion, this content hash. `is_marked` counts only where
    /// the record is older than what is there: whether the pass has marked its key.
    pub(super) fn of(
        present: Option<Present>,
        version: Version,
        hash: Option<&[u8; 16]>,
        older: StalePolicy,
        is_marked: bool,
    ) -> Self {
        let Some(present) = present else {
            return if hash.is_some() { Self::Insert } else { Self::InsertDeleted };
        };
        let wins = match older {
            StalePolicy::Skip => false,
            StalePolicy::Verify => present.deleted && hash.is_some() && !is_marked,
            StalePolicy::Replace => !is_marked,
        };
        if version < present.version && !wins {
            return Self::Older;
        }
        let newer = version > present.version;
        match hash {
            Some(hash) if version != present.version || present.deleted || present.hash.as_ref() != Some(hash) => {
                Self::Update
            }
            None if !present.deleted => Self::Delete,
            None if newer => Self::Raise,
            _ => Self::Unchanged,
        }
    }

    /// Whether a record with this version marks its key: the pass then knows enough of it.
    pub(super) fn marks(present: Option<Present>, version: Version, older: StalePolicy) -> bool {
        older != StalePolicy::Verify || present.is_none_or(|present| version >= present.version)
    }

    /// Counts the record.
    pub(super) fn count(self, counts: &mut Counts) {
        counts.offered += 1;
        match self {
            Self::Insert => counts.inserted += 1,
            Self::Update => counts.updated += 1,
            Self::Delete | Self::InsertDeleted => counts.deleted += 1,
            Self::Raise | Self::Unchanged => counts.unchanged += 1,
            Self::Older => counts.skip(Counts::OLDER, 1),
        }
    }
}

/// The refusal of a change whose base is not the newest version.
pub(super) fn conflict(key: &str, base: StateVersion, newest: StateVersion) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Conflict, format!("another run of {key:?} has moved on since this one started"))
        .with_context("base", base.0)
        .with_context("newest", newest.0)
        .with_help("let the other run end, then start again: nothing of this commit was stored")
}

/// The refusal of a table or resource that nobody made room for.
pub(super) fn not_ensured(resource: &crate::Resource, table: &str) -> crate::Error {
    crate::Error::internal(format!("there is no table {table:?} for the resource {:?}", resource.name()))
        .with_help("call `ensure_tables` with this resource and table before anything is committed to it")
}
