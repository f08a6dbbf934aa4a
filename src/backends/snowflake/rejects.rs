//! Rejects: data that could not become a record, and records that are too large for a row in Snowflake.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::oversized::{Oversized, beginning};
use super::plan::hex;
use super::state_tables::or_empty;
use super::{Snowflake, time};
use crate::record::content_hash;
use crate::sink::{Commit, OutstandingRejects, RejectQuery, StoredReject, StreamCommit};
use crate::snowflake::{Bind, Session, Sql, Statement, sql};
use crate::{Error, Reject, Resource, Result, RunId, StateKey};

/// The maximum size of the rejects in one statement, in bytes.
const MAX_STATEMENT_BYTES: usize = 4 << 20;

/// The rejects in a bound value as rows, to be aliased `s`.
const REJECTS: &str = "(SELECT b.\"RESOURCE\", b.\"STREAM\", b.\"RUN\", b.\"AT\", f.value:reason::VARCHAR AS \"REASON\", f.value:raw::VARCHAR \
             AS \"RAW\", f.value:hash::VARCHAR AS \"HASH\" FROM (SELECT CAST(? AS VARCHAR) AS \"RESOURCE\", CAST(? AS VARCHAR) AS \
             \"STREAM\", CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS TIMESTAMP_NTZ) AS \"AT\", PARSE_JSON(?) AS \"REJECTS\") b, \
             LATERAL FLATTEN(input => b.\"REJECTS\") f)";

/// The condition that a row `t` of `REJECTED_RECORD` is the reject `s`.
const SAME_REJECT: &str = "t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" AND \
             t.\"REASON\" = s.\"REASON\" AND t.\"HASH\" = s.\"HASH\"";

/// A stored reject.
#[derive(Serialize, PartialEq, Eq)]
struct RejectEntry<'a> {
    reason: &'a str,
    raw: &'a str,
    hash: Cow<'a, str>,
}

impl<'a> RejectEntry<'a> {
    fn new(reject: &'a Reject) -> Self {
        let hash = hex(&content_hash(&reject.raw));
        Self { reason: &reject.reason, raw: beginning(&reject.raw), hash: hash.into() }
    }

    fn oversized(record: &'a Oversized) -> Self {
        Self { reason: &record.reason, raw: &record.raw, hash: record.hash.as_str().into() }
    }
}

/// The rejects of one table, without duplicates.
fn entries<'a>(rejects: &'a [Reject], oversized: &'a [Oversized]) -> Vec<RejectEntry<'a>> {
    let mut once: Vec<RejectEntry<'a>> = Vec::new();
    for entry in rejects.iter().map(RejectEntry::new).chain(oversized.iter().map(RejectEntry::oversized)) {
        if !once.contains(&entry) {
            once.push(entry);
        }
    }
    once
}

impl Snowflake {
    /// Inserts new rejects, and returns whether some were already stored. If every run meets the same reject, it is stored once.
    pub(super) async fn insert_rejects(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        oversized: &[Oversized],
    ) -> Result<bool> {
        let mut was_met = false;
        for batch in batches(&entries(&part.rejects, oversized)) {
            // An INSERT takes no lock, so that other resources need not wait.
            let insert = sql!(
                "INSERT INTO {table} (\"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", \"HASH\", \"FIRST_SEEN\", \"LAST_SEEN\", \"RUN\") \
                 SELECT s.\"RESOURCE\", s.\"STREAM\", s.\"REASON\", s.\"RAW\", s.\"HASH\", s.\"AT\", s.\"AT\", s.\"RUN\" FROM {REJECTS} s \
                 WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {table} t WHERE {SAME_REJECT})",
                table = self.0.names.state("REJECTED_RECORD"),
                REJECTS,
                SAME_REJECT
            );
            let kept = session.execute(bound(insert, commit, part, batch)?).await?.rows_affected()?;
            was_met |= kept < batch.len() as u64;
        }
        Ok(was_met)
    }

    /// Updates when stored rejects were last seen. It locks the table of all resources, and so comes last.
    pub(super) async fn update_last_seen(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        oversized: &[Oversized],
    ) -> Result<()> {
        for batch in batches(&entries(&part.rejects, oversized)) {
            let merge = sql!(
                "MERGE INTO {table} t USING {REJECTS} s ON {SAME_REJECT} WHEN MATCHED AND s.\"RUN\" >= t.\"RUN\" THEN \
                 UPDATE SET \"LAST_SEEN\" = s.\"AT\", \"RUN\" = s.\"RUN\"",
                table = self.0.names.state("REJECTED_RECORD"),
                REJECTS,
                SAME_REJECT
            );
            session.execute(bound(merge, commit, part, batch)?).await?;
        }
        Ok(())
    }

    /// Deletes the rejects that the commit corrects. It locks the table of all resources, and so comes last.
    pub(super) async fn delete_corrected(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
    ) -> Result<()> {
        for batch in batches(&entries(&part.corrected, &[])) {
            let delete = sql!(
                "MERGE INTO {table} t USING {REJECTS} s ON {SAME_REJECT} WHEN MATCHED THEN DELETE",
                table = self.0.names.state("REJECTED_RECORD"),
                REJECTS,
                SAME_REJECT
            );
            session.execute(bound(delete, commit, part, batch)?).await?;
        }
        Ok(())
    }

    /// At the end of a reconcile run, deletes the stream's rejects that the run has not met: they were corrected, or are gone.
    /// It locks the table of all resources, and so comes last.
    pub(super) async fn delete_stale_rejects(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        run: RunId,
        held: &Sql,
    ) -> Result<()> {
        let forget = sql!(
            "DELETE FROM {rejects} WHERE \"RESOURCE\" = ? AND \"STREAM\" = ? AND \"RUN\" < ?{held}",
            held,
            rejects = self.0.names.state("REJECTED_RECORD")
        );
        let forget = Statement::new(forget).bind(commit.resource.name()).bind(part.stream.as_str());
        session.execute(forget.bind(run.to_string())).await.map(drop)
    }

