//! `APP_STATE` and `INGESTION_RUN`.

use std::collections::HashMap;

use async_trait::async_trait;

use super::client::{Answer, Row, Session, Statement};
use super::commit::json;
use super::names::Names;
use super::pool::is_missing;
use super::retry::Unanswered;
use super::{Snowflake, retry, time};
use crate::backends::merge::conflict;
use crate::state::{RunRecord, Standing, StateChange, StateEntry, StateStore, StateVersion};
use crate::{Error, ErrorKind, Result};

/// Makes the row that is locked by whoever appends an entry of this key, where it has never had one. It is no part of the
/// transaction: there it could not be seen by another one.
pub(super) async fn prepare(session: &mut dyn Session, names: &Names, change: &StateChange) -> Result<()> {
    if change.base != StateVersion::NONE {
        return Ok(());
    }
    let fence = names.state("SNOWFEED_FENCE");
    let insert = format!(
        "INSERT INTO {fence} (\"KEY\", \"VERSION\") SELECT b.\"KEY\", 0 FROM (SELECT CAST(? AS VARCHAR) AS \"KEY\") b \
         WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {fence} f WHERE f.\"KEY\" = b.\"KEY\")"
    );
    match session.execute(Statement::new(insert).bind(change.key.as_str())).await {
        // Another one has made it at the same moment.
        Err(error) if is_duplicate(&error) => Ok(()),
        done => done.map(drop),
    }
}

/// Whether a server that enforces keys has refused a second row of one.
fn is_duplicate(error: &Error) -> bool {
    error.to_string().to_ascii_lowercase().contains("duplicate key")
}

/// Stores a change in a transaction that the caller has begun; refuses it when another run has moved on.
///
/// The update locks the table until the transaction ends, so that of two appends on one base the second one waits and then
/// finds another version. What it then inserts depends on the entries themselves once more.
pub(super) async fn append(session: &mut dyn Session, names: &Names, change: &StateChange) -> Result<StateVersion> {
    let mut version = change.base;
    if let Some(state) = &change.state {
        let base = i64::try_from(change.base.0).unwrap_or(i64::MAX);
        let raise = format!(
            "UPDATE {} SET \"VERSION\" = \"VERSION\" + 1 WHERE \"KEY\" = ? AND \"VERSION\" = ?",
            names.state("SNOWFEED_FENCE")
        );
        let raised = session.execute(Statement::new(raise).bind(change.key.as_str()).bind(base)).await?;
        if raised.affected()? == 0 {
            return Err(conflict(&change.key, change.base, change.base));
        }
        let entries = names.state("APP_STATE");
        let insert = format!(
            "INSERT INTO {entries} (\"TIMESTAMP\", \"KEY\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\") SELECT \
             CAST(REPLACE(REPLACE(e.\"AT\", 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ), e.\"KEY\", PARSE_JSON(e.\"DOCUMENT\"), \
             e.\"BASE\" + 1, e.\"AT\", e.\"DOCUMENT\" FROM (SELECT b.\"KEY\", b.\"BASE\", b.\"DOCUMENT\", CASE WHEN n.\"AT\" > \
             b.\"AT\" THEN n.\"AT\" ELSE b.\"AT\" END AS \"AT\" FROM (SELECT CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS \
             NUMBER(38, 0)) AS \"BASE\", CAST(? AS VARCHAR) AS \"AT\", CAST(? AS VARCHAR) AS \"DOCUMENT\") b LEFT JOIN (SELECT \
             \"KEY\", MAX(\"VERSION\") AS \"VERSION\", MAX(\"AT\") AS \"AT\" FROM {entries} GROUP BY \"KEY\") n \
             ON n.\"KEY\" = b.\"KEY\" WHERE COALESCE(n.\"VERSION\", 0) = b.\"BASE\") e"
        );
        let document = serde_json::to_string(state)
            .map_err(|error| Error::internal("a state cannot be written as JSON").with_source(error))?;
        let insert = Statement::new(insert).bind(change.key.as_str()).bind(base).bind(time::exact(change.at));
        if session.execute(insert.bind(document)).await?.affected()? == 0 {
            return Err(conflict(&change.key, change.base, change.base));
        }
        version = StateVersion(change.base.0 + 1);
    }
    if let Some(run) = &change.run {
        record(session, names, run).await?;
    }
    Ok(version)
}

