//! A session in an account, and the rows of SHOW, LIST and DESCRIBE.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::backends::snowflake::ConnectionConfig;
use crate::native_app::Name;
pub(super) use crate::snowflake::text_literal;
use crate::snowflake::{Client, HttpClient, IssuedToken, QueryResult, Session, Sql, StagedFile, Statement};
use crate::{Error, ErrorKind, Result};

/// The comment of every object that snowfeed creates. Objects without it belong to another program or person.
pub(super) const MARKER: &str = "Made by snowfeed";

/// A session in an account.
#[derive(Debug)]
pub struct Account {
    session: Box<dyn Session>,
}

impl Account {
    /// Opens a session.
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) when the connection is malformed; [`Authentication`](ErrorKind::Authentication)
    /// when Snowflake rejects the login; [`Unavailable`](ErrorKind::Unavailable) when Snowflake cannot be reached.
    pub async fn connect(connection: ConnectionConfig) -> Result<Self> {
        Ok(Self::new(HttpClient::new(connection)?.open().await?))
    }

    /// Uses an open session.
    fn new(session: Box<dyn Session>) -> Self {
        Self { session }
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if Snowflake cannot be reached; the session expires later.
    pub async fn close(self) -> Result<()> {
        self.session.close().await
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.session.execute(statement).await
    }

    pub(super) async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.session.put(file).await
    }

    pub(super) async fn issue_token(&mut self) -> Result<IssuedToken> {
        self.session.issue_token().await
    }

    /// Returns the rows of a SHOW, LIST or DESCRIBE.
    pub(super) async fn rows(&mut self, sql: impl Into<String>) -> Result<Vec<ShowRow>> {
        let sql = sql.into();
        match self.execute(Statement::new(Sql::assert_safe(&sql))).await {
            Ok(answer) => Ok(show_rows(answer)),
            Err(error) => Err(error.with_context("statement", sql)),
        }
    }

    /// Like [`rows`](Self::rows), but returns no rows if the object does not exist or the role may not see it.
    pub(super) async fn rows_if_any(&mut self, sql: impl Into<String>) -> Result<Vec<ShowRow>> {
        match self.rows(sql).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            rows => rows,
        }
    }

    /// Finds one object. `kind` follows SHOW; `scope` limits the search, such as `IN SCHEMA D.S`.
    pub(super) async fn find(&mut self, kind: &str, name: &Name, scope: &str) -> Result<Option<ShowRow>> {
        let statement = format!("SHOW {kind} LIKE {} {scope}", like_pattern(name));
        let rows = self.rows_if_any(statement.trim_end()).await?;
        Ok(rows.into_iter().find(|row| row.get("name") == name.as_str()))
    }

    /// The session's role, as SQL.
    pub(super) async fn role(&mut self) -> Option<String> {
        let answer = self.execute(Statement::new("SELECT CURRENT_ROLE()")).await.ok()?;
        let role = answer.rows.first()?.text(0).ok()?;
        Name::stored(role.to_string()).ok().map(|role| role.sql())
    }
}

/// An account over any session, for this repository's tests.
#[cfg(any(feature = "testkit", fuzzing))]
#[doc(hidden)]
pub fn app_account(session: Box<dyn Session>) -> Account {
    Account::new(session)
}

/// A row of SHOW, LIST or DESCRIBE, by lower-case column names.
#[derive(Debug, Clone, Default)]
pub(super) struct ShowRow(BTreeMap<String, String>);

impl ShowRow {
    /// The text of a column; empty if the value is null or the column is missing.
    pub(super) fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// The text of a column; `None` if it is empty.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        self.0.get(column).filter(|text| !text.is_empty()).cloned()
    }

    pub(super) fn number(&self, column: &str) -> Option<u64> {
        self.get(column).parse().ok()
    }

    /// Whether a boolean column is true.
    pub(super) fn is(&self, column: &str) -> bool {
        matches!(self.get(column).to_ascii_lowercase().as_str(), "true" | "y" | "yes" | "1")
    }

    /// Whether snowfeed created the object.
    pub(super) fn is_created_by_snowfeed(&self) -> bool {
        self.get("comment").starts_with(MARKER)
    }

    /// Rejects an object that snowfeed did not create, unless it is adopted. `kind` and `name` are for the message.
    pub(super) fn check_marker(&self, kind: &str, name: &Name, adopt: bool, otherwise: &str) -> Result<()> {
        if adopt || self.is_created_by_snowfeed() {
            return Ok(());
        }
        let comment = self.get("comment");
        let by = if comment.is_empty() { "none".to_owned() } else { format!("{comment:?}") };
        Err(Error::new(ErrorKind::Conflict, format!("the {kind} {name} was not created by snowfeed"))
            .with_context("owner", self.get("owner"))
            .with_context("comment", by)
            .with_help(format!("{otherwise}, or pass --adopt if it may be changed")))
    }
}

fn show_rows(answer: QueryResult) -> Vec<ShowRow> {
    let columns: Vec<String> = answer.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
    let row = |cells: Vec<_>| {
        let cells = columns.iter().cloned().zip(cells);
        ShowRow(
            cells
                .filter_map(|(name, cell): (String, Option<bytestring::ByteString>)| Some((name, cell?.to_string())))
                .collect(),
        )
    };
    answer.rows.into_iter().map(|cells| row(cells.0)).collect()
}

/// The pattern of a SHOW that matches at least this name. A name may contain wildcards, so the caller compares the rows' names.
pub(super) fn like_pattern(name: &Name) -> String {
    text_literal(&name.as_str().replace('\\', "_"))
}

/// The qualified name of an object.
pub(super) fn qualified_name(parts: &[&Name]) -> String {
    parts.iter().map(|part| part.sql()).collect::<Vec<_>>().join(".")
}

/// An error of kind `NotFound`, which may also mean that the role lacks privileges.
pub(super) fn not_found(what: impl fmt::Display, help: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what} does not exist, or the role may not see it")).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_name_are_escaped() {
        let name: Name = "\"a\\'b\"".parse().unwrap();
        assert_eq!(like_pattern(&name), "'a_''b'");
        assert_eq!(qualified_name(&[&name, &"c".parse().unwrap()]), "\"a\\'b\".C");
    }
}
