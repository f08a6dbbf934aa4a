//! The engine and the backend over a failing client: mocks of it, and connections that break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement, Usage};
use snowfeed::{Error, ErrorKind, Record, Retry, RunRecord, RunStatus, Sink, StateStore, StateVersion, Version};
use tokio::sync::{Barrier, Notify};

use crate::mocks::{AcceptAll, InterceptingClient, MockClient, MockSession, Outcome, backend, loaded, row, rows};
use crate::recording::{Call, Operation, RecordingClient};
use crate::source::Issues;
use crate::support::{TestDatabase, change, commit, key, resource};

/// A client whose first session does what the test expects of it, and accepts everything else.
fn first(expect: impl FnOnce(&mut MockSession)) -> MockClient {
    let accept_all = AcceptAll::default();
    let mut session = MockSession::new();
    expect(&mut session);
    accept_all.complete(&mut session);
    let mut client = MockClient::new();
    client.expect_usage().returning(Usage::default);
    client.expect_open().times(1).return_once(move || Ok(Box::new(session)));
    client.expect_open().returning(move || Ok(Box::new(accept_all.session())));
    client
}

fn is_merge(statement: &Statement) -> bool {
    statement.sql.starts_with("MERGE INTO \"DB\".\"PUBLIC_RAW\"")
}

fn is_copy(statement: &Statement) -> bool {
    statement.sql.starts_with("COPY INTO")
}

/// Ingests two issues of one resource through a client.
async fn ingest(client: MockClient, max_bind_bytes: usize) -> (RunRecord, Vec<String>) {
    let recording = RecordingClient::new(Arc::new(client));
    let source = Issues::default();
    source.page("r", 1..3);
    let connector = Connector::new(source, Arc::new(backend(recording.clone(), max_bind_bytes)));
    let report = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    let sent = recording.statements().into_iter().map(|statement| statement.sql.into()).collect();
    (report.runs.into_iter().next().unwrap(), sent)
}

/// The ends of the transactions that have a statement with this prefix.
fn ends(sent: &[String], begins: &str) -> Vec<String> {
    let places = sent.iter().enumerate().filter(|(_, sql)| sql.starts_with(begins)).map(|(location, _)| location);
    let end = |location: usize| sent[location..].iter().find(|sql| ["COMMIT", "ROLLBACK"].contains(&sql.as_str()));
    places.map(|location| end(location).cloned().unwrap_or_default()).collect()
}

#[tokio::test]
async fn an_error_within_a_transaction_rolls_it_back_and_is_in_the_record_of_the_run() {
    let refused = || Error::new(ErrorKind::Configuration, "the warehouse is suspended").with_code("000606");
    let client = first(|session| {
        session.expect_execute().withf(is_merge).times(1).returning(move |_| Err(refused()));
    });
    let (run, sent) = ingest(client, usize::MAX).await;
    assert_eq!((run.status, run.commits, run.counts.offered), (RunStatus::Failed, 0, 0));
    let error = run.error.unwrap();
    assert_eq!((error.kind, error.message.contains("the warehouse is suspended")), (ErrorKind::Configuration, true));
    assert_eq!(ends(&sent, "MERGE INTO \"DB\".\"PUBLIC_RAW\""), ["ROLLBACK"]);
    assert!(sent.iter().any(|sql| sql.starts_with("INSERT ALL") && sql.contains("SNOWFEED_RUN")), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conflicting_transaction_is_tried_five_times_at_most() {
    let merges = Arc::new(AtomicUsize::new(0));
    let counted = merges.clone();
    let client = first(|session| {
        session.expect_execute().withf(is_merge).returning(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(Error::unavailable("another transaction changes the same rows"))
        });
    });
    let snowflake = backend(client, usize::MAX);
    let one = resource("r");
    snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
    let error =
        snowflake.commit(commit(&one, "issues", vec![Record::upsert("1", Version(1), "{}")])).await.unwrap_err();
    assert_eq!(merges.load(Ordering::SeqCst), 5);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "no outer layer tries again");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_succeeds_on_the_fifth_attempt_is_not_an_error() {
    let client = first(|session| {
        session.expect_execute().withf(is_merge).times(4).returning(|_| Err(Error::unavailable("a deadlock")));
    });
    let (run, sent) = ingest(client, usize::MAX).await;
    assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 2));
    let ended = ends(&sent, "MERGE INTO \"DB\".\"PUBLIC_RAW\"");
    assert_eq!(ended, ["ROLLBACK", "ROLLBACK", "ROLLBACK", "ROLLBACK", "COMMIT"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_loads_fewer_rows_than_were_staged_commits_nothing() {
    let client = first(|session| {
        session.expect_execute().withf(is_copy).returning(|_| Ok(loaded(1)));
    });
    let (run, sent) = ingest(client, 0).await;
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0));
    assert!(run.error.unwrap().message.contains("has not loaded every row"));
    assert_eq!(ends(&sent, "COPY INTO"), ["ROLLBACK"; 5]);
}

