//! What was told about changes of health, kept in the connector's configuration, so that it outlives the process.

use serde_json::Value;

use super::Connector;
use crate::{Namespace, Result};

/// The key in the connector's configuration of what notifications have reported.
fn key(who: &str) -> String {
    format!("told_{who}")
}

impl Connector {
    /// What `who` was told, as the configuration says that was read last. Takes no call of a store.
    pub(crate) fn known_told(&self, who: &str) -> Option<Value> {
        self.known.entry(&key(who))
    }

    /// Keeps what `who` was told.
    ///
    /// # Errors
    /// Returns the errors of the store.
    pub(crate) async fn keep_told(&self, who: &str, told: &Value) -> Result<()> {
        self.config.put(Namespace::Connector, &key(who), told).await?;
        if self.state.is_metered() {
            // The next cycle reads the configuration. Reading it now, while the store is awake, saves waking it again only to read it.
            self.config.snapshot().await?;
        }
        Ok(())
    }
}
