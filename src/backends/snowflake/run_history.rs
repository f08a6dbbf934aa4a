//! The run history: the records that a change of state stores in `SNOWFEED_RUN`, and the view `INGESTION_RUN` over them.

use serde::Serialize;

use super::names::Names;
use super::rejects::where_all;
use super::state_tables::StateTables;
use super::transaction::{self, Fence};
use super::{Snowflake, time};
use crate::snowflake::{Bind, Row, Session, Sql, Statement, sql};
use crate::state::{RunQuery, RunRecord, StateChange, StateKey};
use crate::{Error, Result, RunStatus};

/// The names of the columns of [`RunRows`] begin with this, and continue with the names of the table's columns.
const PREFIX: &str = "RUN_";

/// The maximum size of the records in one statement, in bytes.
const MAX_STATEMENT_BYTES: usize = 4 << 20;

/// The records that a change of state adds to the run history, as a query.
pub(super) struct RunRows {
    /// A row with 1 in `IS_FIRST`, which is the record of the change's run, or without an id if the change has none. Then, with 0, the
    /// newest records of the running runs that the change supersedes, as interrupted: if one of these runs is still alive, its own
    /// later record counts.
    pub(super) sql: Sql,
    binds: Vec<Bind>,
}

impl RunRows {
    /// Binds the values of the query.
    pub(super) fn bind(self, statement: Statement) -> Statement {
        self.binds.into_iter().fold(statement, Statement::bind)
    }

    /// The clause of a multi-table INSERT that stores the rows.
    pub(super) fn clause(names: &Names) -> Sql {
        sql!(
            "WHEN \"{PREFIX}ID\" IS NOT NULL THEN INTO {run} ({columns}) VALUES ({values})",
            PREFIX,
            run = names.state("SNOWFEED_RUN"),
            columns = column_list(""),
            values = column_list(PREFIX)
        )
    }
}

impl Snowflake {
    /// The records that a change with a new state adds to the run history.
    pub(super) fn run_rows(&self, change: &StateChange) -> Result<RunRows> {
        let [running, interrupted] =
            [RunStatus::Running, RunStatus::Interrupted].map(|status| Sql::assert_safe(status.to_string()));
        let columns = record_columns();
        let own: Vec<Sql> = columns
            .iter()
            .map(|&(column, ref value)| sql!("{value} AS \"{PREFIX}{column}\"", value, PREFIX, column))
            .collect();
        let superseded: Vec<Sql> = columns
            .iter()
            .map(|&(column, _)| match column {
                "STATUS" => sql!("'{interrupted}'", interrupted = &interrupted),
                "RECORDED_AT" => "DATEADD(MICROSECOND, 1, r.\"RECORDED_AT\")".into(),
                "DOCUMENT" => sql!(
                    "REPLACE(r.\"DOCUMENT\", '\"status\":\"{running}\"', '\"status\":\"{interrupted}\"')",
                    running = &running,
                    interrupted = &interrupted
                ),
                column => sql!("r.\"{column}\"", column),
            })
            .collect();
        // A run without a stream belongs to an older version, which can no longer commit.
        let sql = sql!(
            "SELECT 1 AS \"IS_FIRST\", {own} FROM {record} UNION ALL SELECT 0 AS \"IS_FIRST\", {superseded} FROM (SELECT * FROM \
             {run} WHERE \"RESOURCE\" = ? AND (\"STREAM\" = ? OR \"STREAM\" IS NULL) QUALIFY ROW_NUMBER() OVER (PARTITION BY \"ID\" \
             ORDER BY \"RECORDED_AT\" DESC) = 1) r WHERE r.\"ID\" <> ? AND r.\"STATUS\" = '{running}'",
            own = Sql::join(&own, ", "),
            record = RECORD,
            superseded = Sql::join(&superseded, ", "),
            run = self.0.names.state("SNOWFEED_RUN"),
            running
        );
        let mut binds = self.record_binds(change.run.as_ref())?;
        let id = change.run.as_ref().map(|run| run.id.to_string()).unwrap_or_default();
        binds.extend([change.key.resource.as_str().into(), change.key.stream.as_str().into(), id.into()]);
        Ok(RunRows { sql, binds })
    }

    /// Appends the record of a run that changes no state; within a transaction, only if it still holds the fence.
    pub(super) async fn record_run(
        &self,
        session: &mut dyn Session,
        run: &RunRecord,
        fence: Option<&Fence>,
    ) -> Result<()> {
        let values: Vec<Sql> = record_columns().into_iter().map(|(_, value)| value).collect();
        let insert = sql!(
            "INSERT INTO {run} ({columns}) SELECT {values} FROM {record}{held}",
            run = self.0.names.state("SNOWFEED_RUN"),
            columns = column_list(""),
            values = Sql::join(&values, ", "),
            record = RECORD,
            held = fence.map(|fence| sql!(" WHERE {held}", held = fence.is_held())).unwrap_or_default()
        );
        let insert = self.record_binds(Some(run))?.into_iter().fold(Statement::new(insert), Statement::bind);
        if session.execute(insert).await?.rows_affected()? == 0 { Err(transaction::lost()) } else { Ok(()) }
    }

