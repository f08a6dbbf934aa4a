//! The traits of an [`Upstream`](super::upstream::Upstream), which its seed decides.

use fastrand::Rng;

/// How the stream of the parents is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentKind {
    /// In the order of the versions.
    Ordered,
    /// In the order of the keys, those that have changed since the last read began.
    Unordered,
    Snapshot,
}

/// What a list of the source promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    /// Keyset: a list holds all that existed throughout the read.
    Exact,
    /// Pages by offset, and records can be verified.
    Verifiable,
    /// Pages by offset, and nothing can be verified.
    Twice,
}

/// The traits of an upstream, which its seed decides.
#[derive(Debug, Clone)]
pub(super) struct Traits {
    /// The number of seconds that share a version.
    pub(super) coarse: i64,
    /// Whether a new child may be listed later than its parent has changed.
    pub(super) lags: bool,
    /// Whether the keys of deleted parents are used again.
    pub(super) reuses_keys: bool,
    /// Whether the same key exists below several parents.
    pub(super) shares_keys: bool,
    /// Whether parents appear with versions of the past.
    pub(super) is_late: bool,
    pub(super) deletes_parents: bool,
    pub(super) moves: bool,
    /// Whether a move raises the version of the record.
    pub(super) moves_raise_versions: bool,
    /// Whether children have versions.
    pub(super) has_versions: bool,
    /// Whether events appear after newer ones.
    pub(super) has_late_events: bool,
    /// Whether a child list is sometimes not found though its parent exists.
    pub(super) is_flaky: bool,
    /// Whether child lists come in pages of two records.
    pub(super) is_paged: bool,
    pub(super) paging: Paging,
    pub(super) parents: ParentKind,
    /// Whether some changes of children do not change their parent, as the source has promised.
    pub(super) breaks_promises: bool,
    /// Whether versions fall, as on a server that was restored from a backup.
    pub(super) falls: bool,
    /// Whether pages of children, by offset, lack a record whose version has just fallen, and which can be verified.
    pub(super) drifts: bool,
    /// Whether the list of one parent fails permanently.
    pub(super) is_poisoned: bool,
}

impl Traits {
    pub(super) fn new(random: &mut Rng) -> Self {
        let mut chance = |percent: u8| random.u8(0..100) < percent;
        let mut traits = Self {
            coarse: if chance(50) { 1 } else { 3 },
            lags: chance(20),
            reuses_keys: chance(50),
            shares_keys: chance(40),
            is_late: chance(50),
            deletes_parents: chance(60),
            moves: chance(60),
            moves_raise_versions: chance(50),
            has_versions: chance(50),
            has_late_events: chance(40),
            is_flaky: chance(40),
            is_paged: chance(60),
            breaks_promises: chance(10),
            falls: chance(30),
            is_poisoned: chance(10),
            drifts: false,
            paging: [Paging::Exact, Paging::Verifiable, Paging::Twice][random.usize(0..3)],
            parents: [ParentKind::Ordered, ParentKind::Unordered, ParentKind::Snapshot][random.usize(0..3)],
        };
        traits.drifts = traits.falls && traits.paging == Paging::Verifiable;
        traits.is_paged |= traits.drifts;
        traits.has_versions |= traits.drifts;
        traits
    }
}
