//! How to ask for single records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::shorthand::Shorthand;

/// How to ask for single records: one by `{key}`, or several by `{keys}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Shorthand<GetTable>", into = "GetTable")]
#[schemars(with = "Shorthand<GetTable>")]
#[non_exhaustive]
pub struct Get {
    /// A template: the path.
    pub path: String,
    /// A JSON body, which makes the request a POST; the texts in it are templates.
    pub body: Option<Map<String, Value>>,
    /// A pointer into the records of the list, which are only stubs: `{keys}` are the values there.
    pub keys: Option<String>,
    /// The number of records in one request; 100 unless given.
    pub batch: u32,
    /// A pointer to the records in the answer. Unless given: the whole body, or where the list has its records if the body is an object
    /// around them.
    pub records: String,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetTable {
    /// A template: the path.
    path: String,
    /// A JSON body, which makes the request a POST; the texts in it are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Map<String, Value>>,
    /// A pointer into the records of the list, which are only stubs: `{keys}` are the values there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<String>,
    /// The number of records in one request; 100 unless given.
    #[serde(default = "hundred")]
    batch: u32,
    /// A pointer to the record, or the records, in the answer. Unless given: the whole body, or where the list has its records.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    records: String,
}

fn hundred() -> u32 {
    100
}

impl Get {
    /// One record at this path, which holds `{key}`.
    pub fn path(path: impl Into<String>) -> Self {
        Self { path: path.into(), body: None, keys: None, batch: hundred(), records: String::new() }
    }

    /// Sends this body in a POST: an object, whose texts are templates. Anything else is ignored.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        if let Value::Object(body) = body {
            self.body = Some(body);
        }
        self
    }

    /// Sets the pointer to the keys in the records of the list.
    #[must_use]
    pub fn keys(mut self, pointer: impl Into<String>) -> Self {
        self.keys = Some(pointer.into());
        self
    }

    /// Sets the number of records in one request.
    #[must_use]
    pub fn batch(mut self, records: u32) -> Self {
        self.batch = records;
        self
    }

    /// Sets the pointer to the records in the answer.
    #[must_use]
    pub fn records(mut self, pointer: impl Into<String>) -> Self {
        self.records = pointer.into();
        self
    }
}

impl From<&str> for Get {
    fn from(path: &str) -> Self {
        Self::path(path)
    }
}

impl From<Shorthand<GetTable>> for Get {
    fn from(value: Shorthand<GetTable>) -> Self {
        match value {
            Shorthand::Text(path) => Self::path(path),
            Shorthand::Table(GetTable { path, body, keys, batch, records }) => {
                Self { path, body, keys, batch, records }
            }
        }
    }
}

impl From<Get> for GetTable {
    fn from(Get { path, body, keys, batch, records }: Get) -> Self {
        Self { path, body, keys, batch, records }
    }
}
