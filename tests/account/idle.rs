//! Ingestions without changes, and the cache that answers them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snowfeed::RunStatus;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::Client;

use crate::ledger::Watched;
use crate::scene::{Scene, ask};
use crate::source::{Issues, resource};
use crate::step::{Ended, Stop, ensure};

/// The number of polls without changes.
const POLLS: u64 = 5;

/// The maximum number of statements per poll, for any number of resources.
const STATEMENTS: u64 = 2;

/// How long a statement may take to appear in the history.
const HISTORY: Duration = Duration::from_secs(120);

/// Ingests some resources, then polls, and counts the statements of each poll.
async fn poll(scene: &Scene<'_>, suffix: &str) -> Result<(String, Watched, Vec<u64>), Stop> {
    let database = scene.database(suffix).await?;
    let source = Issues::new(20);
    let all: Vec<_> = (0..10).map(|number| resource(&format!("idle {number}"))).collect();
    let first = Connector::new(source.clone(), Arc::new(scene.backend(&database)?));
    let report = first.ingest(IngestRequest::new(all)).await?;
    ensure!(report.status() == RunStatus::Complete, "the first ingestion did not complete: {report:?}");
    let client = scene.client_in(&database)?;
    let connector = Connector::new(source, Arc::new(scene.backend_over(client.clone(), &database)));
    let mut counts = Vec::new();
    for _ in 0..=POLLS {
        let before = client.usage().statements;
        let report = connector.ingest(IngestRequest::default()).await?;
        ensure!(report.counts().inserted == 0, "a poll found changes: {report:?}");
        counts.push(client.usage().statements - before);
    }
    Ok((database, client, counts))
}

/// The number of statements per poll.
pub(crate) async fn polls(scene: &Scene<'_>) -> Ended {
    let (_, _, counts) = poll(scene, "IDLE").await?;
    let most = counts[1..].iter().max().copied().unwrap_or_default();
    ensure!(most <= STATEMENTS, "polls of 10 idle resources took {counts:?} statements");
    Ok(vec![format!(
        "statements of {} polls of 10 idle resources: {counts:?}; the first one reads the catalog",
        POLLS + 1
    )])
}

/// Whether polls were answered without a warehouse.
pub(crate) async fn result_cache(scene: &Scene<'_>) -> Ended {
    let (database, client, counts) = poll(scene, "RESULT_CACHE").await?;
    let selects: Vec<String> = client
        .session_ids()
        .iter()
        .map(|session| {
            format!(
                "SELECT LEFT(QUERY_TEXT, 60) AS T, WAREHOUSE_SIZE, BYTES_SCANNED, EXECUTION_TIME, START_TIME FROM \
                 TABLE({database}.INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(SESSION_ID => {session}, RESULT_LIMIT => 1000)) \
                 WHERE QUERY_TEXT LIKE 'SELECT %'"
            )
        })
        .collect();
    let history = format!("{} ORDER BY START_TIME", selects.join(" UNION ALL "));
    let mut session = scene.session().await?;
    let (began, wanted) = (Instant::now(), counts.iter().sum::<u64>());
    let rows = loop {
        let rows = ask(&mut *session, &history).await?.rows;
        if rows.len() as u64 >= wanted || began.elapsed() > HISTORY {
            break rows;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    ensure!(rows.len() as u64 >= wanted, "after {HISTORY:?} the history has {} of {wanted} statements", rows.len());
    // The first poll also reads the catalog, with a different statement; the second one puts its own results into the cache.
    let first = usize::try_from(counts[0] + counts[1]).unwrap_or(usize::MAX);
    let mut notes = vec![format!("the history had all statements after {} s", began.elapsed().as_secs())];
    let mut on_a_warehouse = 0;
    for row in rows.iter().skip(first) {
        let text =
            |column: usize| Ok::<_, snowfeed::Error>(row.get(column)?.map_or("null".into(), ToString::to_string));
        let (size, bytes) = (text(1)?, text(2)?);
        on_a_warehouse += usize::from(size != "null");
        notes.push(format!("`{} …`: warehouse {size}, {bytes} bytes scanned, {} ms", text(0)?, text(3)?));
    }
    notes.dedup();
    ensure!(
        on_a_warehouse == 0,
        "{on_a_warehouse} statements of idle polls ran on the warehouse: {}",
        notes.join("; ")
    );
    Ok(notes)
}
