//! One run of one stream of a resource: reads, commits, and records how it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::admission::admit;
use super::batcher::{CommitBuffer, ReadAhead, ReadBudget};
use super::columns::{self, ColumnCheck, MIN_RECORDS};
use super::identity::IdentityClaim;
use super::inference::ColumnInference;
use super::lease::Lease;
use super::ledger::Ledger;
use super::newest::{NewestTracker, OtherWriters, other_writers};
use super::planned::{NewestRun, PlannedStream, PrefetchedState, ResourceTables};
use super::position::Position;
use super::reject_tracker::RejectTracker;
use super::staged_commit::StagedCommit;
use super::task::Task;
use super::{Connector, Event};
use crate::cost::Spending;
use crate::spans;
use crate::state::{Reconciliation, StreamState};
use crate::stream::Column;
use crate::{
    Checkpoint, Counts, ErrorKind, Evidence, Mode, Monitor, OutstandingRejects, Reader, Record, RejectReason, Resource,
    Result, RunQuery, RunRecord, RunStatus, Settings, SourceEvent, StateChange, StateEntry, StateKey, StateVersion,
    StreamKind, StreamSpec,
};

/// How a run ended without an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    Interrupted,
    /// The budget is used up.
    Paused,
}

/// One run of one stream of a resource.
pub(super) struct Run<'a> {
    pub(super) connector: &'a Connector,
    pub(super) resource: Resource,
    pub(super) stream: StreamSpec,
    tables: Arc<ResourceTables>,
    /// The creation of the tables, while it goes on beside the first read.
    creating: Option<Task<()>>,
    pub(super) key: StateKey,
    settings: Settings,
    pub(super) monitor: Monitor,
    pub(super) position: Position,
    pub(super) record: RunRecord,
    /// What the newest recorded run before this one says, once that is known.
    pub(super) newest_run: Option<NewestRun>,
    /// The stored record, while it says that the run goes on.
    pub(super) lease: Arc<Lease>,
    /// Whether the deletion of any number of records is confirmed.
    pub(super) allow_deletions: bool,
    /// What the runs of the resource have done in this ingestion.
    pub(super) ledger: Arc<Ledger>,
    /// The newest state that this run has read or written, and its version.
    pub(super) stored: Option<StreamState>,
    pub(super) base: StateVersion,
    /// The version at the start of the run.
    pub(super) began_at: StateVersion,
    /// Where an incremental read resumes, and the reconciliation in progress: as committed.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) reconcile: Option<Reconciliation>,
    /// The credits that the stream has used.
    pub(super) spending: Spending,
    /// The claim on the resource's identity, if the resource was never read before.
    pub(super) claim: Option<IdentityClaim>,
    /// The outstanding rejects.
    pub(super) rejects: RejectTracker,
    /// The newest records.
    pub(super) newest: NewestTracker,
    /// What is staged for the next commit.
    pub(super) staged: Option<StagedCommit>,
    /// The columns that had a value in at least one record.
    pub(super) columns: ColumnCheck,
    /// The columns that the records have brought, if the stream infers any.
    pub(super) inference: Option<ColumnInference>,
    /// The columns of the view, once something was inferred.
    pub(super) known_columns: Option<Vec<Column>>,
    cancel: CancellationToken,
    pub(super) began: Instant,
    /// The end of the run as its last commit has recorded it.
    pub(super) recorded_end: Option<RecordedEnd>,
    /// Whether the observer has received the start of the run, but not its end.
    is_observed: bool,
    pub(super) span: Span,
}

