//! What people and sources do to a connector's tables and documents: each case ends with the right table or with an error with
//! advice, and affects nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement, Usage};
use snowfeed::{
    ColumnType, ConfigStore, Namespace, Record, RunId, RunQuery, RunStatus, Sink, StalePolicy, StateStore,
    StateVersion, StreamCommit, StreamSpec, Sweep, UnseenQuery, Version,
};

use crate::mocks::{AcceptAll, MockClient, MockSession, backend, row, rows};
use crate::recording::RecordingClient;
use crate::source::Issues;
use crate::support::{TestDatabase, change, commit, commit_of, resource};

/// Runs a statement, in which the schema of the connector's own tables is `STATE`.
pub(crate) async fn edit(db: &TestDatabase, sql: &str) {
    let sql = sql.replace("STATE.", &format!("\"{}\".\"STATE\".", db.database));
    db.execute(Statement::new(Sql::assert_safe(sql.replace("PUBLIC.", &format!("\"{}\".\"PUBLIC\".", db.database)))))
        .await
        .unwrap();
}

/// The only cell of a query's result.
pub(crate) async fn cell(db: &TestDatabase, sql: &str) -> String {
    let sql = sql.replace("DB.", &format!("\"{}\".", db.database));
    let answer = db.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap();
    answer.rows[0].get(0).unwrap().map(|text| text.to_string()).unwrap_or_default()
}

/// Three resources with one issue each, ingested.
pub(crate) async fn ingested() -> (TestDatabase, Issues) {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    let all = ["a", "b", "c"];
    all.iter().for_each(|name| source.page(name, 1..2));
    let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    let report = connector.ingest(IngestRequest::new(all.map(resource))).await.unwrap();
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    all.iter().for_each(|name| source.page(name, 2..3));
    (db, source)
}

/// Ingests everything in a separate process: each resource's status, and the error of the failed one.
pub(crate) async fn again(db: &TestDatabase, source: &Issues) -> (Vec<(String, RunStatus)>, String) {
    let connector = Connector::new(source.clone(), Arc::new(db.another_process()));
    let report = connector.ingest(IngestRequest::default()).await.unwrap();
    let errors = report.runs.iter().filter_map(|run| run.error.as_ref());
    let said: Vec<String> =
        errors.map(|error| format!("{}; {}", error.message, error.help.clone().unwrap_or_default())).collect();
    (report.runs.into_iter().map(|run| (run.resource.clone(), run.status)).collect(), said.join("\n"))
}

pub(crate) fn all_but_a_complete() -> Vec<(String, RunStatus)> {
    let status = |name: &str| (name.to_owned(), if name == "a" { RunStatus::Failed } else { RunStatus::Complete });
    ["a", "b", "c"].map(status).to_vec()
}

