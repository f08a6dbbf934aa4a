use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;
use url::Url;

use super::bodies::Room;
use super::client::Client;
use super::fault::{self, Fault};
use super::gate::{self, Patience};
use super::limits::{self, Quota, Refusal};
use super::links;
use super::message;
use super::response::Response;
use crate::error::{REDACTED, redact, redact_known, remember_authorization};
use crate::{Error, ErrorKind, Monitor, Result, Retry, SourceEvent};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// As much of an error's body as is read: enough for its message.
const ERROR_BODY: usize = 64 << 10;

/// The longest entity tag or date of a change, in bytes. Sources store these and send them back, and servers take headers of a
/// few KiB in all.
const LONGEST_VALIDATOR: usize = 1 << 10;

/// Some servers put one before JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One request, to be sent with [`send`](Self::send) or [`send_with`](Self::send_with).
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    url: Result<Url>,
    if_none_match: Option<HeaderValue>,
    body: Option<Result<Bytes>>,
    accept: Vec<u16>,
    repeatable: bool,
    attempts_at_this_size: u32,
    fails_on_no_data: bool,
}

impl Request {
    pub(super) fn new(client: Client, method: Method, path_or_url: &str) -> Self {
        let url = links::resolve(&client.0.base, path_or_url);
        let repeatable = method == Method::GET;
        Self {
            client,
            method,
            url,
            if_none_match: None,
            body: None,
            accept: Vec::new(),
            repeatable,
            attempts_at_this_size: u32::MAX,
            fails_on_no_data: false,
        }
    }

    /// Adds to the query, percent-encoded, after what the URL already has.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        if let Ok(url) = &mut self.url
            && !pairs.is_empty()
        {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Asks only for what differs from this [entity tag](Response::etag); the answer may then be
    /// [not modified](Response::is_not_modified). A tag that is longer than 1 KiB or cannot be sent is left out.
    pub fn if_none_match(mut self, etag: &str) -> Self {
        let is_short = etag.len() <= LONGEST_VALIDATOR;
        self.if_none_match = is_short.then(|| HeaderValue::try_from(etag).ok()).flatten();
        self
    }

    /// Sends `value` as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).map(Bytes::from);
        self.body =
            Some(json.map_err(|error| Error::internal("the request cannot be written as JSON").with_source(error)));
        self
    }

    /// Statuses that come back as a [`Response`] instead of an error or a redirect, such as 404, 410 and 301 for an item
    /// that may have vanished. Rate limits are waited for all the same.
    pub fn allow_status(mut self, statuses: &[u16]) -> Self {
        self.accept.extend_from_slice(statuses);
        self
    }

