//! Retries requests that brought no answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use http::Extensions;
use reqwest::Request;
use reqwest_middleware::{Middleware, Next};
use tracing::Instrument;

use crate::spans;
use crate::{Error, Retry, RetryConfig};

/// Wraps an error for the layers of the middleware.
pub(super) fn into_middleware(error: Error) -> reqwest_middleware::Error {
    reqwest_middleware::Error::middleware(error)
}

/// Unwraps it. Every error of the layers below has passed the classifier; anything else is a bug in their order.
pub(super) fn into_error(error: reqwest_middleware::Error) -> Error {
    match error {
        reqwest_middleware::Error::Middleware(error) => {
            error.downcast().unwrap_or_else(|_| Error::internal("a request failed without being classified"))
        }
        reqwest_middleware::Error::Reqwest(error) => {
            Error::internal("a request could not be made").with_source(error.without_url())
        }
    }
}

/// Retries a request without a response within its [`RetryConfig`].
///
/// Retrying a statement is safe: the request id is the same, and Snowflake recognizes it. A response of Snowflake is final.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryMiddleware(pub(super) RetryConfig);

/// The number of the attempt, for the layers below.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// How many came before it.
    pub(super) before: u32,
    /// The HTTP status that the last one failed with; 0 when there was none.
    pub(super) reason: u16,
    /// When the first one began, in milliseconds since 1970.
    pub(super) began: u128,
}

/// The status of a response that is not one, for the next attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastStatus(pub(super) u16);

#[async_trait]
impl Middleware for RetryMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut attempts = self.0.start();
        let mut before = 0;
        loop {
            let reason = extensions.remove::<LastStatus>().map_or(0, |status| status.0);
            extensions.insert(Attempt { before, reason, began });
            // A body that cannot be cloned is sent once; this crate sends no such body.
            let Some(copy) = request.try_clone() else {
                return next.run(request, extensions).await;
            };
            let error = match next.clone().run(copy, extensions).await {
                Ok(response) => return Ok(response),
                Err(error) => into_error(error),
            };
            let advice = error.retry();
            if advice == Retry::Never {
                return Err(into_middleware(error));
            }
            let Some(delay) = attempts.next(advice, Duration::ZERO) else {
                let error = error.with_context("attempts", before + 1).exhausted();
                return Err(into_middleware(error));
            };
            before += 1;
            tracing::debug!(attempt = before, delay_ms = delay.as_millis(), %error, "retrying a request");
            tokio::time::sleep(delay).instrument(spans::wait("retry")).await;
        }
    }
}
