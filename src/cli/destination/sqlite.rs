//! A SQLite file.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Destination, DestinationArgs, Finding, Store, variable};
use crate::backends::{Preview, Sqlite};
use crate::{Backend, Resource, Result, SourceSpec};

/// The file of `--db`.
pub(super) struct SqliteFile {
    path: PathBuf,
}

impl SqliteFile {
    pub(super) fn new(spec: &SourceSpec, args: &DestinationArgs) -> Self {
        let path = args.db.clone().or_else(|| variable("SNOWFEED_DB").map(PathBuf::from));
        Self { path: path.unwrap_or_else(|| format!("{}.db", spec.name).into()) }
    }
}

#[async_trait]
impl Destination for SqliteFile {
    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(Sqlite::open(&self.path)?))
    }

    fn open_existing(&self) -> Result<Box<dyn Store>> {
        if self.path.exists() { self.open() } else { Ok(Box::new(Sqlite::in_memory()?)) }
    }

    fn open_to_read(&self) -> Result<Box<dyn Store>> {
        let file = if self.path.exists() { Sqlite::open_to_read(&self.path)? } else { Sqlite::in_memory()? };
        Ok(Box::new(file))
    }

    fn missing(&self) -> Option<String> {
        let note =
            || format!("the database {} does not exist yet; `enable` and `ingest` create it", self.path.display());
        (!self.path.exists()).then(note)
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn check(&self) -> Vec<Finding> {
        let path = self.path.display();
        let detail = if self.path.exists() { path.to_string() } else { format!("{path}, not created yet") };
        vec![Finding { name: "database", result: self.open_existing().map(|_| detail) }]
    }
}

#[async_trait]
impl Store for Sqlite {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview> {
        Self::preview(self, resource, table, limit).await
    }
}
