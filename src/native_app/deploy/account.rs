//! Reads what an account holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::backends::snowflake::ConnectionConfig;
use crate::native_app::Name;
pub(super) use crate::snowflake::text_literal;
use crate::snowflake::{Client, HttpClient, IssuedToken, QueryResult, Session, Sql, StagedFile, Statement};
use crate::{Error, ErrorKind, Result};

/// What marks the objects that we made, in their comments. Objects of the same name that lack it belong to somebody else.
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
    /// [`Unavailable`](ErrorKind::Unavailable) when Snowflake does not answer; the session ends by itself later.
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

    /// Rows of a SHOW, LIST or DESCRIBE.
    pub(super) async fn rows(&mut self, sql: impl Into<String>) -> Result<Vec<Found>> {
        let sql = sql.into();
        match self.execute(Statement::new(Sql::assert_safe(&sql))).await {
            Ok(answer) => Ok(found(answer)),
            Err(error) => Err(error.with_context("statement", sql)),
        }
    }

    /// The same; no rows where what is asked for does not exist, or is hidden from the role.
    pub(super) async fn rows_if_any(&mut self, sql: impl Into<String>) -> Result<Vec<Found>> {
        match self.rows(sql).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            rows => rows,
        }
    }

    /// One object: `kind` is what follows SHOW, `place` where it is looked for, such as `IN SCHEMA D.S`.
    pub(super) async fn find(&mut self, kind: &str, name: &Name, place: &str) -> Result<Option<Found>> {
        let statement = format!("SHOW {kind} LIKE {} {place}", like_pattern(name));
        let rows = self.rows_if_any(statement.trim_end()).await?;
        Ok(rows.into_iter().find(|row| row.get("name") == name.as_str()))
    }

    /// The role of the session, as SQL writes it.
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

/// A row of what there is, by the names of the columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Found(BTreeMap<String, String>);

impl Found {
    /// The text of a column; empty where it is null, or there is none.
    pub(super) fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// The text of a column, unless it is empty.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        self.0.get(column).filter(|text| !text.is_empty()).cloned()
    }

    pub(super) fn number(&self, column: &str) -> Option<u64> {
        self.get(column).parse().ok()
    }

    /// Whether a column says yes.
    pub(super) fn is(&self, column: &str) -> bool {
        matches!(self.get(column).to_ascii_lowercase().as_str(), "true" | "y" | "yes" | "1")
    }

    /// Whether we made it.
    pub(super) fn is_ours(&self) -> bool {
        self.get("comment").starts_with(MARKER)
    }

    /// Refuses what somebody else has made. `kind` and `name` are for the reader.
    pub(super) fn claim(&self, kind: &str, name: &Name, adopt: bool, otherwise: &str) -> Result<()> {
        if adopt || self.is_ours() {
            return Ok(());
        }
        let comment = self.get("comment");
        let by = if comment.is_empty() { "none".to_owned() } else { format!("{comment:?}") };
        Err(Error::new(ErrorKind::Conflict, format!("the {kind} {name} was made by somebody else"))
            .with_context("owner", self.get("owner"))
            .with_context("comment", by)
            .with_help(format!("{otherwise}, or say --adopt if it may be changed")))
    }
}

fn found(answer: QueryResult) -> Vec<Found> {
    let columns: Vec<String> = answer.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
    let row = |cells: Vec<_>| {
        let cells = columns.iter().cloned().zip(cells);
        Found(
            cells
                .filter_map(|(name, cell): (String, Option<bytestring::ByteString>)| Some((name, cell?.to_string())))
                .collect(),
        )
    };
    answer.rows.into_iter().map(|cells| row(cells.0)).collect()
}

/// The pattern of a SHOW that finds at least this name. A name may hold what a pattern reads otherwise, so that what is found is
/// still to be compared.
pub(super) fn like_pattern(name: &Name) -> String {
    text_literal(&name.as_str().replace('\\', "_"))
}

/// A name of several parts.
pub(super) fn qualified_name(parts: &[&Name]) -> String {
    parts.iter().map(|part| part.sql()).collect::<Vec<_>>().join(".")
}

/// An error of kind `NotFound` with what the role may lack.
pub(super) fn absent(what: impl fmt::Display, help: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what} does not exist, or the role may not see it")).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_pattern_is_no_escape() {
        let name: Name = "\"a\\'b\"".parse().unwrap();
        assert_eq!(like_pattern(&name), "'a_''b'");
        assert_eq!(qualified_name(&[&name, &"c".parse().unwrap()]), "\"a\\'b\".C");
    }
}