/// What a refusal of a change means. Where the change is the newest entry, an earlier try has come through unanswered, and gives
/// what it would have given; else another run has moved on, and the error names the version that was found.
pub(super) async fn settle<T>(
    session: &mut dyn Session,
    names: &Names,
    change: &StateChange,
    refusal: Error,
    unanswered: Option<T>,
) -> Result<T> {
    let Ok(newest) = entries(session, names, &change.key, 1).await else { return Err(refusal) };
    let newest = newest.into_iter().next();
    let is_ours = |entry: &StateEntry| {
        entry.version.0 == change.base.0 + 1 && change.state.as_ref().is_some_and(|state| *state == entry.state)
    };
    match unanswered.filter(|_| newest.as_ref().is_some_and(is_ours)) {
        Some(given) => Ok(given),
        None => Err(conflict(&change.key, change.base, newest.map_or(StateVersion::NONE, |entry| entry.version))),
    }
}

/// Stores a run's record in place of the one of the same run.
async fn record(session: &mut dyn Session, names: &Names, run: &RunRecord) -> Result<()> {
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
    let mut values: Vec<(&str, String)> = Vec::new();
    values.extend(TEXTS.map(|(column, path)| (column, format!("b.\"RUN\":{path}::VARCHAR"))));
    values.extend(NUMBERS.map(|(column, path)| match path {
        "" => (column, "b.\"SKIPPED\"".to_owned()),
        path => (column, format!("b.\"RUN\":{path}::NUMBER(38, 0)")),
    }));
    values.extend(["STARTED_AT", "ENDED_AT", "DOCUMENT"].map(|column| (column, format!("b.\"{column}\""))));
    let select = values.iter().map(|(column, value)| format!("{value} AS \"{column}\"")).collect::<Vec<_>>().join(", ");
    let columns: Vec<String> = values.iter().map(|(column, _)| format!("\"{column}\"")).collect();
    let set = columns.iter().filter(|column| *column != "\"ID\"").map(|column| format!("{column} = s.{column}"));
    let merge = format!(
        "MERGE INTO {} t USING (SELECT {select} FROM (SELECT PARSE_JSON(?) AS \"RUN\", CAST(? AS NUMBER(38, 0)) AS \"SKIPPED\", \
         CAST(? AS TIMESTAMP_NTZ) AS \"STARTED_AT\", CAST(? AS TIMESTAMP_NTZ) AS \"ENDED_AT\", CAST(? AS VARCHAR) AS \
         \"DOCUMENT\") b) s ON t.\"ID\" = s.\"ID\" WHEN MATCHED THEN UPDATE SET {set} WHEN NOT MATCHED THEN INSERT \
         ({columns}) VALUES ({values})",
        names.state("INGESTION_RUN"),
        set = set.collect::<Vec<_>>().join(", "),
        columns = columns.join(", "),
        values = columns.iter().map(|column| format!("s.{column}")).collect::<Vec<_>>().join(", "),
    );
    let document = json(run)?;
    let skipped = i64::try_from(run.counts.skipped_total()).unwrap_or(i64::MAX);
    let merge = Statement::new(merge).bind(document.clone()).bind(skipped).bind(time::stamp(run.started_at));
    session.execute(merge.bind(run.ended_at.map(time::stamp)).bind(document)).await.map(drop)
}

/// The newest entries of a key.
async fn entries(session: &mut dyn Session, names: &Names, key: &str, limit: usize) -> Result<Vec<StateEntry>> {
    let select = format!(
        "SELECT CAST(\"VERSION\" AS VARCHAR) AS \"V\", \"AT\", \"DOCUMENT\" FROM {} WHERE \"KEY\" = ? \
         ORDER BY \"VERSION\" DESC LIMIT {limit}",
        names.state("APP_STATE")
    );
    let answer = found(session.execute(Statement::new(select).bind(key)).await)?;
    answer.rows.iter().map(|row| entry(row, 0)).collect()
}

/// What was found; nothing, where nobody has made the tables yet.
pub(super) fn found(answer: Result<Answer>) -> Result<Answer> {
    match answer {
        Err(error) if is_missing(&error) => Ok(Answer::default()),
        answer => answer,
    }
}

/// The entry whose version, time and document begin at a column.
fn entry(row: &Row, column: usize) -> Result<StateEntry> {
    Ok(StateEntry {
        version: StateVersion(row.integer(column)?.unsigned_abs()),
        at: time::read(row.text(column + 1)?)?,
        state: serde_json::from_str(row.text(column + 2)?).map_err(|error| unreadable("APP_STATE", error))?,
    })
}

fn run(document: &str) -> Result<RunRecord> {
    serde_json::from_str(document).map_err(|error| unreadable("INGESTION_RUN", error))
}

fn unreadable(table: &str, error: serde_json::Error) -> Error {
    Error::invalid_data(format!("a row of {table} cannot be read"))
        .with_source(error)
        .with_help("it was written by another version of this program, or changed by hand")
}

