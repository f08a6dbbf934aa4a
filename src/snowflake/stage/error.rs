//! The errors of a storage, without secrets.
//!
//! `object_store`'s errors print URLs, and with them signatures, so none of their text is used. The cause is read from the responses
//! themselves.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

use crate::error::causes;
use crate::net::{TransportFailure, proxy_help};
use crate::{Error, ErrorKind};

/// How much is read of an error response.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The codes of S3 and Google Cloud Storage for expired credentials in a response with status 400.
const EXPIRED: [&str; 3] = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];

/// Why a request failed.
#[derive(Debug, Clone)]
enum RequestFailure {
    /// The storage responded with an error.
    Answer { host: String, status: u16, code: Option<String> },
    /// There was no response.
    Transport { host: String, failure: TransportFailure, cause: String },
}

/// Observes the requests of a store, and records why the last one failed.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureRecorder(Arc<Mutex<Option<RequestFailure>>>);

impl FailureRecorder {
    fn record(&self, fault: RequestFailure) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Returns the error of a failed upload. With `presigned`, a status of 400 means that the URL has expired.
    pub(super) fn explain(&self, storage: &'static str, presigned: bool) -> Error {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(RequestFailure::Answer { host, status, code }) => {
                let error = response_error(storage, presigned, status, code.as_deref());
                let error = error.with_context("host", host).with_status(status);
                code.into_iter().fold(error, |error, code| error.with_code(code))
            }
            Some(RequestFailure::Transport { host, failure, cause }) => {
                transport_error(storage, failure, &cause).with_context("host", host)
            }
            None => Error::new(ErrorKind::Unavailable, format!("{storage} violated its protocol")),
        }
    }
}

/// The error without a response. `object_store` has retried already. Only rejected credentials have the kind `Authentication`, even if a
/// proxy demands some.
fn transport_error(storage: &str, failure: TransportFailure, cause: &str) -> Error {
    let message = format!("{}: {cause}", failure.message(storage));
    let help = match failure {
        // Without TLS there is no proxy: the host is this machine.
        TransportFailure::ProxyAuthentication => proxy_help("https"),
        TransportFailure::UntrustedCertificate => {
            "check whether a proxy is in between; SYSTEM$ALLOWLIST() in Snowflake lists the hosts that it must let through"
        }
        _ => "let this machine reach the host; SYSTEM$ALLOWLIST() in Snowflake lists all that are needed",
    };
    Error::new(ErrorKind::Unavailable, message).with_help(help)
}

fn response_error(storage: &str, presigned: bool, status: u16, code: Option<&str>) -> Error {
    let expired = code.is_some_and(|code| EXPIRED.contains(&code));
    match status {
        400 if presigned || expired => credentials_rejected(storage),
        401 | 403 => credentials_rejected(storage),
        404 => Error::new(
            ErrorKind::NotFound,
            format!("{storage} does not have the location that Snowflake named for its stage"),
        ),
        _ => Error::new(ErrorKind::Unavailable, format!("{storage} rejected the file")),
    }
}

fn credentials_rejected(storage: &str) -> Error {
    Error::new(
        ErrorKind::Authentication,
        format!("{storage} rejected the credentials that Snowflake gave for its stage; they may have expired"),
    )
    .with_help("run the PUT statement again for new ones; if they are rejected, too, check this machine's clock and network policies")
}

impl HttpConnector for FailureRecorder {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(RecordingService { inner, failures: self.clone() }))
    }
}

#[derive(Debug)]
struct RecordingService {
    inner: HttpClient,
    failures: FailureRecorder,
}

#[async_trait]
impl HttpService for RecordingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = self.inner.execute(request).await.inspect_err(|error| {
            let failure = TransportFailure::classify(error);
            self.failures.record(RequestFailure::Transport { host: host.clone(), failure, cause: root(error) });
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let mut stream = body.bytes_stream();
        let mut body = BytesMut::new();
        // Without its body, the response still has a status.
        while let Ok(Some(piece)) = stream.try_next().await {
            body.extend_from_slice(&piece);
            if body.len() >= MAX_BODY_BYTES {
                break;
            }
        }
        let body = body.freeze();
        self.failures.record(RequestFailure::Answer { host, status: parts.status.as_u16(), code: code(&body) });
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// The innermost cause. Outer ones may repeat the request.
fn root(error: &dyn StdError) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// The error code in a response: all three clouds write `<Code>…</Code>`. The other texts quote the request.
fn code(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retry;

    #[test]
    fn only_a_code_is_taken_from_an_answer() {
        let body = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let xml = "<Error><Code>AccessDenied</Code><Message>token s3cret</Message></Error>";
        assert_eq!(code(&body(xml)).as_deref(), Some("AccessDenied"));
        for other in ["", "<Code>", "<Code>a s3cret</Code>", "{\"error\": {\"code\": 401}}"] {
            assert_eq!(code(&body(other)), None, "{other}");
        }
    }

    #[test]
    fn expired_credentials_are_told_from_other_faults() {
        let kind = |presigned, status, code| response_error("S", presigned, status, code).kind();
        for (presigned, status, code) in [
            (false, 400, Some("ExpiredToken")),
            (false, 401, None),
            (false, 403, Some("AuthenticationFailed")),
            (true, 400, None),
        ] {
            assert_eq!(kind(presigned, status, code), ErrorKind::Authentication, "{status} {code:?}");
        }
        assert_eq!(kind(false, 400, Some("EntityTooSmall")), ErrorKind::Unavailable);
        assert_eq!(kind(false, 404, Some("NoSuchBucket")), ErrorKind::NotFound);
        assert_eq!(kind(true, 503, None), ErrorKind::Unavailable);
    }

    #[test]
    fn a_transport_failure_never_means_expired_credentials() {
        let error = |failure| transport_error("S", failure, "cause");
        let unreachable = error(TransportFailure::ConnectFailed);
        assert_eq!(unreachable.message(), "S cannot be reached: cause");
        let help = "let this machine reach the host; SYSTEM$ALLOWLIST() in Snowflake lists all that are needed";
        assert_eq!(unreachable.help(), Some(help));
        let proxy = error(TransportFailure::ProxyAuthentication);
        assert!(proxy.help().unwrap().contains("HTTPS_PROXY="), "{proxy:?}");
        let certificate = error(TransportFailure::UntrustedCertificate);
        assert_eq!(certificate.message(), "the certificate of S is not trusted: cause");
        for error in [unreachable, proxy, certificate] {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
        }
    }
}
