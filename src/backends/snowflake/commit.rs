//! Commits: rows, marks, rejects and state in one transaction.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::client::{Bind, Session, Statement};
use super::load::{Place, Source};
use super::plan::{hex, plan, unhex};
use super::pool::is_missing;
use super::retry::Unanswered;
use super::{Snowflake, state, time};
use crate::backends::merge::{Present, not_ensured};
use crate::record::content_hash;
use crate::sink::{Commit, CommitReport, Rows, Sweep};
use crate::{Counts, Error, ErrorKind, Reject, Result, StateVersion, Version};

/// The rows of one raw table that a commit writes.
struct Write<'a> {
    place: Place,
    rows: &'a Rows,
    source: Source<'a>,
}

impl Snowflake {
    /// Does everything that a commit asks for.
    pub(super) async fn try_commit(
        &self,
        commit: &Commit,
        unanswered: &Unanswered<CommitReport>,
    ) -> Result<CommitReport> {
        let mut session = self.session().await?;
        self.check_ensured(&mut *session, commit).await?;
        let (mut counts, mut writes) = (Counts::default(), Vec::new());
        for (number, rows) in commit.rows.iter().enumerate() {
            let name = self.raw_name(&mut *session, &commit.resource, &rows.table).await?;
            let place = Place { name, run: commit.run, number };
            let present = self.present(&mut *session, &place, rows).await?;
            let (images, counted) = plan(present, &rows.records);
            counts += &counted;
            counts.offered += rows.rejects.len() as u64;
            counts.rejected += rows.rejects.len() as u64;
            let source = self.source(&mut *session, &place, images).await?;
            writes.push(Write { place, rows, source });
        }
        if let Some(change) = commit.change.as_ref().filter(|change| change.state.is_some()) {
            state::prepare(&mut *session, &self.0.names, change).await?;
        }
        session.begin().await?;
        let written = self.write_all(&mut *session, commit, &writes).await;
        let report = written.map(|version| CommitReport { counts, version });
        let ended = session.end(report, unanswered).await;
        for write in writes {
            write.source.discard(&mut *session).await;
        }
        match (ended, &commit.change) {
            (Err(error), Some(change)) if error.kind() == ErrorKind::Conflict => {
                state::settle(&mut *session, &self.0.names, change, error, unanswered.take()).await
            }
            (ended, _) => ended,
        }
    }

