//! Sends a commit's rows to Snowflake: a few as one bound value, many as compressed files on a stage.

use super::Snowflake;
use super::names;
use super::plan::RowWrite;
use super::rows::NewestSequence;
use super::transaction::Fence;
use crate::snowflake::stage::{GzipLines, file_name};
use crate::snowflake::{Bind, Session, Sql, StagedFile, Statement, sql, stage_reference};
use crate::{Error, Result, RunId};

/// The destination of the rows of one table.
#[derive(Debug)]
pub(super) struct LoadTarget {
    /// The name of the raw table.
    pub(super) name: String,
    /// The run that commits.
    pub(super) run: RunId,
    /// The index of the table in its commit.
    pub(super) index: usize,
}

/// The rows of one table, as the source of a MERGE.
#[derive(Debug)]
pub(super) enum MergeInput<'a> {
    /// No rows.
    Empty,
    /// A bound value.
    Bound(Vec<RowWrite<'a>>),
    /// Files on the stage, to be loaded through a load table.
    Staged(Staged),
}

/// Rows on the stage.
#[derive(Debug)]
pub(super) struct Staged {
    /// The stage and the folder in it.
    folder: String,
    /// The qualified name of the load table.
    table: Sql,
    rows: u64,
    /// Whether a row replaces one of a higher version.
    replaces: bool,
    /// Whether a row must have a certain sequence.
    is_conditional: bool,
}

/// The additional column if a row replaces one of a higher version.
const REPLACES: &str = "CASE WHEN f.value:f::BOOLEAN THEN 1 ELSE 0 END AS \"REPLACES\"";

/// The additional column if a row must have a certain sequence.
const SEEN: &str = "f.value:s::NUMBER(38, 0) AS \"SEEN\"";

/// The rows of a bound value as columns; `f.value` is one row, and `b` holds the time and the number of the commit.
const ROWS: &str = "f.value:k::VARCHAR AS \"KEY\", COALESCE(f.value:q::VARCHAR, '') AS \"PARENT\", f.value:v::NUMBER(38, 0) AS \"VERSION\", f.value:o::VARCHAR AS \"ACT\", \
                    f.value:h::VARCHAR AS \"HASH\", f.value:d::VARCHAR AS \"DOCUMENT\", \
                    TRY_PARSE_JSON(CASE WHEN f.value:j::BOOLEAN THEN COALESCE(f.value:p::VARCHAR, f.value:d::VARCHAR) END, 'd') AS \"RAW\", b.\"AT\" AS \"AT\", b.\"SEQ\" AS \"SEQ\", \
                    CASE WHEN f.value:x::BOOLEAN THEN b.\"AT\" END AS \"DELETED_AT\"";

impl Snowflake {
    /// Prepares rows as the source of a MERGE; staged rows are not visible to users.
    pub(super) async fn merge_input<'a>(
        &self,
        session: &mut dyn Session,
        target: &LoadTarget,
        writes: Vec<RowWrite<'a>>,
    ) -> Result<MergeInput<'a>> {
        if writes.is_empty() {
            return Ok(MergeInput::Empty);
        }
        if writes.iter().map(RowWrite::size).sum::<usize>() <= self.0.max_bind_bytes {
            return Ok(MergeInput::Bound(writes));
        }
        self.clean_up(session).await;
        let names = &self.0.names;
        let table = names.raw(&names::load_name(&target.name, &target.run.to_string(), target.index));
        // DDL commits a transaction, so that this comes before it begins.
        let create = sql!(
            "CREATE OR REPLACE TRANSIENT TABLE {table} (\"ROW\" VARIANT) DATA_RETENTION_TIME_IN_DAYS = 0 DEFAULT_DDL_COLLATION = ''",
            table
        );
        session.execute(Statement::new(create)).await?;
        let folder = format!("{}/{}/{}", names.state("SNOWFEED_STAGE"), target.run, uuid::Uuid::now_v7().simple());
        let (rows, replaces) = (writes.len() as u64, writes.iter().any(RowWrite::replaces));
        let is_conditional = writes.iter().any(RowWrite::is_conditional);
        let mut writes = writes.into_iter().peekable();
        for number in 0.. {
            if writes.peek().is_none() {
                break;
            }
            let mut file = GzipLines::new();
            while let Some(write) = writes.next_if(|_| !file.is_full()) {
                file.add(&write).await?;
            }
            let (stage, name) = (folder.clone(), file_name(target.run, number));
            session.put(StagedFile { stage, name, content: file.finish()? }).await?;
        }
        Ok(MergeInput::Staged(Staged { folder, table, rows, replaces, is_conditional }))
    }
}

