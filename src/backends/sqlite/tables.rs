//! Tables and views: one raw table for each stream, a typed view over it, and a view for each resource.

#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::SqliteResult;
use super::sql;
use crate::sink::not_ensured;
use crate::stream::{Column, Reserved, view_name};
use crate::{Error, Resource, StreamSpec};

/// Names that are neither a stream's nor a resource's, in lower case.
const OWN: &[&str] = &["app_configuration", "resource_configuration", "app_state", "ingestion_run", "rejected_record"];

/// Whether a name is taken by SQLite or by this backend.
fn is_own(name: &str) -> bool {
    name.starts_with("sqlite_") || name.starts_with("snowfeed_") || OWN.contains(&name)
}

/// A resource's place in a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableIds {
    pub(super) resource_id: i64,
    pub(super) stream_id: i64,
}

/// Returns the ids of a resource and a table, which `ensure` must have created.
pub(super) fn table_ids(connection: &Connection, resource: &Resource, table: &str) -> SqliteResult<TableIds> {
    let ids = connection
        .prepare_cached(
            "SELECT r.id, s.id FROM snowfeed_resource r, snowfeed_stream s WHERE r.name = ?1 AND s.name = ?2 \
             AND EXISTS (SELECT 1 FROM snowfeed_view v WHERE v.resource_id = r.id AND v.stream_id = s.id)",
        )?
        .query_row(params![resource.name(), table], |row| {
            Ok(TableIds { resource_id: row.get(0)?, stream_id: row.get(1)? })
        })
        .optional()?;
    Ok(ids.ok_or_else(|| not_ensured(resource, table))?)
}

/// Rejects a resource for which `ensure` was not called.
pub(super) fn check_known(connection: &Connection, resource: &Resource) -> SqliteResult<()> {
    let known =
        connection.prepare_cached("SELECT 1 FROM snowfeed_resource WHERE name = ?1")?.exists([resource.name()])?;
    if known { Ok(()) } else { Err(not_ensured(resource, "").into()) }
}

/// The columns of a table's typed view.
pub(super) fn columns(connection: &Connection, stream_id: i64) -> SqliteResult<Vec<Column>> {
    let json: String =
        connection.query_row("SELECT columns FROM snowfeed_stream WHERE id = ?1", [stream_id], |row| row.get(0))?;
    Ok(serde_json::from_str(&json)?)
}

