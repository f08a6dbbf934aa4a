//! Tables: what a user finds in the destination.

mod name;
mod path;

use serde::{Deserialize, Serialize};

pub use name::{Reserved, view_name};
pub use path::{JsonPath, Step};

/// The type that a column of the typed view gives to what its path finds. A value of another type reads as null; the
/// raw document keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number of at most 64 bits.
    Integer,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// A point in time, from RFC 3339 text.
    Timestamp,
    /// A JSON document of its own: an object, or an array.
    Json,
    /// Whether the path leads to anything but null.
    Present,
}

/// One column of a table's typed view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// Where its value is in the raw document.
    pub path: JsonPath,
    /// What type it has.
    pub kind: ColumnType,
}

/// A table that a source fills: its name and the columns of its typed view.
///
/// A table *grows*: a later version of a source may add columns, and backends add them to the view. The raw documents
/// are kept whole, so a column added later has values for the rows of years ago. Columns are never dropped by themselves.
///
/// Every table has these columns without being asked: `resource` (in the view over all resources), `deleted_at` (null
/// for a live row) and `raw` (the document as it was sent). Backends keep besides, in their own tables, the key, the
/// version, a content hash, and when a row was first seen and last changed.
///
/// ```
/// use snowfeed::{ColumnType, TableSpec};
///
/// let issues = TableSpec::new("issues")
///     .column("id", "id", ColumnType::Integer)
///     .column("author", "user.login", ColumnType::Text)
///     .column("labels", "labels[*].name", ColumnType::Json);
/// assert_eq!(issues.columns.len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpec {
    /// The name of the stream, `issues`: lower-case letters, digits and `_`.
    pub name: String,
    /// The columns of the typed view, in order.
    pub columns: Vec<Column>,
}

impl TableSpec {
    /// A table without typed columns.
    ///
    /// # Panics
    /// When the name is not made of lower-case letters, digits and `_`, or begins with a digit: a source's tables are
    /// part of its program text, so this is a mistake of its author.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(name::is_plain(&name), "{name:?} is no table name: use lower-case letters, digits and _");
        Self { name, columns: Vec::new() }
    }

    /// Adds a column: its name, its [path](JsonPath), its type.
    ///
    /// # Panics
    /// When the name is not plain or is taken, or the path is malformed: a mistake of the source's author.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, path: &str, kind: ColumnType) -> Self {
        let name = name.into();
        assert!(name::is_plain(&name), "{name:?} is no column name: use lower-case letters, digits and _");
        assert!(
            !["resource", "deleted_at", "raw"].contains(&name.as_str()) && self.columns.iter().all(|c| c.name != name),
            "the column {name:?} exists already"
        );
        let path = path.parse().unwrap_or_else(|error| panic!("{path:?} is no path: {error}"));
        self.columns.push(Column { name, path, kind });
        self
    }
}