/// What a run record says about the end of its run. Times are left out: a commit cannot know how long it takes itself.
#[derive(PartialEq)]
pub(super) struct RecordedEnd {
    status: RunStatus,
    counts: Counts,
    commits: u64,
    empty_columns: Vec<String>,
    new_columns: Vec<String>,
    reject_reason: Option<RejectReason>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        connector: &'a Connector,
        planned: PlannedStream,
        settings: Settings,
        mode: Mode,
        allow_deletions: bool,
        ledger: Arc<Ledger>,
        cancel: CancellationToken,
    ) -> Self {
        let key = planned.key();
        let PlannedStream { resource, stream, tables, newest_run, .. } = planned;
        let record = connector.new_run(key.clone(), mode);
        let position = Position::new(stream.child_of().is_none());
        let reading = position.clone();
        let (observed, name, emitter) = (resource.clone(), stream.name.clone(), connector.emitter.clone());
        Self {
            lease: Arc::new(Lease::new(record.clone())),
            record,
            newest_run,
            monitor: Monitor::new(move |event| {
                reading.event(&event);
                emitter.emit(Event::Source { resource: observed.clone(), stream: name.clone(), event });
            }),
            position,
            columns: ColumnCheck::new(&stream),
            inference: ColumnInference::new(&stream),
            known_columns: None,
            rejects: RejectTracker::new(stream.table(), &connector.source, OutstandingRejects::default()),
            newest: NewestTracker::default(),
            staged: None,
            connector,
            resource,
            stream,
            tables,
            creating: None,
            key,
            settings,
            allow_deletions,
            ledger,
            stored: None,
            base: StateVersion::NONE,
            began_at: StateVersion::NONE,
            checkpoint: None,
            reconcile: None,
            spending: Spending::default(),
            claim: None,
            cancel,
            began: Instant::now(),
            recorded_end: None,
            is_observed: false,
            span: Span::none(),
        }
    }

    /// Runs to the end. The returned record has the outcome.
    pub(super) async fn execute(mut self, start: Option<PrefetchedState>, budget: ReadBudget) -> RunRecord {
        if self.cancel.is_cancelled() {
            // The run does not start, and leaves no record in the store.
            self.record.status = RunStatus::Interrupted;
            self.record.ended_at = Some(self.record.started_at);
            return self.record.clone();
        }
        self.span = spans::run(&self.record.id, &self.resource, &self.stream.name, &self.record.mode);
        let span = self.span.clone();
        self.execute_in_span(start, budget).instrument(span).await
    }

    async fn execute_in_span(mut self, start: Option<PrefetchedState>, budget: ReadBudget) -> RunRecord {
        let (run, resource, stream) = (self.record.id, self.resource.clone(), self.stream.name.clone());
        self.is_observed = true;
        self.connector.emit(Event::Started { run, resource, stream, mode: self.record.mode });
        let is_prefetched = start.is_some();
        let (lease, connector) = (self.lease.clone(), self.connector);
        let mut ended = lease.keep(connector, self.ingest(start, budget.clone())).await;
        // Another program has committed before this run: restart from the newest state.
        let is_superseded = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        if is_prefetched && is_superseded && self.record.commits == 0 {
            self.newest_run = None;
            ended = lease.keep(connector, self.ingest(None, budget)).await;
        }
        if ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Authentication) {
            self.connector.disconnect().await;
        }
        self.record.empty_columns = self.empty_columns();
        if !self.record.empty_columns.is_empty() {
            self.monitor.event(SourceEvent::Warning(columns::warning(&self.record.empty_columns)));
        }
        self.finish(ended).await;
        self.is_observed = false;
        self.emit_end();
        self.record.clone()
    }

    async fn ingest(&mut self, start: Option<PrefetchedState>, budget: ReadBudget) -> Result<Outcome> {
        let (entry, others) = match start {
            Some(PrefetchedState { entry, others }) => (Some(entry), Some(others)),
            None => (self.read_newest().await?, self.read_others().await?),
        };
        if let Some(newest) = self.newest_run {
            self.lease.lock().await.marks = newest.marks;
        }
        self.position.restart();
        (self.base, self.began_at) = (StateVersion::NONE, StateVersion::NONE);
        (self.checkpoint, self.reconcile, self.stored, self.staged) = (None, None, None, None);
        if let Some(entry) = entry {
            (self.began_at, self.base) = (entry.version, entry.version);
            self.spending = entry.state.spending;
            self.checkpoint = entry.state.checkpoint.clone();
            self.reconcile = entry.state.reconcile.clone().filter(|_| self.reconciles());
            self.stored = Some(entry.state);
        }
        let remembers = self.stream.kind == StreamKind::Incremental && self.connector.is_transactional();
        self.newest = NewestTracker::new(self.stored.as_ref(), others.filter(|_| remembers));
        let reader = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Ok(Outcome::Interrupted),
            reader = self.connector.reader(&self.settings) => reader?,
        };
        self.create_tables().await?;
        self.rejects = self.find_rejects().await?;
        if self.record.mode == Mode::Reconcile && self.reconciles() {
            self.resume_reconcile();
        }
        match self.read(reader.clone(), budget).await? {
            Outcome::Complete => {}
            stopped => return Ok(stopped),
        }
        self.tables_created().await?;
        if !self.sweeps() {
            if self.reconciliation().is_some() {
                self.end_reset_read().await?;
            }
            return Ok(Outcome::Complete);
        }
        let began = Instant::now();
        let swept = self.sweep(reader.as_ref()).await;
        self.record.timings.verify_ms = millis(began.elapsed());
        Ok(if swept? { Outcome::Complete } else { Outcome::Interrupted })
    }

    /// Reads the newest state of the stream, and what its newest run says, unless that is known.
    async fn read_newest(&mut self) -> Result<Option<StateEntry>> {
        if self.connector.state.is_metered() {
            let entry = self.connector.state(&self.key).await?;
            if self.newest_run.is_none() {
                self.newest_run = Some(self.read_newest_run().await?);
            }
            return Ok(entry);
        }
        let status = self.connector.statuses(std::slice::from_ref(&self.key)).await?.pop().unwrap_or_default();
        self.newest_run = Some(NewestRun::new(status.run.as_ref()));
        Ok(status.entry)
    }

    pub(super) async fn read_newest_run(&self) -> Result<NewestRun> {
        let newest = self.connector.runs(RunQuery::new(1).key(&self.key)).await?;
        Ok(NewestRun::new(newest.first()))
    }

    /// Creates the tables. What is staged needs none before its commit, so that a first read need not wait.
    async fn create_tables(&mut self) -> Result<()> {
        let (tables, sink) = (self.tables.clone(), self.connector.sink.clone());
        let creating = Task::start(async move { tables.ensure(sink.as_ref()).await }, "the sink panicked");
        self.creating = Some(creating);
        let is_first = self.stored.is_none() && self.stream.kind == StreamKind::Incremental;
        if is_first && self.connector.limits.stage { Ok(()) } else { self.tables_created().await }
    }

    /// Waits until the tables have been created.
    pub(super) async fn tables_created(&mut self) -> Result<()> {
        match self.creating.take() {
            Some(creating) => creating.await,
            None => Ok(()),
        }
    }

    /// Reads the states of the other streams that may change the table. `None` if there are any, and a call costs money.
    async fn read_others(&self) -> Result<Option<OtherWriters>> {
        let keys = other_writers(&self.connector.spec, &self.stream, &self.key);
        if !keys.is_empty() && self.connector.state.is_metered() {
            return Ok(None);
        }
        let mut others = OtherWriters::new();
        for key in keys {
            let entry = self.connector.state(&key).await?;
            others.insert(key.stream, entry.map(|entry| entry.version).unwrap_or_default());
        }
        Ok(Some(others))
    }

    /// Queries the outstanding rejects, if the state says that there may be any.
    async fn find_rejects(&self) -> Result<RejectTracker> {
        let mut found = OutstandingRejects::default();
        if self.stored.as_ref().is_some_and(|stored| stored.has_rejects) {
            match self.connector.sink.rejects(RejectTracker::query(&self.resource, self.stream.table())).await {
                Ok(stored) => found = stored,
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        Ok(RejectTracker::new(self.stream.table(), &self.connector.source, found))
    }

    /// Reads the source to its end and commits what it returns.
    async fn read(&mut self, reader: Arc<dyn Reader>, budget: ReadBudget) -> Result<Outcome> {
        let stream = self.batches(reader).await?;
        let stream = admit(stream, self.columns.clone(), self.inference.clone());
        let mut ahead = ReadAhead::start(stream, budget, self.connector.limits);
        if self.records_end() {
            ahead = ahead.finding_last();
        }
        let (connector, monitor) = (self.connector, self.monitor.clone());
        let (resource, stream) = (self.resource.clone(), self.stream.name.clone());
        let position = self.position.clone();
        let seen = |batch: &crate::Batch| {
            position.batch();
            let (records, traffic) = (batch.offered(), monitor.traffic());
            connector.emit(Event::Read { resource: resource.clone(), stream: stream.clone(), records, traffic });
        };
        loop {
            let waited = Instant::now();
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => None,
                created = ended(&mut self.creating) => {
                    self.creating = None;
                    created?;
                    continue;
                }
                next = ahead.next(seen) => Some(next),
            };
            self.record.timings.read_ms += millis(waited.elapsed());
            match next {
                Some(Ok(Some(buffer))) => {
                    let is_last = buffer.is_last;
                    self.commit_or_stage(buffer).await?;
                    ahead.set_staged_due(self.staged.as_ref().map(|staged| staged.due));
                    if !is_last && self.connector.paused_until(self.connector.now()).is_some() {
                        self.commit_read(&mut ahead).await?;
                        return Ok(Outcome::Paused);
                    }
                }
                Some(Ok(None)) => {
                    self.commit_staged().await?;
                    return Ok(Outcome::Complete);
                }
                Some(Err(error)) => {
                    self.commit_staged().await?;
                    return Err(error);
                }
                None => {
                    self.commit_read(&mut ahead).await?;
                    return Ok(Outcome::Interrupted);
                }
            }
        }
    }

    /// Commits the batches that are collected, which saves the next run from reading them again.
    async fn commit_read(&mut self, ahead: &mut ReadAhead) -> Result<()> {
        let mut buffer = ahead.take();
        buffer.is_due = true;
        self.commit_or_stage(buffer).await
    }

    /// Checks what a buffer says about its resource, and completes its rows, before they are staged or committed.
    pub(super) async fn prepare(&mut self, buffer: &mut CommitBuffer) -> Result<()> {
        if let Some(checkpoint) = &buffer.checkpoint
            && self.is_new()
            && self.claim.is_none()
        {
            self.check_identity(checkpoint).await?;
        }
        let rows = &mut buffer.rows;
        if self.reconciliation().is_some() && self.stream.child_of().is_some() {
            // The list of one parent is as current as a verification, also of a row that an earlier part of the reconciliation has marked.
            let verified = |record: Record| record.with_evidence(Evidence::Verified);
            rows.records = std::mem::take(&mut rows.records).into_iter().map(verified).collect();
        }
        rows.changes_rejects = Some(self.rejects.track(&self.connector.source, rows));
        // A reconciliation must mark them.
        if self.reconciliation().is_none() && self.newest.has_all(rows) {
            buffer.unchanged += std::mem::take(&mut rows.records).len() as u64;
        }
        Ok(())
    }

    /// Whether no checkpoint identifies the resource yet. The checkpoints of the other kinds are the engine's, and those of a source-wide
    /// stream identify no resource.
    fn is_new(&self) -> bool {
        if self.stream.kind != StreamKind::Incremental || self.stream.is_source_wide {
            return false;
        }
        let reconcile = self.reconcile.as_ref().and_then(|reconcile| reconcile.checkpoint.as_ref());
        self.checkpoint.is_none() && reconcile.is_none()
    }

    pub(super) fn state(
        &self,
        status: RunStatus,
        message: Option<String>,
        checkpoint: Option<Checkpoint>,
        reconcile: Option<Reconciliation>,
    ) -> StreamState {
        let (claim, has_rejects, newest) = (None, self.rejects.may_have_any(), self.newest.known());
        let (run, spending) = (self.record.id, self.spending);
        StreamState { status, run, checkpoint, reconcile, message, claim, has_rejects, newest, spending }
    }

    /// Stores the first checkpoint before committing it, so that other programs can identify the resource. The run's next state
    /// removes it.
    pub(super) async fn store_claim(&mut self, claim: &Checkpoint) -> Result<()> {
        let state = self.state(RunStatus::Running, None, self.checkpoint.clone(), self.reconcile.clone());
        let state = StreamState { claim: Some(claim.clone()), ..state };
        let change = StateChange { run: None, ..self.change(self.connector.now(), Some(state.clone())) };
        self.base = self.connector.state.append(change).await?;
        self.stored = Some(state);
        Ok(())
    }

    pub(super) fn change(&self, at: jiff::Timestamp, state: Option<StreamState>) -> StateChange {
        let mut run = self.record.clone();
        run.traffic = self.monitor.traffic();
        self.set_facts(&mut run, at);
        StateChange { key: self.key.clone(), base: self.base, at, state, run: Some(run) }
    }

    /// The end of the run with this status, as far as its record has got.
    pub(super) fn end(&self, status: RunStatus) -> RecordedEnd {
        let empty_columns = self.empty_columns();
        RecordedEnd {
            status,
            counts: self.record.counts.clone(),
            commits: self.record.commits,
            empty_columns,
            new_columns: self.record.new_columns.clone(),
            reject_reason: self.record.reject_reason.clone(),
        }
    }

    /// The declared columns that were null in all records so far, if there were enough.
    pub(super) fn empty_columns(&self) -> Vec<String> {
        let mut empty = self.columns.missing(MIN_RECORDS);
        empty.extend(self.inference.iter().flat_map(|inference| inference.missing(MIN_RECORDS)));
        empty
    }

    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Drop for Run<'_> {
    /// A dropped run can no longer write. Its observer receives the end; the next run of the resource closes its record, if any.
    fn drop(&mut self) {
        if self.is_observed {
            self.record.status = RunStatus::Interrupted;
            self.record.ended_at = Some(self.connector.now().max(self.record.started_at));
            self.record.traffic = self.monitor.traffic();
            self.record.timings.total_ms = millis(self.began.elapsed());
            self.emit_end();
        }
    }
}

/// Waits for work, if there is any; otherwise forever.
async fn ended(work: &mut Option<Task<()>>) -> Result<()> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The status and the message of a run that has read everything, and rejected this many records, most of them for this reason.
pub(super) fn completed(rejects: u64, reason: Option<&RejectReason>) -> (RunStatus, Option<String>) {
    if rejects == 0 { (RunStatus::Complete, None) } else { (RunStatus::Partial, Some(rejected(rejects, reason))) }
}

/// Returns the message of a run that rejected records.
fn rejected(count: u64, reason: Option<&RejectReason>) -> String {
    let (records, they_are) = if count == 1 { ("record was", "it is") } else { ("records were", "they are") };
    let reason = reason.map_or_else(String::new, |RejectReason { reason, count: of_it }| match *of_it < count {
        true => format!(", {of_it} because: {reason}"),
        false => format!(" ({reason})"),
    });
    format!("{count} {records} rejected{reason}; {they_are} kept in a separate table, and listed by `rejects`")
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
