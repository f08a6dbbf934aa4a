//! Sessions and statements against a scripted server.

use std::time::Duration;

use serde_json::json;
use snowfeed::internals::snowflake::{Client, Session, Sql, Statement};
use snowfeed::{Error, ErrorKind, Retry};

use crate::scripted::{ABORT, CLOSE, LOGIN, MASTER_TOKEN, QUERY, RENEW, RESULT, Reply, SESSION_TOKEN, ScriptedServer};

pub(crate) async fn run(session: &mut Box<dyn Session>, sql: &str) -> snowfeed::Result<String> {
    let answer = session.execute(Statement::new(Sql::assert_safe(sql))).await?;
    Ok(answer.rows.first().map(|row| row.text(0).unwrap().to_string()).unwrap_or_default())
}

pub(crate) fn context<'e>(error: &'e Error, name: &str) -> Option<&'e str> {
    error.context().find(|fact| fact.0 == name).map(|fact| fact.1)
}

fn here() -> Reply {
    Reply::rows(json!([["here"]]))
}

pub(crate) fn renewed(token: &str) -> Reply {
    Reply::json(json!({ "data": { "sessionToken": token, "masterToken": MASTER_TOKEN }, "success": true }))
}

#[tokio::test]
async fn a_statement_carries_its_values_and_the_session_token() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    let statement = Statement::new("SELECT ?, ?, ?").bind("a\0\"b\"😀").bind(None::<String>).bind(7);
    session.execute(statement).await.unwrap();
    let asked = server.requests(QUERY).remove(0);
    assert_eq!(asked.headers["authorization"], format!("Snowflake Token=\"{SESSION_TOKEN}\""));
    assert_eq!(asked.headers["user-agent"], concat!("snowfeed/", env!("CARGO_PKG_VERSION")));
    let binds = json!({
        "1": { "type": "TEXT", "value": "a\0\"b\"😀" },
        "2": { "type": "TEXT", "value": null },
        "3": { "type": "FIXED", "value": "7" }
    });
    assert_eq!(
        (asked.sql(), &asked.body["bindings"], &asked.body["asyncExec"]),
        ("SELECT ?, ?, ?", &binds, &json!(false))
    );
    run(&mut session, "SELECT 1").await.unwrap();
    assert!(server.requests(QUERY)[1].body.get("bindings").is_none());
}

#[tokio::test]
async fn a_statement_carries_its_own_tag() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "SELECT 1").await.unwrap();
    session.set_query_tag(r#"{"app":"snowfeed"}"#.into());
    run(&mut session, "SELECT 2").await.unwrap();
    let asked = server.requests(QUERY);
    assert!(asked[0].body.get("parameters").is_none(), "the session's own tag counts");
    assert_eq!(asked[1].body["parameters"], json!({ "QUERY_TAG": r#"{"app":"snowfeed"}"# }));
    assert_eq!(asked.len(), 2, "none to set it");
}

#[tokio::test]
async fn every_statement_has_a_request_id_and_a_number_of_its_own() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    for _ in 0..3 {
        run(&mut session, "SELECT 1").await.unwrap();
    }
    let asked = server.requests(QUERY);
    assert_eq!([1, 2, 3], [0, 1, 2].map(|index: usize| asked[index].body["sequenceId"].as_u64().unwrap()));
    assert!(asked[0].request_id() != asked[1].request_id() && asked[1].request_id() != asked[2].request_id());
}

#[tokio::test]
async fn a_long_statement_is_polled_until_it_is_done() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::running("333333")]);
    server.on(RESULT, [Reply::running("333333"), Reply::running("333334"), Reply::status(503, ""), here()]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "CALL long()").await.unwrap(), "here");
    let polls = server.requests(RESULT);
    assert_eq!((polls.len(), server.requests(QUERY).len()), (4, 1), "the statement itself is sent once");
    assert_eq!(polls[0].method, "GET");
    assert_eq!(polls[0].headers["authorization"], format!("Snowflake Token=\"{SESSION_TOKEN}\""));
    assert!(server.requests(ABORT).is_empty());
}

#[tokio::test]
async fn a_result_url_on_another_host_is_not_requested() {
    for url in ["https://elsewhere.example/queries/1/result", "//elsewhere.example/r", "/\\elsewhere.example/r"] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [Reply::json(json!({ "data": { "getResultUrl": url }, "code": "333333", "success": true }))]);
        let mut session = server.client().open().await.unwrap();
        let error = run(&mut session, "SELECT 1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
    }
}

