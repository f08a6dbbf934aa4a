//! Merges staged records, by the rule that all backends share: Snowflake decides itself, so that no key is read beforehand.
//!
//! A MERGE takes one record of a key. The records of a commit are therefore merged in rounds: the first of each key, then the second. Its
//! MERGE tells what a round did to how many rows or, where that is not enough, one more statement under the fence. Unverified: see
//! docs/unverified.md#staged-merge.

use super::documents::StoredDocuments;
use super::marks;
use super::names::{Names, literal};
use super::rows::NewestSequence;
use super::staging::{LOAD_COLUMNS, RecordTraits, StagedFiles};
use super::time;
use super::transaction::{self, Fence};
use crate::sink::{Commit, StalePolicy, StreamCommit, Sweep};
use crate::snowflake::{QueryResult, Session, Sql, Statement, sql, stage_reference};
use crate::{Counts, Error, Result, RunId};

/// Staged records, and the tables that they pass through.
pub(super) struct StagedMerge<'a> {
    names: &'a Names,
    documents: StoredDocuments,
    files: &'a StagedFiles,
    /// The whole name of the load table, which is temporary.
    load: Sql,
    /// The whole name of the raw table.
    raw: Sql,
    /// Whether the raw table is probably empty.
    is_new: bool,
}

/// The parts of the statements of a round.
struct Round<'a> {
    merge: &'a StagedMerge<'a>,
    number: usize,
    policy: StalePolicy,
    /// The reconcile run whose marks decide; `None` if none do.
    marked_by: Option<RunId>,
    commit: &'a Commit,
    part: &'a StreamCommit,
    held: Sql,
}

/// What a round does to its records.
#[derive(Debug, Default, PartialEq, Eq)]
struct RoundCounts {
    inserted: u64,
    /// Rows without a document, for deletions of unknown keys.
    inserted_deleted: u64,
    updated: u64,
    deleted: u64,
    /// Deleted rows that only get a higher version.
    bumped: u64,
    /// Records of existing rows that are not skipped.
    won: u64,
}

impl RoundCounts {
    /// The number of rows that the MERGE changes.
    fn written(&self) -> u64 {
        self.inserted + self.inserted_deleted + self.updated + self.deleted + self.bumped
    }

    fn count(&self, offered: u64) -> Counts {
        let mut counts = Counts {
            offered,
            inserted: self.inserted,
            updated: self.updated,
            deleted: self.deleted + self.inserted_deleted,
            unchanged: self.won.saturating_sub(self.updated + self.deleted),
            ..Counts::default()
        };
        let skipped = offered.saturating_sub(self.inserted + self.inserted_deleted + self.won);
        if skipped > 0 {
            counts.skip(Counts::OLDER, skipped);
        }
        counts
    }
}

impl<'a> StagedMerge<'a> {
    /// `index` is that of the part in its commit. Load tables belong to their session, which replaces the last one's content.
    pub(super) fn new(
        names: &'a Names,
        documents: StoredDocuments,
        name: &str,
        index: usize,
        files: &'a StagedFiles,
    ) -> Self {
        let load = names.state(&format!("SNOWFEED_LOAD_{index}"));
        Self { names, documents, files, load, raw: names.raw(name), is_new: false }
    }

    /// Tries an INSERT first if the raw table is new.
    pub(super) fn inserting_first(self, is_new: bool) -> Self {
        Self { is_new, ..self }
    }

    /// Creates the load table. DDL commits a transaction, so that this comes before it begins. The table ends with its session.
    pub(super) async fn create_table(&self, session: &mut dyn Session) -> Result<()> {
        let create = sql!(
            "CREATE OR REPLACE TEMPORARY TABLE {load} ({LOAD_COLUMNS}) DEFAULT_DDL_COLLATION = ''",
            load = &self.load,
            LOAD_COLUMNS
        );
        session.execute(Statement::new(create)).await.map(drop)
    }

