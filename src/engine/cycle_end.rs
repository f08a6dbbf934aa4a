//! Ends a cycle: completes the tables, and in a metered store records idle runs, where each of them alone would wake a warehouse, and
//! leaves the store such that the next cycle need not wake it only to read.

use super::Connector;
use crate::StateKey;

impl Connector {
    /// Completes the tables, and records the idle runs that are due. If anything was written since the last call, reads the statuses
    /// again while the store is awake: a metered store then answers the next cycle from its cache. Failures are logged: the next cycle
    /// does the same.
    pub(super) async fn end_cycle(&self) {
        if let Err(error) = self.sink.finish().await {
            tracing::warn!(%error, "the views over all resources could not be completed; the next run of a new resource tries again");
        }
        let Some(written) = self.record_idle_runs().await else { return };
        if self.state.is_metered()
            && let Err(error) = self.state.latest_many(&[written]).await
        {
            tracing::warn!(%error, "the written statuses could not be read again");
        }
    }

    /// Records the idle runs that are due, all together, and returns a stream whose status was written since the last call.
    pub(super) async fn record_idle_runs(&self) -> Option<StateKey> {
        let (runs, written) = self.idle_runs.take();
        let Some(first) = runs.first() else { return written };
        let key = first.key();
        match self.state.append_runs(runs).await {
            Ok(()) => Some(key),
            Err(error) => {
                tracing::warn!(%error, "runs that found nothing new could not be recorded");
                written
            }
        }
    }
}
