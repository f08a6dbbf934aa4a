//! Errors of a registry.

use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use url::Url;

use super::address::Address;
use crate::{Error, ErrorKind, Retry};

/// The longest part of a registry's own message that is worth repeating, in characters.
const MESSAGE: usize = 300;

/// A call to a registry that failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It does not know what was asked for.
    Absent(OciDistributionError),
    /// It does not know us.
    Unknown(OciDistributionError),
    /// It knows us, and does not let us.
    Forbidden(OciDistributionError),
    /// It wants to be asked less often.
    Busy(OciDistributionError),
    /// It cannot be reached.
    Unreachable(OciDistributionError),
    /// It fails on its side.
    Failing(OciDistributionError),
    /// It answers as no registry should, or refuses what was sent.
    Refused(OciDistributionError),
    /// It wants something to go to a host that is not its own.
    Elsewhere(OciDistributionError),
}

impl From<OciDistributionError> for Fault {
    fn from(error: OciDistributionError) -> Self {
        Self::of(error)
    }
}

impl Fault {
    /// It wants `what` to go to the host of `url`.
    pub(super) fn elsewhere(url: &Url, what: &str) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self::elsewhere_named(&format!("{what} to go to {}://{host}{port}", url.scheme()))
    }

    /// It wants `what`.
    pub(super) fn elsewhere_named(what: &str) -> Self {
        Self::Elsewhere(OciDistributionError::SpecViolationError(format!("it wants {what}")))
    }

    fn of(error: OciDistributionError) -> Self {
        match &error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                Self::Unknown(error)
            }
            OciDistributionError::ImageManifestNotFoundError(_) => Self::Absent(error),
            OciDistributionError::ServerError { code, .. } => match code {
                401 => Self::Unknown(error),
                403 => Self::Forbidden(error),
                404 => Self::Absent(error),
                429 => Self::Busy(error),
                500.. => Self::Failing(error),
                _ => Self::Refused(error),
            },
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first().map(|e| &e.code) {
                Some(
                    OciErrorCode::BlobUnknown
                    | OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NotFound,
                ) => Self::Absent(error),
                Some(OciErrorCode::Unauthorized) => Self::Unknown(error),
                Some(OciErrorCode::Denied) => Self::Forbidden(error),
                Some(OciErrorCode::Toomanyrequests) => Self::Busy(error),
                _ => Self::Refused(error),
            },
            OciDistributionError::RequestError(request) if request.is_builder() => Self::Refused(error),
            OciDistributionError::RequestError(_) | OciDistributionError::IoError(_) => Self::Unreachable(error),
            _ => Self::Refused(error),
        }
    }

    /// Whether the same call is worth another try.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Busy(_) | Self::Unreachable(_) | Self::Failing(_) => Retry::Backoff,
            Self::Absent(_) | Self::Unknown(_) | Self::Forbidden(_) | Self::Refused(_) | Self::Elsewhere(_) => {
                Retry::Never
            }
        }
    }

    /// As the error of a push to `address`.
    pub(super) fn error(self, address: &Address) -> Error {
        let host = address.host();
        let (kind, message, help) = match &self {
            Self::Absent(_) => (
                ErrorKind::NotFound,
                format!("the registry {host} has no repository for {}", address.path()),
                "check the path against `SHOW IMAGE REPOSITORIES`, or make it with `CREATE IMAGE REPOSITORY`",
            ),
            Self::Unknown(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} refused the credentials"),
                "sign in again, or give a programmatic access token that is still valid",
            ),
            Self::Forbidden(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} does not let this user push to {}", address.path()),
                "let an administrator run `GRANT WRITE ON IMAGE REPOSITORY … TO ROLE …`; the user's default role counts",
            ),
            Self::Busy(_) => {
                (ErrorKind::RateLimited, format!("the registry {host} is asked too often"), "try again later")
            }
            Self::Unreachable(_) => (
                ErrorKind::Unavailable,
                format!("the registry {host} cannot be reached"),
                "check the host, and that this machine may reach it",
            ),
            Self::Failing(_) => (ErrorKind::Unavailable, format!("the registry {host} fails"), "try again later"),
            Self::Refused(_) => (
                ErrorKind::Unavailable,
                format!("the registry {host} refused the image"),
                "see what it says, and whether the address is that of a registry",
            ),
            Self::Elsewhere(_) => (
                ErrorKind::Authentication,
                format!("the registry {host} does not keep to its own host, encrypted, and gets no credentials"),
                "check the address; if the other host is the registry's, too, name it by `Push::token_host`",
            ),
        };
        let error = Error::new(kind, message).with_help(help);
        let cause = self.into_cause();
        let error = match said(&cause) {
            Some((status, text)) => error.with_context("answer", status).with_context("registry", text),
            None => error,
        };
        // What a refused sign-in was answered with is not repeated: it may hold what was sent.
        if matches!(cause, OciDistributionError::AuthenticationFailure(_)) { error } else { error.with_source(cause) }
    }

    fn into_cause(self) -> OciDistributionError {
        match self {
            Self::Absent(cause)
            | Self::Unknown(cause)
            | Self::Forbidden(cause)
            | Self::Busy(cause)
            | Self::Unreachable(cause)
            | Self::Failing(cause)
            | Self::Refused(cause)
            | Self::Elsewhere(cause) => cause,
        }
    }
}

/// What the registry itself said.
fn said(cause: &OciDistributionError) -> Option<(String, String)> {
    match cause {
        OciDistributionError::RegistryError { envelope: OciEnvelope { errors }, .. } => {
            let first = errors.first()?;
            Some((format!("{:?}", first.code), short(&first.message)))
        }
        OciDistributionError::ServerError { code, message, .. } => Some((code.to_string(), short(message))),
        _ => None,
    }
}

fn short(message: &str) -> String {
    message.trim().chars().take(MESSAGE).collect()
}
