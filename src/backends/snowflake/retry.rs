//! Another try for a transaction that others have got in the way of.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::{Result, Retry};

/// Does a piece of work that happens wholly or not at all, up to five times, as long as its error says that it is worth it. The
/// error that remains says that no outer layer need try again.
pub(super) async fn transaction<T, F: Future<Output = Result<T>>>(work: impl FnMut() -> F) -> Result<T> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(4)
        .with_jitter();
    let tried = work.retry(pauses).when(|error| error.retry() != Retry::Never);
    let tried = tried.notify(|error, pause| tracing::debug!(%error, ?pause, "a transaction is tried again"));
    tried.await.map_err(crate::Error::exhausted)
}
