//! Rules that take more than a few statements to show: many sessions, files, large values, a response without data.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use snowfeed::internals::snowflake::{Client, HttpClient, QueryResult, Session, Sql, StagedFile, Statement};
use snowfeed::{Error, StateStore, StateVersion};

use crate::peers;
use crate::probes::snowflake::{HOSTILE, connection, connection_to, fresh_database};
use crate::support::{change, key, resource};

/// A client in a separate database, and the name of the user.
pub(crate) async fn client() -> (HttpClient, String) {
    let server = peers::fakesnow().expect("python3, which the Snowflake server of the tests needs");
    let database = fresh_database();
    let mut maker = HttpClient::new(connection(server)).unwrap().open().await.unwrap();
    for make in [format!("CREATE DATABASE {database}"), format!("CREATE SCHEMA IF NOT EXISTS {database}.PUBLIC")] {
        maker.execute(Statement::new(Sql::assert_safe(make))).await.unwrap();
    }
    let mut connection = connection(server).database(&database).schema("PUBLIC");
    connection.user = format!("user_of_{database}");
    let user = connection.user.clone();
    (HttpClient::new(connection).unwrap(), user)
}

pub(crate) async fn run(session: &mut Box<dyn Session>, sql: &str) -> QueryResult {
    session.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(crate) fn code(error: &Error) -> String {
    error.code().unwrap_or("none").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_21st_waiter_is_refused_at_once() {
    let (client, _) = client().await;
    let mut holder = client.open().await.unwrap();
    run(&mut holder, "CREATE TABLE t (i INT)").await;
    run(&mut holder, "INSERT INTO t VALUES (0)").await;
    run(&mut holder, "BEGIN").await;
    run(&mut holder, "UPDATE t SET i = 1").await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut session = client.open().await.unwrap();
        waiting.spawn(async move { session.execute(Statement::new("UPDATE t SET i = i + 1")).await });
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let refused = client.open().await.unwrap().execute(Statement::new("UPDATE t SET i = i + 1")).await.unwrap_err();
    assert_eq!(code(&refused), "000625", "{refused}");
    assert!(refused.to_string().contains("exceeds the 20 statements limit"), "{refused}");
    run(&mut holder, "COMMIT").await;
    while let Some(done) = waiting.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(run(&mut holder, "SELECT i FROM t").await.rows[0].integer(0).unwrap(), 21, "none was lost");
}

#[tokio::test]
async fn a_statement_with_its_bound_values_has_at_most_1_mb_compressed() {
    let (client, _) = client().await;
    let mut session = client.open().await.unwrap();
    run(&mut session, "CREATE TABLE t (d VARCHAR)").await;
    let insert = |text: String| Statement::new("INSERT INTO t SELECT ?").bind(text);
    session.execute(insert("x".repeat(4 << 20))).await.unwrap();
    // Ids are as good as random: they hardly compress.
    let ids: String = (0..200_000).map(|_| uuid::Uuid::now_v7().simple().to_string()).collect();
    let refused = session.execute(insert(ids)).await.unwrap_err();
    assert!(refused.to_string().contains("1 MB"), "{refused}");
}

#[tokio::test]
async fn a_file_is_loaded_into_a_table_once() {
    let (client, _) = client().await;
    let mut session = client.open().await.unwrap();
    run(&mut session, "CREATE TABLE t (v VARIANT)").await;
    run(&mut session, "CREATE STAGE files ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").await;
    let database = run(&mut session, "SELECT CURRENT_DATABASE() AS d").await.rows[0].text(0).unwrap().to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writeln!(gzip, "{{\"a\": 1}}").unwrap();
    let (stage, name) = (format!("\"{database}\".\"PUBLIC\".\"FILES\"/run"), "part.json.gz".to_owned());
    session.put(StagedFile { stage, name, content: vec![gzip.finish().unwrap().into()] }).await.unwrap();
    let copy = "COPY INTO t FROM @files/run/ FILE_FORMAT = (TYPE = 'JSON')";
    let count = "SELECT COUNT(*) AS n FROM t";
    for (sql, rows) in [
        (copy, 1),
        (copy, 1),
        ("COPY INTO t FROM @files/run/ FILE_FORMAT = (TYPE = 'JSON') FORCE = TRUE", 2),
        ("CREATE OR REPLACE TABLE t (v VARIANT)", 0),
        (copy, 1),
    ] {
        run(&mut session, sql).await;
        assert_eq!(run(&mut session, count).await.rows[0].integer(0).unwrap(), rows, "{sql}");
    }
}

/// As the drivers see it: success, and no information about a result.
#[tokio::test]
async fn commit_outside_of_a_transaction_is_answered_without_data() {
    let server = peers::fakesnow().expect("python3, which the Snowflake server of the tests needs");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let login =
        json!({ "data": { "ACCOUNT_NAME": "test", "LOGIN_NAME": "wire", "PASSWORD": "p", "SESSION_PARAMETERS": {} } });
    let post = async |path: &str, token: Option<&str>, body: &Value| -> Value {
        let mut request = http.post(format!("{}{path}", server.url())).body(body.to_string());
        if let Some(token) = token {
            request = request.header("authorization", format!("Snowflake Token=\"{token}\""));
        }
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    };
    let answer = post("/session/v1/login-request", None, &login).await;
    let token = answer["data"]["token"].as_str().unwrap();
    let run = async |sql: &str| post("/queries/v1/query-request", Some(token), &json!({ "sqlText": sql })).await;
    for outside in ["COMMIT", "ROLLBACK"] {
        let answer = run(outside).await;
        assert_eq!((&answer["success"], &answer["data"]), (&true.into(), &Value::Null), "{outside}");
    }
    for end in ["COMMIT", "ROLLBACK"] {
        run("BEGIN").await;
        assert!(run(end).await["data"].is_object(), "{end} within a transaction");
    }
}

/// The complete path of a commit, on an account with hostile settings only.
#[tokio::test]
async fn a_state_is_kept_on_the_hostile_account() {
    let server = peers::fakesnow().expect("python3, which the Snowflake server of the tests needs");
    let database = fresh_database();
    let connection = connection_to(server, HOSTILE).database(&database).schema("PUBLIC");
    let client: Arc<dyn Client> = Arc::new(HttpClient::new(connection).unwrap());
    let snowflake = snowfeed::internals::snowflake::backend(client, &database, "PUBLIC");
    for name in ["acme/gears", "ACME/GEARS"] {
        snowflake.append(change(&resource(name), StateVersion::NONE)).await.unwrap();
    }
    // Names that differ by case alone are different.
    let keys = ["acme/gears", "ACME/GEARS"].map(key);
    let statuses = snowflake.latest_many(&keys).await.unwrap();
    assert!(statuses.iter().all(|status| status.entry.is_some()), "{statuses:?}");
}
