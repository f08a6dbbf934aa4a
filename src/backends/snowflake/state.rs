//! `APP_STATE`: the states of streams.
//!
//! An entry belongs to a stream of a resource. An entry without a stream is one that a program of schema version 2 may have committed while
//! the table was being migrated. If its resource has a single stream, it is an entry of that stream. Else it covers all streams of its
//! resource: each continues its versions above it, so that a run that has not seen the entry is refused, and reads from the start.

use std::collections::HashMap;

use async_trait::async_trait;

use super::names::{Names, literal};
use super::pool::UnknownOutcome;
use super::rows::CommitNumbers;
use super::run_history::{RunRows, run};
use super::state_tables::StateTables;
use super::transaction::{self, Fence};
use super::{Snowflake, rows, time};
use crate::sink::conflict;
use crate::snowflake::{QueryResult, Row, Session, Statement, sql};
use crate::state::{
    RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion, StreamState, StreamStatus,
};
use crate::{Error, ErrorKind, Result};

/// The columns of `APP_STATE`.
const COLUMNS: &str = "\"TIMESTAMP\", \"KEY\", \"STREAM\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\", \"SEQUENCE\", \
                       \"PARENT_STREAM\", \"PARENT_SEQUENCE\"";

/// The fence of changes of one resource; `None` if none of them has a state.
pub(super) fn fence<'a>(names: &Names, changes: impl IntoIterator<Item = &'a StateChange>) -> Option<Fence> {
    let mut changes = changes.into_iter();
    changes.find_map(|change| change.state.as_ref().map(|state| Fence::new(names, &change.key.resource, state.run)))
}

impl Snowflake {
    /// Stores a change in the caller's transaction, which holds the fence; rejects it if another run has stored a newer version, or if
    /// rows have changed since the commit was planned.
    ///
    /// After waiting for the fence, a transaction sees the previous holder's entry, because each statement sees what was committed
    /// before it. If Snowflake has ended the transaction, nothing is stored.
    pub(super) async fn append_in(
        &self,
        session: &mut dyn Session,
        change: &StateChange,
        fence: Option<&Fence>,
        numbers: &CommitNumbers<'_>,
    ) -> Result<StateVersion> {
        let (Some(state), Some(fence)) = (&change.state, fence) else {
            if let Some(run) = &change.run {
                self.record_run(session, run, fence).await?;
            }
            return Ok(change.base);
        };
        let base = i64::try_from(change.base.0).unwrap_or(i64::MAX);
        let names = &self.0.names;
        let (numbered, runs) = (numbers.columns(), self.run_rows(change)?);
        // One statement stores the state and the records of runs. Unverified: see docs/unverified.md#multi-table-insert. An invalid time that a user wrote by hand counts as
        // the earliest.
        let insert = sql!(
            "INSERT ALL WHEN \"IS_FIRST\" = 1 THEN INTO {entries} ({COLUMNS}) VALUES ({COLUMNS}) {run_clause} SELECT \
             CAST(REPLACE(REPLACE(e.\"AT\", 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ) AS \"TIMESTAMP\", e.\"KEY\", e.\"STREAM\", \
             PARSE_JSON(e.\"DOCUMENT\") AS \"VALUE\", e.\"BASE\" + 1 AS \"VERSION\", e.\"AT\", e.\"DOCUMENT\", e.\"SEQUENCE\", \
             e.\"PARENT_STREAM\", e.\"PARENT_SEQUENCE\", r.* FROM (SELECT b.\"KEY\", b.\"STREAM\", b.\"BASE\", b.\"DOCUMENT\", CASE \
             WHEN n.\"AT\" > b.\"AT\" THEN n.\"AT\" ELSE b.\"AT\" END AS \"AT\", {sequence} AS \"SEQUENCE\", \
             COALESCE(b.\"PARENT_STREAM\", n.\"PARENT_STREAM\") AS \"PARENT_STREAM\", {parent_sequence} AS \"PARENT_SEQUENCE\" FROM \
             (SELECT CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS VARCHAR) AS \"STREAM\", CAST(? AS NUMBER(38, 0)) AS \"BASE\", CAST(? AS \
             VARCHAR) AS \"AT\", CAST(? AS VARCHAR) AS \"DOCUMENT\", CAST(? AS VARCHAR) AS \"PARENT_STREAM\") b CROSS JOIN \
             (SELECT MAX(\"VERSION\") AS \"VERSION\", MAX(\"SEQUENCE\") AS \"SEQUENCE\", MAX(\"PARENT_STREAM\") AS \
             \"PARENT_STREAM\", MAX(\"PARENT_SEQUENCE\") AS \"PARENT_SEQUENCE\", MAX(CASE WHEN REGEXP_LIKE(\"AT\", \
             '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}[.][0-9]{{9}}Z$') THEN \"AT\" END) AS \"AT\" \
             FROM {entries} WHERE \"KEY\" = ? AND (\"STREAM\" = ? OR \"STREAM\" IS NULL)) n{tables} WHERE COALESCE(n.\"VERSION\", 0) = \
             b.\"BASE\"{unchanged}) e CROSS JOIN ({run_rows}) r WHERE {held}",
            entries = names.state("APP_STATE"),
            COLUMNS,
            run_clause = RunRows::clause(names),
            sequence = numbered.sequence,
            parent_sequence = numbered.parent_sequence,
            tables = numbered.tables,
            unchanged = numbered.unchanged,
            run_rows = &runs.sql,
            held = fence.is_held()
        );
        let document = serde_json::to_string(state)
            .map_err(|error| Error::internal("a state cannot be written as JSON").with_source(error))?;
        let StateKey { resource, stream } = &change.key;
        let insert = Statement::new(insert).bind(resource.as_str()).bind(stream.as_str()).bind(base);
        let insert = insert.bind(time::rfc3339(change.at)).bind(document).bind(numbers.unstated_stream());
        let insert = numbers.bind_expected(insert.bind(resource.as_str()).bind(stream.as_str()));
        if session.execute(runs.bind(insert)).await?.rows_affected()? == 0 {
            return Err(conflict(&change.key, change.base, change.base));
        }
        Ok(StateVersion(change.base.0 + 1))
    }
}

