//! `APP_STATE` and `INGESTION_RUN`.

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction, params};

use super::Sqlite;
use super::error::SqliteResult;
use super::sql::{parse_timestamp, timestamp_text};
use crate::sink::conflict;
use crate::state::{RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion, StreamStatus};
use crate::{Error, Result, RunStatus};

/// Stores a change, or refuses it when another run has moved on.
pub(super) fn append(transaction: &Transaction<'_>, change: &StateChange) -> SqliteResult<StateVersion> {
    let mut version = change.base;
    if let Some(state) = &change.state {
        let newest = entries(transaction, &change.key, 1)?.pop();
        let found = newest.as_ref().map_or(StateVersion::NONE, |entry| entry.version);
        if found != change.base {
            return Err(conflict(&change.key, change.base, found).into());
        }
        version = StateVersion(found.0 + 1);
        let at = newest.map_or(change.at, |entry| entry.at.max(change.at));
        transaction
            .prepare_cached(
                "INSERT INTO APP_STATE (timestamp, key, stream, value, version) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                timestamp_text(at),
                change.key.resource,
                change.key.stream,
                serde_json::to_string(state)?,
                number(version.0)
            ])?;
        end_superseded(transaction, change)?;
    }
    if let Some(run) = &change.run {
        record(transaction, run)?;
    }
    Ok(version)
}

/// Ends the other runs of a key: they can commit no more, whether they are still alive or died.
fn end_superseded(transaction: &Transaction<'_>, change: &StateChange) -> SqliteResult<()> {
    let id = change.run.as_ref().map(|run| run.id.to_string()).unwrap_or_default();
    let (running, interrupted) = (RunStatus::Running.as_str(), RunStatus::Interrupted.as_str());
    transaction
        .prepare_cached(
            "UPDATE INGESTION_RUN SET status = ?3, record = json_set(record, '$.status', ?3) \
             WHERE resource = ?1 AND stream = ?5 AND id <> ?2 AND status = ?4",
        )?
        .execute(params![change.key.resource, id, interrupted, running, change.key.stream])?;
    Ok(())
}

/// Stores a run's record in place of the one of the same run.
fn record(transaction: &Transaction<'_>, run: &RunRecord) -> SqliteResult<()> {
    let (counts, traffic) = (&run.counts, &run.traffic);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO INGESTION_RUN (id, resource, mode, status, started_at, ended_at, offered, inserted, \
             updated, unchanged, deleted, skipped, rejected, commits, requests, bytes, waited_ms, total_ms, error, record, \
             stream) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            run.id.to_string(),
            run.resource,
            json_name(&run.mode)?,
            json_name(&run.status)?,
            timestamp_text(run.started_at),
            run.ended_at.map(timestamp_text),
            number(counts.offered),
            number(counts.inserted),
            number(counts.updated),
            number(counts.unchanged),
            number(counts.deleted),
            number(counts.skipped_total()),
            number(counts.rejected),
            number(run.commits),
            number(traffic.requests),
            number(traffic.bytes),
            number(traffic.waited_ms),
            number(run.timings.total_ms),
            run.error.as_ref().map(|error| error.message.as_str()),
            serde_json::to_string(run)?,
            run.stream,
        ])?;
    Ok(())
}

/// Returns the name of a mode or a status in JSON.
fn json_name(value: &impl serde::Serialize) -> SqliteResult<String> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(json_name) => Ok(json_name),
        other => Err(Error::internal(format!("{other} is not a string")).into()),
    }
}

/// SQLite's integers are signed.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The newest entries of a key.
fn entries(connection: &Connection, key: &StateKey, limit: usize) -> SqliteResult<Vec<StateEntry>> {
    let mut find = connection.prepare_cached(
        "SELECT version, timestamp, value FROM APP_STATE WHERE key = ?1 AND stream = ?2 ORDER BY version DESC LIMIT ?3",
    )?;
    let mut rows = find.query(params![key.resource, key.stream, limited(limit)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> SqliteResult<StateEntry> {
    let version: i64 = row.get(0)?;
    let at = parse_timestamp(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    let state = serde_json::from_str(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
    Ok(StateEntry { version: StateVersion(u64::try_from(version).unwrap_or(0)), at, state })
}

/// The selected runs, the newest first.
fn newest_runs(connection: &Connection, query: &RunQuery) -> SqliteResult<Vec<RunRecord>> {
    let resource = if query.resource.is_some() { "resource = ?1" } else { "?1 IS NULL" };
    let stream = if query.stream.is_some() { "stream = ?2" } else { "?2 IS NULL" };
    let mut find = connection.prepare_cached(&format!(
        "SELECT record FROM INGESTION_RUN WHERE {resource} AND {stream} ORDER BY started_at DESC, id DESC LIMIT ?3"
    ))?;
    let mut rows = find.query(params![query.resource, query.stream, limited(query.limit)])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(runs)
}

#[async_trait]
impl StateStore for Sqlite {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.write(move |transaction| append(transaction, &change)).await
    }

    /// In one transaction.
    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.write(move |transaction| runs.iter().try_for_each(|run| record(transaction, run))).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        let key = key.clone();
        self.run(move |connection| Ok(entries(connection, &key, 1)?.pop())).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let key = key.clone();
        self.run(move |connection| entries(connection, &key, limit)).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.run(move |connection| newest_runs(connection, &query)).await
    }

    /// In one go: each call for itself would be a wait for the connection and a hop to another thread.
    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let keys = keys.to_vec();
        self.run(move |connection| {
            let status = |key: &StateKey| {
                let entry = entries(connection, key, 1)?.pop();
                Ok(StreamStatus { entry, run: newest_runs(connection, &RunQuery::new(1).key(key))?.pop() })
            };
            keys.iter().map(status).collect()
        })
        .await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let key = key.clone();
        let keep = limited(keep.max(1));
        self.write(move |transaction| {
            let entries: usize = transaction
                .prepare_cached(
                    "DELETE FROM APP_STATE WHERE key = ?1 AND stream = ?2 AND version <= (SELECT version FROM APP_STATE \
                     WHERE key = ?1 AND stream = ?2 ORDER BY version DESC LIMIT 1 OFFSET ?3)",
                )?
                .execute(params![key.resource, key.stream, keep])?;
            let runs = transaction
                .prepare_cached(
                    "DELETE FROM INGESTION_RUN WHERE resource = ?1 AND stream = ?2 AND (started_at, id) <= (SELECT started_at, id \
                     FROM INGESTION_RUN WHERE resource = ?1 AND stream = ?2 ORDER BY started_at DESC, id DESC LIMIT 1 OFFSET ?3)",
                )?
                .execute(params![key.resource, key.stream, keep])?;
            // A run without a stream, which an older version has recorded for all streams, goes with the stream's own runs of its time.
            let of_all_streams = transaction
                .prepare_cached(
                    "DELETE FROM INGESTION_RUN WHERE resource = ?1 AND stream = '' AND (started_at, id) < (SELECT started_at, id \
                     FROM INGESTION_RUN WHERE resource = ?1 AND stream = ?2 ORDER BY started_at DESC, id DESC LIMIT 1 OFFSET ?3 - 1)",
                )?
                .execute(params![key.resource, key.stream, keep])?;
            Ok((entries + runs + of_all_streams) as u64)
        })
        .await
    }
}
