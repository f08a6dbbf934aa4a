//! Columns that are inferred from records.

use std::sync::Arc;

use serde_json::{Value, json};
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{ColumnType, RunRecord, RunStatus, Sink};

use crate::support::{TestDatabase, resource};
use crate::untyped::Untyped;

async fn ingest(source: &Untyped, snowflake: Snowflake, name: &str) -> RunRecord {
    let connector = Connector::new(source.clone(), Arc::new(snowflake));
    let mut report = connector.ingest(IngestRequest::new([resource(name)])).await.unwrap();
    report.runs.remove(0)
}

/// The columns of a resource's view, with the rows.
async fn rows(db: &TestDatabase, name: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    let preview = db.another_process().preview(&resource(name), "tickets", 9).await.unwrap();
    let typed = preview.columns.len() - 2;
    let mut rows: Vec<Vec<Value>> = preview.rows.into_iter().map(|row| row[..typed].to_vec()).collect();
    rows.sort_by_key(|row| row[0].as_i64());
    (preview.columns[..typed].to_vec(), rows)
}

/// The statements since the last call that create anything.
fn created(db: &TestDatabase) -> Vec<String> {
    let sent = db.recording.statements().into_iter().map(|statement| statement.sql.to_string());
    sent.filter(|sql| sql.starts_with("CREATE")).collect()
}

#[tokio::test]
async fn a_view_grows_with_the_records_and_a_new_process_creates_nothing_again() {
    let (db, source) = (TestDatabase::new(usize::MAX), Untyped::default());
    source.set([r#"{"id":1,"user":{"login":"a"},"dueDate":"2026-01-31","size":1,"raw":null}"#]);
    let run = ingest(&source, db.another_process(), "one").await;
    assert_eq!(run.new_columns, ["tickets.author", "tickets.user", "tickets.due_date", "tickets.size"]);
    let columns = ["id", "author", "user", "due_date", "size"];
    let row = vec![json!(1), json!("a"), json!({"login": "a"}), json!("2026-01-31"), json!(1)];
    assert_eq!(rows(&db, "one").await, (columns.map(str::to_owned).to_vec(), vec![row]));
    assert_ne!(created(&db), [""; 0]);
    // The same again, and a new record, in a new process.
    source.set([r#"{"id":1,"user":{"login":"a"},"dueDate":"2026-01-31","size":1}"#, r#"{"id":2,"size":2}"#]);
    let run = ingest(&source, db.another_process(), "one").await;
    assert_eq!((run.status, run.counts.inserted, run.new_columns), (RunStatus::Complete, 1, vec![]));
    assert_eq!(created(&db), [""; 0]);
    source.set([r#"{"id":3,"dueDate":"soon","size":2.5,"raw":7}"#]);
    let run = ingest(&source, db.another_process(), "one").await;
    assert_eq!(run.new_columns, ["tickets.due_date", "tickets.size", "tickets.raw_2"]);
    let (columns, rows) = rows(&db, "one").await;
    assert_eq!(columns, ["id", "author", "user", "due_date", "size", "raw_2"]);
    let short: Vec<Value> = rows.iter().map(|row| json!([row[0], row[3], row[4], row[5]])).collect();
    let expected = [json!([1, "2026-01-31", 1.0, null]), json!([2, null, 2.0, null]), json!([3, "soon", 2.5, 7])];
    assert_eq!(short, expected);
}

#[tokio::test]
async fn programs_that_have_seen_different_records_agree_on_the_wider_types() {
    let (db, one, two) = (TestDatabase::new(usize::MAX), Untyped::default(), Untyped::default());
    one.set([r#"{"id":1,"size":1,"a":true}"#]);
    two.set([r#"{"id":2,"size":"large","b":[1]}"#]);
    let (first, second) = (db.another_process(), db.another_process());
    ingest(&one, first.clone(), "one").await;
    ingest(&two, second.clone(), "two").await;
    // Each goes on with what it knew.
    one.set([r#"{"id":3,"size":3,"a":false}"#]);
    ingest(&one, first, "one").await;
    two.set([r#"{"id":4,"size":"small"}"#]);
    ingest(&two, second, "two").await;
    let fresh = db.another_process();
    let all = fresh.columns(&resource("one"), "tickets").await.unwrap();
    let of = |name: &str| all.iter().find(|column| column.name == name).map(|column| column.kind);
    assert_eq!((of("a"), of("size")), (Some(ColumnType::Boolean), Some(ColumnType::Integer)));
    // The next run of the first resource brings its view up to date.
    ingest(&one, fresh.clone(), "one").await;
    let all = fresh.columns(&resource("one"), "tickets").await.unwrap();
    let of = |name: &str| all.iter().find(|column| column.name == name).map(|column| column.kind);
    assert_eq!(
        [of("a"), of("b"), of("size")].map(Option::unwrap),
        [ColumnType::Boolean, ColumnType::Json, ColumnType::Any]
    );
    let (columns, rows) = rows(&db, "one").await;
    let size = columns.iter().position(|name| name == "size").unwrap();
    assert_eq!(rows.iter().map(|row| row[size].clone()).collect::<Vec<_>>(), [json!("1"), json!("3")]);
}
