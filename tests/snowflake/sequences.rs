//! The numbers of commits: tables of older versions, rows that users remove, and commits that cross.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use jiff::Timestamp;
use snowfeed::backends::Snowflake;
use snowfeed::internals::snowflake::{QueryResult, Sql, Statement};
use snowfeed::{
    Position, Record, RowPath, RowQuery, RowSelection, RunId, SelectedRow, Sequence, Sink, StateKey, StateStore,
    StateVersion, StreamCommit, StreamSpec, Version,
};

use crate::mocks::{InterceptingClient, Outcome};
use crate::support::{TestDatabase, change_of, commit, commit_of, resource};

fn streams() -> Vec<StreamSpec> {
    vec![StreamSpec::new("issues"), StreamSpec::child("comments", "issues")]
}

fn upsert(key: &str, version: i64) -> Record {
    Record::upsert(key, Version(version), format!("{{\"v\":{version}}}"))
}

async fn run(db: &TestDatabase, sql: &str) -> QueryResult {
    let sql = sql.replace("{raw}", &format!("\"{}\".\"PUBLIC_RAW\".\"r\"", db.database));
    let sql = sql.replace("{state}", &format!("\"{}\".\"STATE\"", db.database));
    db.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap()
}

/// A database with a stream `issues` of the resource `r`, whose raw table has its name.
async fn database() -> TestDatabase {
    let db = TestDatabase::new(usize::MAX);
    db.snowflake.ensure_streams(&resource("r"), &[StreamSpec::new("issues")]).await.unwrap();
    db
}

/// All rows of a stream, by sequence.
async fn rows(snowflake: &Snowflake, stream: &str) -> Vec<(u64, String, bool)> {
    let selection = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
    let rows = snowflake.select_rows(RowQuery::new(resource("r"), stream, selection, 100)).await.unwrap();
    let row = |row: SelectedRow| (row.position.sequence.0, row.position.path.to_string(), row.is_deleted);
    rows.into_iter().map(row).collect()
}

async fn number(snowflake: &Snowflake, stream: &str) -> u64 {
    snowflake.sequences(&resource("r")).await.unwrap().get(stream).map_or(0, |sequence| sequence.0)
}

#[tokio::test]
async fn a_table_of_an_older_version_gets_its_columns_once_and_keeps_its_view() {
    let db = database().await;
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("1", 1)])).await.unwrap();
    for sql in [
        "ALTER TABLE {raw} DROP COLUMN \"SEQ\"",
        "ALTER TABLE {raw} DROP COLUMN \"PARENT\"",
        "UPDATE {state}.\"SNOWFEED_TABLE\" SET \"MADE_FROM\" = REPLACE(\"MADE_FROM\", ' numbered', '')",
    ] {
        run(&db, sql).await;
    }
    let upgraded = db.another_process();
    db.recording.take();
    upgraded.ensure_streams(&resource("r"), &[StreamSpec::new("issues")]).await.unwrap();
    let sent = db.recording.statements();
    let count = |text: &str| sent.iter().filter(|statement| statement.sql.contains(text)).count();
    assert_eq!((count("ADD COLUMN IF NOT EXISTS"), count("CREATE "), count("GET_DDL")), (2, 0, 0), "{sent:?}");
    assert_eq!(rows(&upgraded, "issues").await, [(0, "1".to_owned(), false)]);
    assert_eq!(number(&upgraded, "issues").await, 0);
    upgraded.commit(commit(&resource("r"), "issues", vec![upsert("1", 1), upsert("2", 1)])).await.unwrap();
    assert_eq!(rows(&upgraded, "issues").await, [(0, "1".to_owned(), false), (1, "2".to_owned(), false)]);
    // A row of before the numbers may be gone, too.
    let gone = StreamCommit::new("issues", RunId::new()).gone([Position::new(Sequence(0), RowPath::ROOT.child("1"))]);
    upgraded.commit(commit_of(&resource("r"), gone)).await.unwrap();
    assert_eq!(rows(&upgraded, "issues").await, [(1, "2".to_owned(), false), (2, "1".to_owned(), true)]);
    let another = db.another_process();
    db.recording.take();
    another.ensure_streams(&resource("r"), &[StreamSpec::new("issues")]).await.unwrap();
    let sent = db.recording.statements();
    assert!(sent.iter().all(|statement| statement.sql.starts_with("SELECT ")), "{sent:?}");
}

#[tokio::test]
async fn a_commit_to_a_table_without_numbers_is_refused() {
    let db = database().await;
    run(&db, "UPDATE {state}.\"SNOWFEED_TABLE\" SET \"MADE_FROM\" = REPLACE(\"MADE_FROM\", ' numbered', '')").await;
    let error = db.another_process().commit(commit(&resource("r"), "issues", vec![upsert("1", 1)])).await.unwrap_err();
    assert_eq!(error.kind(), snowfeed::ErrorKind::Internal);
}

