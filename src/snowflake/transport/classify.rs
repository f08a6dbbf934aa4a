//! Classifies responses and transport errors. No part of a body, a header or a URL's parameters is ever repeated.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, StatusCode};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use super::address::{is_temporary, may_follow, target};
use super::retry::{LastStatus, into_middleware};
use crate::net::{TransportFailure, proxy_refusal};
use crate::{Error, ErrorKind, Result, Retry};

/// Classifies the responses of a server.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResponseClassifier {
    /// Snowflake: a response is a JSON object with a success flag.
    Snowflake,
    /// The storage that holds parts of a result: a response is any body with a status of success.
    Storage,
}

/// The longest accepted `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

#[async_trait]
impl Middleware for ResponseClassifier {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let asked = RequestContext { url: request.url().clone(), who: *self };
        let response = match next.run(request, extensions).await {
            Ok(response) => response,
            Err(reqwest_middleware::Error::Reqwest(error)) => {
                return Err(into_middleware(asked.transport_error(error)));
            }
            Err(error) => return Err(error),
        };
        let status = response.status();
        match asked.read(response).await {
            Ok(body) => {
                let mut answer = http::Response::new(body);
                *answer.status_mut() = status;
                Ok(answer.into())
            }
            Err(error) => {
                extensions.insert(LastStatus(status.as_u16()));
                Err(into_middleware(error))
            }
        }
    }
}

/// The part of a response by which Snowflake is recognized.
#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    code: Value,
}

impl Envelope {
    /// Whether Snowflake reports an error itself, so that the status does not matter.
    fn is_refusal(&self) -> bool {
        !self.success && self.code.as_str().is_some_and(|code| !code.is_empty())
    }
}

struct RequestContext {
    url: Url,
    who: ResponseClassifier,
}

