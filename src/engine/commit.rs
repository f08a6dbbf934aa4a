//! Commits the rows of a run together with the state that they lead to.

use tokio::time::Instant;
use tracing::Instrument;

use super::Event;
use super::batcher::{CommitBuffer, Rows};
use super::connector::WriteOrder;
use super::run::{Run, completed, millis};
use super::snapshot;
use crate::spans;
use crate::state::{Reconciliation, StreamState};
use crate::{Checkpoint, Counts, Error, Result, RunRecord, RunStatus, StateChange, StreamCommit, StreamKind, Sweep};

impl Run<'_> {
    pub(super) async fn commit_buffer(&mut self, buffer: CommitBuffer) -> Result<()> {
        self.tables_created().await?;
        let CommitBuffer { rows, excluded, unchanged, checkpoint, is_last, .. } = buffer;
        self.newest.add(&rows.records);
        let (mut next, mut reconcile) = (self.checkpoint.clone(), self.reconcile.clone());
        let sweep = self.reconciliation().map(|reconcile| self.mark(reconcile));
        let ends_list = checkpoint.is_some() && sweep.is_none();
        if self.stream.kind == StreamKind::Snapshot && rows.count() > 0 && !ends_list {
            next = next.map(snapshot::incomplete).transpose()?;
        }
        match &mut reconcile {
            Some(reconcile) if sweep.is_some() => reconcile.checkpoint = checkpoint.or(reconcile.checkpoint.take()),
            _ => next = checkpoint.or(next),
        }
        let mut left_out = Counts { offered: unchanged, unchanged, ..Counts::default() };
        for (reason, count) in excluded {
            left_out.offered += count;
            left_out.skip(reason, count);
        }
        let is_end = is_last && sweep.is_none();
        self.commit_with(left_out, rows, sweep, next, reconcile, is_end).await
    }

    /// Commits rows together with the state that they lead to.
    pub(super) async fn commit(
        &mut self,
        rows: Rows,
        sweep: Option<Sweep>,
        checkpoint: Option<Checkpoint>,
        reconcile: Option<Reconciliation>,
    ) -> Result<()> {
        if rows.count() > 0 {
            // They may be deletions, of any rows.
            self.newest.forget();
        }
        // Nothing follows the end of a reconciliation.
        let is_end = matches!(sweep, Some(Sweep::Finish(_)));
        self.commit_with(Counts::default(), rows, sweep, checkpoint, reconcile, is_end).await
    }

    /// Commits rows together with the state that they lead to, and counts what was left out. `is_end` says that nothing follows in the run.
    async fn commit_with(
        &mut self,
        left_out: Counts,
        mut rows: Rows,
        sweep: Option<Sweep>,
        checkpoint: Option<Checkpoint>,
        reconcile: Option<Reconciliation>,
        is_end: bool,
    ) -> Result<()> {
        let began = Instant::now();
        self.extend_columns().await?;
        let at = self.connector.now();
        let has_progressed =
            self.stored.as_ref().is_none_or(|s| s.checkpoint != checkpoint || s.reconcile != reconcile);
        // Once a run has written the state, every commit must update its record.
        let has_written = self.stored.as_ref().is_some_and(|stored| stored.run == self.record.id);
        let changes_rejects = match rows.changes_rejects {
            Some(changes) => changes,
            None => self.rejects.track(&self.connector.source, &mut rows),
        };
        self.record.reject_reason = self.rejects.main_reason();
        let corrects_rejects = !rows.corrected.is_empty();
        let rejected = rows.rejects.len() as u64;
        let offered = rows.count() + rejected;
        // Rows without progress also advance the state if a row changes, so that a reconcile run cannot replace them with what it
        // read before.
        let changes_parents = !rows.gone.is_empty() || !rows.verified_parents.is_empty();
        // A metered sink finds the number of a change of the parents in the state.
        let is_plain = !has_progressed && !has_written && !changes_rejects && !changes_parents;
        let fence = (is_plain && self.connector.is_transactional()).then_some(Sweep::Fence);
        let sweep = sweep.or(fence);
        // A step of a reconciliation that another run or a reset has ended must be refused: its marks and deletions would be
        // wrong.
        let fenced = !is_plain || sweep.is_some();
        let is_end = is_end && self.records_end();
        let (status, message) = match is_end {
            true => completed(self.record.counts.rejected + rejected, self.rejects.main_reason().as_ref()),
            false => (RunStatus::Running, None),
        };
        let mut state = fenced.then(|| {
            let newest = self.newest.next();
            StreamState { newest, ..self.state(status, message, checkpoint.clone(), reconcile.clone()) }
        });
        let (mut is_stored, mut counts_parents) = (false, false);
        if offered > 0 || corrects_rejects || changes_parents || (state.is_some() && sweep != Some(Sweep::Fence)) {
            let lease = self.lease.clone();
            let mut leased = lease.lock().await;
            let change = state.clone().map(|state| self.change_of_commit(at, state, &left_out));
            let at_checkpoint = |reconcile: &Option<Reconciliation>| {
                reconcile.as_ref().and_then(|reconcile| reconcile.checkpoint.clone())
            };
            let is_progress = self.stored.as_ref().is_none_or(|stored| {
                stored.checkpoint != checkpoint || at_checkpoint(&stored.reconcile) != at_checkpoint(&reconcile)
            });
            let ends_reconcile = matches!(sweep, Some(Sweep::Finish(_) | Sweep::Abandon(_)));
            let order = if is_progress && !ends_reconcile { WriteOrder::RowsFirst } else { WriteOrder::StateFirst };
            let Rows { records, staged, rejects, corrected, gone, verified_parents, .. } = rows;
            let (run, parent) = (self.record.id, self.stream.child_of().map(|child| child.parent.clone()));
            let of_parent = parent.clone().filter(|_| changes_parents).map(|parent| {
                // The run of the parents counts what happens to their rows.
                let change = self.ledger.change_of_ended(&parent, at);
                StreamCommit { change, ..StreamCommit::new(parent, run).gone(gone).records(verified_parents) }
            });
            let stream = self.stream.table().to_owned();
            let gone = Vec::new();
            let part = StreamCommit { stream, run, records, staged, rejects, corrected, gone, sweep, change };
            let in_memory = part.staged.is_none();
            let size = || part.records.iter().map(|record| record.size() as u64).sum();
            let span = spans::commit(offered, || in_memory.then(size));
            let delivered = self.connector.deliver(&self.resource, at, part, of_parent, order, &mut self.base);
            let delivered = delivered.instrument(span.clone()).await;
            match &delivered {
                Ok((report, _)) => {
                    let Counts { inserted, updated, unchanged, deleted, rejected, .. } = report.counts;
                    spans::count(&span, inserted, updated, unchanged, deleted, rejected);
                }
                Err(error) => spans::fail(&span, error.kind()),
            }
            // If the commit failed, the rejects that it corrects are still outstanding.
            if corrects_rejects && delivered.is_err()
                || delivered.as_ref().is_ok_and(|(it, _)| it.counts.rejected > rejected)
            {
                self.rejects.note_untracked();
            }
            let (report, of_parent) = delivered?;
            is_stored = state.is_some() && (sweep != Some(Sweep::Fence) || report.version.is_some());
            self.record.counts += &report.counts;
            self.record.credits += report.credits;
            self.spending.add(report.credits, at);
            self.connector.budget.add(report.credits, at);
            self.record.commits += 1;
            self.connector.idle_runs.note_write(self.key.clone());
            *leased = self.record.clone();
            self.set_facts(&mut leased, at);
            drop(leased);
            counts_parents = parent.is_some_and(|parent| self.count_parents(&parent, at, &of_parent));
            if report.counts.offered != offered || !report.counts.add_up() {
                return Err(Error::internal("the sink's report does not add up")
                    .with_context("offered", offered)
                    .with_context("counts", format!("{:?}", report.counts)));
            }
            match &mut state {
                // As the sink has done.
                Some(state) if is_stored => state.confirm_newest(&report.counts),
                _ => self.newest.confirmed(&report.counts),
            }
        }
        self.record.counts += &left_out;
        if is_stored {
            let spending = self.spending;
            let state = state.map(|state| StreamState { spending, ..state });
            state.iter().for_each(|state| self.newest.stored(state));
            self.stored = state;
            self.recorded_end = (is_end && !counts_parents).then(|| self.end(status));
        }
        self.checkpoint = checkpoint;
        self.reconcile = reconcile;
        self.record.timings.commit_ms += millis(began.elapsed());
        let (resource, stream, run) = (self.resource.clone(), self.stream.name.clone(), self.record.id);
        let (counts, commits) = (self.record.counts.clone(), self.record.commits);
        self.connector.emit(Event::Committed { resource, stream, run, counts, commits });
        Ok(())
    }

    /// Counts what a commit has done to rows of the parent stream: in the run of that stream, if it is part of this ingestion, otherwise in
    /// this one. Returns whether this run counts it.
    fn count_parents(&mut self, parent: &str, at: jiff::Timestamp, counts: &Counts) -> bool {
        if counts.offered == 0 {
            return false;
        }
        if let Some(run) = self.ledger.count(parent, at, counts) {
            self.connector.idle_runs.forget(&run);
            return false;
        }
        self.record.counts += counts;
        true
    }

    /// The change for a commit. Its record includes the commit itself, and the end of the run if the state does; the sink adds the counts
    /// of the rows.
    fn change_of_commit(&self, at: jiff::Timestamp, state: StreamState, left_out: &Counts) -> StateChange {
        let status = state.status;
        let mut change = self.change(at, Some(state));
        if let Some(run) = &mut change.run {
            if status != RunStatus::Running {
                run.status = status;
                run.ended_at = Some(at.max(run.started_at));
                run.empty_columns = self.empty_columns();
            }
            run.commits += 1;
            run.counts += left_out;
            run.timings.total_ms = millis(self.began.elapsed());
            self.set_facts(run, at);
        }
        change
    }

    /// Sets what the record says about its stream, how far it has come, and how long it can be believed. A commit that it belongs to is made at `at`.
    pub(super) fn set_facts(&self, run: &mut RunRecord, at: jiff::Timestamp) {
        run.marks = self.newest_run.unwrap_or_default().marks.after(run, at);
        let is_running = run.status == RunStatus::Running;
        run.lease_until = is_running.then(|| self.connector.lease_until(at));
        run.progress = self.position.at(at).filter(|_| is_running);
    }

    /// Whether the last commit of a run also records its end: in a metered store, that saves a transaction.
    pub(super) fn records_end(&self) -> bool {
        self.connector.is_transactional() && self.connector.state.is_metered()
    }
}
