//! Recognizes the newest records of a stream when the source returns them again, unchanged, as those with an inclusive `since` do in every
//! read. They need no commit.

use std::collections::{BTreeMap, BTreeSet};

use super::batcher::Rows;
use crate::record::content_hash;
use crate::state::NewestRecords;
use crate::{
    Counts, Evidence, Record, RowPath, SourceSpec, StateKey, StateVersion, StreamKind, StreamSpec, StreamState, Version,
};

/// The versions of the states of the other streams whose runs may change rows of a table, by stream.
pub(super) type OtherWriters = BTreeMap<String, StateVersion>;

/// The keys of the states of the other streams of the resource whose runs may change rows of a stream.
pub(super) fn other_writers(spec: &SourceSpec, stream: &StreamSpec, key: &StateKey) -> Vec<StateKey> {
    let is_remembered = stream.kind == StreamKind::Incremental;
    let others = spec.streams.iter().filter(|other| is_remembered && other.requires() == Some(&stream.name));
    others.map(|other| StateKey::new(key.resource.as_str(), other.name.as_str())).collect()
}

/// The number of records to remember. If more have the newest version, none is.
const MAX: usize = 32;

/// Tracks the newest records of a stream during a run.
#[derive(Debug, Default)]
pub(super) struct NewestTracker {
    /// The other streams that may change the table, with the versions of their states at the start of the run; `None` if nothing may be
    /// remembered.
    others: Option<OtherWriters>,
    /// Those of the newest state.
    known: Option<NewestRecords>,
    /// Those of the next commit.
    pending: Pending,
}

/// The records of the next commit.
#[derive(Debug, Default)]
struct Pending {
    /// Their highest version; `None` if there is no record yet.
    version: Option<Version>,
    /// Those of that version that a later record has not replaced.
    hashes: BTreeMap<String, String>,
    /// Whether more than [`MAX`] have it.
    is_full: bool,
    /// The known ones that come again.
    returned: BTreeSet<String>,
}

impl NewestTracker {
    /// Continues from a state. If `others` is `None`, it recognizes nothing, and remembers nothing new.
    pub(super) fn new(state: Option<&StreamState>, others: Option<OtherWriters>) -> Self {
        let known = state.and_then(|state| state.newest.clone());
        Self { others, known, pending: Pending::default() }
    }

    /// The known records, if none of them can have changed.
    fn valid(&self) -> Option<&NewestRecords> {
        self.known.as_ref().filter(|known| Some(&known.others) == self.others.as_ref())
    }

    /// Whether rows are nothing but records that the table has, so that a commit of them would change nothing.
    pub(super) fn has_all(&self, rows: &Rows) -> bool {
        let Some(known) = self.valid().filter(|_| self.pending.version.is_none()) else { return false };
        let is_known = |record: &Record| {
            record.evidence() == Evidence::Listed
                && *record.parent() == RowPath::ROOT
                && record.version == known.version
                && known.hashes.get(&record.key).is_some_and(|hash| hash_of(record).as_ref() == Some(hash))
        };
        let changes_others = !rows.gone.is_empty() || !rows.verified_parents.is_empty();
        let concerns_rejects =
            !rows.rejects.is_empty() || !rows.corrected.is_empty() || rows.changes_rejects != Some(false);
        !rows.records.is_empty() && !changes_others && !concerns_rejects && rows.records.iter().all(is_known)
    }

    /// Takes note of records that the next commit stores.
    pub(super) fn add(&mut self, records: &[Record]) {
        let Some(highest) = records.iter().map(|record| record.version).max() else { return };
        if let Some(known) = &self.known {
            let returned = records.iter().map(|record| &record.key).filter(|key| known.hashes.contains_key(*key));
            self.pending.returned.extend(returned.cloned());
        }
        if self.pending.version.is_none_or(|version| version < highest) {
            self.pending.version = Some(highest);
            self.pending.hashes.clear();
            self.pending.is_full = false;
        }
        for record in records {
            self.pending.add(record);
        }
    }

    /// The newest records once the next commit has stored each of its records.
    pub(super) fn next(&self) -> Option<NewestRecords> {
        let Pending { version, hashes, is_full, returned } = &self.pending;
        let Some(version) = *version else { return self.known.clone() };
        let others = self.others.clone()?;
        let mut next = NewestRecords { version, hashes: hashes.clone(), others };
        let mut is_full = *is_full;
        if let Some(known) = self.valid().filter(|known| known.version >= version) {
            let is_left = |(key, _): &(&String, &String)| !returned.contains(*key);
            let left = known.hashes.iter().filter(is_left).map(|(key, hash)| (key.clone(), hash.clone()));
            if known.version > version {
                (next.version, is_full) = (known.version, false);
                next.hashes.clear();
            }
            next.hashes.extend(left);
        }
        (!is_full && !next.hashes.is_empty() && next.hashes.len() <= MAX).then_some(next)
    }

    /// The newest records as of the newest state.
    pub(super) fn known(&self) -> Option<NewestRecords> {
        self.known.clone()
    }

    /// Notes that the next commit was made, and has stored this state.
    pub(super) fn stored(&mut self, state: &StreamState) {
        self.known = state.newest.clone();
        self.pending = Pending::default();
    }

    /// Notes that the next commit was made with these counts, and has stored no state.
    pub(super) fn confirmed(&mut self, counts: &Counts) {
        let next = self.next().filter(|_| counts.stored_all());
        // If nothing is known about its records, what is known about others holds if no row was changed.
        let known = self.known.take().filter(|_| !counts.changed());
        self.known = next.or(known);
        self.pending = Pending::default();
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.known = None;
        self.pending = Pending::default();
    }
}

impl Pending {
    fn add(&mut self, record: &Record) {
        let is_newest = Some(record.version) == self.version && *record.parent() == RowPath::ROOT;
        if !is_newest || record.json().is_none() {
            self.hashes.remove(&record.key);
        } else if !self.is_full {
            self.hashes.extend(hash_of(record).map(|hash| (record.key.clone(), hash)));
        }
        if self.hashes.len() > MAX {
            self.is_full = true;
            self.hashes.clear();
        }
    }
}

/// The hash of a record's document; `None` if it is a deletion.
fn hash_of(record: &Record) -> Option<String> {
    record.json().map(|json| format!("{:032x}", u128::from_be_bytes(content_hash(json))))
}
