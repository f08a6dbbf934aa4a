//! A text that is put together by SQL.

/// Parts in one row; SQLite, and what Snowflake is imitated by, take expressions that are up to 1,000 deep.
const ROW: usize = 100;

/// The parts, of which there is at least one, as one expression. A row of operators is as deep as it is long: many parts make
/// rows of rows.
pub(super) fn concatenation(mut parts: Vec<String>, operator: &str) -> String {
    let row = |parts: &[String]| match parts {
        [whole] => whole.clone(),
        parts => format!("({})", parts.join(operator)),
    };
    while parts.len() > ROW {
        parts = parts.chunks(ROW).map(row).collect();
    }
    row(&parts)
}
