//! `APP_STATE` and `INGESTION_RUN`.

use std::collections::HashMap;

use async_trait::async_trait;

use super::names::{Names, literal};
use super::pool::UnknownOutcome;
use super::pool::is_missing;
use super::transaction::{self, Fence};
use super::{Snowflake, time};
use crate::sink::conflict;
use crate::snowflake::{Bind, QueryResult, Row, Session, Sql, Statement, sql};
use crate::state::{RunRecord, StateChange, StateEntry, StateStore, StateVersion, StreamStatus};
use crate::{Error, ErrorKind, Result, RunStatus};

/// The fence of a change; `None` if it has no state.
pub(super) fn fence(names: &Names, change: &StateChange) -> Option<Fence> {
    change.state.as_ref().map(|state| Fence::new(names, &change.key, state.run))
}

impl Snowflake {
    /// Stores a change in the caller's transaction, which holds the fence; rejects it if another run has stored a newer version.
    ///
    /// After waiting for the fence, a transaction sees the previous holder's entry, because each statement sees what was committed
    /// before it. If Snowflake has ended the transaction, nothing is stored.
    pub(super) async fn append_in(
        &self,
        session: &mut dyn Session,
        change: &StateChange,
        fence: Option<&Fence>,
    ) -> Result<StateVersion> {
        let mut version = change.base;
        if let (Some(state), Some(fence)) = (&change.state, fence) {
            let base = i64::try_from(change.base.0).unwrap_or(i64::MAX);
            let entries = self.0.names.state("APP_STATE");
            // An invalid time that a user wrote by hand counts as the earliest.
            let insert = sql!(
                "INSERT INTO {entries} (\"TIMESTAMP\", \"KEY\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\") SELECT \
                 CAST(REPLACE(REPLACE(e.\"AT\", 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ), e.\"KEY\", PARSE_JSON(e.\"DOCUMENT\"), \
                 e.\"BASE\" + 1, e.\"AT\", e.\"DOCUMENT\" FROM (SELECT b.\"KEY\", b.\"BASE\", b.\"DOCUMENT\", CASE WHEN n.\"AT\" > \
                 b.\"AT\" THEN n.\"AT\" ELSE b.\"AT\" END AS \"AT\" FROM (SELECT CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS \
                 NUMBER(38, 0)) AS \"BASE\", CAST(? AS VARCHAR) AS \"AT\", CAST(? AS VARCHAR) AS \"DOCUMENT\") b LEFT JOIN (SELECT \
                 \"KEY\", MAX(\"VERSION\") AS \"VERSION\", MAX(CASE WHEN REGEXP_LIKE(\"AT\", \
                 '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}[.][0-9]{{9}}Z$') THEN \"AT\" END) AS \"AT\" FROM {entries} GROUP BY \"KEY\") n \
                 ON n.\"KEY\" = b.\"KEY\" WHERE COALESCE(n.\"VERSION\", 0) = b.\"BASE\") e WHERE {held}",
                entries,
                held = fence.is_held()
            );
            let document = serde_json::to_string(state)
                .map_err(|error| Error::internal("a state cannot be written as JSON").with_source(error))?;
            let insert = Statement::new(insert).bind(change.key.as_str()).bind(base).bind(time::rfc3339(change.at));
            if session.execute(insert.bind(document)).await?.rows_affected()? == 0 {
                return Err(conflict(&change.key, change.base, change.base));
            }
            version = StateVersion(change.base.0 + 1);
        }
        match (&change.run, fence) {
            (Some(run), _) => self.record(session, run, fence).await?,
            (None, Some(fence)) => self.end_superseded(session, &change.key, fence).await?,
            (None, None) => {}
        }
        Ok(version)
    }
}

