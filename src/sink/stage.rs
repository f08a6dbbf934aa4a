//! Records that a destination accepts while they are read, before the commit that makes them visible.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Record, Result};

/// Accepts the records of one stream's next commit while the source is read.
///
/// Nothing of it is visible before a [`Commit`](super::Commit) [names](super::StreamCommit::staged) what was staged. What is never named is
/// removed by the sink, now or in a later run.
///
/// # Cancellation
/// A stage whose `add` was dropped must not be used again.
#[async_trait]
pub trait Stage: fmt::Debug + Send + Sync {
    /// Whether these records can join those that are staged. If not, the caller commits what is staged, and then these records.
    fn accepts(&self, records: &[Record]) -> bool;

    /// Adds records, in order. It returns when their memory is free again, not when they are stored.
    ///
    /// # Errors
    /// Those of [`commit`](super::Sink::commit) but for a conflict. What is staged can then no longer be committed.
    async fn add(&mut self, records: Vec<Record>) -> Result<()>;

    /// Whether to commit now: more records would cost more than another commit.
    fn is_full(&self) -> bool;

    /// Waits until everything is stored, and returns what the commit must name.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    async fn finish(self: Box<Self>) -> Result<StagedRecords>;
}

/// The records that a [`Stage`] has accepted. Clones are the same records.
#[derive(Clone)]
pub struct StagedRecords {
    records: u64,
    content: Arc<dyn Any + Send + Sync>,
}

impl StagedRecords {
    /// Names this number of records by what the sink knows about them.
    pub fn new(records: u64, content: impl Any + Send + Sync) -> Self {
        Self { records, content: Arc::new(content) }
    }

    /// The number of records, those included that the sink will reject.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns what the sink knows about them; `None` if it is of another type, and so of another sink.
    pub fn content<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.content.downcast_ref()
    }
}

impl fmt::Debug for StagedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedRecords").field("records", &self.records).finish_non_exhaustive()
    }
}

impl PartialEq for StagedRecords {
    /// Whether both are the same records of one stage.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }
}
