//! The embedded backend: one SQLite file is destination, configuration and state.

mod commit;
mod config;
mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod migration;
mod preview;
mod read_only;
mod readable;
mod rejects;
mod rows;
mod sink;
mod sql;
mod state;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Mutex;

use crate::{Error, Result};
use error::SqliteResult;

/// A backend in one SQLite file: rows, configuration, state and run history, committed together.
///
/// Other programs can read the file during an ingestion (it is in WAL mode), and a commit that has returned survives a
/// power cut (`synchronous = FULL`). Several processes may write the same file; they take turns, each waiting ten seconds
/// for the other.
///
/// The tables and views of the file:
///
/// | name | what |
/// |---|---|
/// | each stream, `issues` | a typed view of all resources, with a `resource` column |
/// | each resource, `acme/widgets` | the same view, of that resource only; the name is quoted where it is not lower-case |
/// | `APP_CONFIGURATION`, `RESOURCE_CONFIGURATION` | `key`, `value` |
/// | `APP_STATE` | `timestamp`, `key`, `value`, `version`; the highest version of a key counts |
/// | `INGESTION_RUN` | the run history, one row for each run |
/// | `REJECTED_RECORD` | each item that could not become a record, once, with the reason; removed when a reconcile run no longer meets it |
///
/// Tables whose names begin with `snowfeed_` are internal, and may change. Times are RFC 3339 text in UTC, and sort as text.
///
/// Clones share one connection. Its work runs on tokio's blocking threads, one call at a time.
///
/// ```
/// use snowfeed::backends::Sqlite;
/// use snowfeed::{ConfigStore, Namespace};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sqlite = Sqlite::in_memory()?;
/// sqlite.put(Namespace::Connector, "url", &"https://example.com".into()).await?;
/// assert_eq!(sqlite.get(Namespace::Connector, "url").await?, Some("https://example.com".into()));
/// # Ok::<(), snowfeed::Error>(())
/// # }).unwrap();
/// ```
///
/// # Cancellation
/// A call that is dropped before it starts does nothing; one that has started either completes or has no effect.
#[derive(Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    path: Arc<PathBuf>,
}

impl Sqlite {
    /// Opens a file, or creates it, and migrates it to this version's schema. Blocks until that is done.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the file is not a database, belongs to another program, or was
    /// written by a newer version of this one; [`Unavailable`](crate::ErrorKind::Unavailable) when it cannot be opened or
    /// written. In each case the file is left as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::with(file::open(path)?, path))
    }

    /// Opens a file for reading. The file and its directory may be write-protected; a write then fails.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`Configuration`](crate::ErrorKind::Configuration) also when a file that is write-protected has
    /// the schema of an older version.
    pub fn open_to_read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::with(read_only::open(path)?, path))
    }

    /// A database in memory, which is gone with its last clone.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when memory is short.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::with(file::in_memory()?, Path::new(":memory:")))
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn with(connection: Connection, path: &Path) -> Self {
        Self { connection: Arc::new(Mutex::new(connection)), path: Arc::new(path.to_owned()) }
    }

    /// Runs blocking work on the connection, off the async threads.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> SqliteResult<T> + Send + 'static,
    ) -> Result<T> {
        // Waiting for the lock here, not in the blocking call, occupies no thread.
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut connection)).await;
        done.map_err(|error| Error::internal("work on the database was broken off").with_source(error))?
            .map_err(|error| error.at(&self.path))
    }

    /// Runs blocking work that writes, in its own transaction.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> SqliteResult<T> + Send + 'static,
    ) -> Result<T> {
        self.run(move |connection| {
            // A transaction that begins as a reader cannot always become a writer: SQLite then fails at once, without
            // waiting for the other writer.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}