    /// Writes everything, in a transaction that the caller has begun. What locks tables of all resources comes last.
    async fn write_all(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        writes: &[Write<'_>],
    ) -> Result<Option<StateVersion>> {
        for write in writes {
            self.write(session, commit, write).await?;
        }
        if let Some(Sweep::Finish(pass)) = commit.sweep {
            let forget = format!("DELETE FROM {} WHERE \"RUN\" = ?", self.0.names.state("SNOWFEED_SEEN"));
            session.execute(Statement::new(forget).bind(pass.to_string())).await?;
        }
        match &commit.change {
            Some(change) => state::append(session, &self.0.names, change).await.map(Some),
            None => Ok(None),
        }
    }

    /// Refuses a resource or a table that nobody made room for.
    async fn check_ensured(&self, session: &mut dyn Session, commit: &Commit) -> Result<()> {
        let mut catalog = self.catalog(session).await?;
        catalog.ready(session, &self.0.names).await?;
        if !catalog.knows(&commit.resource) {
            return Err(not_ensured(&commit.resource, ""));
        }
        match commit.rows.iter().find(|rows| catalog.name(&commit.resource, &rows.table).is_none()) {
            Some(rows) => Err(not_ensured(&commit.resource, &rows.table)),
            None => Ok(()),
        }
    }

    /// What the raw table has of the keys of these rows.
    async fn present(&self, session: &mut dyn Session, place: &Place, rows: &Rows) -> Result<HashMap<String, Present>> {
        let keys: HashSet<&str> = rows.records.iter().map(|record| record.key.as_str()).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let select = format!(
            "SELECT t.\"KEY\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", t.\"HASH\", \
             CASE WHEN t.\"DELETED_AT\" IS NULL THEN '0' ELSE '1' END AS \"DELETED\" FROM {} t JOIN \
             (SELECT f.value::VARCHAR AS \"KEY\" FROM (SELECT PARSE_JSON(?) AS \"KEYS\") b, \
             LATERAL FLATTEN(input => b.\"KEYS\") f) s ON t.\"KEY\" = s.\"KEY\"",
            self.0.names.raw(&place.name)
        );
        let answer = session.execute(Statement::new(select).bind(json(&keys)?)).await;
        let answer = answer.map_err(|error| self.name_missing(error, place))?;
        let found = answer.rows.iter().map(|row| {
            let hash = row.get(2)?.and_then(|hash| unhex(hash));
            let found = Present { version: Version(row.integer(1)?), hash, deleted: row.boolean(3)? };
            Ok((row.text(0)?.to_string(), found))
        });
        found.collect()
    }

    /// A raw table that somebody has dropped is not made again by itself: the state claims that its rows are there.
    fn name_missing(&self, error: Error, place: &Place) -> Error {
        if !is_missing(&error) {
            return error;
        }
        let (table, catalog) = (self.0.names.raw(&place.name), self.0.names.state("SNOWFEED_TABLE"));
        Error::new(ErrorKind::NotFound, format!("the table {table} is gone, or this role may not use it"))
            .with_help(format!(
                "bring it back (UNDROP TABLE {table}); or, to read the resource from the start, remove its row from \
                 {catalog} and `reset` it"
            ))
            .with_source(error)
    }

    /// Writes the rows of one table, in a transaction that the caller has begun.
    async fn write(&self, session: &mut dyn Session, commit: &Commit, write: &Write<'_>) -> Result<()> {
        let Write { place, rows, source } = write;
        let table = self.0.names.raw(&place.name);
        if let Some(merge) = source.merge(session, &table, &time::stamp(commit.at)).await? {
            session.execute(merge).await?;
        }
        if let Some(Sweep::Mark(pass)) = commit.sweep {
            let there = rows.records.iter().filter(|record| record.json().is_some());
            let keys: Vec<&str> = there.map(|record| record.key.as_str()).collect();
            if !keys.is_empty() {
                let mark = format!(
                    "INSERT INTO {} (\"RUN\", \"RESOURCE\", \"STREAM\", \"KEY\") SELECT b.\"RUN\", b.\"RESOURCE\", \
                     b.\"STREAM\", f.value::VARCHAR FROM (SELECT CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS VARCHAR) AS \
                     \"RESOURCE\", CAST(? AS VARCHAR) AS \"STREAM\", PARSE_JSON(?) AS \"KEYS\") b, \
                     LATERAL FLATTEN(input => b.\"KEYS\") f",
                    self.0.names.state("SNOWFEED_SEEN")
                );
                let mark = Statement::new(mark).bind(pass.to_string()).bind(commit.resource.name());
                session.execute(mark.bind(rows.table.as_str()).bind(json(&keys)?)).await?;
            }
        }
        self.keep_rejects(session, commit, rows).await
    }

    /// Keeps what could not be made a record of. A source that meets the same thing at every reading fills no disk with it.
    async fn keep_rejects(&self, session: &mut dyn Session, commit: &Commit, rows: &Rows) -> Result<()> {
        if rows.rejects.is_empty() {
            return Ok(());
        }
        let mut once: Vec<&Reject> = Vec::new();
        for reject in &rows.rejects {
            if !once.contains(&reject) {
                once.push(reject);
            }
        }
        let entries: Vec<Rejected<'_>> = once
            .into_iter()
            .map(|reject| Rejected { reason: &reject.reason, raw: &reject.raw, hash: hex(&content_hash(&reject.raw)) })
            .collect();
        let merge = format!(
            "MERGE INTO {} t USING (SELECT b.\"RESOURCE\", b.\"STREAM\", b.\"RUN\", b.\"AT\", f.value:reason::VARCHAR AS \
             \"REASON\", f.value:raw::VARCHAR AS \"RAW\", f.value:hash::VARCHAR AS \"HASH\" FROM (SELECT CAST(? AS VARCHAR) \
             AS \"RESOURCE\", CAST(? AS VARCHAR) AS \"STREAM\", CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS TIMESTAMP_NTZ) AS \
             \"AT\", PARSE_JSON(?) AS \"REJECTS\") b, LATERAL FLATTEN(input => b.\"REJECTS\") f) s ON t.\"RESOURCE\" = \
             s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" AND t.\"REASON\" = s.\"REASON\" AND t.\"HASH\" = s.\"HASH\" \
             WHEN MATCHED THEN UPDATE SET \"LAST_SEEN\" = s.\"AT\", \"RUN\" = s.\"RUN\" WHEN NOT MATCHED THEN INSERT \
             (\"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", \"HASH\", \"FIRST_SEEN\", \"LAST_SEEN\", \"RUN\") VALUES \
             (s.\"RESOURCE\", s.\"STREAM\", s.\"REASON\", s.\"RAW\", s.\"HASH\", s.\"AT\", s.\"AT\", s.\"RUN\")",
            self.0.names.state("REJECTED_RECORD")
        );
        let merge = Statement::new(merge).bind(commit.resource.name()).bind(rows.table.as_str());
        session
            .execute(merge.bind(commit.run.to_string()).bind(time::stamp(commit.at)).bind(json(&entries)?))
            .await
            .map(drop)
    }
}

#[derive(Serialize)]
struct Rejected<'a> {
    reason: &'a str,
    raw: &'a str,
    hash: String,
}

/// A list as the text of a JSON array, to be bound.
pub(super) fn json(value: &impl Serialize) -> Result<Bind> {
    serde_json::to_string(value)
        .map(Bind::from)
        .map_err(|error| Error::internal("a bound value cannot be written as JSON").with_source(error))
}
