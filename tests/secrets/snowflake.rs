//! The same with Snowflake: its password and the source's token, and the contents of the database afterwards.

use std::fmt::Write;

use github_server::GithubServer;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Session, Sql, Statement};

use crate::canary::{CANARY, assert_absent, assert_absent_below, assert_output_clean};
use crate::peers;
use crate::support::Program;

#[tokio::test(flavor = "multi_thread")]
async fn neither_secret_is_written_or_stored() {
    let Some(server) = peers::fakesnow() else { return };
    let database = format!("SECRETS{}", std::process::id());
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", CANARY);
    let program = program.snowflake(server.port, CANARY, &database);
    let mut written = String::new();
    for level in [&["-vvv"][..], &["--json"]] {
        for args in [
            &["check"][..],
            &["configure", "page_size=50"],
            &["configure"],
            &["ingest", "acme/gears"],
            &["ingest", "--reconcile", "--cost"],
            &["status"],
            &["runs"],
            &["preview", "acme/gears"],
        ] {
            let args = [level, args].concat();
            let ended = program.run(&args).await.expect(0);
            assert_output_clean(&args, &ended);
            written += &ended.stderr;
        }
    }
    assert!(written.contains("MERGE INTO"), "the log tells the statements");
    for token in ["Snowflake Token", "\"token\""] {
        assert!(!written.contains(token), "{token}");
    }
    assert_absent_below(program.folder(), &[]);

    let connection = ConnectionConfig::new("testorg-account", "tester", Credentials::Password(CANARY.into()));
    let client = HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap();
    let mut session = client.open().await.unwrap();
    let (tables, content) = content(&mut *session, &database).await;
    session.close().await.unwrap();
    assert!(tables > 5 && content.contains("acme/gears"), "{tables} tables");
    assert_absent("the database", content);
}

/// All tables and views of a database, as one text.
async fn content(session: &mut dyn Session, database: &str) -> (usize, String) {
    let find = format!(
        "SELECT \"TABLE_SCHEMA\", \"TABLE_NAME\" FROM {database}.\"INFORMATION_SCHEMA\".\"TABLES\" \
         WHERE \"TABLE_SCHEMA\" <> 'INFORMATION_SCHEMA'"
    );
    let tables = session.execute(Statement::new(Sql::assert_safe(find))).await.unwrap().rows;
    let mut content = String::new();
    for row in &tables {
        let (schema, table) = (row.text(0).unwrap(), row.text(1).unwrap());
        let select = format!("SELECT * FROM {database}.\"{schema}\".\"{table}\"");
        let rows = session.execute(Statement::new(Sql::assert_safe(select))).await.unwrap().rows;
        let _ = write!(content, "{schema}.{table}: {rows:?}");
    }
    (tables.len(), content)
}