    /// Loads the files, and checks the number of rows: a skipped file would lose some.
    async fn copy(&self, session: &mut dyn Session) -> Result<()> {
        let names: Vec<Sql> = self.files.names.iter().map(|name| literal(name)).collect();
        let copy = sql!(
            "COPY INTO {load} FROM {folder} FILES = ({names}) FILE_FORMAT = (TYPE = JSON COMPRESSION = GZIP MULTI_LINE = FALSE NULL_IF = ()) \
             MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT FORCE = TRUE",
            load = &self.load,
            folder = stage_reference(&format!("{}/", self.files.folder)),
            names = Sql::join(&names, ", ")
        );
        let copied = session.execute(Statement::new(copy)).await?;
        let staged = self.files.rows();
        let loaded = number_of(&copied, "rows_loaded")?.into_iter().sum::<u64>();
        if loaded != staged {
            return Err(Error::unavailable("Snowflake has not loaded every row that was staged")
                .with_context("staged", staged)
                .with_context("loaded", loaded));
        }
        Ok(())
    }

    /// Loads and merges the records of a part, and marks them, in the caller's transaction, which holds the fence. Returns their counts.
    pub(super) async fn write(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        fence: &Fence,
    ) -> Result<Counts> {
        let mut counts = Counts::default();
        if self.files.names.is_empty() {
            return Ok(counts);
        }
        self.copy(session).await?;
        let (policy, marked_by) = marks::policy_of(part);
        let sweep = match part.sweep {
            Some(Sweep::Mark(run, _)) => Some(run),
            _ => None,
        };
        for (number, offered) in self.files.rounds.iter().enumerate() {
            let round = Round { merge: self, number, policy, marked_by, commit, part, held: fence.is_held() };
            if let Some(sweep) = sweep.filter(|_| policy == StalePolicy::Verify) {
                round.mark(session, sweep).await?;
            }
            let done = round.merge(session, *offered, counts.changed()).await?;
            counts += &done;
            // Every key is in the first round.
            if let Some(sweep) = sweep.filter(|_| policy != StalePolicy::Verify && number == 0) {
                round.mark(session, sweep).await?;
            }
        }
        Ok(counts)
    }
}

