//! What could not be made a record of, and records that no row of Snowflake can hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::client::{Session, Statement};
use super::commit::json;
use super::plan::hex;
use super::state::found;
use super::{Snowflake, time};
use crate::record::content_hash;
use crate::record::document_of;
use crate::sink::{Commit, OutstandingRejects, RejectQuery, StoredReject, TableRows};
use crate::{Error, Record, Reject, Result, RunId};

/// The longest document, in bytes: a VARIANT and a VARCHAR hold 128 MiB, and in the file that brings it the document is a part of
/// a row, beside its key.
pub(super) const LONGEST_DOCUMENT: usize = (128 << 20) - (1 << 20);

/// How much of what was rejected is kept, in bytes.
const LONGEST_RAW: usize = 1 << 20;

/// How much of it one statement brings, in bytes.
const AT_ONCE: usize = 4 << 20;

/// The records of a table that have room in a row, and those that have none.
pub(super) struct Sorted<'a> {
    pub(super) records: Cow<'a, [Record]>,
    too_long: Vec<(&'a str, &'a str)>,
}

impl<'a> Sorted<'a> {
    pub(super) fn of(records: &'a [Record]) -> Self {
        let long = |record: &'a Record| {
            let json = record.json().filter(|json| json.len() > LONGEST_DOCUMENT)?;
            Some((record.key.as_str(), &**json))
        };
        let too_long: Vec<_> = records.iter().filter_map(long).collect();
        let records = match too_long.is_empty() {
            true => Cow::Borrowed(records),
            false => records.iter().filter(|record| long(record).is_none()).cloned().collect(),
        };
        Self { records, too_long }
    }

    pub(super) fn rejected(&self) -> u64 {
        self.too_long.len() as u64
    }
}

/// A rejected thing as it is kept.
#[derive(Serialize, PartialEq, Eq)]
struct Rejected<'a> {
    reason: Cow<'a, str>,
    raw: &'a str,
    hash: String,
}

impl<'a> Rejected<'a> {
    fn new(reason: Cow<'a, str>, raw: &'a str) -> Self {
        let mut end = raw.len().min(LONGEST_RAW);
        while !raw.is_char_boundary(end) {
            end -= 1;
        }
        Self { reason, raw: &raw[..end], hash: hex(&content_hash(raw)) }
    }
}

/// What is rejected of one table, each thing once.
fn entries<'a>(rejects: &'a [Reject], too_long: &[(&'a str, &'a str)]) -> Vec<Rejected<'a>> {
    let given = rejects.iter().map(|reject| Rejected::new(reject.reason.as_str().into(), &reject.raw));
    let long = too_long.iter().map(|(key, document)| {
        let reason = format!(
            "{}has {} bytes, and a row in Snowflake holds {LONGEST_DOCUMENT} at most; its beginning is kept here",
            document_of(key),
            document.len()
        );
        Rejected::new(reason.into(), document)
    });
    let mut once: Vec<Rejected<'a>> = Vec::new();
    for entry in given.chain(long) {
        if !once.contains(&entry) {
            once.push(entry);
        }
    }
    once
}

impl Snowflake {
    /// Keeps what was rejected. A source that meets the same thing at every reading fills no disk with it. Says whether some of it had
    /// been met before.
    pub(super) async fn keep_rejects(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        rows: &TableRows,
        sorted: &Sorted<'_>,
    ) -> Result<bool> {
        let mut was_met = false;
        for part in parts(&entries(&rows.rejects, &sorted.too_long)) {
            // An INSERT locks nothing, so that no other resource waits.
            let insert = self.over_rejects(
                "INSERT INTO {} (\"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", \"HASH\", \"FIRST_SEEN\", \"LAST_SEEN\", \"RUN\") \
                 SELECT s.\"RESOURCE\", s.\"STREAM\", s.\"REASON\", s.\"RAW\", s.\"HASH\", s.\"AT\", s.\"AT\", s.\"RUN\" FROM ",
                " s WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {} t WHERE ",
            ) + ")";
            let kept = session.execute(bound(insert, commit, rows, part)?).await?.affected()?;
            was_met |= kept < part.len() as u64;
        }
        Ok(was_met)
    }

