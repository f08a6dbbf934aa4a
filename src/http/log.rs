use std::sync::Arc;

use async_trait::async_trait;
use tracing::Instrument;

use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::Result;
use crate::error::redact;
use crate::spans;

/// Logs the status of each response, and has a span for each attempt.
#[derive(Debug)]
pub(super) struct LogLayer {
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for LogLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let (host, port) = (request.url.host_str().unwrap_or_default(), request.url.port_or_known_default());
        let span = spans::request(request.method.as_str(), host, port, request.template.as_deref(), request.attempt);
        let response = self.inner.call(request).instrument(span.clone()).await;
        let response = response.inspect_err(|error| spans::fail(&span, error.kind()))?;
        let status = response.status;
        span.record("http.response.status_code", i64::from(status));
        span.record("bytes", spans::number(response.body.len() as u64));
        let is_allowed = request.allowed_statuses.contains(&status);
        if status >= 400 && !is_allowed {
            spans::fail(&span, status);
        }
        let (method, url) = (&request.method, redact(request.url.as_str()));
        tracing::debug!(%method, %url, status = response.status, "response received");
        Ok(response)
    }
}