/// Finds out why a change was refused, in the same session, because another session may see less. If the change is the newest
/// entry, an earlier attempt with unknown outcome has succeeded, and its result is returned. If the newest entry is still the
/// base of the change, Snowflake has ended the transaction, which can be retried. Otherwise another run has committed, and the
/// error names its version.
pub(super) async fn resolve_unknown_commit<T>(
    session: &mut dyn Session,
    names: &Names,
    change: &StateChange,
    refusal: Error,
    unknown: Option<T>,
) -> Result<T> {
    let Ok(newest) = entry_rows(session, names, &change.key, 1).await else { return Err(refusal) };
    let newest = newest.rows.first();
    let version = newest.and_then(|row| row.integer(0).ok()).map_or(0, i64::unsigned_abs);
    if version == change.base.0 {
        return Err(transaction::lost());
    }
    let is_ours = |entry: &StateEntry| {
        entry.version.0 == change.base.0 + 1 && change.state.as_ref().is_some_and(|state| *state == entry.state)
    };
    let newest = newest.and_then(|row| entry(row, 0).ok());
    match unknown.filter(|_| newest.as_ref().is_some_and(is_ours)) {
        Some(given) => Ok(given),
        None => Err(conflict(&change.key, change.base, StateVersion(version))),
    }
}

impl Snowflake {
    /// Appends the record of a run; with the fence, also records that interrupt the runs that it supersedes.
    async fn record(&self, session: &mut dyn Session, run: &RunRecord, fence: Option<&Fence>) -> Result<()> {
        let held = fence.map(|fence| sql!(" WHERE {held}", held = fence.is_held())).unwrap_or_default();
        let (columns, select) = record_columns();
        let superseded =
            fence.map(|fence| sql!(" UNION ALL {superseded}", superseded = self.superseded(fence))).unwrap_or_default();
        let insert = sql!(
            "INSERT INTO {run} ({columns}) SELECT {select} FROM (SELECT PARSE_JSON(?) AS \"RUN\", CAST(? AS NUMBER(38, 0)) AS \
             \"SKIPPED\", CAST(? AS TIMESTAMP_NTZ) AS \"RECORDED_AT\", CAST(? AS TIMESTAMP_NTZ) AS \"STARTED_AT\", CAST(? AS \
             TIMESTAMP_NTZ) AS \"ENDED_AT\", CAST(? AS VARCHAR) AS \"DOCUMENT\") b{held}{superseded}",
            columns,
            select,
            held,
            superseded,
            run = self.0.names.state("SNOWFEED_RUN")
        );
        let document = Bind::json(run)?;
        let skipped = i64::try_from(run.counts.skipped_total()).unwrap_or(i64::MAX);
        let recorded_at = time::ntz_text(self.0.run_clock.next());
        let insert = Statement::new(insert).bind(document.clone()).bind(skipped).bind(recorded_at);
        let mut insert =
            insert.bind(time::ntz_text(run.started_at)).bind(run.ended_at.map(time::ntz_text)).bind(document);
        if fence.is_some() {
            insert = insert.bind(run.resource.as_str()).bind(run.id.to_string());
        }
        if session.execute(insert).await?.rows_affected()? == 0 { Err(transaction::lost()) } else { Ok(()) }
    }

    /// Interrupts the running runs of a key that a change without a run supersedes.
    async fn end_superseded(&self, session: &mut dyn Session, key: &str, fence: &Fence) -> Result<()> {
        let (columns, _) = record_columns();
        let insert = sql!(
            "INSERT INTO {run} ({columns}) {fence}",
            columns,
            run = self.0.names.state("SNOWFEED_RUN"),
            fence = self.superseded(fence)
        );
        session.execute(Statement::new(insert).bind(key).bind("")).await.map(drop)
    }

