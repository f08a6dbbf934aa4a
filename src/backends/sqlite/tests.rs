use super::*;
use crate::sink::{Commit, Sink, StreamCommit};
use crate::stream::Column;
use crate::{ColumnType, Record, Resource, RunId, StreamSpec, Version};
use jiff::Timestamp;
use serde_json::{Value, json};

fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

fn spec() -> StreamSpec {
    StreamSpec::new("issues").column("text", "v", ColumnType::Text).column("integer", "v", ColumnType::Integer)
}

fn commit(name: &str, records: impl IntoIterator<Item = Record>) -> Commit {
    Commit::new(resource(name), Timestamp::now()).part(StreamCommit::new("issues", RunId::new()).records(records))
}

async fn put(sqlite: &Sqlite, name: &str, records: impl IntoIterator<Item = Record>) {
    sqlite.commit(commit(name, records)).await.unwrap();
}

#[tokio::test]
async fn a_name_with_nul_is_a_constant_expression_without_nul() {
    assert_eq!(sql::literal("it's"), "'it''s'");
    assert_eq!(sql::literal("a\0b"), "('a'||char(0)||'b')");
    let nul = resource("a\0b");
    let sqlite = Sqlite::in_memory().unwrap();
    sqlite.ensure_streams(&nul, &[spec()]).await.unwrap();
    put(&sqlite, "a\0b", [Record::upsert("k\0", Version::NONE, r#"{"v":1}"#)]).await;
    let count =
        sqlite.run(|c| Ok(c.query_row(r#"SELECT sum("integer") FROM "a^{0}b""#, [], |row| row.get::<_, i64>(0))?));
    assert_eq!(count.await.unwrap(), 1);
}

#[tokio::test]
async fn a_name_with_thousands_of_nuls_stays_within_the_expression_depth() {
    let name = format!("a{}b", "\0".repeat(5_000));
    let sqlite = Sqlite::in_memory().unwrap();
    sqlite.ensure_streams(&resource(&name), &[spec()]).await.unwrap();
    put(&sqlite, &name, [Record::upsert("k", Version::NONE, r#"{"v":1}"#)]).await;
    assert_eq!(sqlite.preview(&resource(&name), "issues", 9).await.unwrap().rows[0][1], json!(1));
}

#[tokio::test]
async fn a_resource_view_reads_no_other_resources_rows() {
    let sqlite = Sqlite::in_memory().unwrap();
    sqlite.ensure_streams(&resource("acme/widgets"), &[spec()]).await.unwrap();
    let plan = sqlite.run(|connection| {
        let mut explain = connection.prepare("EXPLAIN QUERY PLAN SELECT text FROM \"acme/widgets\"")?;
        Ok(explain.query_map([], |row| row.get::<_, String>(3))?.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    let plan = plan.await.unwrap();
    assert!(plan.iter().any(|step| step.contains("snowfeed_raw_issues_by_key (resource_id=?)")), "{plan:?}");
    assert!(plan.iter().all(|step| !step.starts_with("SCAN")), "{plan:?}");
}

#[tokio::test]
async fn a_spec_that_shrinks_keeps_its_columns_and_one_that_grows_adds_some() {
    let sqlite = Sqlite::in_memory().unwrap();
    let (one, two) = (resource("one"), resource("two"));
    let old = StreamSpec::new("issues").column("a", "a", ColumnType::Text).column("b", "b", ColumnType::Text);
    let new = StreamSpec::new("issues").column("c", "c", ColumnType::Text).column("a", "x", ColumnType::Text);
    sqlite.ensure_streams(&one, &[old]).await.unwrap();
    put(&sqlite, "one", [Record::upsert("1", Version::NONE, r#"{"a":"A","b":"B","c":"C","x":"X"}"#)]).await;
    sqlite.ensure_streams(&two, &[new]).await.unwrap();
    let preview = sqlite.preview(&one, "issues", 9).await.unwrap();
    assert_eq!(preview.columns, ["c", "a", "b", "deleted_at", "raw"]);
    assert_eq!(preview.rows[0][..4], [json!("C"), json!("X"), json!("B"), Value::Null]);
    let row: (String, String) = sqlite
        .run(|c| Ok(c.query_row("SELECT resource, c FROM one", [], |row| Ok((row.get(0)?, row.get(1)?)))?))
        .await
        .unwrap();
    assert_eq!(row, ("one".into(), "C".into()));
}

#[tokio::test]
async fn a_full_disk_is_reported_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(dir.path().join("full.db")).unwrap();
    let one = resource("one");
    sqlite.ensure_streams(&one, &[spec()]).await.unwrap();
    put(&sqlite, "one", [Record::upsert("1", Version::NONE, "{}")]).await;
    sqlite.run(|c| Ok(c.pragma_update(None, "max_page_count", 40)?)).await.unwrap();
    let records = (0..100).map(|n| Record::upsert(format!("k{n}"), Version::NONE, "x".repeat(8_000)));
    let commit = commit("one", records);
    let error = sqlite.commit(commit.clone()).await.unwrap_err();
    assert!(error.to_string().contains("disk is full") && error.to_string().contains("full.db"), "{error}");
    assert_eq!(sqlite.preview(&one, "issues", 9).await.unwrap().rows.len(), 1);
    sqlite.run(|c| Ok(c.pragma_update(None, "max_page_count", 4_000)?)).await.unwrap();
    assert_eq!(sqlite.commit(commit).await.unwrap().counts().inserted, 100);
}

#[tokio::test]
async fn a_stream_reclaims_its_name_from_a_resource() {
    let sqlite = Sqlite::in_memory().unwrap();
    let events = resource("events");
    sqlite.ensure_streams(&events, &[spec()]).await.unwrap();
    let both = [spec(), StreamSpec::new("events")];
    sqlite.ensure_streams(&events, &both).await.unwrap();
    sqlite.ensure_streams(&events, &both[..1]).await.unwrap();
    let names = sqlite.run(|connection| {
        let mut find = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")?;
        Ok(find.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    assert_eq!(names.await.unwrap(), ["events", "events/events", "events/issues", "issues"]);
}

#[tokio::test]
async fn a_table_cannot_have_a_reserved_name() {
    let sqlite = Sqlite::in_memory().unwrap();
    for name in ["app_state", "snowfeed_seen", "sqlite_x"] {
        let error = sqlite.ensure_streams(&resource("one"), &[StreamSpec::new(name)]).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let odd = ["app_state", "SNOWFEED_resource", "sqlite_schema", "issues", "ISSUES"];
    for name in odd {
        sqlite.ensure_streams(&resource(name), &[spec()]).await.unwrap();
    }
    let mine = resource("app_state");
    put(&sqlite, "app_state", [Record::upsert("1", Version::NONE, "{}")]).await;
    assert_eq!(sqlite.preview(&mine, "issues", 9).await.unwrap().rows.len(), 1);
}

#[test]
fn a_column_of_any_path_is_legal_sql() {
    let column = Column::new("a\"b", "\"it's\u{0}\"".parse().unwrap(), ColumnType::Text);
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let sql = format!(
        "SELECT {} AS {}",
        sql::column(&column, "'{\"it''s\\u0000\":\"found\"}'"),
        sql::identifier(&column.name)
    );
    let mut select = connection.prepare(&sql).unwrap();
    assert!(select.column_names().eq(["a\"b"]));
    assert_eq!(select.query_row([], |row| row.get::<_, String>(0)).unwrap(), "found");
}
