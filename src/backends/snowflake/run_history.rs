//! The run history: the records that a change of state stores in `SNOWFEED_RUN`, and the view `INGESTION_RUN` over them.

use super::names::Names;
use super::rejects::where_all;
use super::state_tables::StateTables;
use super::transaction::{self, Fence};
use super::{Snowflake, time};
use crate::snowflake::{Bind, Row, Session, Sql, Statement, sql};
use crate::state::{RunQuery, RunRecord, StateChange, StateKey};
use crate::{Result, RunStatus};

impl Snowflake {
    /// Appends the record of a change's run. A change with a new state also records that it interrupts the runs that it supersedes.
    pub(super) async fn record_run(
        &self,
        session: &mut dyn Session,
        change: &StateChange,
        fence: Option<&Fence>,
    ) -> Result<()> {
        let superseding = fence.filter(|_| change.state.is_some());
        match (&change.run, superseding) {
            (Some(run), superseding) => self.record(session, run, fence, superseding).await,
            (None, Some(fence)) => self.end_superseded(session, &change.key, fence).await,
            (None, None) => Ok(()),
        }
    }

    /// Appends the record of a run, if the fence is held; with `superseding`, also ends the runs that it supersedes.
    async fn record(
        &self,
        session: &mut dyn Session,
        run: &RunRecord,
        fence: Option<&Fence>,
        superseding: Option<&Fence>,
    ) -> Result<()> {
        let held = fence.map(|fence| sql!(" WHERE {held}", held = fence.is_held())).unwrap_or_default();
        let (columns, select) = record_columns();
        let superseded = superseding
            .map(|fence| sql!(" UNION ALL {superseded}", superseded = self.superseded(fence)))
            .unwrap_or_default();
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
        if superseding.is_some() {
            insert = insert.bind(run.resource.as_str()).bind(run.stream.as_str()).bind(run.id.to_string());
        }
        if session.execute(insert).await?.rows_affected()? == 0 { Err(transaction::lost()) } else { Ok(()) }
    }

    /// Interrupts the running runs of a key that a change without a run supersedes.
    async fn end_superseded(&self, session: &mut dyn Session, key: &StateKey, fence: &Fence) -> Result<()> {
        let (columns, _) = record_columns();
        let insert = sql!(
            "INSERT INTO {run} ({columns}) {fence}",
            columns,
            run = self.0.names.state("SNOWFEED_RUN"),
            fence = self.superseded(fence)
        );
        let insert = Statement::new(insert).bind(key.resource.as_str()).bind(key.stream.as_str());
        session.execute(insert.bind("")).await.map(drop)
    }

    /// Selects the newest records of the other running runs of a key, as interrupted. If one of these runs is still alive, its own
    /// later record counts. A run without a stream belongs to an older version, which can no longer commit.
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
            "SELECT {values} FROM (SELECT * FROM {run} WHERE \"RESOURCE\" = ? AND (\"STREAM\" = ? OR \"STREAM\" IS NULL) QUALIFY \
             ROW_NUMBER() OVER (PARTITION BY \"ID\" ORDER BY \"RECORDED_AT\" DESC) = 1) r WHERE r.\"ID\" <> ? AND r.\"STATUS\" = \
             '{running}' AND {held}",
            values,
            running,
            run = self.0.names.state("SNOWFEED_RUN"),
            held = fence.is_held()
        )
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
    const TEXTS: [(&str, &str); 6] = [
        ("ID", "id"),
        ("RESOURCE", "resource"),
        ("STREAM", "stream"),
        ("MODE", "mode"),
        ("STATUS", "status"),
        ("ERROR", "error.message"),
    ];
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
