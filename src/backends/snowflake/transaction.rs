//! Transactions: their retries, and the fence that serializes those of one resource.
//!
//! The fence is a table with one row, for each key of the state. An INSERT locks nothing in Snowflake, so that two appends on one base
//! would both succeed. An UPDATE locks its table until the transaction ends. The fence holds no durable value that could become stale:
//! the highest version in `APP_STATE` counts, and is read under the lock. The row names the transaction that holds the lock. If
//! Snowflake has ended that transaction, later statements of the session commit on their own, and find a different transaction in the
//! row.

use std::time::Duration;

use super::names::{Names, fence_name};
use super::pool::{PooledSession, is_missing};
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::{Error, Result, RetryConfig};

const RETRY: RetryConfig = RetryConfig {
    max_attempts: 5,
    timeout: Duration::MAX,
    first_delay: Duration::from_millis(50),
    max_delay: Duration::from_secs(5),
};

/// Runs a transaction up to five times, as long as its error is worth a retry. The final error tells outer layers not to retry.
pub(super) async fn with_retry<T, F: Future<Output = Result<T>>>(work: impl FnMut() -> F) -> Result<T> {
    RETRY.run(work, Error::retry).await.map_err(Error::exhausted)
}

/// The fence of one key.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    /// The whole name of the table.
    table: Sql,
    /// The run that locks it, for diagnosis.
    run: String,
}

impl Fence {
    pub(super) fn new(names: &Names, key: &str, run: impl ToString) -> Self {
        Self { table: names.state(&fence_name(key)), run: run.to_string() }
    }

    /// Begins a transaction that holds the fence, to be [ended](PooledSession::end) by the caller. Waits while another transaction holds it.
    pub(super) async fn begin(&self, session: &mut PooledSession) -> Result<()> {
        if self.try_begin(session).await? {
            return Ok(());
        }
        // The first time, or after a user removed it.
        self.make(&mut **session).await?;
        if self.try_begin(session).await? {
            return Ok(());
        }
        Err(Error::unavailable(format!("the table {} was created, and its row is gone", self.table))
            .with_help("find out who removes tables or rows of the schema STATE, and run it again"))
    }

    async fn try_begin(&self, session: &mut PooledSession) -> Result<bool> {
        session.begin().await?;
        let lock = sql!(
            "UPDATE {table} SET \"TXN\" = CAST(CURRENT_TRANSACTION() AS VARCHAR), \"RUN\" = ?",
            table = &self.table
        );
        let locked = match session.execute(Statement::new(lock).bind(self.run.as_str())).await {
            Ok(answer) => answer.rows_affected().map(|rows| rows > 0),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        };
        if !matches!(locked, Ok(true)) {
            // A session that cannot roll back is closed, which rolls back.
            drop(session.execute(Statement::new("ROLLBACK")).await);
        }
        locked
    }

    /// Creates the table and its row if they are missing. Two rows are harmless: both are locked.
    pub(super) async fn make(&self, session: &mut dyn Session) -> Result<()> {
        let table = &self.table;
        let create = sql!(
            "CREATE TRANSIENT TABLE IF NOT EXISTS {table} (\"TXN\" VARCHAR, \"RUN\" VARCHAR) DATA_RETENTION_TIME_IN_DAYS = 0 \
             DEFAULT_DDL_COLLATION = ''",
            table
        );
        session.execute(Statement::new(create)).await?;
        let fill = sql!(
            "INSERT INTO {table} (\"TXN\", \"RUN\") SELECT CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR) WHERE NOT EXISTS \
             (SELECT 1 AS \"ONE\" FROM {table})",
            table
        );
        session.execute(Statement::new(fill)).await.map(drop)
    }

    /// The SQL condition that the transaction that locked the fence still exists.
    pub(super) fn is_held(&self) -> Sql {
        sql!(
            "EXISTS (SELECT 1 AS \"ONE\" FROM {table} f WHERE f.\"TXN\" = CAST(CURRENT_TRANSACTION() AS VARCHAR))",
            table = &self.table
        )
    }
}

/// The error of a transaction that Snowflake has ended, for instance because it held a contended lock while its client was silent.
/// No state was stored, so that it can be retried.
pub(super) fn lost() -> Error {
    Error::unavailable("Snowflake has ended the transaction before it was committed; nothing of the state was stored")
        .with_help("run it again; if it happens often, check whether the process or its network stalls for minutes")
}
