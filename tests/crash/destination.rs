//! A destination that tests can inspect and copy.

use std::path::Path;
use std::sync::Arc;

use snowfeed::backends::{Memory, Sqlite};
use snowfeed::prelude::*;
#[cfg(feature = "snowflake")]
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{
    Backend, Commit, RunId, Sink, StateChange, StateKey, StateStore, StateVersion, StoredRow, StreamCommit,
};

#[cfg(feature = "snowflake")]
use crate::probes::snowflake::SnowflakeProbe;

/// A backend of any kind.
pub(crate) enum Destination {
    Memory(Memory),
    Sqlite(Sqlite, tempfile::TempDir),
    #[cfg(feature = "snowflake")]
    Snowflake(SnowflakeProbe),
}

/// A row as a user sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundRow {
    pub(crate) raw: String,
    pub(crate) deleted: bool,
}

fn file(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("a.db")
}

impl Destination {
    pub(crate) fn memory() -> Self {
        Self::Memory(Memory::new())
    }

    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::Sqlite(Sqlite::open(file(&dir)).unwrap(), dir)
    }

    /// A separate database on the Snowflake test server. Some commits go through the stage, some do not.
    #[cfg(feature = "snowflake")]
    pub(crate) fn snowflake() -> Option<Self> {
        Some(Self::Snowflake(SnowflakeProbe::new(crate::peers::next_fakesnow()?, 600)))
    }

    /// The same on the hostile account.
    #[cfg(feature = "snowflake")]
    pub(crate) fn hostile() -> Option<Self> {
        Some(Self::Snowflake(SnowflakeProbe::hostile(crate::peers::next_fakesnow()?, 600)))
    }

    pub(crate) fn backend(&self) -> Arc<dyn Backend> {
        match self {
            Self::Memory(memory) => Arc::new(memory.clone()),
            Self::Sqlite(sqlite, _) => Arc::new(sqlite.clone()),
            #[cfg(feature = "snowflake")]
            Self::Snowflake(probe) => Arc::new(probe.snowflake.clone()),
        }
    }

    /// The same for a second process, with a separate connection if that makes a difference.
    pub(crate) fn another(&self) -> Arc<dyn Backend> {
        match self {
            Self::Sqlite(_, dir) => Arc::new(Sqlite::open(file(dir)).unwrap()),
            _ => self.backend(),
        }
    }

    /// The destination as the next process finds it. A transaction of the crashed process runs to its end first: a thread cannot
    /// be killed, so the test that kills processes covers crashes in the middle of a transaction.
    pub(crate) async fn reopen(self) -> Self {
        match self {
            Self::Memory(memory) => Self::Memory(memory),
            Self::Sqlite(sqlite, dir) => {
                sqlite.latest(&StateKey::new("", "")).await.unwrap();
                Self::Sqlite(Sqlite::open(file(&dir)).unwrap(), dir)
            }
            #[cfg(feature = "snowflake")]
            Self::Snowflake(probe) => Self::Snowflake(probe.reopen()),
        }
    }

    /// A separate destination with the same rows and checkpoints. Unless it is a file, it is in memory, and forgets a reconcile
    /// run that is under way.
    pub(crate) async fn copy(&self, resources: &[Resource], tables: &[StreamSpec]) -> Self {
        if let Self::Sqlite(sqlite, dir) = self {
            sqlite.latest(&StateKey::new("", "")).await.unwrap();
            let copy = tempfile::tempdir().unwrap();
            for name in ["a.db", "a.db-wal"] {
                std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
            }
            return Self::Sqlite(Sqlite::open(file(&copy)).unwrap(), copy);
        }
        let copy = Memory::new();
        for resource in resources {
            copy.ensure_streams(resource, tables).await.unwrap();
            for table in tables {
                let records = self.stored(resource, &table.name).await.into_iter().flat_map(|row| {
                    let upsert = row.json.map(|json| Record::upsert(&row.key, row.version, json));
                    let delete = row.deleted_at.map(|_| Record::delete(&row.key, row.version));
                    upsert.into_iter().chain(delete)
                });
                let part = StreamCommit::new(&*table.name, RunId::new()).records(records);
                copy.commit(Commit::new(resource.clone(), jiff::Timestamp::now()).part(part)).await.unwrap();
                let key = StateKey::new(resource.name(), &*table.name);
                if let Some(entry) = self.backend().latest(&key).await.unwrap() {
                    let mut state = entry.state;
                    state.reconcile = None;
                    copy.append(StateChange::new(key, StateVersion::NONE, entry.at).state(state)).await.unwrap();
                }
            }
        }
        Self::Memory(copy)
    }

    /// The rows of a resource with all their columns, where the destination is not a file.
    async fn stored(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        match self {
            Self::Memory(memory) => memory.rows(resource, table),
            Self::Sqlite(..) => unreachable!("files are copied as a whole"),
            #[cfg(feature = "snowflake")]
            Self::Snowflake(probe) => probe.rows(resource, table).await,
        }
    }

    /// The rows of a resource, unordered, as the table's view shows them.
    pub(crate) async fn rows(&self, resource: &Resource, table: &str) -> Vec<FoundRow> {
        if let Self::Sqlite(_, dir) = self {
            return rows(&file(dir), resource, table);
        }
        let found = |row: StoredRow| Some(FoundRow { raw: row.json?.to_string(), deleted: row.deleted_at.is_some() });
        self.stored(resource, table).await.into_iter().filter_map(found).collect()
    }
}

/// The rows of a resource in a database file, read over another program's connection.
pub(crate) fn rows(file: &Path, resource: &Resource, table: &str) -> Vec<FoundRow> {
    let reader = rusqlite::Connection::open(file).unwrap();
    let exists: bool = reader
        .query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'view' AND name = ?1", [table], |row| {
            row.get(0)
        })
        .unwrap();
    if !exists {
        return Vec::new();
    }
    let select = format!("SELECT raw, deleted_at IS NOT NULL FROM \"{table}\" WHERE resource = ?1");
    let mut select = reader.prepare(&select).unwrap();
    let found =
        select.query_map([resource.name()], |row| Ok(FoundRow { raw: row.get(0)?, deleted: row.get(1)? })).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}
