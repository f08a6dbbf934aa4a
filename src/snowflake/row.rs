//! The result of a statement, and its rows.

use bytestring::ByteString;

use crate::{Error, Result};

/// The result of a statement: a table of texts as Snowflake writes them, such as `true` or `1` and `-1.50`. A timestamp that was
/// not cast to text is written as seconds since 1970 with a fraction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryResult {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The query id.
    pub query_id: String,
}

impl QueryResult {
    /// Returns how many rows a DML statement changed: the sum of the numbers in its only row.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) when the result is not a count.
    pub fn rows_affected(&self) -> Result<u64> {
        let [row] = self.rows.as_slice() else {
            return Err(Error::invalid_data("Snowflake did not return how many rows a statement changed"));
        };
        (0..row.0.len()).try_fold(0_u64, |sum, column| {
            let count = u64::try_from(row.integer(column)?).ok();
            count
                .and_then(|count| sum.checked_add(count))
                .ok_or_else(|| Error::invalid_data("Snowflake returned an impossible number of changed rows"))
        })
    }
}

/// One row of a [`QueryResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Option<ByteString>>);

impl Row {
    /// Returns the text of a column; `None` for null.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) when there is no such column.
    pub fn get(&self, column: usize) -> Result<Option<&ByteString>> {
        let cell = self.0.get(column).ok_or_else(|| {
            Error::invalid_data("a column is missing in a result of Snowflake").with_context("column", column)
        })?;
        Ok(cell.as_ref())
    }

    /// Returns the text of a column that is never null.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) when it is null, or there is no such column.
    pub fn text(&self, column: usize) -> Result<&ByteString> {
        self.get(column)?.ok_or_else(|| {
            Error::invalid_data("Snowflake returned null where a value was expected").with_context("column", column)
        })
    }

    /// Returns the integer in a column that is never null.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) when it has another form.
    pub fn integer(&self, column: usize) -> Result<i64> {
        let text = self.text(column)?;
        text.parse().map_err(|error| {
            Error::invalid_data(format!("Snowflake returned {text:?} where an integer was expected")).with_source(error)
        })
    }

    /// Returns the boolean in a column that is never null: `true` or `1`, `false` or `0`, in either case.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) when it has another form.
    pub fn boolean(&self, column: usize) -> Result<bool> {
        match self.text(column)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            text => Err(Error::invalid_data(format!("Snowflake returned {text:?} where a boolean was expected"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflowing_counts_are_rejected() {
        let answer = |cells: &[&str]| QueryResult {
            rows: vec![Row(cells.iter().map(|cell| Some((*cell).into())).collect())],
            ..QueryResult::default()
        };
        assert_eq!(answer(&["3", "4"]).rows_affected().unwrap(), 7);
        assert_eq!(answer(&["9223372036854775807", "1"]).rows_affected().unwrap(), 1 << 63);
        for cells in [["-1", "0"], ["5", "-9223372036854775808"]] {
            assert_eq!(answer(&cells).rows_affected().unwrap_err().kind(), crate::ErrorKind::InvalidData, "{cells:?}");
        }
    }
}
