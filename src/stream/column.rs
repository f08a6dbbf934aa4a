//! The columns of typed views, and their types.

use serde::{Deserialize, Serialize};

use super::JsonPath;

/// The type of a column of a typed view. A value of another type reads as null; the raw document keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number of at most 64 bits; in Snowflake, of at most 38 digits.
    Integer,
    /// A number, exact to 18 digits after the point. In Snowflake it has at most 20 digits before the point; in SQLite it is the text of the
    /// number as it was sent.
    Decimal,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// A point in time, from RFC 3339 text.
    Timestamp,
    /// A day of the calendar, from text such as `2026-01-31`.
    Date,
    /// A JSON document of its own: an object, or an array.
    Json,
    /// Any value, as text: a text as it is, everything else as JSON. It is the type of an [inferred](crate::StreamSpec::infer_columns) column
    /// whose values have several types.
    Any,
    /// Whether the path finds a value that is not null.
    Present,
}

/// One column of a stream's typed view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// The path of its value in the raw document.
    pub path: JsonPath,
    /// Its type.
    pub kind: ColumnType,
    /// What of it was inferred from records.
    #[serde(default, skip_serializing_if = "Inferred::is_nothing")]
    pub inferred: Inferred,
}

impl Column {
    /// A column. [`StreamSpec::column`](crate::StreamSpec::column) checks its name.
    pub fn new(name: impl Into<String>, path: JsonPath, kind: ColumnType) -> Self {
        Self { name: name.into(), path, kind, inferred: Inferred::Nothing }
    }
}

/// What of a column was inferred from records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Inferred {
    /// Nothing: the source declares the column.
    #[default]
    Nothing,
    /// The type. The source declares the rest.
    Type,
    /// The name, the path and the type.
    All,
}

impl Inferred {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl ColumnType {
    /// The narrowest type that shows every value that a column of either type shows.
    ///
    /// The types form a lattice, so that the result of several values does not depend on their order.
    pub(crate) fn widened(self, other: Self) -> Self {
        use ColumnType::{Any, Date, Decimal, Float, Integer, Text, Timestamp};
        match (self, other) {
            (same, other) if same == other => same,
            (Integer, Decimal) | (Decimal, Integer) => Decimal,
            (Integer | Decimal, Float) | (Float, Integer | Decimal) => Float,
            (Text | Timestamp | Date, Text | Timestamp | Date) => Text,
            _ => Any,
        }
    }
}