impl Round<'_> {
    /// Whether the rows that a MERGE changes tell what it did: every record is an upsert that the version alone decides about.
    fn is_plain(&self) -> bool {
        self.merge.files.traits == RecordTraits::default() && self.policy == StalePolicy::Skip
    }

    /// Merges the round, and returns its counts. `is_numbered` says whether the commit has given its number to other rows of the table.
    async fn merge(&self, session: &mut dyn Session, offered: u64, is_numbered: bool) -> Result<Counts> {
        if self.merge.is_new && self.number == 0 && self.is_plain() {
            let inserted = session.execute(self.insert()).await?.rows_affected()?;
            if inserted == offered {
                return Ok(RoundCounts { inserted, ..RoundCounts::default() }.count(offered));
            }
            if inserted > 0 {
                return Err(transaction::lost());
            }
        }
        let mut expected = None;
        if !self.is_plain() {
            let counts = self.count(session).await?;
            if counts.written() == 0 {
                return Ok(counts.count(offered));
            }
            expected = Some(counts);
        }
        let merged = session.execute(self.statement(is_numbered)).await?;
        match expected {
            Some(counts) if merged.rows_affected()? != counts.written() => Err(transaction::lost()),
            Some(counts) => Ok(counts.count(offered)),
            None => {
                let [inserted, updated] = ["inserted", "updated"].map(|what| merged_rows(&merged, what));
                let (inserted, updated) = (inserted?, updated?);
                let skipped = match offered.saturating_sub(inserted + updated) {
                    0 => 0,
                    _ => self.count_older(session).await?,
                };
                Ok(RoundCounts {
                    inserted,
                    updated,
                    won: offered.saturating_sub(inserted + skipped),
                    ..RoundCounts::default()
                }
                .count(offered))
            }
        }
    }

    /// The records of the round, with the marks of their keys if those decide.
    fn source(&self, columns: &Sql) -> Sql {
        let (marked, marks) = match self.marked_by {
            None => ("", Sql::default()),
            Some(_) => (
                ", CASE WHEN m.\"KEY\" IS NULL THEN 0 ELSE 1 END AS \"MARKED\"",
                sql!(
                    " LEFT JOIN {keys} m ON m.\"KEY\" = l.\"KEY\" AND m.\"PARENT\" = COALESCE(l.\"PARENT\", '')",
                    keys = marks::marked_keys(self.merge.names)
                ),
            ),
        };
        sql!(
            "SELECT l.\"KEY\", COALESCE(l.\"PARENT\", '') AS \"PARENT\", l.\"VERSION\", l.\"HASH\", l.\"IS_VERIFIED\", \
             l.\"SEEN\"{columns}{marked} FROM {load} l{marks}",
            columns,
            marked,
            marks,
            load = &self.merge.load
        )
    }

    fn bind_marks(&self, statement: Statement) -> Statement {
        match self.marked_by {
            None => statement,
            Some(run) => marks::bind(statement, run, &self.commit.resource, &self.part.stream),
        }
    }

    /// The condition that a record `s` is not skipped, of an existing row `t`.
    fn wins(&self) -> Sql {
        let verified = if self.merge.files.traits.has_verified { " OR s.\"IS_VERIFIED\"" } else { "" };
        let stale = match self.policy {
            StalePolicy::Skip => "",
            StalePolicy::Verify => " OR (t.\"DELETED_AT\" IS NOT NULL AND s.\"HASH\" IS NOT NULL AND s.\"MARKED\" = 0)",
            StalePolicy::Replace => " OR s.\"MARKED\" = 0",
        };
        let seen = match self.merge.files.traits.has_conditions {
            true => " AND (s.\"SEEN\" IS NULL OR COALESCE(t.\"SEQ\", 0) = s.\"SEEN\")",
            false => "",
        };
        sql!("(s.\"VERSION\" >= t.\"VERSION\"{verified}{stale}){seen}", verified, stale, seen)
    }

    /// The number of the stream's newest commit.
    fn newest(&self) -> NewestSequence<'_> {
        NewestSequence::new(self.merge.names, &self.merge.raw, &self.commit.resource, &self.part.stream)
    }

    /// The records of the round, with their documents, and the time and the number of the commit.
    fn rows(&self, newest: &NewestSequence<'_>, is_numbered: bool) -> Sql {
        let is_whole = if self.merge.documents.keeps {
            ""
        } else {
            ", CASE WHEN l.\"JSON\" IS NULL THEN 1 ELSE 0 END AS \"IS_WHOLE\""
        };
        let columns = sql!(
            ", l.\"DOCUMENT\", TRY_PARSE_JSON(CASE WHEN l.\"IS_INVALID\" IS NULL THEN COALESCE(l.\"JSON\", l.\"DOCUMENT\") END, 'd') AS \
             \"RAW\", b.\"AT\", b.\"SEQ\"{is_whole}",
            is_whole
        );
        let rows = sql!(
            "{source} CROSS JOIN (SELECT CAST(? AS TIMESTAMP_NTZ) AS \"AT\", {newest} + {step} AS \"SEQ\") b WHERE l.\"ROUND\" = {round} \
             AND {held}",
            source = self.source(&columns),
            newest = &newest.sql,
            step = if is_numbered { "0" } else { "1" },
            round = self.number,
            held = &self.held
        );
        self.merge.documents.source(rows)
    }

    fn bind_rows(&self, statement: Sql, newest: &NewestSequence<'_>) -> Statement {
        newest.bind(self.bind_marks(Statement::new(statement)).bind(time::ntz_text(self.commit.at)))
    }

    /// The statement that inserts plain records, if the table is empty.
    fn insert(&self) -> Statement {
        let newest = self.newest();
        let insert = sql!(
            "INSERT INTO {raw} (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \"CHANGED_AT\", \"SEQ\", \"PARENT\") \
             SELECT s.\"KEY\", s.\"VERSION\", s.\"HASH\", s.\"RAW\", {document}, s.\"AT\", s.\"AT\", s.\"SEQ\", NULLIF(s.\"PARENT\", '') FROM \
             ({rows}) s WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {raw})",
            raw = &self.merge.raw,
            document = self.merge.documents.column(),
            rows = self.rows(&newest, false)
        );
        self.bind_rows(insert, &newest)
    }

    /// The statement that merges the round.
    fn statement(&self, is_numbered: bool) -> Statement {
        let newest = self.newest();
        let merge = sql!(
            "MERGE INTO {raw} t USING ({rows}) s ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = s.\"PARENT\" \
             WHEN MATCHED AND {wins} AND {UPDATES} THEN UPDATE SET \"VERSION\" = s.\"VERSION\", \"HASH\" = s.\"HASH\", \"RAW\" = s.\"RAW\", \
             \"DOCUMENT\" = {document}, \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = NULL, \"SEQ\" = s.\"SEQ\" \
             WHEN MATCHED AND {wins} AND {DELETES} THEN UPDATE SET \"VERSION\" = GREATEST(t.\"VERSION\", s.\"VERSION\"), \
             \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"AT\", \"SEQ\" = s.\"SEQ\" \
             WHEN MATCHED AND {wins} AND {BUMPS} THEN UPDATE SET \"VERSION\" = s.\"VERSION\" \
             WHEN NOT MATCHED AND s.\"SEEN\" IS NULL THEN INSERT (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \
             \"CHANGED_AT\", \"DELETED_AT\", \"SEQ\", \"PARENT\") VALUES (s.\"KEY\", s.\"VERSION\", s.\"HASH\", s.\"RAW\", {document}, \
             s.\"AT\", s.\"AT\", CASE WHEN s.\"HASH\" IS NULL THEN s.\"AT\" END, s.\"SEQ\", NULLIF(s.\"PARENT\", ''))",
            raw = &self.merge.raw,
            rows = self.rows(&newest, is_numbered),
            document = self.merge.documents.column(),
            wins = self.wins(),
            UPDATES,
            DELETES,
            BUMPS
        );
        self.bind_rows(merge, &newest)
    }

    /// Counts what the MERGE is going to do. No other transaction changes the table meanwhile: this one holds the fence.
    async fn count(&self, session: &mut dyn Session) -> Result<RoundCounts> {
        let matched = sql!("t.\"KEY\" IS NOT NULL AND {wins}", wins = self.wins());
        let new: Sql = "t.\"KEY\" IS NULL AND s.\"SEEN\" IS NULL".into();
        let sum = |condition: Sql| sql!("CAST(COUNT(CASE WHEN {condition} THEN 1 END) AS VARCHAR)", condition);
        let counts = [
            sum(sql!("{new} AND s.\"HASH\" IS NOT NULL", new = &new)),
            sum(sql!("{new} AND s.\"HASH\" IS NULL", new = &new)),
            sum(sql!("{matched} AND {UPDATES}", matched = &matched, UPDATES)),
            sum(sql!("{matched} AND {DELETES}", matched = &matched, DELETES)),
            sum(sql!("{matched} AND {BUMPS}", matched = &matched, BUMPS)),
            sum(matched),
        ];
        let select = sql!(
            "SELECT {counts} FROM ({source} WHERE l.\"ROUND\" = {round}) s LEFT JOIN {raw} t ON t.\"KEY\" = s.\"KEY\" AND \
             COALESCE(t.\"PARENT\", '') = s.\"PARENT\"",
            counts = Sql::join(&counts, ", "),
            source = self.source(&Sql::default()),
            round = self.number,
            raw = &self.merge.raw
        );
        let answer = session.execute(self.bind_marks(Statement::new(select))).await?;
        let row = answer.rows.first().ok_or_else(|| Error::internal("a count has no row"))?;
        let count = |column| Ok::<_, Error>(row.integer(column)?.unsigned_abs());
        Ok(RoundCounts {
            inserted: count(0)?,
            inserted_deleted: count(1)?,
            updated: count(2)?,
            deleted: count(3)?,
            bumped: count(4)?,
            won: count(5)?,
        })
    }

    /// Counts the records that are older than their rows, after a plain MERGE.
    async fn count_older(&self, session: &mut dyn Session) -> Result<u64> {
        let select = sql!(
            "SELECT CAST(COUNT(*) AS VARCHAR) AS \"OLDER\", CASE WHEN {held} THEN '1' ELSE '0' END AS \"HELD\" FROM ({source} WHERE \
             l.\"ROUND\" = {round}) s JOIN {raw} t ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = s.\"PARENT\" AND \
             s.\"VERSION\" < t.\"VERSION\"",
            held = &self.held,
            source = self.source(&Sql::default()),
            round = self.number,
            raw = &self.merge.raw
        );
        let answer = session.execute(self.bind_marks(Statement::new(select))).await?;
        let row = answer.rows.first().ok_or_else(|| Error::internal("a count has no row"))?;
        if !row.boolean(1)? {
            return Err(transaction::lost());
        }
        Ok(row.integer(0)?.unsigned_abs())
    }

    /// Marks the keys of the round for a reconcile run. One that the source must be asked about is not marked.
    async fn mark(&self, session: &mut dyn Session, run: RunId) -> Result<()> {
        let current = match self.policy {
            StalePolicy::Skip | StalePolicy::Replace => Sql::default(),
            StalePolicy::Verify => sql!(
                " AND NOT EXISTS (SELECT 1 AS \"ONE\" FROM {raw} t WHERE t.\"KEY\" = l.\"KEY\" AND COALESCE(t.\"PARENT\", '') = \
                 COALESCE(l.\"PARENT\", '') AND l.\"VERSION\" < t.\"VERSION\" AND l.\"IS_VERIFIED\" IS NULL)",
                raw = &self.merge.raw
            ),
        };
        let mark = sql!(
            "INSERT INTO {seen} (\"RUN\", \"RESOURCE\", \"STREAM\", \"KEY\", \"PARENT\") SELECT CAST(? AS VARCHAR), CAST(? AS VARCHAR), \
             CAST(? AS VARCHAR), l.\"KEY\", l.\"PARENT\" FROM {load} l WHERE l.\"ROUND\" = {round} AND l.\"SEEN\" IS NULL{current}",
            seen = self.merge.names.state("SNOWFEED_SEEN"),
            load = &self.merge.load,
            round = self.number,
            current
        );
        let mark = marks::bind(Statement::new(mark), run, &self.commit.resource, &self.part.stream);
        session.execute(mark).await.map(drop)
    }
}

