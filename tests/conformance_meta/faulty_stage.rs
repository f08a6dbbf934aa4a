//! The stage of a sink that is correct except for its fault.

use std::sync::Arc;

use async_trait::async_trait;
use snowfeed::jiff::Timestamp;
use snowfeed::{Counts, Record, Result, Stage, StagedRecords};

use super::faulty_sink::{FaultySink, TableKey};
use super::sinks::Fault;

/// Keeps records in memory until a commit names them.
#[derive(Debug)]
pub(super) struct MemoryStage {
    sink: Arc<FaultySink>,
    table_key: TableKey,
    records: Vec<Record>,
}

impl MemoryStage {
    pub(super) fn new(sink: Arc<FaultySink>, table_key: TableKey) -> Self {
        Self { sink, table_key, records: Vec::new() }
    }
}

#[async_trait]
impl Stage for MemoryStage {
    /// A new stage accepts one record of each key.
    fn accepts(&self, records: &[Record]) -> bool {
        records.iter().all(|record| self.records.iter().all(|staged| staged.key != record.key))
    }

    async fn add(&mut self, records: Vec<Record>) -> Result<()> {
        if self.sink.is(Fault::StagedIsVisibleAtOnce) {
            for record in records.clone() {
                self.sink.merge(&self.table_key, record, Timestamp::now(), None, &mut Counts::default());
            }
        }
        self.records.extend(records);
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn finish(self: Box<Self>) -> Result<StagedRecords> {
        Ok(StagedRecords::new(self.records.len() as u64, self.records))
    }
}
