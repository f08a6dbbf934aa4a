//! What runs record as their cost, and what the account says.

use std::sync::Arc;

use snowfeed::cost::Credits;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement};
use snowfeed::{ErrorKind, RunRecord, RunStatus};

use crate::source::Issues;
use crate::support::{TestDatabase, resource};

/// A minute of an X-Small warehouse.
const MINUTE: Credits = Credits::from_micros(16_666);

fn connector(db: &TestDatabase, source: &Issues) -> Connector {
    Connector::new(source.clone(), Arc::new(db.snowflake.clone()))
}

async fn ingest(connector: &Connector, name: &str) -> RunRecord {
    let mut report = connector.ingest(IngestRequest::new([resource(name)])).await.unwrap();
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    report.runs.remove(0)
}

#[tokio::test]
async fn runs_divide_the_time_that_the_warehouse_is_awake() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    let connector = connector(&db, &source);
    connector.set_budget(Some("1/month".parse().unwrap())).await.unwrap();
    let mut sum = Credits::ZERO;
    for last in 2..5 {
        source.page("r", 1..last);
        let run = ingest(&connector, "r").await;
        sum += run.credits;
        match last {
            2 => assert!(run.credits >= MINUTE, "the first one wakes the warehouse: {}", run.credits),
            _ => assert!(run.credits > Credits::ZERO && run.credits < MINUTE, "it was awake: {}", run.credits),
        }
        let recorded = connector.runs(snowfeed::RunQuery::new(1)).await.unwrap().remove(0);
        assert_eq!(recorded.credits, run.credits);
    }
    let another = Connector::new(source, Arc::new(db.another_process()));
    let used = another.budget().await.unwrap().unwrap();
    assert_eq!((used.used, used.paused_until), (sum, None), "every program knows it");
    assert!(db.snowflake.credits() >= sum);
}

#[tokio::test]
async fn an_idle_cycle_keeps_no_warehouse_awake() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    source.page("r", 1..3);
    let connector = connector(&db, &source);
    ingest(&connector, "r").await;
    source.page("r", 1..4);
    ingest(&connector, "r").await;
    let awake = async || {
        connector.ingest(IngestRequest::default()).await.unwrap();
        db.snowflake.usage().awake_ms
    };
    // The ingestion with a commit has asked again for the states, so that they are in the result cache.
    let first = db.snowflake.usage().awake_ms;
    assert_eq!([awake().await, awake().await], [first, first]);
}

#[tokio::test]
async fn a_used_budget_stops_the_next_ingestion() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    let connector = connector(&db, &source);
    source.page("r", 1..3);
    connector.set_budget(Some("0.001/day".parse().unwrap())).await.unwrap();
    let first = ingest(&connector, "r").await;
    assert!(first.credits >= MINUTE);
    source.page("r", 1..4);
    db.recording.take();
    let another = Connector::new(source, Arc::new(db.another_process()));
    let error = another.ingest(IngestRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    let sent = db.recording.statements();
    assert!(sent.len() <= 2 && sent.iter().all(|statement| statement.sql.starts_with("SELECT")), "{sent:?}");
    another.set_budget(None).await.unwrap();
    assert_eq!(ingest(&another, "r").await.counts.inserted, 1);
}

/// The tags of the connector's own statements, and those of others, with a price, as the account would show them.
#[tokio::test]
async fn the_account_attributes_its_credits_by_the_tags_of_statements() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    source.page("acme/it's \"odd\"", 1..3);
    let execute = async |sql: String| db.execute(Statement::new(Sql::assert_safe(sql))).await.unwrap();
    ingest(&connector(&db, &source), "acme/it's \"odd\"").await;
    let tags: Vec<String> = db.recording.take().into_iter().filter_map(|call| Some(call.tag?.to_string())).collect();

    let error = db.snowflake.cost_history(30).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.help().unwrap().contains("GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER"), "{error:?}");

    let usage = "\"SNOWFLAKE\".\"ACCOUNT_USAGE\".\"QUERY_ATTRIBUTION_HISTORY\"";
    execute("CREATE DATABASE SNOWFLAKE".to_owned()).await;
    execute("CREATE SCHEMA SNOWFLAKE.ACCOUNT_USAGE".to_owned()).await;
    execute(format!(
        "CREATE TABLE {usage} (\"QUERY_TAG\" VARCHAR, \"START_TIME\" TIMESTAMP_TZ, \"CREDITS_ATTRIBUTED_COMPUTE\" FLOAT, \
         \"CREDITS_USED_QUERY_ACCELERATION\" FLOAT)"
    ))
    .await;
    let others = ["{\"app\":\"snowfeed\",\"database\":\"OTHER\"}", "{\"app\":\"snowfeed\"", "dbt"].map(str::to_owned);
    for tag in tags.iter().chain(&others) {
        let insert = format!(
            "INSERT INTO {usage} SELECT ?, CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_TZ), CAST(0.001 AS FLOAT), CAST(NULL AS FLOAT)"
        );
        db.execute(Statement::new(Sql::assert_safe(insert)).bind(tag.as_str())).await.unwrap();
    }
    let old = format!("INSERT INTO {usage} SELECT ?, CAST('2020-01-01 00:00:00 +00:00' AS TIMESTAMP_TZ), 1.0, 1.0");
    db.execute(Statement::new(Sql::assert_safe(old)).bind(tags[0].as_str())).await.unwrap();

    for _ in 0..2 {
        let days = db.snowflake.cost_history(30).await.unwrap();
        let statements: u64 = days.iter().map(|day| day.statements).sum();
        assert_eq!(statements, tags.len() as u64, "all of the connector's, and no other: {days:?}");
        let credits: Credits = days.iter().map(|day| day.credits).sum();
        assert_eq!(credits.micros(), 1_000 * tags.len() as u64);
        let of_stream = days.iter().filter(|day| day.stream.as_deref() == Some("issues")).collect::<Vec<_>>();
        assert_eq!(of_stream.len(), 1, "{days:?}");
        assert_eq!(of_stream[0].resource.as_deref(), Some("acme/it's \"odd\""));
    }
    let view = format!("SELECT COUNT(*) AS \"N\" FROM \"{}\".\"STATE\".\"CONNECTOR_COST\"", db.database);
    let rows = db.execute(Statement::new(Sql::assert_safe(view))).await.unwrap().rows;
    assert!(rows[0].integer(0).unwrap() >= 3, "with the statement of 2020");
}
