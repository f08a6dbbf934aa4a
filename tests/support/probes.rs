//! Probes into the backends, for the conformance suites.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::sync::Arc;

use async_trait::async_trait;
use snowfeed::StoredRow;
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{Reject, Resource, Sink, StateStore};

/// A probe into [`Memory`].
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

/// A probe into [`Sqlite`], over a separate connection.
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
            let (key, version, json) =
                (row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?);
            let new = StoredRow::new(key, version, json.map(Into::into), time(row.get(3)?));
            Ok(new.changed(time(row.get(4)?), row.get::<_, Option<String>>(5)?.map(time)))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let reader = self.reader.lock().unwrap();
        let mut find =
            reader.prepare("SELECT reason, raw FROM REJECTED_RECORD WHERE resource = ?1 AND stream = ?2").unwrap();
        let rejects = find.query_map([resource.name(), table], |row| {
            Ok(Reject::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        rejects.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// A probe into a separate Snowflake database.
#[cfg(feature = "snowflake")]
pub(crate) mod snowflake {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use snowfeed::backends::Snowflake;
    use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol, SnowflakeOptions};
    use snowfeed::internals::snowflake::{Client, HttpClient, QueryResult, Sql, Statement, backend_of};
    use snowfeed::testkit::conformance::SinkProbe;
    use snowfeed::{Reject, Resource, RowPath, Sink, StateStore, StoredRow};

    use crate::peers::Server;

    /// The account whose parameters are all set to values that break careless clients.
    pub(crate) const HOSTILE: &str = "hostile";

    /// A connection to the Snowflake test server. `SNOWFEED_TEST_ACCOUNT=hostile` runs whole suites on the hostile
    /// account.
    pub(crate) fn connection(server: &Server) -> ConnectionConfig {
        let account = std::env::var("SNOWFEED_TEST_ACCOUNT").unwrap_or_else(|_| "test".to_owned());
        connection_to(server, &account)
    }

    /// A connection to an account of the Snowflake test server.
    pub(crate) fn connection_to(server: &Server, account: &str) -> ConnectionConfig {
        let connection = ConnectionConfig::new(account, "user", Credentials::Password("password".into()));
        connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)
    }

    /// A name that no other database of this process has.
    pub(crate) fn fresh_database() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("DB{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) struct SnowflakeProbe {
        pub(crate) snowflake: Snowflake,
        client: Arc<dyn Client>,
        /// Reads the stored data.
        reader: Arc<dyn Client>,
        pub(crate) database: String,
        max_bind_bytes: usize,
        options: SnowflakeOptions,
    }

    impl SnowflakeProbe {
        /// A probe that sends up to this many bytes of rows as bound values, and larger batches through the stage.
        pub(crate) fn new(server: &Server, max_bind_bytes: usize) -> Self {
            Self::with(server, connection(server), max_bind_bytes, SnowflakeOptions::default())
        }

        /// The same, with documents in `RAW` only.
        pub(crate) fn without_documents(server: &Server, max_bind_bytes: usize) -> Self {
            let options = SnowflakeOptions::default().keep_documents(false);
            Self::with(server, connection(server), max_bind_bytes, options)
        }

        /// The same on the hostile account. The probe uses an account that truncates no results.
        pub(crate) fn hostile(server: &Server, max_bind_bytes: usize) -> Self {
            Self::with(server, connection_to(server, HOSTILE), max_bind_bytes, SnowflakeOptions::default())
        }

        fn with(
            server: &Server,
            connection: ConnectionConfig,
            max_bind_bytes: usize,
            options: SnowflakeOptions,
        ) -> Self {
            let database = fresh_database();
            let in_database = |connection: ConnectionConfig| connection.database(&database).schema("PUBLIC");
            let client: Arc<dyn Client> = Arc::new(HttpClient::new(in_database(connection)).unwrap());
            let reader = HttpClient::new(in_database(connection_to(server, "test"))).unwrap();
            let snowflake = backend_of(client.clone(), &database, "PUBLIC", max_bind_bytes, options.clone());
            Self { snowflake, client, reader: Arc::new(reader), database, max_bind_bytes, options }
        }

        /// What another process finds.
        pub(crate) fn reopen(self) -> Self {
            let snowflake = self.process();
            Self { snowflake, ..self }
        }

        /// A backend of another process.
        fn process(&self) -> Snowflake {
            let client = self.client.clone();
            backend_of(client, &self.database, "PUBLIC", self.max_bind_bytes, self.options.clone())
        }

        pub(crate) async fn select(&self, statement: Statement) -> QueryResult {
            self.reader.open().await.unwrap().execute(statement).await.unwrap()
        }

        /// The name of a resource's raw table.
        async fn raw(&self, resource: &Resource, table: &str) -> Option<String> {
            let select = format!(
                "SELECT \"NAME\" FROM \"{}\".\"STATE\".\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = ? AND \"STREAM\" = ?",
                self.database
            );
            let statement = Statement::new(Sql::assert_safe(select)).bind(resource.name()).bind(table);
            let found = match self.reader.open().await.unwrap().execute(statement).await {
                // The process that was to create the tables has died before.
                Err(error) if error.kind() == snowfeed::ErrorKind::NotFound => return None,
                found => found.unwrap(),
            };
            let name = found.rows.first()?.text(0).unwrap().replace('"', "\"\"");
            Some(format!("\"{}\".\"PUBLIC_RAW\".\"{name}\"", self.database))
        }
    }

    #[async_trait]
    impl SinkProbe for SnowflakeProbe {
        fn sink(&self) -> Arc<dyn Sink> {
            Arc::new(self.snowflake.clone())
        }

        async fn another(&self) -> Arc<dyn Sink> {
            Arc::new(self.process())
        }

        fn states(&self) -> Option<Arc<dyn StateStore>> {
            Some(Arc::new(self.snowflake.clone()))
        }

        fn stages(&self) -> bool {
            true
        }

        fn keeps_text(&self) -> bool {
            self.options.keep_documents
        }

        async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
            let Some(raw) = self.raw(resource, table).await else { return vec![] };
            let time =
                |column: &str| format!("TO_VARCHAR(\"{column}\", 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6') AS \"{column}\"");
            let select = format!(
                "SELECT \"KEY\", CAST(\"VERSION\" AS VARCHAR) AS \"VERSION\", CASE WHEN \"DOCUMENT\" = '' THEN \
                 COALESCE(TO_JSON(\"RAW\"), '') ELSE \"DOCUMENT\" END AS \"TEXT\", {}, {}, {}, \"PARENT\" FROM {raw}",
                time("FIRST_SEEN"),
                time("CHANGED_AT"),
                time("DELETED_AT")
            );
            let read = |text: &str| format!("{}Z", text.replace(' ', "T")).parse().unwrap();
            let rows = self.select(Statement::new(Sql::assert_safe(select))).await.rows.into_iter().map(|row| {
                let (key, version) = (row.text(0).unwrap().to_string(), row.integer(1).unwrap());
                let first_seen = read(row.text(3).unwrap());
                let mut stored = StoredRow::new(key, version, row.get(2).unwrap().cloned(), first_seen)
                    .changed(read(row.text(4).unwrap()), row.get(5).unwrap().map(|text| read(text)));
                stored.parent = RowPath::from_text(row.get(6).unwrap().map_or("", |parent| parent)).unwrap();
                stored
            });
            rows.collect()
        }

        async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
            let select = format!(
                "SELECT \"REASON\", \"RAW\" FROM \"{}\".\"STATE\".\"REJECTED_RECORD\" WHERE \"RESOURCE\" = ? AND \"STREAM\" = ?",
                self.database
            );
            let found = self.select(Statement::new(Sql::assert_safe(select)).bind(resource.name()).bind(table)).await;
            let rejects = found
                .rows
                .into_iter()
                .map(|row| Reject::new(row.text(0).unwrap().to_string(), row.text(1).unwrap().clone()));
            rejects.collect()
        }
    }
}
