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

/// Does a piece of work that happens wholly or not at all, up to five times, as long as its error says that it is worth it. The
/// error that remains says that no outer layer need try again.
pub(super) async fn transaction<T, F: Future<Output = Result<T>>>(work: impl FnMut() -> F) -> Result<T> {
    TRANSACTION.run(work, Error::retry).await.map_err(Error::exhausted)
}

/// Pauses without end, ever longer and up to half a minute, between tries at what several programs do at once.
pub(super) fn backoff() -> impl Iterator<Item = Duration> {
    delays_with_jitter(Duration::from_millis(200), Duration::from_secs(30))
}

/// What an earlier try of a transaction would have given, had its COMMIT been answered. It may have happened all the same.
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
