//! Where requests go: the base URL, and which redirects to follow.
//!
//! The crate below always addresses `https://{account}.snowflakecomputing.com`, with the same parameters for every attempt. Both are
//! replaced here, for each attempt.

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::{Host, Url};
use uuid::Uuid;

use super::super::connection::ConnectionConfig;
use super::retry::Attempt;
use crate::net::is_loopback_url;
use crate::{Error, Result};

/// The account in the placeholder addresses. The real one need not be a valid host name.
pub(super) const PLACEHOLDER_ACCOUNT: &str = "account";
/// The placeholder for Snowflake's address.
pub(super) const PLACEHOLDER_URL: &str = "https://account.snowflakecomputing.com";
const PLACEHOLDER_HOST: &str = "account.snowflakecomputing.com";

/// Snowflake's address.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl(Url);

impl BaseUrl {
    /// # Errors
    /// `Configuration` when the connection's host is invalid.
    pub(super) fn of(connection: &ConnectionConfig) -> Result<Self> {
        // The host is not repeated: it may contain a password by mistake.
        let refuse = || {
            Error::configuration("the host of the Snowflake connection is not a host name")
                .with_help("give a name such as ORG-ACCOUNT.snowflakecomputing.com, without protocol, port and path")
        };
        let ConnectionConfig { protocol, host, port, .. } = connection;
        let url = Url::parse(&format!("{}://{host}:{port}", protocol.as_str())).map_err(|_| refuse())?;
        // An `@`, a `/` or a `?` in it would redirect the request.
        let plain = url.username().is_empty() && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !plain || host.contains(['/', '@', '?', '#', '\\']) {
            return Err(refuse());
        }
        Ok(Self(url))
    }

    /// Whether it is on this machine, which a proxy cannot reach.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback_url(&self.0)
    }

    /// Returns the real URL for a placeholder, for this attempt.
    fn resolve(&self, placeholder: &Url, attempt: Option<&Attempt>) -> Url {
        // Our parameters follow the crate's own, and replace them.
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| match pairs.iter_mut().find(|pair| pair.0 == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name.to_owned(), value)),
        };
        for (name, value) in placeholder.query_pairs() {
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
        // Some of the crate's paths begin with a second slash.
        url.set_path(placeholder.path().trim_start_matches('/'));
        url.query_pairs_mut().extend_pairs(pairs);
        url
    }
}

#[async_trait]
impl Middleware for BaseUrl {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if request.url().host_str() == Some(PLACEHOLDER_HOST) {
            let url = self.resolve(request.url(), extensions.get::<Attempt>());
            *request.url_mut() = url;
        }
        if let Some(token) = request.headers_mut().get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
        next.run(request, extensions).await
    }
}

/// How many redirects one attempt follows.
const MAX_REDIRECTS: usize = 5;

/// The domains of Snowflake's hosts, private links included.
const SNOWFLAKE_DOMAINS: [&str; 2] = ["snowflakecomputing.com", "snowflakecomputing.cn"];

/// Follows redirects to the same host and, with TLS, to other Snowflake hosts.
///
/// Snowflake responds with 307 or 308 where another of its hosts should take a request, and its drivers follow with method, body and
/// token.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowRedirects;

#[async_trait]
impl Middleware for FollowRedirects {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        for _ in 0..MAX_REDIRECTS {
            // A body that cannot be cloned is sent once; this crate sends no such body.
            let Some(copy) = request.try_clone() else { break };
            let response = next.clone().run(copy, extensions).await?;
            match target(&response) {
                Some(to) if is_temporary(response.status()) && may_follow(request.url(), &to) => {
                    tracing::debug!(to = to.host_str(), "Snowflake redirects a request");
                    *request.url_mut() = to;
                }
                _ => return Ok(response),
            }
        }
        next.run(request, extensions).await
    }
}

/// Whether a redirect keeps method and body, as Snowflake's do.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// The target of a redirect.
pub(super) fn target(response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(location).ok().filter(|_| !location.is_empty())
}

