//! Records that the sink stages while a source is read, until they are committed together.

use tokio::time::Instant;

use super::batcher::CommitBuffer;
use super::run::{Run, millis};
use super::staged_commit::StagedCommit;
use crate::Result;

impl Run<'_> {
    /// Commits a buffer, or stages its records until a commit is due.
    pub(super) async fn commit_or_stage(&mut self, mut buffer: CommitBuffer) -> Result<()> {
        self.prepare(&mut buffer).await?;
        let limits = self.connector.limits;
        let is_end = buffer.is_last || buffer.is_due;
        // What concerns other rows than its records is rare, and needs an order.
        let is_plain =
            buffer.rows.corrected.is_empty() && buffer.rows.gone.is_empty() && buffer.rows.verified_parents.is_empty();
        let joins = match &self.staged {
            Some(staged) => staged.accepts(&buffer),
            None => !is_end,
        };
        if !limits.stage || !is_plain || !joins {
            self.commit_staged().await?;
            return if buffer.is_empty() { Ok(()) } else { self.commit_buffer(buffer).await };
        }
        let began = Instant::now();
        let mut staged = match self.staged.take() {
            Some(staged) => staged,
            None => {
                let stage = self.connector.sink.stage(&self.resource, self.stream.table(), self.record.id).await?;
                let new = StagedCommit::new(stage, limits.commit_after);
                if !new.accepts(&buffer) {
                    return self.commit_buffer(buffer).await;
                }
                new
            }
        };
        self.newest.add(&buffer.rows.records);
        staged.add(buffer).await?;
        let is_full = staged.is_full(limits.commit_bytes);
        self.staged = Some(staged);
        self.record.timings.commit_ms += millis(began.elapsed());
        if is_end || is_full {
            self.commit_staged().await?;
        }
        Ok(())
    }

    /// Commits what is staged, if anything is.
    pub(super) async fn commit_staged(&mut self) -> Result<()> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        self.tables_created().await?;
        let began = Instant::now();
        let buffer = staged.finish().await?;
        self.record.timings.commit_ms += millis(began.elapsed());
        self.commit_buffer(buffer).await
    }
}