    /// Appends the records of runs that change no state: as many as fit in each statement.
    pub(super) async fn record_runs(&self, runs: &[RunRecord]) -> Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let values: Vec<Sql> = record_columns().into_iter().map(|(_, value)| value).collect();
        let insert = sql!(
            "INSERT INTO {run} ({columns}) SELECT {values} FROM {RECORDS}",
            run = self.0.names.state("SNOWFEED_RUN"),
            columns = column_list(""),
            values = Sql::join(&values, ", "),
            RECORDS
        );
        let records = runs.iter().map(|run| self.record(run)).collect::<Result<Vec<_>>>()?;
        let mut session = self.load_session().await?;
        self.ensure_schema(&mut *session).await?;
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            while count < rest.len() && (count == 0 || bytes + rest[count].document.len() <= MAX_STATEMENT_BYTES) {
                bytes += rest[count].document.len();
                count += 1;
            }
            let (chunk, after) = rest.split_at(count);
            let chunk = serde_json::to_string(chunk)
                .map_err(|error| Error::internal("runs cannot be written as JSON").with_source(error))?;
            session.execute(Statement::new(insert.clone()).bind(chunk)).await?;
            rest = after;
        }
        Ok(())
    }

    fn record(&self, run: &RunRecord) -> Result<Record> {
        let document = serde_json::to_string(run)
            .map_err(|error| Error::internal("a run cannot be written as JSON").with_source(error))?;
        Ok(Record {
            document,
            skipped: i64::try_from(run.counts.skipped_total()).unwrap_or(i64::MAX),
            recorded_at: time::ntz_text(self.0.run_clock.next()),
            started_at: time::ntz_text(run.started_at),
            ended_at: run.ended_at.map(time::ntz_text),
        })
    }

    /// The values of [`RECORD`].
    fn record_binds(&self, run: Option<&RunRecord>) -> Result<Vec<Bind>> {
        let document = run.map(serde_json::to_string).transpose();
        let document =
            document.map_err(|error| Error::internal("a run cannot be written as JSON").with_source(error))?;
        let skipped = run.map_or(0, |run| i64::try_from(run.counts.skipped_total()).unwrap_or(i64::MAX));
        let started_at = run.map(|run| time::ntz_text(run.started_at));
        let ended_at = run.and_then(|run| run.ended_at).map(time::ntz_text);
        let recorded_at = time::ntz_text(self.0.run_clock.next());
        Ok(vec![
            document.clone().into(),
            skipped.into(),
            recorded_at.into(),
            started_at.into(),
            ended_at.into(),
            document.into(),
        ])
    }

    /// Returns the selected runs, the newest first.
    pub(super) async fn find_runs(&self, query: &RunQuery) -> Result<Vec<RunRecord>> {
        let filters = [("RESOURCE", &query.resource), ("STREAM", &query.stream)];
        let (columns, values): (Vec<_>, Vec<_>) =
            filters.into_iter().filter_map(|(column, value)| Some((column, value.as_deref()?))).unzip();
        let conditions: Vec<Sql> = columns.into_iter().map(|column| sql!("r.\"{column}\" = ?", column)).collect();
        let filter = where_all(&conditions);
        let select = |tables: &StateTables| {
            let select = sql!(
                "SELECT r.\"DOCUMENT\", r.\"STREAM\" FROM {runs} r{filter} ORDER BY r.\"STARTED_AT\" DESC, r.\"ID\" DESC LIMIT {limit}",
                limit = query.limit,
                runs = &tables.runs,
                filter = &filter
            );
            values.iter().fold(Statement::new(select), |statement, &value| statement.bind(value))
        };
        let answer = StateTables::read(&mut *self.session().await?, &self.0.names, select, |_| Ok(false)).await?;
        let runs = answer.rows.iter().map(|row| run(&self.0.names, row, 0));
        runs.filter_map(Result::transpose).collect()
    }

    /// Removes all but the newest `keep` runs of a key, and returns their number.
    pub(super) async fn prune_runs(&self, session: &mut dyn Session, key: &StateKey, keep: i64) -> Result<u64> {
        let runs = self.0.names.state("SNOWFEED_RUN");
        // A run without a stream, which an older version has recorded for all streams, goes with the stream's own runs of its time.
        let old_runs = sql!(
            "DELETE FROM {runs} WHERE \"RESOURCE\" = ? AND \"ID\" IN (SELECT n.\"ID\" FROM (SELECT o.\"ID\", o.\"OWN\", \
             SUM(o.\"OWN\") OVER (ORDER BY o.\"STARTED_AT\" DESC, o.\"ID\" DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) \
             AS \"N\" FROM (SELECT \"ID\", \"STARTED_AT\", CASE WHEN \"STREAM\" = ? THEN 1 ELSE 0 END AS \"OWN\" FROM \
             {ingestion_run} WHERE \"RESOURCE\" = ? AND (\"STREAM\" = ? OR COALESCE(\"STREAM\", '') = '')) o) n WHERE n.\"N\" - \
             n.\"OWN\" >= ?)",
            runs,
            ingestion_run = self.0.names.state("INGESTION_RUN")
        );
        // Superseded records are not counted: users never saw them as rows.
        let superseded = sql!(
            "DELETE FROM {runs} WHERE \"RESOURCE\" = ? AND \"ID\" || ' ' || CAST(\"RECORDED_AT\" AS VARCHAR) NOT IN (SELECT \"ID\" \
             || ' ' || CAST(MAX(\"RECORDED_AT\") AS VARCHAR) FROM {runs} WHERE \"RESOURCE\" = ? GROUP BY \"ID\")",
            runs
        );
        let (resource, stream) = (key.resource.as_str(), key.stream.as_str());
        session.execute(Statement::new(superseded).bind(resource).bind(resource)).await?;
        let old_runs = Statement::new(old_runs).bind(resource).bind(stream).bind(resource).bind(stream).bind(keep);
        session.execute(old_runs).await?.rows_affected()
    }
}