#[tokio::test]
async fn after_an_expired_session_it_logs_in_again_and_repeats_the_statement() {
    for code in ["390104", "390111", "390114", "390112"] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [Reply::expired(code), here()]);
        server.on(RENEW, [Reply::expired("390114")]);
        let client = server.client();
        let mut session = client.open().await.unwrap();
        assert_eq!(run(&mut session, "INSERT INTO t VALUES (1)").await.unwrap(), "here", "{code}");
        assert_eq!((server.requests(LOGIN).len(), client.usage().logins), (2, 2), "{code}");
        assert_eq!(server.requests(RENEW).len(), usize::from(code == "390112"), "{code}");
        assert!(session.is_idle());
    }
}

#[tokio::test]
async fn a_session_that_stays_expired_is_an_error() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::expired("390104")]);
    let mut session = server.client().open().await.unwrap();
    let error = run(&mut session, "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind(), context(&error, "code")), (ErrorKind::Authentication, Some("390104")));
    assert_eq!((server.requests(QUERY).len(), server.requests(LOGIN).len()), (2, 2));
}

#[tokio::test]
async fn a_transaction_in_an_expired_session_is_lost_and_not_repeated() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "BEGIN").await.unwrap();
    server.on(QUERY, [Reply::expired("390104")]);
    let error = run(&mut session, "COMMIT").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff));
    assert!(error.to_string().contains("nothing was committed"), "{error}");
    assert_eq!(
        (server.requests(QUERY).len(), server.requests(LOGIN).len()),
        (2, 1),
        "neither retried nor logged in again"
    );
    assert!(!session.is_idle());
    server.on(QUERY, [here()]);
    run(&mut session, "INSERT INTO t VALUES (1)")
        .await
        .expect_err("the rest of the transaction must not run by itself");
    assert_eq!(server.requests(QUERY).len(), 2);
}

#[tokio::test]
async fn a_renewed_token_preserves_the_transaction() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "BEGIN").await.unwrap();
    server.on(QUERY, [Reply::expired("390112"), here()]);
    server.on(RENEW, [renewed("another-token")]);
    assert_eq!(run(&mut session, "INSERT INTO t VALUES (1)").await.unwrap(), "here");
    assert!(!session.is_idle(), "the transaction is still open");
    let renewal = server.requests(RENEW).remove(0);
    assert_eq!(renewal.headers["authorization"], format!("Snowflake Token=\"{MASTER_TOKEN}\""));
    assert_eq!(renewal.body, json!({ "oldSessionToken": SESSION_TOKEN, "requestType": "RENEW" }));
    assert_eq!(server.requests(QUERY)[2].headers["authorization"], "Snowflake Token=\"another-token\"");
    assert_eq!(server.requests(LOGIN).len(), 1);
}

#[tokio::test]
async fn a_token_that_expires_while_a_statement_runs_is_renewed() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::running("333333")]);
    server.on(RESULT, [Reply::expired("390112"), here()]);
    server.on(RENEW, [renewed("another-token")]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "CALL long()").await.unwrap(), "here");
    assert_eq!(server.requests(RESULT)[1].headers["authorization"], "Snowflake Token=\"another-token\"");
    assert_eq!(server.requests(QUERY).len(), 1);
}

#[tokio::test]
async fn a_session_that_expires_while_a_statement_runs_leaves_its_outcome_unknown() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::running("333333")]);
    server.on(RESULT, [Reply::expired("390104")]);
    let mut session = server.client().open().await.unwrap();
    let error = run(&mut session, "INSERT INTO t SELECT 1").await.unwrap_err();
    assert!(error.to_string().contains("whether it had an effect is unknown"), "{error}");
    assert_eq!(
        (server.requests(QUERY).len(), error.retry()),
        (1, Retry::Backoff),
        "not retried without the caller's knowledge"
    );
}

