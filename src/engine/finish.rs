//! Records how a run ended, and prunes the history.

use super::Event;
use super::ingest::advice_on_unknown;
use super::run::{Outcome, Run, completed, millis};
use crate::spans;
use crate::state::StreamState;
use crate::{Counts, ErrorKind, Result, RunRecord, RunStatus, StateVersion};

/// In a metered store, the engine prunes when the state's version passes a multiple of this.
const PRUNE_EVERY: u64 = 16;

impl Run<'_> {
    /// Records how the run ended. In a metered store, records nothing if nothing has changed.
    pub(super) async fn finish(&mut self, ended: Result<Outcome>) {
        let now = self.connector.now();
        self.record.reject_reason = self.rejects.main_reason().filter(|_| self.record.counts.rejected > 0);
        let record = &mut self.record;
        record.ended_at = Some(now.max(record.started_at));
        record.traffic = self.monitor.traffic();
        record.timings.total_ms = millis(self.began.elapsed());
        let (status, message) = match &ended {
            Ok(Outcome::Complete) => completed(record.counts.rejected, record.reject_reason.as_ref()),
            Ok(Outcome::Interrupted) => {
                (RunStatus::Interrupted, Some("interrupted; the next run continues from its last commit".to_owned()))
            }
            Ok(Outcome::Paused) => (
                RunStatus::Interrupted,
                Some("the budget is used up; the next run continues from the last commit".to_owned()),
            ),
            Err(error) if record.commits > 0 => (RunStatus::Partial, Some(error.to_string())),
            Err(error) => (RunStatus::Failed, Some(error.to_string())),
        };
        record.status = status;
        let superseded = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        record.error = ended.err().map(|error| error.report());
        if let Some(error) = record.error.as_mut().filter(|error| error.kind == ErrorKind::NotFound)
            && !self.stream.is_source_wide
        {
            let [advice, _] = advice_on_unknown(&self.connector.spec, self.resource.name());
            error.help = Some(error.help.take().map_or(advice.clone(), |help| format!("{help}; {advice}")));
        }
        if self.newest_run.is_none() {
            self.newest_run = self.read_newest_run().await.ok();
        }
        self.set_record_facts(now);
        let state = self.state(status, message, self.checkpoint.clone(), self.reconcile.clone());
        let metered = self.connector.state.is_metered();
        let same = self.stored.as_ref().is_some_and(|stored| {
            // Where a commit costs nothing, newest records alone are not worth a state, which would refuse a concurrent run.
            let newest = if metered { state.newest.clone() } else { stored.newest.clone() };
            *stored == StreamState { run: stored.run, newest, ..state.clone() }
        });
        if metered && same && record_is_idle(&self.record) {
            let recorded = self.newest_run.and_then(|newest| newest.started_at);
            self.connector.idle_runs.add(self.record.clone(), recorded, self.connector.limits.heartbeat);
            return;
        }
        if same && self.recorded_end == Some(self.end(status)) {
            self.prune_metered(self.base).await;
            return;
        }
        let written = self.connector.state.append(self.change(now, (!same && !superseded).then_some(state))).await;
        if written.is_ok() {
            self.connector.idle_runs.note_write(self.key.clone());
        }
        match written {
            Ok(_) if !metered => self.prune().await,
            Ok(newest) => self.prune_metered(newest).await,
            Err(error) => {
                tracing::error!(resource = %self.resource, %error, "the end of the run could not be recorded");
                self.record.error.get_or_insert_with(|| error.report());
                if self.record.status == RunStatus::Complete {
                    self.record.status = RunStatus::Partial;
                }
                self.set_record_facts(now);
                if error.kind() == ErrorKind::Conflict {
                    self.record_without_state(now).await;
                }
            }
        }
    }

    /// Tells the observer and the span how the run ended.
    pub(super) fn emit_end(&self) {
        let RunRecord { status, counts, traffic, error, .. } = &self.record;
        if !self.span.is_disabled() {
            self.span.record("status", tracing::field::display(status));
            self.span.record("skipped", spans::number(counts.skipped_total()));
            self.span.record("requests", spans::number(traffic.requests));
            let Counts { inserted, updated, unchanged, deleted, rejected, .. } = *counts;
            spans::count(&self.span, inserted, updated, unchanged, deleted, rejected);
            error.iter().for_each(|error| spans::fail(&self.span, error.kind));
        }
        self.connector.emit(Event::Ended(Box::new(self.record.clone())));
    }

    fn set_record_facts(&mut self, at: jiff::Timestamp) {
        let mut record = self.record.clone();
        self.set_facts(&mut record, at);
        self.record = record;
    }

    /// Records how the run ended without a state, because another run has written a newer one.
    async fn record_without_state(&self, now: jiff::Timestamp) {
        if let Err(error) = self.connector.state.append(self.change(now, None)).await {
            tracing::error!(resource = %self.resource, %error, "the record of the run could not be stored");
        }
    }

    /// Prunes a metered store now and then.
    async fn prune_metered(&self, newest: StateVersion) {
        if newest.0 / PRUNE_EVERY > self.began_at.0 / PRUNE_EVERY {
            self.prune().await;
        }
    }

    async fn prune(&self) {
        let pruned = self.connector.state.prune(&self.key, self.connector.limits.history).await;
        if let Err(error) = pruned {
            tracing::warn!(resource = %self.resource, %error, "old state could not be pruned");
        }
    }
}

/// Whether a run completed and found nothing new.
fn record_is_idle(run: &RunRecord) -> bool {
    run.status == RunStatus::Complete && !run.counts.wrote()
}
