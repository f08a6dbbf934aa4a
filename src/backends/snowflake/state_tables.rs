//! The connector's own tables, in the version that this program writes.

use super::names::Names;
use super::pool::{is_missing, lacks_column};
use crate::Result;
use crate::snowflake::{QueryResult, Session, Sql, Statement, sql};

/// The schema version that this program writes.
pub(super) const VERSION: i64 = 3;

/// The statements that create the connector's own tables, in this version.
pub(crate) const STATE: &str = include_str!("state.sql");

/// The statements that create the connector's own tables, with qualified names.
pub(super) fn statements(names: &Names) -> Vec<Sql> {
    let text: String = STATE.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| with_names(statement, names)).collect()
}

/// The statement that creates one of the connector's own tables.
pub(super) fn statement(names: &Names, table: &str) -> Sql {
    let head = sql!("CREATE TABLE IF NOT EXISTS {table} ", table = names.state(table));
    statements(names).into_iter().find(|statement| statement.starts_with(&*head)).unwrap_or_default()
}

/// The SELECT of the view `INGESTION_RUN`.
pub(super) fn ingestion_run(names: &Names) -> Sql {
    let head = sql!("CREATE VIEW IF NOT EXISTS {view} AS", view = names.state("INGESTION_RUN"));
    let select = statements(names).into_iter().find_map(|statement| {
        let select = statement.strip_prefix(&*head)?;
        Some(Sql::assert_safe(select.trim().to_owned()))
    });
    select.unwrap_or_default()
}

/// Qualifies each name in braces.
fn with_names(statement: &str, names: &Names) -> Sql {
    let mut parts = statement.split('{');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (table, after) = part.split_once('}').unwrap_or((part, ""));
        whole += &names.state(table);
        whole += after;
    }
    Sql::assert_safe(whole)
}

/// The only stream of each resource that has a single one, as `RESOURCE` and `STREAM`: what an older version stored for such a resource
/// belongs to this stream.
pub(super) fn sole_streams(names: &Names) -> Sql {
    sql!(
        "(SELECT \"RESOURCE\", MIN(\"STREAM\") AS \"STREAM\" FROM {table} WHERE \"RESOURCE\" <> '' GROUP BY \"RESOURCE\" \
         HAVING COUNT(DISTINCT \"STREAM\") = 1)",
        table = names.state("SNOWFEED_TABLE")
    )
}

/// Where statements read states and runs.
pub(super) struct StateTables {
    /// `KEY`, `STREAM`, `VERSION`, `AT`, `DOCUMENT` and the sequences of each entry. An entry without a stream covers all streams.
    pub(super) entries: Sql,
    /// `ID`, `RESOURCE`, `STREAM`, `STARTED_AT` and `DOCUMENT` of each run.
    pub(super) runs: Sql,
}

impl StateTables {
    fn new(names: &Names) -> Self {
        Self { entries: names.state("APP_STATE"), runs: names.state("INGESTION_RUN") }
    }

    /// The tables with a stream for each entry and run that lacks one and whose resource has a single stream.
    fn with_sole_streams(names: &Names) -> Self {
        let stream = Sql::from("COALESCE(o.\"STREAM\", s.\"STREAM\")");
        let numbers = "o.\"SEQUENCE\", o.\"PARENT_STREAM\", o.\"PARENT_SEQUENCE\"".into();
        Self::joined(names, &stream, &stream, &numbers)
    }

    /// The tables of older versions, without streams and sequences, as the migration to version 3 leaves them.
    fn without_streams(names: &Names) -> Self {
        let numbers = "CAST(NULL AS NUMBER(38, 0)) AS \"SEQUENCE\", CAST(NULL AS VARCHAR) AS \"PARENT_STREAM\", \
                       CAST(NULL AS NUMBER(38, 0)) AS \"PARENT_SEQUENCE\"";
        Self::joined(names, &"COALESCE(s.\"STREAM\", '')".into(), &"s.\"STREAM\"".into(), &numbers.into())
    }

    /// The tables `o`, joined with the only stream `s` of a resource. The arguments are the stream of an entry, that of a run, and the
    /// sequences of an entry.
    fn joined(names: &Names, of_entry: &Sql, of_run: &Sql, numbers: &Sql) -> Self {
        let Self { entries, runs } = Self::new(names);
        let sole = sole_streams(names);
        let entries = sql!(
            "(SELECT o.\"KEY\", {of_entry} AS \"STREAM\", o.\"VERSION\", o.\"AT\", o.\"DOCUMENT\", {numbers} FROM {entries} o LEFT \
             JOIN {sole} s ON s.\"RESOURCE\" = o.\"KEY\")",
            of_entry,
            numbers,
            entries,
            sole
        );
        let runs = sql!(
            "(SELECT o.\"ID\", o.\"RESOURCE\", {of_run} AS \"STREAM\", o.\"STARTED_AT\", o.\"DOCUMENT\" FROM {runs} o LEFT JOIN \
             {sole} s ON s.\"RESOURCE\" = o.\"RESOURCE\")",
            of_run,
            runs,
            sole
        );
        Self { entries, runs }
    }

    /// Runs a statement that reads the tables. Missing ones are empty. Those of an older version are read without a migration, because
    /// a program that only reads changes nothing; if a migration has begun, what has no stream yet is read as the migration will leave
    /// it. `lacks_stream` is whether that matters in an answer.
    pub(super) async fn read(
        session: &mut dyn Session,
        names: &Names,
        select: impl Fn(&Self) -> Statement,
        lacks_stream: impl Fn(&QueryResult) -> Result<bool>,
    ) -> Result<QueryResult> {
        let mut answer = session.execute(select(&Self::new(names))).await;
        if let Ok(found) = &answer
            && lacks_stream(found)?
        {
            answer = session.execute(select(&Self::with_sole_streams(names))).await;
        }
        // A migration that has begun may have added some of the columns.
        if answer.as_ref().is_err_and(lacks_column) {
            answer = session.execute(select(&Self::without_streams(names))).await;
        }
        or_empty(answer)
    }
}

/// Treats missing tables as empty.
pub(super) fn or_empty(answer: Result<QueryResult>) -> Result<QueryResult> {
    match answer {
        Err(error) if is_missing(&error) => Ok(QueryResult::default()),
        answer => answer,
    }
}
