//! What went wrong between a request and its answer, as this crate's errors.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use url::Url;

use super::message;
use crate::net::{TransportFailure, proxy_refusal};
use crate::{Error, ErrorKind, Retry};

/// A request that brought no answer to work with.
pub(super) struct Fault {
    pub(super) error: Error,
    /// The server did certainly not act on the request, so that even a POST may be sent again.
    pub(super) untouched: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, untouched: false }
    }
}

/// No answer, or only its beginning.
pub(super) fn transport(error: reqwest::Error, url: &Url, timeout: Duration) -> Fault {
    let origin = url.origin().ascii_serialization();
    let failure = TransportFailure::classify(&error);
    let late = |what: &str| {
        Error::unavailable(format!("{origin} {what}"))
            .with_context("timeout", format!("{}s", timeout.as_secs_f32()))
            .with_help("check the network, or allow more time")
    };
    let fault = match failure {
        TransportFailure::ProxyAuthentication => proxy_refusal(url.scheme()),
        TransportFailure::HostNotFound => Error::unavailable(format!("the host of {origin} cannot be found"))
            .with_help("check the base URL and, if there is one, the proxy"),
        TransportFailure::UntrustedCertificate => {
            Error::unavailable(format!("the certificate of {origin} is not trusted"))
                .with_help("give the certificate authority that issued it, or check the base URL")
                .with_retry(Retry::Never)
        }
        TransportFailure::ConnectTimeout => late("cannot be reached in time"),
        TransportFailure::ConnectFailed => Error::unavailable(format!("{origin} cannot be reached"))
            .with_help("check the base URL, the network and, if there is one, the proxy"),
        TransportFailure::Timeout => late("did not answer in time"),
        TransportFailure::IncompleteBody => {
            Error::invalid_data("the answer is cut short or garbled").with_retry(Retry::Backoff)
        }
        TransportFailure::Disconnected => Error::unavailable(format!("the connection to {origin} broke")),
    };
    let fault = fault.with_context("url", url).with_source(error.without_url());
    Fault { error: fault, untouched: failure.is_before_request() }
}

/// The answer, or the rest of it, did not come in time.
pub(super) fn timed_out(url: &Url, timeout: Duration) -> Fault {
    let error = Error::unavailable(format!("{} did not answer in time", url.origin().ascii_serialization()))
        .with_context("timeout", format!("{}s", timeout.as_secs_f32()))
        .with_help("check the network, or allow more time")
        .with_context("url", url)
        .with_source(Cause::Timeout);
    error.into()
}

pub(super) fn too_long(max: usize, url: &Url) -> Error {
    Error::invalid_data("the answer is longer than allowed")
        .with_context("bytes allowed", max)
        .with_context("url", url)
        .with_help("ask for smaller pages, or allow longer answers")
        .with_source(Cause::TooLong)
}

/// Why an answer did not come whole, where that is no error of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Timeout,
    TooLong,
    Damaged,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::TooLong => "too long",
            Self::Damaged => "the JSON is cut short or damaged",
        })
    }
}

impl StdError for Cause {}

/// Whether a smaller answer to the same question may come where this one did not: the server failed at it or took too long, or the
/// answer was cut short, damaged or too long.
pub(crate) fn may_depend_on_size(error: &Error) -> bool {
    if let Some(status) = error.status().filter(|status| !(200..300).contains(status)) {
        return matches!(status, 408 | 413 | 500..=599);
    }
    // A web page, or nothing, in place of data.
    let Some(cause) = error.source() else { return error.kind() == ErrorKind::InvalidData && error.status().is_some() };
    if let Some(broken) = cause.downcast_ref::<reqwest::Error>() {
        return !broken.is_connect() && !broken.is_builder();
    }
    let is_damaged = |cause: &serde_json::Error| !cause.is_data();
    cause.is::<Cause>() || cause.is::<std::str::Utf8Error>() || cause.downcast_ref().is_some_and(is_damaged)
}

/// Adds what a user must know of a request that has failed for good, where it is not said yet: the address, and what to do.
pub(super) fn complete(error: Error, url: &Url) -> Error {
    let named = error.context().any(|(name, _)| matches!(name, "url" | "redirected from"));
    let error = if named { error } else { error.with_context("url", url) };
    match error.kind() {
        _ if error.help().is_some() => error,
        ErrorKind::Unavailable => {
            error.with_help("try again later; if it stays, check the network, the base URL and, if there is one, the proxy")
        }
        ErrorKind::InvalidData => error.with_help(
            "try again later; if it stays, something on the way changes answers, or the base URL is that of another service",
        ),
        _ => error,
    }
}

