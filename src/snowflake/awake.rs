//! An estimate of how long statements keep a warehouse awake.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::Statement;
use super::statement::words;

/// How long a warehouse stays awake after a statement, and at least once it is awake: `AUTO_SUSPEND = 60`, and the minimum that is
/// billed for a start.
const AFTER_STATEMENT: Duration = Duration::from_secs(60);

/// The reads to remember.
const MAX_READS: usize = 256;

/// Adds up the time in which statements of this process keep a warehouse awake. A read with the same text and values as an earlier one
/// is not counted if nothing was written in between to a table that it names: Snowflake answers it from its result cache. Unverified:
/// see docs/unverified.md#result-cache.
#[derive(Debug, Default)]
pub(super) struct AwakeTime {
    total: Duration,
    until: Option<Instant>,
    /// The texts of the reads whose results are still true, by the digest of text and values.
    reads: HashMap<u64, String>,
}

impl AwakeTime {
    /// Adds a statement that ran in this time.
    pub(super) fn add(&mut self, statement: &Statement, began: Instant, ended: Instant) {
        match Work::of(&statement.sql) {
            Work::Elsewhere => return,
            Work::Write => match written_tables(&statement.sql) {
                Some(tables) => self.reads.retain(|_, read| !tables.iter().any(|table| read.contains(table))),
                None => self.reads.clear(),
            },
            Work::Read => {
                if self.reads.len() >= MAX_READS {
                    self.reads.clear();
                }
                if self.reads.insert(digest(statement), statement.sql.to_string()).is_some() {
                    return;
                }
            }
        }
        let until = ended + AFTER_STATEMENT;
        // What it was awake for anyway is counted already.
        let from = self.until.map_or(began, |until| until.max(began));
        self.total += until.saturating_duration_since(from);
        self.until = self.until.max(Some(until));
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }
}

/// What a statement needs a warehouse for.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    Read,
    Write,
    /// Snowflake's cloud services do it: transactions, DDL, stages.
    Elsewhere,
}

impl Work {
    fn of(sql: &str) -> Self {
        match words(sql).next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "SELECT" | "WITH" => Self::Read,
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY" | "CALL" => Self::Write,
            _ => Self::Elsewhere,
        }
    }
}

/// The quoted names of the tables that a statement writes to, as they stand in it; `None` if it does not tell.
fn written_tables(sql: &str) -> Option<Vec<&str>> {
    let mut words = words(sql).map(str::to_ascii_uppercase);
    let before = match (words.next()?.as_str(), words.next()?.as_str()) {
        ("UPDATE", _) => "UPDATE ",
        ("DELETE", "FROM") => "FROM ",
        ("INSERT" | "MERGE" | "COPY", _) => " INTO ",
        _ => return None,
    };
    // An INSERT ALL has several.
    let most = if before == " INTO " { usize::MAX } else { 1 };
    let tables = sql.match_indices(before).take(most).map(|(at, _)| quoted_name(&sql[at + before.len()..]));
    tables.collect::<Option<Vec<_>>>().filter(|tables| !tables.is_empty())
}

/// The quoted name at the start of a text.
fn quoted_name(text: &str) -> Option<&str> {
    let mut is_quoted = false;
    let end = text.find(|c: char| {
        is_quoted ^= c == '"';
        !is_quoted && (c.is_whitespace() || c == '(')
    });
    Some(&text[..end.unwrap_or(text.len())]).filter(|name| name.starts_with('"'))
}

fn digest(statement: &Statement) -> u64 {
    let mut hasher = DefaultHasher::new();
    statement.text().hash(&mut hasher);
    format!("{:?}", statement.binds).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_statements_keep_it_awake_once() {
        let (zero, mut awake) = (Instant::now(), AwakeTime::default());
        let at = |second| zero + Duration::from_secs(second);
        let mut add = |sql: &'static str, began, ended| {
            awake.add(&Statement::new(sql), at(began), at(ended));
            awake.total().as_secs()
        };
        assert_eq!(add("BEGIN TRANSACTION", 0, 1), 0);
        assert_eq!(add("PUT file://x @y", 0, 30), 0);
        assert_eq!(add("SELECT 1", 0, 2), 62);
        assert_eq!(add("MERGE INTO t", 3, 5), 65, "three seconds longer");
        assert_eq!(add("INSERT INTO t", 4, 5), 65, "at the same time");
        assert_eq!(add("COPY INTO t", 100, 110), 135, "it had fallen asleep");
        assert_eq!(add("UPDATE t", 90, 95), 135, "it ran before and ends earlier");
    }

    #[test]
    fn a_read_counts_again_after_a_write() {
        let (zero, mut awake) = (Instant::now(), AwakeTime::default());
        let mut minutes = 0;
        let mut add = |statement: Statement| {
            minutes += 10;
            let at = zero + Duration::from_secs(minutes * 60);
            awake.add(&statement, at, at);
            awake.total().as_secs() / 60
        };
        let read = || Statement::new("SELECT * FROM s");
        assert_eq!([add(read()), add(read()), add(read())], [1, 1, 1]);
        assert_eq!(add(read().bind("other")), 2);
        assert_eq!([add(Statement::new("DELETE FROM s")), add(read()), add(read())], [3, 4, 4]);
    }
    #[test]
    fn a_write_to_another_table_leaves_the_result_of_a_read() {
        let (zero, mut awake) = (Instant::now(), AwakeTime::default());
        let mut minutes = 0;
        let mut add = |sql: &'static str| {
            minutes += 10;
            let at = zero + Duration::from_secs(minutes * 60);
            awake.add(&Statement::new(sql), at, at);
            awake.total().as_secs() / 60
        };
        let read = r#"SELECT * FROM "D"."S"."A B" UNION ALL SELECT * FROM "D"."S"."C""#;
        assert_eq!([add(read), add(read)], [1, 1]);
        assert_eq!([add(r#"MERGE INTO "D"."S"."A" t USING "D"."S"."C" s ON 1 = 1"#), add(read)], [2, 2]);
        for (at, write) in [
            r#"MERGE INTO "D"."S"."A B" t USING x ON 1 = 1"#,
            r#"UPDATE "D"."S"."C" SET "E" = 1"#,
            r#"/* tag */ INSERT INTO "D"."S"."C"("E") SELECT 1"#,
            r#"DELETE FROM "D"."S"."C""#,
            r#"CALL "D"."S"."P"()"#,
            r#"INSERT ALL WHEN "X" = 1 THEN INTO "D"."S"."X" ("E") VALUES ("E") ELSE INTO "D"."S"."C" ("E") SELECT 1"#,
            "INSERT INTO c SELECT 1",
        ]
        .into_iter()
        .enumerate()
        {
            let before = 2 + 2 * u64::try_from(at).unwrap();
            assert_eq!([add(write), add(read), add(read)], [before + 1, before + 2, before + 2], "{write}");
        }
    }
}
