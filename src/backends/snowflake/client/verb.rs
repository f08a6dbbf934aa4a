//! What a statement does to the session's transaction, by its first word.

/// The part that a statement plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementKind {
    /// Opens a transaction.
    Begin,
    /// Makes a transaction's changes last.
    Commit,
    /// Drops them.
    Rollback,
    /// Changes nothing.
    Read,
    /// Makes, changes or drops objects, which commits an open transaction.
    Ddl,
    /// Anything else: it may change something.
    Write,
}

impl StatementKind {
    pub(super) fn parse(sql: &str) -> Self {
        let mut words = without_comments(sql).split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let mut word = || words.by_ref().find(|word| !word.is_empty()).unwrap_or_default().to_ascii_uppercase();
        match (word().as_str(), word().as_str()) {
            // `BEGIN` with anything else after it opens a block of statements.
            ("BEGIN", "" | "TRANSACTION" | "WORK" | "NAME") | ("START", "TRANSACTION") => Self::Begin,
            ("COMMIT", _) => Self::Commit,
            ("ROLLBACK", _) => Self::Rollback,
            ("SELECT" | "SHOW" | "DESC" | "DESCRIBE" | "WITH" | "LIST" | "LS" | "EXPLAIN" | "USE", _) => Self::Read,
            ("CREATE" | "ALTER" | "DROP" | "UNDROP" | "GRANT" | "REVOKE" | "COMMENT", _) => Self::Ddl,
            _ => Self::Write,
        }
    }
}

/// The text from its first word on.
fn without_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let end = if rest.starts_with("--") || rest.starts_with("//") {
            rest.find('\n')
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|index| index + 1)
        } else {
            return rest;
        };
        rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default().trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_first_words() {
        for (sql, verb) in [
            ("BEGIN", StatementKind::Begin),
            ("begin transaction name x", StatementKind::Begin),
            ("start transaction", StatementKind::Begin),
            ("BEGIN LET x := 1; END", StatementKind::Write),
            ("-- a comment\n/* and */ COMMIT;", StatementKind::Commit),
            ("ROLLBACK WORK", StatementKind::Rollback),
            ("select 1", StatementKind::Read),
            ("(SELECT 1)", StatementKind::Read),
            ("MERGE INTO t", StatementKind::Write),
            ("TRUNCATE TABLE t", StatementKind::Write),
            ("create or replace view v", StatementKind::Ddl),
            ("DROPPED", StatementKind::Write),
            ("COMMITTED", StatementKind::Write),
            ("-- nothing", StatementKind::Write),
            ("", StatementKind::Write),
        ] {
            assert_eq!(StatementKind::parse(sql), verb, "{sql}");
        }
    }
}
