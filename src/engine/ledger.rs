//! What the runs of one resource know of each other during an ingestion.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::{Counts, Position, RowPath, RunRecord, StateChange, StateKey, StateVersion};

/// What the runs of a resource's streams have done in one ingestion, by stream.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<String, Entry>>);

/// What was done to one stream.
#[derive(Debug, Default)]
struct Entry {
    /// The number of its live rows before anything was marked deleted, once that was counted.
    before: Option<u64>,
    /// The number of its rows that its own run has marked deleted.
    deleted: u64,
    /// Its rows that runs of its child streams have found to be gone: two of them may find the same row.
    gone: HashSet<RowPath>,
    /// Its run, once that has ended.
    ended: Option<RunRecord>,
}

impl Entry {
    fn deleted(&self) -> u64 {
        self.deleted + self.gone.len() as u64
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a stream's rows that were marked deleted.
    pub(super) fn deleted(&self, stream: &str) -> u64 {
        self.lock().get(stream).map_or(0, Entry::deleted)
    }

    /// The number of a stream's live rows before any was marked deleted, if it is known.
    pub(super) fn before(&self, stream: &str) -> Option<u64> {
        self.lock().get(stream).and_then(|entry| entry.before)
    }

    /// Notes the number of a stream's live rows, and returns that before any was marked deleted.
    pub(super) fn note_live(&self, stream: &str, live: u64) -> u64 {
        let mut entries = self.lock();
        let entry = entries.entry(stream.to_owned()).or_default();
        let before = live + entry.deleted();
        *entry.before.get_or_insert(before)
    }

    /// Counts rows that the run of their stream marks deleted.
    pub(super) fn add_deleted(&self, stream: &str, rows: u64) {
        self.lock().entry(stream.to_owned()).or_default().deleted += rows;
    }

    /// Counts rows that the run of their stream marks deleted, unless these would be more than allowed. Returns whether they are counted.
    pub(super) fn claim(&self, stream: &str, rows: u64, allowed: u64) -> bool {
        let mut entries = self.lock();
        let entry = entries.entry(stream.to_owned()).or_default();
        let fits = entry.deleted() + rows <= allowed;
        entry.deleted += if fits { rows } else { 0 };
        fits
    }

    /// The number of a stream's rows that are marked deleted, if these are, too.
    pub(super) fn deleted_with(&self, stream: &str, gone: &[Position]) -> u64 {
        let entries = self.lock();
        let Some(entry) = entries.get(stream) else { return gone.len() as u64 };
        entry.deleted() + gone.iter().filter(|row| !entry.gone.contains(&row.path)).count() as u64
    }

    /// Counts rows that the run of a child stream has found to be gone, unless these would be more than allowed. Returns whether they are
    /// counted.
    pub(super) fn claim_gone(&self, stream: &str, rows: &[Position], allowed: u64) -> bool {
        let mut entries = self.lock();
        let entry = entries.entry(stream.to_owned()).or_default();
        let new = rows.iter().filter(|row| !entry.gone.contains(&row.path)).count() as u64;
        let fits = entry.deleted() + new <= allowed;
        if fits {
            entry.gone.extend(rows.iter().map(|row| row.path.clone()));
        }
        fits
    }

    /// Notes how the run of a stream has ended.
    pub(super) fn end(&self, record: &RunRecord) {
        self.lock().entry(record.stream.clone()).or_default().ended = Some(record.clone());
    }

    /// The run of a stream, once it has ended, with what later runs of its child streams have done to its rows.
    pub(super) fn ended(&self, stream: &str) -> Option<RunRecord> {
        self.lock().get(stream).and_then(|entry| entry.ended.clone())
    }

    /// The change that records, in the run of a stream that has ended, what another run does to its rows at `at`.
    pub(super) fn change_of_ended(&self, stream: &str, at: Timestamp) -> Option<StateChange> {
        let run = self.ended(stream)?;
        let key = StateKey::new(run.resource.clone(), run.stream.clone());
        Some(StateChange { key, base: StateVersion::NONE, at, state: None, run: Some(run) })
    }

    /// Adds, to the run of a stream that has ended, the counts of a commit that was made with [its change](Self::change_of_ended). Returns
    /// the run, if there is one.
    pub(super) fn count(&self, stream: &str, at: Timestamp, counts: &Counts) -> Option<RunRecord> {
        let mut change = self.change_of_ended(stream, at)?;
        change.count(counts);
        let run = change.run?;
        self.end(&run);
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sequence;

    fn rows(keys: &[&str]) -> Vec<Position> {
        keys.iter().map(|key| Position::new(Sequence(1), RowPath::ROOT.child(key))).collect()
    }

    #[test]
    fn all_deletions_of_a_table_count_together_and_each_gone_row_once() {
        let ledger = Ledger::default();
        assert_eq!(ledger.note_live("t", 20), 20);
        ledger.add_deleted("t", 2);
        assert!(ledger.claim_gone("t", &rows(&["a", "b"]), 5));
        assert!(ledger.claim_gone("t", &rows(&["a", "b", "c"]), 5), "another child stream finds two of them, too");
        assert_eq!((ledger.deleted("t"), ledger.deleted_with("t", &rows(&["a", "d"]))), (5, 6));
        assert!(!ledger.claim_gone("t", &rows(&["d"]), 5));
        assert!(!ledger.claim("t", 1, 5));
        assert!(ledger.claim("other", 5, 5));
        assert_eq!((ledger.deleted("t"), ledger.note_live("t", 15)), (5, 20));
    }
}
