//! A backend in a Snowflake database.
//!
//! [`Snowflake`] keeps rows, configuration and state. [`ConnectionConfig`] says how to reach the account, from the files and
//! variables that Snowflake's own tools read.

mod catalog;
mod check;
mod columns;
mod commit;
mod config;
mod cost;
mod documents;
#[cfg(any(feature = "testkit", fuzzing))]
#[doc(hidden)]
pub mod internals;
mod known_sequences;
mod marks;
mod migration;
mod names;
mod options;
mod oversized;
mod plan;
mod planned_merge;
mod pool;
mod preview;
mod query_tag;
mod raw_table;
mod rejects;
mod rows;
mod run_history;
mod schema;
mod show;
mod staged_merge;
mod staging;
mod state;
mod state_tables;
mod sweep;
mod time;
mod transaction;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::cost::Credits;
use crate::sink::not_ensured;
use crate::sink::{
    Commit, CommitReport, Limits, LiveRows, Load, LoadEstimate, OutstandingRejects, RejectQuery, RowQuery, SelectedRow,
    Sink, Stage, StoredRecord, UnseenQuery,
};
use crate::snowflake::{Client, HttpClient, Session, query_tag};
use crate::{Column, Error, Resource, Result, RetryConfig, RunId, Sequence, StreamSpec};

use catalog::Catalog;
use cost::CreditLedger;
use names::Names;
use pool::{PooledSession, SessionPool, UnknownOutcome};
use query_tag::QueryTags;
use staging::{FileStage, Stages};

pub use check::Finding;
#[cfg(feature = "native-app")]
pub(crate) use cost::USAGE_SQL;
pub use cost::{WarehouseSize, WarehouseTime};
pub use options::SnowflakeOptions;

pub use crate::snowflake::{ConnectionConfig, Credentials, Protocol, Usage};

#[cfg(feature = "native-app")]
pub(crate) use migration::LONGEST_TEXT;
/// The statements that create the connector's own tables. Each name is in braces, for the caller to qualify.
#[cfg(feature = "native-app")]
pub(crate) use state_tables::STATE as STATE_SQL;

/// A backend in a Snowflake database: rows, configuration, state and run history, committed together.
///
/// A user finds in the database, beside the schema `STATE`:
///
/// | name | content |
/// |---|---|
/// | each stream, `PUBLIC.ISSUES` | a typed view of all resources, with a `RESOURCE` column |
/// | each resource, `PUBLIC."acme/widgets"` | the same view, of that resource only; the name is quoted where it is not lower-case |
/// | `PUBLIC_RAW."acme/widgets"` | the table behind it: `RAW` (a VARIANT), `DOCUMENT` (the text as it was sent; see [`keep_documents`](SnowflakeOptions::keep_documents)), key, parent, version, times, the number of the commit |
///
/// and in `STATE`, with the names of the reference system:
///
/// | name | content |
/// |---|---|
/// | `APP_CONFIGURATION`, `RESOURCE_CONFIGURATION` | `KEY`, `VALUE` |
/// | `APP_STATE` | `TIMESTAMP`, `KEY` (the resource), `STREAM`, `VALUE`, `VERSION`; the highest version of a stream of a resource counts |
/// | `INGESTION_RUN` | the run history, a view with one row for each run that changed something |
/// | `REJECTED_RECORD` | each thing that could not become a record, once, with the reason; removed when a reconcile run no longer meets it |
///
/// Names that begin with `SNOWFEED_` are internal and may change. Every object is created when it is first needed, and existing
/// objects are kept.
///
/// A run that finds nothing new runs two statements, whatever the number of resources. Both only read
/// (see [`is_metered`](crate::StateStore::is_metered)).
///
/// Clones share sessions and the cached catalog.
///
/// ```no_run
/// use std::sync::Arc;
/// use snowfeed::backends::Snowflake;
/// use snowfeed::backends::snowflake::ConnectionConfig;
/// # use snowfeed::engine::Connector;
/// # fn connector(source: impl snowfeed::Source) -> snowfeed::Result<()> {
/// let connection = ConnectionConfig::load(Some("ingest"))?;
/// let connector = Connector::new(source, Arc::new(Snowflake::connect(connection)?));
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
/// A commit whose future is dropped has happened completely or not at all: its statement is cancelled, and the transaction ends
/// with its session.
#[derive(Clone)]
pub struct Snowflake(Arc<Inner>);

