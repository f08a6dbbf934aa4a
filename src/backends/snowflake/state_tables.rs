//! The connector's own tables, in the version that this program writes.

use super::names::Names;
use crate::snowflake::{Sql, sql};

/// The schema version that this program writes.
pub(super) const VERSION: i64 = 2;

/// The statements that create the connector's own tables, in this version.
pub(crate) const STATE: &str = include_str!("state.sql");

/// The statements that create the connector's own tables, with qualified names.
pub(super) fn statements(names: &Names) -> Vec<Sql> {
    let text: String = STATE.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| with_names(statement, names)).collect()
}

/// The statement that creates one of the connector's own tables.
pub(super) fn statement(names: &Names, table: &str) -> Sql {
    let head = sql!("CREATE TABLE IF NOT EXISTS {table} ", table = names.state(table));
    statements(names).into_iter().find(|statement| statement.starts_with(&*head)).unwrap_or_default()
}

/// Qualifies each name in braces.
fn with_names(statement: &str, names: &Names) -> Sql {
    let mut parts = statement.split('{');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (table, after) = part.split_once('}').unwrap_or((part, ""));
        whole += &names.state(table);
        whole += after;
    }
    Sql::assert_safe(whole)
}
