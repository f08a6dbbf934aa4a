//! Reconcile runs: the rows that they have not seen.

use super::documents::TEXT;
use super::{Snowflake, marks};
use crate::sink::{LiveRows, StoredRecord, UnseenQuery};
use crate::snowflake::{Statement, sql};
use crate::{Error, Result, Version};

impl Snowflake {
    /// Returns the live records that a reconcile run has not seen.
    pub(super) async fn find_unseen(&self, query: &UnseenQuery) -> Result<Vec<StoredRecord>> {
        let mut session = self.load_session().await?;
        self.tag(&mut *session, query.resource.name(), Some(&query.table), Some(query.sweep));
        let name = self.numbered_name(&mut *session, &query.resource, &query.table).await?;
        let (from, after) = query.after.as_deref().map_or((">=", ""), |after| (">", after));
        let select = sql!(
            "SELECT t.\"KEY\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", {TEXT} AS \"DOCUMENT\" FROM {raw} t LEFT JOIN (SELECT DISTINCT \
             \"KEY\" FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \"STREAM\" = ? AND \"PARENT\" IS NULL) s ON s.\"KEY\" = t.\"KEY\" \
             WHERE s.\"KEY\" IS NULL AND t.\"PARENT\" IS NULL AND t.\"KEY\" {from} ? AND t.\"DELETED_AT\" IS NULL ORDER BY t.\"KEY\" LIMIT {limit}",
            from,
            TEXT,
            raw = self.0.names.raw(&name),
            seen = self.0.names.state("SNOWFEED_SEEN"),
            limit = query.limit
        );
        let select = marks::bind(Statement::new(select), query.sweep, &query.resource, &query.table);
        let answer = session.execute(select.bind(after)).await?;
        let records = answer.rows.into_iter().map(|row| {
            let (key, version) = (row.text(0)?.to_string(), Version(row.integer(1)?));
            Ok(StoredRecord::new(key, version, row.text(2)?.clone()))
        });
        records.collect()
    }

    /// Counts the live rows of a table, and those that a reconcile run has not seen. A duplicate key is an error: snowfeed never writes
    /// one, and a MERGE would update both rows and never remove either.
    pub(super) async fn count_live_rows(&self, query: &UnseenQuery) -> Result<LiveRows> {
        let mut session = self.load_session().await?;
        self.tag(&mut *session, query.resource.name(), Some(&query.table), Some(query.sweep));
        let name = self.numbered_name(&mut *session, &query.resource, &query.table).await?;
        let raw = self.0.names.raw(&name);
        let select = sql!(
            "SELECT CAST(COUNT(*) AS VARCHAR) AS \"LIVE\", CAST(COUNT(s.\"KEY\") AS VARCHAR) AS \"SEEN\", \
             CAST(COUNT(DISTINCT COALESCE(t.\"PARENT\", ''), t.\"KEY\") AS VARCHAR) AS \"KEYS\" FROM {raw} t LEFT JOIN {marked} s \
             ON s.\"KEY\" = t.\"KEY\" AND s.\"PARENT\" = COALESCE(t.\"PARENT\", '') WHERE t.\"DELETED_AT\" IS NULL",
            raw,
            marked = marks::marked_keys(&self.0.names)
        );
        let select = marks::bind(Statement::new(select), query.sweep, &query.resource, &query.table);
        let answer = session.execute(select).await?;
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
}
