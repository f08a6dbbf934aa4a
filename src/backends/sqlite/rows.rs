//! Finds rows by the commits that changed them, by path, and by parent.

use std::collections::BTreeMap;

use bytestring::ByteString;
use rusqlite::{Connection, Row, ToSql, params};

use super::error::SqliteResult;
use super::sql::{parse_timestamp, raw_table};
use super::tables::table_ids;
use crate::sink::{RowQuery, RowSelection, SelectedRow};
use crate::{JsonPath, Position, Resource, RowPath, Sequence, Version};

/// Returns the selected rows.
pub(super) fn select(connection: &Connection, query: &RowQuery) -> SqliteResult<Vec<SelectedRow>> {
    let resource_id = table_ids(connection, &query.resource, &query.stream)?.resource_id;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    match &query.selection {
        RowSelection::Changed { from, after, until } => {
            let (from, until) = (signed(*from), signed(*until));
            // No row has the sequence -1.
            let (at, parent, key) = after.as_ref().map_or((-1, String::new(), ""), |after| {
                (from, after.parent().to_text(), after.key().unwrap_or_default())
            });
            find(
                connection,
                query,
                "seq BETWEEN ?2 AND ?3 AND (seq <> ?4 OR (parent, key) > (?5, ?6)) ORDER BY seq, parent, key LIMIT ?7",
                params![resource_id, from, until, at, parent, key, limit],
            )
        }
        RowSelection::Paths(paths) => {
            let mut rows = Vec::with_capacity(paths.len());
            for path in paths.iter().take(query.limit) {
                let place = params![resource_id, path.parent().to_text(), path.key()];
                rows.extend(find(connection, query, "parent = ?2 AND key = ?3", place)?);
            }
            Ok(rows)
        }
        RowSelection::Children { parents, after } => {
            let begun = after.as_ref().map(RowPath::parent);
            let parents = parents.iter().skip_while(|parent| begun.as_ref().is_some_and(|begun| begun != *parent));
            let mut rows = Vec::new();
            for parent in parents {
                let last = after.as_ref().filter(|_| begun.as_ref() == Some(parent)).and_then(RowPath::key);
                let (from, last) = last.map_or((">=", ""), |last| (">", last));
                let condition = format!("parent = ?2 AND key {from} ?3 AND deleted_at IS NULL ORDER BY key LIMIT ?4");
                let missing = i64::try_from(query.limit - rows.len()).unwrap_or(i64::MAX);
                let below = params![resource_id, parent.to_text(), last, missing];
                rows.extend(find(connection, query, &condition, below)?);
                if rows.len() >= query.limit {
                    break;
                }
            }
            Ok(rows)
        }
    }
}

fn signed(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

/// Returns the rows of the resource `?1` that meet a condition.
fn find(
    connection: &Connection,
    query: &RowQuery,
    condition: &str,
    params: &[&dyn ToSql],
) -> SqliteResult<Vec<SelectedRow>> {
    let document = if query.documents || !query.fields.is_empty() { "raw" } else { "NULL" };
    let mut find = connection.prepare_cached(&format!(
        "SELECT seq, parent, key, version, changed_at, deleted_at IS NOT NULL, {document} FROM {} \
         WHERE resource_id = ?1 AND {condition}",
        raw_table(&query.stream)
    ))?;
    let mut found = find.query(params)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(read(row, query)?);
    }
    Ok(rows)
}

fn read(row: &Row<'_>, query: &RowQuery) -> SqliteResult<SelectedRow> {
    let (parent, key): (String, String) = (row.get(1)?, row.get(2)?);
    let path = RowPath::from_text(&parent)?.child(&key);
    let sequence = Sequence(row.get::<_, i64>(0)?.unsigned_abs());
    let json: Option<String> = row.get(6)?;
    let changed_at = parse_timestamp(&row.get::<_, String>(4)?)?;
    Ok(SelectedRow {
        is_deleted: row.get(5)?,
        fields: JsonPath::find_all(&query.fields, json.as_deref().unwrap_or_default()),
        json: json.filter(|_| query.documents).map(ByteString::from),
        ..SelectedRow::new(Position::new(sequence, path), Version(row.get(3)?), changed_at)
    })
}

/// The newest sequence of each stream of a resource.
pub(super) fn sequences(connection: &Connection, resource: &Resource) -> SqliteResult<BTreeMap<String, Sequence>> {
    let mut find = connection.prepare_cached(
        "SELECT s.name, q.seq FROM snowfeed_sequence q JOIN snowfeed_resource r ON r.id = q.resource_id \
         JOIN snowfeed_stream s ON s.id = q.stream_id WHERE r.name = ?1",
    )?;
    let found =
        find.query_map([resource.name()], |row| Ok((row.get(0)?, Sequence(row.get::<_, i64>(1)?.unsigned_abs()))))?;
    Ok(found.collect::<Result<_, _>>()?)
}
