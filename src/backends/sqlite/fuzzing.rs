//! Names and texts as SQL, for the fuzz targets.

use super::sql;
use crate::table::Column;

/// A name.
pub fn identifier(name: &str) -> String {
    sql::identifier(name)
}

/// A text.
pub fn literal(text: &str) -> String {
    sql::literal(text)
}

/// The value of a column of a typed view, over the document that this SQL gives.
pub fn column(column: &Column, document: &str) -> String {
    sql::column(column, document)
}
