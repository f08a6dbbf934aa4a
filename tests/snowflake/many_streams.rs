//! A source with many streams of one record each.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;
use tokio::sync::Barrier;

/// All records have the same version. The reads that run at once end together.
#[derive(Debug, Clone)]
pub(crate) struct ManyStreams {
    count: usize,
    version: Arc<AtomicI64>,
    meet: Arc<Barrier>,
}

impl ManyStreams {
    pub(crate) fn new(count: usize, concurrency: usize) -> Self {
        Self { count, version: Arc::default(), meet: Arc::new(Barrier::new(concurrency)) }
    }

    /// Changes the record of each stream.
    pub(crate) fn change(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Source for ManyStreams {
    fn spec(&self) -> SourceSpec {
        let streams = (0..self.count).map(|number| StreamSpec::new(format!("stream_{number}")));
        streams.fold(SourceSpec::new("many_streams", "1"), SourceSpec::stream)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for ManyStreams {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let (version, meet) = (self.version.load(Ordering::SeqCst), self.meet.clone());
        stream::once(async move {
            meet.wait().await;
            let record = Record::upsert("1", Version(version), version.to_string());
            Ok(Batch::new().record(record).checkpoint(Checkpoint::new(&version)?))
        })
        .boxed()
    }
}
