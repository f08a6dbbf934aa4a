//! Sends requests to Snowflake, and to the storage that holds parts of results: the crate `snowflake-api` over our own HTTP client,
//! which adds the address, retries, redirects and the classification of responses.

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

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout between two reads. Snowflake responds within 45 seconds, even while a statement runs.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The largest accepted part in bytes, compressed or not. Snowflake creates none over 160 MB.
pub(super) const MAX_PART_BYTES: usize = 256 << 20;

/// The connection to one account, shared by all sessions.
pub(super) struct Transport {
    snowflake: snowflake_api::connection::Connection,
    /// For requests that the crate does not offer.
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
            // `FollowRedirects` decides where credentials may go.
            .redirect(Policy::none())
            // As in Snowflake's own drivers: long statements would otherwise share one connection.
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

    /// Whether the server is on this machine, as in tests.
    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Sends one of the crate's requests. `parameters` replace the crate's own of the same name.
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

    /// Fetches the result of a statement from a path that Snowflake gave.
    pub(super) async fn result<D: DeserializeOwned>(&self, path: &str, token: &SecretString) -> Result<Response<D>> {
        // An absolute URL would send the token elsewhere.
        if !path.starts_with('/') || path.starts_with("//") || path.contains('\\') {
            return Err(Error::invalid_data("the address of a statement's result is not a path"));
        }
        let token = authorization(token);
        // The crate panics on headers that cannot be sent.
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
        // The cause is omitted: it may repeat the request.
        serde_json::from_slice(&body).map_err(|_| unexpected_form())
    }

    /// Posts to a path that the crate does not offer.
    pub(super) async fn post<D: DeserializeOwned>(
        &self,
        path: &str,
        request_id: &str,
        token: &SecretString,
        body: impl Serialize,
    ) -> Result<Response<D>> {
        let url = Url::parse_with_params(&format!("{PLACEHOLDER_URL}{path}"), [("requestId", request_id)])
            .map_err(|_| Error::internal("a request path is invalid").with_context("path", path))?;
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

    /// Downloads a part of a result. Its host is not Snowflake: it gets `headers` and no token.
    pub(super) async fn fetch(&self, url: &str, headers: HeaderMap) -> Result<Bytes> {
        // The URL is signed: neither it nor an error that repeats it is shown.
        let url = Url::parse(url).map_err(|_| Error::invalid_data("the address of a part of a result is not a URL"))?;
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
    Error::invalid_data("a response of Snowflake has an unexpected format")
        .with_help("upgrade snowfeed, or report this with the name of the operation")
}

/// The error of a part that exceeds [`MAX_PART_BYTES`].
pub(super) fn too_large() -> Error {
    Error::invalid_data("a part of a result is larger than any that Snowflake creates")
        .with_context("max bytes", MAX_PART_BYTES)
        .with_help("check the proxy, if there is one: it may have changed the response")
}

fn from_connection_error(error: ConnectionError) -> Error {
    match error {
        ConnectionError::RequestMiddlewareError(error) => into_error(error),
        // The body was complete and JSON: only its format can be wrong.
        ConnectionError::RequestError(_) | ConnectionError::Deserialization(_) => unexpected_form(),
        ConnectionError::InvalidHeader(_) => Error::invalid_data("Snowflake gave a token that cannot be sent back"),
        ConnectionError::UrlParsing(error) => Error::internal("a URL could not be made").with_source(error),
    }
}
