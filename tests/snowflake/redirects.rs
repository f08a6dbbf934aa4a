//! Redirects: which are followed, with which headers, and which are not.

use serde_json::json;
use snowfeed::internals::snowflake::{Client, Statement};
use snowfeed::{ErrorKind, Retry};

use crate::scripted::{LOGIN, QUERY, RESULT, Reply, ScriptedServer};
use crate::session::run;

/// A redirect to somewhere.
fn to(status: u16, location: &str) -> Reply {
    Reply::Respond(status, vec![("location", location.to_owned())], Vec::new())
}

#[tokio::test]
async fn a_redirect_within_the_host_is_followed_with_method_body_and_token() {
    for status in [307, 308] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [to(status, "/elsewhere/query?part=2")]);
        server.on("/elsewhere/query", [to(status, &format!("http://127.0.0.1:{}/third", server.port))]);
        server.on("/third", [Reply::rows(json!([["here"]]))]);
        let mut session = server.client().open().await.unwrap();
        let statement = Statement::new("INSERT INTO t SELECT ?").bind("x");
        let answer = session.execute(statement).await.unwrap();
        assert_eq!(&**answer.rows[0].text(0).unwrap(), "here", "{status}");
        let (first, second, third) = (
            server.requests(QUERY).remove(0),
            server.requests("/elsewhere/query").remove(0),
            server.requests("/third").remove(0),
        );
        for asked in [&second, &third] {
            assert_eq!((asked.method.as_str(), &asked.body), ("POST", &first.body), "{status}");
            assert_eq!(asked.headers["authorization"], first.headers["authorization"], "{status}");
        }
        assert_eq!(second.query["part"], "2");
    }
}

#[tokio::test]
async fn a_login_and_a_poll_follow_a_redirect_within_the_host() {
    let server = ScriptedServer::start().await;
    server.on(LOGIN, [to(307, "/login-elsewhere")]);
    server.on("/login-elsewhere", [Reply::json(json!({ "data": { "token": "t" }, "success": true }))]);
    server.on(QUERY, [Reply::running("333333")]);
    server.on(RESULT, [to(308, "/result-elsewhere")]);
    server.on("/result-elsewhere", [Reply::running("333334"), Reply::rows(json!([["here"]]))]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "CALL long()").await.unwrap(), "here");
    assert_eq!(server.requests("/result-elsewhere")[0].method, "GET");
}

#[tokio::test]
async fn redirect_loops_end() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [to(307, QUERY)]);
    let mut session = server.client().open().await.unwrap();
    let error = run(&mut session, "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{error:?}");
    assert!(error.message().contains("redirects"), "{error}");
    assert_eq!(server.requests(QUERY).len(), 4 * 6, "four attempts, each with five hops");
}

#[tokio::test]
async fn after_a_redirect_to_an_internal_address_the_request_is_sent_again() {
    let elsewhere = ScriptedServer::start().await;
    for location in [
        format!("http://127.0.0.1:{}{QUERY}?token=hunter2", elsewhere.port),
        "https://10.0.0.7/queries/v1/query-request".to_owned(),
        format!("//localhost:{}{QUERY}", elsewhere.port),
        "http://user:hunter2@127.0.0.1/".to_owned(),
        String::new(),
    ] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [to(307, &location), Reply::rows(json!([["here"]]))]);
        let mut session = server.client().open().await.unwrap();
        assert_eq!(run(&mut session, "INSERT INTO t VALUES (1)").await.unwrap(), "here", "{location}");
        let asked = server.requests(QUERY);
        assert_eq!((asked.len(), asked[1].request_id()), (2, asked[0].request_id()), "{location}");
        assert_eq!(asked[1].query["retryReason"], "307");
        server.on(QUERY, [to(307, &location)]);
        let error = run(&mut session, "SELECT 1").await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{error:?}");
        assert!(error.help().unwrap().contains("host of the connection"), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    assert!(elsewhere.paths().is_empty(), "no credential goes there");
}

#[tokio::test]
async fn other_redirects_are_not_followed_and_not_retried() {
    for status in [301, 302, 303] {
        let server = ScriptedServer::start().await;
        server.on(QUERY, [to(status, "/login.html")]);
        server.on("/login.html", [Reply::rows(json!([["here"]]))]);
        let mut session = server.client().open().await.unwrap();
        let error = run(&mut session, "SELECT 1").await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Configuration, Retry::Never), "{error:?}");
        assert_eq!((server.requests(QUERY).len(), server.requests("/login.html").len()), (1, 0), "{status}");
    }
}