#[tokio::test]
async fn unreadable_settings_of_a_resource_stop_that_resource_only() {
    for (value, document) in [
        ("PARSE_JSON('5')", "'5'"),
        ("PARSE_JSON('{\"enabled\":\"yes\"}')", "'{\"enabled\":\"yes\"}'"),
        ("NULL", "'{oops'"),
        ("NULL", "NULL"),
    ] {
        let (db, source) = ingested().await;
        edit(&db, &format!("UPDATE STATE.\"RESOURCE_CONFIGURATION\" SET \"VALUE\" = {value}, \"DOCUMENT\" = {document} WHERE \"KEY\" = 'a'")).await;
        let (runs, said) = again(&db, &source).await;
        assert_eq!(runs, all_but_a_complete(), "{document}: {said}");
        assert!(said.contains("\"a\" in the table RESOURCE_CONFIGURATION") && said.contains("`enable`"), "{said}");
        assert!(db.snowflake.get(Namespace::Resource, "b").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_value_without_its_document_counts() {
    let (db, _) = ingested().await;
    edit(&db, "UPDATE STATE.\"RESOURCE_CONFIGURATION\" SET \"DOCUMENT\" = '{oops', \"VALUE\" = PARSE_JSON('{\"enabled\":false}') WHERE \"KEY\" = 'a'").await;
    assert_eq!(db.snowflake.get(Namespace::Resource, "a").await.unwrap(), Some(json!({"enabled": false})));
}

#[tokio::test]
async fn an_unreadable_state_stops_its_resource_only_and_the_help_repairs_it() {
    for change in ["\"DOCUMENT\" = '{oops'", "\"AT\" = 'tomorrow'"] {
        let (db, source) = ingested().await;
        edit(&db, &format!("UPDATE STATE.\"APP_STATE\" SET {change} WHERE \"KEY\" = 'a' AND \"VERSION\" = 1")).await;
        let (runs, said) = again(&db, &source).await;
        assert_eq!(runs, all_but_a_complete(), "{change}: {said}");
        assert!(said.contains("version 1 in") && said.contains("\"APP_STATE\""), "{said}");
        let (_, repair) = said.split_once("run: ").unwrap();
        db.execute(Statement::new(Sql::assert_safe(repair.to_owned()))).await.unwrap();
        let (runs, said) = again(&db, &source).await;
        assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{said}");
    }
}

#[tokio::test]
async fn an_unreadable_run_is_omitted() {
    let (db, source) = ingested().await;
    edit(&db, "UPDATE STATE.\"SNOWFEED_RUN\" SET \"DOCUMENT\" = '{oops' WHERE \"RESOURCE\" = 'a'").await;
    assert_eq!(db.snowflake.runs(RunQuery::new(9)).await.unwrap().len(), 2);
    let (runs, said) = again(&db, &source).await;
    assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{said}");
    assert_eq!(db.snowflake.runs(RunQuery::new(9).resource("a")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn unreadable_columns_in_the_catalog_are_recreated() {
    // A third row, that of the stream's view, has columns that nothing reads.
    for whose in ["'a'", "'' AND \"STREAM\" NOT LIKE '%^=view'"] {
        let (db, source) = ingested().await;
        edit(&db, &format!("UPDATE STATE.\"SNOWFEED_TABLE\" SET \"COLUMNS\" = '[oops' WHERE \"RESOURCE\" = {whose}"))
            .await;
        let (runs, said) = again(&db, &source).await;
        assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{said}");
        let left = "SELECT COUNT(*)::VARCHAR AS N FROM DB.STATE.\"SNOWFEED_TABLE\" WHERE \"COLUMNS\" = '[oops'";
        assert_eq!(cell(&db, left).await, "0", "{whose}");
    }
}

#[tokio::test]
async fn a_removed_fence_is_recreated() {
    for removes in ["DELETE FROM STATE.\"SNOWFEED_FENCE/a\"", "DROP TABLE STATE.\"SNOWFEED_FENCE/a\""] {
        let (db, source) = ingested().await;
        edit(&db, removes).await;
        let (runs, said) = again(&db, &source).await;
        assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{removes}: {said}");
    }
}

#[tokio::test]
async fn a_deleted_version_row_is_restored() {
    let (db, source) = ingested().await;
    edit(&db, "DELETE FROM STATE.\"SNOWFEED_VERSION\"").await;
    let (runs, said) = again(&db, &source).await;
    assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{said}");
    assert_eq!(cell(&db, "SELECT MAX(\"VERSION\")::VARCHAR AS V FROM DB.STATE.\"SNOWFEED_VERSION\"").await, "3");
}

#[tokio::test]
async fn keys_that_differ_only_by_case_are_two_rows() {
    let db = TestDatabase::new(usize::MAX);
    let one = resource("r");
    db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
    for version in 1..3 {
        let records =
            ["A", "a"].map(|key| Record::upsert(key, Version(version), format!("{{\"title\":\"{key}{version}\"}}")));
        db.snowflake.commit(commit(&one, "issues", records.to_vec())).await.unwrap();
    }
    let titles = "SELECT LISTAGG(t.\"RAW\":title::VARCHAR, ',') WITHIN GROUP (ORDER BY t.\"KEY\") AS T FROM DB.PUBLIC_RAW.\"r\" t";
    assert_eq!(cell(&db, titles).await, "A2,a2");
}

#[tokio::test]
async fn no_text_column_inherits_a_collation() {
    let (db, source) = (TestDatabase::new(0), Issues::default());
    source.page("r", 1..2);
    let connector = Connector::new(source, Arc::new(db.snowflake.clone()));
    connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    let made: Vec<String> = db.recording.statements().into_iter().map(|statement| statement.sql.into()).collect();
    let tables: Vec<&String> = made.iter().filter(|sql| sql.starts_with("CREATE") && sql.contains(" TABLE ")).collect();
    assert!(tables.len() > 9 && tables.iter().all(|sql| sql.contains("DEFAULT_DDL_COLLATION = ''")), "{tables:?}");
}

#[tokio::test]
async fn a_document_of_20_megabytes_is_a_row() {
    let db = TestDatabase::new(usize::MAX);
    let one = resource("r");
    db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
    let document = format!("{{\"title\":\"{}\"}}", "x".repeat(20 << 20));
    let length = document.len();
    let report =
        db.snowflake.commit(commit(&one, "issues", vec![Record::upsert("1", Version(1), document)])).await.unwrap();
    assert_eq!((report.counts().inserted, report.counts().rejected), (1, 0));
    let found = cell(&db, "SELECT LENGTH(\"DOCUMENT\")::VARCHAR AS L FROM DB.PUBLIC_RAW.\"r\"").await;
    assert_eq!(found, length.to_string());
}

#[tokio::test]
async fn an_unpaired_surrogate_is_replaced_in_the_view_and_kept_in_the_text() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = TestDatabase::new(max_bind_bytes);
        let one = resource("r");
        db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
        let text = r#"{"title":"cut \ud83d"}"#;
        let records = vec![Record::upsert("1", Version(1), text), Record::upsert("2", Version(1), "{}")];
        db.snowflake.commit(commit(&one, "issues", records)).await.unwrap();
        let select = |what: &str| format!("SELECT {what} AS T FROM DB.PUBLIC_RAW.\"r\" WHERE \"KEY\" = '1'");
        assert_eq!(cell(&db, &select("\"RAW\":title::VARCHAR")).await, "cut \u{fffd}");
        assert_eq!(cell(&db, &select("\"DOCUMENT\"")).await, text);
    }
}

#[tokio::test]
async fn an_oversized_document_is_rejected_alone() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = TestDatabase::new(max_bind_bytes);
        let one = resource("r");
        db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
        let long = format!("{{\"title\":\"{}\"}}", "x".repeat(130 << 20));
        let records = vec![Record::upsert("1", Version(1), "{}"), Record::upsert("2", Version(1), long)];
        for _ in 0..2 {
            let report = db.snowflake.commit(commit(&one, "issues", records.clone())).await.unwrap();
            assert_eq!((report.counts().offered, report.counts().rejected), (2, 1));
            assert!(report.counts().add_up());
        }
        let count = "SELECT COUNT(*)::VARCHAR || ' ' || MAX(\"REASON\") AS R FROM DB.STATE.\"REJECTED_RECORD\"";
        let kept = cell(&db, count).await;
        assert!(kept.starts_with("1 the document of the key \"2\" has 136314892 bytes"), "{kept}");
        assert_eq!(cell(&db, "SELECT COUNT(*)::VARCHAR AS N FROM DB.PUBLIC_RAW.\"r\"").await, "1");
    }
}

#[tokio::test]
async fn a_row_whose_document_has_become_oversized_counts_as_listed() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = TestDatabase::new(max_bind_bytes);
        let one = resource("r");
        db.snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
        let rows = ["1", "2", "3"].map(|key| Record::upsert(key, Version(1), "{}"));
        db.snowflake.commit(commit(&one, "issues", rows.to_vec())).await.unwrap();
        let long = format!("{{\"title\":\"{}\"}}", "x".repeat(130 << 20));
        let sweep = RunId::new();
        let listed = [Record::upsert("1", Version(1), "{}"), Record::upsert("2", Version(2), long)];
        let part = StreamCommit::new("issues", sweep).records(listed).sweep(Sweep::Mark(sweep, StalePolicy::Replace));
        db.snowflake.commit(commit_of(&one, part)).await.unwrap();
        let unseen = db.snowflake.unseen(UnseenQuery::new(one, "issues", sweep, 9)).await.unwrap();
        assert_eq!(unseen.into_iter().map(|row| row.key).collect::<Vec<_>>(), ["3"]);
    }
}

