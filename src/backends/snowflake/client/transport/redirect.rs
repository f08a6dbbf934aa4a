//! FollowRedirects of Snowflake's. It answers 307 or 308 where another of its hosts should take a request, and its drivers follow, with
//! method, body and token. So do we, but only where a token may go.

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use reqwest::header::LOCATION;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::{Host, Url};

/// How many redirects one attempt follows.
const MAX_REDIRECTS: usize = 5;

/// The domains whose hosts are all Snowflake's, private links among them.
const SNOWFLAKE_DOMAINS: [&str; 2] = ["snowflakecomputing.com", "snowflakecomputing.cn"];

/// Follows redirects to the same host, and to others of Snowflake's.
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
            // What cannot be sent twice is sent once; no body of ours is such.
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

/// Whether a redirect keeps method and body, as those of Snowflake's do.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// Where a response sends us, if it says so.
pub(super) fn target(response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(location).ok().filter(|_| !location.is_empty())
}

/// Whether a request with its token may go from one place to another: within a host, or to a host of Snowflake's with TLS.
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

    fn follows(from: &str, to: &str) -> bool {
        let from = Url::parse(from).unwrap();
        may_follow(&from, &from.join(to).unwrap())
    }

    #[test]
    fn a_request_may_go_to_snowflake_and_nowhere_else() {
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
    fn a_host_of_ones_own_may_send_us_to_itself_and_to_snowflake() {
        assert!(follows("https://snowflake.example.com:8443/a", "/b"));
        assert!(follows("https://snowflake.example.com:8443/a", "https://org-acc.snowflakecomputing.com/"));
        assert!(!follows("https://snowflake.example.com:8443/a", "https://snowflake.example.com/"));
        assert!(follows("http://127.0.0.1:9/a", "/b"));
        assert!(!follows("http://127.0.0.1:9/a", "https://org-acc.snowflakecomputing.com/"));
        assert!(!follows("http://127.0.0.1:9/a", "http://127.0.0.1:10/a"));
    }
}
