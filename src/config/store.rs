//! The trait of stores that keep configuration.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;

/// The two namespaces of a [`ConfigStore`]. They do not share keys.
///
/// It is exhaustive: a store has to keep every namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// Settings of the connector. The reference system calls the table `APP_CONFIGURATION`.
    Connector,
    /// Settings of each resource, by its name. The reference system calls the table `RESOURCE_CONFIGURATION`.
    Resource,
}

/// All entries of a [`ConfigStore`], ordered by key.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ConfigSnapshot {
    /// The entries of [`Namespace::Connector`].
    pub connector: Vec<(String, Value)>,
    /// The entries of [`Namespace::Resource`].
    pub resources: Vec<(String, Value)>,
}

impl ConfigSnapshot {
    /// The entries of both namespaces.
    pub fn new(connector: Vec<(String, Value)>, resources: Vec<(String, Value)>) -> Self {
        Self { connector, resources }
    }
}

/// The shortest interval with which a resource can be enabled.
pub(crate) const SHORTEST_SCHEDULE: SignedDuration = SignedDuration::from_mins(1);

/// The value of a resource in [`Namespace::Resource`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceConfig {
    /// Whether an ingestion that names no resource includes it.
    pub enabled: bool,
    /// Its [`Schedule`](crate::engine::Schedule) as text: `30m`, or a cron expression. `None`: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The streams that are read; `None`: the source's default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<String>>,
}

/// Keeps the connector's configuration: JSON values by key, in two namespaces.
///
/// It holds *references* to secrets ([`SecretRef`](crate::SecretRef)), never a secret.
///
/// # Contract
/// 1. `get` returns the value of the last `put` of this key in this namespace, and `None` if there was none or it was removed.
/// 2. The namespaces do not share keys.
/// 3. `list` returns all entries of a namespace, ordered by key.
/// 4. `put` and `remove` are atomic, durable once they return, and idempotent.
/// 5. Any text is a legal key, and values come back equal.
/// 6. `snapshot` returns what `list` returns for both namespaces.
///
/// `config_store_conformance!` of the test kit tests all of them.
///
/// # Wrappers
/// A type that forwards to another store must forward every method, those with a default too: put
/// `#[deny(clippy::missing_trait_methods)]` on the `impl`.
///
/// # Cancellation
/// A dropped future has stored its value entirely or not at all.
///
/// # Errors
/// [`Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached or written.
#[async_trait]
pub trait ConfigStore: Debug + Send + Sync + 'static {
    /// Returns the value of a key.
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>>;

    /// Stores a value, and replaces the previous one.
    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()>;

    /// Removes a key. Returns whether it existed.
    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool>;

    /// Returns all entries of a namespace, ordered by key.
    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>>;

    /// Checks that the store belongs to this source or to none yet; with `adopt`, assigns it to this source. Otherwise two sources in one
    /// store would mix their settings, and the states of resources of the same name. The default does nothing: some stores
    /// belong to one source by construction.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if it belongs to another source.
    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        let _ = (source, adopt);
        Ok(())
    }

    /// Returns all entries of both namespaces. Override it if every query costs a round trip.
    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        Ok(ConfigSnapshot {
            connector: self.list(Namespace::Connector).await?,
            resources: self.list(Namespace::Resource).await?,
        })
    }
}
