//! `APP_CONFIGURATION` and `RESOURCE_CONFIGURATION`.

use async_trait::async_trait;
use rusqlite::OptionalExtension;
use serde_json::Value;

use super::Sqlite;
use crate::config::{ConfigStore, Namespace};
use crate::{Error, Result};

/// The key in `APP_CONFIGURATION` that holds the file's source. Files of older versions lack it.
const SOURCE_KEY: &str = "source";

fn table(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::Connector => "APP_CONFIGURATION",
        Namespace::Resource => "RESOURCE_CONFIGURATION",
    }
}

#[async_trait]
impl ConfigStore for Sqlite {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        let key = key.to_owned();
        self.run(move |connection| {
            let mut find =
                connection.prepare_cached(&format!("SELECT value FROM {} WHERE key = ?1", table(namespace)))?;
            let json: Option<String> = find.query_row([key], |row| row.get(0)).optional()?;
            Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
        })
        .await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        let (key, json) = (key.to_owned(), value.to_string());
        self.write(move |transaction| {
            let sql = format!("INSERT OR REPLACE INTO {} (key, value) VALUES (?1, ?2)", table(namespace));
            transaction.prepare_cached(&sql)?.execute([key, json])?;
            Ok(())
        })
        .await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.write(move |transaction| {
            let sql = format!("DELETE FROM {} WHERE key = ?1", table(namespace));
            Ok(transaction.prepare_cached(&sql)?.execute([key])? > 0)
        })
        .await
    }

    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        let found = self.get(Namespace::Connector, SOURCE_KEY).await?;
        match found.as_ref().and_then(Value::as_str) {
            Some(owner) if owner == source => Ok(()),
            Some(owner) => {
                Err(Error::configuration(format!("the database belongs to the source {owner:?}, not to {source:?}"))
                    .with_context("database", self.path.display())
                    .with_help("name another file with --db: each source needs one of its own"))
            }
            None if adopt => self.put(Namespace::Connector, SOURCE_KEY, &source.into()).await,
            None => Ok(()),
        }
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.run(move |connection| {
            let sql = format!("SELECT key, value FROM {} ORDER BY key", table(namespace));
            let mut find = connection.prepare_cached(&sql)?;
            let mut rows = find.query([])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let json: String = row.get(1)?;
                entries.push((row.get(0)?, serde_json::from_str(&json)?));
            }
            Ok(entries)
        })
        .await
    }
}
