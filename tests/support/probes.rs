//! A look into the backends, for the conformance suites.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::sync::Arc;

use async_trait::async_trait;
use snowfeed::StoredRow;
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{Reject, Resource, Sink, StateStore, Version};

/// A look into [`Memory`].
pub(crate) struct MemoryProbe(Memory);

impl MemoryProbe {
    pub(crate) fn new() -> Self {
        Self(Memory::new())
    }
}

#[async_trait]
impl SinkProbe for MemoryProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.0.clone())
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.0.clone()))
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        self.0.rows(resource, table)
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        self.0.rejects(resource, table)
    }
}

/// A look into [`Sqlite`], with a connection of its own.
pub(crate) struct SqliteProbe {
    sqlite: Sqlite,
    reader: Arc<std::sync::Mutex<rusqlite::Connection>>,
    _dir: tempfile::TempDir,
}

impl SqliteProbe {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        let sqlite = Sqlite::open(&path).unwrap();
        let reader = rusqlite::Connection::open(path).unwrap();
        Self { sqlite, reader: Arc::new(reader.into()), _dir: dir }
    }
}

#[async_trait]
impl SinkProbe for SqliteProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.sqlite.clone())
    }

    async fn another(&self) -> Arc<dyn Sink> {
        Arc::new(Sqlite::open(self.sqlite.path()).unwrap())
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.sqlite.clone()))
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let reader = self.reader.lock().unwrap();
        let exists = reader.prepare("SELECT 1 FROM snowfeed_stream WHERE name = ?1").unwrap().exists([table]).unwrap();
        if !exists {
            return vec![];
        }
        let mut find = reader
            .prepare(&format!(
                "SELECT key, version, raw, first_seen, changed_at, deleted_at FROM snowfeed_raw_{table} t \
                 JOIN snowfeed_resource r ON r.id = t.resource_id WHERE r.name = ?1"
            ))
            .unwrap();
        let time = |text: String| text.parse().unwrap();
        let rows = find.query_map([resource.name()], |row| {
            Ok(StoredRow {
                key: row.get(0)?,
                version: Version(row.get(1)?),
                json: row.get::<_, Option<String>>(2)?.map(Into::into),
                first_seen: time(row.get(3)?),
                changed_at: time(row.get(4)?),
                deleted_at: row.get::<_, Option<String>>(5)?.map(time),
            })
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let reader = self.reader.lock().unwrap();
        let mut find =
            reader.prepare("SELECT reason, raw FROM REJECTED_RECORD WHERE resource = ?1 AND stream = ?2").unwrap();
        let rejects = find.query_map([resource.name(), table], |row| {
            Ok(Reject { reason: row.get(0)?, raw: row.get::<_, String>(1)?.into() })
        });
        rejects.unwrap().collect::<Result<_, _>>().unwrap()
    }
}