#[async_trait]
impl StateStore for Snowflake {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        let unanswered = Unanswered::none();
        retry::transaction(|| self.try_append(&change, &unanswered)).await
    }

    async fn latest(&self, key: &str) -> Result<Option<StateEntry>> {
        let mut session = self.session().await?;
        Ok(entries(&mut *session, &self.0.names, key, 1).await?.pop())
    }

    async fn history(&self, key: &str, limit: usize) -> Result<Vec<StateEntry>> {
        entries(&mut *self.session().await?, &self.0.names, key, limit).await
    }

    async fn runs(&self, key: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let mut select = Statement::new(format!(
            "SELECT \"DOCUMENT\" FROM {}{} ORDER BY \"STARTED_AT\" DESC, \"ID\" DESC LIMIT {limit}",
            self.0.names.state("INGESTION_RUN"),
            if key.is_some() { " WHERE \"RESOURCE\" = ?" } else { "" },
        ));
        if let Some(key) = key {
            select = select.bind(key);
        }
        let answer = found(self.session().await?.execute(select).await)?;
        answer.rows.iter().map(|row| run(row.text(0)?)).collect()
    }

    async fn prune(&self, key: &str, keep: usize) -> Result<u64> {
        let keep = i64::try_from(keep.max(1)).unwrap_or(i64::MAX);
        let (entries, runs) = (self.0.names.state("APP_STATE"), self.0.names.state("INGESTION_RUN"));
        let old_entries = format!(
            "DELETE FROM {entries} WHERE \"KEY\" = ? AND \"VERSION\" <= (SELECT MAX(\"VERSION\") FROM {entries} WHERE \"KEY\" \
             = ?) - ?"
        );
        let old_runs = format!(
            "DELETE FROM {runs} WHERE \"ID\" IN (SELECT n.\"ID\" FROM (SELECT \"ID\", ROW_NUMBER() OVER (ORDER BY \
             \"STARTED_AT\" DESC, \"ID\" DESC) AS \"N\" FROM {runs} WHERE \"RESOURCE\" = ?) n WHERE n.\"N\" > ?)"
        );
        let mut session = self.session().await?;
        let entries = session.execute(Statement::new(old_entries).bind(key).bind(key).bind(keep)).await?.affected()?;
        let runs = session.execute(Statement::new(old_runs).bind(key).bind(keep)).await?.affected()?;
        Ok(entries + runs)
    }

    async fn standings(&self, keys: &[String]) -> Result<Vec<Standing>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // Without a bound value the text is always the same, so that Snowflake can answer from its cache of results.
        let select = format!(
            "SELECT 'entry' AS \"WHAT\", \"KEY\", CAST(\"VERSION\" AS VARCHAR) AS \"V\", \"AT\", \"DOCUMENT\" FROM {} QUALIFY \
             ROW_NUMBER() OVER (PARTITION BY \"KEY\" ORDER BY \"VERSION\" DESC) = 1 UNION ALL SELECT 'run' AS \"WHAT\", \
             \"RESOURCE\" AS \"KEY\", NULL AS \"V\", NULL AS \"AT\", \"DOCUMENT\" FROM {} QUALIFY ROW_NUMBER() OVER \
             (PARTITION BY \"RESOURCE\" ORDER BY \"STARTED_AT\" DESC, \"ID\" DESC) = 1",
            self.0.names.state("APP_STATE"),
            self.0.names.state("INGESTION_RUN"),
        );
        let answer = found(self.session().await?.execute(Statement::new(select)).await)?;
        let places: HashMap<&str, usize> = keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
        let mut standings = vec![Standing::default(); keys.len()];
        for row in &answer.rows {
            let Some(&place) = places.get(&**row.text(1)?) else { continue };
            match row.text(0)?.as_ref() {
                "entry" => standings[place].entry = Some(entry(row, 2)?),
                _ => standings[place].run = Some(run(row.text(4)?)?),
            }
        }
        Ok(standings)
    }

    fn is_metered(&self) -> bool {
        true
    }
}

impl Snowflake {
    async fn try_append(&self, change: &StateChange, unanswered: &Unanswered<StateVersion>) -> Result<StateVersion> {
        let mut session = self.session().await?;
        self.catalog(&mut *session).await?.ready(&mut *session, &self.0.names).await?;
        if change.state.is_none() {
            return append(&mut *session, &self.0.names, change).await;
        }
        prepare(&mut *session, &self.0.names, change).await?;
        session.begin().await?;
        let appended = append(&mut *session, &self.0.names, change).await;
        match session.end(appended, unanswered).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                settle(&mut *session, &self.0.names, change, error, unanswered.take()).await
            }
            done => done,
        }
    }
}
