//! Things that expire while in use: tokens, the links to the parts of a result, the upload locations of files.

use serde_json::{Value, json};
use snowfeed::internals::snowflake::{Client, Session, StagedFile, Statement};
use snowfeed::{ErrorKind, Retry};

use crate::scripted::{ABORT, CLOSE, LOGIN, MASTER_TOKEN, QUERY, RENEW, RESULT, Reply, ScriptedServer, result};
use crate::session::{context, renewed, run};

fn answer(data: Value) -> Reply {
    Reply::json(json!({ "data": data, "code": null, "message": null, "success": true }))
}

/// A result with one row for each of these paths of a storage.
fn in_parts(storage: &ScriptedServer, paths: &[&str]) -> Reply {
    let chunk = |path: &&str| json!({ "url": format!("http://127.0.0.1:{}{path}?signature=hunter2", storage.port), "rowCount": 1 });
    let mut data = result(json!([]));
    data["chunks"] = paths.iter().map(chunk).collect();
    data["total"] = paths.len().into();
    answer(data)
}

fn part(row: &str) -> Reply {
    Reply::Respond(200, vec![], json!([row]).to_string().into_bytes())
}

fn expired() -> Reply {
    Reply::text(403, "application/xml", "<Error><Code>AccessDenied</Code>hunter2</Error>")
}

async fn rows(session: &mut Box<dyn Session>) -> snowfeed::Result<String> {
    let answer = session.execute(Statement::new("SELECT v FROM t")).await?;
    Ok(answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect())
}

#[tokio::test]
async fn a_token_that_expires_twice_while_a_statement_runs_is_renewed_twice() {
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::running("333333")]);
    let here = Reply::rows(json!([["here"]]));
    server.on(RESULT, [Reply::expired("390112"), Reply::running("333334"), Reply::expired("390112"), here]);
    server.on(RENEW, [renewed("second-token"), renewed("third-token")]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(run(&mut session, "CALL long()").await.unwrap(), "here");
    assert_eq!(server.requests(RESULT)[3].headers["authorization"], "Snowflake Token=\"third-token\"");
    let renewals = server.requests(RENEW);
    assert_eq!(renewals[1].headers["authorization"], format!("Snowflake Token=\"{MASTER_TOKEN}\""));
    assert_eq!(renewals[1].body["oldSessionToken"], "second-token");
    assert_eq!((server.requests(QUERY).len(), server.requests(LOGIN).len()), (1, 1));
}

