//! The context of a step.

use std::sync::Arc;

use snowfeed::Result;
use snowfeed::backends::Snowflake;
use snowfeed::backends::snowflake::ConnectionConfig;
use snowfeed::internals::snowflake::{Client, QueryResult, Session, Sql, Statement};

use crate::endpoints::Part;
use crate::ledger::Watched;
use crate::run::Run;

/// A step's view of the run.
pub(crate) struct Scene<'a> {
    pub(crate) run: &'a Run,
    pub(crate) step: &'static str,
}

impl Scene<'_> {
    /// The name of an object of this run.
    pub(crate) fn name(&self, suffix: &str) -> String {
        self.run.id.name(suffix)
    }

    /// The run's own warehouse.
    pub(crate) fn warehouse(&self) -> String {
        self.name("WAREHOUSE")
    }

    /// A client that works in the run's warehouse, tags its statements, and is adjusted to the step.
    pub(crate) fn client_with(
        &self,
        part: Part,
        adjust: impl Fn(ConnectionConfig) -> ConnectionConfig,
    ) -> Result<Watched> {
        let (warehouse, tag) =
            (self.warehouse(), format!("snowfeed acceptance {} {}", self.run.id.as_str(), self.step));
        let adjust = |connection: ConnectionConfig| adjust(connection.warehouse(&warehouse).query_tag(&tag));
        let client = self.run.endpoints.client(part, &adjust)?;
        Ok(self.run.ledger.watch(self.step, client))
    }

    pub(crate) fn client(&self) -> Result<Watched> {
        self.client_with(Part::Sql, |connection| connection)
    }

    /// A client whose sessions are in a database.
    pub(crate) fn client_in(&self, database: &str) -> Result<Watched> {
        self.client_with(Part::Sql, |connection| connection.database(database))
    }

    /// A session, outside of any database.
    pub(crate) async fn session(&self) -> Result<Box<dyn Session>> {
        self.client()?.open().await
    }

    /// Makes a database for this step, and returns its name in quotes.
    pub(crate) async fn database(&self, suffix: &str) -> Result<String> {
        let name = format!("\"{}\"", self.name(suffix).replace('"', "\"\""));
        let create = format!("CREATE DATABASE {name} COMMENT = '{}'", self.run.id.comment());
        self.session().await?.execute(Statement::new(Sql::assert_safe(create))).await?;
        Ok(name)
    }

    /// A backend over a client, as another process would have it.
    pub(crate) fn backend_over(&self, client: impl Client, database: &str) -> Snowflake {
        snowfeed::internals::snowflake::backend(Arc::new(client), database, "PUBLIC")
    }

    pub(crate) fn backend(&self, database: &str) -> Result<Snowflake> {
        Ok(self.backend_over(self.client_in(database)?, database))
    }
}

/// Runs a statement.
pub(crate) async fn ask(session: &mut dyn Session, sql: impl Into<String>) -> Result<QueryResult> {
    session.execute(Statement::new(Sql::assert_safe(sql))).await
}

/// The only cell of a result, as text; empty for null.
pub(crate) fn cell(answer: &QueryResult) -> Result<String> {
    let row = answer.rows.first().ok_or_else(|| snowfeed::Error::invalid_data("the result has no row"))?;
    Ok(row.get(0)?.map(|text| text.to_string()).unwrap_or_default())
}

/// Whether an error says that the account, its edition or its region lacks a feature.
pub(crate) fn is_not_offered(error: &snowfeed::Error) -> bool {
    let message = error.message().to_ascii_lowercase();
    ["unsupported feature", "not supported", "not enabled", "not allowed for trial", "trial account", "not available"]
        .iter()
        .any(|words| message.contains(words))
}
