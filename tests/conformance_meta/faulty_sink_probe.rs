//! Access to the contents of a faulty sink.

use std::sync::Arc;

use async_trait::async_trait;
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{Reject, Resource, Sink, StateStore, StoredRow};

use super::faulty_sink::FaultySink;
use super::sinks::Fault;

pub(super) struct FaultySinkProbe(pub(super) Arc<FaultySink>);

#[async_trait]
impl SinkProbe for FaultySinkProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.0) as _
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.0.states.clone()))
    }

    fn stages(&self) -> bool {
        true
    }

    /// See `sequences.rs` for faults of those that do.
    fn numbers_commits(&self) -> bool {
        false
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let is_dirty = self.0.is(Fault::CommitIsVisibleRowByRow);
        let _guard = if is_dirty { None } else { Some(self.0.commit_lock.read().await) };
        let contents = self.0.contents();
        contents
            .tables
            .get(&self.0.table_key(resource, table))
            .into_iter()
            .flat_map(|rows| rows.values().cloned())
            .collect()
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let table_key = self.0.table_key(resource, table);
        let contents = self.0.contents();
        contents.rejects.iter().filter(|seen| seen.table_key == table_key).map(|seen| seen.reject.clone()).collect()
    }
}
