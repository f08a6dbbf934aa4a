//! `APP_CONFIGURATION` and `RESOURCE_CONFIGURATION`.

use async_trait::async_trait;
use serde_json::Value;

use super::catalog::Catalog;
use super::state_tables::or_empty;
use super::{Snowflake, transaction};
use crate::Result;
use crate::config::{ConfigSnapshot, ConfigStore, Namespace};
use crate::snowflake::{Row, Sql, Statement, sql};

/// The RFC 3339 text of a value. A person or a procedure that only knows VALUE may have changed that column alone, or written
/// only one of the two. Invalid JSON does not fail the statement.
const TEXT: &str = "CASE WHEN TO_JSON(TRY_PARSE_JSON(\"DOCUMENT\", 'd')) = TO_JSON(\"VALUE\") THEN \"DOCUMENT\" \
                    ELSE COALESCE(TO_JSON(\"VALUE\"), \"DOCUMENT\") END AS \"TEXT\"";

impl Snowflake {
    fn table(&self, namespace: Namespace) -> Sql {
        self.0.names.state(match namespace {
            Namespace::Connector => "APP_CONFIGURATION",
            Namespace::Resource => "RESOURCE_CONFIGURATION",
        })
    }

    /// Returns the rows of a statement with three columns, the first of which is never null. Without a cached catalog, the same statement
    /// reads the catalog, to save a statement in the first ingestion.
    async fn with_catalog(&self, select: Sql) -> Result<Vec<Row>> {
        let mut session = self.session().await?;
        let mut known = self.0.catalog.lock().await;
        if known.is_none() {
            let both = sql!(
                "SELECT s.*, NULL AS \"RESOURCE\", NULL AS \"STREAM\", NULL AS \"NAME\", NULL AS \"COLUMNS\", NULL AS \"MADE_FROM\" \
                 FROM ({select}) s UNION ALL SELECT NULL AS \"WHAT\", NULL AS \"KEY\", NULL AS \"TEXT\", c.* FROM ({catalog}) c",
                select,
                catalog = Catalog::select(&self.0.names)
            );
            let answer = or_empty(session.execute(Statement::new(both)).await)?;
            let (mut rows, mut catalog) = (Vec::new(), Vec::new());
            for mut row in answer.rows {
                match row.get(0)? {
                    Some(_) => rows.push(row),
                    None => catalog.push(Row(row.0.split_off(3))),
                }
            }
            // Without a version, tables may be missing or belong to another program.
            if !catalog.is_empty() {
                *known = Some(Catalog::from_answer(&self.0.names, &catalog)?);
                return Ok(rows);
            }
        }
        drop(known);
        Ok(or_empty(session.execute(Statement::new(select)).await)?.rows)
    }

    /// Runs a write, after creating missing tables.
    async fn change(&self, statement: Statement) -> Result<u64> {
        transaction::with_retry(|| async {
            let mut session = self.session().await?;
            self.ensure_schema(&mut *session).await?;
            session.execute(statement.clone()).await?.rows_affected()
        })
        .await
    }
}

/// The key and value in a row. Invalid JSON becomes a text: reading the settings rejects it, and names the key.
fn entry(row: &Row, column: usize) -> Result<(String, Value)> {
    let key = row.text(column)?.to_string();
    let text = row.get(column + 1)?.map(|text| &**text).unwrap_or_default();
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok((key, value))
}

#[async_trait]
impl ConfigStore for Snowflake {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        let select = sql!("SELECT \"KEY\", {TEXT} FROM {table} WHERE \"KEY\" = ?", TEXT, table = self.table(namespace));
        let answer = or_empty(self.session().await?.execute(Statement::new(select).bind(key)).await)?;
        Ok(answer.rows.first().map(|row| entry(row, 0)).transpose()?.map(|(_, value)| value))
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        let merge = sql!(
            "MERGE INTO {table} t USING (SELECT b.\"KEY\", PARSE_JSON(b.\"DOCUMENT\") AS \"VALUE\", b.\"DOCUMENT\" FROM (SELECT \
             CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS VARCHAR) AS \"DOCUMENT\") b) s ON t.\"KEY\" = s.\"KEY\" WHEN MATCHED \
             THEN UPDATE SET \"VALUE\" = s.\"VALUE\", \"DOCUMENT\" = s.\"DOCUMENT\" WHEN NOT MATCHED THEN INSERT \
             (\"KEY\", \"VALUE\", \"DOCUMENT\") VALUES (s.\"KEY\", s.\"VALUE\", s.\"DOCUMENT\")",
            table = self.table(namespace)
        );
        self.change(Statement::new(merge).bind(key).bind(value.to_string())).await.map(drop)
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        let delete = sql!("DELETE FROM {table} WHERE \"KEY\" = ?", table = self.table(namespace));
        Ok(self.change(Statement::new(delete).bind(key)).await? > 0)
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        let select = sql!("SELECT \"KEY\", {TEXT} FROM {table} ORDER BY \"KEY\"", TEXT, table = self.table(namespace));
        let answer = or_empty(self.session().await?.execute(Statement::new(select)).await)?;
        answer.rows.iter().map(|row| entry(row, 0)).collect()
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        let select = |word: &'static str, namespace| {
            sql!("SELECT '{word}' AS \"WHAT\", \"KEY\", {TEXT} FROM {table}", word, TEXT, table = self.table(namespace))
        };
        // Without a bound value the text is always the same, so that Snowflake can answer from its result cache.
        let both = sql!(
            "{connector} UNION ALL {resource} ORDER BY 1, 2",
            connector = select("connector", Namespace::Connector),
            resource = select("resource", Namespace::Resource)
        );
        let answer = self.with_catalog(both).await?;
        let mut snapshot = ConfigSnapshot::default();
        for row in &answer {
            match row.text(0)?.as_ref() {
                "connector" => snapshot.connector.push(entry(row, 1)?),
                _ => snapshot.resources.push(entry(row, 1)?),
            }
        }
        Ok(snapshot)
    }
}
