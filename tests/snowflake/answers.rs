//! Responses that arrive in parts, late, broken, or from another server.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use snowfeed::internals::snowflake::{Client, QueryResult, Statement};
use snowfeed::{Error, ErrorKind, Result, Retry};

use crate::scripted::{QUERY, Reply, ScriptedServer, result};

async fn ask(server: &ScriptedServer) -> Result<QueryResult> {
    server.client().open().await.unwrap().execute(Statement::new("SELECT v FROM t")).await
}

async fn failure(acts: impl IntoIterator<Item = Reply>) -> (Error, usize) {
    let server = ScriptedServer::start().await;
    server.on(QUERY, acts);
    (ask(&server).await.unwrap_err(), server.requests(QUERY).len())
}

fn texts(answer: &QueryResult) -> Vec<String> {
    answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect()
}

fn answer(data: Value) -> Reply {
    Reply::json(json!({ "data": data, "code": null, "message": null, "success": true }))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A record batch as Snowflake sends it.
fn arrow(texts: &[&str]) -> Vec<u8> {
    let numbers = (1..).take(texts.len()).collect::<Vec<i64>>();
    let columns: [(&str, ArrayRef); 2] =
        [("V", Arc::new(StringArray::from(texts.to_vec()))), ("N", Arc::new(Int64Array::from(numbers)))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A result whose parts are on another server.
fn in_parts(storage: &ScriptedServer, rows: &[usize], more: Value) -> Value {
    let chunk = |(index, rows): (usize, &usize)| {
        let url = format!("http://127.0.0.1:{}/chunk{index}?signature=hunter2", storage.port);
        json!({ "url": url, "rowCount": rows, "uncompressedSize": 1, "compressedSize": 1 })
    };
    let mut data = result(json!([]));
    data["chunks"] = rows.iter().enumerate().map(chunk).collect();
    data["total"] = rows.iter().sum::<usize>().into();
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}

#[tokio::test]
async fn the_parts_of_a_result_come_in_order_whichever_is_first() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    let more = json!({ "rowset": [["a"]], "total": 6, "chunkHeaders": { "x-key": "the-key" } });
    server.on(QUERY, [answer(in_parts(&storage, &[2, 1, 2], more))]);
    storage.on("/chunk0", [Reply::Slowly(b"[\"b\"],[\"c\"]".to_vec(), Duration::from_millis(100))]);
    storage.on("/chunk1", [Reply::Respond(200, vec![], gzip(b"[\"d\"]"))]);
    let compressed = vec![("content-encoding", "gzip".to_owned())];
    storage.on("/chunk2", [Reply::Respond(200, compressed, gzip(b"[\"e\"],[\"f\"]"))]);
    assert_eq!(texts(&ask(&server).await.unwrap()), ["a", "b", "c", "d", "e", "f"]);
    for part in ["/chunk0", "/chunk1", "/chunk2"] {
        let asked = storage.requests(part).remove(0);
        assert_eq!((asked.method.as_str(), asked.headers["x-key"].as_str()), ("GET", "the-key"));
        assert!(!asked.headers.contains_key("authorization"), "the storage is not Snowflake");
    }
}

#[tokio::test]
async fn the_parts_of_a_result_in_arrow_come_in_order() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    let more = json!({
        "queryResultFormat": "arrow", "rowset": null, "rowsetBase64": BASE64_STANDARD.encode(arrow(&["a", "b"])),
        "total": 5, "qrmk": "the-key",
        "rowtype": [{ "name": "V", "type": "text" }, { "name": "N", "type": "fixed" }]
    });
    server.on(QUERY, [answer(in_parts(&storage, &[1, 2], more))]);
    storage.on("/chunk0", [Reply::Slowly(arrow(&["c"]), Duration::from_millis(100))]);
    storage.on("/chunk1", [Reply::Respond(200, vec![], gzip(&arrow(&["d", "e"])))]);
    let answer = ask(&server).await.unwrap();
    assert_eq!(
        (answer.columns.as_slice(), texts(&answer).concat()),
        (["V", "N"].map(str::to_owned).as_slice(), "abcde".into())
    );
    assert_eq!(answer.rows[4].integer(1).unwrap(), 2);
    let asked = storage.requests("/chunk0").remove(0);
    assert_eq!(asked.headers["x-amz-server-side-encryption-customer-key"], "the-key");
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_part_that_fails_temporarily_is_fetched_again() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    server.on(QUERY, [answer(in_parts(&storage, &[1], json!({})))]);
    let whole = || Reply::Respond(200, vec![], b"[\"a\"]".to_vec());
    storage.on("/chunk0", [Reply::status(503, ""), Reply::Reset, Reply::BreakOff(b"[\"".to_vec()), whole()]);
    assert_eq!(texts(&ask(&server).await.unwrap()), ["a"]);
    assert_eq!((storage.requests("/chunk0").len(), server.requests(QUERY).len()), (4, 1));
}

#[tokio::test]
async fn a_part_that_cannot_be_fetched_is_an_error_without_its_signature() {
    for act in [
        Reply::status(403, "<Error>hunter2</Error>"),
        Reply::status(500, ""),
        Reply::Reset,
        Reply::text(302, "text/plain", ""),
        Reply::Respond(200, vec![], b"[\"a\"]".to_vec()),
        Reply::Respond(200, vec![], b"[\"a\",".to_vec()),
        Reply::Respond(200, vec![], b"\x1f\x8bhunter2".to_vec()),
    ] {
        let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
        server.on(QUERY, [answer(in_parts(&storage, &[2], json!({ "total": null })))]);
        storage.on("/chunk0", [act]);
        let error = ask(&server).await.unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", error.report()).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn missing_announced_rows_are_an_error() {
    let mut data = result(json!([]));
    data["total"] = 3.into();
    let (error, asked) = failure([answer(data)]).await;
    assert_eq!((error.kind(), error.retry(), asked), (ErrorKind::InvalidData, Retry::Backoff, 1));
}

#[tokio::test]
async fn a_web_page_is_an_error() {
    for page in ["<!DOCTYPE html><html>please log in, hunter2</html>", " \n<html>"] {
        let (error, asked) = failure([Reply::text(200, "text/plain", page)]).await;
        assert_eq!((error.kind(), asked), (ErrorKind::Unavailable, 1));
        assert!(error.message().contains("web page"), "{error}");
        assert!(error.help().unwrap().contains("proxy"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_web_page_of_a_failing_gateway_is_retried() {
    let (error, asked) = failure([Reply::text(504, "text/html", "<html>")]).await;
    assert_eq!((error.kind(), error.retry(), asked), (ErrorKind::Unavailable, Retry::Never, 4));
}

#[tokio::test]
async fn json_of_another_service_is_an_error() {
    for body in ["{}", "[]", "{\"success\": \"yes\"}", "{\"message\": \"hunter2\"}"] {
        let (error, asked) = failure([Reply::status(200, body)]).await;
        assert_eq!((error.kind(), asked), (ErrorKind::InvalidData, 1), "{body}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_response_of_another_form_is_rejected_and_not_quoted() {
    for data in [json!("hunter2"), json!({ "rowset": "hunter2" }), json!({ "rowset": [["a", { "hunter2": 1 }]] })] {
        let (error, asked) = failure([answer(data)]).await;
        assert_eq!((error.kind(), asked), (ErrorKind::InvalidData, 1));
        assert!(!format!("{error} {error:?} {:?}", error.report()).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_truncated_response_is_requested_again() {
    let whole = || Reply::rows(json!([["a"]]));
    let Reply::Respond(_, _, body) = whole() else { panic!() };
    let (half, _) = body.split_at(body.len() / 2);
    let server = ScriptedServer::start().await;
    let cut = Reply::Respond(200, vec![("content-type", "application/json".to_owned())], half.to_vec());
    server.on(QUERY, [cut, Reply::BreakOff(half.to_vec()), Reply::Respond(200, vec![], Vec::new()), whole()]);
    assert_eq!(texts(&ask(&server).await.unwrap()), ["a"]);
    let asked = server.requests(QUERY);
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|again| again.request_id() == asked[0].request_id()));
}

#[tokio::test]
async fn a_response_that_stays_truncated_is_invalid() {
    let (error, asked) = failure([Reply::status(200, "{\"data\": {\"rowset\": [[\"hunter2")]).await;
    assert_eq!((error.kind(), error.retry(), asked), (ErrorKind::InvalidData, Retry::Never, 4));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let (error, _) = failure([Reply::Respond(200, vec![], Vec::new())]).await;
    assert!(error.message().contains("empty body"), "{error}");
}

#[tokio::test]
async fn a_slow_response_is_awaited() {
    let Reply::Respond(_, _, body) = Reply::rows(json!([["a"]])) else { panic!() };
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::Slowly(body, Duration::from_millis(200))]);
    assert_eq!(texts(&ask(&server).await.unwrap()), ["a"]);
    assert_eq!(server.requests(QUERY).len(), 1);
}

#[tokio::test]
async fn a_row_of_16_megabytes_fits() {
    let long = "x".repeat(16 << 20);
    let server = ScriptedServer::start().await;
    server.on(QUERY, [Reply::rows(json!([[long]]))]);
    assert_eq!(ask(&server).await.unwrap().rows[0].text(0).unwrap().len(), long.len());
}

#[tokio::test]
async fn parts_that_fill_the_memory_come_one_after_the_other() {
    let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
    let mut data = in_parts(&storage, &[1, 1, 1], json!({}));
    for chunk in data["chunks"].as_array_mut().unwrap() {
        chunk["uncompressedSize"] = (1_u64 << 40).into();
    }
    server.on(QUERY, [answer(data)]);
    for (path, row, silence) in [("/chunk0", "a", 500), ("/chunk1", "b", 1), ("/chunk2", "c", 1)] {
        storage.on(path, [Reply::Slowly(json!([row]).to_string().into_bytes(), Duration::from_millis(silence))]);
    }
    let first = async {
        storage.wait_for("/chunk0").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        storage.paths().len()
    };
    let (answer, paths) = futures::join!(ask(&server), first);
    assert_eq!((texts(&answer.unwrap()).concat(), paths), ("abc".to_owned(), 1));
}

/// The longest time for which a thread that serves everything did only `work`, as a fraction of the whole.
async fn longest_pause<T>(work: impl Future<Output = T>) -> (f64, T) {
    let began = std::time::Instant::now();
    let (mut last, mut longest) = (began, Duration::ZERO);
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut work = std::pin::pin!(work);
    loop {
        let done = tokio::select! {
            done = &mut work => Some(done),
            _ = ticks.tick() => None,
        };
        longest = longest.max(last.elapsed());
        last = std::time::Instant::now();
        if let Some(done) = done {
            return (longest.as_secs_f64() / began.elapsed().as_secs_f64(), done);
        }
    }
}

#[tokio::test]
async fn large_parts_are_decompressed_without_blocking_other_tasks() {
    let row = format!("[\"{}\"]", "x".repeat(40));
    let rows = vec![row; 1_000_000];
    let part = gzip(rows.join(",").as_bytes());
    let mut shares = Vec::new();
    for _ in 0..3 {
        let (server, storage) = (ScriptedServer::start().await, ScriptedServer::start().await);
        server.on(QUERY, [answer(in_parts(&storage, &[rows.len()], json!({})))]);
        storage.on("/chunk0", [Reply::Respond(200, vec![], part.clone())]);
        let (share, answer) = longest_pause(ask(&server)).await;
        assert_eq!(answer.unwrap().rows.len(), rows.len());
        shares.push(share);
    }
    assert!(shares.iter().any(|share| *share < 0.3), "{shares:?}");
}

#[tokio::test]
async fn too_many_requests_are_slowed_down() {
    let server = ScriptedServer::start().await;
    let wait = Reply::Respond(429, vec![("retry-after", "0".to_owned())], Vec::new());
    server.on(QUERY, [wait, Reply::rows(json!([["a"]]))]);
    assert_eq!(texts(&ask(&server).await.unwrap()), ["a"]);
    let (error, _) = failure([Reply::status(429, "")]).await;
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}
