//! Records idle runs in a metered store, where each of them alone would wake a warehouse.

use super::Connector;
use crate::StateKey;

impl Connector {
    /// Records the idle runs that are due, all together. A failure is logged: the next runs are due again.
    pub(super) async fn record_idle_runs(&self) {
        let (runs, was_awake) = self.idle_runs.take();
        let Some(first) = runs.first() else { return };
        let key = StateKey::new(first.resource.as_str(), first.stream.as_str());
        if let Err(error) = self.state.append_runs(runs).await {
            tracing::warn!(%error, "runs that found nothing new could not be recorded");
            return;
        }
        // The statuses have changed. Reading them now, while the store is awake, saves waking it again only to read them: a metered store
        // answers the next read from its cache.
        if !was_awake && let Err(error) = self.state.latest_many(&[key]).await {
            tracing::warn!(%error, "the recorded runs could not be read again");
        }
    }
}
