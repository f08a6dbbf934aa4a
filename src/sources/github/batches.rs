//! Reads as streams of batches.

use std::future::Future;

use async_trait::async_trait;
use futures::TryFutureExt;
use futures::stream::{self, StreamExt};

use crate::{Batch, BatchStream, Result};

/// A read under way.
#[async_trait]
pub(super) trait Batches: Send + 'static {
    /// Returns the next batch; `None` at the end.
    async fn next(&mut self) -> Result<Option<Batch>>;
}

/// The stream of a read. Nothing happens before it is polled, and nothing runs in the background.
pub(super) fn stream<B: Batches>(opened: impl Future<Output = Result<B>> + Send + 'static) -> BatchStream {
    let batches = opened.map_ok(|read| {
        stream::try_unfold(read, |mut read| async move { Ok(read.next().await?.map(|batch| (batch, read))) })
    });
    batches.try_flatten_stream().boxed()
}
