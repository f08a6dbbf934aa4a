//! Records that are staged while the source is read: their commit, what a crash at any of its steps leaves, and that Snowflake decides
//! about them as the backend does about those that it plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use proptest::prelude::*;
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Client, Sql, Statement, backend_with};
use snowfeed::{
    Counts, Error, ErrorKind, Record, RowPath, RunId, RunStatus, Sink, StalePolicy, StreamCommit, Sweep, Version,
};
use tokio::sync::Notify;

use crate::mocks::{Intercept, InterceptingClient, Outcome, stop};
use crate::recording::{Call, Operation};
use crate::source::{Issues, tables};
use crate::support::{TestDatabase, commit_of, resource};

/// The steps of a commit of staged files, by the beginnings of their statements.
const STEPS: [&str; 9] =
    ["PUT", "CREATE OR REPLACE TEMPORARY", "BEGIN", "UPDATE", "COPY", "MERGE", "INSERT ALL", "COMMIT", "REMOVE"];

/// A process that stages all records.
fn process(db: &TestDatabase, client: impl Client) -> Snowflake {
    backend_with(Arc::new(client), &db.database, "PUBLIC", 0)
}

/// The rows of a resource, and the keys that are marked.
async fn contents(db: &TestDatabase, resource: &str) -> Vec<String> {
    let rows = format!(
        "SELECT CONCAT_WS('|', t.\"KEY\", COALESCE(t.\"PARENT\", '-'), CAST(t.\"VERSION\" AS VARCHAR), COALESCE(t.\"HASH\", '-'), \
         COALESCE(t.\"DOCUMENT\", '-'), COALESCE(TO_JSON(t.\"RAW\"), '-'), CASE WHEN t.\"DELETED_AT\" IS NULL THEN 'live' ELSE 'deleted' END, \
         CAST(t.\"SEQ\" AS VARCHAR)) AS \"ROW\" FROM \"{0}\".\"PUBLIC_RAW\".\"{1}\" t UNION ALL SELECT DISTINCT CONCAT_WS('|', 'marked', \
         s.\"KEY\", COALESCE(s.\"PARENT\", '-')) FROM \"{0}\".\"STATE\".\"SNOWFEED_SEEN\" s WHERE s.\"RESOURCE\" = '{1}' \
         ORDER BY 1",
        db.database, resource
    );
    let answer = db.execute(Statement::new(Sql::assert_safe(rows))).await.unwrap();
    answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect()
}

/// The steps of a first commit of staged files, into a table that the same process has created.
const FIRST_STEPS: [&str; 5] = ["PUT", "COPY", INSERT, "INSERT ALL", "COMMIT"];

/// The statement that inserts the first records into a raw table.
const INSERT: &str = "INSERT INTO a raw table";

/// Whether a statement is that of a step.
fn is_step(sql: &str, step: &str) -> bool {
    match step {
        INSERT => sql.starts_with("INSERT INTO") && sql.contains("\".\"PUBLIC_RAW\".\"r\" (\"KEY\""),
        step => sql.starts_with(step),
    }
}

/// The files on the stage.
async fn staged(db: &TestDatabase) -> usize {
    let list = format!("LIST @\"{}\".\"STATE\".\"SNOWFEED_STAGE\"", db.database);
    let answer = db.execute(Statement::new(Sql::assert_safe(list))).await;
    answer.unwrap().rows.len()
}

fn first_word(call: &Call) -> String {
    match &call.operation {
        Operation::Statement(statement) => statement.sql.split(' ').next().unwrap().to_owned(),
        Operation::Put(_) => "PUT".to_owned(),
        _ => String::new(),
    }
}

#[tokio::test]
async fn many_pages_are_one_commit_of_staged_files() {
    let (db, source) = (TestDatabase::new(0), Issues::default());
    let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    source.page("r", 1..2);
    connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    (0..20).for_each(|page| source.page("r", page * 10 + 2..page * 10 + 12));
    db.recording.take();
    let run = connector.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
    assert_eq!((run.status, run.commits, run.counts.inserted), (RunStatus::Complete, 1, 200), "{run:?}");
    let sent: Vec<String> = db.recording.take().iter().map(first_word).collect();
    // The last one refills the result cache.
    let commit = ["PUT", "CREATE", "BEGIN", "UPDATE", "COPY", "MERGE", "INSERT", "COMMIT", "REMOVE", "SELECT"];
    assert_eq!(sent.iter().skip_while(|word| *word != "PUT").collect::<Vec<_>>(), commit.iter().collect::<Vec<_>>());
    assert_eq!(staged(&db).await, 0);
}

/// Stops a process before or after it runs the statement of this step.
fn stopping(step: &'static str, after: bool, stopped: &Arc<Notify>) -> Intercept {
    let stopped = stopped.clone();
    Arc::new(move |statement| {
        let stopped = stopped.clone();
        match (is_step(&statement.sql, step), after) {
            (false, _) => async { Outcome::Runs }.boxed(),
            (true, false) => stop(stopped).boxed(),
            (true, true) => async { Outcome::Stops(stopped) }.boxed(),
        }
    })
}