/// Finds out why one of a transaction's changes was refused, in the same session, because another session may see less. If each
/// change is the newest entry of its stream, an earlier attempt with unknown outcome has succeeded, and its result is returned. If
/// each newest entry is still the base of its change, Snowflake has ended the transaction, which can be retried. Otherwise another run
/// has committed, and the error names its stream and version.
pub(super) async fn resolve_unknown_commit<'a, T>(
    session: &mut dyn Session,
    names: &Names,
    changes: impl IntoIterator<Item = &'a StateChange>,
    refusal: Error,
    unknown: Option<T>,
) -> Result<T> {
    let (mut is_stored, mut superseded) = (true, None);
    for change in changes {
        let Some(state) = &change.state else { continue };
        let Ok(newest) = entry_rows(session, names, &change.key, 1).await else { return Err(refusal) };
        let newest = newest.rows.first();
        let version = newest.and_then(|row| row.integer(0).ok()).map_or(0, i64::unsigned_abs);
        let newest = newest.and_then(|row| entry(row, 0).ok());
        is_stored &= newest.is_some_and(|entry| entry.version.0 == change.base.0 + 1 && entry.state == *state);
        if version != change.base.0 {
            superseded = superseded.or_else(|| Some(conflict(&change.key, change.base, StateVersion(version))));
        }
    }
    match unknown.filter(|_| is_stored) {
        Some(given) => Ok(given),
        None => Err(superseded.unwrap_or_else(transaction::lost)),
    }
}

/// The newest entries of a key: version, time, document and stream.
async fn entry_rows(session: &mut dyn Session, names: &Names, key: &StateKey, limit: usize) -> Result<QueryResult> {
    let select = |tables: &StateTables| {
        let select = sql!(
            "SELECT CAST(e.\"VERSION\" AS VARCHAR) AS \"V\", e.\"AT\", e.\"DOCUMENT\", e.\"STREAM\" FROM {entries} e WHERE \
             e.\"KEY\" = ? AND (e.\"STREAM\" = ? OR e.\"STREAM\" IS NULL) ORDER BY e.\"VERSION\" DESC LIMIT {limit}",
            limit,
            entries = &tables.entries
        );
        Statement::new(select).bind(key.resource.as_str()).bind(key.stream.as_str())
    };
    let lacks_stream =
        |answer: &QueryResult| answer.rows.iter().try_fold(false, |lacks, row| Ok(lacks || row.get(3)?.is_none()));
    StateTables::read(session, names, select, lacks_stream).await
}

