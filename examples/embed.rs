//! The engine as a library inside another program: it chooses the database, watches what happens, and uses the rows.
//!
//! ```sh
//! cargo run --example embed
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, EnableRequest, Event, IngestRequest};
use snowfeed::prelude::*;

/// A shop's orders; where they come from is the program's own business.
#[derive(Debug, Clone)]
struct Orders;

#[async_trait]
impl Source for Orders {
    fn spec(&self) -> SourceSpec {
        let orders = StreamSpec::new("orders")
            .column("id", "id", ColumnType::Integer)
            .column("customer", "customer.name", ColumnType::Text)
            .column("total", "total", ColumnType::Float);
        SourceSpec::new("shop", "1.0.0").resource_kind("branch").stream(orders)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Orders {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("north"), Resource::new("south")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let first = request.checkpoint.map_or(Ok(1), |checkpoint| checkpoint.parse());
        let batch = first.and_then(|first: u32| {
            let last = 300;
            let orders = (first..=last).map(|id| {
                let order = serde_json::json!({"id": id, "customer": {"name": "Ada"}, "total": f64::from(id) / 4.0});
                Record::upsert(id.to_string(), Version::NONE, order.to_string())
            });
            Ok(Batch::new("orders").records(orders).checkpoint(Checkpoint::new(&(last + 1))?))
        });
        stream::iter([batch]).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory =
        tempfile::tempdir().map_err(|error| Error::unavailable("no temporary folder").with_source(error))?;
    let database = Arc::new(Sqlite::open(directory.path().join("shop.db"))?);
    let connector = Connector::new(Orders, database.clone()).observer(|event: &Event| match event {
        Event::Started { resource, mode, .. } => println!("{resource}: started ({mode:?})"),
        Event::Committed { resource, counts, .. } if counts.wrote() => {
            println!("{resource}: {} new rows are visible", counts.inserted);
        }
        Event::Ended(run) => println!("{}: {:?} after {} ms", run.resource, run.status, run.timings.total_ms),
        _ => {}
    });

    for resource in connector.discover().await? {
        connector.enable(EnableRequest::new(resource.clone())).await?;
    }
    let report = connector.ingest(IngestRequest::default()).await?;
    println!("first: {} inserted", report.counts().inserted);

    let report = connector.ingest(IngestRequest::default()).await?;
    println!("again: {} inserted, the checkpoints are kept", report.counts().inserted);

    let preview = database.preview(&Resource::new("north")?, "orders", 2).await?;
    println!("{:?}\n{:?}", preview.columns, preview.rows);
    Ok(())
}
