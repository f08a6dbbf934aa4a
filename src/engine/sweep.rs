//! Reconcile runs mark the keys that the source lists, then ask the source to verify all other keys.

use super::Event;
use super::admission::admit_records;
use super::batcher::Rows;
use super::deletions::Deletions;
use super::run::Run;
use super::snapshot;
use super::verification;
use crate::sink::StalePolicy;
use crate::state::Reconciliation;
use crate::stream::Listing;
use crate::{
    Error, ErrorKind, Evidence, Mode, Reader, Record, Result, SourceEvent, StoredRecord, Sweep, UnseenQuery,
    VerifyRequest,
};

/// The number of records to verify in one step.
const STEP: usize = 500;

impl Run<'_> {
    /// Begins a reconciliation, or resumes the one in progress, which may have marked keys that were deleted since.
    pub(super) fn resume_reconcile(&mut self) {
        let Some(reconcile) = &self.reconcile else {
            self.reconcile = Some(Reconciliation::new(self.record.id, self.record.started_at));
            return;
        };
        if reconcile.is_reset && reconcile.checkpoint.is_none() {
            return;
        }
        self.monitor.event(SourceEvent::Warning(format!(
            "resuming the reconciliation of {} that began at {}; records deleted since then may be found only by the next one",
            self.resource, reconcile.started_at
        )));
    }

    /// Returns the reconciliation that this run continues: that of a reconcile run, or the read after a reset.
    pub(super) fn reconciliation(&self) -> Option<&Reconciliation> {
        self.reconcile.as_ref().filter(|reconcile| self.record.mode == Mode::Reconcile || reconcile.is_reset)
    }

    /// Returns the marks for a commit of listed records.
    pub(super) fn mark(&self, reconcile: &Reconciliation) -> Sweep {
        let policy = match () {
            // Without transactions, rows of a superseded run are not refused, so versions alone must decide.
            () if !self.connector.is_transactional() => StalePolicy::Skip,
            () if reconcile.is_reset || self.connector.spec.is_authoritative => StalePolicy::Replace,
            () if self.sweeps() => StalePolicy::Verify,
            () if self.stream.listing == Listing::Exact => StalePolicy::Replace,
            () => StalePolicy::Skip,
        };
        Sweep::Mark(reconcile.id, policy)
    }

    /// Verifies every record that the reconciliation has not marked, commits the results, and ends the reconciliation. Returns
    /// whether it completed; the next run continues an interrupted sweep. Implausibly many deletions, or impossible answers,
    /// abandon the reconciliation: the next run starts over with a new listing.
    pub(super) async fn sweep(&mut self, reader: &dyn Reader) -> Result<bool> {
        match self.sweep_rows(reader).await {
            Err(SweepError::Abandon(error)) => {
                self.abandon_reconcile().await?;
                Err(error)
            }
            Err(SweepError::Resume(error)) => Err(error),
            Ok(false) => Ok(false),
            Ok(true) => {
                self.end_reset_read().await?;
                Ok(true)
            }
        }
    }

    /// Ends a reconciliation that has read everything. Incremental reads continue from its checkpoint.
    pub(super) async fn end_reset_read(&mut self) -> Result<()> {
        let Some(reconcile) = &self.reconcile else { return Ok(()) };
        let checkpoint = reconcile.checkpoint.clone().or_else(|| self.checkpoint.clone());
        let finish = Sweep::Finish(reconcile.id);
        self.commit(Rows::default(), Some(finish), checkpoint, None).await
    }

    async fn abandon_reconcile(&mut self) -> Result<()> {
        let Some(reconcile) = &self.reconcile else { return Ok(()) };
        let abandon = Sweep::Abandon(reconcile.id);
        self.commit(Rows::default(), Some(abandon), self.checkpoint.clone(), None).await
    }

    /// Counts the rows that the reconciliation has not marked.
    async fn expected_deletions(&self, reconcile: &Reconciliation) -> Result<Deletions> {
        let rows = self.connector.sink.live_rows(self.query(reconcile, None)).await?;
        // The list of a snapshot may have marked some already.
        self.ledger.add_deleted(&self.stream.name, reconcile.deleted);
        Ok(Deletions::new(&self.stream.name, rows, self.ledger.deleted(&self.stream.name), &self.connector.limits))
    }

    fn query(&self, reconcile: &Reconciliation, after: Option<String>) -> UnseenQuery {
        let (resource, table) = (self.resource.clone(), self.stream.name.clone());
        UnseenQuery { resource, table, sweep: reconcile.id, after, limit: STEP }
    }

    async fn sweep_rows(&mut self, reader: &dyn Reader) -> Result<bool, SweepError> {
        let connector = self.connector;
        let Some(reconcile) = self.reconcile.clone() else { return Ok(true) };
        let mut deletions = self.expected_deletions(&reconcile).await?;
        let is_bounded = self.deletion_limit().is_bounded();
        if is_bounded && connector.spec.is_authoritative {
            deletions.refuse_empty_listing().map_err(SweepError::Abandon)?;
        }
        let must_wait = is_bounded && deletions.may_exceed_limit();
        let (mut after, mut unverified) = (None, 0);
        while deletions.has_unseen() {
            if self.cancel().is_cancelled() {
                return Ok(false);
            }
            let unseen = connector.sink.unseen(self.query(&reconcile, after.take())).await?;
            let Some(last) = unseen.last() else { break };
            after = Some(last.key.clone());
            let requested = unseen.len() as u64;
            let (resource, stream) = (self.resource.clone(), self.stream.name.clone());
            connector.emit(Event::Verifying { resource, stream, records: requested });
            let mut records = tokio::select! {
                biased;
                verified = self.verify(reader, unseen) => verified.map_err(SweepError::from_source)?,
                () = self.cancel().cancelled() => return Ok(false),
            };
            unverified += requested.saturating_sub(records.len() as u64);
            if must_wait {
                deletions.hold_back(&mut records).map_err(SweepError::Abandon)?;
            }
            self.commit_verified(records).await?;
        }
        if unverified > 0 {
            self.monitor.event(SourceEvent::Warning(format!(
                "stream {:?}: the source did not return {unverified} of the stored rows, and does not tell whether their records are gone; they \
                 stay as they are",
                self.stream.name
            )));
        }
        let mut held = deletions.release();
        while !held.is_empty() {
            let rest = held.split_off(held.len().min(STEP));
            self.commit_verified(std::mem::replace(&mut held, rest)).await?;
        }
        Ok(true)
    }

    async fn commit_verified(&mut self, records: Vec<Record>) -> Result<()> {
        let Some(mut reconcile) = self.reconcile.clone() else { return Ok(()) };
        let deleted = records.iter().filter(|record| record.json().is_none()).count() as u64;
        reconcile.deleted += deleted;
        self.ledger.add_deleted(&self.stream.name, deleted);
        // Those that the source has verified win without a policy.
        let sweep = Sweep::Mark(reconcile.id, StalePolicy::Skip);
        let rows = admit_records(records);
        if let Some(inference) = &self.inference {
            inference.observe(&rows.records);
        }
        self.commit(rows, Some(sweep), self.checkpoint.clone(), Some(reconcile)).await
    }

    async fn verify(&self, reader: &dyn Reader, unseen: Vec<StoredRecord>) -> Result<Vec<Record>> {
        if self.connector.spec.is_authoritative {
            return Ok(unseen.into_iter().map(|record| Record::delete(record.key, record.version)).collect());
        }
        let request = VerifyRequest {
            resource: self.resource.clone(),
            checkpoint: self
                .reconcile
                .as_ref()
                .and_then(|reconcile| reconcile.checkpoint.clone())
                .or_else(|| self.checkpoint.clone().map(snapshot::last_list)),
            stream: self.stream.name.clone(),
            records: unseen,
            allow_deletions: self.allow_deletions,
            monitor: self.monitor.clone(),
        };
        let verified = verification::verify(reader, request).await?.into_iter();
        // Without transactions, rows of a superseded run are not refused, so versions alone must decide.
        let evidence = if self.connector.is_transactional() { Evidence::Verified } else { Evidence::Listed };
        Ok(verified.map(|record| record.with_evidence(evidence)).collect())
    }
}

/// Why a sweep failed.
enum SweepError {
    /// The answers are impossible, or a person must confirm them: the next run starts over with a new listing.
    Abandon(Error),
    /// The next run continues the sweep.
    Resume(Error),
}

impl SweepError {
    /// An error of the source. If its answers are wrong, its listing may be wrong, too.
    fn from_source(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::NotFound => Self::Abandon(error),
            _ => Self::Resume(error),
        }
    }
}

impl From<Error> for SweepError {
    fn from(error: Error) -> Self {
        Self::Resume(error)
    }
}