/// The conditions of what a record `s` that is not skipped does to its row `t`.
const UPDATES: &str = "s.\"HASH\" IS NOT NULL AND (s.\"VERSION\" <> t.\"VERSION\" OR t.\"DELETED_AT\" IS NOT NULL OR t.\"HASH\" IS NULL OR \
                       t.\"HASH\" <> s.\"HASH\")";
const DELETES: &str = "s.\"HASH\" IS NULL AND t.\"DELETED_AT\" IS NULL";
const BUMPS: &str = "s.\"HASH\" IS NULL AND t.\"DELETED_AT\" IS NOT NULL AND s.\"VERSION\" > t.\"VERSION\"";

/// The numbers in a column of an answer.
fn number_of(answer: &QueryResult, name: &str) -> Result<Vec<u64>> {
    let Some(column) = answer.columns.iter().position(|column| column.eq_ignore_ascii_case(name)) else {
        return Ok(Vec::new());
    };
    answer.rows.iter().map(|row| Ok(row.integer(column)?.unsigned_abs())).collect()
}

/// The number of rows that a MERGE has inserted or updated.
fn merged_rows(answer: &QueryResult, what: &str) -> Result<u64> {
    let numbers = number_of(answer, &format!("number of rows {what}"))?;
    let [number] = numbers.as_slice() else {
        return Err(
            Error::invalid_data("Snowflake did not return how many rows a MERGE changed").with_context("missing", what)
        );
    };
    Ok(*number)
}