    /// Reads the outstanding rejects.
    pub(super) async fn find_rejects(&self, query: &RejectQuery) -> Result<OutstandingRejects> {
        let table = self.0.names.state("REJECTED_RECORD");
        let filters = [("RESOURCE", query.resource.as_ref().map(Resource::name)), ("STREAM", query.stream.as_deref())];
        let (columns, values): (Vec<_>, Vec<_>) =
            filters.into_iter().filter_map(|(column, value)| Some((column, value?))).unzip();
        let mut conditions: Vec<Sql> = columns.into_iter().map(|column| sql!("\"{column}\" = ?", column)).collect();
        let bound = |sql: Sql| values.iter().fold(Statement::new(sql), |statement, &value| statement.bind(value));
        let of = where_all(&conditions);
        let mut session = self.session().await?;
        let count = sql!(
            "SELECT \"RESOURCE\", \"STREAM\", CAST(COUNT(*) AS VARCHAR) AS \"REJECTS\" FROM {table}{of} GROUP BY \"RESOURCE\", \
             \"STREAM\" ORDER BY \"RESOURCE\", \"STREAM\"",
            table,
            of
        );
        let answer = or_empty(session.execute(bound(count)).await)?;
        let counts = answer.rows.iter().map(|row| {
            let key = StateKey::new(row.text(0)?.to_string(), row.text(1)?.to_string());
            Ok((key, row.integer(2)?.unsigned_abs()))
        });
        let counts = counts.collect::<Result<BTreeMap<StateKey, u64>>>()?;
        if query.limit == 0 || counts.is_empty() {
            return Ok(OutstandingRejects { counts, rejects: Vec::new() });
        }
        conditions.extend(query.max_raw.map(|most| sql!("LENGTH(\"RAW\") <= {most}", most)));
        let time = |column: &'static str| {
            sql!("TO_VARCHAR(\"{column}\", 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6') AS \"{column}\"", column)
        };
        let select = sql!(
            "SELECT \"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", {first_seen}, {last_seen} FROM {table}{of} ORDER BY \"LAST_SEEN\" DESC, \
             \"RESOURCE\", \"STREAM\", \"REASON\", \"HASH\" LIMIT {limit}",
            table,
            of = where_all(&conditions),
            first_seen = time("FIRST_SEEN"),
            last_seen = time("LAST_SEEN"),
            limit = query.limit
        );
        let answer = session.execute(bound(select)).await?;
        let rejects = answer.rows.iter().map(|row| {
            let text = |column| Ok::<_, Error>(row.text(column)?.to_string());
            let time = |column| time::parse(&format!("{}Z", row.text(column)?));
            Ok(StoredReject {
                resource: text(0)?,
                table: text(1)?,
                reason: text(2)?,
                raw: row.text(3)?.clone(),
                first_seen: time(4)?,
                last_seen: time(5)?,
            })
        });
        let mut rejects: Vec<StoredReject> = rejects.collect::<Result<_>>()?;
        // The statement counts characters, not bytes.
        rejects.retain(|reject| query.max_raw.is_none_or(|most| reject.raw.len() <= most));
        Ok(OutstandingRejects { counts, rejects })
    }
}

/// The clause that requires all conditions.
pub(super) fn where_all(conditions: &[Sql]) -> Sql {
    match conditions {
        [] => Sql::default(),
        conditions => sql!(" WHERE {conditions}", conditions = Sql::join(conditions, " AND ")),
    }
}

/// Binds the values of [`REJECTS`].
fn bound(sql: Sql, commit: &Commit, part: &StreamCommit, batch: &[RejectEntry<'_>]) -> Result<Statement> {
    let statement = Statement::new(sql).bind(commit.resource.name()).bind(part.stream.as_str());
    Ok(statement.bind(part.rejects_seen_by().to_string()).bind(time::ntz_text(commit.at)).bind(Bind::json(&batch)?))
}

/// The entries in batches, each for one statement.
fn batches<'e, 'a>(entries: &'e [RejectEntry<'a>]) -> Vec<&'e [RejectEntry<'a>]> {
    let mut batches = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        if size > 0 && size + entry.raw.len() > MAX_STATEMENT_BYTES {
            batches.push(&entries[start..at]);
            (start, size) = (at, 0);
        }
        size += entry.raw.len() + entry.reason.len() + 64;
    }
    if start < entries.len() {
        batches.push(&entries[start..]);
    }
    batches
}

/// The error for an invalid version, written by hand.
pub(super) fn unreadable_row(table: &str, key: &str, error: Error) -> Error {
    Error::invalid_data(format!("the row of the key {key:?} in {table} cannot be read"))
        .with_help(format!("it was changed by hand: repair its VERSION, or remove it (DELETE FROM {table} WHERE \"KEY\" = …) and `reset` the resource"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::super::oversized::MAX_RAW_BYTES;
    use super::*;

    #[test]
    fn rejects_are_sent_in_batches_and_none_is_lost() {
        let reject = |number: usize| Reject { reason: number.to_string(), raw: "x".repeat(MAX_RAW_BYTES).into() };
        let rejects: Vec<Reject> = (0..10).map(reject).collect();
        let entries = entries(&rejects, &[]);
        let batches = batches(&entries);
        assert!(batches.len() > 2 && batches.iter().map(|batch| batch.len()).sum::<usize>() == 10);
    }
}
