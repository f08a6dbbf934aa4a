//! A database of the previous schema version is migrated to the current one, and remains usable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt;
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement};
use snowfeed::{Record, RunQuery, RunStatus, Sink, StateStore, StateVersion, Version};

use crate::mocks::{InterceptingClient, Outcome};
use crate::source::Issues;
use crate::support::{TestDatabase, change, commit, key, resource};

/// The statements that made version 1.
const SCHEMA_1: &str = include_str!("fixtures/schema-1.sql");

/// A database with the tables that these statements create.
pub(crate) async fn created(schema: &str, max_bind_bytes: usize) -> TestDatabase {
    let db = TestDatabase::new(max_bind_bytes);
    let database = &db.database;
    let run = |sql: String| db.execute(Statement::new(Sql::assert_safe(sql)));
    run(format!("CREATE DATABASE \"{database}\"")).await.unwrap();
    for schema in ["STATE", "PUBLIC_RAW", "PUBLIC"] {
        run(format!("CREATE SCHEMA IF NOT EXISTS \"{database}\".\"{schema}\"")).await.unwrap();
    }
    let text: String = schema.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let whole = statement.replace('{', &format!("\"{database}\".\"STATE\".\"")).replace('}', "\"");
        run(whole).await.unwrap();
    }
    db
}

/// A database as version 1 left it, with the state, run and row of one resource.
async fn version_1(max_bind_bytes: usize) -> TestDatabase {
    let db = created(SCHEMA_1, max_bind_bytes).await;
    let database = &db.database;
    let run = |sql: String| db.execute(Statement::new(Sql::assert_safe(sql)));
    let change = change(&resource("r"), StateVersion::NONE);
    let (of_state, of_run) =
        (serde_json::to_string(&change.state).unwrap(), serde_json::to_string(&change.run).unwrap());
    let (state, raw) = (format!("\"{database}\".\"STATE\""), format!("\"{database}\".\"PUBLIC_RAW\".\"r\""));
    for statement in [
        format!(
            "CREATE TABLE {raw} (\"KEY\" VARCHAR NOT NULL, \"VERSION\" NUMBER(38, 0) NOT NULL, \"HASH\" VARCHAR, \"RAW\" VARIANT, \
             \"DOCUMENT\" VARCHAR, \"FIRST_SEEN\" TIMESTAMP_NTZ NOT NULL, \"CHANGED_AT\" TIMESTAMP_NTZ NOT NULL, \"DELETED_AT\" \
             TIMESTAMP_NTZ)"
        ),
        format!(
            "INSERT INTO {raw} (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \"CHANGED_AT\") SELECT '1', 1, \
             'none', PARSE_JSON('{{}}'), '{{}}', '2026-01-02 03:04:05', '2026-01-02 03:04:05'"
        ),
        format!("INSERT INTO {state}.\"SNOWFEED_TABLE\" SELECT 'r', 'issues', 'r', '[]', 'of version 1'"),
        format!("INSERT INTO {state}.\"SNOWFEED_TABLE\" SELECT '', 'issues', 'ISSUES', '[]', 'of version 1'"),
        format!("INSERT INTO {state}.\"SNOWFEED_FENCE\" SELECT 'r', 1"),
        format!("INSERT INTO {state}.\"SNOWFEED_VERSION\" SELECT 1, 'PUBLIC'"),
    ] {
        run(statement).await.unwrap();
    }
    let entry = format!(
        "INSERT INTO {state}.\"APP_STATE\" (\"KEY\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\") SELECT 'r', PARSE_JSON(?), 1, \
         '2026-01-02T03:04:05.000000000Z', ?"
    );
    db.execute(Statement::new(Sql::assert_safe(entry)).bind(of_state.clone()).bind(of_state)).await.unwrap();
    let record = format!(
        "INSERT INTO {state}.\"INGESTION_RUN\" (\"ID\", \"RESOURCE\", \"STATUS\", \"STARTED_AT\", \"DOCUMENT\") SELECT 'old', 'r', \
         'complete', '2026-01-02 03:04:05', ?"
    );
    db.execute(Statement::new(Sql::assert_safe(record)).bind(of_run)).await.unwrap();
    db
}