/// A status that the caller did not ask for. `told` is what `Retry-After` says.
pub(super) fn status(status: u16, body: &str, told: Option<Duration>, url: &Url) -> Fault {
    let advice = told.map_or(Retry::Backoff, Retry::After);
    let said = message::said(body);
    let text = |text: &'static str| match &said {
        Some(said) => format!("{text}: {said}"),
        None => text.to_owned(),
    };
    let new = |kind, what| Error::new(kind, text(what));
    let invalid = |what| new(ErrorKind::InvalidData, what);
    let not_found = |what| new(ErrorKind::NotFound, what);
    let error = match status {
        401 => new(ErrorKind::Authentication, "the server does not accept the credentials")
            .with_help("check the token: it may be wrong, expired or revoked"),
        403 => new(ErrorKind::Authentication, "the server does not allow this")
            .with_help("check what the credentials may read"),
        404 => not_found("not found: it does not exist, or the credentials may not see it")
            .with_help("check the name, and what the credentials may read"),
        410 => not_found("gone: it was removed or is switched off"),
        451 => not_found("withheld for legal reasons"),
        407 => proxy_refusal(url.scheme()),
        408 | 425 | 500..=599 => new(ErrorKind::Unavailable, "the server failed to answer")
            .with_retry(advice)
            .with_help("try again later; if it stays, ask those who run the server"),
        409 => invalid("the server reports a conflict with the state of what was asked for"),
        422 => invalid("the server cannot process this request"),
        400..=499 => invalid("the server refuses this request"),
        _ => invalid("the server's answer was not expected"),
    };
    let error = error.with_status(status).with_context("url", url);
    Fault { error: error.with_server_message(said), untouched: status == 503 }
}

/// A successful answer whose reader found no data in it, but a message.
pub(super) fn message_in_place_of_data(status: u16, said: String, url: &Url, error: Error) -> Error {
    Error::invalid_data(format!("the server answers {status} with a message in place of data: {said}"))
        .with_status(status)
        .with_context("url", url)
        .with_help("do what the message says; if it does not concern this program, check the base URL and the proxy")
        .with_server_message(Some(said))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: u16, body: &str) -> Error {
        status(code, body, None, &Url::parse("https://api.example/x").unwrap()).error
    }

    #[test]
    fn every_status_has_its_kind_and_advice() {
        for (code, kind, retry) in [
            (400, ErrorKind::InvalidData, Retry::Never),
            (401, ErrorKind::Authentication, Retry::Never),
            (403, ErrorKind::Authentication, Retry::Never),
            (404, ErrorKind::NotFound, Retry::Never),
            (407, ErrorKind::Authentication, Retry::Never),
            (408, ErrorKind::Unavailable, Retry::Backoff),
            (409, ErrorKind::InvalidData, Retry::Never),
            (410, ErrorKind::NotFound, Retry::Never),
            (422, ErrorKind::InvalidData, Retry::Never),
            (425, ErrorKind::Unavailable, Retry::Backoff),
            (451, ErrorKind::NotFound, Retry::Never),
            (500, ErrorKind::Unavailable, Retry::Backoff),
            (502, ErrorKind::Unavailable, Retry::Backoff),
            (503, ErrorKind::Unavailable, Retry::Backoff),
        ] {
            let error = fault(code, "");
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        }
        assert_ne!(fault(404, "").message(), fault(410, "").message());
        assert_ne!(fault(410, "").message(), fault(451, "").message());
    }

    #[test]
    fn a_servers_message_is_repeated_on_one_short_line() {
        let body = format!(r#"{{"message":"Bad\n  credentials{}"}}"#, "!".repeat(500));
        let error = fault(401, &body);
        let text = error.to_string();
        assert!(text.starts_with("the server does not accept the credentials: Bad credentials!!"), "{text}");
        assert!(text.len() < 500 && !text.contains('\n'), "{text}");
        assert!(error.server_message().unwrap().starts_with("Bad credentials"));
    }

    #[test]
    fn retry_after_is_passed_on() {
        let told = Some(Duration::from_secs(7));
        let fault = status(503, "", told, &Url::parse("https://api.example/x").unwrap());
        assert_eq!(fault.error.retry(), Retry::After(Duration::from_secs(7)));
        assert!(fault.untouched);
    }
}
