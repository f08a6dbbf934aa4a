//! Databases of the Snowflake test server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use snowfeed::ErrorKind;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Session, Sql, Statement};

use crate::peers::{self, Server};
use crate::target::{KillTarget, ResourceRows, Row};

/// Databases of the Snowflake test server.
pub(crate) struct SnowflakeDatabases {
    server: &'static Server,
    /// The name in the login, which decides the parameters.
    account: String,
    /// The port that the killed processes connect to: the server's, or a proxy's.
    pub(crate) port: AtomicU16,
    /// Their user, and the prefix of their databases. Other tests use the server at the same time.
    user: String,
    runtime: tokio::runtime::Runtime,
}

impl SnowflakeDatabases {
    /// `None` if there is no server. `SNOWFEED_TEST_ACCOUNT=hostile` runs the whole suite on the hostile account.
    pub(crate) fn new() -> Option<Self> {
        Self::named(&std::env::var("SNOWFEED_TEST_ACCOUNT").unwrap_or_else(|_| "test".to_owned()))
    }

    /// The account whose parameters are all set to values that break careless clients.
    pub(crate) fn hostile() -> Option<Self> {
        Self::named("hostile")
    }

    fn named(account: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let server = peers::fakesnow()?;
        let user = format!("KILL{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (account, port) = (account.to_owned(), server.port.into());
        Some(Self { server, account, port, user, runtime: runtime.unwrap() })
    }
}

impl Drop for SnowflakeDatabases {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server wrote: {}", self.server.log_tail());
        }
    }
}

impl SnowflakeDatabases {
    /// The name of a database.
    pub(crate) fn database(&self, database: u32) -> String {
        format!("{}_{database}", self.user)
    }

    /// The server's own address.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Runs `work` in a separate session of an account that does not truncate results.
    pub(crate) fn with_session<T>(&self, work: impl AsyncFnOnce(&mut dyn Session) -> T) -> T {
        let connection = ConnectionConfig::new("test", "user", Credentials::Password("password".into()));
        let connection = connection.host("127.0.0.1").port(self.server.port).protocol(Protocol::Http);
        self.runtime.block_on(async {
            let mut session = HttpClient::new(connection).unwrap().open().await.unwrap();
            let result = work(&mut *session).await;
            session.close().await.unwrap();
            result
        })
    }
}

impl KillTarget for SnowflakeDatabases {
    fn name(&self) -> &'static str {
        if self.account == "hostile" { "hostile snowflake" } else { "snowflake" }
    }

    fn default_kills(&self) -> u32 {
        6
    }

    /// Enough for commits that go through the stage, and no more: the test server is slow.
    fn issue_counts(&self) -> [u32; 2] {
        [1_200, 100]
    }

    /// Long enough to hit the statements of a commit.
    fn max_kill_delay(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn use_database(&self, command: &mut Command, database: u32) {
        let port = self.port.load(Ordering::Relaxed).to_string();
        command.args(["--to", "snowflake", "--database", &self.database(database)]);
        command.envs([
            ("SNOWFLAKE_ACCOUNT", self.account.as_str()),
            ("SNOWFLAKE_USER", self.user.as_str()),
            ("SNOWFLAKE_PASSWORD", "password"),
        ]);
        command.envs([("SNOWFLAKE_HOST", "127.0.0.1"), ("SNOWFLAKE_PROTOCOL", "http"), ("SNOWFLAKE_PORT", &port)]);
    }

    /// Snowflake ends a dead process's transaction once it has blocked another one for five minutes; here it ends now.
    fn end_sessions(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port)).unwrap();
        let path = format!("/tests/end-sessions?user={}", self.user);
        stream.write_all(format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The server keeps everything in memory, and cannot drop a database.
    fn drop_database(&self, database: u32) {
        self.with_session(async |session| {
            let database = self.database(database);
            for schema in ["PUBLIC", "PUBLIC_RAW", "STATE"] {
                let drop = Statement::new(Sql::assert_safe(format!(
                    "DROP SCHEMA IF EXISTS \"{database}\".\"{schema}\" CASCADE"
                )));
                session.execute(drop).await.unwrap();
            }
        });
    }

    fn read(&self, database: u32, resource: &str) -> ResourceRows {
        self.with_session(async |session| {
            read_rows(session, &format!("\"{}\"", self.database(database)), resource).await
        })
    }
}

async fn read_rows(session: &mut dyn Session, database: &str, resource: &str) -> ResourceRows {
    let select = format!(
        "SELECT CAST(t.\"RAW\":id AS VARCHAR) AS \"ID\", t.\"DOCUMENT\", CASE WHEN t.\"DELETED_AT\" IS NULL THEN 1 \
         ELSE 0 END AS \"LIVE\" FROM {database}.\"PUBLIC_RAW\".\"{resource}\" t"
    );
    let rows = select_rows(session, Statement::new(Sql::assert_safe(select))).await.into_iter();
    let rows = rows.map(|row| -> Row {
        (row.integer(0).unwrap(), row.text(1).unwrap().to_string(), row.integer(2).unwrap() == 1)
    });
    let rows = rows.collect();
    let newest = format!(
        "SELECT \"DOCUMENT\" FROM {database}.\"STATE\".\"APP_STATE\" WHERE \"KEY\" = ? AND \"STREAM\" = 'issues' \
         ORDER BY \"VERSION\" DESC LIMIT 1"
    );
    let state = select_rows(session, Statement::new(Sql::assert_safe(newest)).bind(resource)).await;
    let state = state.first().map(|row| serde_json::from_str(row.text(0).unwrap()).unwrap());
    ResourceRows { rows, state, ..ResourceRows::default() }
}

/// The rows of a query; none if the table does not exist yet.
pub(crate) async fn select_rows(
    session: &mut dyn Session,
    select: Statement,
) -> Vec<snowfeed::internals::snowflake::Row> {
    match session.execute(select).await {
        Ok(answer) => answer.rows,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            Vec::new()
        }
    }
}