/// The names of all streams.
pub(super) fn streams(connection: &Connection) -> SqliteResult<Vec<String>> {
    let mut find = connection.prepare_cached("SELECT name FROM snowfeed_stream")?;
    Ok(find.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Makes tables and views where they are missing, and adds columns that are new.
pub(super) fn ensure(transaction: &Transaction<'_>, resource: &Resource, tables: &[StreamSpec]) -> SqliteResult<()> {
    if let Some(table) = tables.iter().find(|table| is_own(&table.name)) {
        return Err(Error::configuration(format!("the table name {:?} is taken by the database itself", table.name))
            .with_help("the source must give its table another name")
            .into());
    }
    let mut ensured = Vec::with_capacity(tables.len());
    for table in tables {
        ensured.push((ensure_stream(transaction, table)?, table));
    }
    transaction
        .prepare_cached(
            "INSERT INTO snowfeed_resource (name, has_stream_states) VALUES (?1, 1) ON CONFLICT DO NOTHING",
        )?
        .execute([resource.name()])?;
    let resource_id: i64 = transaction
        .prepare_cached("SELECT id FROM snowfeed_resource WHERE name = ?1")?
        .query_row([resource.name()], |row| row.get(0))?;
    let names = streams(transaction)?;
    let reserved = |name: &str| is_own(name) || names.iter().any(|stream| stream == name);
    for (stream_id, table) in ensured {
        let ids = TableIds { resource_id, stream_id };
        if has_view(transaction, ids)? {
            continue;
        }
        let takes_resource_name = table.takes_resource_name().unwrap_or(tables.len() == 1);
        for name in view_names(resource.name(), &table.name, takes_resource_name, &reserved) {
            if is_free(transaction, &name)? {
                create_resource_view(transaction, &name, resource, ids, &table.name)?;
                break;
            }
        }
    }
    Ok(())
}

/// Creates a table's raw table and typed view, or adds columns to the view. Returns the table's id.
fn ensure_stream(transaction: &Transaction<'_>, table: &StreamSpec) -> SqliteResult<i64> {
    let is_child = table.child_of().is_some();
    if let Some(child) = table.child_of() {
        index_parent(transaction, &child.parent)?;
    }
    let stored: Option<(i64, String, bool)> = transaction
        .prepare_cached("SELECT id, columns, is_child FROM snowfeed_stream WHERE name = ?1")?
        .query_row([&table.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let before: Vec<Column> = match &stored {
        Some((_, json, _)) => serde_json::from_str(json)?,
        None => Vec::new(),
    };
    // A column that this version of the source no longer knows stays, behind those that it does.
    let columns = table.merged_columns(&before);
    if let Some((id, _, was_child)) = &stored
        && columns == before
        && is_child == *was_child
    {
        return Ok(*id);
    }
    let json = serde_json::to_string(&columns)?;
    let raw = sql::raw_table(&table.name);
    let id = match stored {
        Some((id, ..)) => {
            transaction.execute(
                "UPDATE snowfeed_stream SET columns = ?2, is_child = ?3 WHERE id = ?1",
                params![id, json, is_child],
            )?;
            transaction.execute_batch(&format!("DROP VIEW {}", sql::identifier(&table.name)))?;
            id
        }
        None => {
            // A resource had this name before the stream came; its own view returns, renamed, when it is next ensured.
            drop_resource_view(transaction, &table.name)?;
            transaction.execute_batch(&format!(
                "CREATE TABLE {raw} (id INTEGER PRIMARY KEY, resource_id INTEGER NOT NULL REFERENCES snowfeed_resource (id), \
                 key TEXT NOT NULL, version INTEGER NOT NULL, hash BLOB, first_seen TEXT NOT NULL, \
                 changed_at TEXT NOT NULL, deleted_at TEXT, raw TEXT, repaired TEXT, parent TEXT NOT NULL DEFAULT '', \
                 seq INTEGER NOT NULL DEFAULT 0);
                 CREATE UNIQUE INDEX {index} ON {raw} (resource_id, parent, key);",
                index = sql::key_index(&table.name),
            ))?;
            transaction.execute(
                "INSERT INTO snowfeed_stream (name, columns, is_child) VALUES (?1, ?2, ?3)",
                params![table.name, json, is_child],
            )?;
            transaction.last_insert_rowid()
        }
    };
    create_view(transaction, &table.name, &columns, is_child)?;
    Ok(id)
}

/// Indexes the rows of a parent stream by sequence.
fn index_parent(transaction: &Transaction<'_>, parent: &str) -> SqliteResult<()> {
    let exists = transaction.prepare_cached("SELECT 1 FROM snowfeed_stream WHERE name = ?1")?.exists([parent])?;
    if exists {
        transaction.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {} ON {} (resource_id, seq, parent, key)",
            sql::sequence_index(parent),
            sql::raw_table(parent),
        ))?;
    }
    Ok(())
}

/// Makes a stream's typed view. That of a child stream has the key of the parent, too.
fn create_view(transaction: &Transaction<'_>, stream: &str, columns: &[Column], is_child: bool) -> SqliteResult<()> {
    transaction.execute_batch(&format!(
        "CREATE VIEW {view} AS SELECT r.name AS resource, {parent} {columns} t.deleted_at AS deleted_at, t.raw AS raw \
         FROM {raw} t JOIN snowfeed_resource r ON r.id = t.resource_id WHERE t.raw IS NOT NULL",
        view = sql::identifier(stream),
        parent = if is_child { "t.parent ->> '$[#-1]' AS parent_key," } else { "" },
        columns = select_list(columns),
        raw = sql::raw_table(stream),
    ))?;
    Ok(())
}

/// Makes the streams' views again. Those of resources are made from them, and stay.
pub(super) fn recreate_views(transaction: &Transaction<'_>) -> SqliteResult<()> {
    let mut find = transaction.prepare("SELECT name, columns, is_child FROM snowfeed_stream")?;
    let streams: Vec<(String, String, bool)> =
        find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    for (stream, columns, is_child) in streams {
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS {}", sql::identifier(&stream)))?;
        create_view(transaction, &stream, &serde_json::from_str::<Vec<Column>>(&columns)?, is_child)?;
    }
    Ok(())
}

/// The typed columns over the raw table `t`, each followed by a comma.
pub(super) fn select_list(columns: &[Column]) -> String {
    // A source should send valid JSON only. Where one does not, its document must not make the view unreadable.
    let document = "iif(json_valid(t.raw),ifnull(t.repaired,t.raw),'{}')";
    columns
        .iter()
        .map(|column| format!("{} AS {}, ", sql::column(column, document), sql::identifier(&column.name)))
        .collect()
}

/// The names that a resource's view of a stream may have, the preferred one first. `issues` of `a/events` and `events` of `a` may
/// prefer the same one; the last is no other view's.
fn view_names(resource: &str, stream: &str, takes_resource_name: bool, reserved: Reserved<'_>) -> Vec<String> {
    let mut names = vec![view_name(resource, stream, false, reserved)];
    if takes_resource_name {
        names.insert(0, view_name(resource, stream, true, reserved));
    }
    // In an escaped name, neither `/` nor a stream's name follows a `^`.
    names.push(format!("{}^/{stream}", view_name(resource, stream, true, &|_| false)));
    names
}

/// Whether a resource has a view of a stream. It keeps its name.
fn has_view(transaction: &Transaction<'_>, ids: TableIds) -> SqliteResult<bool> {
    let mut find =
        transaction.prepare_cached("SELECT 1 FROM snowfeed_view WHERE resource_id = ?1 AND stream_id = ?2")?;
    Ok(find.exists([ids.resource_id, ids.stream_id])?)
}

/// Whether no resource's view has this name.
fn is_free(transaction: &Transaction<'_>, name: &str) -> SqliteResult<bool> {
    Ok(!transaction.prepare_cached("SELECT 1 FROM snowfeed_view WHERE name = ?1")?.exists([name])?)
}

/// Creates a resource's view. It names no columns, so it grows with the stream's.
fn create_resource_view(
    transaction: &Transaction<'_>,
    name: &str,
    resource: &Resource,
    ids: TableIds,
    stream: &str,
) -> SqliteResult<()> {
    transaction.execute_batch(&format!(
        "CREATE VIEW {} AS SELECT * FROM {} WHERE resource = {}",
        sql::identifier(name),
        sql::identifier(stream),
        sql::literal(resource.name()),
    ))?;
    transaction
        .prepare_cached("INSERT INTO snowfeed_view (name, resource_id, stream_id) VALUES (?1, ?2, ?3)")?
        .execute(params![name, ids.resource_id, ids.stream_id])?;
    Ok(())
}

/// Drops a resource's view of this name, where there is one.
fn drop_resource_view(transaction: &Transaction<'_>, name: &str) -> SqliteResult<()> {
    if transaction.execute("DELETE FROM snowfeed_view WHERE name = ?1", [name])? > 0 {
        transaction.execute_batch(&format!("DROP VIEW {}", sql::identifier(name)))?;
    }
    Ok(())
}
