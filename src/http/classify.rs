//! Classifies responses: data for the reader, another request, or an error.

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use serde::de::IgnoredAny;
use url::Url;

use super::layer::{HttpRequest, HttpResponse, HttpService};
use super::rate_limit;
use super::response::Response;
use super::transport::MAX_ERROR_BODY;
use super::{error, links, server_message};
use crate::{Error, ErrorKind, Result, Retry};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// The longest entity tag or modification date, in bytes. Sources store these and send them back, and servers accept headers of
/// only a few KiB in all.
pub(super) const MAX_VALIDATOR: usize = 1 << 10;

/// Some servers put one before JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Follows redirects within the server, turns statuses into errors, and passes everything else to the request's reader.
#[derive(Debug)]
pub(super) struct ClassifyLayer {
    pub(super) base: Url,
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for ClassifyLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        request.url = request.original_url.clone();
        let (response, redirected) = self.accepted(request).await?;
        let whole = self.response(response.clone(), request.url.clone(), redirected)?;
        let body = whole.body().clone();
        (request.reader)(whole).map_err(|error| reader_error(error, response.status, &body, &request.original_url))?;
        Ok(response)
    }
}

impl ClassifyLayer {
    /// Sends the request until a response is accepted; whether it was redirected.
    async fn accepted(&self, request: &mut HttpRequest<'_>) -> Result<(HttpResponse, bool)> {
        let mut redirects = 0;
        loop {
            let response = self.inner.call(request).await?;
            let now = Timestamp::now();
            // Only a stack without rate limiting lets one through.
            if let Some(throttled) = rate_limit::throttled_by(request, &response) {
                request.is_untouched = true;
                request.times_throttled += 1;
                return Err(error::throttled(response.status, throttled.wait(request.times_throttled), &request.url));
            }
            let is_error = (400..=599).contains(&response.status);
            let is_allowed = request.allowed_statuses.contains(&response.status) || request.allows_errors && is_error;
            match response.status {
                401 if std::mem::take(&mut request.send_again) => {}
                301 | 302 | 303 | 307 | 308 if !is_allowed && request.method == Method::GET => {
                    redirects += 1;
                    request.url = self.redirect(&request.url, &response.headers, redirects)?;
                }
                304 if request.headers.contains_key(IF_NONE_MATCH) => return Ok((response, redirects > 0)),
                200..=299 => {
                    if !is_allowed {
                        check_is_data(&response, &request.url)?;
                    }
                    return Ok((response, redirects > 0));
                }
                _ if is_allowed => return Ok((response, redirects > 0)),
                // The server may reject the tag itself: one from another version of the server, or changed on the way.
                400 | 413 | 431 if request.headers.remove(IF_NONE_MATCH).is_some() => {}
                status => {
                    request.is_untouched = status == 503;
                    let retry_after = rate_limit::retry_after(&response.headers, now);
                    let body = String::from_utf8_lossy(&response.body);
                    return Err(error::status(status, &body, retry_after, &request.url));
                }
            }
        }
    }

    fn redirect(&self, from: &Url, headers: &HeaderMap, count: usize) -> Result<Url> {
        let context = |error: Error| error.with_context("redirected from", from);
        if count > MAX_REDIRECTS {
            return Err(context(Error::new(ErrorKind::Unavailable, "the server redirects in circles")));
        }
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| context(Error::invalid_data("the redirect leads nowhere")))?;
        links::follow(&self.base, from, location).map_err(context)
    }

    fn response(&self, response: HttpResponse, url: Url, redirected: bool) -> Result<Response> {
        let HttpResponse { status, mut headers, body } = response;
        for validator in [ETAG, LAST_MODIFIED] {
            if headers.get(&validator).is_some_and(|value| value.len() > MAX_VALIDATOR) {
                headers.remove(&validator);
            }
        }
        let body = body.strip_prefix(BYTE_ORDER_MARK).map(|rest| body.slice_ref(rest)).unwrap_or(body);
        let body = ByteString::try_from(body).map_err(|error| {
            Error::invalid_data("the answer is not UTF-8")
                .with_context("url", &url)
                .with_retry(Retry::Backoff)
                .with_source(error)
        })?;
        Ok(Response { status, headers, url, redirected, body, base: self.base.clone() })
    }
}

/// The meaning of a reader's error about a response.
fn reader_error(error: Error, status: u16, body: &str, url: &Url) -> Error {
    // A reader that has found a code knows what the response means.
    if !(200..300).contains(&status) || error.kind() != ErrorKind::InvalidData || error.code().is_some() {
        return error;
    }
    if serde_json::from_str::<IgnoredAny>(body).is_err() {
        return if error.retry() == Retry::Never { error.with_retry(Retry::Backoff) } else { error };
    }
    match server_message::in_place_of_data(body) {
        Some(message) => error::message_in_place_of_data(status, message, url, error),
        None => error,
    }
}

/// Checks that a 2xx response is data: a proxy or a sign-in page answers 200, too.
fn check_is_data(response: &HttpResponse, url: &Url) -> Result<()> {
    let html = |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let problem = if response.headers.get(CONTENT_TYPE).is_some_and(html) || server_message::is_web_page(&response.body)
    {
        "the answer is a web page, not data"
    } else if response.body.is_empty() && !matches!(response.status, 204 | 205) {
        "the answer is empty"
    } else {
        return Ok(());
    };
    let beginning = &response.body[..response.body.len().min(MAX_ERROR_BODY)];
    let message = server_message::extract(&String::from_utf8_lossy(beginning));
    let text = message.map_or_else(|| problem.to_owned(), |message| format!("{problem}: {message}"));
    let error = Error::invalid_data(text).with_status(response.status).with_context("url", url);
    Err(error.with_help("check the base URL and, if there is one, the proxy").with_retry(Retry::Backoff))
}