/// The record of a run in bound values, as `b`.
const RECORD: &str = "(SELECT PARSE_JSON(?) AS \"RUN\", CAST(? AS NUMBER(38, 0)) AS \"SKIPPED\", CAST(? AS TIMESTAMP_NTZ) AS \
                      \"RECORDED_AT\", CAST(? AS TIMESTAMP_NTZ) AS \"STARTED_AT\", CAST(? AS TIMESTAMP_NTZ) AS \"ENDED_AT\", \
                      CAST(? AS VARCHAR) AS \"DOCUMENT\") b";

/// One of the records of [`RECORDS`].
#[derive(Serialize)]
struct Record {
    document: String,
    skipped: i64,
    recorded_at: String,
    started_at: String,
    ended_at: Option<String>,
}

/// The records of runs in a bound value, as `b`.
const RECORDS: &str = "(SELECT PARSE_JSON(f.value:document::VARCHAR) AS \"RUN\", f.value:skipped::NUMBER(38, 0) AS \"SKIPPED\", \
                       f.value:recorded_at::VARCHAR::TIMESTAMP_NTZ AS \"RECORDED_AT\", f.value:started_at::VARCHAR::TIMESTAMP_NTZ AS \
                       \"STARTED_AT\", f.value:ended_at::VARCHAR::TIMESTAMP_NTZ AS \"ENDED_AT\", f.value:document::VARCHAR AS \
                       \"DOCUMENT\" FROM (SELECT PARSE_JSON(?) AS \"RUNS\") a, LATERAL FLATTEN(input => a.\"RUNS\") f) b";

/// The columns of the run history, and their values over `b`.
fn record_columns() -> Vec<(&'static str, Sql)> {
    const NUMBERS: [(&str, &str); 11] = [
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
    ];
    const TEXTS: [(&str, &str); 6] = [
        ("ID", "id"),
        ("RESOURCE", "resource"),
        ("STREAM", "stream"),
        ("MODE", "mode"),
        ("STATUS", "status"),
        ("ERROR", "error.message"),
    ];
    const OTHERS: [&str; 5] = ["SKIPPED", "RECORDED_AT", "STARTED_AT", "ENDED_AT", "DOCUMENT"];
    let texts = TEXTS.map(|(column, path)| (column, sql!("b.\"RUN\":{path}::VARCHAR", path)));
    let numbers = NUMBERS.map(|(column, path)| (column, sql!("b.\"RUN\":{path}::NUMBER(38, 0)", path)));
    let others = OTHERS.map(|column| (column, sql!("b.\"{column}\"", column)));
    texts.into_iter().chain(numbers).chain(others).collect()
}

/// The names of the columns of the run history, each with a prefix.
fn column_list(prefix: &'static str) -> Sql {
    let names = record_columns().into_iter().map(|(column, _)| sql!("\"{prefix}{column}\"", prefix, column));
    Sql::join(&names.collect::<Vec<_>>(), ", ")
}

/// Reads the record whose document and stream begin at a column; `None`, with a warning, if it is unreadable. The document of an older
/// version has no stream.
pub(super) fn run(names: &Names, row: &Row, column: usize) -> Result<Option<RunRecord>> {
    let document = row.text(column)?;
    let run: Option<RunRecord> = serde_json::from_str(document)
        .inspect_err(|error| {
            let (table, row) = (names.state("INGESTION_RUN"), document.chars().take(80).collect::<String>());
            tracing::warn!(%table, %error, %row, "skipping an unreadable row of the run history: it was changed by hand");
        })
        .ok();
    let stream = row.get(column + 1)?.map(|stream| stream.to_string());
    Ok(run.map(|run| match stream {
        Some(stream) if run.stream.is_empty() => RunRecord { stream, ..run },
        _ => run,
    }))
}