#[tokio::test]
async fn expired_links_are_requested_again_and_the_statement_is_not_repeated() {
    for status in [400, 401, 403] {
        let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
        server.on(QUERY, [in_parts(&storage, &["/old0", "/old1", "/old2"])]);
        server.on(RESULT, [in_parts(&storage, &["/new0", "/new1", "/new2"])]);
        storage.on("/old0", [part("a")]);
        let expired = || [Reply::text(status, "application/xml", "<Error/>")];
        storage.on("/old1", expired());
        storage.on("/old2", expired());
        for (path, row) in [("/new0", "x"), ("/new1", "b"), ("/new2", "c")] {
            storage.on(path, [part(row)]);
        }
        let mut session = server.client().open().await.unwrap();
        assert_eq!(rows(&mut session).await.unwrap(), "abc", "{status}");
        assert_eq!((server.requests(QUERY).len(), server.requests(RESULT).len()), (1, 1), "{status}");
        assert!(storage.requests("/new0").is_empty(), "what is there is kept");
        assert!(!storage.requests("/new1")[0].headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn expiring_links_are_requested_again_while_there_is_progress() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [in_parts(&storage, &["/a", "/b", "/gone"])]);
    server.on(RESULT, [in_parts(&storage, &["/a", "/b", "/late"]), in_parts(&storage, &["/a", "/b", "/late"])]);
    storage.on("/a", [part("a")]);
    storage.on("/b", [expired(), part("b")]);
    storage.on("/gone", [expired()]);
    storage.on("/late", [expired(), part("c")]);
    let mut session = server.client().open().await.unwrap();
    // The second part arrives with the first new links, which is progress; the third one fails with these and needs the next.
    assert_eq!(rows(&mut session).await.map_err(|error| error.to_string()), Ok("abc".to_owned()));

    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [in_parts(&storage, &["/a"])]);
    server.on(RESULT, [in_parts(&storage, &["/a"])]);
    storage.on("/a", [expired()]);
    let mut session = server.client().open().await.unwrap();
    let error = rows(&mut session).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{error:?}");
    assert_eq!((server.requests(RESULT).len(), storage.requests("/a").len()), (1, 2));
    assert!(!format!("{error:?} {:?}", error.report()).contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn new_links_to_another_result_are_refused() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [in_parts(&storage, &["/a", "/b"])]);
    server.on(RESULT, [in_parts(&storage, &["/c"])]);
    storage.on("/a", [part("a")]);
    storage.on("/b", [expired()]);
    storage.on("/c", [part("c")]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(rows(&mut session).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_token_that_has_expired_is_renewed_for_new_links() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [in_parts(&storage, &["/old"])]);
    server.on(RESULT, [Reply::expired("390112"), in_parts(&storage, &["/new"])]);
    server.on(RENEW, [renewed("another-token")]);
    storage.on("/old", [expired()]);
    storage.on("/new", [part("a")]);
    let mut session = server.client().open().await.unwrap();
    assert_eq!(rows(&mut session).await.unwrap(), "a");
    assert_eq!(server.requests(RESULT)[1].headers["authorization"], "Snowflake Token=\"another-token\"");
}

/// A response that places a file at this path of a storage.
fn location(storage: &ScriptedServer, path: &str) -> Reply {
    let url = format!("http://127.0.0.1:{}{path}/a.json.gz?X-Goog-Signature=hunter2", storage.port);
    let stage = json!({ "locationType": "GCS", "location": "b/", "creds": {}, "presignedUrl": url });
    answer(json!({ "stageInfo": stage, "encryptionMaterial": [], "command": "UPLOAD" }))
}

fn file() -> StagedFile {
    StagedFile { stage: "S/run".to_owned(), name: "a.json.gz".to_owned(), content: vec!["x".into()] }
}

#[tokio::test]
async fn an_expired_presigned_url_is_requested_again_once() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [location(&storage, "/old"), location(&storage, "/new")]);
    storage.on("/old/a.json.gz", [Reply::status(400, "<Error><Code>ExpiredToken</Code></Error>")]);
    storage.on("/new/a.json.gz", [Reply::status(200, "")]);
    let client = server.client();
    let mut session = client.open().await.unwrap();
    session.put(file()).await.unwrap();
    assert_eq!(server.requests(QUERY).len(), 2);
    assert_eq!((storage.requests("/old/a.json.gz").len(), storage.requests("/new/a.json.gz").len()), (1, 1));

    server.on(QUERY, [location(&storage, "/old")]);
    let error = session.put(file()).await.unwrap_err();
    assert_eq!((error.kind(), context(&error, "code")), (ErrorKind::Authentication, Some("ExpiredToken")));
    assert_eq!(server.requests(QUERY).len(), 4, "one retry, then an error");
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// Drops a statement while it runs.
async fn drop_statement(server: &ScriptedServer) -> Box<dyn Session> {
    server.on(QUERY, [Reply::Hang]);
    let mut session = server.client().open().await.unwrap();
    tokio::select! {
        result = run(&mut session, "INSERT INTO t SELECT 1") => panic!("{result:?}"),
        _ = server.wait_for(QUERY) => {}
    }
    session
}

#[tokio::test]
async fn a_cancellation_that_arrives_before_its_statement_is_sent_again() {
    let server = ScriptedServer::start().await;
    // Snowflake does not run the statement yet.
    let not_running =
        Reply::json(json!({ "data": null, "code": "000605", "message": "not running", "success": false }));
    let done = Reply::json(json!({ "data": null, "success": true }));
    server.on(ABORT, [not_running.clone(), not_running, done]);
    drop(drop_statement(&server).await);
    server.wait_for("/session").await;
    let aborts = server.requests(ABORT);
    assert_eq!(aborts.len(), 3, "{:?}", server.paths());
    assert!(aborts.iter().all(|abort| abort.body == aborts[0].body));
}

#[tokio::test]
async fn a_statement_is_cancelled_even_if_the_token_has_expired() {
    let server = ScriptedServer::start().await;
    server.on(ABORT, [Reply::expired("390112"), Reply::json(json!({ "data": null, "success": true }))]);
    server.on(RENEW, [renewed("another-token")]);
    drop(drop_statement(&server).await);
    server.wait_for("/session").await;
    let aborts = server.requests(ABORT);
    assert_eq!(aborts.len(), 2, "{:?}", server.paths());
    assert_eq!(aborts[1].headers["authorization"], "Snowflake Token=\"another-token\"");
}

#[tokio::test]
async fn a_session_is_closed_even_if_the_token_has_expired() {
    // Left open, it would keep its transaction and the locks of that transaction.
    let server = ScriptedServer::start().await;
    server.on(CLOSE, [Reply::expired("390112"), Reply::json(json!({ "data": null, "success": true }))]);
    server.on(RENEW, [renewed("another-token")]);
    server.client().open().await.unwrap().close().await.unwrap();
    let closed = server.requests(CLOSE);
    assert_eq!(closed.len(), 2);
    assert_eq!(closed[1].headers["authorization"], "Snowflake Token=\"another-token\"");

    let server = ScriptedServer::start().await;
    server.on(CLOSE, [Reply::expired("390112")]);
    server.on(RENEW, [Reply::expired("390114")]);
    server.client().open().await.unwrap().close().await.unwrap();
    assert_eq!((server.requests(CLOSE).len(), server.requests(RENEW).len()), (1, 1), "it is gone");
}
