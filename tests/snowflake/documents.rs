//! Raw tables that do not keep the text of documents: `RAW` stands for it wherever it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::Value;
use snowfeed::backends::Snowflake;
use snowfeed::backends::snowflake::SnowflakeOptions;
use snowfeed::internals::snowflake::{Sql, Statement, backend_of};
use snowfeed::{
    ColumnType, Record, Resource, RowQuery, RowSelection, RunId, SelectedRow, Sequence, Sink, StoredRecord, StreamSpec,
    UnseenQuery, Version,
};

use crate::support::{TestDatabase, commit, resource};

fn backend(db: &TestDatabase, max_bind_bytes: usize, keeps: bool) -> Snowflake {
    let options = SnowflakeOptions::default().keep_documents(keeps);
    backend_of(Arc::new(db.recording.clone()), &db.database, "PUBLIC", max_bind_bytes, options)
}

fn issues() -> [StreamSpec; 1] {
    [StreamSpec::new("issues").column("title", "title", ColumnType::Text)]
}

/// Commits documents under the keys 0, 1, …
async fn store(sink: &Snowflake, one: &Resource, version: i64, documents: &[String]) {
    sink.ensure_streams(one, &issues()).await.unwrap();
    let records = documents.iter().enumerate();
    let records = records.map(|(key, text)| Record::upsert(key.to_string(), Version(version), text.clone())).collect();
    let counts = sink.commit(commit(one, "issues", records)).await.unwrap().counts();
    assert_eq!(counts.inserted + counts.updated, documents.len() as u64);
}

/// The column `DOCUMENT` of each row, by key.
async fn stored(db: &TestDatabase, one: &Resource) -> Vec<String> {
    let select = format!(
        "SELECT \"DOCUMENT\" FROM \"{}\".\"PUBLIC_RAW\".\"{}\" ORDER BY CAST(\"KEY\" AS NUMBER(9, 0))",
        db.database,
        one.name()
    );
    let answer = db.execute(Statement::new(Sql::assert_safe(select))).await.unwrap();
    answer.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect()
}

/// The texts that readers of a backend get: of rows by commit and of rows that a reconcile run has not seen, by key; and of the preview.
async fn texts(sink: &Snowflake, one: &Resource) -> [Vec<String>; 3] {
    let by_key = |mut rows: Vec<(u32, String)>| {
        rows.sort();
        rows.into_iter().map(|(_, text)| text).collect()
    };
    let all = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
    let rows = sink.select_rows(RowQuery::new(one.clone(), "issues", all, 1_000).documents()).await.unwrap();
    let row = |row: SelectedRow| (row.position.path.key().unwrap().parse().unwrap(), row.json.unwrap().to_string());
    let unseen = sink.unseen(UnseenQuery::new(one.clone(), "issues", RunId::new(), 1_000)).await.unwrap();
    let record = |record: StoredRecord| (record.key.parse().unwrap(), record.json.to_string());
    let preview = sink.preview(one, "issues", 1_000).await.unwrap().rows.into_iter();
    let preview = preview.map(|mut row| row.pop().unwrap().as_str().unwrap().to_owned()).collect();
    [by_key(rows.into_iter().map(row).collect()), by_key(unseen.into_iter().map(record).collect()), preview]
}

/// A value whose numbers a VARIANT keeps.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z'\\\\\"%$?]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z ]{1,6}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// A document: JSON with or without spaces, or what is not JSON.
fn document() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => value().prop_map(|value| value.to_string()),
        2 => value().prop_map(|value| format!(" {value:#} ")),
        1 => Just(String::new()),
        1 => Just("null".to_owned()),
        1 => Just("{\"title\": \"\\ud800 alone\"}".to_owned()),
        1 => "[a-z{]{1,9}".prop_filter("it is JSON", |text| serde_json::from_str::<Value>(text).is_err()),
    ]
}

