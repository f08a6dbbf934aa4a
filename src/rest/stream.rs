//! The description of a stream.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::api::{Action, Errors, Pace};
use super::paginate::Paginate;
use super::time::{Span, TimeFormat};

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
    /// The type, where it does not follow from the rest.
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

/// One pointer, or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "PointersText", into = "PointersText")]
#[schemars(with = "PointersText")]
pub struct Pointers(pub Vec<String>);

#[derive(Clone, Serialize, JsonSchema)]
#[serde(untagged)]
enum PointersText {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for PointersText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PointersVisitor)
    }
}

struct PointersVisitor;

impl<'de> Visitor<'de> for PointersVisitor {
    type Value = PointersText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: de::Error>(self, pointer: &str) -> Result<PointersText, E> {
        Ok(PointersText::One(pointer.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<PointersText, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(PointersText::Many)
    }
}

impl Pointers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pointers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn push(&mut self, pointer: String) {
        self.0.push(pointer);
    }
}

impl From<&str> for Pointers {
    fn from(pointer: &str) -> Self {
        Self(vec![pointer.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Pointers {
    fn from(pointers: [&str; N]) -> Self {
        Self(pointers.map(str::to_owned).to_vec())
    }
}

impl From<PointersText> for Pointers {
    fn from(text: PointersText) -> Self {
        match text {
            PointersText::One(pointer) => Self(vec![pointer]),
            PointersText::Many(pointers) => Self(pointers),
        }
    }
}

impl From<Pointers> for PointersText {
    fn from(Pointers(mut pointers): Pointers) -> Self {
        match pointers.len() {
            1 => Self::One(pointers.remove(0)),
            _ => Self::Many(pointers),
        }
    }
}

/// What orders the states of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Shorthand<VersionTable>", into = "VersionTable")]
#[schemars(with = "Shorthand<VersionTable>")]
#[non_exhaustive]
pub struct Version {
    /// Pointers; of several, the greatest value counts.
    pub at: Pointers,
    /// How the values are written.
    pub format: TimeFormat,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionTable {
    at: Pointers,
    #[serde(default)]
    format: TimeFormat,
}

/// A table, or only its main entry.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Shorthand<T> {
    Text(String),
    Table(T),
}

// Not derived: of an untagged enum, serde does not say what is wrong with a table, nor where.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shorthand<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShorthandVisitor(PhantomData))
    }
}

struct ShorthandVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ShorthandVisitor<T> {
    type Value = Shorthand<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shorthand<T>, E> {
        Ok(Shorthand::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Shorthand<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(Shorthand::Table)
    }
}

impl Version {
    /// The version is the greatest of these values, written in RFC 3339.
    pub fn at(pointers: impl Into<Pointers>) -> Self {
        Self { at: pointers.into(), format: TimeFormat::default() }
    }

    /// Sets how the values are written.
    #[must_use]
    pub fn format(mut self, format: TimeFormat) -> Self {
        self.format = format;
        self
    }
}

impl From<&str> for Version {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<Shorthand<VersionTable>> for Version {
    fn from(value: Shorthand<VersionTable>) -> Self {
        match value {
            Shorthand::Text(pointer) => Self::at(pointer.as_str()),
            Shorthand::Table(VersionTable { at, format }) => Self { at, format },
        }
    }
}

impl From<Version> for VersionTable {
    fn from(Version { at, format }: Version) -> Self {
        Self { at, format }
    }
}

/// What `{since}` is: from where on the API is asked for what has changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Since {
    /// Pointers to what the API filters by, if that is not the version; of several, the greatest value counts.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub at: Pointers,
    /// How the API takes the value; as the version is written unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimeFormat>,
    /// The value of a first read, in RFC 3339, as a date, or as a number; 1970 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How far behind the newest known value to read again; one second unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
    /// The longest time that one question may span. Needs `{until}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
}

impl Since {
    /// The version, as it is written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the pointers to what the API filters by.
    #[must_use]
    pub fn at(mut self, pointers: impl Into<Pointers>) -> Self {
        self.at = pointers.into();
        self
    }

    /// Sets how the API takes the value.
    #[must_use]
    pub fn format(mut self, format: TimeFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the value of a first read.
    #[must_use]
    pub fn start(mut self, start: impl Into<String>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// Sets how far behind the newest known value to read again.
    #[must_use]
    pub fn overlap(mut self, overlap: Span) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// Sets the longest time that one question may span.
    #[must_use]
    pub fn window(mut self, window: Span) -> Self {
        self.window = Some(window);
        self
    }
}

/// How a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum Order {
    /// By the version, the oldest first.
    #[serde(rename = "version")]
    Version,
    /// By the version, the newest first.
    #[serde(rename = "-version")]
    VersionDescending,
    /// By something that never changes, such as an id or the time of creation, the lowest first.
    #[serde(rename = "key")]
    Key,
    /// By something that never changes, the highest first.
    #[serde(rename = "-key")]
    KeyDescending,
}

/// A type of stream that does not follow from the rest of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamType {
    /// Records never change, and none is ever marked deleted.
    Append,
}

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
    stream: String,
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
    at: String,
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
    /// A pointer to the records in the answer; the whole body unless given.
    pub records: String,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetTable {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<String>,
    #[serde(default = "hundred")]
    batch: u32,
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
