//! Commits: rows, marks, rejects and state in one transaction.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::error::SqliteResult;
use super::readable::readable;
use super::sql::{raw_table, timestamp_text};
use super::tables::{TableIds, check_known, table_ids};
use super::{rejects, state};
use crate::sink::merge::{Merge, MergeAction, StoredVersion};
use crate::sink::{
    Commit, CommitReport, LiveRows, StalePolicy, StoredRecord, StreamCommit, StreamReport, Sweep, UnseenQuery,
};
use crate::{Counts, Position, RowPath, RunId, Sequence, Version};

/// Applies a commit.
pub(super) fn commit(transaction: &Transaction<'_>, commit: &Commit) -> SqliteResult<CommitReport> {
    check_known(transaction, &commit.resource)?;
    let at = timestamp_text(commit.at);
    let mut report = CommitReport::new();
    for part in &commit.parts {
        report = report.stream(&part.stream, commit_part(transaction, commit, part, &at)?);
    }
    Ok(report)
}

fn commit_part(
    transaction: &Transaction<'_>,
    commit: &Commit,
    part: &StreamCommit,
    at: &str,
) -> SqliteResult<StreamReport> {
    let marks = match part.sweep {
        Some(Sweep::Mark(run, older)) => Some(SweepMarks { sweep: begin_sweep(transaction, run)?, older }),
        _ => None,
    };
    let mut counts = Counts::default();
    let ids = table_ids(transaction, &commit.resource, &part.stream)?;
    let next = sequence(transaction, ids)? + 1;
    merge_rows(transaction, part, ids, next, at, marks, &mut counts)?;
    delete_gone(transaction, part, ids, next, at, &mut counts)?;
    if counts.changed() {
        transaction
            .prepare_cached(
                "INSERT INTO snowfeed_sequence (resource_id, stream_id, seq) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET seq = excluded.seq",
            )?
            .execute([ids.resource_id, ids.stream_id, next])?;
    }
    rejects::store(transaction, commit, part)?;
    let rejected = part.rejects.len() as u64;
    counts.offered += rejected;
    counts.rejected += rejected;
    match part.sweep {
        Some(Sweep::Finish(run)) => {
            delete_marks(transaction, run, part, ids)?;
            rejects::delete_unseen(transaction, &commit.resource, &part.stream, run)?;
        }
        Some(Sweep::Abandon(run)) => delete_marks(transaction, run, part, ids)?,
        Some(Sweep::Mark(..) | Sweep::Fence) | None => {}
    }
    let version = part.counted_change(&counts).map(|change| state::append(transaction, &change)).transpose()?;
    Ok(StreamReport::new(counts, version))
}

