//! Names and texts as SQL, for the fuzz targets.

use super::sql;
use crate::stream::Column;

/// A name.
pub fn identifier(name: &str) -> String {
    sql::identifier(name)
}

/// A text.
pub fn literal(text: &str) -> String {
    sql::literal(text)
}

/// Returns the value of a typed view's column over the document that this SQL returns.
pub fn column(column: &Column, document: &str) -> String {
    sql::column(column, document)
}
