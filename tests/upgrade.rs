//! Files of older versions are migrated to the current version, and reads resume from their checkpoints.
#![cfg(all(feature = "github", feature = "sqlite", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "upgrade/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use github_server::GithubServer;
use rusqlite::Connection;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{ErrorKind, Mode, RunQuery, RunRecord, RunStatus, StateKey, StateStore};

/// A file as written by commit a091f45.
const VERSION_1: &str = include_str!("fixtures/sqlite-1.sql");

/// The upstream's address at that time.
const SERVER: &str = "http://127.0.0.1:32971/";

/// The file version that this program writes.
const NEWEST: i64 = 4;

/// The issue whose title ends in half a surrogate pair.
const LONE_SURROGATE: &str = r#"{"id":900,"number":7,"title":"half \ud83d","state":"open","user":{"login":"x"},"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}"#;

/// The upstream in the state in which the file was written.
async fn upstream() -> GithubServer {
    let builder = GithubServer::builder().seed(26).oddities(false);
    let upstream = builder.repository("acme/widgets", 6).repository("Acme/Gadgets", 2).start().await.unwrap();
    upstream.clock().advance(Duration::from_secs(60));
    upstream.edit("acme/widgets", 2);
    upstream.put("acme/widgets", LONE_SURROGATE).unwrap();
    upstream.delete("acme/widgets", 3);
    upstream
}

fn write(path: &Path, upstream: &GithubServer) {
    let url = format!("{}/", upstream.url().trim_end_matches('/'));
    Connection::open(path).unwrap().execute_batch(&VERSION_1.replace(SERVER, &url)).unwrap();
}

fn connector(path: &Path, upstream: &GithubServer) -> Connector {
    let url = ("api_url".to_owned(), upstream.url().into());
    Connector::new(GithubIssues::default(), Arc::new(Sqlite::open(path).unwrap())).with_settings([url])
}

async fn ingest(connector: &Connector, mode: Mode) -> Vec<RunRecord> {
    let report = connector.ingest(IngestRequest::default().mode(mode)).await.unwrap();
    for run in &report.runs {
        assert_eq!(run.status, RunStatus::Complete, "{run:?}");
    }
    report.runs
}

/// The live documents of a repository, by key; keys are unique.
fn live(path: &Path, repository: &str) -> BTreeMap<i64, String> {
    let reader = Connection::open(path).unwrap();
    let mut find =
        reader.prepare("SELECT id, raw FROM issues WHERE resource = ?1 AND deleted_at IS NULL ORDER BY id").unwrap();
    let rows: Vec<(i64, String)> =
        find.query_map([repository], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count);
    rows
}

fn upstream_issues(upstream: &GithubServer, repository: &str) -> BTreeMap<i64, String> {
    let mut issues = BTreeMap::new();
    upstream.visit(repository, |issue| drop(issues.insert(i64::try_from(issue.id).unwrap(), issue.text)));
    issues
}

fn pragma(path: &Path, name: &str) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_version_1_file_is_upgraded_without_losing_or_duplicating_rows() {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), upstream().await);
    let path = dir.path().join("v1.db");
    write(&path, &upstream);
    assert_eq!(pragma(&path, "user_version"), 1);
    let before = live(&path, "acme/widgets");
    assert_eq!(before, upstream_issues(&upstream, "acme/widgets"));

    let connector = connector(&path, &upstream);
    assert_eq!(pragma(&path, "user_version"), NEWEST);
    assert_eq!(live(&path, "acme/widgets"), before);
    // Resources, schedules, settings, runs and checkpoints are kept.
    let resources = connector.resources().await.unwrap();
    let schedules: Vec<_> = resources.iter().map(|(name, config)| (name.name(), config.schedule.as_deref())).collect();
    assert_eq!(schedules, [("Acme/Gadgets", None), ("acme/widgets", Some("30m"))]);
    assert_eq!(connector.runs(RunQuery::new(99)).await.unwrap().len(), 6);
    let state = connector.state(&StateKey::new("acme/widgets", "issues")).await.unwrap().unwrap();
    assert!(state.state.checkpoint.is_some());

    upstream.forget_requests();
    for run in ingest(&connector, Mode::Incremental).await {
        assert_eq!((run.counts.inserted, run.counts.updated, run.counts.deleted), (0, 0, 0), "{run:?}");
    }
    assert!(upstream.requests().len() <= 4, "read from the start: {:?}", upstream.requests());

    upstream.clock().advance(Duration::from_secs(60));
    upstream.create("acme/widgets", 3);
    upstream.edit("acme/widgets", 1);
    upstream.edit("Acme/Gadgets", 1);
    let runs = ingest(&connector, Mode::Incremental).await;
    let counts: Vec<_> = runs.iter().map(|run| (run.counts.inserted, run.counts.updated)).collect();
    assert_eq!(counts, [(0, 1), (3, 1)]);
    upstream.delete("acme/widgets", 4);
    let runs = ingest(&connector, Mode::Reconcile).await;
    assert_eq!(runs[1].counts.deleted, 1);
    for repository in ["acme/widgets", "Acme/Gadgets"] {
        assert_eq!(live(&path, repository), upstream_issues(&upstream, repository));
    }
    let reader = Connection::open(&path).unwrap();
    let count = |sql: &str| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM issues WHERE deleted_at IS NOT NULL"), 2);
    assert_eq!(count("SELECT count(DISTINCT title) FROM \"acme/widgets\" WHERE title = 'half \u{fffd}'"), 1);
    assert_eq!(count("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

#[tokio::test]
async fn a_file_without_a_version_is_recognized_by_its_tables() {
    let upstream = upstream().await;
    let reset_version = "PRAGMA user_version = 0";
    // A user can reset the version; a dump loses it.
    for (is_version_1, sql) in
        [(true, reset_version), (false, reset_version), (true, "PRAGMA user_version = 0; PRAGMA application_id = 0")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("100% lost? #1.db");
        write(&path, &upstream);
        if !is_version_1 {
            drop(Sqlite::open(&path).unwrap());
        }
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = live(&path, "acme/widgets");
        let sqlite = Sqlite::open(&path).unwrap();
        assert_eq!((pragma(&path, "user_version"), pragma(&path, "application_id")), (NEWEST, 0x534E_4F46));
        assert_eq!(live(&path, "acme/widgets"), before);
        assert_eq!(sqlite.runs(RunQuery::new(99)).await.unwrap().len(), 6);
        drop(sqlite);
        drop(Sqlite::open(&path).unwrap());
    }
}

#[test]
fn a_snowfeed_file_with_other_tables_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.db");
    drop(Sqlite::open(&path).unwrap());
    let sql = "PRAGMA user_version = 0; DROP TABLE APP_STATE";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Sqlite::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let report = serde_json::to_string(&error.report()).unwrap();
    assert!(
        report.contains("odd.db") && report.contains("has lost its version") && report.contains("restore"),
        "{report}"
    );
    assert!(!report.contains("CREATE TABLE") && report.len() < 500, "{report}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn several_programs_may_upgrade_a_file_at_once() {
    let upstream = upstream().await;
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v1.db");
        write(&path, &upstream);
        let open = |_| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || Sqlite::open(path).map(drop))
        };
        for opened in futures::future::join_all((0..4).map(open)).await {
            opened.unwrap().unwrap();
        }
        assert_eq!(pragma(&path, "user_version"), NEWEST);
        assert_eq!(live(&path, "acme/widgets"), upstream_issues(&upstream, "acme/widgets"));
    }
}
