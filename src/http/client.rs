use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;

use super::authorize::Authorize;
use super::bodies::Bodies;
use super::gate::Gate;
use super::links;
use super::request::Request;
use crate::error::is_credential;
use crate::net::is_loopback_url;
use crate::{Error, Result, RetryConfig};

/// Talks to one server, within its limits. Clones are cheap and share everything.
///
/// See the [module](super) for what it makes of an answer.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
    pub(super) gate: Gate,
    pub(super) authorization: Option<Arc<dyn Authorize>>,
    pub(super) retries: RetryConfig,
    pub(super) max_wait: Duration,
    pub(super) max_body: usize,
    pub(super) bodies: Bodies,
    pub(super) timeout: Duration,
}

impl Client {
    /// Starts a client of the server and path at `base_url`, such as `https://api.github.com` or
    /// `https://ghe.example/api/v3`.
    pub fn builder(base_url: &str) -> Builder {
        Builder {
            base_url: base_url.to_owned(),
            headers: vec![
                ("accept".to_owned(), "application/json".to_owned()),
                ("user-agent".to_owned(), concat!("snowfeed/", env!("CARGO_PKG_VERSION")).to_owned()),
            ],
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retries: RetryConfig::default(),
            max_wait: Duration::from_secs(65 * 60),
            budget: 100,
            concurrency: 8,
            per_minute: None,
            max_body: 64 << 20,
            proxy: None,
            authorities: Vec::new(),
            authorization: None,
        }
    }

    /// Asks for `path_or_url`: a path below the base URL, or an absolute URL on the same server such as a
    /// [link to the next page](super::Response::next). A URL elsewhere fails when it is sent.
    pub fn get(&self, path_or_url: &str) -> Request {
        Request::new(self.clone(), Method::GET, path_or_url)
    }

    /// Posts to `path_or_url`, without a body unless [`json`](Request::json) gives one.
    ///
    /// It is sent again only if the server certainly did not act on it: it could not be reached, answered 503 or a rate
    /// limit, or refused the credentials; one that is [repeatable](Request::repeatable) is sent again like a GET. Redirects
    /// are not followed.
    pub fn post(&self, path_or_url: &str) -> Request {
        Request::new(self.clone(), Method::POST, path_or_url)
    }

