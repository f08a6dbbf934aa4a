//! The client against an independent Snowflake server.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use snowfeed::ErrorKind;
use snowfeed::internals::snowflake::{Bind, Client, HttpClient, QueryResult, Session, Sql, StagedFile, Statement};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::{self, Server};
use crate::scripted::{connection, fast_retries};

fn to(server: &Server) -> HttpClient {
    HttpClient::with_retry(connection(server.port), fast_retries()).unwrap()
}

/// A client that works in a separate database; `None` where there is no server.
async fn database(name: &str) -> Option<(HttpClient, Box<dyn Session>)> {
    let server = peers::fakesnow()?;
    let mut session = to(server).open().await.unwrap();
    run(&mut session, &format!("CREATE DATABASE {name}")).await;
    run(&mut session, &format!("CREATE SCHEMA {name}.S")).await;
    session.close().await.unwrap();
    let connection = connection(server.port).database(name).schema("S");
    let client = HttpClient::with_retry(connection, fast_retries()).unwrap();
    let session = client.open().await.unwrap();
    Some((client, session))
}

async fn run(session: &mut Box<dyn Session>, sql: &str) -> QueryResult {
    session.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap()
}

async fn count(session: &mut Box<dyn Session>, table: &str) -> i64 {
    run(session, &format!("SELECT COUNT(*) AS n FROM {table}")).await.rows[0].integer(0).unwrap()
}

/// Sits in front of a server, and corrupts the session token of one request on demand: to the server, the session is gone.
struct ExpiringProxy {
    port: u16,
    corrupt_next: Arc<AtomicBool>,
}

