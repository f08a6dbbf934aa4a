//! Another try for a transaction that others have got in the way of.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::net::delays_with_jitter;
use crate::{Error, Result, RetryConfig};

const TRANSACTION: RetryConfig = RetryConfig {
    max_attempts: 5,
    timeout: Duration::MAX,
    first_delay: Duration::from_millis(50),
    max_delay: Duration::from_secs(5),
};

/// Runs a transaction up to five times, as long as its error is worth a retry. The final error tells outer layers not to retry.
pub(super) async fn transaction<T, F: Future<Output = Result<T>>>(work: impl FnMut() -> F) -> Result<T> {
    TRANSACTION.run(work, Error::retry).await.map_err(Error::exhausted)
}

/// Endless delays of up to half a minute, between attempts at work for which several programs compete.
pub(super) fn backoff() -> impl Iterator<Item = Duration> {
    delays_with_jitter(Duration::from_millis(200), Duration::from_secs(30))
}

/// The value of an earlier attempt whose COMMIT got no response. It may have been committed.
#[derive(Debug)]
pub(super) struct UnknownOutcome<T>(Mutex<Option<T>>);

impl<T> UnknownOutcome<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn set(&self, given: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