    /// Selects the newest records of the other running runs of a key, as interrupted. If one of these runs is still alive, its own
    /// later record counts.
    fn superseded(&self, fence: &Fence) -> Sql {
        let [running, interrupted] =
            [RunStatus::Running, RunStatus::Interrupted].map(|status| Sql::assert_safe(status.to_string()));
        let (columns, _) = record_columns();
        let values = columns
            .replace_fragment("\"STATUS\"", &sql!("'{interrupted}'", interrupted))
            .replace_fragment("\"RECORDED_AT\"", &"DATEADD(MICROSECOND, 1, r.\"RECORDED_AT\")")
            .replace_fragment(
                "\"DOCUMENT\"",
                &sql!(
                    "REPLACE(r.\"DOCUMENT\", '\"status\":\"{running}\"', '\"status\":\"{interrupted}\"')",
                    running,
                    interrupted
                ),
            );
        sql!(
            "SELECT {values} FROM (SELECT * FROM {run} WHERE \"RESOURCE\" = ? QUALIFY ROW_NUMBER() OVER (PARTITION BY \"ID\" ORDER BY \
             \"RECORDED_AT\" DESC) = 1) r WHERE r.\"ID\" <> ? AND r.\"STATUS\" = '{running}' AND {held}",
            values,
            running,
            run = self.0.names.state("SNOWFEED_RUN"),
            held = fence.is_held()
        )
    }
}

