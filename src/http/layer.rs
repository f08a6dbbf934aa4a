use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use url::Url;

use super::body_memory::MemoryPermit;
use super::response::Response;
use crate::error::redact;
use crate::{Monitor, Result};

/// Sends requests: the transport, or a layer around another service.
///
/// # Contract
///
/// * A service returns every response as it is, whatever its status; the outermost layers turn statuses into errors.
/// * A layer passes the request on as often as it needs to. What it changes in a request stays changed for later attempts.
/// * An error is retried according to its [advice](crate::Error::retry). A request that is not
///   [idempotent](HttpRequest::is_idempotent) is retried only where the transport failed to connect.
///
/// # Cancellation
///
/// Dropping the future ends the request. A service must not leave work behind.
#[async_trait]
pub trait HttpService: Send + Sync + fmt::Debug {
    /// Sends the request and returns the complete response.
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse>;
}

/// Wraps a service in another one; see [`Builder::layer`](super::Builder::layer).
pub trait Layer: Send + Sync {
    /// Returns a service that passes requests on to `inner`.
    fn layer(&self, inner: Arc<dyn HttpService>) -> Arc<dyn HttpService>;
}

/// A request on its way through the layers.
pub struct HttpRequest<'a> {
    pub(super) method: Method,
    /// The URL that the caller asked for; `url` differs after a redirect.
    pub(super) original_url: Url,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Parameters that only the transport adds to the URL, so that no log and no error has them.
    pub(super) secret_query: Vec<(String, SecretString)>,
    /// Whether the reader decides about responses with an error status.
    pub(super) allows_errors: bool,
    /// Whether a response of a rate limit is for the reader, too.
    pub(super) reads_limits: Option<LimitFilter>,
    /// The path with placeholders in place of values, for traces.
    pub(super) template: Option<String>,
    pub(super) monitor: &'a Monitor,
    /// Reads an accepted response; its errors may cause a retry.
    pub(super) reader: &'a mut (dyn FnMut(Response) -> Result<()> + Send),
    pub(super) allowed_statuses: Vec<u16>,
    pub(super) is_idempotent: bool,
    /// Gives up after this many attempts if a smaller response might succeed.
    pub(super) max_attempts_at_this_size: u32,
    /// Gives up at once if a web page, or nothing, comes in place of data.
    pub(super) fails_without_data: bool,
    /// The current attempt, counted from 1.
    pub(super) attempt: u32,
    /// The server certainly has not acted on the current attempt, so that even a POST may be retried.
    pub(super) is_untouched: bool,
    /// The credential was renewed after a 401; once per request is enough.
    pub(super) has_renewed_credential: bool,
    /// The request has to be sent again with its new credential.
    pub(super) send_again: bool,
    /// How many times a rate limit rejected this request.
    pub(super) times_throttled: u32,
    /// Time spent waiting for rate limits to end, of which there is a maximum.
    pub(super) waited: Duration,
    /// Time spent on rate limits, permits, pacing and memory; it does not count against the retry limits.
    pub(super) queued: Duration,
    pub(super) memory: Option<MemoryPermit>,
    /// Sees the headers of each response before its body is read.
    pub(super) on_headers: Option<HeaderListener>,
}

/// Decides by the status and the body whether a response of a rate limit is for the reader.
pub(super) type LimitFilter = Arc<dyn Fn(u16, &[u8]) -> bool + Send + Sync>;

/// Sees the headers of each response of a request.
pub(super) type HeaderListener = Arc<dyn Fn(&HeaderMap, &Monitor) + Send + Sync>;

impl HttpRequest<'_> {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URL of this attempt: after a redirect, not the original one.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The headers, apart from those of [`Builder::header`](super::Builder::header).
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The body.
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The current attempt, counted from 1. Attempts after a rate limit, a redirect or a renewed credential keep their number.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether sending the request twice does no harm: every GET, and a POST marked
    /// [idempotent](super::Request::idempotent).
    pub fn is_idempotent(&self) -> bool {
        self.is_idempotent
    }

    /// The monitor of the read that this request belongs to.
    pub fn monitor(&self) -> &Monitor {
        self.monitor
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &redact(self.url.as_str()))
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// A complete response of any status, before it is checked.
#[derive(Clone)]
pub struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl HttpResponse {
    /// A response, for a layer that answers a request itself.
    pub fn new(status: u16, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { status, headers, body: body.into() }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, without any credential in use.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, after decompression. For a status other than 2xx it may be cut short.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
