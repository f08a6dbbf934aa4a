//! The engine as a library inside another program: it chooses the database, watches what happens, and uses the rows.
//!
//! ```sh
//! cargo run --example embed
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::json;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, EnableRequest, Event, IngestRequest};
use snowfeed::prelude::*;

/// A shop's orders and refunds; where they come from is the program's own business.
#[derive(Debug, Clone)]
struct Shop;

#[async_trait]
impl Source for Shop {
    fn spec(&self) -> SourceSpec {
        let orders = StreamSpec::new("orders")
            .column("id", "id", ColumnType::Integer)
            .column("customer", "customer.name", ColumnType::Text)
            .column("total", "total", ColumnType::Float);
        let refunds = StreamSpec::new("refunds")
            .column("order_id", "order", ColumnType::Integer)
            .column("reason", "reason", ColumnType::Text)
            .optional();
        SourceSpec::new("shop", "1.0.0").resource_kind("branch").stream(orders).stream(refunds)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Shop {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("north"), Resource::new("south")]).boxed()
    }

    /// Reads one of the two streams. Each has its own checkpoint: the next id to read.
    fn read(&self, request: ReadRequest) -> BatchStream {
        let first = request.checkpoint.map_or(Ok(1), |checkpoint| checkpoint.parse());
        let batch = first.and_then(|first: u32| {
            let last = if request.stream == "orders" { 300 } else { 20 };
            let records = (first..=last).map(|id| {
                let document = match request.stream.as_str() {
                    "orders" => json!({"id": id, "customer": {"name": "Ada"}, "total": f64::from(id) / 4.0}),
                    _ => json!({"id": id, "order": id * 15, "reason": "broken"}),
                };
                Record::upsert(id.to_string(), Version::NONE, document.to_string())
            });
            Ok(Batch::new().records(records).checkpoint(Checkpoint::new(&(last + 1))?))
        });
        stream::iter([batch]).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory =
        tempfile::tempdir().map_err(|error| Error::unavailable("no temporary folder").with_source(error))?;
    let database = Arc::new(Sqlite::open(directory.path().join("shop.db"))?);
    let connector = Connector::new(Shop, database.clone()).observer(|event: &Event| match event {
        Event::Started { resource, stream, mode, .. } => println!("{resource} ({stream}): started ({mode:?})"),
        Event::Committed { resource, stream, counts, .. } if counts.wrote() => {
            println!("{resource} ({stream}): {} new rows are visible", counts.inserted);
        }
        Event::Ended(run) => {
            println!("{} ({}): {:?} after {} ms", run.resource, run.stream, run.status, run.timings.total_ms);
        }
        _ => {}
    });

    let north = Resource::new("north")?;
    for resource in connector.discover().await? {
        connector.enable(EnableRequest::new(resource)).await?;
    }
    let report = connector.ingest(IngestRequest::default()).await?;
    println!("first: {} inserted", report.counts().inserted);

    // A stream that is added is read from its start; the orders go on from their checkpoint.
    connector.enable(EnableRequest::new(north.clone()).streams(["orders", "refunds"])).await?;
    let report = connector.ingest(IngestRequest::default()).await?;
    for run in &report.runs {
        println!("again: {} ({}): {} inserted", run.resource, run.stream, run.counts.inserted);
    }

    let preview = database.preview(&north, "orders", 2).await?;
    println!("{:?}\n{:?}", preview.columns, preview.rows);
    Ok(())
}