/// Reads the entry whose version, time, document and stream begin at a column. Of an entry without a stream, no progress is continued.
fn entry(row: &Row, column: usize) -> Result<StateEntry> {
    let mut state: StreamState = serde_json::from_str(row.text(column + 2)?)
        .map_err(|error| Error::invalid_data("the document is not a state").with_source(error))?;
    if row.get(column + 3)?.is_none() {
        (state.checkpoint, state.reconcile) = (None, None);
    }
    let version = StateVersion(row.integer(column)?.unsigned_abs());
    Ok(StateEntry { version, at: time::parse(row.text(column + 1)?)?, state })
}

/// The error for an entry that cannot be read.
fn unreadable(names: &Names, key: &StateKey, version: &str, error: Error) -> Error {
    let table = names.state("APP_STATE");
    Error::invalid_data(format!("the state of {key} cannot be read: version {version} in {table}"))
        .with_help(format!(
            "it was written by another version of this program, or changed by hand. To continue from the previous entry, run: \
             DELETE FROM {table} WHERE \"KEY\" = {} AND \"STREAM\" = {} AND \"VERSION\" = {version}",
            literal(&key.resource),
            literal(&key.stream)
        ))
        .with_source(error)
}

/// Returns the entry in a row, or an error that names the row.
fn named_entry(names: &Names, key: &StateKey, row: &Row, column: usize) -> Result<StateEntry> {
    entry(row, column).map_err(|error| {
        let version = row.get(column).ok().flatten().map_or("unknown", |version| &**version);
        unreadable(names, key, version, error)
    })
}

#[async_trait]
impl StateStore for Snowflake {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        let unknown = UnknownOutcome::new();
        transaction::with_retry(|| self.try_append(&change, &unknown)).await
    }

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.record_runs(&runs).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        // The run that reads its state anew must not meet numbers from before.
        self.0.known_sequences.forget(&key.resource);
        let mut session = self.session().await?;
        self.tag(&mut *session, &key.resource, Some(&key.stream), None);
        let newest = entry_rows(&mut *session, &self.0.names, key, 1).await?;
        newest.rows.first().map(|row| named_entry(&self.0.names, key, row, 0)).transpose()
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let found = entry_rows(&mut *self.session().await?, &self.0.names, key, limit).await?;
        let entries = found.rows.iter().map(|row| named_entry(&self.0.names, key, row, 0));
        Ok(entries.filter_map(|entry| entry.inspect_err(warn).ok()).collect())
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.find_runs(&query).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let keep = i64::try_from(keep.max(1)).unwrap_or(i64::MAX);
        let old_entries = sql!(
            "DELETE FROM {entries} WHERE \"KEY\" = ? AND \"STREAM\" = ? AND \"VERSION\" <= (SELECT MAX(\"VERSION\") FROM {entries} \
             WHERE \"KEY\" = ? AND \"STREAM\" = ?) - ?",
            entries = self.0.names.state("APP_STATE")
        );
        let mut session = self.load_session().await?;
        self.tag(&mut *session, &key.resource, Some(&key.stream), None);
        self.ensure_schema(&mut *session).await?;
        let (resource, stream) = (key.resource.as_str(), key.stream.as_str());
        let old_entries =
            Statement::new(old_entries).bind(resource).bind(stream).bind(resource).bind(stream).bind(keep);
        let entries = session.execute(old_entries).await?.rows_affected()?;
        Ok(entries + self.prune_runs(&mut *session, key, keep).await?)
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // Without a bound value the text is always the same, so that Snowflake can answer from its result cache.
        let select = |tables: &StateTables| {
            Statement::new(sql!(
                "SELECT 'entry' AS \"WHAT\", e.\"KEY\", CAST(e.\"VERSION\" AS VARCHAR) AS \"V\", e.\"AT\", e.\"DOCUMENT\", \
                 e.\"STREAM\", CAST(e.\"SEQUENCE\" AS VARCHAR) AS \"SEQ\", e.\"PARENT_STREAM\", CAST(e.\"PARENT_SEQUENCE\" AS \
                 VARCHAR) AS \"PARENT_SEQ\" FROM {entries} e QUALIFY ROW_NUMBER() OVER (PARTITION BY e.\"KEY\", e.\"STREAM\" ORDER BY \
                 e.\"VERSION\" DESC) = 1 UNION ALL SELECT 'run' AS \"WHAT\", r.\"RESOURCE\" AS \"KEY\", NULL AS \"V\", NULL AS \
                 \"AT\", r.\"DOCUMENT\", r.\"STREAM\", NULL AS \"SEQ\", NULL AS \"PARENT_STREAM\", NULL AS \"PARENT_SEQ\" FROM {runs} r QUALIFY ROW_NUMBER() OVER (PARTITION BY r.\"RESOURCE\", \
                 r.\"STREAM\" ORDER BY r.\"STARTED_AT\" DESC, r.\"ID\" DESC) = 1",
                entries = &tables.entries,
                runs = &tables.runs
            ))
        };
        let names = &self.0.names;
        let lacks_stream = |answer: &QueryResult| {
            let newest = NewestRows::new(&answer.rows)?;
            let is_of_all = |row: &Row| row.get(5).is_ok_and(|stream| stream.is_none());
            Ok(keys.iter().any(|key| newest.entry(key).is_some_and(is_of_all)))
        };
        let known = self.0.known_sequences.begin();
        let answer = StateTables::read(&mut *self.session().await?, names, select, lacks_stream).await?;
        self.0.known_sequences.keep(known, rows::sequences_of_entries(&answer)?);
        let newest = NewestRows::new(&answer.rows)?;
        let status = |key: &StateKey| {
            // The stream's own run reads it again, and only that run fails.
            let entry = newest.entry(key).and_then(|row| named_entry(names, key, row, 2).inspect_err(warn).ok());
            let run = newest.run(key).map(|row| run(names, row, 4)).transpose()?.flatten();
            Ok(StreamStatus { entry, run })
        };
        keys.iter().map(status).collect()
    }

    fn is_metered(&self) -> bool {
        true
    }
}

