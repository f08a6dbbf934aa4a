//! Work in a task of its own, which goes on while nothing polls what waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::{Error, Result};

/// The message of the error if a source panics.
pub(super) const SOURCE_PANICKED: &str = "the source panicked while it was read";

/// Work that has begun. Dropping it stops the work.
#[derive(Debug)]
pub(super) struct Task<T> {
    handle: AbortOnDropHandle<Result<T>>,
    panicked: &'static str,
}

impl<T: Send + 'static> Task<T> {
    /// Begins work at once, in the current span. If it panics, its result is an error with this message.
    pub(super) fn start(work: impl Future<Output = Result<T>> + Send + 'static, panicked: &'static str) -> Self {
        Self { handle: AbortOnDropHandle::new(tokio::spawn(work.in_current_span())), panicked }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let panicked = self.panicked;
        let ended = Pin::new(&mut self.handle).poll(context);
        ended.map(|ended| ended.unwrap_or_else(|panic| Err(Error::internal(panicked).with_source(panic))))
    }
}
