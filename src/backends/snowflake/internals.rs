//! Names and texts as SQL, for the fuzz targets.

use super::{columns, names};
use crate::table::{Column, Reserved};

/// A name.
pub fn identifier(name: &str) -> String {
    names::identifier(name)
}

/// The name that a person means by this.
pub fn normalize(given: &str) -> String {
    names::normalize(given)
}

/// A text.
pub fn literal(text: &str) -> String {
    names::literal(text)
}

/// The columns of a typed view.
pub fn select_list(columns: &[Column]) -> String {
    columns::select_list(columns)
}

/// The name of a resource's view and table.
pub fn resource_name(resource: &str, table: &str, sole: bool, reserved: Reserved<'_>) -> String {
    names::resource_name(resource, table, sole, reserved)
}

/// The name of the table through which a run loads into another one.
pub fn load_name(raw: &str, run: &str, number: usize) -> String {
    names::load_name(raw, run, number)
}

/// The run that such a table belongs to.
pub fn load_table_run(load_name: &str) -> Option<uuid::Uuid> {
    names::load_table_run(load_name)
}