impl MergeInput<'_> {
    /// Returns the statement that merges the rows into a raw table, after loading staged files in the same transaction.
    ///
    /// The MERGE checks the version of each row again: a commit without a fence may have come between. A row that replaces a higher
    /// version is not checked, because the engine fences every such commit, or names the sequence that the row must have.
    ///
    /// Rows that it changes get the number after `newest`. It changes none if the transaction no longer holds the fence: rows that became
    /// visible on their own could share their number with another commit.
    pub(super) async fn merge(
        &self,
        session: &mut dyn Session,
        table: &Sql,
        at: &str,
        newest: &NewestSequence<'_>,
        fence: Option<&Fence>,
    ) -> Result<Option<Statement>> {
        let held = fence.map(|fence| sql!(" WHERE {held}", held = fence.is_held())).unwrap_or_default();
        let mut columns: Sql = ROWS.into();
        for (is_needed, column) in [(self.replaces(), REPLACES), (self.is_conditional(), SEEN)] {
            if is_needed {
                columns = sql!("{columns}, {column}", columns, column);
            }
        }
        let (rows, bind) = match self {
            Self::Empty => return Ok(None),
            Self::Bound(writes) => {
                let rows = sql!(
                    "SELECT {columns} FROM (SELECT PARSE_JSON(?) AS \"ROWS\", CAST(? AS TIMESTAMP_NTZ) AS \"AT\", {newest} + 1 AS \
                     \"SEQ\") b, LATERAL FLATTEN(input => b.\"ROWS\") f{held}",
                    columns,
                    held,
                    newest = newest.sql
                );
                (rows, Some(Bind::json(writes)?))
            }
            Self::Staged(staged) => {
                staged.load(session).await?;
                let rows = sql!(
                    "SELECT {columns} FROM {table} f CROSS JOIN (SELECT CAST(? AS TIMESTAMP_NTZ) AS \"AT\", {newest} + 1 AS \"SEQ\") b{held}",
                    held,
                    columns = columns.replace_fragment("f.value:", &"f.\"ROW\":"),
                    table = &staged.table,
                    newest = newest.sql
                );
                (rows, None)
            }
        };
        let newer = match self.replaces() {
            true => "(s.\"VERSION\" >= t.\"VERSION\" OR s.\"REPLACES\" = 1)",
            false => "s.\"VERSION\" >= t.\"VERSION\"",
        };
        let seen = match self.is_conditional() {
            true => " AND (s.\"SEEN\" IS NULL OR COALESCE(t.\"SEQ\", 0) = s.\"SEEN\")",
            false => "",
        };
        let newer = sql!("WHEN MATCHED AND {newer}{seen} AND s.\"ACT\" =", newer, seen);
        let merge = Statement::new(sql!(
            "MERGE INTO {table} t USING ({rows}) s ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = s.\"PARENT\" \
             {newer} 'write' THEN UPDATE SET \"VERSION\" = s.\"VERSION\", \"HASH\" = s.\"HASH\", \"RAW\" = s.\"RAW\", \
             \"DOCUMENT\" = s.\"DOCUMENT\", \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"DELETED_AT\", \"SEQ\" = s.\"SEQ\" \
             {newer} 'delete' THEN UPDATE SET \"VERSION\" = s.\"VERSION\", \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"AT\", \
             \"SEQ\" = s.\"SEQ\" \
             {newer} 'bump_version' THEN UPDATE SET \"VERSION\" = s.\"VERSION\" \
             WHEN NOT MATCHED THEN INSERT (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \"CHANGED_AT\", \
             \"DELETED_AT\", \"SEQ\", \"PARENT\") VALUES (s.\"KEY\", s.\"VERSION\", s.\"HASH\", s.\"RAW\", s.\"DOCUMENT\", s.\"AT\", s.\"AT\", \
             s.\"DELETED_AT\", s.\"SEQ\", NULLIF(s.\"PARENT\", ''))",
            table,
            rows,
            newer
        ));
        let merge = match bind {
            Some(bind) => merge.bind(bind),
            None => merge,
        };
        Ok(Some(newest.bind(merge.bind(at))))
    }

    /// Whether a row replaces one of a higher version.
    fn replaces(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Bound(writes) => writes.iter().any(RowWrite::replaces),
            Self::Staged(staged) => staged.replaces,
        }
    }

    /// Whether a row must have a certain sequence.
    fn is_conditional(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Bound(writes) => writes.iter().any(RowWrite::is_conditional),
            Self::Staged(staged) => staged.is_conditional,
        }
    }

    /// Whether a MERGE that has changed this many rows has left out one that it should have changed, as far as it matters: of rows
    /// without a condition, at least one is changed.
    pub(super) fn lacks_rows(&self, changed: u64) -> bool {
        let rows = match self {
            Self::Empty => 0,
            Self::Bound(writes) => writes.len() as u64,
            Self::Staged(staged) => staged.rows,
        };
        changed < if self.is_conditional() { rows } else { rows.min(1) }
    }

    /// Removes staged files and the load table; a later run removes what cannot be removed now. A transaction that could be neither
    /// committed nor rolled back keeps its load table, because DROP TABLE would commit it. It ends with its session.
    pub(super) async fn discard(self, session: &mut dyn Session) {
        let Self::Staged(Staged { folder, table, .. }) = self else { return };
        if !session.is_idle() {
            return;
        }
        let location = stage_reference(&format!("{folder}/"));
        for statement in [sql!("DROP TABLE IF EXISTS {table}", table), sql!("REMOVE {location}", location)] {
            if let Err(error) = session.execute(Statement::new(statement)).await {
                tracing::warn!(%error, "staged data of a commit could not be removed; a later run removes it");
            }
        }
    }
}

impl Staged {
    /// Loads the files into the table, and checks the number of rows: a skipped file would lose rows.
    async fn load(&self, session: &mut dyn Session) -> Result<()> {
        let Self { folder, table, rows, .. } = self;
        let location = stage_reference(&format!("{folder}/"));
        let copy = sql!("COPY INTO {table} FROM {location} FILE_FORMAT = (TYPE = JSON)", table, location);
        let copied = session.execute(Statement::new(copy)).await?;
        let column = copied.columns.iter().position(|column| column.eq_ignore_ascii_case("rows_loaded"));
        let each = copied.rows.iter().map(|file| column.map_or(Ok(0), |column| file.integer(column)));
        let loaded = each.sum::<Result<i64>>()?.unsigned_abs();
        if loaded != *rows {
            return Err(Error::unavailable("Snowflake has not loaded every row that was staged")
                .with_context("staged", rows)
                .with_context("loaded", loaded));
        }
        Ok(())
    }
}
