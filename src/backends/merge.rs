//! Which of two states of a key stays: the rule that every backend follows.

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
    /// Decides about a record with this version and, unless it is a deletion, this content hash.
    pub(super) fn of(present: Option<Present>, version: Version, hash: Option<&[u8; 16]>) -> Self {
        let Some(present) = present else {
            return if hash.is_some() { Self::Insert } else { Self::InsertDeleted };
        };
        if version < present.version {
            return Self::Older;
        }
        let newer = version > present.version;
        match hash {
            Some(hash) if newer || present.deleted || present.hash.as_ref() != Some(hash) => Self::Update,
            None if !present.deleted => Self::Delete,
            None if newer => Self::Raise,
            _ => Self::Unchanged,
        }
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
