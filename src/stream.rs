//! Streams and the columns of their typed views.

mod column;
mod inference;
mod kind;
mod merge;
mod name;
mod path;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Resource, Result};

pub use column::{Column, ColumnType, Inferred};
pub(crate) use inference::column_name;
pub use inference::{Inference, UntypedColumn};
pub use kind::{Append, ChildOf, Listing, Revisit, StreamKind};
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
pub(crate) use name::Reserved;
#[cfg(any(feature = "snowflake", feature = "sqlite", feature = "testkit", fuzzing))]
#[allow(unreachable_pub, reason = "`internals` exports it")]
pub use name::view_name;
pub(crate) use name::{PLAIN_NAME, is_plain};
pub use path::{JsonPath, Step};

/// A stream of a source: its name and the columns of its typed view. Destinations keep its records in a table of that name.
///
/// A later version of a source may add columns, and backends add them to the view. Backends keep the raw documents, so a column
/// added later has values for all old rows. Backends never drop columns.
///
/// Every view also has the columns `resource` (in the view over all resources), `deleted_at` (null for a live row) and `raw` (the
/// document as it was sent); that of a child stream has `parent_key`. In their own tables, backends also keep the key, the version, a content hash, and the times when a
/// row was first seen and last changed.
///
/// ```
/// use snowfeed::{ColumnType, StreamSpec};
///
/// let issues = StreamSpec::new("issues")
///     .column("id", "id", ColumnType::Integer)
///     .column("author", "user.login", ColumnType::Text)
///     .column("labels", "labels[*].name", ColumnType::Json);
/// assert_eq!(issues.columns.len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamSpec {
    /// Its name, `issues`: lower-case letters, digits and `_`.
    pub name: String,
    /// How it can be read.
    #[serde(default)]
    pub kind: StreamKind,
    /// What a complete list proves about records that it lacks.
    #[serde(default)]
    pub listing: Listing,
    /// Whether [`Reader::verify`](crate::Reader::verify) answers for its records.
    #[serde(default)]
    pub is_verifiable: bool,
    /// Whether it is read where the user selects no streams.
    pub is_default: bool,
    /// Whether it has one list for all resources; see [`source_wide`](Self::source_wide).
    #[serde(default)]
    pub is_source_wide: bool,
    /// The columns of the typed view, in order.
    pub columns: Vec<Column>,
    /// The columns that the engine infers from the records; see [`infer_columns`](Self::infer_columns).
    #[serde(default, skip_serializing_if = "Inference::is_empty")]
    pub inference: Inference,
    /// What decides which records a read returns; see [`definition`](Self::definition()).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// See [`takes_resource_name`](Self::takes_resource_name()).
    #[serde(skip)]
    pub(crate) takes_resource_name: Option<bool>,
}

/// Columns that every view has.
const GIVEN_COLUMNS: [&str; 3] = ["resource", "deleted_at", "raw"];

/// The column with the parent's key, which the view of a child stream has.
const PARENT_KEY: &str = "parent_key";

/// Names that destinations and, for the default streams, the command line reserve, beside those whose names begin with one of [`RESERVED_PREFIXES`].
const RESERVED_NAMES: [&str; 6] =
    ["app_configuration", "resource_configuration", "app_state", "ingestion_run", "rejected_record", "default"];

/// Prefixes of names that destinations reserve.
const RESERVED_PREFIXES: [&str; 2] = ["snowfeed_", "sqlite_"];

/// The warning about a stream whose definition has changed.
pub(crate) fn definition_changed(stream: &str) -> String {
    format!("the description of the stream {stream:?} has changed: it is read from the start")
}

