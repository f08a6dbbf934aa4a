use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderValue;

use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::Result;
use crate::error::{REDACTED, redact_known};

/// Removes credentials in use from response headers: a server may repeat them.
#[derive(Debug)]
pub(super) struct RedactLayer {
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for RedactLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        let mut response = self.inner.call(request).await?;
        for value in response.headers.values_mut() {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Cow::Owned(redacted) = redact_known(&text) {
                *value = HeaderValue::try_from(redacted).unwrap_or(HeaderValue::from_static(REDACTED));
            }
        }
        Ok(response)
    }
}
