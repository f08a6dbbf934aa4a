//! The errors of requests.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use url::Url;

use super::server_message;
use crate::net::{TransportFailure, proxy_refusal};
use crate::{Error, ErrorKind, Retry};

/// The error of a request without a complete response, and whether the server certainly has not acted on it.
pub(super) fn transport(error: reqwest::Error, url: &Url, timeout: Duration) -> (Error, bool) {
    let origin = url.origin().ascii_serialization();
    let failure = TransportFailure::classify(&error);
    let late = |what: &str| {
        Error::unavailable(format!("{origin} {what}"))
            .with_context("timeout", format!("{}s", timeout.as_secs_f32()))
            .with_help("check the network, or allow more time")
    };
    let new = match failure {
        TransportFailure::ProxyAuthentication => proxy_refusal(url.scheme()),
        TransportFailure::HostNotFound => Error::unavailable(format!("the host of {origin} cannot be found"))
            .with_help("check the base URL and, if there is one, the proxy"),
        TransportFailure::UntrustedCertificate => Error::unavailable(failure.message(&origin))
            .with_help("configure the certificate authority that issued it, or check the base URL"),
        TransportFailure::ConnectTimeout => late("cannot be reached in time"),
        TransportFailure::ConnectFailed => Error::unavailable(failure.message(&origin))
            .with_help("check the base URL, the network and, if there is one, the proxy"),
        TransportFailure::Timeout => late("did not answer in time"),
        TransportFailure::IncompleteBody => Error::invalid_data("the answer is cut short or garbled"),
        TransportFailure::Disconnected => Error::unavailable(failure.message(&origin)),
    };
    let new = new.with_retry(failure.retry()).with_context("url", url).with_source(error.without_url());
    (new, failure.is_before_request())
}

/// The error of a response that is not complete in time.
pub(super) fn timed_out(url: &Url, timeout: Duration) -> Error {
    Error::unavailable(format!("{} did not answer in time", url.origin().ascii_serialization()))
        .with_context("timeout", format!("{}s", timeout.as_secs_f32()))
        .with_help("check the network, or allow more time")
        .with_context("url", url)
        .with_source(IncompleteResponse::TimedOut)
}

/// The error of a body with more than `max` bytes.
pub(super) fn too_long(max: usize, url: &Url) -> Error {
    Error::invalid_data("the answer is longer than allowed")
        .with_context("bytes allowed", max)
        .with_context("url", url)
        .with_help("request smaller pages, or allow longer answers")
        .with_source(IncompleteResponse::TooLong)
}

/// Why a response is incomplete, apart from errors of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IncompleteResponse {
    TimedOut,
    TooLong,
    DamagedJson,
}

impl fmt::Display for IncompleteResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timeout",
            Self::TooLong => "too long",
            Self::DamagedJson => "the JSON is cut short or damaged",
        })
    }
}

impl StdError for IncompleteResponse {}

/// Whether a smaller page might succeed: the server failed or took too long, or the response was cut short, damaged or too long.
pub(crate) fn may_depend_on_size(error: &Error) -> bool {
    if let Some(status) = error.status().filter(|status| !(200..300).contains(status)) {
        return matches!(status, 408 | 413 | 500..=599);
    }
    // A web page, or nothing, was sent in place of data.
    let Some(cause) = error.source() else { return error.kind() == ErrorKind::InvalidData && error.status().is_some() };
    if let Some(broken) = cause.downcast_ref::<reqwest::Error>() {
        return !TransportFailure::classify(broken).is_before_request() && !broken.is_builder();
    }
    let is_damaged = |cause: &serde_json::Error| !cause.is_data();
    cause.is::<IncompleteResponse>()
        || cause.is::<std::str::Utf8Error>()
        || cause.downcast_ref().is_some_and(is_damaged)
}

/// Adds the URL and the help that an error lacks.
pub(super) fn complete(error: Error, url: &Url) -> Error {
    let named = error.context().any(|(name, _)| matches!(name, "url" | "redirected from"));
    let error = if named { error } else { error.with_context("url", url) };
    match error.kind() {
        _ if error.help().is_some() => error,
        ErrorKind::Unavailable => {
            error.with_help("try again later; if it persists, check the network, the base URL and, if there is one, the proxy")
        }
        ErrorKind::InvalidData if matches!(error.status(), Some(400..=499)) => {
            error.with_help("correct the URL, or what the request sends: parameters, headers and body")
        }
        ErrorKind::InvalidData => error.with_help(
            "try again later; if it persists, check whether a proxy changes answers, and whether the base URL is that of another service",
        ),
        _ => error,
    }
}

/// The error of a request that a rate limit rejected, where no layer waits for its end.
pub(super) fn throttled(status: u16, wait: Duration, url: &Url) -> Error {
    Error::new(ErrorKind::RateLimited, "a rate limit of the server rejects the request")
        .with_status(status)
        .with_context("url", url)
        .with_help("try again later, or use credentials with a larger quota")
        .with_retry(Retry::After(wait))
}

/// The error of a status that the caller does not allow.
pub(super) fn status(status: u16, body: &str, retry_after: Option<Duration>, url: &Url) -> Error {
    let advice = retry_after.map_or(Retry::Backoff, Retry::After);
    let message = server_message::extract(body);
    let text = |text: &'static str| match &message {
        Some(message) => format!("{text}: {message}"),
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
            .with_help("try again later; if it persists, contact the operator of the server"),
        409 => invalid("the server reports a conflict with the current state"),
        // Only a reader that gives it another meaning than to wait sees it.
        429 => new(ErrorKind::RateLimited, "the server answers too many requests with a limit")
            .with_help("send fewer requests, or try again later"),
        422 => invalid("the server cannot process this request"),
        400..=499 => invalid("the server rejects this request"),
        _ => invalid("the server sent an unexpected status"),
    };
    error.with_status(status).with_context("url", url).with_server_message(message)
}

/// The error for a 2xx response that contains a message in place of data.
pub(super) fn message_in_place_of_data(status: u16, message: String, url: &Url, error: Error) -> Error {
    Error::invalid_data(format!("the server answers {status} with a message in place of data: {message}"))
        .with_status(status)
        .with_context("url", url)
        .with_help("do what the message says; if it does not concern this program, check the base URL and the proxy")
        .with_server_message(Some(message))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, body: &str) -> Error {
        status(code, body, None, &Url::parse("https://api.example/x").unwrap())
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
            let error = error(code, "");
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        }
        assert_ne!(error(404, "").message(), error(410, "").message());
        assert_ne!(error(410, "").message(), error(451, "").message());
    }

    #[test]
    fn a_servers_message_is_repeated_on_one_short_line() {
        let body = format!(r#"{{"message":"Bad\n  credentials{}"}}"#, "!".repeat(500));
        let error = error(401, &body);
        let text = error.to_string();
        assert!(text.starts_with("the server does not accept the credentials: Bad credentials!!"), "{text}");
        assert!(text.len() < 500 && !text.contains('\n'), "{text}");
        assert!(error.server_message().unwrap().starts_with("Bad credentials"));
    }

    #[test]
    fn retry_after_is_passed_on() {
        let error = status(503, "", Some(Duration::from_secs(7)), &Url::parse("https://api.example/x").unwrap());
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    }
}