#[tokio::test]
async fn no_number_is_used_twice_though_a_user_removes_rows() {
    let db = database().await;
    let key = StateKey::new("r", "issues");
    for version in 1..4 {
        let change = change_of(key.clone(), StateVersion(u64::try_from(version).unwrap() - 1));
        let part = StreamCommit::new("issues", RunId::new()).records([upsert(&version.to_string(), 1)]).change(change);
        db.snowflake.commit(commit_of(&resource("r"), part)).await.unwrap();
    }
    run(&db, "DELETE FROM {raw} WHERE \"KEY\" <> '1'").await;
    assert_eq!(number(&db.snowflake, "issues").await, 3);
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("9", 1)])).await.unwrap();
    assert_eq!(rows(&db.snowflake, "issues").await, [(1, "1".to_owned(), false), (4, "9".to_owned(), false)]);
    // The number survives changes of state without rows, and the removal of old entries.
    db.snowflake.append(change_of(key.clone(), StateVersion(3))).await.unwrap();
    db.snowflake.prune(&key, 1).await.unwrap();
    run(&db, "DELETE FROM {raw}").await;
    assert_eq!(number(&db.snowflake, "issues").await, 3);
}

/// Between the plan of a commit, which leaves out what has not changed, and its transaction, another stream's run finds a row gone.
#[tokio::test]
async fn a_row_that_is_gone_after_a_commit_was_planned_returns_with_that_commit() {
    for (record, updated) in [(upsert("1", 1), 1), (upsert("1", 2), 1)] {
        let db = database().await;
        let first = StreamCommit::new("issues", RunId::new()).records([upsert("1", 1)]);
        let change = change_of(StateKey::new("r", "issues"), StateVersion::NONE);
        db.snowflake.commit(commit_of(&resource("r"), first.change(change))).await.unwrap();
        let (other, was_gone) = (db.snowflake.clone(), Arc::new(AtomicBool::new(false)));
        let once = was_gone.clone();
        let intercept = Arc::new(move |statement: &Statement| {
            let (other, is_first) =
                (other.clone(), &*statement.sql == "BEGIN TRANSACTION" && !once.swap(true, Ordering::SeqCst));
            async move {
                if is_first {
                    let position = Position::new(Sequence(1), RowPath::ROOT.child("1"));
                    let gone = StreamCommit::new("issues", RunId::new()).gone([position]);
                    let report = other.commit(commit_of(&resource("r"), gone)).await.unwrap();
                    assert_eq!(report.counts().deleted, 1);
                }
                Outcome::Runs
            }
            .boxed()
        });
        let racing = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
        let part = StreamCommit::new("issues", RunId::new()).records([record]);
        let change = change_of(StateKey::new("r", "issues"), StateVersion(1));
        let report = racing.commit(commit_of(&resource("r"), part.change(change))).await.unwrap();
        assert!(was_gone.load(Ordering::SeqCst));
        assert_eq!(report.counts().updated, updated, "{report:?}");
        assert_eq!(rows(&db.snowflake, "issues").await, [(3, "1".to_owned(), false)]);
    }
}

#[tokio::test]
async fn a_commit_of_a_child_records_the_number_of_the_rows_that_are_gone() {
    let db = TestDatabase::new(usize::MAX);
    db.snowflake.ensure_streams(&resource("r"), &streams()).await.unwrap();
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("1", 1), upsert("2", 1)])).await.unwrap();
    let child = upsert("c", 1).of_parent(RowPath::ROOT.child("2"));
    let change = change_of(StateKey::new("r", "comments"), StateVersion::NONE);
    let child = StreamCommit::new("comments", RunId::new()).records([child]).change(change);
    let gone = StreamCommit::new("issues", RunId::new()).gone([Position::new(Sequence(1), RowPath::ROOT.child("1"))]);
    let report = db.snowflake.commit(commit_of(&resource("r"), child).part(gone)).await.unwrap();
    assert_eq!((report.streams["issues"].counts.deleted, report.streams["issues"].version), (1, None));
    let select = "SELECT CAST(\"SEQUENCE\" AS VARCHAR) AS \"S\", \"PARENT_STREAM\", CAST(\"PARENT_SEQUENCE\" AS VARCHAR) AS \"P\" FROM \
                  {state}.\"APP_STATE\" ORDER BY \"VERSION\" DESC";
    let recorded = || async { run(&db, select).await.rows[0].0.clone() };
    assert_eq!(recorded().await, [Some("1".into()), Some("issues".into()), Some("2".into())]);
    // Later entries keep it.
    db.snowflake.append(change_of(StateKey::new("r", "comments"), StateVersion(1))).await.unwrap();
    assert_eq!(recorded().await, [Some("1".into()), Some("issues".into()), Some("2".into())]);
}