#[tokio::test]
async fn a_copy_that_is_refused_commits_nothing() {
    let client = first(|session| {
        let refused = || Error::invalid_data("Error parsing JSON");
        session.expect_execute().withf(is_copy).times(1).returning(move |_| Err(refused()));
    });
    let (run, sent) = ingest(client, 0).await;
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0));
    assert_eq!(ends(&sent, "COPY INTO"), ["ROLLBACK"]);
}

#[tokio::test]
async fn a_file_that_the_storage_refuses_ends_the_commit_before_its_transaction() {
    let client = first(|session| {
        let expired = || Error::new(ErrorKind::Authentication, "the storage refuses the credentials");
        session.expect_put().times(1).returning(move |_| Err(expired()));
    });
    let (run, sent) = ingest(client, 0).await;
    assert_eq!((run.status, run.commits), (RunStatus::Failed, 0));
    assert_eq!(run.error.unwrap().kind, ErrorKind::Authentication);
    assert!(!sent.iter().any(|sql| sql.starts_with("COPY INTO")), "{sent:?}");
}

#[tokio::test]
async fn a_failed_cleanup_is_not_an_error() {
    let client = first(|session| {
        let is_cleaning = |statement: &Statement| ["REMOVE", "LIST"].iter().any(|verb| statement.sql.starts_with(verb));
        session.expect_execute().withf(is_cleaning).times(2).returning(|_| Err(Error::internal("not today")));
    });
    let (run, _) = ingest(client, 0).await;
    assert_eq!((run.status, run.counts.inserted, run.error), (RunStatus::Complete, 2, None));
}