#[tokio::test]
async fn a_burst_of_failures_is_retried_with_the_same_request_id() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::status(503, ""), Reply::text(502, "text/html", "<html>"), Reply::Reset, here()]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "INSERT INTO t VALUES (1)").await.unwrap(), "here");
    let asked = server.requests(QUERY);
    assert_eq!(asked.len(), 4);
    for (before, asked_again) in asked.iter().enumerate().skip(1) {
        assert_eq!(asked_again.request_id(), asked[0].request_id());
        assert_eq!(asked_again.body, asked[0].body);
        assert_ne!(asked_again.query["request_guid"], asked[before - 1].query["request_guid"]);
        assert_eq!(asked_again.query["retryCount"], before.to_string());
    }
    let reasons: Vec<_> = asked[1..].iter().map(|asked| asked.query["retryReason"].as_str()).collect();
    assert_eq!(reasons, ["503", "502", "0"]);
    assert!(!asked[0].query.contains_key("retryCount"));
}

#[tokio::test]
async fn persistent_failures_are_an_error() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::status(503, "")]);
    let mut session = server.client().open().await.unwrap();
    let error = run(&mut session, "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{error:?}");
    assert_eq!((context(&error, "status"), context(&error, "attempts")), (Some("503"), Some("4")));
    assert_eq!(server.requests(QUERY).len(), 4);
    server.on(QUERY, [here()]);
    assert_eq!(run(&mut session, "SELECT 1").await.unwrap(), "here", "the session itself may be fine");
}

#[tokio::test]
async fn a_commit_without_a_response_has_an_unknown_outcome() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "BEGIN").await.unwrap();
    server.on(QUERY, [Reply::Reset]);
    let error = run(&mut session, "COMMIT").await.unwrap_err();
    assert!(error.message().contains("whether the transaction was committed is unknown"), "{error}");
    assert!(error.help().unwrap().contains("run it again"));
    assert!(!session.is_idle());
    assert_eq!(server.requests(QUERY).len(), 5, "begin, and four times commit");
}

#[tokio::test]
async fn an_error_from_snowflake_is_final_whatever_the_status() {
    let failure =
        json!({ "data": null, "code": "261000", "message": "sql_text='x' params=('secret',)", "success": false });
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::status(500, &failure.to_string())]);
    let mut session = server.client().open().await.unwrap();
    let error = run(&mut session, "SELECT 1").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry(), context(&error, "code")),
        (ErrorKind::Unavailable, Retry::Backoff, Some("261000"))
    );
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(server.requests(QUERY).len(), 1);
}

#[tokio::test]
async fn an_error_reports_what_failed_why_and_how_to_fix_it() {
    use ErrorKind::{Configuration, InvalidData, NotFound, RateLimited, Unavailable};
    for (code, state, message, kind, retry, help) in [
        ("002003", "02000", "SQL compilation error:\nObject 'T' does not exist", NotFound, Retry::Never, "GRANT USAGE"),
        ("002043", "02000", "Object does not exist", NotFound, Retry::Never, "GRANT USAGE"),
        ("003001", "42501", "Insufficient privileges", Configuration, Retry::Never, "role"),
        ("000606", "57P03", "No active warehouse selected", Configuration, Retry::Never, "DEFAULT_WAREHOUSE"),
        (
            "090073",
            "22000",
            "resource monitor 'M' has exceeded its quota",
            RateLimited,
            Retry::Never,
            "resource monitor",
        ),
        ("000000", "57014", "Warehouse 'W' is suspended.", Configuration, Retry::Never, "AUTO_RESUME"),
        ("000604", "57014", "SQL execution canceled", Unavailable, Retry::Never, "stopped"),
        ("000630", "57014", "Statement reached its timeout", Unavailable, Retry::Never, "STATEMENT_TIMEOUT_IN_SECONDS"),
        ("000625", "57014", "has locked table 'T'", Unavailable, Retry::Backoff, "SHOW LOCKS"),
        ("000603", "XX000", "SQL execution internal error", Unavailable, Retry::Backoff, "status.snowflake.com"),
        ("300002", "XX000", "write-write conflict", Unavailable, Retry::Backoff, "same rows"),
        ("100038", "22018", "Numeric value 'x' is not recognized", InvalidData, Retry::Never, ""),
    ] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [Reply::error(code, state, message)]);
        let mut session = server.client().open().await.unwrap();
        let error = run(&mut session, "SELECT 1").await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        let facts: Vec<_> = error.context().collect();
        assert_eq!(facts, [("code", code), ("sql_state", state), ("query_id", "the-query")]);
        assert_eq!(error.message(), message.replace('\n', " "), "one line");
        assert!(error.help().unwrap_or_default().contains(help), "{code}: {:?}", error.help());
        assert!(session.is_idle(), "{code}");
    }
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::error("100038", "22018", &"é".repeat(100_000))]);
    let mut session = server.client().open().await.unwrap();
    assert!(run(&mut session, "SELECT 1").await.unwrap_err().message().len() < 1100);
}