/// The rows of the newest entries and runs, by resource and stream.
#[derive(Default)]
struct NewestRows<'a> {
    entries: HashMap<(&'a str, Option<&'a str>), &'a Row>,
    runs: HashMap<(&'a str, Option<&'a str>), &'a Row>,
}

impl<'a> NewestRows<'a> {
    /// Takes the rows of [`latest_many`](StateStore::latest_many) apart.
    fn new(rows: &'a [Row]) -> Result<Self> {
        let mut newest = Self::default();
        for row in rows {
            let of_kind = if &**row.text(0)? == "entry" { &mut newest.entries } else { &mut newest.runs };
            of_kind.insert((row.text(1)?, row.get(5)?.map(|stream| &**stream)), row);
        }
        Ok(newest)
    }

    /// The newest entry of a stream, which may be one of all streams.
    fn entry(&self, key: &StateKey) -> Option<&'a Row> {
        let rows = [Some(&*key.stream), None].map(|stream| self.entries.get(&(&*key.resource, stream)).copied());
        rows.into_iter().flatten().max_by_key(|row| row.integer(2).unwrap_or(0))
    }

    fn run(&self, key: &StateKey) -> Option<&'a Row> {
        self.runs.get(&(&*key.resource, Some(&*key.stream))).copied()
    }
}

impl Snowflake {
    async fn try_append(&self, change: &StateChange, unknown: &UnknownOutcome<StateVersion>) -> Result<StateVersion> {
        let mut session = self.load_session().await?;
        self.ensure_schema(&mut *session).await?;
        let Some(fence) = fence(&self.0.names, [change]) else {
            return self.append_in(&mut *session, change, None, &CommitNumbers::default()).await;
        };
        fence.begin(&mut session).await?;
        let appended = self.append_in(&mut *session, change, Some(&fence), &CommitNumbers::default()).await;
        match session.finish(appended, unknown).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                resolve_unknown_commit(&mut *session, &self.0.names, [change], error, unknown.take()).await
            }
            done => done,
        }
    }
}

fn warn(error: &Error) {
    tracing::warn!(%error, help = error.help().unwrap_or_default(), "a state cannot be read; other streams continue");
}
