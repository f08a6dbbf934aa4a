use std::sync::Arc;

use async_trait::async_trait;

use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::Result;
use crate::error::redact;

/// Logs the status of each response.
#[derive(Debug)]
pub(super) struct LogLayer {
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for LogLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let response = self.inner.call(request).await?;
        let (method, url) = (&request.method, redact(request.url.as_str()));
        tracing::debug!(%method, %url, status = response.status, "response received");
        Ok(response)
    }
}
