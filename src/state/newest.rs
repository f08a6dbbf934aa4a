//! The newest records of a stream, as its table has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::StateVersion;
use crate::Version;

/// The newest records of a stream. When the state with them was written, the table had each of them: the same document at this version,
/// not deleted. That holds as long as this state is the stream's newest one, and those of the `others` have not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewestRecords {
    /// The version of all of them.
    pub(crate) version: Version,
    /// The hash of each document in hexadecimal digits, by key.
    pub(crate) hashes: BTreeMap<String, String>,
    /// The versions of the states of the other streams whose runs may delete or replace rows of the table, read before the records were
    /// committed. A run that changes such a row also writes its state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) others: BTreeMap<String, StateVersion>,
}
