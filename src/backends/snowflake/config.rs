//! `APP_CONFIGURATION` and `RESOURCE_CONFIGURATION`.

use async_trait::async_trait;
use serde_json::Value;

use super::client::{Row, Statement};
use super::state::found;
use super::{Snowflake, retry};
use crate::config::{ConfigSnapshot, ConfigStore, Domain};
use crate::{Error, Result};

/// The exact text of a value. A program that knows only VALUE, such as a procedure, or a person, may have changed that one alone.
const TEXT: &str = "CASE WHEN TO_JSON(PARSE_JSON(\"DOCUMENT\")) = TO_JSON(\"VALUE\") THEN \"DOCUMENT\" \
                    ELSE TO_JSON(\"VALUE\") END AS \"TEXT\"";

impl Snowflake {
    fn table(&self, domain: Domain) -> String {
        self.0.names.state(match domain {
            Domain::Connector => "APP_CONFIGURATION",
            Domain::Resource => "RESOURCE_CONFIGURATION",
        })
    }

    /// Runs a statement that writes, after the tables have been made.
    async fn change(&self, statement: Statement) -> Result<u64> {
        retry::transaction(|| async {
            let mut session = self.session().await?;
            self.catalog(&mut *session).await?.ready(&mut *session, &self.0.names).await?;
            session.execute(statement.clone()).await?.affected()
        })
        .await
    }
}

fn entry(row: &Row, column: usize) -> Result<(String, Value)> {
    let key = row.text(column)?.to_string();
    let value = serde_json::from_str(row.text(column + 1)?).map_err(|error| {
        Error::configuration(format!("the stored settings of {key:?} are no JSON")).with_source(error)
    })?;
    Ok((key, value))
}

#[async_trait]
impl ConfigStore for Snowflake {
    async fn get(&self, domain: Domain, key: &str) -> Result<Option<Value>> {
        let select = format!("SELECT \"KEY\", {TEXT} FROM {} WHERE \"KEY\" = ?", self.table(domain));
        let answer = found(self.session().await?.execute(Statement::new(select).bind(key)).await)?;
        Ok(answer.rows.first().map(|row| entry(row, 0)).transpose()?.map(|(_, value)| value))
    }

    async fn put(&self, domain: Domain, key: &str, value: &Value) -> Result<()> {
        let merge = format!(
            "MERGE INTO {} t USING (SELECT b.\"KEY\", PARSE_JSON(b.\"DOCUMENT\") AS \"VALUE\", b.\"DOCUMENT\" FROM (SELECT \
             CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS VARCHAR) AS \"DOCUMENT\") b) s ON t.\"KEY\" = s.\"KEY\" WHEN MATCHED \
             THEN UPDATE SET \"VALUE\" = s.\"VALUE\", \"DOCUMENT\" = s.\"DOCUMENT\" WHEN NOT MATCHED THEN INSERT \
             (\"KEY\", \"VALUE\", \"DOCUMENT\") VALUES (s.\"KEY\", s.\"VALUE\", s.\"DOCUMENT\")",
            self.table(domain)
        );
        self.change(Statement::new(merge).bind(key).bind(value.to_string())).await.map(drop)
    }

    async fn remove(&self, domain: Domain, key: &str) -> Result<bool> {
        let delete = format!("DELETE FROM {} WHERE \"KEY\" = ?", self.table(domain));
        Ok(self.change(Statement::new(delete).bind(key)).await? > 0)
    }

    async fn list(&self, domain: Domain) -> Result<Vec<(String, Value)>> {
        let select = format!("SELECT \"KEY\", {TEXT} FROM {} ORDER BY \"KEY\"", self.table(domain));
        let answer = found(self.session().await?.execute(Statement::new(select)).await)?;
        answer.rows.iter().map(|row| entry(row, 0)).collect()
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        let select =
            |word: &str, domain| format!("SELECT '{word}' AS \"WHAT\", \"KEY\", {TEXT} FROM {}", self.table(domain));
        // Without a bound value the text is always the same, so that Snowflake can answer from its cache of results.
        let both = format!(
            "{} UNION ALL {} ORDER BY 1, 2",
            select("connector", Domain::Connector),
            select("resource", Domain::Resource)
        );
        let answer = found(self.session().await?.execute(Statement::new(both)).await)?;
        let mut snapshot = ConfigSnapshot::default();
        for row in &answer.rows {
            match row.text(0)?.as_ref() {
                "connector" => snapshot.connector.push(entry(row, 1)?),
                _ => snapshot.resources.push(entry(row, 1)?),
            }
        }
        Ok(snapshot)
    }
}
