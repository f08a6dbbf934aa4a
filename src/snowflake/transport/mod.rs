//! Requests to Snowflake, and to the storage that holds parts of results: the crate `snowflake-api` on an HTTP client of ours,
//! which adds the address, retries, redirects, and a verdict on what comes back.

mod address;
mod classify;
mod retry;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snowflake_api::connection::{ConnectionError, QueryType};
use url::Url;

use address::{BaseUrl, FollowRedirects, PLACEHOLDER_ACCOUNT, PLACEHOLDER_URL};
use classify::ResponseClassifier;
use retry::{RetryMiddleware, into_error};

use super::connection::ConnectionConfig;
use super::wire::Response;
use crate::error::remember;
use crate::{Error, Result, RetryConfig};

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence. Snowflake itself answers within 45 seconds, were it only to say that a statement still runs.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The largest part that is taken, in bytes, compressed or not: Snowflake makes none of more than 160 MB.
pub(super) const MAX_PART_BYTES: usize = 256 << 20;

/// The way to one account. It is shared by all sessions.
pub(super) struct Transport {
    snowflake: snowflake_api::connection::Connection,
    /// For what the crate has no call for.
    direct: ClientWithMiddleware,
    storage: ClientWithMiddleware,
    is_loopback: bool,
}

impl Transport {
    pub(super) fn new(connection: &ConnectionConfig, retries: RetryConfig) -> Result<Self> {
        let address = BaseUrl::of(connection)?;
        let is_loopback = address.is_loopback();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("snowfeed/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .referer(false)
            // Credentials go where we were told to take them: see `redirect`.
            .redirect(Policy::none())
            // As Snowflake's own drivers do: statements that run for long would share one connection otherwise.
            .http1_only()
            .gzip(true);
        if is_loopback {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| {
            Error::configuration("the HTTP client cannot be set up").with_help("check the proxy").with_source(error)
        })?;
        let direct = ClientBuilder::new(http.clone())
            .with(RetryMiddleware(retries))
            .with(address)
            .with(ResponseClassifier::Snowflake)
            .with(FollowRedirects)
            .build();
        Ok(Self {
            snowflake: snowflake_api::connection::Connection::new_with_middware(direct.clone()),
            direct,
            storage: ClientBuilder::new(http).with(RetryMiddleware(retries)).with(ResponseClassifier::Storage).build(),
            is_loopback,
        })
    }

    /// Whether Snowflake is a server on this machine, as in tests.
    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Makes one of the crate's requests. `parameters` replace those of the same name that the crate makes up.
    pub(super) async fn request<D: DeserializeOwned>(
        &self,
        request: QueryType,
        parameters: &[(&str, &str)],
        token: Option<&SecretString>,
        body: impl Serialize,
    ) -> Result<Response<D>> {
        let token = token.map(authorization);
        let token = token.as_ref().map(|token| token.expose_secret());
        self.snowflake
            .request(request, PLACEHOLDER_ACCOUNT, parameters, token, body)
            .await
            .map_err(from_connection_error)
    }

    /// Asks for the result of a statement, at a path that Snowflake gave.
    pub(super) async fn result<D: DeserializeOwned>(&self, path: &str, token: &SecretString) -> Result<Response<D>> {
        // An address elsewhere would carry the token there.
        if !path.starts_with('/') || path.starts_with("//") || path.contains('\\') {
            return Err(Error::invalid_data("Snowflake named no path where the result of a statement is"));
        }
        let token = authorization(token);
        // The crate panics at what it cannot send.
        sensitive(token.expose_secret())?;
        let headers = HashMap::from([
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), token.expose_secret().to_owned()),
        ]);
        let body = self
            .snowflake
            .get_chunk(&format!("{PLACEHOLDER_URL}{path}"), &headers)
            .await
            .map_err(from_connection_error)?;
        // The cause is left out: it may repeat what was sent.
        serde_json::from_slice(&body).map_err(|_| unexpected_form())
    }

    /// Posts to a path for which the crate has no call.
    pub(super) async fn post<D: DeserializeOwned>(
        &self,
        path: &str,
        request_id: &str,
        token: &SecretString,
        body: impl Serialize,
    ) -> Result<Response<D>> {
        let url = Url::parse_with_params(&format!("{PLACEHOLDER_URL}{path}"), [("requestId", request_id)])
            .map_err(|_| Error::internal("a path of Snowflake's is no path").with_context("path", path))?;
        let body = serde_json::to_vec(&body)
            .map_err(|error| Error::internal("a request cannot be written").with_source(error))?;
        let request = self
            .direct
            .post(url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, sensitive(authorization(token).expose_secret())?)
            .body(body);
        let response = request.send().await.map_err(into_error)?;
        let body = response.bytes().await.map_err(|_| unexpected_form())?;
        serde_json::from_slice(&body).map_err(|_| unexpected_form())
    }

    /// Fetches a part of a result. Its host is not Snowflake's: it gets `headers`, and no token.
    pub(super) async fn fetch(&self, url: &str, headers: HeaderMap) -> Result<Bytes> {
        // The URL is signed: neither it nor an error that repeats it may be seen.
        let url = Url::parse(url).map_err(|_| Error::invalid_data("Snowflake named no URL for a part of a result"))?;
        let mut response = self.storage.get(url).headers(headers).send().await.map_err(into_error)?;
        let cut_off = |error: reqwest::Error| {
            Error::unavailable("a part of a result was cut off").with_source(error.without_url())
        };
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(cut_off)? {
            if chunk.len() > MAX_PART_BYTES.saturating_sub(body.len()) {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

fn authorization(token: &SecretString) -> SecretString {
    remember(token.expose_secret());
    format!("Snowflake Token=\"{}\"", token.expose_secret()).into()
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::invalid_data("Snowflake gave a token that cannot be sent back"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unexpected_form() -> Error {
    Error::invalid_data("Snowflake's answer does not have the form that was expected")
        .with_help("look for a newer version of snowfeed, or report this with the name of the operation")
}

/// A part of which more would come than Snowflake ever makes.
pub(super) fn too_large() -> Error {
    Error::invalid_data("a part of a result is larger than any that Snowflake makes")
        .with_context("bytes allowed", MAX_PART_BYTES)
        .with_help("check the proxy, if there is one: it may have changed what it passed on")
}

fn from_connection_error(error: ConnectionError) -> Error {
    match error {
        ConnectionError::RequestMiddlewareError(error) => into_error(error),
        // Of a body that was there in full and was JSON: only its form can be wrong.
        ConnectionError::RequestError(_) | ConnectionError::Deserialization(_) => unexpected_form(),
        ConnectionError::InvalidHeader(_) => Error::invalid_data("Snowflake gave a token that cannot be sent back"),
        ConnectionError::UrlParsing(error) => Error::internal("a URL could not be made").with_source(error),
    }
}
