//! Reconcile runs: the rows that they have not seen. Also removes leftovers of crashed runs.

use super::{Snowflake, names};
use crate::sink::{LiveRows, StoredRecord, UnseenQuery};
use crate::snowflake::{Session, Statement, sql, stage_reference};
use crate::{Error, Result, Version};

/// The age after which staged data counts as a leftover, by the clock of the run that created it.
const LEFTOVER: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl Snowflake {
    /// Returns the live records that a reconcile run has not seen.
    pub(super) async fn find_unseen(&self, query: &UnseenQuery) -> Result<Vec<StoredRecord>> {
        let mut session = self.session().await?;
        self.tag(&mut *session, query.resource.name(), Some(&query.table), Some(query.sweep));
        let name = self.numbered_name(&mut *session, &query.resource, &query.table).await?;
        let (from, after) = query.after.as_deref().map_or((">=", ""), |after| (">", after));
        let select = sql!(
            "SELECT t.\"KEY\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", t.\"DOCUMENT\" FROM {raw} t LEFT JOIN (SELECT DISTINCT \
             \"KEY\" FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \"STREAM\" = ? AND \"PARENT\" IS NULL) s ON s.\"KEY\" = t.\"KEY\" \
             WHERE s.\"KEY\" IS NULL AND t.\"PARENT\" IS NULL AND t.\"KEY\" {from} ? AND t.\"DELETED_AT\" IS NULL ORDER BY t.\"KEY\" LIMIT {limit}",
            from,
            raw = self.0.names.raw(&name),
            seen = self.0.names.state("SNOWFEED_SEEN"),
            limit = query.limit
        );
        let select = Statement::new(select).bind(query.sweep.to_string()).bind(query.resource.name());
        let answer = session.execute(select.bind(query.table.as_str()).bind(after)).await?;
        let records = answer.rows.into_iter().map(|row| {
            let (key, version) = (row.text(0)?.to_string(), Version(row.integer(1)?));
            Ok(StoredRecord::new(key, version, row.text(2)?.clone()))
        });
        records.collect()
    }

    /// Counts the live rows of a table, and those that a reconcile run has not seen. A duplicate key is an error: snowfeed never writes
    /// one, and a MERGE would update both rows and never remove either.
    pub(super) async fn count_live_rows(&self, query: &UnseenQuery) -> Result<LiveRows> {
        let mut session = self.session().await?;
        self.tag(&mut *session, query.resource.name(), Some(&query.table), Some(query.sweep));
        let name = self.numbered_name(&mut *session, &query.resource, &query.table).await?;
        let raw = self.0.names.raw(&name);
        let select = sql!(
            "SELECT CAST(COUNT(*) AS VARCHAR) AS \"LIVE\", CAST(COUNT(s.\"KEY\") AS VARCHAR) AS \"SEEN\", \
             CAST(COUNT(DISTINCT COALESCE(t.\"PARENT\", ''), t.\"KEY\") AS VARCHAR) AS \"KEYS\" FROM {raw} t LEFT JOIN (SELECT DISTINCT \
             \"KEY\", COALESCE(\"PARENT\", '') AS \"PARENT\" FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \"STREAM\" = ?) s \
             ON s.\"KEY\" = t.\"KEY\" AND s.\"PARENT\" = COALESCE(t.\"PARENT\", '') WHERE t.\"DELETED_AT\" IS NULL",
            raw,
            seen = self.0.names.state("SNOWFEED_SEEN")
        );
        let select = Statement::new(select).bind(query.sweep.to_string()).bind(query.resource.name());
        let answer = session.execute(select.bind(query.table.as_str())).await?;
        let row = answer.rows.first().ok_or_else(|| Error::internal("a count has no row"))?;
        let [live, seen, keys] = [row.integer(0)?, row.integer(1)?, row.integer(2)?].map(i64::unsigned_abs);
        if keys < live {
            let doubled = format!("{raw} holds {live} rows with only {keys} keys: rows were inserted by hand");
            return Err(Error::invalid_data(doubled).with_help(format!(
                "keep one row of each key, and ingest again: INSERT OVERWRITE INTO {raw} SELECT * FROM {raw} QUALIFY ROW_NUMBER() \
                 OVER (PARTITION BY \"PARENT\", \"KEY\" ORDER BY \"VERSION\" DESC) = 1"
            )));
        }
        Ok(LiveRows { live, unseen: live.saturating_sub(seen) })
    }

    /// Removes files and load tables of crashed runs, once for each process. The next process retries failures.
    pub(super) async fn clean_up(&self, session: &mut dyn Session) {
        if self.0.cleaned.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.try_clean_up(session).await {
            tracing::warn!(%error, "leftovers of earlier runs could not be removed");
        }
    }

    async fn try_clean_up(&self, session: &mut dyn Session) -> Result<()> {
        let names = &self.0.names;
        let find = sql!(
            "SELECT \"TABLE_NAME\" FROM {schema}.\"TABLES\" WHERE \"TABLE_SCHEMA\" = ? AND CONTAINS(\"TABLE_NAME\", '^=load/')",
            schema = names.schema_name("INFORMATION_SCHEMA")
        );
        let tables = session.execute(Statement::new(find).bind(names.raw_schema())).await?;
        for row in tables.rows {
            let table = row.text(0)?;
            if names::load_table_run(table).is_some_and(is_leftover) {
                session.execute(Statement::new(sql!("DROP TABLE IF EXISTS {raw}", raw = names.raw(table)))).await?;
            }
        }
        let stage = names.state("SNOWFEED_STAGE");
        let files = session.execute(Statement::new(sql!("LIST {stage}", stage = stage_reference(&stage)))).await?;
        let mut runs: Vec<uuid::Uuid> = Vec::new();
        for row in files.rows {
            // The name begins with the stage's name.
            let run = row.text(0)?.split('/').find_map(|part| part.parse().ok());
            runs.extend(run.filter(|run| is_leftover(*run)));
        }
        runs.sort_unstable();
        runs.dedup();
        for run in runs {
            let location = stage_reference(&format!("{stage}/{run}/"));
            session.execute(Statement::new(sql!("REMOVE {location}", location))).await?;
        }
        Ok(())
    }
}

/// Whether the run with this id began long enough ago to be over.
fn is_leftover(run: uuid::Uuid) -> bool {
    let Some(began) = run.get_timestamp() else { return false };
    let (seconds, nanos) = began.to_unix();
    let began = std::time::UNIX_EPOCH + std::time::Duration::new(seconds, nanos);
    began.elapsed().is_ok_and(|age| age > LEFTOVER)
}
