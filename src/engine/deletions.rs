//! Limits the deletions of a table in an ingestion; more need a confirmation.

use std::sync::Arc;

use super::ledger::Ledger;
use super::task::Task;
use crate::sink::LiveRows;
use crate::{Error, Limits, Position, Record, Resource, Result, RunId, Sink, UnseenQuery};

/// The number of rows of a table that may be marked deleted, of those that were live before.
fn allowed(before: u64, limits: &Limits) -> u64 {
    let share = u128::from(before) * u128::from(limits.max_deleted_percent) / 100;
    u64::try_from(share).unwrap_or(u64::MAX).max(limits.max_deleted_rows)
}

/// The error for deletions of `rows` rows that need a confirmation.
fn confirmation_error(message: String, rows: u64) -> Error {
    let help = "check the source first: a token that has lost access, or a feature that was switched off, looks like this; if the \
                records are really gone, run `ingest --reconcile --allow-deletions`";
    Error::invalid_data(message).with_help(help).with_unconfirmed_deletions(rows)
}

/// The error for `rows` deletions that are more than `allowed`, after those of `deleted` rows.
fn too_many(stream: &str, [allowed, before, deleted]: [u64; 3], rows: u64) -> Error {
    let after = if deleted > 0 { format!(" after the first {deleted}") } else { String::new() };
    let message = format!(
        "more than {allowed} of the {before} live rows of the table `{stream}` have disappeared at once; no row was marked deleted{after}"
    );
    confirmation_error(message, rows)
}

/// The limit of the deletions of each table of a resource, for all runs of an ingestion together.
#[derive(Debug, Clone)]
pub(super) struct DeletionLimit {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) resource: Resource,
    pub(super) ledger: Arc<Ledger>,
    pub(super) limits: Limits,
    /// Whether the deletion of any number of records is confirmed.
    pub(super) is_confirmed: bool,
}

impl DeletionLimit {
    /// Whether there is a limit.
    pub(super) fn is_bounded(&self) -> bool {
        !self.is_confirmed && self.limits.max_deleted_percent < 100
    }

    /// Counts rows that the run of their stream is about to mark deleted.
    ///
    /// # Errors
    /// `InvalidData` if these are too many; the errors of the sink.
    pub(super) async fn claim(&self, stream: &str, rows: u64) -> Result<()> {
        if !self.is_bounded() || self.ledger.claim(stream, rows, self.limits.max_deleted_rows) {
            return Ok(());
        }
        let before = self.before(stream).await?;
        let allowed = allowed(before, &self.limits);
        match self.ledger.claim(stream, rows, allowed) {
            true => Ok(()),
            false => Err(too_many(stream, [allowed, before, self.ledger.deleted(stream)], rows)),
        }
    }

    /// Whether the rows that the run of a child stream has found to be gone may be marked deleted: if not, the error that asks for a confirmation.
    pub(super) async fn refusal(&self, stream: &str, gone: &[Position]) -> Result<Option<Error>> {
        let deleted = self.ledger.deleted_with(stream, gone);
        if !self.is_bounded() || deleted <= self.limits.max_deleted_rows {
            return Ok(None);
        }
        let before = self.before(stream).await?;
        let allowed = allowed(before, &self.limits);
        let error = || too_many(stream, [allowed, before, self.ledger.deleted(stream)], gone.len() as u64);
        Ok((deleted > allowed).then(error))
    }

    /// Counts rows that the run of a child stream is about to mark deleted, or returns the error that asks for a confirmation.
    pub(super) async fn claim_gone(&self, stream: &str, gone: &[Position]) -> Result<Option<Error>> {
        if !self.is_bounded() || self.ledger.claim_gone(stream, gone, self.limits.max_deleted_rows) {
            return Ok(None);
        }
        let before = self.before(stream).await?;
        let allowed = allowed(before, &self.limits);
        let error = || too_many(stream, [allowed, before, self.ledger.deleted(stream)], gone.len() as u64);
        Ok((!self.ledger.claim_gone(stream, gone, allowed)).then(error))
    }

    /// The error for rows that are gone, of which the run of a child stream cannot hold back more; `None` if there are none.
    pub(super) fn unheld(&self, stream: &str, gone: &[Position]) -> Option<Error> {
        let rows = gone.len() as u64;
        let message =
            format!("{rows} rows of the table `{stream}` have disappeared at once; no row was marked deleted");
        (rows > 0).then(|| confirmation_error(message, rows))
    }

    /// The number of a stream's live rows before any was marked deleted. Counts them in a task of its own, as
    /// [`ListReader::select`](super::list::ListReader::select) does.
    async fn before(&self, stream: &str) -> Result<u64> {
        if let Some(before) = self.ledger.before(stream) {
            return Ok(before);
        }
        // No reconciliation has this id, so that no row is marked.
        let query = UnseenQuery::new(self.resource.clone(), stream, RunId::new(), 0);
        let sink = self.sink.clone();
        let rows = Task::start(async move { sink.live_rows(query).await }, "the sink panicked").await?;
        Ok(self.ledger.note_live(stream, rows.live))
    }
}

/// The deletions of one reconcile run, or of one list.
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
    /// `deleted` is the number of rows that this ingestion, and an interrupted run of this reconciliation, have already marked deleted.
    pub(super) fn new(stream: &str, rows: LiveRows, deleted: u64, limits: &Limits) -> Self {
        let before = rows.live + deleted;
        let allowed = allowed(before, limits);
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
        let message = format!(
            "the source has listed none of the {} live rows of the table `{}`; no row was marked deleted",
            self.rows.live, self.stream
        );
        Err(confirmation_error(message, self.rows.unseen))
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
        Err(too_many(&self.stream, [self.allowed, self.before, self.deleted], self.rows.unseen))
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