    /// The URL that paths are below; it ends in a slash.
    pub fn base_url(&self) -> &Url {
        &self.0.base
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.0.base.as_str())
            .field("authorization", &self.0.authorization)
            .field("retries", &self.0.retries)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Client`].
#[derive(Clone)]
pub struct Builder {
    base_url: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    connect_timeout: Duration,
    retries: RetryConfig,
    max_wait: Duration,
    budget: u8,
    concurrency: usize,
    per_minute: Option<u32>,
    max_body: usize,
    proxy: Option<String>,
    authorities: Vec<Vec<u8>>,
    authorization: Option<Arc<dyn Authorize>>,
}

impl Builder {
    /// The `User-Agent`; `snowfeed/<version>` by default.
    #[must_use]
    pub fn user_agent(self, value: &str) -> Self {
        self.header("user-agent", value)
    }

    /// A header of every request, such as a pinned API version. `Accept` is `application/json` unless set here;
    /// credentials belong to [`authorization`](Self::authorization).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The longest that one attempt may take, from connecting to the last byte; 60 seconds by default. Where several answers are
    /// large, they are read one at a time, and waiting for that does not count.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest that connecting may take; 10 seconds by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often and for how long a failed request is tried again.
    #[must_use]
    pub fn retry(mut self, retries: RetryConfig) -> Self {
        self.retries = retries;
        self
    }

    /// The longest that one request waits for limits, in all, before it fails with `RateLimited`; it fails at once when
    /// a limit is known to last longer. 65 minutes by default, so that a window of an hour fits.
    #[must_use]
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = time;
        self
    }

    /// Uses at most this share of the server's quota, in percent: once it is used, requests wait for the next window.
    /// Requests already under way may go past it. 100 by default, which stops just before the server would refuse.
    ///
    /// The quota is what `x-ratelimit-limit`, `-remaining` and `-reset` report; where other programs share it, their use
    /// counts too. A client knows one quota: where a server keeps several, such as GitHub's for searches, use a client
    /// each.
    #[must_use]
    pub fn budget(mut self, percent: u8) -> Self {
        self.budget = percent;
        self
    }

    /// How many requests may be under way at once; 8 by default, and fewer where bodies are so large that together they would
    /// take more than 8 MiB. A secondary limit brings it down to one; every 30
    /// answers after that it grows by one again.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// How many requests may be sent in a minute, evenly spread; as many as come by default.
    #[must_use]
    pub fn per_minute(mut self, requests: u32) -> Self {
        self.per_minute = Some(requests);
        self
    }

    /// The longest body, in bytes after decompression; 64 MiB by default. Reading stops where it is exceeded. The
    /// requests that are under way share 8 MiB, and only one of them at a time takes more.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sends everything through this proxy. Without it, the environment (`HTTPS_PROXY`, `NO_PROXY`) decides, except
    /// that a server on this machine (`localhost`, `127.0.0.1`) is always asked directly.
    #[must_use]
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    /// Trusts these authorities, one or more certificates as PEM, beside those that the system trusts.
    #[must_use]
    pub fn certificate_authority(mut self, pem: &[u8]) -> Self {
        self.authorities.push(pem.to_owned());
        self
    }

    /// Who the client is. Without it, requests are anonymous. With it, plain `http` is refused unless the server is on this machine.
    #[must_use]
    pub fn authorization(mut self, authorize: Arc<dyn Authorize>) -> Self {
        self.authorization = Some(authorize);
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `Configuration`, for any value that cannot be used.
    pub fn build(self) -> Result<Client> {
        let base = links::base(&self.base_url)?;
        if self.concurrency == 0 || self.concurrency > Gate::MOST {
            return Err(Error::configuration("the number of requests at once must be at least 1")
                .with_context("concurrency", self.concurrency));
        }
        if !(1..=100).contains(&self.budget) {
            return Err(Error::configuration("the quota budget must be a percentage from 1 to 100")
                .with_context("budget", self.budget));
        }
        let per_minute = match self.per_minute.map(NonZeroU32::new) {
            Some(None) => {
                return Err(Error::configuration("the number of requests per minute must be at least 1"));
            }
            Some(some) => some,
            None => None,
        };
        if base.scheme() == "http" && self.has_credentials() {
            self.refuse_plain_http(&base)?;
        }
        let mut http = reqwest::Client::builder()
            .default_headers(headers(&self.headers)?)
            // Redirects are followed by `Request`, which holds them to this server.
            .redirect(Policy::none())
            .connect_timeout(self.connect_timeout);
        if let Some(url) = &self.proxy {
            // The cause is left out: it may repeat the proxy's password.
            let proxy = links::proxy(url).and_then(|url| reqwest::Proxy::all(url).ok());
            let proxy = proxy.ok_or_else(|| {
                Error::configuration("the proxy is not a plain URL")
                    .with_help("write `http://HOST:PORT`; a user and a password belong into HTTPS_PROXY")
            })?;
            http = http.proxy(proxy);
        } else if is_loopback_url(&base) {
            // A proxy cannot reach it.
            http = http.no_proxy();
        }
        for pem in &self.authorities {
            for certificate in certificates(pem)? {
                http = http.add_root_certificate(certificate);
            }
        }
        let http = http.build().map_err(|error| {
            Error::configuration("the HTTP client cannot be set up")
                .with_help("check the proxy and the certificate authorities")
                .with_source(error)
        })?;
        Ok(Client(Arc::new(Inner {
            http,
            base,
            gate: Gate::new(self.concurrency, self.budget, per_minute),
            authorization: self.authorization,
            retries: self.retries,
            max_wait: self.max_wait,
            max_body: self.max_body,
            bodies: Bodies::new(),
            timeout: self.timeout,
        })))
    }

    /// Whether requests say who the client is, by authorization or by a header of its own such as `X-Api-Key`.
    fn has_credentials(&self) -> bool {
        self.authorization.is_some() || self.headers.iter().any(|(name, _)| is_credential(name))
    }

    /// Refuses to send credentials in the clear to another machine, or by way of one.
    fn refuse_plain_http(&self, base: &Url) -> Result<()> {
        let proxy = self.proxy.as_deref().and_then(links::proxy);
        let stays_here = is_loopback_url(base) && proxy.as_ref().is_none_or(is_loopback_url);
        if stays_here {
            return Ok(());
        }
        Err(Error::configuration("plain http is refused: the credentials would travel in the clear")
            .with_context("url", base)
            .with_help("use https; plain http is only for servers on this machine, or without credentials"))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the URLs nor the values of headers: nothing has checked them for secrets yet.
        f.debug_struct("Builder")
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("authorization", &self.authorization)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let refuse = |why: &str| Err(Error::configuration(format!("the header {name:?} {why}")));
        let Ok(name) = HeaderName::try_from(name) else {
            return refuse("has no valid name");
        };
        let Ok(value) = HeaderValue::try_from(value) else {
            return refuse("has a value that cannot be sent");
        };
        if name == AUTHORIZATION {
            return refuse("is set by `authorization`");
        }
        headers.insert(name, value);
    }
    Ok(headers)
}

