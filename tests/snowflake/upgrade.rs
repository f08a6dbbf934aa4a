//! A database that commit a091f45 wrote: the new build continues its rows, state and runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use github_server::GithubServer;
use serde::Deserialize;
use serde_json::Value;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Bind, Client, Session, Sql, Statement};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Mode, RunQuery, RunStatus};

use crate::support::{TestDatabase, key, resource};

/// The statements, but those that only read, which commit a091f45 sent to an empty database. It ingested the issues of [`server`] before and after
/// the edit of an issue. Its reconcile run after the deletion failed: it could not store half of a surrogate pair.
const STATEMENTS: &str = include_str!("fixtures/a091f45.jsonl");

/// The issue whose title ends in half of a surrogate pair.
const HALF: &str = r#"{"id":900,"number":7,"title":"half \ud83d","state":"open","user":{"login":"x"},"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}"#;

#[derive(Deserialize)]
struct Sent {
    session: usize,
    sql: String,
    binds: Vec<Value>,
}

/// The server in the state in which a091f45 left it.
async fn server() -> GithubServer {
    let builder = GithubServer::builder().seed(26).oddities(false);
    let server = builder.repository("acme/widgets", 6).repository("Acme/Gadgets", 2).start().await.unwrap();
    server.clock().advance(Duration::from_secs(60));
    server.edit("acme/widgets", 2);
    server.put("acme/widgets", HALF).unwrap();
    server.delete("acme/widgets", 3);
    server
}

/// A database as a091f45 left it.
async fn database(server: &GithubServer) -> TestDatabase {
    let db = TestDatabase::new(usize::MAX);
    let mut sessions: BTreeMap<usize, Box<dyn Session>> = BTreeMap::new();
    for line in STATEMENTS.replace("{server}", server.url()).lines() {
        let sent: Sent = serde_json::from_str(line).unwrap();
        let sql = sent.sql.replace("{database}", &db.database);
        let statement = sent.binds.iter().fold(Statement::new(Sql::assert_safe(sql)), |statement, bind| match bind {
            Value::String(text) => statement.bind(text.clone()),
            Value::Null => statement.bind(Bind::Text(None)),
            Value::Number(number) => statement.bind(number.as_i64().unwrap()),
            other => panic!("{other} is not a bound value"),
        });
        let session = match sessions.entry(sent.session) {
            Entry::Vacant(entry) => entry.insert(db.recording.open().await.unwrap()),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        session.execute(statement).await.unwrap();
    }
    for session in sessions.into_values() {
        session.close().await.unwrap();
    }
    db
}

/// The live documents of a repository in the destination, by id.
async fn live(db: &TestDatabase, repository: &str) -> BTreeMap<u64, String> {
    let preview = db.another_process().preview(&resource(repository), "issues", 99).await.unwrap();
    let column = |name: &str| preview.columns.iter().position(|column| column.eq_ignore_ascii_case(name)).unwrap();
    let (id, deleted_at, raw) = (column("id"), column("deleted_at"), column("raw"));
    let rows = preview.rows.iter().filter(|row| row[deleted_at].is_null());
    let rows: Vec<_> = rows.map(|row| (row[id].as_u64().unwrap(), row[raw].as_str().unwrap().to_owned())).collect();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "no issue has two rows");
    rows
}

fn served(server: &GithubServer, repository: &str) -> BTreeMap<u64, String> {
    server.snapshot(repository).into_iter().map(|issue| (issue.id, issue.text)).collect()
}

#[tokio::test]
async fn a_database_of_a091f45_continues_its_rows_state_and_runs() {
    let server = server().await;
    let db = database(&server).await;
    let url = ("api_url".to_owned(), server.url().into());
    let connector = Connector::new(GithubIssues::default(), Arc::new(db.snowflake.clone())).with_settings([url]);
    let resources = connector.resources().await.unwrap();
    let schedules: Vec<_> = resources.iter().map(|(name, config)| (name.name(), config.schedule.as_deref())).collect();
    assert_eq!(schedules, [("Acme/Gadgets", None), ("acme/widgets", Some("30m"))]);
    let runs = connector.runs(RunQuery::new(99)).await.unwrap();
    let (failed, complete): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.status == RunStatus::Failed);
    assert_eq!((failed.len(), complete.len()), (1, 4), "{runs:?}");
    let state = connector.state(&key("acme/widgets")).await.unwrap().unwrap();
    assert!(state.state.checkpoint.is_some());
    assert_eq!(live(&db, "Acme/Gadgets").await, served(&server, "Acme/Gadgets"));
    assert_eq!(live(&db, "acme/widgets").await.len(), 6);

    // Nothing new: the stored checkpoints are used.
    server.forget_requests();
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    assert_eq!((report.status(), report.counts().inserted), (RunStatus::Complete, 0), "{report:?}");
    let mut firsts = BTreeMap::new();
    for request in server.requests() {
        firsts.entry(request.path().to_owned()).or_insert(request);
    }
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    assert!(firsts.values().all(|first| first.header("if-none-match").is_some()), "the checkpoints' ETags are sent");
    assert!(firsts.values().any(|first| first.status() == Some(304)), "nothing has changed: {firsts:?}");

    server.clock().advance(Duration::from_secs(60));
    server.create("acme/widgets", 3);
    server.edit("Acme/Gadgets", 1);
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    assert_eq!((report.counts().inserted, report.counts().updated), (3, 1), "{report:?}");
    let request = IngestRequest::default().mode(Mode::Reconcile).allow_deletions(true);
    let report = connector.ingest(request).await.unwrap();
    assert_eq!((report.status(), report.counts().deleted), (RunStatus::Complete, 1), "{report:?}");
    for repository in ["acme/widgets", "Acme/Gadgets"] {
        assert_eq!(live(&db, repository).await, served(&server, repository), "{repository}");
    }
    let continued = connector.runs(RunQuery::new(99)).await.unwrap();
    assert!(continued.len() > runs.len() && continued.ends_with(&runs), "{continued:?}");
}
