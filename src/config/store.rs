//! Where configuration is kept.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;

/// The two domains of a [`ConfigStore`]. The same key in both is two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// Settings of the connector. The reference system calls the table `APP_CONFIGURATION`.
    Connector,
    /// Settings of each resource, by its name. The reference system calls the table `RESOURCE_CONFIGURATION`.
    Resource,
}

/// Every entry of a [`ConfigStore`], ordered by key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigSnapshot {
    /// The entries of [`Namespace::Connector`].
    pub connector: Vec<(String, Value)>,
    /// The entries of [`Namespace::Resource`].
    pub resources: Vec<(String, Value)>,
}

/// The shortest time from one run to the next that a resource can be enabled with, wherever that is done.
pub(crate) const SHORTEST_SCHEDULE: SignedDuration = SignedDuration::from_mins(1);

/// What is stored for a resource in [`Namespace::Resource`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceConfig {
    /// Whether it is ingested when no resource is named.
    pub enabled: bool,
    /// How often, as text that [`Schedule`](crate::engine::Schedule) reads: `30m`, or a cron expression. `None`: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// Keeps the connector's configuration: two key-value domains of JSON values.
///
/// It holds *references* to secrets ([`SecretRef`](crate::SecretRef)), never a secret.
///
/// # Contract
/// 1. `get` gives what the last `put` of this key in this domain stored, and `None` when there is none or it was removed.
/// 2. The domains are apart: the same key in both is two entries.
/// 3. `list` gives every entry of a domain, ordered by key.
/// 4. `put` and `remove` are atomic, durable once they return, and repeatable.
/// 5. Any text is a legal key, and values come back equal.
/// 6. `snapshot` gives what `list` gives of both domains.
///
/// The suite is `config_store_conformance!` of the test kit.
///
/// # Cancellation
/// A dropped future has stored its value wholly or not at all.
///
/// # Errors
/// [`Unavailable`](crate::ErrorKind::Unavailable) when the store cannot be reached or written.
#[async_trait]
pub trait ConfigStore: Debug + Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, domain: Namespace, key: &str) -> Result<Option<Value>>;

    /// Stores a value, replacing the one before.
    async fn put(&self, domain: Namespace, key: &str, value: &Value) -> Result<()>;

    /// Removes a key; says whether there was one.
    async fn remove(&self, domain: Namespace, key: &str) -> Result<bool>;

    /// Every entry of a domain, ordered by key.
    async fn list(&self, domain: Namespace) -> Result<Vec<(String, Value)>>;

    /// Checks that the store is this source's, or not any source's yet, and makes it this source's if it is to be `adopted`. A store
    /// that two sources can reach would mix their settings and the states of resources of the same name. By default it says nothing:
    /// a store may belong to one source by the way it is made.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when it belongs to another source.
    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        let _ = (source, adopt);
        Ok(())
    }

    /// Every entry of both domains. Stores whose every answer costs a round trip give them all at once.
    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        Ok(ConfigSnapshot {
            connector: self.list(Namespace::Connector).await?,
            resources: self.list(Namespace::Resource).await?,
        })
    }
}
