//! Limits the deletions of a reconcile run; more need a confirmation.

use crate::sink::LiveRows;
use crate::{Error, Limits, Record, Result};

/// The deletions of one reconcile run.
#[derive(Debug)]
pub(super) struct Deletions {
    stream: String,
    /// The live rows, including those that this reconciliation has already marked deleted.
    before: u64,
    /// The number of rows that may be marked deleted.
    allowed: u64,
    /// The number of rows marked deleted so far.
    deleted: u64,
    rows: LiveRows,
    /// Deletions held back until their number is known.
    held: Vec<Record>,
}

impl Deletions {
    /// `deleted` is the number of rows that an interrupted run of this reconciliation has already marked deleted.
    pub(super) fn new(stream: &str, rows: LiveRows, deleted: u64, limits: &Limits) -> Self {
        let before = rows.live + deleted;
        let share = u128::from(before) * u128::from(limits.max_deleted_percent) / 100;
        let allowed = u64::try_from(share).unwrap_or(u64::MAX).max(limits.max_deleted_rows);
        Self { stream: stream.to_owned(), before, allowed, deleted, rows, held: Vec::new() }
    }

    /// Whether there are records to verify.
    pub(super) fn has_unseen(&self) -> bool {
        self.rows.unseen > 0
    }

    /// Whether the deletions may exceed the limit, so that none is written before all are known.
    pub(super) fn may_exceed_limit(&self) -> bool {
        self.deleted + self.rows.unseen > self.allowed
    }

    /// Refuses a listing without any row, if that alone would delete them all.
    ///
    /// # Errors
    /// `InvalidData`.
    pub(super) fn refuse_empty_listing(&self) -> Result<()> {
        if self.rows.live == 0 || self.rows.unseen < self.rows.live {
            return Ok(());
        }
        Err(self.confirmation_error(format!(
            "the source has listed none of the {} live rows of the table `{}`; no row was marked deleted",
            self.rows.live, self.stream
        )))
    }

    /// The error for deletions that need a confirmation.
    fn confirmation_error(&self, message: String) -> Error {
        let help = "check the source first: a token that has lost access, or a feature that was switched off, looks like this; if the \
                    records are really gone, run `ingest --reconcile --allow-deletions`";
        Error::invalid_data(message).with_help(help).with_unconfirmed_deletions(self.rows.unseen)
    }

    /// Moves the deletions out of verified records, and holds them back.
    ///
    /// # Errors
    /// `InvalidData` if there are more than allowed.
    pub(super) fn hold_back(&mut self, records: &mut Vec<Record>) -> Result<()> {
        self.held.extend(records.extract_if(.., |record| record.json().is_none()));
        if self.held.len() as u64 + self.deleted <= self.allowed {
            return Ok(());
        }
        Err(self.confirmation_error(format!(
            "more than {} of the {} live rows of the table `{}` have disappeared at once; no row was marked deleted",
            self.allowed, self.before, self.stream
        )))
    }

    /// Returns the deletions that were held back, once all are known to be within the limit.
    pub(super) fn release(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    fn deletions(live: u64, unseen: u64, deleted: u64) -> Deletions {
        Deletions::new("t", LiveRows { live, unseen }, deleted, &Limits::default())
    }

    fn gone(count: u32) -> Vec<Record> {
        (0..count).map(|key| Record::delete(key.to_string(), Version(1))).collect()
    }

    #[test]
    fn few_rows_or_a_small_share_may_be_deleted() {
        assert!(!deletions(12, 10, 0).may_exceed_limit());
        assert!(deletions(12, 11, 0).may_exceed_limit());
        assert!(!deletions(1_000, 100, 0).may_exceed_limit());
        assert!(deletions(1_000, 101, 0).may_exceed_limit());
    }

    #[test]
    fn deletions_before_an_interruption_count() {
        assert!(!deletions(990, 90, 10).may_exceed_limit());
        let mut deletions = deletions(950, 60, 50);
        assert!(deletions.may_exceed_limit());
        deletions.hold_back(&mut gone(50)).unwrap();
        let error = deletions.hold_back(&mut gone(1)).unwrap_err();
        assert_eq!(error.report().unconfirmed_deletions, Some(60));
    }

    #[test]
    fn held_deletions_are_released_together_and_others_pass() {
        let mut deletions = deletions(100, 90, 0);
        let mut records = gone(4);
        records.push(Record::upsert("live", Version(1), "{}"));
        deletions.hold_back(&mut records).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(deletions.release().len(), 4);
        assert!(deletions.release().is_empty());
    }

    #[test]
    fn an_empty_listing_is_refused_for_any_number_of_rows() {
        assert!(deletions(1, 1, 0).refuse_empty_listing().is_err());
        assert!(deletions(2, 1, 0).refuse_empty_listing().is_ok());
        assert!(deletions(0, 0, 0).refuse_empty_listing().is_ok());
    }

    #[test]
    fn one_hundred_percent_disables_the_limit() {
        let limits = Limits { max_deleted_percent: 100, ..Limits::default() };
        assert!(!Deletions::new("t", LiveRows { live: 500, unseen: 500 }, 0, &limits).may_exceed_limit());
    }
}
