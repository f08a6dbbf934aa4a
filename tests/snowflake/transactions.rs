//! Transactions that Snowflake ends by itself, against a scripted server.

use serde_json::{Value, json};
use snowfeed::internals::snowflake::{Client, Session};
use snowfeed::{ErrorKind, Retry};

use crate::scripted::{LOGIN, QUERY, Reply, ScriptedServer};
use crate::session::{context, run};

/// Snowflake's response to COMMIT and ROLLBACK where no transaction is open.
fn nothing_to_end() -> Reply {
    Reply::json(json!({ "data": null, "code": null, "message": null, "success": true }))
}

fn done() -> Reply {
    Reply::rows(json!([["Statement executed successfully."]]))
}

async fn in_transaction(server: &ScriptedServer) -> Box<dyn Session> {
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "BEGIN TRANSACTION").await.unwrap();
    run(&mut session, "INSERT INTO t VALUES (1)").await.unwrap();
    session
}

#[tokio::test]
async fn a_commit_without_a_transaction_is_an_error() {
    let server = ScriptedServer::start().await;
    let mut session = in_transaction(&server).await;
    server.on(QUERY, [nothing_to_end()]);
    let error = run(&mut session, "COMMIT").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{error:?}");
    assert!(error.message().contains("ended the transaction"), "{error}");
    assert!(error.help().unwrap().contains("whole transaction"), "{:?}", error.help());
    assert!(!session.is_idle(), "the session is thrown away");
    let asked = server.requests(QUERY).len();
    run(&mut session, "INSERT INTO t VALUES (2)").await.expect_err("nothing more runs in this session");
    assert_eq!(server.requests(QUERY).len(), asked);
}

#[tokio::test]
async fn a_rollback_without_a_transaction_succeeds() {
    let server = ScriptedServer::start().await;
    let mut session = in_transaction(&server).await;
    server.on(QUERY, [nothing_to_end(), done()]);
    run(&mut session, "ROLLBACK").await.unwrap();
    assert!(session.is_idle());
    run(&mut session, "SELECT 1").await.unwrap();
}

#[tokio::test]
async fn ending_a_transaction_that_was_never_begun_is_no_error() {
    for end in ["COMMIT", "ROLLBACK"] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [nothing_to_end()]);
        let mut session = server.client().open().await.unwrap();
        run(&mut session, end).await.unwrap();
        assert!(session.is_idle(), "{end}");
    }
}

#[tokio::test]
async fn a_statement_without_a_result_is_still_invalid() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [nothing_to_end()]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "SELECT 1").await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn after_the_server_aborts_a_transaction_none_of_its_statements_runs_alone() {
    // With messages that real drivers have received.
    let message = "Transaction '1721165674582000000' was aborted, SQL execution canceled.";
    for statement in ["MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DELETE", "SELECT 1", "COMMIT"] {
        let server = ScriptedServer::start().await;
        let mut session = in_transaction(&server).await;
        server.on(QUERY, [Reply::error("000615", "57014", message), done()]);
        let error = run(&mut session, statement).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{error:?}");
        assert_eq!(context(&error, "code"), Some("000615"));
        assert!(error.help().unwrap().contains("whole transaction"), "{:?}", error.help());
        assert!(!session.is_idle());
        let asked = server.requests(QUERY).len();
        let error = run(&mut session, "INSERT INTO t VALUES (2)").await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "{error:?}");
        assert_eq!(server.requests(QUERY).len(), asked, "it would have been committed on its own");
    }
}

#[tokio::test]
async fn a_statement_that_fails_leaves_its_transaction_open() {
    // A deadlock's victim, the 21st waiter for a lock, a time limit, and an invalid statement.
    for (code, state) in [("300002", "XX000"), ("000625", "57014"), ("000630", "57014"), ("100038", "22018")] {
        let server = ScriptedServer::start().await;
        let mut session = in_transaction(&server).await;
        server.on(QUERY, [Reply::error(code, state, "it fails"), done()]);
        run(&mut session, "UPDATE t SET v = 1").await.unwrap_err();
        assert!(!session.is_idle(), "{code}");
        run(&mut session, "ROLLBACK").await.unwrap();
        assert!(session.is_idle(), "{code}");
    }
}

#[tokio::test]
async fn a_session_that_has_lost_its_transaction_does_not_log_in_again() {
    let server = ScriptedServer::start().await;
    let mut session = in_transaction(&server).await;
    server.on(QUERY, [Reply::error("000615", "57014", "Transaction '1' was aborted")]);
    run(&mut session, "SELECT 1").await.unwrap_err();
    run(&mut session, "ROLLBACK").await.unwrap_err();
    assert_eq!(server.requests(LOGIN).len(), 1);
    let sent: Vec<Value> = server.requests(QUERY).iter().map(|asked| asked.body["sqlText"].clone()).collect();
    assert_eq!(sent, ["BEGIN TRANSACTION", "INSERT INTO t VALUES (1)", "SELECT 1"]);
}

#[tokio::test]
async fn a_statement_that_would_commit_the_transaction_is_not_sent() {
    let server = ScriptedServer::start().await;
    let mut session = in_transaction(&server).await;
    let asked = server.requests(QUERY).len();
    for ddl in [
        "CREATE TABLE t (i INT)",
        "create or replace temporary table t (i int)",
        "ALTER TABLE t ADD COLUMN v VARIANT",
        "DROP TABLE IF EXISTS t",
        "UNDROP TABLE t",
        "GRANT SELECT ON t TO ROLE r",
        "REVOKE SELECT ON t FROM ROLE r",
        "COMMENT ON TABLE t IS 'x'",
    ] {
        let error = run(&mut session, ddl).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{ddl}");
        assert!(error.message().contains("would commit"), "{error}");
    }
    assert_eq!(server.requests(QUERY).len(), asked);
    server.on(QUERY, [done()]);
    run(&mut session, "COMMIT").await.unwrap();
    run(&mut session, "DROP TABLE IF EXISTS t").await.unwrap();
}
