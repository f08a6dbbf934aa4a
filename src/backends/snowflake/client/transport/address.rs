//! Where requests go. The crate below always addresses `https://{account}.snowflakecomputing.com`, with parameters that are
//! the same at every attempt; both are put right here, once for each attempt.

use async_trait::async_trait;
use http::Extensions;
use reqwest::header::AUTHORIZATION;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::Url;
use uuid::Uuid;

use super::super::super::connection::Connection;
use super::resend::Attempt;
use crate::net::is_loopback_url;
use crate::{Error, Result};

/// The account in the addresses that stand for Snowflake until they come here. The real one may not even be a host's name.
pub(super) const STAND_IN: &str = "account";
/// The address that stands for Snowflake.
pub(super) const STAND_IN_URL: &str = "https://account.snowflakecomputing.com";
const STAND_IN_HOST: &str = "account.snowflakecomputing.com";

/// Snowflake's address.
#[derive(Debug, Clone)]
pub(super) struct Address(Url);

impl Address {
    /// # Errors
    /// `Configuration` when the connection's host is none.
    pub(super) fn of(connection: &Connection) -> Result<Self> {
        // The host is not repeated: whoever writes a password into it shall not read it in a log.
        let refuse = || {
            Error::configuration("the host of the Snowflake connection is no host name")
                .with_help("give a name such as ORG-ACCOUNT.snowflakecomputing.com, without protocol, port and path")
        };
        let Connection { protocol, host, port, .. } = connection;
        let url = Url::parse(&format!("{}://{host}:{port}", protocol.as_str())).map_err(|_| refuse())?;
        // An `@`, a `/` or a `?` in it would lead elsewhere.
        let plain = url.username().is_empty() && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !plain || host.contains(['/', '@', '?', '#', '\\']) {
            return Err(refuse());
        }
        Ok(Self(url))
    }

    /// Whether it is on this machine, where a proxy cannot reach it.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback_url(&self.0)
    }

    /// The real URL for one that stands for it, for this attempt.
    fn resolve(&self, stand_in: &Url, attempt: Option<&Attempt>) -> Url {
        // What we gave comes after what the crate made up, and replaces it.
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| match pairs.iter_mut().find(|pair| pair.0 == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name.to_owned(), value)),
        };
        for (name, value) in stand_in.query_pairs() {
            set(&name, value.into_owned());
        }
        set("request_guid", Uuid::now_v7().to_string());
        if let Some(attempt) = attempt {
            set("clientStartTime", attempt.began.to_string());
            if attempt.before > 0 {
                set("retryCount", attempt.before.to_string());
                set("retryReason", attempt.reason.to_string());
            }
        }
        let mut url = self.0.clone();
        // The crate begins some of its paths with a second slash.
        url.set_path(stand_in.path().trim_start_matches('/'));
        url.query_pairs_mut().extend_pairs(pairs);
        url
    }
}

#[async_trait]
impl Middleware for Address {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if request.url().host_str() == Some(STAND_IN_HOST) {
            let url = self.resolve(request.url(), extensions.get::<Attempt>());
            *request.url_mut() = url;
        }
        if let Some(token) = request.headers_mut().get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
        next.run(request, extensions).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address(Url::parse("http://127.0.0.1:8080").unwrap())
    }

    #[test]
    fn our_parameters_replace_the_ones_made_up() {
        let stand_in = format!("{STAND_IN_URL}//session/token-request?requestId=theirs&request_guid=x&requestId=ours");
        let stand_in = Url::parse(&stand_in).unwrap();
        let attempt = Attempt { before: 2, reason: 503, began: 17 };
        let url = address().resolve(&stand_in, Some(&attempt));
        assert_eq!(url.path(), "/session/token-request");
        let query = url.query().unwrap();
        assert!(query.starts_with("requestId=ours&request_guid="), "{query}");
        assert!(query.ends_with("&clientStartTime=17&retryCount=2&retryReason=503"), "{query}");
        assert_eq!(query.matches("request").count(), 2, "{query}");
    }

    #[test]
    fn every_attempt_has_a_guid_of_its_own() {
        let stand_in = Url::parse(STAND_IN_URL).unwrap();
        assert_ne!(address().resolve(&stand_in, None), address().resolve(&stand_in, None));
    }
}
