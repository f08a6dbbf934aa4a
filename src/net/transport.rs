//! Why a request got no complete response.

use std::error::Error as StdError;

use crate::error::{causes, is_caused_by};
use crate::{Error, ErrorKind, Retry};

/// Why a request got no complete response. Each client adds the help for its own users.
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
    /// The connection broke, or the cause is unknown.
    Disconnected,
}

impl TransportFailure {
    /// Classifies the error of a request, or of its response's body. Another library may have wrapped it.
    pub(crate) fn classify(error: &(dyn StdError + 'static)) -> Self {
        let mut chain = std::iter::once(error).chain(causes(error));
        chain.find_map(|cause| cause.downcast_ref()).map_or(Self::Disconnected, Self::classify_request)
    }

    fn classify_request(error: &reqwest::Error) -> Self {
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

    /// The message for a server that is called `server`.
    pub(crate) fn message(self, server: &str) -> String {
        match self {
            Self::ProxyAuthentication | Self::HostNotFound | Self::ConnectTimeout | Self::ConnectFailed => {
                format!("{server} cannot be reached")
            }
            Self::UntrustedCertificate => format!("the certificate of {server} is not trusted"),
            Self::Timeout => format!("{server} did not respond in time"),
            Self::IncompleteBody => format!("the response of {server} was cut off"),
            Self::Disconnected => format!("the connection to {server} broke"),
        }
    }

    /// Whether retrying can help. A proxy or a certificate does not change by itself.
    pub(crate) fn retry(self) -> Retry {
        match self {
            Self::ProxyAuthentication | Self::UntrustedCertificate => Retry::Never,
            Self::HostNotFound
            | Self::ConnectTimeout
            | Self::ConnectFailed
            | Self::Timeout
            | Self::IncompleteBody
            | Self::Disconnected => Retry::Backoff,
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
    Error::new(ErrorKind::Authentication, "the proxy asks for credentials").with_help(proxy_help(scheme))
}

/// The help for a proxy that demands credentials.
pub(crate) fn proxy_help(scheme: &str) -> &'static str {
    match scheme {
        "https" => {
            "give them in the environment, HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, and name the proxy nowhere else"
        }
        _ => "give them in the environment, HTTP_PROXY=http://USER:PASSWORD@HOST:PORT, and name the proxy nowhere else",
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// An error of another library.
    #[derive(Debug)]
    struct Wrapper(Box<dyn StdError>);

    impl std::fmt::Display for Wrapper {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl StdError for Wrapper {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    /// The error of a request to a server that answers with these bytes and closes the connection.
    async fn error_after(answer: &'static [u8]) -> reqwest::Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let read = connection.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0, "no request came");
            connection.write_all(answer).await.unwrap();
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let error = async { client.get(url).send().await?.bytes().await }.await.unwrap_err();
        server.await.unwrap();
        error
    }

    #[tokio::test]
    async fn errors_are_classified_whatever_wraps_them() {
        let refused = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            drop(listener);
            reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap_err()
        };
        for (error, failure) in [
            (refused.await, TransportFailure::ConnectFailed),
            (error_after(b"").await, TransportFailure::Disconnected),
            (error_after(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await, TransportFailure::IncompleteBody),
        ] {
            assert_eq!(TransportFailure::classify(&error), failure, "{error:?}");
            let wrapped = Wrapper(Box::new(Wrapper(Box::new(error))));
            assert_eq!(TransportFailure::classify(&wrapped), failure, "{wrapped:?}");
        }
        assert_eq!(TransportFailure::classify(&std::io::Error::other("?")), TransportFailure::Disconnected);
    }

    #[test]
    fn proxies_and_certificates_are_not_retried() {
        for failure in [TransportFailure::ProxyAuthentication, TransportFailure::UntrustedCertificate] {
            assert_eq!(failure.retry(), Retry::Never);
        }
        assert_eq!(TransportFailure::HostNotFound.retry(), Retry::Backoff);
    }
}
