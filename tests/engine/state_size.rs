//! The state of a child stream does not grow with the number of parents.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{RunStatus, StateKey};

/// Parents with keys of 40 bytes, each with one child.
#[derive(Debug, Clone)]
struct Parents(usize);

#[async_trait]
impl Source for Parents {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("parents", "1.0.0")
            .stream(StreamSpec::new("parents"))
            .stream(StreamSpec::child("children", "parents").exact())
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Parents {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let record = |number: usize| Record::upsert(format!("{number:040}"), 0, "{}").parsed();
        if request.parent.is_some() {
            return stream::iter([Ok(Batch::new().record(record(1)))]).boxed();
        }
        let pages = (0..self.0).step_by(1_000);
        let end = self.0;
        stream::iter(pages).map(move |from| Ok(Batch::new().records((from..end.min(from + 1_000)).map(record)))).boxed()
    }
}

#[tokio::test]
async fn the_state_of_children_is_small_with_any_number_of_parents() {
    for parents in [10, 1_000, 10_000] {
        let memory = Memory::new();
        let connector = Connector::new(Parents(parents), Arc::new(memory.clone()));
        let all = Resource::new("all").unwrap();
        let report = connector.ingest(IngestRequest::new([all.clone()])).await.unwrap();
        assert_eq!(report.status(), RunStatus::Complete);
        assert_eq!(memory.rows(&all, "children").len(), parents);
        let history =
            snowfeed::StateStore::history(&memory, &StateKey::new("all", "children"), usize::MAX).await.unwrap();
        let size = |entry: &snowfeed::StateEntry| serde_json::to_string(&entry.state).unwrap().len();
        let largest = history.iter().map(size).max().unwrap();
        println!("{parents} parents: {} entries of at most {largest} bytes", history.len());
        assert!(largest <= 512, "{parents} parents: {largest} bytes");
    }
}