#[tokio::test]
async fn a_statement_whose_future_is_dropped_is_cancelled() {
    for polled in [false, true] {
        let server = ScriptedServer::start().await;
        let waits_at = if polled { RESULT } else { QUERY };
        server.on(QUERY, [Reply::running("333333")]);
        server.on(waits_at, [Reply::Hang]);
        let mut session = server.client().open().await.unwrap();
        tokio::select! {
            result = run(&mut session, "INSERT INTO t SELECT 1") => panic!("{result:?}"),
            _ = server.wait_for(waits_at) => {}
        }
        let abort = server.wait_for(ABORT).await;
        let statement = server.requests(QUERY).remove(0);
        assert_eq!(abort.body, json!({ "sqlText": "INSERT INTO t SELECT 1", "requestId": statement.request_id() }));
        assert_ne!(abort.request_id(), statement.request_id());
        assert_eq!(abort.headers["authorization"], format!("Snowflake Token=\"{SESSION_TOKEN}\""));
        assert!(!session.is_idle());
        assert_eq!(run(&mut session, "SELECT 1").await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(server.requests(QUERY).len(), 1);
    }
}

#[tokio::test]
async fn a_session_is_closed_after_its_statement_was_cancelled() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::Hang]);
    server.on(ABORT, [Reply::status(503, ""), Reply::Reset, Reply::json(json!({ "success": true }))]);
    let mut session = server.client().open().await.unwrap();
    tokio::select! {
        result = run(&mut session, "SELECT 1") => panic!("{result:?}"),
        _ = server.wait_for(QUERY) => {}
    }
    drop(session);
    server.wait_for(CLOSE).await;
    assert_eq!(server.paths(), [LOGIN, QUERY, ABORT, ABORT, ABORT, CLOSE]);
}

#[tokio::test]
async fn closing_ends_the_session_once() {
    let server = ScriptedServer::start().await;
    let session = server.client().open().await.unwrap();
    session.close().await.unwrap();
    let closed = server.requests(CLOSE);
    assert_eq!((closed.len(), closed[0].query["delete"].as_str()), (1, "true"));
    assert_eq!(closed[0].headers["authorization"], format!("Snowflake Token=\"{SESSION_TOKEN}\""));
}

#[tokio::test]
async fn a_session_that_has_expired_is_closed() {
    let server = ScriptedServer::start().await;
    server.on(CLOSE, [Reply::expired("390104")]);
    server.client().open().await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_dropped_session_is_closed_with_its_transaction() {
    let server = ScriptedServer::start().await;
    let mut session = server.client().open().await.unwrap();
    run(&mut session, "BEGIN").await.unwrap();
    drop(session);
    assert_eq!(server.wait_for(CLOSE).await.query["delete"], "true");
}

#[test]
fn a_session_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, session) = runtime.block_on(async {
        let server = ScriptedServer::start().await;
        let session = server.client().open().await.unwrap();
        let held = server.client().open().await.unwrap();
        tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        (server, session)
    });
    drop(runtime);
    drop(session);
    assert!(server.requests(CLOSE).is_empty());
}

#[tokio::test]
async fn a_session_idle_for_long_sends_a_heartbeat() {
    let server = ScriptedServer::start().await;
    let alive = Reply::json(json!({ "data": null, "success": true }));
    server.on("/session/heartbeat", [alive, Reply::expired("390104")]);
    let client = server.client();
    let mut session = client.open().await.unwrap();
    let idle = async |time| {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    };
    idle(Duration::from_secs(40 * 60)).await;
    run(&mut session, "SELECT 1").await.unwrap();
    assert!(server.requests("/session/heartbeat").is_empty());
    for logins in [1, 2] {
        idle(Duration::from_secs(50 * 60)).await;
        run(&mut session, "SELECT 1").await.unwrap();
        assert_eq!(client.usage().logins, logins);
    }
    assert_eq!(server.requests("/session/heartbeat").len(), 2);
}
