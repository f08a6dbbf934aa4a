//! Warehouse time, from the account's query history.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backends::snowflake::Snowflake;
use crate::backends::snowflake::names::{Names, identifier};
use crate::snowflake::{Sql, Statement, sql};
use crate::{Error, ErrorKind, Result, RunId};

/// How long statements ran on a warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WarehouseTime {
    /// All statements together. Concurrent ones each count in full.
    pub total: Duration,
    /// The statements of each run.
    pub by_run: BTreeMap<RunId, Duration>,
}

impl Snowflake {
    /// Returns how long the statements of this backend's newest 64 sessions ran on a warehouse, from the account's query history, in one
    /// statement. A warehouse is billed while it is running, which is longer: it keeps running after the last statement, and each
    /// start is billed for at least a minute.
    ///
    /// Of a session with more than 10 000 statements only the newest count. Unverified: see
    /// docs/unverified.md#query-history for how soon a statement appears in the history.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when Snowflake gave the sessions no ids; Snowflake's own error when the
    /// database is missing, or its history is not readable.
    pub async fn warehouse_time(&self) -> Result<WarehouseTime> {
        let sessions = self.0.pool.client().session_ids();
        if sessions.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "Snowflake gave no number for its sessions")
                .with_help("see QUERY_HISTORY in the account"));
        }
        let select = Statement::new(select(&self.0.names, &sessions));
        let answer = self.session().await?.execute(select).await?;
        let mut found = WarehouseTime::default();
        for row in &answer.rows {
            let time = Duration::from_millis(row.integer(1)?.unsigned_abs());
            found.total += time;
            // Another program may set a tag of its own.
            if let Some(run) = row.get(0)?.and_then(|run| run.parse().ok()) {
                *found.by_run.entry(run).or_default() += time;
            }
        }
        Ok(found)
    }
}

/// Sums the statements that used a warehouse; the size is null for others.
fn select(names: &Names, sessions: &[u64]) -> Sql {
    let history = |&session: &u64| {
        sql!(
            "SELECT \"EXECUTION_TIME\", \"WAREHOUSE_SIZE\", \"QUERY_TAG\" FROM TABLE({database}.\"INFORMATION_SCHEMA\".\
             QUERY_HISTORY_BY_SESSION(SESSION_ID => {session}, RESULT_LIMIT => 10000))",
            session,
            database = identifier(&names.database)
        )
    };
    sql!(
        "SELECT CAST(GET(TRY_PARSE_JSON(h.\"QUERY_TAG\"), 'run') AS VARCHAR) AS \"RUN\", \
         CAST(COALESCE(SUM(h.\"EXECUTION_TIME\"), 0) AS NUMBER(38, 0)) AS \"MS\" FROM ({histories}) h \
         WHERE h.\"WAREHOUSE_SIZE\" IS NOT NULL GROUP BY 1",
        histories = Sql::join(&sessions.iter().map(history).collect::<Vec<_>>(), " UNION ALL ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_asked_for_once() {
        let select = select(&Names::new("we\"ird", "public"), &[7, 9]);
        assert_eq!(select.matches("QUERY_HISTORY_BY_SESSION(").count(), 2);
        assert!(select.contains("TABLE(\"we\"\"ird\".\"INFORMATION_SCHEMA\"."), "{select}");
        assert!(select.contains("SESSION_ID => 7,") && select.contains("SESSION_ID => 9,"), "{select}");
    }
}