    /// Writes down that what was rejected had been met before. It locks the table of all resources, and so comes last.
    pub(super) async fn see_rejects_again(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        rows: &TableRows,
        sorted: &Sorted<'_>,
    ) -> Result<()> {
        for part in parts(&entries(&rows.rejects, &sorted.too_long)) {
            let merge = self.over_rejects("MERGE INTO {} t USING ", " s ON ")
                + " WHEN MATCHED AND s.\"RUN\" >= t.\"RUN\" THEN UPDATE SET \"LAST_SEEN\" = s.\"AT\", \"RUN\" = s.\"RUN\"";
            session.execute(bound(merge, commit, rows, part)?).await?;
        }
        Ok(())
    }

    /// Forgets what the commit has corrected. It locks the table of all resources, and so comes last.
    pub(super) async fn forget_corrected(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        rows: &TableRows,
    ) -> Result<()> {
        for part in parts(&entries(&rows.corrected, &[])) {
            let forget = self.over_rejects("MERGE INTO {} t USING ", " s ON ") + " WHEN MATCHED THEN DELETE";
            session.execute(bound(forget, commit, rows, part)?).await?;
        }
        Ok(())
    }

    /// Forgets the rejects of a resource that were last met before a pass began, whose end this is: they were corrected, or are
    /// gone. It locks the table of all resources, and so comes last.
    pub(super) async fn forget_rejects(
        &self,
        session: &mut dyn Session,
        resource: &str,
        pass: RunId,
        held: &str,
    ) -> Result<()> {
        let forget = format!(
            "DELETE FROM {} WHERE \"RESOURCE\" = ? AND \"RUN\" < ?{held}",
            self.0.names.state("REJECTED_RECORD")
        );
        session.execute(Statement::new(forget).bind(resource).bind(pass.to_string())).await.map(drop)
    }

