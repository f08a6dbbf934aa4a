//! Rows of the connector's own tables that a person has changed, beside those of [`bad_input`](crate::bad_input): each case ends
//! with the right tables, or with an error with advice, and everything else keeps working.

use std::sync::Arc;

use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{Mode, RunStatus, StateStore};

use crate::bad_input::{again, all_but_a_complete, cell, edit, ingested};
use crate::source::Issues;
use crate::support::{TestDatabase, key, resource};

/// How many rows each resource has in the view over all of them.
async fn shown(db: &TestDatabase) -> String {
    let select = "SELECT LISTAGG(c.\"N\", ' ') WITHIN GROUP (ORDER BY c.\"RESOURCE\") AS T FROM (SELECT i.\"RESOURCE\", \
                  COUNT(*)::VARCHAR AS \"N\" FROM DB.PUBLIC.\"ISSUES\" i GROUP BY i.\"RESOURCE\") c";
    cell(db, select).await
}

/// Ingests everything in another process, where nothing may fail and nothing may be missing.
async fn completes(db: &TestDatabase, source: &Issues, what: &str) {
    let (runs, said) = again(db, source).await;
    assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{what}: {said}");
    assert_eq!(shown(db).await, "2 2 2", "{what}");
}

#[tokio::test]
async fn a_fence_with_invalid_rows_blocks_no_run() {
    for edits in [
        "UPDATE STATE.\"SNOWFEED_FENCE/a\" SET \"TXN\" = 'mine', \"RUN\" = 'mine'",
        "INSERT INTO STATE.\"SNOWFEED_FENCE/a\" SELECT 'mine', 'mine'",
    ] {
        let (db, source) = ingested().await;
        edit(&db, edits).await;
        completes(&db, &source, edits).await;
    }
}

#[tokio::test]
async fn invalid_rows_of_reconcile_runs_and_rejects_change_no_table() {
    for edits in [
        "INSERT INTO STATE.\"SNOWFEED_SEEN\" (\"RUN\", \"RESOURCE\", \"STREAM\", \"KEY\") SELECT 'no run', 'a', 'issues', '1'",
        "INSERT INTO STATE.\"REJECTED_RECORD\" (\"RESOURCE\", \"STREAM\", \"REASON\", \"RAW\", \"HASH\") SELECT 'a', 'issues', 'mine', '{oops', 'x'",
        "DELETE FROM STATE.\"SNOWFEED_RUN\"",
    ] {
        let (db, source) = ingested().await;
        edit(&db, edits).await;
        completes(&db, &source, edits).await;
    }
}

#[tokio::test]
async fn a_missing_or_wrong_catalog_row_is_restored() {
    for edits in [
        "DELETE FROM STATE.\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = 'a'",
        "UPDATE STATE.\"SNOWFEED_TABLE\" SET \"MADE_FROM\" = 'mine' WHERE \"RESOURCE\" = ''",
        "DELETE FROM STATE.\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = ''",
    ] {
        let (db, source) = ingested().await;
        edit(&db, edits).await;
        completes(&db, &source, edits).await;
    }
}

#[tokio::test]
async fn an_unreadable_connector_setting_stops_all_and_names_its_table_and_key() {
    for (value, document) in [("NULL", "'{oops'"), ("PARSE_JSON('5')", "'5'")] {
        let (db, source) = ingested().await;
        edit(
            &db,
            &format!(
                "INSERT INTO STATE.\"APP_CONFIGURATION\" (\"KEY\", \"VALUE\", \"DOCUMENT\") SELECT 'config', {value}, {document}"
            ),
        )
        .await;
        let connector = Connector::new(source.clone(), Arc::new(db.another_process()));
        let error = connector.ingest(IngestRequest::default()).await.unwrap_err();
        let said = format!("{error}; {}", error.help().unwrap_or_default());
        assert!(said.contains("APP_CONFIGURATION") && said.contains("config"), "{document}: {said}");
        edit(&db, "DELETE FROM STATE.\"APP_CONFIGURATION\" WHERE \"KEY\" = 'config'").await;
        completes(&db, &source, document).await;
    }
}

#[tokio::test]
async fn an_edited_data_row_is_corrected_by_the_next_change_or_a_reset() {
    for edits in ["UPDATE STATE_RAW.\"a\" SET \"DOCUMENT\" = '{oops', \"RAW\" = NULL", "DELETE FROM STATE_RAW.\"a\""] {
        let (db, source) = ingested().await;
        edit(&db, &edits.replace("STATE_RAW", &format!("\"{}\".PUBLIC_RAW", db.database))).await;
        let (runs, said) = again(&db, &source).await;
        assert!(runs.iter().all(|(_, status)| *status == RunStatus::Complete), "{edits}: {said}");
        let connector = Connector::new(source.clone(), Arc::new(db.another_process()));
        connector.reset(&resource("a")).await.unwrap();
        completes(&db, &source, edits).await;
    }
}

/// A merge updates every row of a key, and a view shows each.
#[tokio::test]
async fn a_duplicate_data_row_fails_a_reconcile_run_with_help() {
    let (db, source) = ingested().await;
    let raw = format!("\"{}\".PUBLIC_RAW.\"a\"", db.database);
    edit(&db, &format!("INSERT INTO {raw} SELECT * FROM {raw} LIMIT 1")).await;
    let connector = Connector::new(source.clone(), Arc::new(db.another_process()));
    let reconcile = || connector.ingest(IngestRequest::default().mode(Mode::Reconcile));
    let runs = reconcile().await.unwrap();
    let failed: Vec<_> =
        runs.runs.iter().filter_map(|run| Some((run.resource.as_str(), run.error.as_ref()?))).collect();
    let [("a", error)] = failed[..] else { panic!("{runs:?}") };
    let said = format!("{error:?}");
    let repair = said.split_once("INSERT OVERWRITE").map(|(_, rest)| format!("INSERT OVERWRITE{rest}")).unwrap();
    assert!(repair.contains("QUALIFY") && repair.contains(r#"PUBLIC_RAW"#), "{said}");
    // The imitation lacks INSERT OVERWRITE: the same in two statements.
    let kept = format!("\"{}\".PUBLIC_RAW.KEPT", db.database);
    edit(&db, &format!("CREATE TABLE {kept} AS SELECT DISTINCT * FROM {raw}")).await;
    edit(&db, &format!("DELETE FROM {raw}")).await;
    edit(&db, &format!("INSERT INTO {raw} SELECT * FROM {kept}")).await;
    assert!(reconcile().await.unwrap().runs.iter().all(|run| run.status == RunStatus::Complete));
    assert_eq!(shown(&db).await, "2 2 2");
}

#[tokio::test]
async fn duplicate_and_extreme_state_versions_affect_no_other_resource() {
    for edits in [
        "INSERT INTO STATE.\"APP_STATE\" SELECT * FROM STATE.\"APP_STATE\" WHERE \"KEY\" = 'a'",
        "INSERT INTO STATE.\"APP_STATE\" (\"KEY\", \"STREAM\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\") SELECT 'a', 'issues', NULL, 9223372036854775807, '2026-01-01T00:00:00Z', '{}'",
    ] {
        let (db, source) = ingested().await;
        edit(&db, edits).await;
        let (runs, said) = again(&db, &source).await;
        let complete = runs.iter().all(|(_, status)| *status == RunStatus::Complete);
        assert!(complete || runs == all_but_a_complete() && said.contains("APP_STATE"), "{edits}: {said}");
        assert!(db.snowflake.latest(&key("b")).await.is_ok());
    }
}
