//! Traces over OTLP, as the protocol's own Python package decodes them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use github_server::{Fault, GithubServer};
use serde_json::Value;

use crate::peers::{self, Server, free_port, hang_up};
use crate::support::{Program, end, signal, until};

const TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
const KEY: &str = "collector-key-0123456789";

async fn upstream() -> GithubServer {
    GithubServer::builder().seed(7).token(TOKEN).repository("acme/widgets", 250).start().await.unwrap()
}

/// The example over a server, with these variables of OpenTelemetry.
fn program(upstream: &GithubServer, variables: &[(&str, &str)]) -> Program {
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", TOKEN);
    variables.iter().fold(program, |program, (name, value)| program.variable(name, value))
}

/// What the collector got.
fn spans(collector: &Server) -> Vec<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", collector.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Those below a span, which has to be in the same trace.
fn children<'a>(spans: &'a [Value], parent: &Value) -> Vec<&'a Value> {
    let found: Vec<_> = spans.iter().filter(|span| span["parent"] == parent["id"]).collect();
    assert!(found.iter().all(|span| span["trace"] == parent["trace"]));
    found
}

fn run_of<'a>(spans: &'a [Value], status: &str) -> &'a Value {
    let is_run = |span: &&Value| span["name"] == "run" && span["attributes"]["status"] == status;
    spans.iter().find(is_run).unwrap_or_else(|| panic!("{spans:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_its_requests_waits_and_commits_are_one_trace() {
    let Some(collector) = peers::start_collector() else { return };
    let upstream = upstream().await;
    upstream.fault(Fault::Status { code: 502, retry_after: None });
    let program = program(
        &upstream,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
            ("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{KEY}")),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ],
    );
    let ended = program.run(&["-vvv", "ingest", "acme/widgets"]).await.expect(0);
    assert!(!ended.stderr.contains(KEY) && !ended.stderr.contains("cannot be sent"), "{ended:?}");
    let spans = spans(&collector);
    let run = run_of(&spans, "complete");
    assert_eq!(
        (&run["parent"], &run["kind"], &run["status"]),
        (&"".into(), &"SPAN_KIND_INTERNAL".into(), &"STATUS_CODE_UNSET".into())
    );
    let attributes = &run["attributes"];
    assert_eq!((&attributes["resource"], &attributes["stream"]), (&"acme/widgets".into(), &"issues".into()));
    assert_eq!((&attributes["mode"], &attributes["inserted"]), (&"incremental".into(), &250.into()));
    assert_eq!(attributes["run"].as_str().map(str::len), Some(36));

    let below = children(&spans, run);
    let named = |name: &str| below.iter().filter(|span| span["name"] == name).copied().collect::<Vec<_>>();
    let pages = named("GET repositories/{id}/issues");
    assert!(pages.len() >= 3, "{below:#?}");
    let page = pages.iter().find(|span| span["attributes"]["http.response.status_code"] == 200).unwrap();
    assert_eq!(
        (&page["kind"], &page["attributes"]["server.address"]),
        (&"SPAN_KIND_CLIENT".into(), &"127.0.0.1".into())
    );
    assert_eq!(page["attributes"]["http.request.method"], "GET");
    assert!(page["attributes"]["bytes"].as_u64().unwrap() > 1_000 && page["took_ns"].as_u64().unwrap() > 0, "{page}");
    let failed = below.iter().find(|span| span["status"] == "STATUS_CODE_ERROR").unwrap();
    assert_eq!(failed["attributes"]["error.type"], "502");
    let again = below.iter().filter(|span| span["attributes"]["http.request.resend_count"] == 1).count();
    assert_eq!((again, named("wait").len()), (1, 1), "{below:#?}");
    assert_eq!(named("wait")[0]["attributes"]["reason"], "retry");
    let commits = named("commit");
    let records: u64 = commits.iter().map(|span| span["attributes"]["records"].as_u64().unwrap()).sum();
    assert_eq!(records, 250);
    assert!(commits[0]["attributes"]["bytes"].as_u64().unwrap() > 10_000, "{commits:?}");

    let (resource, span) = (&run["resource"], &spans[0]);
    assert_eq!(
        (&resource["service.name"], &resource["deployment.environment.name"]),
        (&"github".into(), &"test".into())
    );
    assert_eq!((&span["authorization"], &span["scope"]), (&format!("Bearer {KEY}").into(), &"snowfeed".into()));
    assert_eq!(span["content_type"], "application/x-protobuf");
    // Requests outside of a run, and nothing of the HTTP libraries or of the code.
    let names: BTreeSet<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("GET ") || ["run", "commit", "wait"].contains(name)), "{names:?}");
    let fields: BTreeSet<&String> =
        spans.iter().flat_map(|span| span["attributes"].as_object().unwrap().keys()).collect();
    assert!(
        !fields.iter().any(|field| ["code.", "thread.", "busy", "idle"].iter().any(|of| field.starts_with(of))),
        "{fields:?}"
    );
    assert!(spans.iter().all(|span| span["events"] == 0));
    // No secret, no query, no record.
    let all = serde_json::to_string(&spans.iter().map(|span| &span["attributes"]).collect::<Vec<_>>()).unwrap();
    for text in [TOKEN, KEY, "per_page", "since=", "repositories/1"] {
        assert!(!all.contains(text), "{text}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_snowflake_are_below_the_commit_and_have_no_text() {
    let (Some(collector), Some(server)) = (peers::start_collector(), peers::fakesnow()) else { return };
    let upstream = upstream().await;
    let program = program(&upstream, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]);
    let database = format!("TRACES{}", std::process::id());
    let program = program.snowflake(server.port, "correct-horse-battery-staple", &database);
    program.run(&["ingest", "acme/widgets"]).await.expect(0);
    let spans = spans(&collector);
    let commits = children(&spans, run_of(&spans, "complete"));
    let commit = commits.iter().find(|span| span["name"] == "commit").unwrap();
    let statements = children(&spans, commit);
    let operations: BTreeSet<&str> = statements.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert!(operations.contains("BEGIN") && operations.contains("COMMIT"), "{operations:?}");
    for statement in &statements {
        let attributes = &statement["attributes"];
        assert_eq!(
            (&attributes["db.operation.name"], &attributes["db.system.name"]),
            (&statement["name"], &"snowflake".into())
        );
        assert!(attributes["query_id"].is_string(), "{statement}");
    }
    let all = serde_json::to_string(&spans).unwrap();
    for text in ["correct-horse", &database, "PUBLIC", "MERGE INTO"] {
        assert!(!all.contains(text), "{text}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_sends_what_is_pending() {
    let Some(collector) = peers::start_collector() else { return };
    let upstream = upstream().await;
    // Nothing else sends them.
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url()),
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let program = program(&upstream, &variables);
    program.run(&["enable", "acme/widgets"]).await.expect(0);
    let child = program.start(&["run"]);
    let database = program.folder().join("github.db");
    let ended = || {
        let file = rusqlite::Connection::open(&database).ok();
        let query = "SELECT count(*) FROM INGESTION_RUN WHERE status = 'complete'";
        file.and_then(|file| file.query_row(query, [], |row| row.get::<_, i64>(0)).ok()).unwrap_or_default() > 0
    };
    until("a run has ended", ended).await;
    assert!(spans(&collector).iter().all(|span| span["name"] != "run"));
    signal(&child, "TERM");
    assert_eq!(end(child).await.code, Some(0));
    assert_eq!(run_of(&spans(&collector), "complete")["resource"]["service.name"], "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_unless_the_variables_ask_for_it() {
    let upstream = upstream().await;
    let (url, connections) = hang_up();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url);
    for (variables, note) in [
        (vec![("OTEL_SERVICE_NAME", "x")], None),
        (vec![endpoint, ("OTEL_SDK_DISABLED", "TRUE")], None),
        (vec![endpoint, ("OTEL_TRACES_EXPORTER", "none")], None),
        (vec![endpoint, ("OTEL_TRACES_SAMPLER", "always_off")], None),
        (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], Some("\"grpc\" is not supported")),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "user:sesame@host")], Some("is not a URL")),
    ] {
        let ended = program(&upstream, &variables).run(&["ingest", "acme/widgets"]).await.expect(0);
        assert_eq!(ended.stderr.contains("no traces are sent"), note.is_some(), "{variables:?}: {ended:?}");
        assert!(note.is_none_or(|note| ended.stderr.contains(note)) && !ended.stderr.contains("sesame"), "{ended:?}");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_fails_no_run_and_is_reported_once() {
    let upstream = upstream().await;
    // It accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let refused = format!("http://127.0.0.1:{}", free_port());
    let (broken, connections) = hang_up();
    for (url, reason) in [(&silent, None), (&refused, Some("cannot be reached")), (&broken, Some("the connection"))] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &**url),
            // Many exports in one run.
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ];
        let began = Instant::now();
        let ended = program(&upstream, &variables).run(&["ingest", "acme/widgets"]).await.expect(0);
        let warnings = ended.stderr.matches("traces cannot be sent").count();
        assert_eq!(warnings, usize::from(reason.is_some()), "{url}: {ended:?}");
        assert!(reason.is_none_or(|reason| ended.stderr.contains(reason)), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{url}: {:?}", began.elapsed());
    }
    assert!(connections.load(std::sync::atomic::Ordering::SeqCst) > 1);
}
