//! What a record says about other records, and about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shorthand::Shorthand;

/// The stream that has a list of other records for each of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Shorthand<ParentTable>", into = "ParentTable")]
#[schemars(with = "Shorthand<ParentTable>")]
#[non_exhaustive]
pub struct ParentOf {
    /// The name of the stream.
    pub stream: String,
    /// A pointer into the parent: only a parent with a value there that is not null, false, 0 or empty has a list.
    pub when: Option<String>,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParentTable {
    /// The name of the stream.
    stream: String,
    /// A pointer into the parent: only a parent with a value there that is not null, false, 0 or empty has a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

impl ParentOf {
    /// Every record of this stream has a list.
    pub fn stream(name: impl Into<String>) -> Self {
        Self { stream: name.into(), when: None }
    }

    /// Sets the pointer to what a parent with a list has.
    #[must_use]
    pub fn when(mut self, pointer: impl Into<String>) -> Self {
        self.when = Some(pointer.into());
        self
    }
}

impl From<&str> for ParentOf {
    fn from(stream: &str) -> Self {
        Self::stream(stream)
    }
}

impl From<Shorthand<ParentTable>> for ParentOf {
    fn from(value: Shorthand<ParentTable>) -> Self {
        match value {
            Shorthand::Text(stream) => Self::stream(stream),
            Shorthand::Table(ParentTable { stream, when }) => Self { stream, when },
        }
    }
}

impl From<ParentOf> for ParentTable {
    fn from(ParentOf { stream, when }: ParentOf) -> Self {
        Self { stream, when }
    }
}

/// What tells that a record is deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Shorthand<DeletedTable>", into = "DeletedTable")]
#[schemars(with = "Shorthand<DeletedTable>")]
#[non_exhaustive]
pub struct Deleted {
    /// A pointer.
    pub at: String,
    /// The value there of a deleted record; without it, any value that is not null, false, 0 or empty.
    pub is: Option<Value>,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeletedTable {
    /// A pointer into the record.
    at: String,
    /// The value there of a deleted record; without it, any value that is not null, false, 0 or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Value>,
}

impl Deleted {
    /// A record with a value there that is not null, false, 0 or empty is deleted.
    pub fn at(pointer: impl Into<String>) -> Self {
        Self { at: pointer.into(), is: None }
    }

    /// Sets the value of a deleted record.
    #[must_use]
    pub fn is(mut self, value: impl Into<Value>) -> Self {
        self.is = Some(value.into());
        self
    }
}

impl From<&str> for Deleted {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<Shorthand<DeletedTable>> for Deleted {
    fn from(value: Shorthand<DeletedTable>) -> Self {
        match value {
            Shorthand::Text(pointer) => Self::at(pointer),
            Shorthand::Table(DeletedTable { at, is }) => Self { at, is },
        }
    }
}

impl From<Deleted> for DeletedTable {
    fn from(Deleted { at, is }: Deleted) -> Self {
        Self { at, is }
    }
}
