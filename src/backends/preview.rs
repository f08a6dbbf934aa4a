//! The preview of rows.

use serde_json::Value;

/// The newest rows of a resource's typed view.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The names of the columns: the typed ones, then `deleted_at` and `raw`.
    pub columns: Vec<String>,
    /// The values of each row; the row that changed last is the first. Documents are JSON values, except
    /// `raw`, which is the text as the source sent it.
    pub rows: Vec<Vec<Value>>,
}
