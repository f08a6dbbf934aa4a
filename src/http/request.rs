use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use serde::Serialize;
use url::Url;

use super::classify::MAX_VALIDATOR;
use super::client::Client;
use super::error;
use super::layer::{HttpRequest, LimitFilter};
use super::links;
use super::response::Response;
use crate::error::redact;
use crate::{Error, Monitor, Result};

/// A request, to be sent with [`send`](Self::send) or [`send_with`](Self::send_with).
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    url: Result<Url>,
    template: Option<String>,
    if_none_match: Option<HeaderValue>,
    headers: Result<HeaderMap>,
    body: Option<Body>,
    allows_errors: bool,
    reads_limits: Option<LimitFilter>,
    allowed_statuses: Vec<u16>,
    is_idempotent: bool,
    max_attempts_at_this_size: u32,
    fails_without_data: bool,
}

/// What a request sends.
struct Body {
    content_type: &'static str,
    bytes: Result<Bytes>,
}

impl Request {
    pub(super) fn new(client: Client, method: Method, path_or_url: &str) -> Self {
        let url = links::resolve(&client.0.base, path_or_url);
        let is_idempotent = method == Method::GET;
        Self {
            client,
            method,
            url,
            template: None,
            if_none_match: None,
            headers: Ok(HeaderMap::new()),
            body: None,
            allows_errors: false,
            reads_limits: None,
            allowed_statuses: Vec::new(),
            is_idempotent,
            max_attempts_at_this_size: u32::MAX,
            fails_without_data: false,
        }
    }

    /// Appends parameters to the query of the URL, percent-encoded.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        if let Ok(url) = &mut self.url
            && !pairs.is_empty()
        {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Names the request in traces by its path with placeholders in place of values, such as `orgs/{org}/members`. Without it, traces show
    /// no part of the path, which may have values of records.
    pub fn template(mut self, path: impl Into<String>) -> Self {
        self.template = Some(path.into());
        self
    }

    /// Makes the request conditional on this [entity tag](Response::etag); the response may then be
    /// [not modified](Response::is_not_modified). A tag that is longer than 1 KiB or cannot be sent is omitted.
    pub fn if_none_match(mut self, etag: &str) -> Self {
        let is_short = etag.len() <= MAX_VALIDATOR;
        self.if_none_match = is_short.then(|| HeaderValue::try_from(etag).ok()).flatten();
        self
    }

    /// Sets a header of this request, instead of the client's own one of that name. A name or a value that cannot be sent is a
    /// `Configuration` error when the request is sent.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(headers) = &mut self.headers {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => {
                    let error = Error::configuration(format!("the header {name:?} cannot be sent"));
                    self.headers = Err(error.with_help("check its name and its value for stray characters"));
                }
            }
        }
        self
    }

    /// Sends `value` as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).map(Bytes::from);
        let bytes = json.map_err(|error| Error::internal("the request cannot be written as JSON").with_source(error));
        self.body = Some(Body { content_type: "application/json", bytes });
        self
    }

    /// Sends these pairs as a form, percent-encoded, as servers of OAuth 2 expect.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body = Some(Body { content_type: "application/x-www-form-urlencoded", bytes: Ok(form.into()) });
        self
    }

    /// Returns these statuses as a [`Response`] instead of an error or a redirect, such as 404, 410 and 301 for an item
    /// that may have been deleted. A success that is named need not be data: it may be empty. Responses of a rate limit are not
    /// returned.
    pub fn allow_status(mut self, statuses: &[u16]) -> Self {
        self.allowed_statuses.extend_from_slice(statuses);
        self
    }

    /// Returns responses with an error status, too, unless they are of a rate limit: the reader decides what they mean, with
    /// [`Response::rejection`] where the description says nothing.
    #[cfg(feature = "rest")]
    pub(crate) fn allow_errors(mut self) -> Self {
        self.allows_errors = true;
        self
    }

    /// Returns those responses of a rate limit for which `filter` is true of the status and the body: they mean something else.
    #[cfg(feature = "rest")]
    pub(crate) fn read_limits(mut self, filter: impl Fn(u16, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.reads_limits = Some(std::sync::Arc::new(filter));
        self
    }

    /// Marks a POST as idempotent, so that it is retried like a GET even if the server may have acted on it.
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// Gives up after this many attempts, where the client's [`RetryConfig`](crate::RetryConfig) allows more, if a
    /// [smaller page might succeed](error::may_depend_on_size).
    #[cfg(feature = "github")]
    pub(crate) fn max_attempts_at_this_size(mut self, attempts: u32) -> Self {
        self.max_attempts_at_this_size = attempts.max(1);
        self
    }

    /// Fails at once, without a retry, if a web page, or nothing, comes in place of data: for checks that a person waits for.
    #[cfg(feature = "github")]
    pub(crate) fn fail_without_data(mut self) -> Self {
        self.fails_without_data = true;
        self
    }

    /// Sends the request, and retries it within the client's [`RetryConfig`](crate::RetryConfig).
    ///
    /// # Errors
    ///
    /// See the [module](super). An error that was retried in vain is [exhausted](Error::exhausted).
    pub async fn send(self, monitor: &Monitor) -> Result<Response> {
        self.send_with(monitor, Ok).await
    }

    /// Sends the request until `read` accepts the response.
    ///
    /// An `InvalidData` error of `read` about a 2xx response that is not JSON counts as a fault on the way, such as a body cut
    /// short, and is retried; so is any error with [retry advice](Error::retry). Others end the request: complete JSON of an
    /// unexpected shape will have that shape again. Where it is an object with a message, the error repeats the message.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and those of `read`.
    pub async fn send_with<T: Send>(
        self,
        monitor: &Monitor,
        mut read: impl FnMut(Response) -> Result<T> + Send,
    ) -> Result<T> {
        let url = self.url?;
        let mut headers = self.headers?;
        if let Some(etag) = self.if_none_match {
            headers.insert(IF_NONE_MATCH, etag);
        }
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        }
        let mut value = None;
        let mut reader = |response: Response| read(response).map(|read| value = Some(read));
        let mut request = HttpRequest {
            method: self.method,
            url: url.clone(),
            original_url: url.clone(),
            headers,
            body: self.body.map(|body| body.bytes).transpose()?,
            secret_query: Vec::new(),
            allows_errors: self.allows_errors,
            reads_limits: self.reads_limits,
            template: self.template,
            monitor,
            reader: &mut reader,
            allowed_statuses: self.allowed_statuses,
            is_idempotent: self.is_idempotent,
            max_attempts_at_this_size: self.max_attempts_at_this_size,
            fails_without_data: self.fails_without_data,
            attempt: 1,
            is_untouched: false,
            has_renewed_credential: false,
            send_again: false,
            times_throttled: 0,
            waited: Duration::ZERO,
            queued: Duration::ZERO,
            memory: None,
            on_headers: None,
        };
        let outcome = self.client.0.service.call(&mut request).await;
        outcome.map_err(|error| error::complete(error, &url))?;
        value.ok_or_else(|| Error::internal("the response was not read"))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url.as_ref().map(|url| redact(url.as_str())))
            .finish_non_exhaustive()
    }
}