fn certificates(pem: &[u8]) -> Result<Vec<reqwest::Certificate>> {
    let help = "give one or more certificates as PEM: -----BEGIN CERTIFICATE----- and so on";
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
        Error::configuration("the certificate authority cannot be read").with_help(help).with_source(error)
    })?;
    if certificates.is_empty() {
        return Err(Error::configuration("the certificate authority holds no certificate").with_help(help));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::http::Bearer;

    fn builder() -> Builder {
        Client::builder("https://api.example")
    }

    #[test]
    fn values_that_cannot_be_used_are_refused() {
        for (name, builder) in [
            ("base", Client::builder("api.example")),
            ("concurrency", builder().concurrency(0)),
            ("concurrency", builder().concurrency(usize::MAX)),
            ("budget", builder().budget(0)),
            ("budget", builder().budget(101)),
            ("per minute", builder().per_minute(0)),
            ("proxy", builder().proxy("http://")),
            ("proxy", builder().proxy("http://u:hunter2@proxy.example")),
            ("proxy", builder().proxy("http:/u:hunter2@proxy.example")),
            ("proxy", builder().proxy("HTTP:\\\\u:hunter2@proxy.example")),
            ("proxy", builder().proxy("u:hunter2@proxy.example")),
            ("proxy", builder().proxy("http://proxy.example/?x")),
            ("certificate", builder().certificate_authority(b"no certificate")),
            ("header", builder().header("a b", "c")),
            ("header", builder().header("a", "b\r\nc")),
            ("header", builder().header("Authorization", "Bearer x")),
        ] {
            let error = builder.build().map(|_| ()).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        }
    }

    #[test]
    fn credentials_travel_over_plain_http_to_this_machine_only() {
        let token = || Arc::new(Bearer::new(&"hunter2hunter2".into()));
        for url in [
            "http://api.example",
            "http://10.0.0.1",
            "http://[2001:db8::1]",
            "HTTP://api.example",
            "http://localhost.example",
            "http://169.254.169.254",
        ] {
            for builder in [
                Client::builder(url).authorization(token()),
                Client::builder(url).header("X-Api-Key", "hunter2hunter2"),
                Client::builder(url).header("PRIVATE-TOKEN", "hunter2hunter2"),
                Client::builder(url).header("Cookie", "session=hunter2hunter2"),
            ] {
                let error = builder.build().map(|_| ()).expect_err(url);
                assert!(error.message().contains("plain http"), "{url}: {error}");
            }
            Client::builder(url).build().expect("it is anonymous");
        }
        for url in ["https://api.example", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost"]
        {
            Client::builder(url).authorization(token()).build().expect(url);
        }
        let through = |proxy: &str| Client::builder("http://127.0.0.1:1").authorization(token()).proxy(proxy).build();
        assert!(through("http://proxy.example:3128").is_err(), "the proxy would see the token");
        assert!(through("http://127.0.0.1:3128").is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let builder = Client::builder("https://u:hunter2@api.example")
            .header("x-key", "hunter2")
            .proxy("http://u:hunter2@proxy.example")
            .authorization(Arc::new(Bearer::new(&"hunter2".into())));
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
        let client = Builder { base_url: "https://api.example".to_owned(), proxy: None, ..builder }.build().unwrap();
        assert!(!format!("{client:?}").contains("hunter2"), "{client:?}");
    }
}
