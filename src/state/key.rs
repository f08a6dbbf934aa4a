//! The names and the versions of states.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies the state of one stream of one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StateKey {
    /// The resource's name.
    pub resource: String,
    /// The stream's name.
    pub stream: String,
}

impl StateKey {
    /// The key of a stream of a resource.
    pub fn new(resource: impl Into<String>, stream: impl Into<String>) -> Self {
        Self { resource: resource.into(), stream: stream.into() }
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.resource, self.stream)
    }
}

/// Numbers the entries of one key. A run that builds on an old version is refused. [`StateVersion::NONE`] is a key without entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateVersion(pub u64);

impl StateVersion {
    /// The version of a key that has no entry.
    pub const NONE: Self = Self(0);
}
