//! GitHub's issues as two streams, each with a table, a checkpoint and runs of its own.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::VerifyRequest;
use snowfeed::prelude::*;
use snowfeed::sources::github::GithubIssues;

/// The streams: both read the same list.
pub(super) const STREAMS: [&str; 2] = ["issues", "mirror"];

/// One of the two streams.
pub(super) type StreamIndex = usize;

/// Reads the issues of a repository as two streams.
#[derive(Debug)]
pub(super) struct MirroredIssues {
    source: GithubIssues,
    /// The stream that fails after its first batch, if any.
    failing: Option<StreamIndex>,
}

impl MirroredIssues {
    pub(super) fn new(failing: Option<StreamIndex>) -> Self {
        Self { source: GithubIssues::default(), failing }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Source for MirroredIssues {
    fn spec(&self) -> SourceSpec {
        let mut spec = self.source.spec();
        spec.streams.retain(|stream| stream.name == STREAMS[0]);
        let mut mirror = spec.streams[0].clone();
        mirror.name = STREAMS[1].to_owned();
        spec.stream(mirror)
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(MirroredReader {
            reader: self.source.connect(settings, context).await?.into(),
            failing: self.failing,
        }))
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        self.source.resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.source.identity(checkpoint)
    }

    fn subject(&self, _: &str, text: &str) -> Option<String> {
        self.source.subject(STREAMS[0], text)
    }
}

#[derive(Debug)]
struct MirroredReader {
    reader: Arc<dyn Reader>,
    failing: Option<StreamIndex>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Reader for MirroredReader {
    async fn check(&self) -> Result<()> {
        self.reader.check().await
    }

    fn discover(&self) -> ResourceStream {
        self.reader.discover()
    }

    fn read(&self, mut request: ReadRequest) -> BatchStream {
        let fails = self.failing.is_some_and(|failing| STREAMS[failing] == request.stream);
        request.stream = STREAMS[0].to_owned();
        let batches = self.reader.read(request);
        if !fails {
            return batches;
        }
        batches.take(1).chain(stream::iter([Err(Error::unavailable("the stream fails"))])).boxed()
    }

    async fn verify(&self, mut request: VerifyRequest) -> Result<Vec<Record>> {
        request.stream = STREAMS[0].to_owned();
        self.reader.verify(request).await
    }
}