    /// What is outstanding.
    pub(super) async fn find_rejects(&self, query: &RejectQuery) -> Result<OutstandingRejects> {
        let table = self.0.names.state("REJECTED_RECORD");
        let of = if query.resource.is_some() { " WHERE \"RESOURCE\" = ?" } else { "" };
        let bound = |sql: String| match &query.resource {
            Some(resource) => Statement::new(sql).bind(resource.name()),
            None => Statement::new(sql),
        };
        let mut session = self.session().await?;
        let count = format!(
            "SELECT \"RESOURCE\", CAST(COUNT(*) AS VARCHAR) AS \"REJECTS\" FROM {table}{of} GROUP BY \"RESOURCE\" ORDER BY \
             \"RESOURCE\""
        );
        let answer = found(session.execute(bound(count)).await)?;
        let counts = answer.rows.iter().map(|row| Ok((row.text(0)?.to_string(), row.integer(1)?.unsigned_abs())));
        let counts = counts.collect::<Result<BTreeMap<String, u64>>>()?;
        if query.limit == 0 || counts.is_empty() {
            return Ok(OutstandingRejects { counts, rejects: Vec::new() });
        }
        let short = query.max_raw.map_or_else(String::new, |most| {
            format!("{} LENGTH(\"RAW\") <= {most}", if of.is_empty() { " WHERE" } else { " AND" })
        });
        let time = |column: &str| format!("TO_VARCHAR(\"{column}\", 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6') AS \"{column}\"");
        let select = format!(
            "SELECT \"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", {}, {} FROM {table}{of}{short} ORDER BY \"LAST_SEEN\" DESC, \
             \"RESOURCE\", \"STREAM\", \"REASON\", \"HASH\" LIMIT {}",
            time("FIRST_SEEN"),
            time("LAST_SEEN"),
            query.limit
        );
        let answer = session.execute(bound(select)).await?;
        let rejects = answer.rows.iter().map(|row| {
            let text = |column| Ok::<_, Error>(row.text(column)?.to_string());
            let time = |column| time::read(&format!("{}Z", row.text(column)?));
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
        // The statement counts characters.
        rejects.retain(|reject| query.max_raw.is_none_or(|most| reject.raw.len() <= most));
        Ok(OutstandingRejects { counts, rejects })
    }

    /// A statement over what is rejected, as `s`, and the rows `t` of the table that are the same.
    fn over_rejects(&self, before: &str, between: &str) -> String {
        let table = self.0.names.state("REJECTED_RECORD");
        format!(
            "{}(SELECT b.\"RESOURCE\", b.\"STREAM\", b.\"RUN\", b.\"AT\", f.value:reason::VARCHAR AS \"REASON\", f.value:raw::VARCHAR \
             AS \"RAW\", f.value:hash::VARCHAR AS \"HASH\" FROM (SELECT CAST(? AS VARCHAR) AS \"RESOURCE\", CAST(? AS VARCHAR) AS \
             \"STREAM\", CAST(? AS VARCHAR) AS \"RUN\", CAST(? AS TIMESTAMP_NTZ) AS \"AT\", PARSE_JSON(?) AS \"REJECTS\") b, \
             LATERAL FLATTEN(input => b.\"REJECTS\") f){}t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" AND \
             t.\"REASON\" = s.\"REASON\" AND t.\"HASH\" = s.\"HASH\"",
            before.replace("{}", &table),
            between.replace("{}", &table)
        )
    }
}

/// The statement with what it is about.
fn bound(sql: String, commit: &Commit, rows: &TableRows, part: &[Rejected<'_>]) -> Result<Statement> {
    let statement = Statement::new(sql).bind(commit.resource.name()).bind(rows.table.as_str());
    Ok(statement.bind(commit.rejects_seen_by().to_string()).bind(time::stamp(commit.at)).bind(json(&part)?))
}

/// The entries in parts, each for one statement.
fn parts<'e, 'a>(entries: &'e [Rejected<'a>]) -> Vec<&'e [Rejected<'a>]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        if size > 0 && size + entry.raw.len() > AT_ONCE {
            parts.push(&entries[start..at]);
            (start, size) = (at, 0);
        }
        size += entry.raw.len() + entry.reason.len() + 64;
    }
    if start < entries.len() {
        parts.push(&entries[start..]);
    }
    parts
}

/// A version that the engine cannot count to: somebody has written it by hand.
pub(super) fn unreadable_row(table: &str, key: &str, error: Error) -> Error {
    Error::invalid_data(format!("the row of the key {key:?} in {table} cannot be read"))
        .with_help(format!("it was changed by hand: repair its VERSION, or remove it (DELETE FROM {table} WHERE \"KEY\" = …) and `reset` the resource"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    #[test]
    fn a_document_that_no_row_holds_is_told_apart_and_kept_in_part() {
        let records = [
            Record::upsert("small", Version(1), "{}"),
            Record::upsert("fits", Version(1), "x".repeat(LONGEST_DOCUMENT)),
            Record::upsert("long", Version(1), "é".repeat(LONGEST_DOCUMENT / 2 + 1)),
        ];
        let sorted = Sorted::of(&records);
        assert_eq!((sorted.records.len(), sorted.rejected()), (2, 1));
        let kept = entries(&[], &sorted.too_long);
        assert_eq!(kept[0].raw.len(), LONGEST_RAW);
        assert!(
            kept[0].reason.contains("\"long\" has 133169154 bytes") && kept[0].reason.contains("133169152 at most")
        );
    }

    #[test]
    fn what_is_rejected_travels_in_parts_and_nothing_is_left_out() {
        let reject = |number: usize| Reject { reason: number.to_string(), raw: "x".repeat(LONGEST_RAW).into() };
        let rejects: Vec<Reject> = (0..10).map(reject).collect();
        let entries = entries(&rejects, &[]);
        let parts = parts(&entries);
        assert!(parts.len() > 2 && parts.iter().map(|part| part.len()).sum::<usize>() == 10);
    }
}
