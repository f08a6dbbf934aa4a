//! The cost by day, resource and stream, as the account attributes it to the connector's statements by their tags.
//!
//! Source: `sql-reference/account-usage/query_attribution_history`. Unverified: see docs/unverified.md#connector-cost.

use crate::backends::snowflake::Snowflake;
use crate::backends::snowflake::names::literal;
use crate::backends::snowflake::pool::is_missing;
use crate::cost::{CostEntry, Credits};
use crate::snowflake::{QueryResult, Session, Sql, Statement, sql};
use crate::{Error, ErrorKind, Result};

/// The view in the schema `STATE`.
const VIEW: &str = "CONNECTOR_COST";

impl Snowflake {
    /// Returns what the connector's statements of the last `days` days have cost, the newest day first, from the view
    /// `STATE.CONNECTOR_COST`, which it creates if it is missing. Snowflake knows the cost of a statement up to eight hours later.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the role may not read the account's usage; Snowflake's own errors.
    pub async fn cost_history(&self, days: usize) -> Result<Vec<CostEntry>> {
        let mut session = self.session().await?;
        let answer = self.read_cost(&mut *session, days).await?;
        let entry = |row: &crate::snowflake::Row| {
            let day = row.text(0)?;
            let day = day
                .parse()
                .map_err(|error| Error::invalid_data(format!("{day:?} in {VIEW} is not a day")).with_source(error))?;
            let text = |column| Ok::<_, Error>(row.get(column)?.map(ToString::to_string));
            let [statements, micros] = [row.integer(3)?, row.integer(4)?].map(i64::unsigned_abs);
            let (resource, stream) = (text(1)?, text(2)?);
            Ok(CostEntry { day, resource, stream, statements, credits: Credits::from_micros(micros) })
        };
        answer.rows.iter().map(entry).collect()
    }

    async fn read_cost(&self, session: &mut dyn Session, days: usize) -> Result<QueryResult> {
        let view = self.0.names.state(VIEW);
        match session.execute(Statement::new(newest(&view, days))).await {
            Err(error) if is_missing(&error) => {}
            answer => return answer,
        }
        let usage = usage(self.0.pool.tags().database());
        let create = sql!("CREATE VIEW IF NOT EXISTS {view} COPY GRANTS AS {usage}", view = &view, usage = &usage);
        let from = match session.execute(Statement::new(create)).await {
            Ok(_) => view,
            // The schema may be missing, or belong to another role: the usage can be read without a view.
            Err(_) => sql!("({usage})", usage),
        };
        session.execute(Statement::new(newest(&from, days))).await.map_err(|error| match is_missing(&error) {
            true => Error::new(ErrorKind::NotFound, "this role may not read what the connector's statements have cost")
                .with_help("run GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE, followed by the connector's role, as ACCOUNTADMIN")
                .with_source(error),
            false => error,
        })
    }
}

/// The SELECT of the view, in which `{database}` stands for the database as a literal. The tags of the connector's statements name it.
pub(crate) const USAGE: &str = include_str!("usage.sql");

fn usage(database: &str) -> Sql {
    Sql::from(USAGE.trim_end()).replace_fragment("{database}", &literal(database))
}

/// The rows of the last days, from the view or its SELECT.
fn newest(from: &Sql, days: usize) -> Sql {
    sql!(
        "SELECT CAST(c.\"DAY\" AS VARCHAR) AS \"DAY\", c.\"RESOURCE\", c.\"STREAM\", c.\"STATEMENTS\", \
         CAST(ROUND(c.\"CREDITS\" * 1000000) AS NUMBER(38, 0)) AS \"MICROS\" FROM {from} c WHERE c.\"DAY\" > DATEADD('day', -{days}, \
         CURRENT_DATE()) ORDER BY c.\"DAY\" DESC, c.\"RESOURCE\" NULLS FIRST, c.\"STREAM\" NULLS FIRST",
        from,
        days
    )
}
