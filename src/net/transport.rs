//! Why a request got no complete response.

use crate::error::is_caused_by;
use crate::{Error, ErrorKind};

/// Why a request got no complete response. Each client words the error for its own users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportFailure {
    /// The proxy demands credentials: it answered CONNECT with 407.
    ProxyAuthentication,
    /// No name server knows the host.
    HostNotFound,
    /// The server's certificate is not trusted.
    UntrustedCertificate,
    /// No connection was established in time.
    ConnectTimeout,
    /// No connection was established for any other reason.
    ConnectFailed,
    /// The response did not arrive in time.
    Timeout,
    /// The body ended early, or cannot be decoded.
    IncompleteBody,
    /// The connection broke.
    Disconnected,
}

impl TransportFailure {
    /// Classifies the error of a request, or of its response's body.
    pub(crate) fn classify(error: &reqwest::Error) -> Self {
        // Some causes show only in the text of an error.
        let mentions = |words: &[&str]| is_caused_by(error, words);
        if error.is_connect() {
            if mentions(&["proxy authorization required"]) {
                Self::ProxyAuthentication
            } else if mentions(&["dns error", "failed to lookup address"]) {
                Self::HostNotFound
            } else if mentions(&["certificate"]) {
                Self::UntrustedCertificate
            } else if error.is_timeout() {
                Self::ConnectTimeout
            } else {
                Self::ConnectFailed
            }
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_body() || error.is_decode() {
            Self::IncompleteBody
        } else {
            Self::Disconnected
        }
    }

    /// Whether the server certainly has not acted on the request: there was no connection to send it on.
    #[cfg(feature = "http")]
    pub(crate) fn is_before_request(self) -> bool {
        matches!(
            self,
            Self::ProxyAuthentication
                | Self::HostNotFound
                | Self::UntrustedCertificate
                | Self::ConnectTimeout
                | Self::ConnectFailed
        )
    }
}

/// The error for a proxy that demands credentials: it answers CONNECT with 407 for `https`, and the request itself for `http`.
pub(crate) fn proxy_refusal(scheme: &str) -> Error {
    let variable = if scheme == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    Error::new(ErrorKind::Authentication, "the proxy asks for credentials").with_help(format!(
        "give them in the environment, {variable}=http://USER:PASSWORD@HOST:PORT, and name the proxy nowhere else"
    ))
}