#[tokio::test]
async fn staged_files_are_not_removed_within_a_transaction_that_could_not_be_ended() {
    for (fails, ends) in [("INSERT INTO \"DB\".\"PUBLIC_RAW\"", "ROLLBACK"), ("COMMIT", "COMMIT")] {
        let (began, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let client = first(|session| {
            let (begins, breaks) = (began.clone(), broken.clone());
            let is_refused = move |statement: &Statement| {
                begins.fetch_or(statement.sql.starts_with("COPY INTO"), Ordering::SeqCst);
                let ends = statement.sql == ends && begins.load(Ordering::SeqCst);
                breaks.fetch_or(ends, Ordering::SeqCst);
                ends || statement.sql.starts_with(fails)
            };
            let refused = || Error::new(ErrorKind::Configuration, "the warehouse is suspended");
            session.expect_execute().withf(is_refused).returning(move |_| Err(refused()));
            session.expect_is_idle().returning(move || !broken.load(Ordering::SeqCst));
        });
        let (run, sent) = ingest(client, 0).await;
        assert_eq!((run.status, run.commits), (RunStatus::Failed, 0), "{ends}");
        assert!(sent.iter().any(|sql| sql.starts_with("COPY INTO")), "{sent:?}");
        // DROP TABLE would commit the transaction so far.
        assert!(
            !sent.iter().any(|sql| ["DROP", "REMOVE"].iter().any(|verb| sql.starts_with(verb))),
            "{ends}: {sent:?}"
        );
    }
}

/// A run that died in 2023 left this on the stage.
const LEFT: &str = "snowfeed_stage/0188c600-0000-7000-8000-000000000000/0188c60000007000800000000000000/a.json.gz";

#[tokio::test]
async fn a_stage_whose_name_has_a_blank_is_in_quotes_in_each_statement() {
    let client = first(|session| {
        let is_list = |statement: &Statement| statement.sql.starts_with("LIST");
        session.expect_execute().withf(is_list).returning(|_| Ok(rows(vec![row(&[Some(LEFT)])])));
    });
    let recording = RecordingClient::new(Arc::new(client));
    let snowflake =
        snowfeed::internals::snowflake::backend_with(Arc::new(recording.clone()), "my raw data", "PUBLIC", 0);
    let one = resource("r");
    snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
    snowflake.commit(commit(&one, "issues", vec![Record::upsert("1", Version(1), "{}")])).await.unwrap();
    let sent: Vec<String> = recording.statements().into_iter().map(|statement| statement.sql.into()).collect();
    for (verb, count) in [("PUT", 1), ("COPY", 1), ("LIST", 1), ("REMOVE", 2)] {
        let of_verb: Vec<&String> = sent.iter().filter(|sql| sql.starts_with(verb)).collect();
        assert_eq!(of_verb.len(), count, "{verb}: {sent:?}");
        let is_quoted = |sql: &&String| sql.contains(" '@\"my raw data\".\"STATE\".\"SNOWFEED_STAGE\"");
        assert!(of_verb.iter().all(is_quoted), "{of_verb:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_idle_is_not_used_again() {
    let client = first(|session| {
        session.expect_is_idle().times(1).return_const(false);
    });
    let recording = RecordingClient::new(Arc::new(client));
    let snowflake = backend(recording.clone(), usize::MAX);
    for _ in 0..3 {
        snowflake.latest(&key("r")).await.unwrap();
    }
    let sessions: Vec<usize> =
        recording.take().into_iter().filter(|call| call.operation != Operation::Login).map(|c| c.session).collect();
    assert_eq!(sessions, [1, 2, 2]);
}

#[tokio::test]
async fn the_catalog_is_read_once() {
    let db = TestDatabase::new(usize::MAX);
    let source = Issues::default();
    let all = ["a", "b", "c", "d", "e"];
    all.iter().for_each(|name| source.page(name, 1..2));
    let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    connector.ingest(IngestRequest::new(all.map(resource))).await.unwrap();
    let another = Connector::new(source.clone(), Arc::new(db.another_process()));
    db.recording.take();
    for new in 2..4 {
        all.iter().for_each(|name| source.page(name, new..new + 1));
        assert_eq!(another.ingest(IngestRequest::default()).await.unwrap().status(), RunStatus::Complete);
    }
    let reads = db.recording.statements().into_iter().filter(|sent| sent.sql.contains("SNOWFEED_TABLE")).count();
    assert_eq!(reads, 1);
}

/// A decision about each statement; `of` returns the future for those that the test is about.
fn intercept(
    of: impl Fn(&Statement) -> Option<BoxFuture<'static, Outcome>> + Send + Sync + 'static,
) -> crate::mocks::Intercept {
    Arc::new(move |statement| of(statement).unwrap_or_else(|| async { Outcome::Runs }.boxed()))
}

/// The test server behind a connection that breaks at the first statement of this text.
fn breaking(db: &TestDatabase, text: &'static str, outcome: fn() -> Outcome) -> Snowflake {
    let seen = AtomicUsize::new(0);
    let intercept = intercept(move |statement| {
        let broken = statement.sql == text && seen.fetch_add(1, Ordering::SeqCst) == 0;
        broken.then(|| async move { outcome() }.boxed())
    });
    db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept })
}

#[tokio::test]
async fn a_commit_without_a_response_is_retried_and_counted_once() {
    for outcome in [|| Outcome::Unanswered, || Outcome::Lost] {
        let db = TestDatabase::new(usize::MAX);
        let source = Issues::default();
        source.page("r", 1..3);
        let connector = Connector::new(source, Arc::new(breaking(&db, "COMMIT", outcome)));
        let report = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
        let run = &report.runs[0];
        assert_eq!(
            (run.status, run.commits, run.counts.inserted, run.counts.offered),
            (RunStatus::Complete, 1, 2, 2),
            "{run:?}"
        );
        let latest = db.snowflake.latest(&key("r")).await.unwrap().unwrap();
        assert_eq!(latest.version, StateVersion(1), "one for the rows and the end");
    }
}

#[tokio::test]
async fn a_state_change_without_a_response_is_stored_once() {
    for outcome in [|| Outcome::Unanswered, || Outcome::Lost] {
        let db = TestDatabase::new(usize::MAX);
        let snowflake = breaking(&db, "COMMIT", outcome);
        let version = snowflake.append(change(&resource("r"), StateVersion::NONE)).await.unwrap();
        assert_eq!(version, StateVersion(1));
        assert_eq!(db.snowflake.history(&key("r"), 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_lost_response_does_not_hide_that_another_run_has_committed() {
    let db = TestDatabase::new(usize::MAX);
    let one = resource("r");
    // The COMMIT gets lost, and before the next attempt another run stores a state on the same base.
    let (other, theirs) = (db.snowflake.clone(), change(&one, StateVersion::NONE));
    let (commits, begins) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let intercept = intercept(move |statement| match statement.sql.as_str() {
        "COMMIT" => (commits.fetch_add(1, Ordering::SeqCst) == 0).then(|| async { Outcome::Lost }.boxed()),
        "BEGIN TRANSACTION" if begins.fetch_add(1, Ordering::SeqCst) == 1 => {
            let (other, theirs) = (other.clone(), theirs.clone());
            Some(async move { other.append(theirs).await.map(|_| Outcome::Runs).unwrap() }.boxed())
        }
        _ => None,
    });
    let snowflake = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
    let refused = snowflake.append(change(&one, StateVersion::NONE)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(db.snowflake.history(&key("r"), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_concurrent_resources_use_two_sessions() {
    let db = TestDatabase::new(usize::MAX);
    let source = Issues::default();
    let all = ["a", "b"];
    all.iter().for_each(|name| source.page(name, 1..2));
    let first = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    first.ingest(IngestRequest::new(all.map(resource))).await.unwrap();
    all.iter().for_each(|name| source.page(name, 2..3));
    // Both have begun before either continues.
    let (both, begun) = (Arc::new(Barrier::new(2)), AtomicUsize::new(0));
    let intercept = intercept(move |statement| {
        let waits = statement.sql == "BEGIN TRANSACTION" && begun.fetch_add(1, Ordering::SeqCst) < 2;
        let both = both.clone();
        waits.then(|| async move { both.wait().map(|_| Outcome::Runs).await }.boxed())
    });
    let snowflake = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
    let connector = Connector::new(source, Arc::new(snowflake));
    db.recording.take();
    let ingest = connector.ingest(IngestRequest::default());
    let report =
        tokio::time::timeout(Duration::from_secs(600), ingest).await.expect("they wait for each other").unwrap();
    assert_eq!(report.counts().inserted, 2);
    let calls = db.recording.take();
    let table = |call: &Call, name: &str| match &call.operation {
        Operation::Statement(statement) => statement.sql.contains(&format!("\"PUBLIC_RAW\".\"{name}\" t USING")),
        _ => false,
    };
    let of = |name: &str| calls.iter().find(|call| table(call, name)).unwrap().session;
    assert_ne!(of("a"), of("b"));
}

/// A separate process that asks `next` for the fate of its statements, starting with the first that makes the view of the stream.
fn from_the_view(
    db: &TestDatabase,
    next: impl Fn(usize) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
) -> Snowflake {
    let count = AtomicUsize::new(0);
    let intercept = intercept(move |statement| {
        let sql = &statement.sql;
        let is_view = sql.starts_with("CREATE OR REPLACE VIEW") && sql.contains(".\"PUBLIC_RAW\".\"ISSUES^=all\" ");
        (is_view || count.load(Ordering::SeqCst) > 0).then(|| next(count.fetch_add(1, Ordering::SeqCst)))
    });
    db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept })
}

/// Adds the resources `a` and `b` at once, so that `b` makes the stream's view after `a` has, from outdated knowledge. Then its
/// next statement precedes that of `a`, or it dies.
async fn overtake(db: &TestDatabase, dies: bool) {
    let specs = crate::source::tables();
    db.snowflake.ensure_streams(&resource("x"), &specs).await.unwrap();
    let [knows, made, wrote, done] = [(); 4].map(|()| Arc::new(Notify::new()));
    let (tells, waits, writes, ends) = (knows.clone(), made.clone(), wrote.clone(), done.clone());
    let late = from_the_view(db, move |number| {
        let (tells, waits, writes, ends) = (tells.clone(), waits.clone(), writes.clone(), ends.clone());
        async move {
            match number {
                0 => (tells.notify_one(), waits.notified().await).1,
                1 if dies => (writes.notify_one(), std::future::pending().await).1,
                2 => (writes.notify_one(), ends.notified().await).1,
                _ => {}
            }
            Outcome::Runs
        }
        .boxed()
    });
    let ended = done.clone();
    let early = from_the_view(db, move |number| {
        let (made, wrote, ended) = (made.clone(), wrote.clone(), ended.clone());
        async move {
            match number {
                1 => (made.notify_one(), wrote.notified().await).1,
                2 => ended.notify_one(),
                _ => {}
            }
            Outcome::Runs
        }
        .boxed()
    });
    let (a, b) = (resource("a"), resource("b"));
    let early = async {
        knows.notified().await;
        early.ensure_streams(&a, &specs).await.unwrap();
        done.notify_one();
    };
    let late = late.ensure_streams(&b, &specs);
    match dies {
        true => tokio::select! { _ = late => panic!("it does not crash"), () = early => {} },
        false => tokio::join!(late, early).0.unwrap(),
    }
}

/// The resources whose rows are in the view of the stream, after each got one.
async fn covered(db: &TestDatabase, names: &[&str]) -> Vec<String> {
    let process = db.another_process();
    for name in names {
        let row = commit(&resource(name), "issues", vec![Record::upsert("1", Version(1), "{}")]);
        process.commit(row).await.unwrap();
    }
    let select = format!("SELECT RESOURCE FROM {}.PUBLIC.ISSUES ORDER BY RESOURCE", db.database);
    let answer = db.execute(Statement::new(Sql::assert_safe(select))).await.unwrap();
    answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect()
}

#[tokio::test]
async fn two_processes_adding_a_resource_at_once_leave_a_view_of_both() {
    let db = TestDatabase::new(usize::MAX);
    overtake(&db, false).await;
    assert_eq!(covered(&db, &["a", "b", "x"]).await, ["a", "b", "x"]);
}

#[tokio::test]
async fn a_view_created_too_late_by_a_process_that_died_is_recreated_by_the_next() {
    let db = TestDatabase::new(usize::MAX);
    overtake(&db, true).await;
    assert_eq!(covered(&db, &["a", "b", "x"]).await, ["b", "x"]);
    db.another_process().ensure_streams(&resource("x"), &crate::source::tables()).await.unwrap();
    assert_eq!(covered(&db, &[]).await, ["a", "b", "x"]);
}
