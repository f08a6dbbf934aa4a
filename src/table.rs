//! Tables: what a user finds in the destination.

mod name;
mod path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub(crate) use name::{PLAIN_NAME, is_plain};
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

/// Columns that every table has.
const GIVEN_COLUMNS: [&str; 3] = ["resource", "deleted_at", "raw"];

/// Tables that destinations keep for themselves, beside those whose names begin with one of [`OWN_PREFIXES`].
const OWN_TABLES: [&str; 5] =
    ["app_configuration", "resource_configuration", "app_state", "ingestion_run", "rejected_record"];

/// What the names of tables begin with that a destination keeps for itself.
const OWN_PREFIXES: [&str; 2] = ["snowfeed_", "sqlite_"];

impl TableSpec {
    /// A table without typed columns.
    ///
    /// # Panics
    /// When the name is not made of lower-case letters, digits and `_`, or begins with a digit: a source's tables are
    /// part of its program text, so this is a mistake of its author.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(is_plain(&name), "{name:?} is no table name: use lower-case letters, digits and _");
        Self { name, columns: Vec::new() }
    }

    /// Adds a column: its name, its [path](JsonPath), its type.
    ///
    /// # Panics
    /// When the name is not plain or is taken, or the path is malformed: a mistake of the source's author.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, path: &str, kind: ColumnType) -> Self {
        let name = name.into();
        assert!(is_plain(&name), "{name:?} is no column name: use lower-case letters, digits and _");
        assert!(
            !GIVEN_COLUMNS.contains(&name.as_str()) && self.columns.iter().all(|c| c.name != name),
            "the column {name:?} exists already"
        );
        let path = path.parse().unwrap_or_else(|error| panic!("{path:?} is no path: {error}"));
        self.columns.push(Column { name, path, kind });
        self
    }

    /// Checks that every destination can hold this table.
    pub(crate) fn validate(&self) -> Result<()> {
        let Self { name, columns } = self;
        if !is_plain(name) {
            return Err(Error::internal(format!("the table name {name:?} is not allowed"))
                .with_help(format!("in the source, name it with {PLAIN_NAME}")));
        }
        if OWN_TABLES.contains(&name.as_str()) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(Error::internal(format!("the table name {name:?} is taken by the destination itself"))
                .with_help("in the source, give the table another name"));
        }
        for (index, column) in columns.iter().enumerate() {
            if !is_plain(&column.name) {
                return Err(Error::internal(format!(
                    "the column name {:?} of the table {name:?} is not allowed",
                    column.name
                ))
                .with_help(format!("in the source, name it with {PLAIN_NAME}")));
            }
            let is_given = GIVEN_COLUMNS.contains(&column.name.as_str());
            if is_given || columns[..index].iter().any(|other| other.name == column.name) {
                return Err(Error::internal(format!("the table {name:?} has the column {:?} twice", column.name)).with_help(
                    "in the source, declare each column once, and none of `resource`, `deleted_at` and `raw`, which every table has",
                ));
            }
        }
        Ok(())
    }
}
