use std::sync::Arc;

use async_trait::async_trait;

use super::error;
use super::layer::{HttpRequest, HttpResponse, HttpService};
use super::rate_limit;
use crate::net::millis;
use crate::{ErrorKind, Result, Retry, RetryConfig};

/// Retries a request within its [`RetryConfig`].
#[derive(Debug)]
pub(super) struct RetryLayer {
    pub(super) config: RetryConfig,
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for RetryLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let mut attempts = self.config.start();
        loop {
            request.attempt = attempts.made;
            request.is_untouched = false;
            let error = match self.inner.call(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let is_too_large = attempts.made >= request.max_attempts_at_this_size && error::may_depend_on_size(&error);
            let is_success = error.status().is_some_and(|status| (200..300).contains(&status));
            let lacks_data = request.fails_without_data && error.kind() == ErrorKind::InvalidData && is_success;
            let may_retry = (request.is_idempotent || request.is_untouched) && !is_too_large && !lacks_data;
            let advice = if may_retry { error.retry() } else { Retry::Never };
            let Some(delay) = attempts.next(advice, request.queued) else {
                let error = if attempts.made > 1 { error.with_context("attempts", attempts.made) } else { error };
                return Err(error.exhausted());
            };
            tracing::debug!(%error, delay_ms = millis(delay), "retrying");
            let reason = format!("before trying again: {}", error.message());
            rate_limit::pause(request.monitor, "retry", reason, delay).await;
        }
    }
}