#[tokio::test]
async fn a_policy_on_a_view_survives_new_resources_and_new_columns() {
    let db = TestDatabase::new(usize::MAX);
    let old = StreamSpec::new("issues").column("a", "a", ColumnType::Text);
    db.snowflake.ensure_streams(&resource("one"), std::slice::from_ref(&old)).await.unwrap();
    edit(&db, "CREATE ROW ACCESS POLICY hide AS (a VARCHAR) RETURNS BOOLEAN -> a IS NULL OR a <> 'hidden'").await;
    edit(&db, "ALTER VIEW PUBLIC.\"ISSUES\" ADD ROW ACCESS POLICY hide ON (\"A\")").await;
    edit(&db, "ALTER VIEW PUBLIC.\"one\" ADD ROW ACCESS POLICY hide ON (\"A\")").await;
    let policies = async |view: &str| {
        let select = format!(
            "SELECT COUNT(*)::VARCHAR AS N FROM TABLE(DB.INFORMATION_SCHEMA.POLICY_REFERENCES(REF_ENTITY_NAME => \
             '\"{}\".\"PUBLIC\".\"{view}\"', REF_ENTITY_DOMAIN => 'VIEW'))",
            db.database
        );
        cell(&db, &select).await
    };
    db.snowflake.ensure_streams(&resource("two"), std::slice::from_ref(&old)).await.unwrap();
    assert_eq!((policies("ISSUES").await.as_str(), policies("one").await.as_str()), ("1", "1"));
    let put = |name: &str| {
        let records = ["A", "hidden"].map(|a| Record::upsert(a, Version(1), format!("{{\"a\":\"{a}\"}}")));
        commit(&resource(name), "issues", records.to_vec())
    };
    db.snowflake.commit(put("two")).await.unwrap();
    assert_eq!(cell(&db, "SELECT \"RESOURCE\" || \"A\" AS R FROM DB.PUBLIC.\"ISSUES\"").await, "twoA");

    let new = StreamSpec::new("issues").column("a", "a", ColumnType::Text).column("b", "b", ColumnType::Text);
    let process = db.another_process();
    process.ensure_streams(&resource("one"), std::slice::from_ref(&new)).await.unwrap();
    assert_eq!((policies("ISSUES").await.as_str(), policies("one").await.as_str()), ("1", "1"));
    db.recording.take();
    process.ensure_streams(&resource("one"), std::slice::from_ref(&new)).await.unwrap();
    assert_eq!(db.recording.statements(), [], "each process warns once");
    process.commit(put("one")).await.unwrap();
    assert_eq!(cell(&db, "SELECT COUNT(*)::VARCHAR AS N FROM DB.PUBLIC.\"ISSUES\"").await, "2");
}