impl RequestContext {
    fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the server")
    }

    fn is_login(&self) -> bool {
        self.url.path().ends_with("/login-request")
    }

    async fn read(&self, response: Response) -> Result<Bytes> {
        let status = response.status();
        let headers = response.headers().clone();
        let header = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        if status.is_redirection() {
            return Err(self.redirect_error(&response).with_status(status.as_u16()));
        }
        let body = match response.bytes().await {
            Ok(body) => body,
            // The status alone decides if the body cannot be read.
            Err(_) if !status.is_success() => Bytes::new(),
            Err(error) => return Err(self.transport_error(error)),
        };
        if matches!(self.who, ResponseClassifier::Snowflake) {
            let envelope = serde_json::from_slice::<Envelope>(&body);
            if envelope.as_ref().is_ok_and(|envelope| status.is_success() || envelope.is_refusal()) {
                return Ok(body);
            }
            if status.is_success() {
                let html = header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("html")) || is_html(&body);
                return Err(self.unexpected_body(&body, html).with_status(status.as_u16()));
            }
        } else if status.is_success() {
            return Ok(body);
        }
        let told = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
        Err(self.status_error(status, told.map(Duration::from_secs)).with_status(status.as_u16()))
    }

    /// The error of a missing or incomplete response.
    fn transport_error(&self, error: reqwest::Error) -> Error {
        // After a redirect it is another host.
        let host = error.url().and_then(Url::host_str).unwrap_or(self.host());
        let failure = TransportFailure::classify(&error);
        let fault = match failure {
            TransportFailure::ProxyAuthentication => proxy_refusal(self.url.scheme()),
            TransportFailure::HostNotFound => Error::unavailable(format!("the host {host} cannot be found"))
                .with_help("check the account identifier (ORG-ACCOUNT, or LOCATOR.REGION) and the network"),
            TransportFailure::UntrustedCertificate => Error::unavailable(failure.message(host))
                .with_help("check the account identifier, and whether a proxy is in between"),
            TransportFailure::ConnectTimeout | TransportFailure::ConnectFailed => {
                Error::unavailable(failure.message(host))
                    .with_help("check the network, the account identifier and, if there is one, the proxy")
            }
            TransportFailure::Timeout | TransportFailure::IncompleteBody | TransportFailure::Disconnected => {
                Error::unavailable(failure.message(host)).with_help("check the network")
            }
        };
        // At a login the name is usually wrong, and waiting for minutes would not help.
        let is_wrong_name = failure == TransportFailure::HostNotFound && self.is_login();
        let retry = if is_wrong_name { Retry::Never } else { failure.retry() };
        fault.with_retry(retry).with_source(error.without_url())
    }

    /// The error of a status of success with a body that is not a response.
    fn unexpected_body(&self, body: &[u8], html: bool) -> Error {
        let host = self.host();
        if html {
            Error::new(ErrorKind::Unavailable, format!("{host} responded with a web page")).with_help(
                "check the account identifier, and whether a proxy or a login page of the network is in between",
            )
        } else if body.is_empty() {
            Error::unavailable(format!("{host} responded with an empty body"))
                .with_help("check whether a proxy is in between")
        } else if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
            Error::invalid_data(format!("{host} responded with JSON that is not from Snowflake"))
                .with_help("check the host and the port of the connection")
        } else {
            Error::invalid_data(format!("the response of {host} is truncated or malformed"))
                .with_context("bytes", body.len())
                .with_help("check whether a proxy is in between")
                .with_retry(Retry::Backoff)
        }
    }

    /// The error of a redirect that was not followed, or of too many.
    fn redirect_error(&self, response: &Response) -> Error {
        let host = self.host();
        let to = target(response);
        let names = |to: &Url| matches!(to.host(), Some(Host::Domain(name)) if name != host);
        let error =
            if !matches!(self, Self { who: ResponseClassifier::Snowflake, .. }) || !is_temporary(response.status()) {
                Error::configuration(format!("{host} redirects to a host that does not receive credentials"))
            } else if to.as_ref().is_some_and(|to| may_follow(response.url(), to)) {
                Error::unavailable(format!("{host} redirects a request again and again"))
            } else if self.is_login() && to.as_ref().is_some_and(names) {
                Error::configuration(format!("{host} redirects to a host that does not receive credentials"))
            } else {
                // Snowflake sometimes names an address of its internal network; a retry succeeds.
                Error::unavailable(format!("{host} redirects a request to a host that does not receive credentials"))
            };
        let to = to.as_ref().and_then(Url::host_str).unwrap_or("an unknown host");
        error.with_context("to", to).with_help("check the account identifier and the host of the connection")
    }

    /// The error of an HTTP status that Snowflake does not explain.
    fn status_error(&self, status: StatusCode, told: Option<Duration>) -> Error {
        let host = self.host();
        let advice = told.map_or(Retry::Backoff, |told| Retry::After(told.min(MAX_RETRY_AFTER)));
        match status.as_u16() {
            403 | 404 if self.is_login() => Error::configuration(format!("no Snowflake account exists at {host}"))
                .with_help("check the account identifier: ORG-ACCOUNT, or LOCATOR.REGION"),
            // The clouds report an expired signature with different statuses.
            400 | 401 | 403 if matches!(self.who, ResponseClassifier::Storage) => {
                Error::unavailable(format!("{host} no longer serves a part of the result"))
                    .with_help("run it again: the links to the parts of a result are valid for some hours")
                    .with_retry(Retry::Never)
            }
            407 => proxy_refusal(self.url.scheme()),
            429 => Error::new(ErrorKind::RateLimited, format!("{host} is limiting requests"))
                .with_help("run fewer statements concurrently")
                .with_retry(advice),
            408 | 500.. => Error::unavailable(format!("{host} failed with a server error"))
                .with_help("see https://status.snowflake.com, and try again later")
                .with_retry(advice),
            _ => Error::new(ErrorKind::Unavailable, format!("{host} rejected the request"))
                .with_help("check the host of the connection, and whether a proxy is in between"),
        }
    }
}

fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}
