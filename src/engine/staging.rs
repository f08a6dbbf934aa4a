//! Records that the sink stages while a source is read, until they are committed together.

use std::time::Duration;

use tokio::time::Instant;

use super::batcher::{CommitBuffer, ReadAhead};
use super::run::{Run, millis};
use crate::{Record, Reject, Result, Stage};

/// What is staged for the next commit of a run.
#[derive(Debug)]
pub(super) struct StagedCommit {
    stage: Box<dyn Stage>,
    /// Everything but the records.
    buffer: CommitBuffer,
    /// The memory of its rejects, in bytes.
    reject_bytes: usize,
    /// When it must be committed.
    due: Instant,
}

impl StagedCommit {
    /// `after` is the time until it must be committed.
    fn new(stage: Box<dyn Stage>, after: Duration) -> Self {
        Self { stage, buffer: CommitBuffer::default(), reject_bytes: 0, due: Instant::now() + after }
    }

    /// Whether a buffer can be committed together with what is staged. Of a reject that comes twice, the later one must be stored later.
    fn accepts(&self, buffer: &CommitBuffer) -> bool {
        let is_staged = |reject: &Reject| self.buffer.rows.rejects.contains(reject);
        !buffer.rows.rejects.iter().any(is_staged) && self.stage.accepts(&buffer.rows.records)
    }

    /// Stages the records of a buffer, and frees their memory.
    async fn add(&mut self, mut buffer: CommitBuffer) -> Result<()> {
        let records: Vec<Record> = std::mem::take(&mut buffer.rows.records);
        if !records.is_empty() {
            self.stage.add(records).await?;
        }
        let size = |reject: &Reject| reject.raw.len() + reject.reason.len();
        self.reject_bytes += buffer.rows.rejects.iter().map(size).sum::<usize>();
        self.buffer.append_staged(buffer);
        Ok(())
    }

    /// The commit of everything that was staged.
    async fn finish(self) -> Result<CommitBuffer> {
        let mut buffer = self.buffer;
        buffer.rows.staged = Some(self.stage.finish().await?);
        Ok(buffer)
    }
}

impl Run<'_> {
    /// Commits a buffer, or stages its records until a commit is due.
    pub(super) async fn commit_or_stage(&mut self, mut buffer: CommitBuffer, ahead: &mut ReadAhead) -> Result<()> {
        self.prepare(&mut buffer).await?;
        let limits = self.connector.limits;
        let is_end = buffer.is_last || buffer.is_due;
        // What concerns other rows than its records is rare, and needs an order.
        let is_plain =
            buffer.rows.corrected.is_empty() && buffer.rows.gone.is_empty() && buffer.rows.verified_parents.is_empty();
        let is_staged = self.staged.is_some();
        let can_stage = limits.stage && is_plain && if is_staged { self.accepts(&buffer) } else { !is_end };
        if !can_stage {
            self.commit_staged().await?;
            ahead.set_staged_due(None);
            return if buffer.is_empty() { Ok(()) } else { self.commit_buffer(buffer).await };
        }
        let began = Instant::now();
        let mut staged = match self.staged.take() {
            Some(staged) => staged,
            None => {
                let stage = self.connector.sink.stage(&self.resource, self.stream.table(), self.record.id).await?;
                StagedCommit::new(stage, limits.commit_after)
            }
        };
        staged.add(buffer).await?;
        let is_full = staged.stage.is_full() || staged.reject_bytes > limits.commit_bytes;
        ahead.set_staged_due(Some(staged.due));
        self.staged = Some(staged);
        self.record.timings.commit_ms += millis(began.elapsed());
        if is_end || is_full {
            self.commit_staged().await?;
            ahead.set_staged_due(None);
        }
        Ok(())
    }

    fn accepts(&self, buffer: &CommitBuffer) -> bool {
        self.staged.as_ref().is_some_and(|staged| staged.accepts(buffer))
    }

    /// Commits what is staged, if anything is.
    pub(super) async fn commit_staged(&mut self) -> Result<()> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        let began = Instant::now();
        let buffer = staged.finish().await?;
        self.record.timings.commit_ms += millis(began.elapsed());
        self.commit_buffer(buffer).await
    }
}
