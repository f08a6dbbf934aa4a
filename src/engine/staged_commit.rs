//! What a run has staged for its next commit.

use std::time::Duration;

use tokio::time::Instant;

use super::batcher::CommitBuffer;
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
    pub(super) due: Instant,
}

impl StagedCommit {
    /// `after` is the time until it must be committed.
    pub(super) fn new(stage: Box<dyn Stage>, after: Duration) -> Self {
        Self { stage, buffer: CommitBuffer::default(), reject_bytes: 0, due: Instant::now() + after }
    }

    /// Whether a buffer can be committed together with what is staged. Of a reject that comes twice, the later one must be stored later.
    pub(super) fn accepts(&self, buffer: &CommitBuffer) -> bool {
        let is_staged = |reject: &Reject| self.buffer.rows.rejects.contains(reject);
        !buffer.rows.rejects.iter().any(is_staged) && self.stage.accepts(&buffer.rows.records)
    }

    /// Stages the records of a buffer, and frees their memory.
    pub(super) async fn add(&mut self, mut buffer: CommitBuffer) -> Result<()> {
        let records: Vec<Record> = std::mem::take(&mut buffer.rows.records);
        if !records.is_empty() {
            self.stage.add(records).await?;
        }
        let size = |reject: &Reject| reject.raw.len() + reject.reason.len();
        self.reject_bytes += buffer.rows.rejects.iter().map(size).sum::<usize>();
        self.buffer.append_staged(buffer);
        Ok(())
    }

    /// Whether to commit now. `max_reject_bytes` bounds the memory of rejects.
    pub(super) fn is_full(&self, max_reject_bytes: usize) -> bool {
        self.stage.is_full() || self.reject_bytes > max_reject_bytes
    }

    /// The commit of everything that was staged.
    pub(super) async fn finish(self) -> Result<CommitBuffer> {
        let mut buffer = self.buffer;
        buffer.rows.staged = Some(self.stage.finish().await?);
        Ok(buffer)
    }
}
