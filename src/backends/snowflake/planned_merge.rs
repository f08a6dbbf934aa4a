//! Merges the planned rows of a commit, as one bound value.

use super::documents::StoredDocuments;
use super::plan::RowWrite;
use super::rows::NewestSequence;
use super::transaction::Fence;
use crate::Result;
use crate::snowflake::{Bind, Sql, Statement, sql};

/// The additional column if a row replaces one of a higher version.
const REPLACES: &str = "CASE WHEN f.value:f::BOOLEAN THEN 1 ELSE 0 END AS \"REPLACES\"";

/// The additional column if a row must have a certain sequence.
const SEEN: &str = "f.value:s::NUMBER(38, 0) AS \"SEEN\"";

/// The additional column if the texts of documents are not kept.
const IS_WHOLE: &str = "CASE WHEN f.value:p::VARCHAR IS NULL THEN 1 ELSE 0 END AS \"IS_WHOLE\"";

/// The rows of a bound value as columns; `f.value` is one row, and `b` holds the time and the number of the commit.
const ROWS: &str = "f.value:k::VARCHAR AS \"KEY\", COALESCE(f.value:q::VARCHAR, '') AS \"PARENT\", f.value:v::NUMBER(38, 0) AS \"VERSION\", f.value:o::VARCHAR AS \"ACT\", \
                    f.value:h::VARCHAR AS \"HASH\", f.value:d::VARCHAR AS \"DOCUMENT\", \
                    TRY_PARSE_JSON(CASE WHEN f.value:j::BOOLEAN THEN COALESCE(f.value:p::VARCHAR, f.value:d::VARCHAR) END, 'd') AS \"RAW\", b.\"AT\" AS \"AT\", b.\"SEQ\" AS \"SEQ\", \
                    CASE WHEN f.value:x::BOOLEAN THEN b.\"AT\" END AS \"DELETED_AT\"";

/// Returns the statement that merges planned rows into a raw table; `None` if there are none.
///
/// The MERGE checks the version of each row again: a commit without a fence may have come between. A row that replaces a higher
/// version is not checked, because the engine fences every such commit, or names the sequence that the row must have.
///
/// Rows that it changes get the number after `newest`. It changes none if the transaction no longer holds the fence: rows that became
/// visible on their own could share their number with another commit.
pub(super) fn merge(
    writes: &[RowWrite<'_>],
    table: &Sql,
    at: &str,
    newest: &NewestSequence<'_>,
    fence: Option<&Fence>,
    documents: StoredDocuments,
) -> Result<Option<Statement>> {
    if writes.is_empty() {
        return Ok(None);
    }
    let (replaces, is_conditional) =
        (writes.iter().any(RowWrite::replaces), writes.iter().any(RowWrite::is_conditional));
    let held = fence.map(|fence| sql!(" WHERE {held}", held = fence.is_held())).unwrap_or_default();
    let mut columns: Sql = ROWS.into();
    for (is_needed, column) in [(replaces, REPLACES), (is_conditional, SEEN), (!documents.keeps, IS_WHOLE)] {
        if is_needed {
            columns = sql!("{columns}, {column}", columns, column);
        }
    }
    let newer = match replaces {
        true => "(s.\"VERSION\" >= t.\"VERSION\" OR s.\"REPLACES\" = 1)",
        false => "s.\"VERSION\" >= t.\"VERSION\"",
    };
    let seen = match is_conditional {
        true => " AND (s.\"SEEN\" IS NULL OR COALESCE(t.\"SEQ\", 0) = s.\"SEEN\")",
        false => "",
    };
    let newer = sql!("WHEN MATCHED AND {newer}{seen} AND s.\"ACT\" =", newer, seen);
    let rows = sql!(
        "SELECT {columns} FROM (SELECT PARSE_JSON(?) AS \"ROWS\", CAST(? AS TIMESTAMP_NTZ) AS \"AT\", {newest} + 1 AS \"SEQ\") b, \
         LATERAL FLATTEN(input => b.\"ROWS\") f{held}",
        columns,
        held,
        newest = &newest.sql
    );
    let merge = Statement::new(sql!(
        "MERGE INTO {table} t USING ({rows}) s ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = s.\"PARENT\" \
         {newer} 'write' THEN UPDATE SET \"VERSION\" = s.\"VERSION\", \"HASH\" = s.\"HASH\", \"RAW\" = s.\"RAW\", \
         \"DOCUMENT\" = {document}, \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"DELETED_AT\", \"SEQ\" = s.\"SEQ\" \
         {newer} 'delete' THEN UPDATE SET \"VERSION\" = s.\"VERSION\", \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"AT\", \
         \"SEQ\" = s.\"SEQ\" \
         {newer} 'bump_version' THEN UPDATE SET \"VERSION\" = s.\"VERSION\" \
         WHEN NOT MATCHED THEN INSERT (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \"CHANGED_AT\", \
         \"DELETED_AT\", \"SEQ\", \"PARENT\") VALUES (s.\"KEY\", s.\"VERSION\", s.\"HASH\", s.\"RAW\", {document}, s.\"AT\", s.\"AT\", \
         s.\"DELETED_AT\", s.\"SEQ\", NULLIF(s.\"PARENT\", ''))",
        table,
        newer,
        rows = documents.source(rows),
        document = documents.column()
    ));
    Ok(Some(newest.bind(merge.bind(Bind::json(&writes)?).bind(at))))
}

/// Whether a MERGE that has changed this many rows has left out one that it should have changed, as far as it matters: of rows
/// without a condition, at least one is changed.
pub(super) fn lacks_rows(writes: &[RowWrite<'_>], changed: u64) -> bool {
    let rows = writes.len() as u64;
    changed < if writes.iter().any(RowWrite::is_conditional) { rows } else { rows.min(1) }
}
