//! Which hosts a PUT statement may send us to.

use url::Url;

use super::Origin;
use crate::net::is_loopback_url;
use crate::{Error, Result};

/// A host to speak to instead of a cloud's usual one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Reached with TLS; with a port where it is not 443.
    Host(String),
    /// A server on this machine, without TLS: an emulator of the cloud, which knows no host per bucket.
    Loopback(Url),
}

impl Endpoint {
    /// Reads an `endPoint`: a host as a rule, sometimes a URL.
    pub(super) fn parse(text: &str, origin: Origin) -> Result<Self> {
        let wrong = || {
            Error::invalid_data("Snowflake named an endpoint for its stage that is not used")
                .with_context("endpoint", text)
        };
        let text = text.trim();
        if text.starts_with("http://") {
            let url = Url::parse(text).map_err(|_| wrong())?;
            return if is_allowed(&url, origin) { Ok(Self::Loopback(url)) } else { Err(wrong()) };
        }
        let host = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if !host.is_empty() && host.chars().all(is_plain) { Ok(Self::Host(host.to_owned())) } else { Err(wrong()) }
    }
}

/// Whether a file and its credentials may be sent there: with TLS, or without leaving this machine.
pub(super) fn is_allowed(url: &Url, origin: Origin) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback_url(url) && origin == Origin::Loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_a_scheme() {
        let host = |text| Endpoint::parse(text, Origin::Remote).unwrap();
        for text in ["blob.core.windows.net", "https://blob.core.windows.net", " https://blob.core.windows.net/ "] {
            assert_eq!(host(text), Endpoint::Host("blob.core.windows.net".into()));
        }
    }

    #[test]
    fn nothing_travels_without_tls_but_on_this_machine_for_a_server_on_it() {
        for text in ["http://127.0.0.1:9", "http://localhost:9/account", "http://[::1]:9"] {
            assert!(matches!(Endpoint::parse(text, Origin::Loopback), Ok(Endpoint::Loopback(_))), "{text}");
            assert!(Endpoint::parse(text, Origin::Remote).is_err(), "{text}");
        }
        for text in
            ["http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://localhost@10.0.0.1"]
        {
            assert!(Endpoint::parse(text, Origin::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["a/b", "user@host", "host?x", "host#x", "ftp://host", "", "https://"] {
            assert!(Endpoint::parse(text, Origin::Loopback).is_err(), "{text:?}");
        }
    }
}
