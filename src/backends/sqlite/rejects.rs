//! `REJECTED_RECORD`: the items that could not become records.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::error::SqliteResult;
use super::sql::{parse_timestamp, timestamp_text};
use crate::record::content_hash;
use crate::sink::{Commit, OutstandingRejects, RejectQuery, StoredReject, StreamCommit};
use crate::{Reject, Resource, RunId, StateKey};

/// Stores the rejects of one table, and deletes those that the commit corrects. A reject that every run meets is stored once.
pub(super) fn store(transaction: &Transaction<'_>, commit: &Commit, part: &StreamCommit) -> SqliteResult<()> {
    let mut store = transaction.prepare_cached(
        "INSERT INTO REJECTED_RECORD (resource, stream, reason, raw, first_seen, last_seen, run, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) \
         ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen), run = max(run, excluded.run)",
    )?;
    let mut delete = transaction.prepare_cached(
        "DELETE FROM REJECTED_RECORD WHERE resource = ?1 AND stream = ?2 AND hash = ?3 AND reason = ?4",
    )?;
    for Reject { reason, raw } in &part.corrected {
        delete.execute(params![commit.resource.name(), part.stream, content_hash(raw), reason])?;
    }
    let (seen_by, at) = (part.rejects_seen_by().to_string(), timestamp_text(commit.at));
    for reject in &part.rejects {
        let raw: &str = &reject.raw;
        store.execute(params![
            commit.resource.name(),
            part.stream,
            reject.reason,
            raw,
            at,
            seen_by,
            content_hash(raw)
        ])?;
    }
    Ok(())
}

/// Deletes the rejects of a stream of a resource that the finished reconcile run did not meet again: they were corrected, or are gone.
pub(super) fn delete_unseen(
    transaction: &Transaction<'_>,
    resource: &Resource,
    stream: &str,
    run: RunId,
) -> SqliteResult<()> {
    let mut delete =
        transaction.prepare_cached("DELETE FROM REJECTED_RECORD WHERE resource = ?1 AND stream = ?2 AND run < ?3")?;
    delete.execute(params![resource.name(), stream, run.to_string()])?;
    Ok(())
}

/// Returns the outstanding rejects.
pub(super) fn outstanding(connection: &Connection, query: &RejectQuery) -> SqliteResult<OutstandingRejects> {
    let resource = query.resource.as_ref().map(Resource::name);
    let of = "(?1 IS NULL OR resource = ?1) AND (?2 IS NULL OR stream = ?2)";
    let mut count = connection.prepare_cached(&format!(
        "SELECT resource, stream, count(*) FROM REJECTED_RECORD WHERE {of} GROUP BY resource, stream"
    ))?;
    let counts = count.query_map(params![resource, query.stream], |row| {
        let key = StateKey { resource: row.get(0)?, stream: row.get(1)? };
        Ok((key, row.get::<_, i64>(2)?.unsigned_abs()))
    })?;
    let counts = counts.collect::<Result<BTreeMap<StateKey, u64>, _>>()?;
    let mut find = connection.prepare_cached(&format!(
        "SELECT resource, stream, reason, raw, first_seen, last_seen FROM REJECTED_RECORD WHERE {of} \
         AND (?4 IS NULL OR length(CAST(raw AS BLOB)) <= ?4) ORDER BY last_seen DESC, resource, stream, reason, hash LIMIT ?3"
    ))?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let max_raw = query.max_raw.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
    let mut rows = find.query(params![resource, query.stream, limit, max_raw])?;
    let mut rejects = Vec::new();
    while let Some(row) = rows.next()? {
        let time = |column| Ok::<_, super::error::SqliteError>(parse_timestamp(&row.get::<_, String>(column)?)?);
        rejects.push(StoredReject {
            resource: row.get(0)?,
            table: row.get(1)?,
            reason: row.get(2)?,
            raw: row.get::<_, String>(3)?.into(),
            first_seen: time(4)?,
            last_seen: time(5)?,
        });
    }
    Ok(OutstandingRejects { counts, rejects })
}