/// Stops a process at a step of the ingestion that `request` asks for, and checks what the next process leaves: 11 issues.
async fn check_crash(db: &TestDatabase, source: Issues, step: &'static str, after: bool, request: IngestRequest) {
    let stopped = Arc::new(Notify::new());
    let intercept = stopping(step, after, &stopped);
    let client = InterceptingClient { client: Arc::new(db.recording.clone()), intercept };
    let killed = Connector::new(source.clone(), Arc::new(process(db, client)));
    tokio::select! {
        () = stopped.notified() => {}
        report = killed.ingest(request) => panic!("{step} was not reached: {report:?}"),
    }
    drop(killed);
    source.page("r", 9..12);
    let next = Connector::new(source, Arc::new(process(db, db.recording.clone())));
    let run = next.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
    assert_eq!(run.status, RunStatus::Complete, "{step} {after}: {run:?}");
    let rows = contents(db, "r").await;
    assert_eq!(rows.len(), 11, "{step} {after}: {rows:?}");
    assert!(rows.iter().all(|row| row.contains("|live|")), "{rows:?}");
    assert_eq!(staged(db).await, 0, "{step} {after}");
}

#[tokio::test]
async fn a_crash_at_any_step_loses_and_doubles_nothing_and_the_next_run_removes_its_files() {
    for (step, after) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        let (db, source) = (TestDatabase::new(0), Issues::default());
        source.page("r", 1..5);
        let first = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
        first.ingest(IngestRequest::new([resource("r")])).await.unwrap();
        source.page("r", 3..9);
        check_crash(&db, source, step, after, IngestRequest::default()).await;
    }
}

#[tokio::test]
async fn a_first_read_is_inserted_and_a_crash_at_any_step_loses_and_doubles_nothing() {
    for (step, after) in FIRST_STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        let (db, source) = (TestDatabase::new(0), Issues::default());
        source.page("r", 1..9);
        check_crash(&db, source, step, after, IngestRequest::new([resource("r")])).await;
    }
}

#[tokio::test]
async fn only_a_table_that_is_still_empty_is_inserted_into() {
    let (db, one) = (TestDatabase::new(0), resource("r"));
    let record = |key: &str, version| Record::upsert(key, Version(version), format!("{{\"version\":{version}}}"));
    let put = async |sink: &Snowflake, records: Vec<Record>| {
        let counts = sink.commit(commit_of(&one, StreamCommit::new("issues", RunId::new()).records(records)));
        counts.await.unwrap().counts()
    };
    db.snowflake.ensure_streams(&one, &tables()).await.unwrap();
    // Another process is faster.
    let other = process(&db, db.recording.clone());
    other.ensure_streams(&one, &tables()).await.unwrap();
    put(&other, vec![record("1", 1), record("2", 5)]).await;
    db.recording.take();
    let counts = put(&db.snowflake, vec![record("1", 2), record("2", 4), record("3", 1)]).await;
    assert_eq!((counts.inserted, counts.updated, counts.skipped_total()), (1, 1, 1));
    let sent = db.recording.statements();
    assert_eq!(sent.iter().filter(|sent| is_step(&sent.sql, INSERT)).count(), 1);
    // Once is enough.
    db.recording.take();
    put(&db.snowflake, vec![record("4", 1)]).await;
    assert!(!db.recording.statements().iter().any(|sent| is_step(&sent.sql, INSERT)));
    assert_eq!(contents(&db, "r").await.len(), 4);
}

/// Refuses the statements of this step: a monitor suspends the warehouse, a stage is full, or its credentials have expired.
fn refusing(step: &'static str, kind: ErrorKind) -> Intercept {
    Arc::new(move |statement| {
        let is_refused = is_step(&statement.sql, step);
        async move { if is_refused { Outcome::Refused(Error::new(kind, "refused")) } else { Outcome::Runs } }.boxed()
    })
}

#[tokio::test]
async fn an_error_at_any_step_loses_and_doubles_nothing_and_the_next_run_removes_its_files() {
    use ErrorKind::{Authentication, Configuration, RateLimited};
    let steps = [("PUT", Authentication), ("PUT", RateLimited), ("UPDATE", RateLimited), ("COPY", Configuration)];
    for (step, kind) in steps.into_iter().chain([("MERGE", RateLimited), ("INSERT ALL", Configuration)]) {
        let (db, source) = (TestDatabase::new(0), Issues::default());
        source.page("r", 1..5);
        let first = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
        first.ingest(IngestRequest::new([resource("r")])).await.unwrap();
        source.page("r", 3..9);
        let intercept = refusing(step, kind);
        let client = InterceptingClient { client: Arc::new(db.recording.clone()), intercept };
        let failing = Connector::new(source.clone(), Arc::new(process(&db, client)));
        let run = failing.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
        assert_eq!((run.status, run.commits), (RunStatus::Failed, 0), "{step}: {run:?}");
        assert_eq!(run.error.unwrap().kind, kind, "{step}");
        drop(failing);
        let next = Connector::new(source, Arc::new(process(&db, db.recording.clone())));
        let run = next.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
        assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 4), "{step}: {run:?}");
        let rows = contents(&db, "r").await;
        assert!(rows.len() == 8 && rows.iter().all(|row| row.contains("|live|")), "{step}: {rows:?}");
        assert_eq!(staged(&db).await, 0, "{step}");
    }
}

