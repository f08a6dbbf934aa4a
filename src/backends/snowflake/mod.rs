//! Snowflake as destination, configuration and state.
//!
//! [`Snowflake`] is the backend. Below it is a [`client`] of its own, and the [`connection`] settings that Snowflake's other
//! tools read; files travel to Snowflake by a [`stage`].

pub mod client;
pub mod connection;
pub mod stage;

mod blocking;
mod catalog;
mod check;
mod columns;
mod commit;
mod config;
mod cost;
mod fence;
#[cfg(fuzzing)]
pub mod fuzzing;
mod load;
mod migration;
mod names;
mod plan;
mod pool;
mod preview;
mod rejects;
mod retry;
mod schema;
mod state;
mod sweep;
mod time;
mod view;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::sink::not_ensured;
use crate::sink::{
    Commit, CommitReport, Limits, LiveRows, OutstandingRejects, RejectQuery, Sink, StoredRecord, UnseenQuery,
};
use crate::{Error, Resource, Result, RetryConfig, TableSpec};
pub use check::Finding;

use catalog::Catalog;
use client::{Client, HttpClient, Session, Spent};
use connection::Connection;
use names::Names;
use pool::{Lease, Pool};
use retry::Unanswered;

#[cfg(feature = "native-app")]
pub(crate) use migration::LONGEST_TEXT;
/// The statements that make the connector's own tables, for whoever has to make them before it runs: each name stands in
/// braces, to be qualified.
#[cfg(feature = "native-app")]
pub(crate) use schema::STATE as STATE_SQL;

/// A backend in a Snowflake database: rows, configuration, state and run history, committed together.
///
/// What a user finds in the database, beside the schema `STATE`:
///
/// | name | what |
/// |---|---|
/// | each stream, `PUBLIC.ISSUES` | a typed view of all resources, with a `RESOURCE` column |
/// | each resource, `PUBLIC."acme/widgets"` | the same view, of that resource only; the name is quoted where it is not lower-case |
/// | `PUBLIC_RAW."acme/widgets"` | the table behind it: `RAW` (a VARIANT), `DOCUMENT` (the text as it was sent), key, version, times |
///
/// and in `STATE`, with the names of the reference system:
///
/// | name | what |
/// |---|---|
/// | `APP_CONFIGURATION`, `RESOURCE_CONFIGURATION` | `KEY`, `VALUE` |
/// | `APP_STATE` | `TIMESTAMP`, `KEY`, `VALUE`, `VERSION`; the highest version of a key counts |
/// | `INGESTION_RUN` | the run history, a view with one row for each run that changed something |
/// | `REJECTED_RECORD` | what could not be made a record of, each thing once, with the reason; until a reconcile run does not meet it |
///
/// Names that begin with `SNOWFEED_` are its own, and may change. Everything is made when it is first needed, and only what is
/// missing.
///
/// A run that finds nothing new runs two statements whatever the number of resources, both of which only read
/// (see [`is_metered`](crate::StateStore::is_metered)).
///
/// Clones share sessions and what they know of the database.
///
/// ```no_run
/// use std::sync::Arc;
/// use snowfeed::backends::Snowflake;
/// use snowfeed::backends::snowflake::connection::Connection;
/// # use snowfeed::engine::Connector;
/// # fn connector(source: impl snowfeed::Source) -> snowfeed::Result<()> {
/// let connection = Connection::load(Some("ingest"))?;
/// let connector = Connector::new(source, Arc::new(Snowflake::connect(connection)?));
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
/// A commit that is dropped has happened wholly or not at all: its statement is cancelled, and the transaction ends with its
/// session.
#[derive(Clone)]
pub struct Snowflake(Arc<Inner>);

struct Inner {
    pool: Pool,
    names: Names,
    /// The warehouse that the connection names, for who asks why there is none.
    warehouse: Option<String>,
    catalog: Mutex<Option<Catalog>>,
    bind_at_most: usize,
    cleaned: AtomicBool,
    /// When a run's record was last written.
    recorded: time::Rising,
}

/// Rows of up to this many bytes travel as a bound value.
const BIND_AT_MOST: usize = 2 << 20;

/// The schema of the views, unless the connection names one.
const SCHEMA: &str = "PUBLIC";

