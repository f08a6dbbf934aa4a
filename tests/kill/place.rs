//! Where the killed processes keep their rows, and a look at them from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A row: the id, its text, and whether it is live.
pub(crate) type Row = (i64, String, bool);

/// A destination: database after database.
pub(crate) trait Place {
    fn name(&self) -> &'static str;

    /// So many kills, unless somebody wants another number.
    fn kills(&self) -> u32;

    /// The longest from the last request to the kill.
    fn linger(&self) -> Duration;

    /// Lets a command work on a database, which is made if it is not there.
    fn point(&self, command: &mut Command, database: u32);

    /// Comes after a kill.
    fn bury(&self) {}

    /// Every row of a repository.
    fn rows(&self, database: u32, repository: &str) -> Vec<Row>;
}

/// Files in a folder.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, database: u32) -> PathBuf {
        self.0.path().join(format!("{database}.db"))
    }
}

impl Place for Files {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn kills(&self) -> u32 {
        30
    }

    fn linger(&self) -> Duration {
        Duration::from_millis(40)
    }

    fn point(&self, command: &mut Command, database: u32) {
        let path = self.path(database);
        command.current_dir(path.parent().unwrap_or(Path::new("."))).arg("--db").arg(path);
    }

    fn rows(&self, database: u32, repository: &str) -> Vec<Row> {
        let reader = rusqlite::Connection::open(self.path(database)).unwrap();
        let sound: String = reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        let mut select = reader.prepare("SELECT id, raw, deleted_at IS NULL FROM issues WHERE resource = ?1").unwrap();
        let rows = select.query_map([repository], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

#[cfg(feature = "snowflake")]
pub(crate) use snowflake::Account;

#[cfg(feature = "snowflake")]
mod snowflake {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use snowfeed::backends::snowflake::client::{Client, HttpClient, Statement};
    use snowfeed::backends::snowflake::connection::{Connection, Credentials, Protocol};

    use super::{Command, Duration, Place, Row};
    use crate::peers::{self, Server};

    /// Databases of the Snowflake server of the tests.
    pub(crate) struct Account {
        server: &'static Server,
        runtime: tokio::runtime::Runtime,
    }

    impl Account {
        /// `None` where there is no server.
        pub(crate) fn new() -> Option<Self> {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            Some(Self { server: peers::fakesnow()?, runtime: runtime.unwrap() })
        }
    }

    impl Place for Account {
        fn name(&self) -> &'static str {
            "snowflake"
        }

        fn kills(&self) -> u32 {
            6
        }

        /// Long enough to end up in the statements of a commit.
        fn linger(&self) -> Duration {
            Duration::from_secs(3)
        }

        fn point(&self, command: &mut Command, database: u32) {
            let port = self.server.port.to_string();
            command.args(["--to", "snowflake", "--database", &format!("kill{database}")]);
            command.envs([
                ("SNOWFLAKE_ACCOUNT", "test"),
                ("SNOWFLAKE_USER", "user"),
                ("SNOWFLAKE_PASSWORD", "password"),
            ]);
            command.envs([("SNOWFLAKE_HOST", "127.0.0.1"), ("SNOWFLAKE_PROTOCOL", "http"), ("SNOWFLAKE_PORT", &port)]);
        }

        /// Snowflake ends a transaction whose process has died when it is in another one's way for five minutes; here it ends now.
        fn bury(&self) {
            let mut stream = TcpStream::connect(("127.0.0.1", self.server.port)).unwrap();
            stream.write_all(b"POST /tests/end-sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }

        fn rows(&self, database: u32, repository: &str) -> Vec<Row> {
            let connection = Connection::new("test", "user", Credentials::Password("password".into()));
            let connection = connection.host("127.0.0.1").port(self.server.port).protocol(Protocol::Http);
            let select = format!(
                "SELECT CAST(t.\"RAW\":id AS VARCHAR) AS \"ID\", t.\"DOCUMENT\", CASE WHEN t.\"DELETED_AT\" IS NULL THEN 1 \
                 ELSE 0 END AS \"LIVE\" FROM \"KILL{database}\".\"PUBLIC_RAW\".\"{repository}\" t"
            );
            self.runtime.block_on(async {
                let mut session = HttpClient::new(connection).unwrap().open().await.unwrap();
                let answer = session.execute(Statement::new(select)).await.unwrap();
                session.close().await.unwrap();
                let row = |row: &snowfeed::backends::snowflake::client::Row| {
                    (row.integer(0).unwrap(), row.text(1).unwrap().to_string(), row.integer(2).unwrap() == 1)
                };
                answer.rows.iter().map(row).collect()
            })
        }
    }
}