/// The columns of the run history, and their values over `b`.
fn record_columns() -> (Sql, Sql) {
    const NUMBERS: [(&str, &str); 12] = [
        ("OFFERED", "counts.offered"),
        ("INSERTED", "counts.inserted"),
        ("UPDATED", "counts.updated"),
        ("UNCHANGED", "counts.unchanged"),
        ("DELETED", "counts.deleted"),
        ("REJECTED", "counts.rejected"),
        ("COMMITS", "commits"),
        ("REQUESTS", "traffic.requests"),
        ("BYTES", "traffic.bytes"),
        ("WAITED_MS", "traffic.waited_ms"),
        ("TOTAL_MS", "timings.total_ms"),
        ("SKIPPED", ""),
    ];
    const TEXTS: [(&str, &str); 5] =
        [("ID", "id"), ("RESOURCE", "resource"), ("MODE", "mode"), ("STATUS", "status"), ("ERROR", "error.message")];
    let mut values: Vec<(&'static str, Sql)> = Vec::new();
    values.extend(TEXTS.map(|(column, path)| (column, sql!("b.\"RUN\":{path}::VARCHAR", path))));
    values.extend(NUMBERS.map(|(column, path)| match path {
        "" => (column, "b.\"SKIPPED\"".into()),
        path => (column, sql!("b.\"RUN\":{path}::NUMBER(38, 0)", path)),
    }));
    values.extend(
        ["RECORDED_AT", "STARTED_AT", "ENDED_AT", "DOCUMENT"].map(|column| (column, sql!("b.\"{column}\"", column))),
    );
    let columns: Vec<Sql> = values.iter().map(|&(column, _)| sql!("\"{column}\"", column)).collect();
    let select: Vec<Sql> = values.into_iter().map(|(_, value)| value).collect();
    (Sql::join(&columns, ", "), Sql::join(&select, ", "))
}

/// The newest entries of a key: version, time and document.
async fn entry_rows(session: &mut dyn Session, names: &Names, key: &str, limit: usize) -> Result<QueryResult> {
    let select = sql!(
        "SELECT CAST(\"VERSION\" AS VARCHAR) AS \"V\", \"AT\", \"DOCUMENT\" FROM {app_state} WHERE \"KEY\" = ? \
         ORDER BY \"VERSION\" DESC LIMIT {limit}",
        limit,
        app_state = names.state("APP_STATE")
    );
    or_empty(session.execute(Statement::new(select).bind(key)).await)
}

/// Treats missing tables as empty.
pub(super) fn or_empty(answer: Result<QueryResult>) -> Result<QueryResult> {
    match answer {
        Err(error) if is_missing(&error) => Ok(QueryResult::default()),
        answer => answer,
    }
}

/// Reads the entry whose version, time and document begin at a column.
fn entry(row: &Row, column: usize) -> Result<StateEntry> {
    Ok(StateEntry {
        version: StateVersion(row.integer(column)?.unsigned_abs()),
        at: time::parse(row.text(column + 1)?)?,
        state: serde_json::from_str(row.text(column + 2)?)
            .map_err(|error| Error::invalid_data("the document is not a state").with_source(error))?,
    })
}

/// Parses a record of the run history; `None`, with a warning, if it is unreadable.
fn run(names: &Names, document: &str) -> Option<RunRecord> {
    let read = serde_json::from_str(document);
    let table = names.state("INGESTION_RUN");
    read.inspect_err(|error| {
        let row: String = document.chars().take(80).collect();
        tracing::warn!(%table, %error, %row, "skipping an unreadable row of the run history: it was changed by hand");
    })
    .ok()
}

/// The error for an entry that cannot be read.
fn unreadable(names: &Names, key: &str, version: &str, error: Error) -> Error {
    let table = names.state("APP_STATE");
    Error::invalid_data(format!("the state of {key:?} cannot be read: version {version} in {table}"))
        .with_help(format!(
            "it was written by another version of this program, or changed by hand. To continue from the previous entry, run: \
             DELETE FROM {table} WHERE \"KEY\" = {} AND \"VERSION\" = {version}",
            literal(key)
        ))
        .with_source(error)
}

/// Returns the entry in a row, or an error that names the row.
fn named_entry(names: &Names, key: &str, row: &Row, column: usize) -> Result<StateEntry> {
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

    async fn latest(&self, key: &str) -> Result<Option<StateEntry>> {
        let mut session = self.session().await?;
        let newest = entry_rows(&mut *session, &self.0.names, key, 1).await?;
        newest.rows.first().map(|row| named_entry(&self.0.names, key, row, 0)).transpose()
    }

    async fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>> {
        let found = entry_rows(&mut *self.session().await?, &self.0.names, key, limit).await?;
        let entries = found.rows.iter().map(|row| named_entry(&self.0.names, key, row, 0));
        Ok(entries.filter_map(|entry| entry.inspect_err(warn).ok()).collect())
    }

    async fn runs(&self, key: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let mut select = Statement::new(sql!(
            "SELECT \"DOCUMENT\" FROM {runs}{filter} ORDER BY \"STARTED_AT\" DESC, \"ID\" DESC LIMIT {limit}",
            limit,
            runs = self.0.names.state("INGESTION_RUN"),
            filter = if key.is_some() { " WHERE \"RESOURCE\" = ?" } else { "" }
        ));
        if let Some(key) = key {
            select = select.bind(key);
        }
        let answer = or_empty(self.session().await?.execute(select).await)?;
        let runs = answer.rows.iter().map(|row| Ok(run(&self.0.names, row.text(0)?)));
        runs.filter_map(Result::transpose).collect()
    }

    async fn prune(&self, key: &str, keep: usize) -> Result<u64> {
        let keep = i64::try_from(keep.max(1)).unwrap_or(i64::MAX);
        let (entries, runs) = (self.0.names.state("APP_STATE"), self.0.names.state("SNOWFEED_RUN"));
        let old_entries = sql!(
            "DELETE FROM {entries} WHERE \"KEY\" = ? AND \"VERSION\" <= (SELECT MAX(\"VERSION\") FROM {entries} WHERE \"KEY\" \
             = ?) - ?",
            entries
        );
        let old_runs = sql!(
            "DELETE FROM {runs} WHERE \"RESOURCE\" = ? AND \"ID\" NOT IN (SELECT n.\"ID\" FROM (SELECT \"ID\", ROW_NUMBER() OVER \
             (ORDER BY \"STARTED_AT\" DESC, \"ID\" DESC) AS \"N\" FROM {ingestion_run} WHERE \"RESOURCE\" = ?) n WHERE n.\"N\" <= ?)",
            runs,
            ingestion_run = self.0.names.state("INGESTION_RUN")
        );
        // Superseded records are not counted: users never saw them as rows.
        let superseded = sql!(
            "DELETE FROM {runs} WHERE \"RESOURCE\" = ? AND \"ID\" || ' ' || CAST(\"RECORDED_AT\" AS VARCHAR) NOT IN (SELECT \"ID\" \
             || ' ' || CAST(MAX(\"RECORDED_AT\") AS VARCHAR) FROM {runs} WHERE \"RESOURCE\" = ? GROUP BY \"ID\")",
            runs
        );
        let mut session = self.session().await?;
        self.catalog(&mut *session).await?.ensure_schema(&mut *session, &self.0.names).await?;
        let entries =
            session.execute(Statement::new(old_entries).bind(key).bind(key).bind(keep)).await?.rows_affected()?;
        session.execute(Statement::new(superseded).bind(key).bind(key)).await?;
        let runs = session.execute(Statement::new(old_runs).bind(key).bind(key).bind(keep)).await?.rows_affected()?;
        Ok(entries + runs)
    }

    async fn latest_many(&self, keys: &[String]) -> Result<Vec<StreamStatus>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // Without a bound value the text is always the same, so that Snowflake can answer from its result cache.
        let select = sql!(
            "SELECT 'entry' AS \"WHAT\", \"KEY\", CAST(\"VERSION\" AS VARCHAR) AS \"V\", \"AT\", \"DOCUMENT\" FROM {app_state} QUALIFY \
             ROW_NUMBER() OVER (PARTITION BY \"KEY\" ORDER BY \"VERSION\" DESC) = 1 UNION ALL SELECT 'run' AS \"WHAT\", \
             \"RESOURCE\" AS \"KEY\", NULL AS \"V\", NULL AS \"AT\", \"DOCUMENT\" FROM {ingestion_run} QUALIFY ROW_NUMBER() OVER \
             (PARTITION BY \"RESOURCE\" ORDER BY \"STARTED_AT\" DESC, \"ID\" DESC) = 1",
            app_state = self.0.names.state("APP_STATE"),
            ingestion_run = self.0.names.state("INGESTION_RUN")
        );
        let answer = or_empty(self.session().await?.execute(Statement::new(select)).await)?;
        let positions: HashMap<&str, usize> =
            keys.iter().enumerate().map(|(position, key)| (key.as_str(), position)).collect();
        let mut statuses = vec![StreamStatus::default(); keys.len()];
        for row in &answer.rows {
            let Some(&position) = positions.get(&**row.text(1)?) else { continue };
            match row.text(0)?.as_ref() {
                // The resource's own run reads it again, and only that run fails.
                "entry" => {
                    statuses[position].entry =
                        named_entry(&self.0.names, &keys[position], row, 2).inspect_err(warn).ok()
                }
                _ => statuses[position].run = run(&self.0.names, row.text(4)?),
            }
        }
        Ok(statuses)
    }

    fn is_metered(&self) -> bool {
        true
    }
}

impl Snowflake {
    async fn try_append(&self, change: &StateChange, unknown: &UnknownOutcome<StateVersion>) -> Result<StateVersion> {
        let mut session = self.session().await?;
        self.catalog(&mut *session).await?.ensure_schema(&mut *session, &self.0.names).await?;
        let Some(fence) = fence(&self.0.names, change) else {
            return self.append_in(&mut *session, change, None).await;
        };
        fence.begin(&mut session).await?;
        let appended = self.append_in(&mut *session, change, Some(&fence)).await;
        match session.finish(appended, unknown).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                resolve_unknown_commit(&mut *session, &self.0.names, change, error, unknown.take()).await
            }
            done => done,
        }
    }
}

fn warn(error: &Error) {
    tracing::warn!(%error, help = error.help().unwrap_or_default(), "a state cannot be read; other resources continue");
}