struct Inner {
    /// Sessions that read settings, states, rejects and previews.
    pool: SessionPool,
    /// Sessions that load: the same, unless loads have a warehouse of their own.
    load_pool: SessionPool,
    options: SnowflakeOptions,
    names: Names,
    /// The warehouse that the connection names, for the help of [`Snowflake::check`].
    warehouse: Option<String>,
    catalog: Mutex<Option<Catalog>>,
    /// Whether the connector's own tables are known to exist, and with them the stage.
    has_schema: AtomicBool,
    max_bind_bytes: usize,
    stages: Arc<Stages>,
    credits: CreditLedger,
    /// The times of run records.
    run_clock: time::MonotonicClock,
    /// The sequences that `latest_many` has read along.
    known_sequences: known_sequences::KnownSequences,
}

/// The default of [`SnowflakeBuilder::max_bind_bytes`].
const DEFAULT_MAX_BIND_BYTES: usize = 2 << 20;

/// The schema of the views, unless the connection names one.
const DEFAULT_SCHEMA: &str = "PUBLIC";

/// Configures a [`Snowflake`] backend.
#[derive(Debug)]
#[must_use]
pub struct SnowflakeBuilder {
    connection: ConnectionConfig,
    retry: RetryConfig,
    max_bind_bytes: usize,
    options: SnowflakeOptions,
}

impl SnowflakeBuilder {
    /// Twelve attempts within five minutes, with delays from half a second to thirty seconds.
    pub const DEFAULT_RETRY: RetryConfig = HttpClient::DEFAULT_RETRY;

    /// Sets how requests without a response are retried. The default is [`DEFAULT_RETRY`](Self::DEFAULT_RETRY).
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the size up to which the rows of a table travel as a bound value in each commit; larger ones go through the stage. The
    /// default is 2 MiB.
    pub fn max_bind_bytes(mut self, bytes: usize) -> Self {
        self.max_bind_bytes = bytes;
        self
    }

    /// Sets what an operator may set: tables, commits, and the warehouse of loads.
    pub fn options(mut self, options: SnowflakeOptions) -> Self {
        self.options = options;
        self
    }

    /// Builds the backend. It sends nothing.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the connection names no database or is malformed, and when an option is
    /// out of its range.
    pub fn build(self) -> Result<Snowflake> {
        self.options.check()?;
        let Some(database) = self.connection.database.clone() else {
            return Err(Error::configuration("the Snowflake connection names no database")
                .with_help("give `--database`, set SNOWFLAKE_DATABASE, or `database` in the connection's file"));
        };
        let schema = self.connection.schema.clone().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        let warehouse = self.connection.warehouse.clone();
        let tag = query_tag(&self.connection);
        let client = HttpClient::with_retry(self.connection, self.retry)?;
        let load_client = self.options.load_warehouse.as_deref().map(|name| client.with_warehouse(name));
        let load_client = load_client.map(|client| Arc::new(client) as Arc<dyn Client>);
        let names = Names::new(&database, &schema);
        let mut inner = Inner::new(Arc::new(client), load_client, tag.as_deref(), names, self.options);
        (inner.warehouse, inner.max_bind_bytes) = (warehouse, self.max_bind_bytes);
        Ok(Snowflake(Arc::new(inner)))
    }
}