    /// Lets a POST be sent again like a GET, also where the server may have acted on it: for what does no harm when it is done
    /// twice.
    pub fn idempotent(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Gives up after this many attempts, where the client's [`RetryConfig`](crate::RetryConfig) allow more, if the failure
    /// [may be about the size](fault::may_depend_on_size) of the answer: a smaller one can be asked for.
    #[cfg(feature = "github")]
    pub(crate) fn attempts_at_this_size(mut self, attempts: u32) -> Self {
        self.attempts_at_this_size = attempts.max(1);
        self
    }

    /// Fails at once where a web page, or nothing, comes in place of data, instead of asking again: for a person who waits.
    #[cfg(feature = "github")]
    pub(crate) fn fail_on_no_data(mut self) -> Self {
        self.fails_on_no_data = true;
        self
    }

    /// Sends the request until an answer comes, as often as the client's [`RetryConfig`](crate::RetryConfig) allow.
    ///
    /// # Errors
    ///
    /// See the [module](super). An error that was retried in vain is [exhausted](Error::exhausted).
    pub async fn send(self, monitor: &Monitor) -> Result<Response> {
        self.send_with(monitor, Ok).await
    }

    /// Sends the request until an answer comes that `read` accepts.
    ///
    /// An `InvalidData` error of `read` about a 2xx answer that is not JSON is taken for a fault on the way, such as a body cut
    /// short, and retried; so is any error with [retry advice](Error::retry). Others end the request: whole JSON of another shape
    /// than expected will have that shape again. Where it is an object with a message, the error says what the server said.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and those of `read`.
    pub async fn send_with<T>(self, monitor: &Monitor, mut read: impl FnMut(Response) -> Result<T>) -> Result<T> {
        let mut call = Call::new(self)?;
        let mut attempts = call.client.0.retries.start();
        loop {
            let outcome = match call.answer(monitor).await {
                Ok(response) => {
                    let (status, body) = (response.status(), response.body().clone());
                    read(response).map_err(|error| Fault::from(call.judge(error, status, &body)))
                }
                Err(fault) => Err(fault),
            };
            let Fault { error, untouched } = match outcome {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let give_up = attempts.made >= call.attempts_at_this_size && fault::may_depend_on_size(&error);
            let is_no_data =
                error.kind() == ErrorKind::InvalidData && error.status().is_some_and(|s| (200..300).contains(&s));
            let again = (call.repeatable || untouched) && !give_up && !(call.fails_on_no_data && is_no_data);
            let advice = if again { error.retry() } else { Retry::Never };
            let Some(delay) = attempts.next(advice, call.queued) else {
                let error = if attempts.made > 1 { error.with_context("attempts", attempts.made) } else { error };
                return Err(fault::complete(error, &call.url).exhausted());
            };
            tracing::debug!(%error, ?delay, "trying again");
            gate::pause(monitor, format!("before trying again: {}", error.message()), delay).await;
        }
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

/// A request on its way: checked, and with what its attempts have in common.
struct Call {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    accept: Vec<u16>,
    repeatable: bool,
    attempts_at_this_size: u32,
    fails_on_no_data: bool,
    /// A credential was refused and another one asked for. Once is enough.
    renewed: bool,
    /// How many times a limit refused this request.
    refusals: u32,
    patience: Patience,
    /// Time at the gate: waiting for limits, for a place and for the pace.
    queued: Duration,
}

/// What came back, before its status was judged.
struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    credential: Option<SecretString>,
    /// A limit refused the request, and the gate is closed.
    limited: bool,
}

/// Why a body was not read to its end.
enum Stopped {
    Broken(reqwest::Error),
    TimedOut,
    TooLong,
}

/// When an attempt must be over. Waiting for this program's own turn does not count.
struct Deadline(Instant);

impl Deadline {
    async fn meet<T>(&self, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, Stopped> {
        let outcome = tokio::time::timeout_at(self.0, work).await.map_err(|_| Stopped::TimedOut)?;
        outcome.map_err(Stopped::Broken)
    }
}

impl Call {
    fn new(request: Request) -> Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = request.if_none_match {
            headers.insert(IF_NONE_MATCH, etag);
        }
        if request.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Self {
            patience: Patience::new(request.client.0.max_wait),
            client: request.client,
            method: request.method,
            url: request.url?,
            headers,
            body: request.body.transpose()?,
            accept: request.accept,
            repeatable: request.repeatable,
            attempts_at_this_size: request.attempts_at_this_size,
            fails_on_no_data: request.fails_on_no_data,
            renewed: false,
            refusals: 0,
            queued: Duration::ZERO,
        })
    }

    /// One attempt: follows redirects, waits for limits, renews a credential.
    async fn answer(&mut self, monitor: &Monitor) -> Result<Response, Fault> {
        let mut url = self.url.clone();
        let mut redirects = 0;
        loop {
            let raw = self.exchange(&url, monitor).await?;
            let accepted = self.accept.contains(&raw.status);
            match raw.status {
                // The next round waits at the gate, with everybody else.
                _ if raw.limited => {}
                401 if self.renew(raw.credential.as_ref()).await => {}
                301 | 302 | 303 | 307 | 308 if !accepted && self.method == Method::GET => {
                    redirects += 1;
                    url = self.redirect(&url, &raw.headers, redirects)?;
                }
                304 if self.headers.contains_key(IF_NONE_MATCH) => {
                    return self.response(raw, url, redirects > 0);
                }
                200..=299 => {
                    check(&raw, &url)?;
                    return self.response(raw, url, redirects > 0);
                }
                _ if accepted => return self.response(raw, url, redirects > 0),
                // The tag may be what the server cannot take: one that another version of a server gave, or something on the way.
                400 | 413 | 431 if self.headers.remove(IF_NONE_MATCH).is_some() => {}
                status => {
                    let told = limits::retry_after(&raw.headers, Timestamp::now());
                    return Err(fault::status(status, &String::from_utf8_lossy(&raw.body), told, &url));
                }
            }
        }
    }

    /// What an error of the reader about an answer means.
    fn judge(&self, error: Error, status: u16, body: &str) -> Error {
        if !(200..300).contains(&status) || error.kind() != ErrorKind::InvalidData {
            return error;
        }
        if serde_json::from_str::<IgnoredAny>(body).is_err() {
            return if error.retry() == Retry::Never { error.with_retry(Retry::Backoff) } else { error };
        }
        match message::in_place_of_data(body) {
            Some(said) => fault::message_in_place_of_data(status, said, &self.url, error),
            None => error,
        }
    }

    /// Sends once, when the limits allow it, and reads the whole body.
    async fn exchange(&mut self, url: &Url, monitor: &Monitor) -> Result<Raw, Fault> {
        let inner = &self.client.0;
        // Held until the body is here and any limit is known, so that no request slips through in between.
        let arrived = Instant::now();
        let _pass = inner.gate.enter(monitor, &mut self.patience).await?;
        let room = inner.bodies.enter().await?;
        self.queued += arrived.elapsed();
        // Asked for only now: a credential may expire during a wait.
        let credential = match &inner.authorization {
            Some(authorize) => authorize.header().await?,
            None => None,
        };
        let mut request = inner.http.request(self.method.clone(), url.clone()).headers(self.headers.clone());
        if let Some(credential) = &credential {
            request = request.header(AUTHORIZATION, sensitive(credential)?);
            remember_authorization(credential.expose_secret());
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        monitor.request();
        let stopped = |stopped| match stopped {
            Stopped::Broken(error) => fault::transport(error, url, inner.timeout),
            Stopped::TimedOut => fault::timed_out(url, inner.timeout),
            Stopped::TooLong => fault::too_long(inner.max_body, url).into(),
        };
        let mut deadline = Deadline(Instant::now() + inner.timeout);
        let mut response = deadline.meet(request.send()).await.map_err(stopped)?;
        let now = Timestamp::now();
        let (status, headers) = (response.status(), cleaned(response.headers()));
        tracing::debug!(method = %self.method, url = %redact(url.as_str()), status = status.as_u16(), "answered");
        if let Some(quota) = Quota::of(&headers, now) {
            monitor.event(SourceEvent::Quota {
                remaining: quota.remaining,
                limit: quota.limit,
                reset: quota.reset.map(gate::from_now),
            });
            inner.gate.quota(quota);
        }
        let body = if status.is_success() {
            whole(&mut response, inner.max_body, room, &mut deadline, monitor).await.map_err(stopped)?
        } else {
            // What matters is the status; a message cut short is better than none.
            beginning(&mut response, &deadline, monitor).await
        };
        let refusal = Refusal::of(status.as_u16(), &headers, &body, now);
        if let Some(refusal) = refusal {
            self.refusals += 1;
            inner.gate.refused(refusal.limit, refusal.wait(self.refusals));
        } else {
            inner.gate.answered();
        }
        Ok(Raw { status: status.as_u16(), headers, body, credential, limited: refusal.is_some() })
    }

    /// Whether there is another credential to try after a 401.
    async fn renew(&mut self, refused: Option<&SecretString>) -> bool {
        match (&self.client.0.authorization, refused) {
            (Some(authorize), Some(refused)) if !self.renewed => {
                self.renewed = authorize.on_unauthorized(refused).await;
                self.renewed
            }
            _ => false,
        }
    }

    fn redirect(&self, from: &Url, headers: &HeaderMap, count: usize) -> Result<Url> {
        let context = |error: Error| error.with_context("redirected from", from);
        if count > REDIRECTS {
            return Err(context(Error::new(ErrorKind::Unavailable, "the server redirects in circles")));
        }
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| context(Error::invalid_data("the redirect leads nowhere")))?;
        links::follow(&self.client.0.base, from, location).map_err(context)
    }

    fn response(&self, raw: Raw, url: Url, redirected: bool) -> Result<Response, Fault> {
        let body = raw.body.strip_prefix(BYTE_ORDER_MARK).map(|rest| raw.body.slice_ref(rest)).unwrap_or(raw.body);
        let body = ByteString::try_from(body).map_err(|error| {
            Error::invalid_data("the answer is not UTF-8")
                .with_context("url", &url)
                .with_retry(Retry::Backoff)
                .with_source(error)
        })?;
        let base = self.client.0.base.clone();
        Ok(Response { status: raw.status, headers: raw.headers, url, redirected, body, base })
    }
}

fn sensitive(credential: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(credential.expose_secret()).map_err(|_| {
        Error::configuration("the credential cannot be sent in a header")
            .with_help("check the token for line breaks and other stray characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Headers without the secrets in use, which a server may repeat, and without validators that are too long to be sent back.
fn cleaned(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for validator in [ETAG, LAST_MODIFIED] {
        if headers.get(&validator).is_some_and(|value| value.len() > LONGEST_VALIDATOR) {
            headers.remove(&validator);
        }
    }
    for value in headers.values_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        if let Cow::Owned(clean) = redact_known(&text) {
            *value = HeaderValue::try_from(clean).unwrap_or(HeaderValue::from_static(REDACTED));
        }
    }
    headers
}

/// Holds a 2xx answer to be data: a proxy or a sign-in page answers 200, too.
fn check(raw: &Raw, url: &Url) -> Result<()> {
    let html = |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let problem = if raw.headers.get(CONTENT_TYPE).is_some_and(html) || message::is_web_page(&raw.body) {
        "the answer is a web page, not data"
    } else if raw.body.is_empty() && !matches!(raw.status, 204 | 205) {
        "the answer is empty"
    } else {
        return Ok(());
    };
    let said = message::said(&String::from_utf8_lossy(&raw.body[..raw.body.len().min(ERROR_BODY)]));
    let text = said.map_or_else(|| problem.to_owned(), |said| format!("{problem}: {said}"));
    let error = Error::invalid_data(text).with_status(raw.status).with_context("url", url);
    Err(error.with_help("check the base URL and, if there is one, the proxy").with_retry(Retry::Backoff))
}

/// The whole body, if it has no more bytes than are allowed.
async fn whole(
    response: &mut reqwest::Response,
    max: usize,
    mut room: Room<'_>,
    deadline: &mut Deadline,
    monitor: &Monitor,
) -> Result<Bytes, Stopped> {
    // The length is the server's claim: a large one does not get its memory in advance.
    let claim = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = BytesMut::with_capacity(claim.min(1 << 20));
    while let Some(chunk) = deadline.meet(response.chunk()).await? {
        monitor.received(chunk.len());
        if chunk.len() > max.saturating_sub(body.len()) {
            return Err(Stopped::TooLong);
        }
        let asked = Instant::now();
        room.grow(body.len() + chunk.len()).await;
        deadline.0 += asked.elapsed();
        body.extend_from_slice(&chunk);
    }
    room.done(body.len());
    Ok(body.freeze())
}

/// As much as there is of an error's body.
async fn beginning(response: &mut reqwest::Response, deadline: &Deadline, monitor: &Monitor) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < ERROR_BODY
        && let Ok(Some(chunk)) = deadline.meet(response.chunk()).await
    {
        monitor.received(chunk.len());
        body.extend_from_slice(&chunk);
    }
    body.freeze()
}
