//! Shared by all clients of servers: the retry policy, the classification of transport errors, and the loopback check.

mod retry;
mod transport;

use url::{Host, Url};

pub use retry::RetryConfig;
#[cfg(feature = "http")]
pub(crate) use retry::millis;
#[cfg(feature = "snowflake")]
pub(crate) use retry::{delays, delays_with_jitter};
#[cfg(feature = "snowflake")]
pub(crate) use transport::proxy_help;
pub(crate) use transport::{TransportFailure, proxy_refusal};

/// Whether a host is this machine, so that a request to it needs no TLS and no proxy.
///
/// Names below `localhost` do not count: some resolvers ask the network for them.
pub(crate) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether the host of a URL is this machine.
pub(crate) fn is_loopback_url(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in
            ["http://localhost", "http://LOCALHOST:8080/x", "http://127.0.0.1", "http://127.9.9.9", "http://[::1]:9"]
        {
            assert!(is_loopback_url(&Url::parse(url).unwrap()), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://snow.localhost",
            "http://127.0.0.1.example",
            "http://[2001:db8::1]",
            "http://localhost@10.0.0.1",
            "data:localhost",
        ] {
            assert!(!is_loopback_url(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