async fn runs(db: &TestDatabase) -> String {
    let count =
        format!("SELECT CAST(COUNT(*) AS VARCHAR) AS \"N\" FROM \"{}\".\"STATE\".\"INGESTION_RUN\"", db.database);
    db.execute(Statement::new(Sql::assert_safe(count))).await.unwrap().rows[0].text(0).unwrap().to_string()
}

pub(crate) async fn version(db: &TestDatabase) -> String {
    let select =
        format!("SELECT CAST(\"VERSION\" AS VARCHAR) AS \"V\" FROM \"{}\".\"STATE\".\"SNOWFEED_VERSION\"", db.database);
    db.execute(Statement::new(Sql::assert_safe(select))).await.unwrap().rows[0].text(0).unwrap().to_string()
}

#[tokio::test]
async fn a_database_of_version_1_continues_where_it_was() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = version_1(max_bind_bytes).await;
        // A read-only command changes nothing.
        assert_eq!(db.snowflake.latest(&key("r")).await.unwrap().unwrap().version, StateVersion(1));
        assert_eq!(db.snowflake.runs(RunQuery::new(9)).await.unwrap().len(), 1);
        assert_eq!(version(&db).await, "1");
        let source = Issues::default();
        source.pages("r", vec![1..2, 2..4]);
        let connector = Connector::new(source, Arc::new(db.snowflake.clone()));
        let report = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
        assert_eq!((report.status(), report.counts().inserted), (RunStatus::Complete, 2), "{report:?}");
        assert_eq!(db.snowflake.latest(&key("r")).await.unwrap().unwrap().version, StateVersion(2));
        assert_eq!((version(&db).await.as_str(), runs(&db).await.as_str()), ("3", "2"));
        assert_eq!(db.another_process().runs(RunQuery::new(9).key(&key("r"))).await.unwrap().len(), 2);
    }
}

/// A program that dies once it has sent this many statements that are not a SELECT.
pub(crate) fn dying(db: &TestDatabase, dies_after: usize) -> Snowflake {
    let (count, dead) = (AtomicUsize::new(0), AtomicBool::new(false));
    let intercept = Arc::new(move |statement: &Statement| {
        let is_step = !statement.sql.starts_with("SELECT");
        let dies = dead.load(Ordering::SeqCst) || is_step && count.fetch_add(1, Ordering::SeqCst) == dies_after;
        dead.store(dies, Ordering::SeqCst);
        async move { if dies { Outcome::Lost } else { Outcome::Runs } }.boxed()
    });
    db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept })
}

#[tokio::test]
async fn a_migration_that_dies_after_any_statement_is_completed_by_the_next_program() {
    for dies_after in 0.. {
        let db = version_1(usize::MAX).await;
        let dying = dying(&db, dies_after);
        let appended = tokio::time::timeout(
            std::time::Duration::from_millis(1500),
            dying.append(change(&resource("r"), StateVersion(1))),
        );
        let is_done = matches!(appended.await, Ok(Ok(_)));
        if !is_done {
            let next = db.another_process();
            let base = next.latest(&key("r")).await.unwrap().unwrap().version;
            next.append(change(&resource("r"), base)).await.unwrap();
        }
        assert_eq!(version(&db).await, "3", "after {dies_after} statements");
        let runs = db.snowflake.runs(RunQuery::new(9).key(&key("r"))).await.unwrap();
        assert!(runs.len() >= 2, "after {dies_after} statements");
        if is_done {
            assert!(dies_after > 10, "{dies_after}");
            break;
        }
    }
}

#[tokio::test]
async fn a_running_program_of_version_1_stores_nothing_after_the_upgrade() {
    let db = version_1(usize::MAX).await;
    db.snowflake.append(change(&resource("r"), StateVersion(1))).await.unwrap();
    // The first statement of version 1 in a transaction that stores a state.
    let bump = format!(
        "UPDATE \"{}\".\"STATE\".\"SNOWFEED_FENCE\" SET \"VERSION\" = \"VERSION\" + 1 WHERE \"KEY\" = 'r' AND \"VERSION\" = 2",
        db.database
    );
    assert!(db.execute(Statement::new(Sql::assert_safe(bump))).await.is_err());
    let one = resource("r");
    db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
    let report =
        db.snowflake.commit(commit(&one, "issues", vec![Record::upsert("2", Version(1), "{}")])).await.unwrap();
    assert_eq!(report.counts().inserted, 1);
}
