//! A first ingestion of many rows, and its cost.

use std::sync::Arc;
use std::time::Instant;

use snowfeed::RunStatus;
use snowfeed::engine::{Connector, IngestRequest};

use crate::scene::{Scene, ask, cell};
use crate::source::{Issues, resource};
use crate::step::{Ended, ensure};

pub(crate) async fn run(scene: &Scene<'_>) -> Ended {
    let database = scene.database("BACKFILL").await?;
    let rows = scene.run.options.rows;
    let snowflake = scene.backend(&database)?;
    let connector = Connector::new(Issues::new(rows), Arc::new(snowflake.clone()));
    let began = Instant::now();
    let report = connector.ingest(IngestRequest::new([resource("backfill")])).await?;
    let took = began.elapsed();
    ensure!(report.status() == RunStatus::Complete, "the ingestion did not complete: {report:?}");
    let mut session = scene.session().await?;
    let count = format!("SELECT COUNT(*) AS N FROM {database}.PUBLIC.ISSUES");
    let found = cell(&ask(&mut *session, count).await?)?;
    ensure!(found == rows.to_string(), "of {rows} rows {found} are there");
    let spent = snowflake.usage();
    let mut notes = vec![format!(
        "{rows} rows of about 1 kB in {:.0} s: {} statements, {} bytes staged",
        took.as_secs_f64(),
        spent.statements,
        spent.staged_bytes
    )];
    match snowflake.warehouse_time().await {
        Ok(time) => notes.push(format!(
            "estimated from the execution times in QUERY_HISTORY: {:.1} s on the X-Small warehouse, {:.4} credits while it works; \
             {:.4} if it was awake all the time",
            time.total.as_secs_f64(),
            time.total.as_secs_f64() / 3600.0,
            took.as_secs_f64() / 3600.0
        )),
        Err(error) => notes.push(format!("QUERY_HISTORY does not tell the time on the warehouse: {error}")),
    }
    snowflake.close().await?;
    Ok(notes)
}