/// Between the plan of a commit and its transaction, a run of the parents stores a newer state of the parent that was verified.
#[tokio::test]
async fn a_parent_that_changes_after_a_commit_was_planned_is_not_replaced() {
    let db = database().await;
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("1", 9), upsert("2", 9)])).await.unwrap();
    let (other, has_changed) = (db.snowflake.clone(), Arc::new(AtomicBool::new(false)));
    let once = has_changed.clone();
    let intercept = Arc::new(move |statement: &Statement| {
        let (other, is_first) =
            (other.clone(), &*statement.sql == "BEGIN TRANSACTION" && !once.swap(true, Ordering::SeqCst));
        async move {
            if is_first {
                other.commit(commit(&resource("r"), "issues", vec![upsert("1", 10)])).await.unwrap();
            }
            Outcome::Runs
        }
        .boxed()
    });
    let racing = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
    let part = StreamCommit::new("issues", RunId::new());
    let part = part.verified_at(Sequence(1), upsert("1", 5)).verified_at(Sequence(1), upsert("2", 5));
    let counts = racing.commit(commit_of(&resource("r"), part)).await.unwrap().counts();
    assert!(has_changed.load(Ordering::SeqCst));
    assert_eq!((counts.updated, counts.skipped_total()), (1, 1), "{counts:?}");
    let select = "SELECT \"KEY\", CAST(\"VERSION\" AS VARCHAR) AS \"V\", CAST(\"SEQ\" AS VARCHAR) AS \"S\" FROM {raw} ORDER BY \"KEY\"";
    let stored = run(&db, select).await.rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    let expected = [["1", "10", "2"], ["2", "5", "3"]];
    assert_eq!(stored, expected.map(|row| row.map(|text| Some(text.into())).to_vec()));
}

#[tokio::test]
async fn a_commit_of_a_child_records_the_number_of_its_verified_parent() {
    let db = TestDatabase::new(usize::MAX);
    db.snowflake.ensure_streams(&resource("r"), &streams()).await.unwrap();
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("1", 9)])).await.unwrap();
    let change = change_of(StateKey::new("r", "comments"), StateVersion::NONE);
    let child = StreamCommit::new("comments", RunId::new()).change(change);
    let parent = StreamCommit::new("issues", RunId::new()).verified_at(Sequence(1), upsert("1", 5));
    let report = db.snowflake.commit(commit_of(&resource("r"), child).part(parent)).await.unwrap();
    assert_eq!((report.streams["issues"].counts.updated, report.streams["issues"].version), (1, None));
    let select = "SELECT \"PARENT_STREAM\", CAST(\"PARENT_SEQUENCE\" AS VARCHAR) AS \"P\" FROM {state}.\"APP_STATE\"";
    assert_eq!(run(&db, select).await.rows[0].0, [Some("issues".into()), Some("2".into())]);
}

#[tokio::test]
async fn a_selection_is_one_statement_and_transfers_documents_only_on_demand() {
    let db = database().await;
    db.snowflake.commit(commit(&resource("r"), "issues", vec![upsert("1", 1), upsert("2", 5)])).await.unwrap();
    let paths: Vec<_> = ["1", "2", "3"].map(|key| RowPath::ROOT.child(key)).to_vec();
    let everything = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(9) };
    let children = RowSelection::Children { parents: vec![RowPath::ROOT], after: Some(RowPath::ROOT.child("1")) };
    for (selection, found) in [(everything, 2), (RowSelection::Paths(paths), 2), (children, 1)] {
        for documents in [false, true] {
            let query = RowQuery::new(resource("r"), "issues", selection.clone(), 10).fields(["v".parse().unwrap()]);
            let query = if documents { query.documents() } else { query };
            db.recording.take();
            let rows = db.snowflake.select_rows(query).await.unwrap();
            let sent = db.recording.statements();
            assert_eq!((rows.len(), sent.len()), (found, 1), "{selection:?}");
            assert_eq!(sent[0].sql.contains("t.\"DOCUMENT\""), documents, "{}", sent[0].sql);
            let version = rows.last().unwrap().version.0;
            assert_eq!(rows.last().unwrap().fields, [serde_json::json!(version)]);
            assert_eq!(rows.last().unwrap().json.is_some(), documents);
        }
    }
    let nothing = RowQuery::new(resource("r"), "issues", RowSelection::Paths(vec![]), 10);
    assert_eq!(db.snowflake.select_rows(nothing).await.unwrap(), []);
    let until = Timestamp::now();
    let query = RowQuery::new(resource("r"), "issues", RowSelection::Paths(vec![RowPath::ROOT.child("1")]), 1);
    assert!(db.snowflake.select_rows(query).await.unwrap()[0].changed_at <= until);
}