/// How the transactions end of work in which the first INSERT of a state or run record meets no fence.
async fn ends_of_lost(work: impl AsyncFnOnce(Snowflake)) -> Vec<String> {
    let accept_all = AcceptAll::default();
    let (mut session, tries) = (MockSession::new(), Arc::new(AtomicUsize::new(0)));
    let is_lost = move |statement: &Statement| {
        let records = ["INSERT ALL", "INSERT INTO \"DB\".\"STATE\".\"SNOWFEED_RUN\" ("];
        records.iter().any(|begin| statement.sql.starts_with(begin)) && tries.fetch_add(1, Ordering::SeqCst) == 0
    };
    session.expect_execute().withf(is_lost).returning(|_| Ok(rows(vec![row(&[Some("0")])])));
    accept_all.complete(&mut session);
    let mut client = MockClient::new();
    client.expect_usage().returning(Usage::default);
    client.expect_open().times(1).return_once(move || Ok(Box::new(session)));
    let recording = RecordingClient::new(Arc::new(client));
    work(backend(recording.clone(), usize::MAX)).await;
    let sent = recording.statements().into_iter().map(|statement| statement.sql.into());
    sent.filter(|sql: &String| ["COMMIT", "ROLLBACK"].contains(&sql.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_transaction_ended_by_snowflake_is_retried_and_none_of_it_counts() {
    let ends = ends_of_lost(async |snowflake| {
        let version = snowflake.append(change(&resource("r"), StateVersion::NONE)).await.unwrap();
        assert_eq!(version, StateVersion(1));
    });
    assert_eq!(ends.await, ["ROLLBACK", "COMMIT"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_record_without_a_state_is_not_stored_outside_of_its_transaction() {
    let ends = ends_of_lost(async |snowflake| {
        let one = resource("r");
        snowflake.ensure_streams(&one, &crate::source::tables()).await.unwrap();
        let mut change = change(&one, StateVersion::NONE);
        change.state = None;
        let record = Record::upsert("1", Version(1), "{}");
        let part = StreamCommit::new("issues", change.run.as_ref().unwrap().id).records([record]).change(change);
        snowflake.commit(commit_of(&one, part)).await.unwrap();
    });
    assert_eq!(ends.await, ["ROLLBACK", "COMMIT"]);
}
