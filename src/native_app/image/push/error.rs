//! Classifies the errors of a registry.

use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use url::Url;

use super::address::Address;
use crate::net::{TransportFailure, proxy_help};
use crate::{Error, ErrorKind, Retry};

/// The maximum length of a registry's message in an error, in characters.
const MESSAGE: usize = 300;

/// A call to a registry that failed.
#[derive(Debug)]
pub(super) enum RegistryError {
    /// The repository, tag or blob does not exist.
    NotFound(OciDistributionError),
    /// The credentials are not valid.
    Unauthorized(OciDistributionError),
    /// The credentials lack a right.
    Forbidden(OciDistributionError),
    /// The registry limits the rate of requests.
    RateLimited(OciDistributionError),
    /// There was no complete response.
    Transport(TransportFailure, OciDistributionError),
    /// The registry has an internal error.
    ServerError(OciDistributionError),
    /// The registry rejects the request, or violates the specification.
    Rejected(OciDistributionError),
    /// The registry refers to a host that must not receive the data.
    ForeignHost(OciDistributionError),
}

impl From<OciDistributionError> for RegistryError {
    fn from(error: OciDistributionError) -> Self {
        Self::classify(error)
    }
}

impl RegistryError {
    /// The registry wants `what` to be sent to the host of `url`.
    pub(super) fn foreign_host(url: &Url, what: &str) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self::foreign(&format!("{what} to go to {}://{host}{port}", url.scheme()))
    }

    /// The registry wants `what`.
    pub(super) fn foreign(what: &str) -> Self {
        Self::ForeignHost(OciDistributionError::SpecViolationError(format!("it wants {what}")))
    }

    fn classify(error: OciDistributionError) -> Self {
        match &error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                Self::Unauthorized(error)
            }
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound(error),
            OciDistributionError::ServerError { code, .. } => match code {
                401 => Self::Unauthorized(error),
                403 => Self::Forbidden(error),
                404 => Self::NotFound(error),
                429 => Self::RateLimited(error),
                500.. => Self::ServerError(error),
                _ => Self::Rejected(error),
            },
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first().map(|e| &e.code) {
                Some(
                    OciErrorCode::BlobUnknown
                    | OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NotFound,
                ) => Self::NotFound(error),
                Some(OciErrorCode::Unauthorized) => Self::Unauthorized(error),
                Some(OciErrorCode::Denied) => Self::Forbidden(error),
                Some(OciErrorCode::Toomanyrequests) => Self::RateLimited(error),
                _ => Self::Rejected(error),
            },
            OciDistributionError::RequestError(request) if request.is_builder() => Self::Rejected(error),
            // Its own source is that of the inner error.
            OciDistributionError::RequestError(cause) => Self::Transport(TransportFailure::classify(cause), error),
            OciDistributionError::IoError(cause) => Self::Transport(TransportFailure::classify(cause), error),
            _ => Self::Rejected(error),
        }
    }

    /// Whether retrying the call can help.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::RateLimited(_) | Self::ServerError(_) => Retry::Backoff,
            Self::Transport(failure, _) => failure.retry(),
            Self::NotFound(_)
            | Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::Rejected(_)
            | Self::ForeignHost(_) => Retry::Never,
        }
    }

    /// Converts it to the error of a push to `address`.
    pub(super) fn error(self, address: &Address) -> Error {
        let host = address.host();
        let (kind, message, help) = match &self {
            Self::NotFound(_) => (
                ErrorKind::NotFound,
                format!("the registry {host} has no repository for {}", address.path()),
                "compare the path with `SHOW IMAGE REPOSITORIES`, or create the repository with `CREATE IMAGE REPOSITORY`",
            ),
            Self::Unauthorized(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} rejected the credentials"),
                "sign in again, or use a valid programmatic access token",
            ),
            Self::Forbidden(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} does not let this user push to {}", address.path()),
                "let an administrator run `GRANT WRITE ON IMAGE REPOSITORY … TO ROLE …`; the user's default role applies",
            ),
            Self::RateLimited(_) => {
                (ErrorKind::RateLimited, format!("the registry {host} limits the rate of requests"), "try again later")
            }
            Self::Transport(failure, _) => {
                let message = failure.message(&format!("the registry {host}"));
                (ErrorKind::Unavailable, message, transport_help(*failure))
            }
            Self::ServerError(_) => (ErrorKind::Unavailable, format!("the registry {host} failed"), "try again later"),
            Self::Rejected(_) => (
                ErrorKind::Unavailable,
                format!("the registry {host} rejected the image"),
                "check the registry's message, and that the address is a registry's",
            ),
            Self::ForeignHost(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} referred to another or an unencrypted host, which gets no credentials"),
                "check the address; if the other host belongs to the registry, allow it with `Push::token_host`",
            ),
        };
        let error = Error::new(kind, message).with_help(help);
        let cause = self.into_cause();
        let error = match registry_message(&cause) {
            Some((status, text)) => error.with_context("answer", status).with_context("registry", text),
            None => error,
        };
        // Do not repeat the response to a rejected sign-in: it may contain the credentials.
        if matches!(cause, OciDistributionError::AuthenticationFailure(_)) { error } else { error.with_source(cause) }
    }

    fn into_cause(self) -> OciDistributionError {
        match self {
            Self::NotFound(cause)
            | Self::Unauthorized(cause)
            | Self::Forbidden(cause)
            | Self::RateLimited(cause)
            | Self::Transport(_, cause)
            | Self::ServerError(cause)
            | Self::Rejected(cause)
            | Self::ForeignHost(cause) => cause,
        }
    }
}

fn transport_help(failure: TransportFailure) -> &'static str {
    match failure {
        // Without TLS there is no proxy: the host is this machine.
        TransportFailure::ProxyAuthentication => proxy_help("https"),
        TransportFailure::UntrustedCertificate => "check the host, and whether a proxy is in between",
        _ => "check the host and this machine's network access to it",
    }
}

/// Returns the registry's own code and message.
fn registry_message(cause: &OciDistributionError) -> Option<(String, String)> {
    match cause {
        OciDistributionError::RegistryError { envelope: OciEnvelope { errors }, .. } => {
            let first = errors.first()?;
            Some((format!("{:?}", first.code), shorten(&first.message)))
        }
        OciDistributionError::ServerError { code, message, .. } => Some((code.to_string(), shorten(message))),
        _ => None,
    }
}

fn shorten(message: &str) -> String {
    message.trim().chars().take(MESSAGE).collect()
}