/// What a text means: its value, or itself.
fn meaning(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| text.to_owned())
}

#[test]
fn readers_get_every_document_whether_texts_are_kept_or_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = TestDatabase::new(usize::MAX);
    let config = ProptestConfig { cases: 12, max_shrink_iters: 20, failure_persistence: None, ..Default::default() };
    let case = AtomicUsize::new(0);
    let ran = proptest::test_runner::TestRunner::new(config).run(
        &proptest::collection::vec(document(), 1..12),
        |documents| {
            let case = case.fetch_add(1, Ordering::Relaxed);
            let max_bind_bytes = if case.is_multiple_of(2) { usize::MAX } else { 0 };
            let one = resource(&format!("r{case}"));
            runtime.block_on(async {
                let sink = backend(&db, max_bind_bytes, false);
                store(&sink, &one, 1, &documents).await;
                let mut meant: Vec<_> = documents.iter().map(|text| meaning(text)).collect();
                let [rows, unseen, preview] = texts(&sink, &one).await;
                for found in [rows, unseen] {
                    prop_assert_eq!(&found.iter().map(|text| meaning(text)).collect::<Vec<_>>(), &meant);
                }
                let by_text = |meanings: &mut Vec<Result<Value, String>>| {
                    let mut texts: Vec<String> = meanings.drain(..).map(|meaning| format!("{meaning:?}")).collect();
                    texts.sort();
                    texts
                };
                let mut previewed: Vec<_> = preview.iter().map(|text| meaning(text)).collect();
                prop_assert_eq!(by_text(&mut previewed), by_text(&mut meant));
                for (column, document) in stored(&db, &one).await.iter().zip(&documents) {
                    let is_value = serde_json::from_str::<Value>(document).is_ok();
                    prop_assert!(column == document || is_value && column.is_empty(), "{column:?} for {document:?}");
                    prop_assert!(column.is_empty() || !is_value, "{document:?} is kept twice");
                }
                Ok(())
            })
        },
    );
    ran.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_option_counts_for_rows_that_are_written_from_then_on() {
    for max_bind_bytes in [usize::MAX, 0] {
        let (db, one) = (TestDatabase::new(0), resource("r"));
        let text = |n: i32| format!("{{ \"title\" : \"{n}\" }}");
        let documents: Vec<String> = (0..3).map(text).collect();
        store(&backend(&db, max_bind_bytes, true), &one, 1, &documents).await;
        assert_eq!(stored(&db, &one).await, documents);
        let without = backend(&db, max_bind_bytes, false);
        let changed = [text(7)];
        store(&without, &one, 2, &changed).await;
        assert_eq!(stored(&db, &one).await, [String::new(), text(1), text(2)]);
        // What has not changed is not written, whatever the option.
        let again = commit(&one, "issues", vec![Record::upsert("1", Version(1), text(1))]);
        let counts = without.commit(again).await.unwrap().counts();
        assert_eq!(counts.unchanged, 1);
        // A deleted row keeps its document.
        let deletion = commit(&one, "issues", vec![Record::delete("0", Version(3))]);
        assert_eq!(without.commit(deletion).await.unwrap().counts().deleted, 1);
        assert_eq!(stored(&db, &one).await, [String::new(), text(1), text(2)]);
        let titles = format!("SELECT \"TITLE\" FROM \"{}\".\"PUBLIC\".\"r\" ORDER BY 1", db.database);
        let titles = db.execute(Statement::new(Sql::assert_safe(titles))).await.unwrap();
        let titles: Vec<_> = titles.rows.iter().map(|row| row.text(0).unwrap().to_string()).collect();
        assert_eq!(titles, ["1", "2", "7"], "the deleted one included");
        let [rows, ..] = texts(&backend(&db, max_bind_bytes, true), &one).await;
        assert_eq!(rows, ["{\"title\":\"7\"}".to_owned(), text(1), text(2)], "another process that keeps texts");
    }
}