/// The number of the last commit that changed a row of the stream; 0 if there was none.
fn sequence(connection: &Connection, ids: TableIds) -> SqliteResult<i64> {
    let mut find =
        connection.prepare_cached("SELECT seq FROM snowfeed_sequence WHERE resource_id = ?1 AND stream_id = ?2")?;
    Ok(find.query_row([ids.resource_id, ids.stream_id], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Marks deleted the rows that another stream's run found to be gone, unless they have changed since.
fn delete_gone(
    transaction: &Transaction<'_>,
    part: &StreamCommit,
    ids: TableIds,
    next: i64,
    at: &str,
    counts: &mut Counts,
) -> SqliteResult<()> {
    let mut delete = transaction.prepare_cached(&format!(
        "UPDATE {} SET changed_at = ?5, deleted_at = ?5, seq = ?6 \
         WHERE resource_id = ?1 AND parent = ?2 AND key = ?3 AND seq = ?4 AND deleted_at IS NULL",
        raw_table(&part.stream)
    ))?;
    for Position { sequence, path } in &part.gone {
        let (parent, key, seen) = (path.parent().to_text(), path.key(), sequence.0.cast_signed());
        let deleted = delete.execute(params![ids.resource_id, parent, key, seen, at, next])? as u64;
        counts.offered += deleted;
        counts.deleted += deleted;
    }
    Ok(())
}

/// The reconcile run that a commit marks keys for.
#[derive(Debug, Clone, Copy)]
struct SweepMarks {
    sweep: i64,
    older: StalePolicy,
}

/// Merges the records of one table.
fn merge_rows(
    transaction: &Transaction<'_>,
    part: &StreamCommit,
    ids: TableIds,
    next: i64,
    at: &str,
    marks: Option<SweepMarks>,
    counts: &mut Counts,
) -> SqliteResult<()> {
    let raw = raw_table(&part.stream);
    let prepare = |sql: String| transaction.prepare_cached(&sql);
    let mut find = prepare(format!(
        "SELECT id, version, hash, deleted_at IS NOT NULL, seq FROM {raw} WHERE resource_id = ?1 AND parent = ?2 AND key = ?3"
    ))?;
    let mut insert = prepare(format!(
        "INSERT INTO {raw} (resource_id, key, version, hash, first_seen, changed_at, deleted_at, raw, repaired, parent, seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?;
    let mut update = prepare(format!(
        "UPDATE {raw} SET version = ?2, hash = ?3, changed_at = ?4, deleted_at = NULL, raw = ?5, repaired = ?6, seq = ?7 \
         WHERE id = ?1"
    ))?;
    let mut delete =
        prepare(format!("UPDATE {raw} SET version = ?2, changed_at = ?3, deleted_at = ?3, seq = ?4 WHERE id = ?1"))?;
    let mut bump_version = prepare(format!("UPDATE {raw} SET version = ?2 WHERE id = ?1"))?;
    let mut see = transaction.prepare_cached(
        "INSERT INTO snowfeed_seen (sweep_id, stream_id, row_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    let mut seen = transaction
        .prepare_cached("SELECT 1 FROM snowfeed_seen WHERE sweep_id = ?1 AND stream_id = ?2 AND row_id = ?3")?;
    let older = marks.map_or(StalePolicy::Skip, |marks| marks.older);

    // Records of one parent follow one another.
    let (mut parent, mut parent_text) = (RowPath::ROOT, String::new());
    for record in &part.records {
        let (key, version) = (&record.key, record.version);
        if *record.parent() != parent {
            parent = record.parent().clone();
            parent_text = parent.to_text();
        }
        let json: Option<&str> = record.json().map(|json| &**json);
        let present = find.query_row(params![ids.resource_id, parent_text, key], read_present).optional()?;
        let (row_id, present) = present.map_or((0, None), |(id, present)| (id, Some(present)));
        let is_older = present.is_some_and(|present| version < present.version);
        let is_marked = match marks {
            Some(SweepMarks { sweep, .. }) if is_older => seen.exists([sweep, ids.stream_id, row_id])?,
            _ => false,
        };
        let merge = Merge::new(present, record, older, is_marked);
        let (Version(merged), hash) = (merge.version, merge.hash);
        match merge.action {
            MergeAction::Insert | MergeAction::InsertDeleted => {
                let deleted_at = json.is_none().then_some(at);
                let repaired = json.and_then(readable);
                insert.execute(params![
                    ids.resource_id,
                    key,
                    merged,
                    hash,
                    at,
                    deleted_at,
                    json,
                    repaired,
                    parent_text,
                    next
                ])?;
            }
            MergeAction::Update => {
                let repaired = json.and_then(readable);
                update.execute(params![row_id, merged, hash, at, json, repaired, next])?;
            }
            MergeAction::Delete => drop(delete.execute(params![row_id, merged, at, next])?),
            MergeAction::BumpVersion => drop(bump_version.execute(params![row_id, merged])?),
            MergeAction::Unchanged | MergeAction::Skip => {}
        }
        merge.count(counts);
        if let Some(SweepMarks { sweep, .. }) = marks.filter(|_| merge.marks) {
            let row_id = if present.is_none() { transaction.last_insert_rowid() } else { row_id };
            see.execute([sweep, ids.stream_id, row_id])?;
        }
    }
    Ok(())
}

fn read_present(row: &Row<'_>) -> rusqlite::Result<(i64, StoredVersion)> {
    let hash = match row.get_ref(2)? {
        ValueRef::Blob(hash) => hash.try_into().ok(),
        _ => None,
    };
    let sequence = Sequence(row.get::<_, i64>(4)?.cast_unsigned());
    Ok((row.get(0)?, StoredVersion::new(Version(row.get(1)?), hash, row.get(3)?).sequence(sequence)))
}

/// The id of a reconcile run in the marks; assigns one if necessary.
fn begin_sweep(transaction: &Transaction<'_>, run: RunId) -> SqliteResult<i64> {
    if let Some(id) = sweep_id(transaction, run)? {
        return Ok(id);
    }
    transaction.prepare_cached("INSERT INTO snowfeed_sweep (run) VALUES (?1)")?.execute([run.to_string()])?;
    Ok(transaction.last_insert_rowid())
}

/// Deletes the marks of a reconcile run of a stream.
fn delete_marks(transaction: &Transaction<'_>, run: RunId, part: &StreamCommit, ids: TableIds) -> SqliteResult<()> {
    let Some(sweep) = sweep_id(transaction, run)? else { return Ok(()) };
    let TableIds { resource_id, stream_id } = ids;
    // Those of another resource stay, if it has used the same id.
    let raw = raw_table(&part.stream);
    transaction.execute(
        &format!(
            "DELETE FROM snowfeed_seen WHERE sweep_id = ?1 AND stream_id = ?2 AND NOT EXISTS \
             (SELECT 1 FROM {raw} t WHERE t.id = row_id AND t.resource_id <> ?3)"
        ),
        [sweep, stream_id, resource_id],
    )?;
    let is_used = "SELECT 1 FROM snowfeed_seen WHERE sweep_id = ?1";
    transaction.execute(&format!("DELETE FROM snowfeed_sweep WHERE id = ?1 AND NOT EXISTS ({is_used})"), [sweep])?;
    Ok(())
}

fn sweep_id(connection: &Connection, run: RunId) -> SqliteResult<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT id FROM snowfeed_sweep WHERE run = ?1")?;
    Ok(find.query_row([run.to_string()], |row| row.get(0)).optional()?)
}

/// The number of live rows of a table, and of those that a reconcile run has not marked.
pub(super) fn live_rows(connection: &Connection, query: &UnseenQuery) -> SqliteResult<LiveRows> {
    let ids = table_ids(connection, &query.resource, &query.table)?;
    let sweep = sweep_id(connection, query.sweep)?.unwrap_or(0);
    let mut count = connection.prepare_cached(&format!(
        "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS \
         (SELECT 1 FROM snowfeed_seen s WHERE s.sweep_id = ?2 AND s.stream_id = ?3 AND s.row_id = t.id)) \
         FROM {} t WHERE resource_id = ?1 AND deleted_at IS NULL",
        raw_table(&query.table)
    ))?;
    let counted = count.query_row([ids.resource_id, sweep, ids.stream_id], |row| {
        Ok([row.get::<_, i64>(0)?, row.get::<_, i64>(1)?].map(i64::unsigned_abs))
    })?;
    let [live, unseen] = counted;
    Ok(LiveRows { live, unseen })
}

/// The live records that a reconcile run has not marked.
pub(super) fn unseen(connection: &Connection, query: &UnseenQuery) -> SqliteResult<Vec<StoredRecord>> {
    let ids = table_ids(connection, &query.resource, &query.table)?;
    // No row has the id 0: a reconcile run without marks has seen nothing.
    let sweep = sweep_id(connection, query.sweep)?.unwrap_or(0);
    let (from, after) = query.after.as_deref().map_or((">=", ""), |after| (">", after));
    let mut find = connection.prepare_cached(&format!(
        "SELECT key, version, raw FROM {} t WHERE resource_id = ?1 AND parent = '' AND key {from} ?2 AND deleted_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM snowfeed_seen s WHERE s.sweep_id = ?3 AND s.stream_id = ?4 AND s.row_id = t.id) \
         ORDER BY key LIMIT ?5",
        raw_table(&query.table)
    ))?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let records = find.query_map(params![ids.resource_id, after, sweep, ids.stream_id, limit], |row| {
        let json: String = row.get(2)?;
        Ok(StoredRecord::new(row.get::<_, String>(0)?, row.get::<_, i64>(1)?, json))
    })?;
    Ok(records.collect::<Result<_, _>>()?)
}