/// Whether a request with its token may be redirected: within a host, or to a Snowflake host with TLS.
pub(super) fn may_follow(from: &Url, to: &Url) -> bool {
    if !to.username().is_empty() || to.password().is_some() || to.scheme() != from.scheme() {
        return false;
    }
    let is_same_host = to.host() == from.host() && to.port_or_known_default() == from.port_or_known_default();
    is_same_host || (to.scheme() == "https" && to.port().is_none() && is_snowflake_host(to))
}

fn is_snowflake_host(url: &Url) -> bool {
    let Some(Host::Domain(host)) = url.host() else { return false };
    SNOWFLAKE_DOMAINS.iter().any(|domain| host.strip_suffix(domain).is_some_and(|name| name.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> BaseUrl {
        BaseUrl(Url::parse("http://127.0.0.1:8080").unwrap())
    }

    #[test]
    fn request_parameters_replace_the_generated_ones() {
        let placeholder =
            format!("{PLACEHOLDER_URL}//session/token-request?requestId=theirs&request_guid=x&requestId=ours");
        let placeholder = Url::parse(&placeholder).unwrap();
        let attempt = Attempt { before: 2, reason: 503, began: 17 };
        let url = address().resolve(&placeholder, Some(&attempt));
        assert_eq!(url.path(), "/session/token-request");
        let query = url.query().unwrap();
        assert!(query.starts_with("requestId=ours&request_guid="), "{query}");
        assert!(query.ends_with("&clientStartTime=17&retryCount=2&retryReason=503"), "{query}");
        assert_eq!(query.matches("request").count(), 2, "{query}");
    }

    #[test]
    fn every_attempt_has_a_guid_of_its_own() {
        let placeholder = Url::parse(PLACEHOLDER_URL).unwrap();
        assert_ne!(address().resolve(&placeholder, None), address().resolve(&placeholder, None));
    }

    fn follows(from: &str, to: &str) -> bool {
        let from = Url::parse(from).unwrap();
        may_follow(&from, &from.join(to).unwrap())
    }

    #[test]
    fn redirects_lead_only_to_snowflake() {
        let from = "https://org-acc.snowflakecomputing.com/queries/v1/query-request";
        for to in [
            "/queries/v1/other",
            "https://org-acc.snowflakecomputing.com:443/",
            "https://xy1.eu-west-1.aws.snowflakecomputing.com/queries/v1/query-request",
            "https://xy1.us-east-1.privatelink.snowflakecomputing.com/",
            "https://XY1.cn-northwest-1.snowflakecomputing.cn/",
        ] {
            assert!(follows(from, to), "{to}");
        }
        for to in [
            "http://org-acc.snowflakecomputing.com/",
            "https://org-acc.snowflakecomputing.com:8443/",
            "https://org-acc.snowflakecomputing.com.example.com/",
            "https://snowflakecomputing.com/",
            "https://evilsnowflakecomputing.com/",
            "https://user@org-acc.snowflakecomputing.com/",
            "https://:secret@org-acc.snowflakecomputing.com/",
            "https://10.0.0.7/",
            "https://[::1]/",
            "ftp://org-acc.snowflakecomputing.com/",
            "data:text/plain,x",
        ] {
            assert!(!follows(from, to), "{to}");
        }
    }

    #[test]
    fn a_custom_host_may_redirect_to_itself_and_to_snowflake() {
        assert!(follows("https://snowflake.example.com:8443/a", "/b"));
        assert!(follows("https://snowflake.example.com:8443/a", "https://org-acc.snowflakecomputing.com/"));
        assert!(!follows("https://snowflake.example.com:8443/a", "https://snowflake.example.com/"));
        assert!(follows("http://127.0.0.1:9/a", "/b"));
        assert!(!follows("http://127.0.0.1:9/a", "https://org-acc.snowflakecomputing.com/"));
        assert!(!follows("http://127.0.0.1:9/a", "http://127.0.0.1:10/a"));
    }
}
