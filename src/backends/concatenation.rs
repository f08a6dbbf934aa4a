//! Concatenation in SQL.

/// The number of parts joined by operators in a row: SQLite and the Snowflake emulator limit the depth of expressions to 1,000.
const ROW: usize = 100;

/// Joins at least one part into one expression. Each operator in a row adds a level of depth, so many parts become nested rows.
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
