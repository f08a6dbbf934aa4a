//! The description of a stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::errors::{Action, Errors};
use super::get::Get;
use super::pace::Pace;
use super::paginate::Paginate;
use super::pointers::Pointers;
use super::related::{Deleted, ParentOf};
use super::version::{Order, Since, Version};

/// One list of an API, or one list for each record of another stream.
///
/// What it is follows from what it says: with [`parent`](Self::parent()), a list for each parent; with `{since}`, [`cursor`](Self::cursor())
/// or the order `-version`, what has changed; otherwise a list that is read whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Stream {
    /// The name of the stream and its table: lower-case letters, digits and `_`.
    pub name: String,
    /// A template: the path below the base URL. It may hold a query.
    pub path: String,
    /// Parameters that are added to the query; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers that are added to those of the API; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A JSON body, which makes the request a POST; the texts in it are templates. A text that is one placeholder takes the type of its
    /// value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Map<String, Value>>,
    /// A pointer to the list of records; the whole body unless given. An object there is one record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub records: String,
    /// Pointers to what identifies a record within its resource and its parent: `/id` unless given.
    #[serde(default = "id", skip_serializing_if = "is_id")]
    pub key: Pointers,
    /// What orders the states of a record; without it, the later read wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The parameter for what has changed since: short for a query of `{since}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What `{since}` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// How the list is sorted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The number of results that one question can have. Then the next question begins at the last version, or has a shorter window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// The type, where it does not follow from the rest: `append`, for records that never change in a list with the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StreamType>,
    /// The stream that has a list of these records for each of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentOf>,
    /// What tells that a record is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// The stream whose records this list deletes, by their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<String>,
    /// How to ask for single records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<Get>,
    /// A pointer to an object whose members become columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
    /// Columns and their pointers. Others are inferred from the records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// What to do about errors, before what the API says.
    #[serde(default, skip_serializing_if = "Errors::is_empty")]
    pub errors: Errors,
    /// How many requests to send, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// How the list continues; as the API says unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paginate: Option<Paginate>,
    /// Whether it is read where the user selects no streams.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub default: bool,
}

impl Stream {
    /// A stream whose records are the whole body, with the key `/id`.
    pub fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: None,
            records: String::new(),
            key: id(),
            version: None,
            cursor: None,
            since: None,
            order: None,
            cap: None,
            kind: None,
            parent: None,
            deleted: None,
            deletes: None,
            get: None,
            spread: None,
            columns: BTreeMap::new(),
            errors: Errors::default(),
            pace: None,
            paginate: None,
            default: true,
        }
    }

    /// Adds a parameter to the query; the value is a template.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.insert(name.into(), value.into());
        self
    }

    /// Adds a header; the value is a template.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sends this body in a POST: an object, whose texts are templates. Anything else is ignored.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        if let Value::Object(body) = body {
            self.body = Some(body);
        }
        self
    }

    /// Sets the pointer to the list of records.
    #[must_use]
    pub fn records(mut self, pointer: impl Into<String>) -> Self {
        self.records = pointer.into();
        self
    }

    /// Sets the pointers to what identifies a record.
    #[must_use]
    pub fn key(mut self, key: impl Into<Pointers>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets what orders the states of a record.
    #[must_use]
    pub fn version(mut self, version: impl Into<Version>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the parameter for what has changed since.
    #[must_use]
    pub fn cursor(mut self, parameter: impl Into<String>) -> Self {
        self.cursor = Some(parameter.into());
        self
    }

    /// Sets what `{since}` is.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }

    /// Sets how the list is sorted.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the number of results that one question can have.
    #[must_use]
    pub fn cap(mut self, results: u64) -> Self {
        self.cap = Some(results);
        self
    }

    /// Sets the type, where it does not follow from the rest.
    #[must_use]
    pub fn kind(mut self, kind: StreamType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets the stream that has a list of these records for each of its own.
    #[must_use]
    pub fn parent(mut self, parent: impl Into<ParentOf>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// Sets what tells that a record is deleted.
    #[must_use]
    pub fn deleted(mut self, deleted: impl Into<Deleted>) -> Self {
        self.deleted = Some(deleted.into());
        self
    }

    /// Sets the stream whose records this list deletes.
    #[must_use]
    pub fn deletes(mut self, stream: impl Into<String>) -> Self {
        self.deletes = Some(stream.into());
        self
    }

    /// Sets how to ask for single records.
    #[must_use]
    pub fn get(mut self, get: impl Into<Get>) -> Self {
        self.get = Some(get.into());
        self
    }

    /// Sets the pointer to an object whose members become columns.
    #[must_use]
    pub fn spread(mut self, pointer: impl Into<String>) -> Self {
        self.spread = Some(pointer.into());
        self
    }

    /// Declares a column.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, pointer: impl Into<String>) -> Self {
        self.columns.insert(name.into(), pointer.into());
        self
    }

    /// Sets what to do about a status, or about a code in the body.
    #[must_use]
    pub fn on_error(mut self, status_or_code: impl ToString, action: Action) -> Self {
        self.errors.actions.insert(status_or_code.to_string(), action);
        self
    }

    /// Sets how many requests to send, at most.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Sets how the list continues.
    #[must_use]
    pub fn paginate(mut self, paginate: impl Into<Paginate>) -> Self {
        self.paginate = Some(paginate.into());
        self
    }

    /// Leaves it out unless the user selects it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.default = false;
        self
    }
}

fn id() -> Pointers {
    Pointers::from("/id")
}

fn is_id(key: &Pointers) -> bool {
    *key == id()
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// A type of stream that does not follow from the rest of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamType {
    /// Records never change, and none is ever marked deleted.
    Append,
}