impl Inner {
    /// Without a client for loads, all sessions are of the same one.
    fn new(
        client: Arc<dyn Client>,
        load_client: Option<Arc<dyn Client>>,
        tag: Option<&str>,
        names: Names,
        options: SnowflakeOptions,
    ) -> Self {
        let pool = SessionPool::new(client, QueryTags::new(&names.database, tag));
        let load_pool = load_client.map_or_else(|| pool.clone(), |client| pool.with_client(client));
        let stages = Stages::new(load_pool.clone(), names.state("SNOWFEED_STAGE"), &options);
        let credits = CreditLedger::new(options.warehouse_size);
        Self {
            pool,
            load_pool,
            options,
            names,
            warehouse: None,
            catalog: Mutex::new(None),
            has_schema: AtomicBool::new(false),
            max_bind_bytes: DEFAULT_MAX_BIND_BYTES,
            stages: Arc::new(stages),
            credits,
            run_clock: time::MonotonicClock::default(),
            known_sequences: known_sequences::KnownSequences::default(),
        }
    }
}

impl Snowflake {
    /// Creates a backend in the database that the connection names, with its views in the schema that it names (`PUBLIC` unless
    /// given). It sends nothing.
    ///
    /// # Errors
    /// As for [`SnowflakeBuilder::build`].
    pub fn connect(connection: ConnectionConfig) -> Result<Self> {
        Self::builder(connection).build()
    }

    /// Starts a builder.
    pub fn builder(connection: ConnectionConfig) -> SnowflakeBuilder {
        SnowflakeBuilder {
            connection,
            retry: SnowflakeBuilder::DEFAULT_RETRY,
            max_bind_bytes: DEFAULT_MAX_BIND_BYTES,
            options: SnowflakeOptions::default(),
        }
    }

    /// Returns what this backend has spent so far.
    pub fn usage(&self) -> Usage {
        self.0.pool.client().usage()
    }

    /// Estimates the credits that this backend has used so far, from [`Usage::awake_ms`] and the
    /// [size](SnowflakeOptions::warehouse_size) of the warehouse.
    pub fn credits(&self) -> Credits {
        self.0.credits.size().credits(self.usage().awake_ms)
    }

    /// Closes the idle sessions. A later call opens new ones.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when Snowflake cannot be reached. Its sessions then expire after some hours.
    pub async fn close(&self) -> Result<()> {
        self.0.pool.close().await?;
        self.0.load_pool.close().await
    }

    /// A session with the connection's warehouse.
    async fn session(&self) -> Result<PooledSession> {
        self.0.pool.session().await
    }

    /// A session with the warehouse of loads.
    async fn load_session(&self) -> Result<PooledSession> {
        self.0.load_pool.session().await
    }

    /// Tags the statements of a session from now on, until it returns to the pool.
    fn tag(&self, session: &mut dyn Session, resource: &str, stream: Option<&str>, run: Option<RunId>) {
        session.set_query_tag(self.0.pool.tags().write(Some(resource), stream, run));
    }

