//! The typed views, as a user with a worksheet sees them.

use serde_json::{Value, json};
use snowfeed::internals::snowflake::{QueryResult, Sql, Statement};
use snowfeed::{ColumnType, Record, Sink, StreamSpec, Version};

use crate::probes::snowflake::fresh_database;
use crate::support::{TestDatabase, commit, resource};
use crate::{source, views};

/// Stores documents in a resource's table `issues`, under their numbers.
async fn put(db: &TestDatabase, name: &str, documents: &[&str]) {
    let records = documents.iter().enumerate();
    let records = records.map(|(number, text)| Record::upsert(number.to_string(), Version(1), (*text).to_owned()));
    db.snowflake.commit(commit(&resource(name), "issues", records.collect())).await.unwrap();
}

/// A query's result, as text; `DB` in the query is the database.
async fn query(db: &TestDatabase, sql: &str) -> Vec<Vec<Option<String>>> {
    let QueryResult { rows, .. } =
        db.execute(Statement::new(Sql::assert_safe(sql.replace("DB", &db.database)))).await.unwrap();
    rows.into_iter().map(|row| row.0.into_iter().map(|cell| cell.map(|text| text.to_string())).collect()).collect()
}

fn some(row: &[&str]) -> Vec<Option<String>> {
    row.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn a_value_of_another_type_reads_as_null() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = TestDatabase::new(max_bind_bytes);
        let one = resource("one");
        db.snowflake.ensure_streams(&one, &[views::spec()]).await.unwrap();
        let documents: Vec<&str> = views::cases().into_iter().map(|(document, _)| document).collect();
        put(&db, "one", &documents).await;
        let long = (r#"{"v":99999999999999999999}"#, json!({ "integer": "99999999999999999999" }));
        // The imitation keeps fractions as floats.
        let precise =
            (r#"{"v":12345678901234567.89}"#, json!({ "decimal": "12345678901234568", "any": "12345678901234568.0" }));
        views::assert_as_expected(db.snowflake.preview(&one, "issues", 99).await.unwrap(), &[long, precise]);
        // The view itself is readable, too, whatever the documents contain.
        let count = query(
            &db,
            "SELECT CAST(COUNT(*) AS VARCHAR) AS N, CAST(COUNT(TEXT) AS VARCHAR) AS T FROM DB.PUBLIC.ISSUES",
        );
        let texts = views::cases().into_iter().filter(|(_, row)| row.get("text").is_some()).count();
        assert_eq!(count.await, [some(&[&documents.len().to_string(), &texts.to_string()])]);
    }
}

#[tokio::test]
async fn a_spec_that_shrinks_keeps_its_columns_and_one_that_grows_adds_some() {
    let db = TestDatabase::new(usize::MAX);
    let (one, two) = (resource("one"), resource("two"));
    let old = StreamSpec::new("issues").column("a", "a", ColumnType::Text).column("b", "b", ColumnType::Text);
    let new = StreamSpec::new("issues").column("c", "c", ColumnType::Text).column("a", "x", ColumnType::Text);
    db.snowflake.ensure_streams(&one, &[old]).await.unwrap();
    put(&db, "one", &[r#"{"a":"A","b":"B","c":"C","x":"X"}"#]).await;
    db.snowflake.ensure_streams(&two, std::slice::from_ref(&new)).await.unwrap();
    let of_stream = query(&db, "SELECT RESOURCE, C, A, B FROM DB.PUBLIC.ISSUES").await;
    assert_eq!(of_stream, [some(&["one", "C", "X", "B"])]);
    // The next ingestion of the resource updates its view.
    db.snowflake.ensure_streams(&one, &[new]).await.unwrap();
    let preview = db.another_process().preview(&one, "issues", 9).await.unwrap();
    assert_eq!(preview.columns, ["c", "a", "b", "deleted_at", "raw"]);
    assert_eq!(preview.rows[0][..4], [json!("C"), json!("X"), json!("B"), Value::Null]);
    assert_eq!(query(&db, "SELECT C, A, B FROM DB.PUBLIC.\"one\"").await, [some(&["C", "X", "B"])]);
}

#[tokio::test]
async fn the_view_of_a_stream_covers_all_resources_and_names_them() {
    let db = TestDatabase::new(usize::MAX);
    let names = ["acme/widgets", "Acme/Widgets", "it's\\\"odd\"\u{0}", "issues"];
    for name in names {
        db.snowflake.ensure_streams(&resource(name), &[views::spec()]).await.unwrap();
        put(&db, name, &[r#"{"v":1}"#, r#"{"v":2}"#]).await;
    }
    let gone = commit(
        &resource("issues"),
        "issues",
        vec![Record::delete("0", Version(2)), Record::delete("never", Version(1))],
    );
    db.snowflake.commit(gone).await.unwrap();
    let found = query(
        &db,
        "SELECT RESOURCE, CAST(MAX(INTEGER) AS VARCHAR) AS M, CAST(COUNT(DELETED_AT) AS VARCHAR) AS D FROM DB.PUBLIC.ISSUES \
         GROUP BY RESOURCE ORDER BY RESOURCE",
    );
    let mut expected: Vec<_> =
        names.iter().map(|name| some(&[name, "2", if *name == "issues" { "1" } else { "0" }])).collect();
    expected.sort();
    assert_eq!(found.await, expected);
    let of_one = query(&db, "SELECT CAST(MAX(INTEGER) AS VARCHAR) AS M FROM DB.PUBLIC.\"^acme/^widgets\"").await;
    assert_eq!(of_one, [some(&["2"])]);
}

#[tokio::test]
async fn views_created_by_another_version_are_recreated() {
    let db = TestDatabase::new(usize::MAX);
    db.snowflake.ensure_streams(&resource("one"), &[views::spec()]).await.unwrap();
    put(&db, "one", &[r#"{"v":1}"#]).await;
    for old in [
        "CREATE OR REPLACE VIEW DB.PUBLIC.ISSUES AS SELECT 'old' AS TEXT",
        "CREATE OR REPLACE VIEW DB.PUBLIC.\"one\" AS SELECT 'old' AS TEXT",
        "UPDATE DB.STATE.SNOWFEED_TABLE SET MADE_FROM = 'another text'",
    ] {
        db.execute(Statement::new(Sql::assert_safe(old.replace("DB", &db.database)))).await.unwrap();
    }
    db.another_process().ensure_streams(&resource("one"), &[views::spec()]).await.unwrap();
    for view in ["ISSUES", "\"one\""] {
        let select = format!("SELECT CAST(INTEGER AS VARCHAR) AS I FROM DB.PUBLIC.{view}");
        assert_eq!(query(&db, &select).await, [some(&["1"])]);
    }
}

#[tokio::test]
async fn a_large_commit_works_with_a_stage_whose_name_is_quoted() {
    // The name has no space, which needs quotes as well: the server cannot create such a database.
    let db = TestDatabase::in_database(format!("rohdaten_für_{}", fresh_database()), 0);
    db.snowflake.ensure_streams(&resource("one"), &[views::spec()]).await.unwrap();
    put(&db, "one", &[r#"{"v":1}"#, r#"{"v":2}"#]).await;
    assert_eq!(db.snowflake.preview(&resource("one"), "issues", 9).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn no_resource_gets_the_table_of_another_one_when_a_source_grows() {
    let db = TestDatabase::new(usize::MAX);
    let [issues, events] = ["issues", "events"].map(|name| StreamSpec::new(name).column("v", "v", ColumnType::Integer));
    let row = |table: &str, name: &str, text: &'static str| {
        commit(&resource(name), table, vec![Record::upsert("1", Version(1), text)])
    };
    db.snowflake.ensure_streams(&resource("a/issues"), std::slice::from_ref(&issues)).await.unwrap();
    db.snowflake.commit(row("issues", "a/issues", r#"{"v":1}"#)).await.unwrap();
    db.snowflake.ensure_streams(&resource("a"), &[issues, events]).await.unwrap();
    db.snowflake.commit(row("issues", "a", r#"{"v":2}"#)).await.unwrap();
    for (name, value) in [("a/issues", 1), ("a", 2)] {
        for process in [&db.snowflake, &db.another_process()] {
            let preview = process.preview(&resource(name), "issues", 9).await.unwrap();
            let values: Vec<&Value> = preview.rows.iter().map(|row| &row[0]).collect();
            assert_eq!(values, [&json!(value)], "{name}");
        }
    }
}

/// The columns of the view that Snowflake's own connector for GitHub issues makes.
const REFERENCE: &str = "id, node_id, url, repository_url, labels_url, comments_url, events_url, html_url, number, state, title, body, user";

#[tokio::test]
async fn the_view_of_github_issues_has_the_reference_columns_and_needs_no_quotes() {
    let db = TestDatabase::new(usize::MAX);
    db.snowflake.ensure_streams(&resource("acme/widgets"), &source::tables()).await.unwrap();
    let issue = json!({
        "id": 7, "node_id": "I_7", "url": "u", "repository_url": "r", "labels_url": "l", "comments_url": "c", "events_url": "e",
        "html_url": "h", "number": 1, "state": "open", "title": "A title", "body": "A body", "user": {"login": "octocat"},
        "labels": [{"name": "bug"}, {"name": "help wanted"}],
    });
    put(&db, "acme/widgets", &[&issue.to_string()]).await;
    let found = query(&db, &format!("SELECT {REFERENCE} FROM DB.public.issues")).await;
    let row: Vec<String> = found[0].iter().map(|cell| cell.clone().unwrap()).collect();
    assert_eq!(row[..12], ["7", "I_7", "u", "r", "l", "c", "e", "h", "1", "open", "A title", "A body"]);
    assert_eq!(serde_json::from_str::<Value>(&row[12]).unwrap(), json!({"login": "octocat"}));
    let labels = query(&db, "SELECT TO_JSON(labels) AS LABELS, user_login FROM DB.public.issues").await;
    assert_eq!(labels, [some(&[r#"["bug","help wanted"]"#, "octocat"])]);
}