impl StreamSpec {
    /// An [incremental](StreamKind::Incremental) stream without typed columns.
    ///
    /// # Panics
    /// Panics if the name is not made of lower-case letters, digits and `_`, or begins with a digit. A source's streams are
    /// part of its code, so this is a bug of the source.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(is_plain(&name), "{name:?} is not a stream name: use lower-case letters, digits and _");
        Self {
            name,
            kind: StreamKind::Incremental,
            listing: Listing::MayDrift,
            is_verifiable: false,
            is_default: true,
            is_source_wide: false,
            columns: Vec::new(),
            inference: Inference::default(),
            definition: None,
            takes_resource_name: None,
        }
    }

    /// A stream that every read lists whole; see [`StreamKind::Snapshot`].
    ///
    /// # Panics
    /// See [`new`](Self::new).
    pub fn snapshot(name: impl Into<String>) -> Self {
        Self { kind: StreamKind::Snapshot, ..Self::new(name) }
    }

    /// A stream of immutable records that is listed from the newest version down; see [`StreamKind::Append`]. `overlap` is how far
    /// below the newest known version to look again.
    ///
    /// # Panics
    /// See [`new`](Self::new).
    pub fn append(name: impl Into<String>, overlap: i64) -> Self {
        Self { kind: StreamKind::Append(Append { overlap }), ..Self::new(name) }
    }

    /// A stream that is listed for each record of the stream `parent`, when that record has changed; see [`StreamKind::Child`].
    ///
    /// # Panics
    /// See [`new`](Self::new).
    pub fn child(name: impl Into<String>, parent: impl Into<String>) -> Self {
        let parent = parent.into();
        let child = ChildOf { parent, revisit: Revisit::WhenChanged, fields: Vec::new(), lag: Duration::ZERO };
        Self { kind: StreamKind::Child(child), ..Self::new(name) }
    }

    /// A stream of the records of the stream `target` that are gone: [deletions](crate::Record::delete), from a checkpoint on. See
    /// [`StreamKind::DeletionsOf`].
    ///
    /// # Panics
    /// See [`new`](Self::new).
    pub fn deletions_of(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { kind: StreamKind::DeletionsOf(target.into()), ..Self::new(name) }
    }

    /// Lists the children of every live parent in every run.
    ///
    /// # Panics
    /// Panics if it is not a child stream: a bug of the source.
    #[must_use]
    pub fn every_run(mut self) -> Self {
        self.child_of_mut().revisit = Revisit::EveryRun;
        self
    }

    /// Declares a path in the parent's document whose value the reader needs.
    ///
    /// # Panics
    /// Panics if it is not a child stream, or if the path is malformed: a bug of the source.
    #[must_use]
    pub fn parent_field(mut self, path: &str) -> Self {
        let path = path.parse().unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"));
        self.child_of_mut().fields.push(path);
        self
    }

    /// Sets how long a parent's list may lag behind the parent.
    ///
    /// # Panics
    /// Panics if it is not a child stream: a bug of the source.
    #[must_use]
    pub fn lag(mut self, lag: Duration) -> Self {
        self.child_of_mut().lag = lag;
        self
    }

    fn child_of_mut(&mut self) -> &mut ChildOf {
        match &mut self.kind {
            StreamKind::Child(child) => child,
            _ => panic!("{:?} is not a child stream", self.name),
        }
    }

    /// The stream whose table has its records: itself, or the target of its [deletions](StreamKind::DeletionsOf).
    pub fn table(&self) -> &str {
        match &self.kind {
            StreamKind::DeletionsOf(target) => target,
            _ => &self.name,
        }
    }

    /// Whether it has a table of its own.
    pub(crate) fn has_table(&self) -> bool {
        self.table() == self.name
    }

    /// The stream that is read before it, and selected with it: the parent, or the target of its deletions.
    pub fn requires(&self) -> Option<&str> {
        match &self.kind {
            StreamKind::Child(child) => Some(&child.parent),
            StreamKind::DeletionsOf(target) => Some(target),
            StreamKind::Incremental | StreamKind::Snapshot | StreamKind::Append(_) => None,
        }
    }

    /// What it depends on, if it is a child stream.
    pub fn child_of(&self) -> Option<&ChildOf> {
        match &self.kind {
            StreamKind::Child(child) => Some(child),
            _ => None,
        }
    }

    /// Declares that a complete list holds every record that existed throughout the read; see [`Listing::Exact`].
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.listing = Listing::Exact;
        self
    }

    /// Declares that [`Reader::verify`](crate::Reader::verify) answers for its records.
    #[must_use]
    pub fn verifiable(mut self) -> Self {
        self.is_verifiable = true;
        self
    }

    /// Says what decides which records a read returns, such as a digest of the request. If it differs from that of the last read, the
    /// engine reads an [append](StreamKind::Append) or a [child](StreamKind::Child) stream from the start, with a warning. Of other streams,
    /// the source itself decides what its checkpoint is worth.
    #[must_use]
    pub fn definition(mut self, definition: impl Into<String>) -> Self {
        self.definition = Some(definition.into());
        self
    }

    /// Leaves it out unless the user selects it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_default = false;
        self
    }

    /// Declares that the source has one list of these records for all resources: users, or channels. It is read once, not once for each
    /// resource that selects it; its requests, states and runs have [`Resource::source_wide`](crate::Resource::source_wide) as their
    /// resource. Streams that [require](Self::requires) it are source-wide, too.
    ///
    /// ```
    /// use snowfeed::{SourceSpec, StreamSpec};
    ///
    /// let spec = SourceSpec::new("chat", "1")
    ///     .stream(StreamSpec::new("messages"))
    ///     .stream(StreamSpec::snapshot("users").source_wide())
    ///     .stream(StreamSpec::child("profiles", "users"));
    /// assert!(spec.streams[2].is_source_wide);
    /// ```
    #[must_use]
    pub fn source_wide(mut self) -> Self {
        self.is_source_wide = true;
        self
    }

    /// The resource that its records, states and runs belong to, if `resource` selects it.
    pub(crate) fn owner(&self, resource: &Resource) -> Resource {
        if self.is_source_wide { Resource::source_wide() } else { resource.clone() }
    }

    /// Adds a column: its name, its [path](JsonPath), its type.
    ///
    /// # Panics
    /// Panics if the name is invalid or taken, or the path is malformed: a bug of the source.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, path: &str, kind: ColumnType) -> Self {
        let name = name.into();
        self.assert_new_column(&name);
        let path = path.parse().unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"));
        self.columns.push(Column::new(name, path, kind));
        self
    }

    /// Lets the engine infer columns from the records: each member of a document becomes a column.
    ///
    /// The engine extends the view before it commits the first record with a new member. A column has the name of its member in snake case,
    /// and the narrowest type that shows all its values; if a later value does not fit, the type widens, at last to [`ColumnType::Any`].
    /// A destination never drops a column. Columns that are declared, by name or path, are not inferred. At most 300 columns are.
    ///
    /// ```
    /// use snowfeed::{ColumnType, StreamSpec};
    ///
    /// let tickets = StreamSpec::new("tickets")
    ///     .column("price", "price", ColumnType::Decimal)
    ///     .infer_column("author", "user.login")
    ///     .infer_columns();
    /// assert!(tickets.inference.members);
    /// ```
    #[must_use]
    pub fn infer_columns(mut self) -> Self {
        self.inference.members = true;
        self
    }

    /// Lets the engine [infer](Self::infer_columns) a column from each member of the object at a path, such as `properties`.
    ///
    /// # Panics
    /// Panics if the path is malformed, or has `[*]`: a bug of the source.
    #[must_use]
    pub fn infer_columns_below(mut self, path: &str) -> Self {
        let below: JsonPath = path.parse().unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"));
        assert!(!below.steps().contains(&Step::Each), "{path:?} is not the path of one object");
        self.inference.below.push(below);
        self
    }

    /// Adds a column whose type the engine [infers](Self::infer_columns). The view has it from the first record with a value on.
    ///
    /// # Panics
    /// See [`column`](Self::column).
    #[must_use]
    pub fn infer_column(mut self, name: impl Into<String>, path: &str) -> Self {
        let name = name.into();
        self.assert_new_column(&name);
        let path = path.parse().unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"));
        self.inference.columns.push(UntypedColumn::new(name, path));
        self
    }

    fn assert_new_column(&self, name: &str) {
        assert!(is_plain(name), "{name:?} is not a column name: use lower-case letters, digits and _");
        let is_taken = GIVEN_COLUMNS.contains(&name) || self.declared_columns().any(|(declared, _)| declared == name);
        assert!(!is_taken, "the column {name:?} exists already");
    }

    /// The names and paths of the columns that the source declares, with or without a type.
    pub(crate) fn declared_columns(&self) -> impl Iterator<Item = (&str, &JsonPath)> {
        let typed = self.columns.iter().filter(|column| column.inferred == Inferred::Nothing);
        let typed = typed.map(|column| (column.name.as_str(), &column.path));
        typed.chain(self.inference.columns.iter().map(|column| (column.name.as_str(), &column.path)))
    }

    /// Whether every view of this stream has a column of this name.
    fn is_given_column(&self, name: &str) -> bool {
        GIVEN_COLUMNS.contains(&name) || (name == PARENT_KEY && self.child_of().is_some())
    }

    /// Whether the view over a resource's rows of this stream has the name of the resource alone. `None` outside of a connector: then
    /// a stream that is passed alone takes it.
    #[cfg(any(feature = "snowflake", feature = "sqlite"))]
    pub(crate) fn takes_resource_name(&self) -> Option<bool> {
        self.takes_resource_name
    }

    /// Checks that every destination can store this stream.
    pub(crate) fn validate(&self) -> Result<()> {
        let name = &self.name;
        if !is_plain(name) {
            return Err(Error::internal(format!("the stream name {name:?} is not allowed"))
                .with_help(format!("in the source, name it with {PLAIN_NAME}")));
        }
        if RESERVED_NAMES.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(Error::internal(format!("the stream name {name:?} is reserved"))
                .with_help("in the source, give the stream another name"));
        }
        let mut names = BTreeSet::new();
        for (column, _) in self.declared_columns() {
            if !is_plain(column) {
                return Err(Error::internal(format!(
                    "the column name {column:?} of the stream {name:?} is not allowed"
                ))
                .with_help(format!("in the source, name it with {PLAIN_NAME}")));
            }
            if self.is_given_column(column) || !names.insert(column) {
                return Err(Error::internal(format!("the stream {name:?} has the column {column:?} twice")).with_help(
                    "in the source, declare each column once, and none of `resource`, `deleted_at`, `raw` and (in a child stream) `parent_key`, which the views have",
                ));
            }
        }
        Ok(())
    }
}