#[tokio::test]
async fn a_file_that_vanishes_before_its_commit_fails_the_run_and_the_next_one_reads_again() {
    let (db, source) = (TestDatabase::new(0), Issues::default());
    source.page("r", 1..5);
    let first = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    first.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    source.page("r", 5..9);
    let (client, database) = (Arc::new(db.recording.clone()), db.database.clone());
    let cleaner = client.clone();
    let intercept: Intercept = Arc::new(move |statement| {
        let (cleaner, is_begin) = (cleaner.clone(), statement.sql.starts_with("BEGIN"));
        let remove = format!("REMOVE @\"{database}\".\"STATE\".\"SNOWFEED_STAGE\"/load/");
        async move {
            if is_begin {
                let remove = Statement::new(Sql::assert_safe(remove));
                cleaner.open().await.unwrap().execute(remove).await.unwrap();
            }
            Outcome::Runs
        }
        .boxed()
    });
    let failing = Connector::new(source.clone(), Arc::new(process(&db, InterceptingClient { client, intercept })));
    let run = failing.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0), "{run:?}");
    assert!(run.error.unwrap().message.contains("was not found"));
    assert_eq!(contents(&db, "r").await.len(), 4);
    let run = first.ingest(IngestRequest::default()).await.unwrap().runs.remove(0);
    assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 4), "{run:?}");
}

#[tokio::test]
async fn forty_concurrent_writers_are_all_admitted() {
    let (db, source) = (TestDatabase::new(0), Issues::default());
    let names: Vec<String> = (0..40).map(|number| format!("r{number}")).collect();
    names.iter().for_each(|name| source.page(name, 1..4));
    let connector = Connector::new(source, Arc::new(db.snowflake.clone()));
    let request = IngestRequest::new(names.iter().map(|name| resource(name))).concurrency(40);
    let report = connector.ingest(request).await.unwrap();
    let status: Vec<_> = report.runs.iter().map(|run| run.status).collect();
    assert_eq!(status, [RunStatus::Complete; 40], "{report:?}");
    assert_eq!(report.counts().inserted, 120);
    assert_eq!(staged(&db).await, 0);
}

/// A part of a commit: its records, and how a reconcile run marks them.
type Part = (Vec<(u8, u8, i64, Option<u8>, bool)>, Option<StalePolicy>);

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let record = (0_u8..4, 0_u8..2, 1_i64..5, proptest::option::weighted(0.7, 0_u8..3), proptest::bool::weighted(0.2));
    let policy = prop_oneof![
        3 => Just(None),
        1 => Just(Some(StalePolicy::Skip)),
        1 => Just(Some(StalePolicy::Verify)),
        1 => Just(Some(StalePolicy::Replace)),
    ];
    proptest::collection::vec((proptest::collection::vec(record, 1..12), policy), 1..5)
}

/// Commits parts, and returns their counts and what is stored.
async fn commit_all(db: &TestDatabase, name: &str, parts: &[Part]) -> (Vec<Counts>, Vec<String>) {
    let one = resource(name);
    db.snowflake.ensure_streams(&one, &tables()).await.unwrap();
    let sweep = RunId::new();
    let mut counts = Vec::new();
    for (records, policy) in parts {
        let mut part = StreamCommit::new("issues", RunId::new());
        for (key, parent, version, text, is_verified) in records {
            let parent = if *parent == 0 { RowPath::ROOT } else { RowPath::ROOT.child("p") };
            let record = match text {
                Some(text) => Record::upsert(key.to_string(), Version(*version), format!("{{\"text\":{text}}}")),
                None => Record::delete(key.to_string(), Version(*version)),
            };
            let record = record.of_parent(parent);
            part = if *is_verified { part.verified([record]) } else { part.records([record]) };
        }
        part.sweep = policy.map(|policy| Sweep::Mark(sweep, policy));
        counts.push(db.snowflake.commit(commit_of(&one, part)).await.unwrap().counts());
    }
    (counts, contents(db, name).await)
}

#[test]
fn staged_records_do_what_planned_ones_do() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (planned, staged) = (TestDatabase::new(usize::MAX), TestDatabase::new(0));
    let config =
        ProptestConfig { cases: 24, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() };
    let case = AtomicUsize::new(0);
    let ran = proptest::test_runner::TestRunner::new(config).run(&parts(), |parts| {
        let name = format!("r{}", case.fetch_add(1, Ordering::Relaxed));
        let (planned, staged) = runtime
            .block_on(async { tokio::join!(commit_all(&planned, &name, &parts), commit_all(&staged, &name, &parts)) });
        prop_assert_eq!(planned, staged);
        Ok(())
    });
    ran.unwrap();
}
