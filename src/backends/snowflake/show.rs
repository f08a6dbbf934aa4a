//! The answers of SHOW, whose columns are known by name.

use crate::snowflake::{QueryResult, Row};
use crate::{Error, Result};

/// The text in a column of a SHOW; empty for null.
pub(super) fn cell<'a>(shown: &QueryResult, row: &'a Row, column: &str) -> Result<&'a str> {
    let index =
        shown.columns.iter().position(|name| name.eq_ignore_ascii_case(column)).ok_or_else(|| {
            Error::invalid_data("the result of a SHOW lacks a column").with_context("missing", column)
        })?;
    Ok(row.get(index)?.map(|text| &**text).unwrap_or_default())
}

/// Finds the row with a text in a column.
pub(super) fn find_row<'a>(shown: &'a QueryResult, column: &str, text: &str) -> Result<Option<&'a Row>> {
    for row in &shown.rows {
        if cell(shown, row, column)? == text {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