impl Snowflake {
    /// A backend in the database that the connection names, with its views in the schema that it names (`PUBLIC` unless
    /// given). Nothing is sent yet.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the connection names no database, or is malformed.
    pub fn connect(connection: Connection) -> Result<Self> {
        Self::connect_with(connection, HttpClient::RETRIES)
    }

    /// The same, with other retries of requests that bring no answer than [`HttpClient::RETRIES`].
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn connect_with(connection: Connection, retries: RetryConfig) -> Result<Self> {
        let Some(database) = connection.database.clone() else {
            return Err(Error::configuration("the Snowflake connection names no database")
                .with_help("give `--database`, set SNOWFLAKE_DATABASE, or `database` in the connection's file"));
        };
        let schema = connection.schema.clone().unwrap_or_else(|| SCHEMA.to_owned());
        let warehouse = connection.warehouse.clone();
        let mut snowflake = Self::over(Arc::new(HttpClient::with_retries(connection, retries)?), &database, &schema);
        if let Some(inner) = Arc::get_mut(&mut snowflake.0) {
            inner.warehouse = warehouse;
        }
        Ok(snowflake)
    }

    /// A backend over any client, in this database, with its views in this schema. Names are read as Snowflake reads them:
    /// without quotes they mean upper case, `"in quotes"` they mean themselves.
    pub fn over(client: Arc<dyn Client>, database: &str, schema: &str) -> Self {
        Self(Arc::new(Inner {
            pool: Pool::new(client),
            names: Names::new(database, schema),
            warehouse: None,
            catalog: Mutex::new(None),
            bind_at_most: BIND_AT_MOST,
            cleaned: AtomicBool::new(false),
            recorded: time::Rising::default(),
        }))
    }

    /// Sends rows of up to this many bytes, for each table and commit, as a bound value, and what is larger through the stage.
    /// Must be called before the backend is cloned or used; later it has no effect.
    #[must_use]
    pub fn bind_at_most(mut self, bytes: usize) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.bind_at_most = bytes;
        }
        self
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        self.0.pool.client().spent()
    }

    /// Ends the sessions. A later call opens new ones.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when Snowflake cannot be reached: sessions then end by themselves, after
    /// some hours.
    pub async fn close(&self) -> Result<()> {
        self.0.pool.close().await
    }

    async fn session(&self) -> Result<Lease> {
        self.0.pool.session().await
    }

    /// What is known of the database, read by whoever needs it first. Nobody else makes tables meanwhile.
    async fn catalog(&self, session: &mut dyn Session) -> Result<MappedMutexGuard<'_, Catalog>> {
        let mut known = self.0.catalog.lock().await;
        if known.is_none() {
            *known = Some(Catalog::read(session, &self.0.names).await?);
        }
        MutexGuard::try_map(known, Option::as_mut).map_err(|_| Error::internal("the catalog was read and is not there"))
    }

    /// The name of the raw table of a resource. One that is not known here may have been made by another program.
    async fn raw_name(&self, session: &mut dyn Session, resource: &Resource, table: &str) -> Result<String> {
        let mut catalog = self.catalog(session).await?;
        if catalog.name(resource, table).is_none() {
            *catalog = Catalog::read(session, &self.0.names).await?;
        }
        catalog.name(resource, table).map(str::to_owned).ok_or_else(|| not_ensured(resource, table))
    }
}

impl fmt::Debug for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snowflake").field("names", &self.0.names).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Snowflake {
    async fn ensure_tables(&self, resource: &Resource, tables: &[TableSpec]) -> Result<()> {
        // What is known to be there needs no session, let alone a login.
        if self.0.catalog.lock().await.as_ref().is_some_and(|catalog| catalog.has(&self.0.names, resource, tables)) {
            return Ok(());
        }
        retry::transaction(|| async {
            let mut session = self.session().await?;
            let mut catalog = self.catalog(&mut *session).await?;
            catalog.ensure(&mut *session, &self.0.names, resource, tables).await
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let unanswered = Unanswered::none();
        retry::transaction(|| self.try_commit(&commit, &unanswered)).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.find_unseen(&query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.count_live_rows(&query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.find_rejects(&query).await
    }

    /// Few, large commits: each is some statements, and a warehouse is paid for by the second, sixty of them at least.
    fn limits(&self) -> Limits {
        Limits {
            read_ahead: 16 << 20,
            commit_rows: 100_000,
            commit_bytes: 8 << 20,
            commit_after: Duration::from_secs(60),
            ..Limits::default()
        }
    }
}