    /// Returns the cached catalog, and reads it first if needed. The lock keeps other tasks from creating tables meanwhile.
    async fn catalog(&self, session: &mut dyn Session) -> Result<MappedMutexGuard<'_, Catalog>> {
        let mut known = self.0.catalog.lock().await;
        if known.is_none() {
            *known = Some(Catalog::read(session, &self.0.names).await?);
        }
        MutexGuard::try_map(known, Option::as_mut).map_err(|_| Error::internal("the catalog was read and is missing"))
    }

    /// Creates or upgrades the connector's own tables, if necessary, so that they can be written.
    async fn ensure_schema(&self, session: &mut dyn Session) -> Result<()> {
        self.catalog(session).await?.ensure_schema(session, &self.0.names).await?;
        self.0.has_schema.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the name of a resource's raw table that has numbers. Another program may have created it since the catalog was read.
    async fn numbered_name(&self, session: &mut dyn Session, resource: &Resource, stream: &str) -> Result<String> {
        let mut catalog = self.catalog(session).await?;
        if catalog.numbered_name(resource, stream).is_none() {
            catalog.reload(session, &self.0.names).await?;
        }
        catalog.numbered_name(resource, stream).map(str::to_owned).ok_or_else(|| not_ensured(resource, stream))
    }

    /// Returns the name of a resource's raw table. Another program may have created it since the catalog was read.
    async fn raw_name(&self, session: &mut dyn Session, resource: &Resource, table: &str) -> Result<String> {
        let mut catalog = self.catalog(session).await?;
        if catalog.name(resource, table).is_none() {
            catalog.reload(session, &self.0.names).await?;
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
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        // Known tables need no session, let alone a login.
        if self
            .0
            .catalog
            .lock()
            .await
            .as_mut()
            .is_some_and(|catalog| catalog.is_current(&self.0.names, resource, tables))
        {
            return Ok(());
        }
        transaction::with_retry(|| async {
            let mut session = self.load_session().await?;
            let mut catalog = self.catalog(&mut *session).await?;
            self.tag(&mut *session, resource.name(), None, None);
            catalog.ensure(&mut *session, &self.0.names, resource, tables, &self.0.options).await
        })
        .await
    }

    async fn finish(&self) -> Result<()> {
        if !self.0.catalog.lock().await.as_ref().is_some_and(Catalog::has_put_off) {
            return Ok(());
        }
        transaction::with_retry(|| async {
            let mut session = self.load_session().await?;
            self.catalog(&mut *session).await?.finish(&mut *session, &self.0.names).await
        })
        .await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        let columns = |catalog: &Catalog| catalog.columns(resource, stream).map(<[Column]>::to_vec);
        // A known table needs no session, let alone a login.
        if let Some(columns) = self.0.catalog.lock().await.as_ref().and_then(columns) {
            return Ok(columns);
        }
        transaction::with_retry(|| async {
            let mut session = self.load_session().await?;
            let catalog = self.catalog(&mut *session).await?;
            columns(&catalog).ok_or_else(|| not_ensured(resource, stream))
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        commit.validate()?;
        self.0.known_sequences.forget(commit.resource.name());
        let mut records = Vec::with_capacity(commit.parts.len());
        for part in &commit.parts {
            records.push(self.part_records(&commit, part).await?);
        }
        let (unknown, claim) = (UnknownOutcome::new(), OnceLock::new());
        let committed = transaction::with_retry(|| self.try_commit(&commit, &records, &unknown, &claim)).await;
        if let (Ok(_), Some(claim)) = (&committed, claim.into_inner()) {
            claim.keep();
        }
        self.0.known_sequences.forget(commit.resource.name());
        committed
    }

    async fn stage(&self, resource: &Resource, stream: &str, run: RunId) -> Result<Box<dyn Stage>> {
        // Waits for the creation of this or other resources' tables only if it does not know that there is a stage.
        if !self.0.has_schema.load(Ordering::Relaxed) {
            transaction::with_retry(|| async { self.ensure_schema(&mut *self.session().await?).await }).await?;
        }
        Ok(Box::new(FileStage::new(&self.0.stages, resource, stream, run)))
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.find_unseen(&query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.count_live_rows(&query).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        self.find_rows(&query).await
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        self.find_sequences(resource).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.find_rejects(&query).await
    }

    fn estimate(&self, load: Load) -> Option<LoadEstimate> {
        Some(self.estimate_load(load, &self.limits()))
    }

    /// Few, large commits: each takes several statements, and a warehouse is billed by the second, with a minimum of sixty.
    fn limits(&self) -> Limits {
        Limits {
            read_ahead: 8 << 20,
            commit_rows: 100_000,
            // What is less at the end of a stream travels as a bound value.
            commit_bytes: (self.0.max_bind_bytes / 2).min(8 << 20),
            commit_after: Duration::from_secs(self.0.options.commit_seconds.into()),
            stage: true,
            ..Limits::default()
        }
    }
}