impl ExpiringProxy {
    async fn in_front_of(server: &'static Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), corrupt_next: Arc::default() };
        let corrupt_next = Arc::clone(&relay.corrupt_next);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
                let ((mut from, mut to), (mut back, mut answer)) = (stream.into_split(), upstream.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
                let corrupt_next = Arc::clone(&corrupt_next);
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = from.read(&mut bytes).await {
                        let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
                        if let Some(token) = head.find("Token=").filter(|_| corrupt_next.swap(false, Ordering::SeqCst))
                        {
                            bytes[token + 8] ^= 1;
                        }
                        answer.write_all(&bytes[..read]).await.unwrap();
                    }
                });
            }
        });
        relay
    }

    /// The next request finds no session.
    fn expire_session(&self) {
        self.corrupt_next.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn bound_values_come_back_as_they_were() {
    let Some((client, mut session)) = database("BOUND").await else { return };
    run(&mut session, "CREATE TABLE t (id INT, v VARCHAR)").await;
    let values = [
        Some(String::new()),
        None,
        Some("it's \"quoted\" \\ and ? and 😀 and \u{2028}".to_owned()),
        Some("a\0b".to_owned()),
        Some("é".repeat(2 << 20)),
    ];
    for (id, value) in (0_i64..).zip(&values) {
        let insert = Statement::new("INSERT INTO t (id, v) VALUES (?, ?)").bind(id).bind(value.clone());
        assert_eq!(session.execute(insert).await.unwrap().rows_affected().unwrap(), 1);
    }
    let answer = run(&mut session, "SELECT v, id, id + 0.25 AS d, id > 1 AS b, id / 2.0 AS f FROM t ORDER BY id").await;
    assert_eq!(answer.columns, ["V", "ID", "D", "B", "F"]);
    assert!(!answer.query_id.is_empty());
    for (id, (row, value)) in (0_i64..).zip(answer.rows.iter().zip(&values)) {
        assert_eq!(row.get(0).unwrap().map(|text| text.to_string()), *value);
        assert_eq!(row.integer(1).unwrap(), id);
        assert_eq!(row.text(2).unwrap().to_string(), format!("{id}.25"));
        assert_eq!(row.boolean(3).unwrap(), id > 1);
        assert!(row.text(4).unwrap().starts_with(&(id / 2).to_string()));
    }
    assert_eq!(answer.rows.len(), values.len());
    let spent = client.usage();
    assert_eq!((spent.logins, spent.statements), (1, 7));
    session.close().await.unwrap();
}

#[tokio::test]
async fn an_answer_without_rows_has_columns() {
    let Some((_, mut session)) = database("NOTHING").await else { return };
    run(&mut session, "CREATE TABLE t (id INT)").await;
    let answer = run(&mut session, "SELECT id FROM t").await;
    assert_eq!((answer.columns.as_slice(), answer.rows.len()), (["ID".to_owned()].as_slice(), 0));
}

#[tokio::test]
async fn a_transaction_is_visible_to_others_once_it_is_committed() {
    let Some((client, mut writer)) = database("TOGETHER").await else { return };
    let mut reader = client.open().await.unwrap();
    run(&mut writer, "CREATE TABLE t (id INT)").await;
    run(&mut writer, "BEGIN").await;
    assert!(!writer.is_idle());
    run(&mut writer, "INSERT INTO t VALUES (1)").await;
    assert_eq!((count(&mut writer, "t").await, count(&mut reader, "t").await), (1, 0));
    run(&mut writer, "COMMIT").await;
    assert!(writer.is_idle());
    assert_eq!(count(&mut reader, "t").await, 1);
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_nothing() {
    let Some((_, mut session)) = database("BACK").await else { return };
    run(&mut session, "CREATE TABLE t (id INT)").await;
    run(&mut session, "BEGIN").await;
    run(&mut session, "INSERT INTO t VALUES (1)").await;
    run(&mut session, "ROLLBACK").await;
    assert!(session.is_idle());
    assert_eq!(count(&mut session, "t").await, 0);
}

#[tokio::test]
async fn a_missing_table_is_not_found() {
    let Some((_, mut session)) = database("MISSING").await else { return };
    let error = session.execute(Statement::new("SELECT 1 AS x FROM nowhere")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(error.to_string().contains("code: 002003, sql_state: 42S02"), "{error}");
    assert!(error.help().unwrap().contains("GRANT"));
    assert!(session.is_idle(), "an error does not end the session");
    run(&mut session, "SELECT 1 AS x").await;
}

#[tokio::test]
async fn a_server_error_does_not_quote_bound_values() {
    let Some((_, mut session)) = database("CONFLICTS").await else { return };
    let mut other = to(peers::fakesnow().unwrap()).open().await.unwrap();
    run(&mut session, "CREATE TABLE t (id INT, v VARCHAR)").await;
    run(&mut session, "INSERT INTO t VALUES (1, 'a')").await;
    run(&mut other, "USE SCHEMA CONFLICTS.S").await;
    run(&mut other, "ALTER SESSION SET LOCK_TIMEOUT = 0").await;
    let update = || Statement::new("UPDATE t SET v = ? WHERE id = 1").bind("a private value");
    run(&mut session, "BEGIN").await;
    session.execute(update()).await.unwrap();
    run(&mut other, "BEGIN").await;
    let error = other.execute(update()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, snowfeed::Retry::Backoff), "{error:?}");
    assert!(!format!("{error} {error:?} {:?}", error.report()).contains("private"), "{error:?}");
}

#[tokio::test]
async fn an_expired_session_is_resumed() {
    let Some(server) = peers::fakesnow() else { return };
    let forgetful = ExpiringProxy::in_front_of(server).await;
    let client = HttpClient::with_retry(connection(forgetful.port), fast_retries()).unwrap();
    let mut session = client.open().await.unwrap();
    forgetful.expire_session();
    assert_eq!(&**run(&mut session, "SELECT 'here' AS x").await.rows[0].text(0).unwrap(), "here");
    assert_eq!(client.usage().logins, 2);

    run(&mut session, "BEGIN").await;
    forgetful.expire_session();
    let error = session.execute(Statement::new("SELECT 1 AS x")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, snowfeed::Retry::Backoff), "{error:?}");
    assert!(error.to_string().contains("nothing was committed"), "{error}");
    assert!(!session.is_idle());
}

#[tokio::test]
async fn values_of_all_common_types_are_texts() {
    let Some((_, mut session)) = database("TYPES").await else { return };
    let sql = "SELECT NULL AS a, TRUE AS b, 1.50::NUMBER(10,2) AS c, 2::DOUBLE AS d, '2024-01-02'::DATE::VARCHAR AS e, \
               PARSE_JSON('{\"k\": [1]}')::VARCHAR AS f, '2024-01-02 03:04:05'::TIMESTAMP_NTZ AS g";
    let answer = run(&mut session, sql).await;
    let row: Vec<_> = answer.rows[0].0.iter().map(|cell| cell.as_ref().map(|text| text.to_string())).collect();
    let row: Vec<_> = row.iter().map(Option::as_deref).collect();
    assert_eq!(row[..5], [None, Some("true"), Some("1.50"), Some("2.0"), Some("2024-01-02")]);
    assert_eq!(row[5].unwrap().replace(' ', ""), "{\"k\":[1]}");
    assert_eq!(row[6], Some("1704164645.000000000"));
}

#[tokio::test]
async fn a_bind_may_be_null_text_or_a_number() {
    let Some((_, mut session)) = database("BINDS").await else { return };
    let statement = Statement::new("SELECT ? AS a, ? AS b, ? AS c").bind(i64::MIN).bind("x").bind(Bind::Text(None));
    let answer = session.execute(statement).await.unwrap();
    assert_eq!(answer.rows[0].integer(0).unwrap(), i64::MIN);
    assert_eq!(&**answer.rows[0].text(1).unwrap(), "x");
    assert_eq!(answer.rows[0].get(2).unwrap(), None);
}

/// The server keeps what it makes of a statement, also for databases of other names.
#[tokio::test]
async fn a_statement_means_what_its_tables_and_its_session_say() {
    let Some((_, mut session)) = database("KEPT1_1").await else { return };
    let Some((_, mut other)) = database("KEPT1_2").await else { return };
    let insert = |name: &str| Statement::new(Sql::assert_safe(format!("INSERT INTO {name}.S.T SELECT ?")));
    run(&mut session, "CREATE TABLE KEPT1_1.S.T (v VARCHAR)").await;
    run(&mut other, "CREATE TABLE KEPT1_2.S.T (v VARCHAR)").await;
    session.execute(insert("KEPT1_1").bind("a")).await.unwrap();
    other.execute(insert("KEPT1_2").bind("b")).await.unwrap();
    other.execute(insert("KEPT1_2").bind("c")).await.unwrap();
    assert_eq!((count(&mut session, "KEPT1_1.S.T").await, count(&mut other, "KEPT1_2.S.T").await), (1, 2));
    assert_eq!((count(&mut session, "T").await, count(&mut other, "T").await), (1, 2));
    for (session, name) in [(&mut session, "KEPT1_1"), (&mut other, "KEPT1_2")] {
        let answer = run(session, &format!("SELECT '{name}' AS a, CURRENT_DATABASE() AS b")).await;
        let row: Vec<_> = answer.rows[0].0.iter().flatten().map(|text| text.to_string()).collect();
        assert_eq!(row, [name, name]);
    }

    run(&mut session, "CREATE OR REPLACE TABLE KEPT1_1.S.T (v VARIANT)").await;
    for _ in 0..2 {
        let error = session.execute(insert("KEPT1_1").bind("a")).await.unwrap_err();
        assert!(error.to_string().contains("002023"), "a text is no VARIANT: {error}");
        session.execute(insert("KEPT1_1").bind(1)).await.unwrap();
    }

    let date = "SELECT '2024-01-02'::DATE::VARCHAR AS d";
    for (format, shown) in [("YYYY-MM-DD", "2024-01-02"), ("DD/MM/YYYY", "02/01/2024")] {
        run(&mut session, &format!("ALTER SESSION SET DATE_OUTPUT_FORMAT = '{format}'")).await;
        assert_eq!(&**run(&mut session, date).await.rows[0].text(0).unwrap(), shown);
    }

    run(&mut other, "CREATE ROW ACCESS POLICY none AS (v VARCHAR) RETURNS BOOLEAN -> FALSE").await;
    run(&mut other, "ALTER TABLE KEPT1_2.S.T ADD ROW ACCESS POLICY none ON (v)").await;
    assert_eq!(count(&mut other, "KEPT1_2.S.T").await, 0);
}

#[tokio::test]
async fn a_file_on_a_stage_is_loaded_from_there() {
    let Some((client, mut session)) = database("STAGED").await else { return };
    run(&mut session, "CREATE TABLE t (v VARIANT)").await;
    run(&mut session, "CREATE STAGE files ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").await;
    for strings in [["old", "older"], ["new", "newer"]] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for word in strings {
            writeln!(gzip, "{{\"word\": \"{word}\"}}").unwrap();
        }
        let content = gzip.finish().unwrap();
        let (first, second) = content.split_at(7);
        let content = [first, second].map(|part| part.to_vec().into()).to_vec();
        let stage = "\"STAGED\".\"S\".\"FILES\"/run".to_owned();
        session.put(StagedFile { stage, name: "part-1.json.gz".to_owned(), content }).await.unwrap();
    }
    assert!(client.usage().staged_bytes > 0);
    run(&mut session, "COPY INTO t FROM @files/run/ FILE_FORMAT = (TYPE = 'JSON')").await;
    let answer = run(&mut session, "SELECT v:word::VARCHAR AS w FROM t ORDER BY w").await;
    let strings: Vec<_> = answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect();
    assert_eq!(strings, ["new", "newer"], "a file replaces one of the same name");
}
