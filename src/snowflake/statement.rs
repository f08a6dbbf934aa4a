//! Statements and the values bound to them, and files for stages.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::sql::{Sql, sql};
use crate::{Error, Result};

/// A value bound to a `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// Text, or null.
    Text(Option<ByteString>),
    /// A whole number.
    Integer(i64),
}

impl Bind {
    /// Serializes a value as JSON text.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        serde_json::to_string(value)
            .map(Self::from)
            .map_err(|error| Error::internal("a bound value cannot be written as JSON").with_source(error))
    }
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<Option<String>> for Bind {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Into::into))
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// One SQL statement. Values are bound, never pasted into the text. Where Snowflake binds nothing and the value is a secret, use
/// [`confidential`](Self::confidential).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, with a `?` for each bound value. It is safe to show.
    pub sql: Sql,
    /// The values, in order.
    pub binds: Vec<Bind>,
    /// The secret text to send instead of `sql`.
    hidden: Option<Hidden>,
}

impl Statement {
    /// Creates a statement without bound values.
    pub fn new(sql: impl Into<Sql>) -> Self {
        Self { sql: sql.into(), binds: Vec::new(), hidden: None }
    }

    /// Creates a statement that contains a secret. The driver sends `text`, and prints and logs `shown` instead. Errors omit
    /// Snowflake's message, which may repeat part of the text.
    pub fn confidential(text: SecretString, shown: impl Into<String>) -> Self {
        Self { sql: Sql::assert_safe(shown), binds: Vec::new(), hidden: Some(Hidden(text)) }
    }

    /// Binds the next `?`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.binds.push(value.into());
        self
    }

    /// Whether the text is secret.
    pub fn is_confidential(&self) -> bool {
        self.hidden.is_some()
    }

    /// The text to send.
    pub(super) fn text(&self) -> &str {
        self.hidden.as_ref().map_or(&self.sql, |hidden| hidden.0.expose_secret())
    }
}

/// A text that is never printed.
#[derive(Clone)]
struct Hidden(SecretString);

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Hidden {}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Quotes a text as a literal, for statements in which Snowflake binds nothing: DDL and PUT. Line breaks are kept as they are.
pub fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The effect of a statement on the session's transaction, by its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementKind {
    /// Opens a transaction.
    Begin,
    /// Commits a transaction.
    Commit,
    /// Rolls one back.
    Rollback,
    /// Changes nothing.
    Read,
    /// Creates, changes or drops objects, which commits an open transaction.
    Ddl,
    /// Anything else; it may change data.
    Write,
}

impl StatementKind {
    pub(super) fn parse(sql: &str) -> Self {
        let mut words = words(sql);
        let mut word = || words.next().unwrap_or_default().to_ascii_uppercase();
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

/// The first word of a statement, in upper case.
pub(super) fn operation(sql: &str) -> String {
    words(sql).next().unwrap_or_default().to_ascii_uppercase()
}

/// The words of a text, without the comments before them.
pub(super) fn words(sql: &str) -> impl Iterator<Item = &str> {
    let words = without_comments(sql).split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty())
}

/// The text from its first word.
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

/// A file for a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// The stage, and the folder in it, as SQL without the `@`: `"D"."STATE"."SNOWFEED_STAGE"/run`.
    pub stage: String,
    /// The file's name: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The content, in pieces.
    pub content: Vec<Bytes>,
}

impl StagedFile {
    /// Builds the PUT statement, to which Snowflake responds with the file's destination. It uploads nothing itself.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the name contains other characters.
    pub fn put_statement(&self) -> Result<Statement> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(Error::internal("a file for a stage has a name that cannot be written into a statement")
                .with_context("name", &self.name));
        }
        let compression = if self.name.ends_with(".gz") { "GZIP" } else { "NONE" };
        Ok(Statement::new(sql!(
            "PUT 'file://{name}' {stage} OVERWRITE = TRUE AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = {compression}",
            name = Sql::assert_safe(self.name.as_str()),
            stage = stage_reference(&self.stage),
            compression
        )))
    }
}

/// Builds a reference to a stage and a folder in it, for PUT, COPY, LIST and REMOVE. Snowflake requires quotes around names with
/// blanks and other special characters.
pub fn stage_reference(stage: &str) -> Sql {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '"' | '$');
    if stage.chars().all(ordinary) {
        return Sql::assert_safe(format!("@{stage}"));
    }
    Sql::assert_safe(text_literal(&format!("@{stage}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_within_its_literal() {
        assert_eq!(text_literal("it's a \\ and\na 'quote'"), "'it''s a \\\\ and\na ''quote'''");
    }

    #[test]
    fn a_confidential_text_is_sent_and_never_printed() {
        let statement = Statement::confidential("SET x = 'hunter2'".into(), "SET x = '***'");
        assert_eq!(statement.text(), "SET x = 'hunter2'");
        assert!(!format!("{statement:?}").contains("hunter2"), "{statement:?}");
    }

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

    #[test]
    fn a_name_that_would_end_its_literal_is_rejected() {
        for name in ["", "a'b", "a b", "a/b", "é"] {
            let file = StagedFile { stage: "S".into(), name: name.into(), content: Vec::new() };
            assert!(file.put_statement().is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_is_uploaded_unchanged() {
        let file = StagedFile { stage: r#""D"."S"."T"/run"#.into(), name: "a-1.json.gz".into(), content: Vec::new() };
        assert_eq!(
            file.put_statement().unwrap().sql,
            r#"PUT 'file://a-1.json.gz' @"D"."S"."T"/run OVERWRITE = TRUE AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP"#
        );
    }

    #[test]
    fn a_stage_with_a_space_in_its_name_is_quoted() {
        let file = StagedFile { stage: r#""it's a \ d".S.T"#.into(), name: "a".into(), content: Vec::new() };
        let sql = file.put_statement().unwrap().sql;
        assert!(sql.starts_with(r#"PUT 'file://a' '@"it''s a \\ d".S.T' OVERWRITE"#), "{sql}");
    }
}
