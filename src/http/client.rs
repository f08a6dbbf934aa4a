use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::auth::{AuthorizationLayer, Authorize, CredentialLayer, sensitive};
use super::body_memory::BodyMemory;
use super::classify::ClassifyLayer;
use super::layer::{HttpService, Layer};
use super::links;
use super::log::LogLayer;
use super::rate_limit::{RateLimitLayer, RateLimiter};
use super::redact::RedactLayer;
use super::request::Request;
use super::retry::RetryLayer;
use super::transport::{BodyMemoryLayer, Transport};
use crate::error::{is_credential, remember, remember_authorization};
use crate::net::is_loopback_url;
use crate::{Error, Result, RetryConfig};

/// A client of one server, within its limits. Clones are cheap and share everything.
///
/// See the [module](super) for what each response means.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) base: Url,
    pub(super) service: Arc<dyn HttpService>,
}

impl Client {
    /// Builds a client of the server and path at `base_url`, such as `https://api.github.com` or
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
            retry: Some(RetryConfig::default()),
            has_rate_limit: true,
            layers: Vec::new(),
            max_wait: Duration::from_secs(65 * 60),
            budget: 100,
            concurrency: 8,
            pace: None,
            max_body: 64 << 20,
            proxy: None,
            authorities: Vec::new(),
            authorization: None,
            credential_headers: Vec::new(),
            credential_query: Vec::new(),
        }
    }

    /// Prepares a GET of `path_or_url`: a path below the base URL, or an absolute URL on the same server such as a
    /// [link to the next page](super::Response::next). A URL of another server fails when it is sent.
    pub fn get(&self, path_or_url: &str) -> Request {
        Request::new(self.clone(), Method::GET, path_or_url)
    }

    /// Prepares a POST to `path_or_url`, without a body unless [`json`](Request::json) sets one.
    ///
    /// It is retried only if the server certainly did not act on it: the server could not be reached, answered 503 or a rate
    /// limit, or rejected the credentials. One that is [idempotent](Request::idempotent) is retried like a GET. Redirects
    /// are not followed.
    pub fn post(&self, path_or_url: &str) -> Request {
        Request::new(self.clone(), Method::POST, path_or_url)
    }

    /// The base URL, which ends in a slash.
    pub fn base_url(&self) -> &Url {
        &self.0.base
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.0.base.as_str())
            .field("service", &self.0.service)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Client`].
///
/// # Layers
///
/// A request passes these layers, the outermost first. Each is an [`HttpService`] around the next one.
///
/// 1. Retries, within the [`RetryConfig`]; [`without_retry`](Self::without_retry) removes them.
/// 2. Classification: turns statuses into errors, and follows redirects.
/// 3. Rate limits, concurrency and pace; [`without_rate_limit`](Self::without_rate_limit) removes them.
/// 4. The memory for response bodies.
/// 5. [Authorization](Self::authorization), if there is any.
/// 6. Your own [layers](Self::layer), which see every single request that is sent.
/// 7. Redaction of credentials that a server repeats in its headers.
/// 8. A span and a log line for each attempt.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use snowfeed::Result;
/// use snowfeed::http::{Client, HttpRequest, HttpResponse, HttpService, Layer};
///
/// /// Counts the responses that are errors of the server.
/// #[derive(Debug, Clone, Default)]
/// struct CountServerErrors(Arc<AtomicU64>);
///
/// #[derive(Debug)]
/// struct Counting {
///     count: Arc<AtomicU64>,
///     inner: Arc<dyn HttpService>,
/// }
///
/// impl Layer for CountServerErrors {
///     fn layer(&self, inner: Arc<dyn HttpService>) -> Arc<dyn HttpService> {
///         Arc::new(Counting { count: self.0.clone(), inner })
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl HttpService for Counting {
///     async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
///         let response = self.inner.call(request).await?;
///         if response.status() >= 500 {
///             self.count.fetch_add(1, Ordering::Relaxed);
///         }
///         Ok(response)
///     }
/// }
///
/// let errors = CountServerErrors::default();
/// let client = Client::builder("https://api.example.com").layer(errors.clone()).without_rate_limit().build()?;
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    base_url: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    connect_timeout: Duration,
    retry: Option<RetryConfig>,
    has_rate_limit: bool,
    layers: Vec<Arc<dyn Layer>>,
    max_wait: Duration,
    budget: u8,
    concurrency: usize,
    pace: Option<(u32, Duration)>,
    max_body: usize,
    proxy: Option<String>,
    authorities: Vec<Vec<u8>>,
    authorization: Option<Arc<dyn Authorize>>,
    credential_headers: Vec<(String, SecretString)>,
    credential_query: Vec<(String, SecretString)>,
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

    /// The longest that one attempt may take, from connecting to the last byte; 60 seconds by default. Where several responses are
    /// large, the client reads them one at a time; waiting for that does not count.
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

    /// How often, and for how long, a failed request is retried.
    #[must_use]
    pub fn retry(mut self, config: RetryConfig) -> Self {
        self.retry = Some(config);
        self
    }

    /// Removes the retry layer: each request makes one attempt, and its error keeps its [retry advice](Error::retry).
    #[must_use]
    pub fn without_retry(mut self) -> Self {
        self.retry = None;
        self
    }

    /// Removes the rate limit layer: requests wait for no limit, and any number may be under way. A limit of the server is an
    /// error of the kind `RateLimited`, which the retry layer retries like others.
    #[must_use]
    pub fn without_rate_limit(mut self) -> Self {
        self.has_rate_limit = false;
        self
    }

    /// Adds a layer inside those added before: it sees each request as it is sent, with the credential, and each response
    /// before it is classified.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// The longest total time that one request waits for limits before it fails with `RateLimited`; it fails at once when
    /// a limit is known to last longer. 65 minutes by default, so that a window of an hour fits.
    #[must_use]
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = time;
        self
    }

    /// Uses at most this share of the server's quota, in percent: once it is used, requests wait for the next window.
    /// Requests already under way may exceed it. 100 by default, which stops just before the server would reject requests.
    ///
    /// The headers `x-ratelimit-limit`, `-remaining` and `-reset` report the quota; the use of other programs that share it
    /// counts too. A client knows one quota: where a server has several, such as GitHub's for searches, use one client
    /// for each.
    #[must_use]
    pub fn budget(mut self, percent: u8) -> Self {
        self.budget = percent;
        self
    }

    /// How many requests may be under way at once; 8 by default, and fewer where their bodies would take more than 8 MiB
    /// together. A secondary limit reduces it to one; after every 30 responses it grows by one again.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// How many requests may be sent in a minute, evenly spread; unlimited by default.
    #[must_use]
    pub fn per_minute(self, requests: u32) -> Self {
        self.pace(requests, Duration::from_secs(60))
    }

    /// How many requests may be sent in this time, evenly spread; unlimited by default.
    #[must_use]
    pub fn pace(mut self, requests: u32, per: Duration) -> Self {
        self.pace = Some((requests, per));
        self
    }

    /// The maximum size of a body, in bytes after decompression; 64 MiB by default. Reading stops where it is exceeded. All
    /// requests under way share 8 MiB, and only one of them at a time takes more.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sends everything through this proxy. Without it, the environment (`HTTPS_PROXY`, `NO_PROXY`) decides, except
    /// that a server on this machine (`localhost`, `127.0.0.1`) is always reached directly.
    #[must_use]
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    /// Trusts these authorities, one or more certificates as PEM, in addition to those that the system trusts.
    #[must_use]
    pub fn certificate_authority(mut self, pem: &[u8]) -> Self {
        self.authorities.push(pem.to_owned());
        self
    }

    /// The credential of the client. Without one, requests are anonymous. With one, plain `http` is rejected unless the server is on
    /// this machine.
    #[must_use]
    pub fn authorization(mut self, authorize: Arc<dyn Authorize>) -> Self {
        self.authorization = Some(authorize);
        self
    }

    /// Adds a credential that is a header of its own, such as `X-Api-Key`, with the rules of
    /// [`authorization`](Self::authorization). No log and no error has its value.
    #[must_use]
    pub fn credential_header(mut self, name: &str, value: SecretString) -> Self {
        self.credential_headers.push((name.to_owned(), value));
        self
    }

    /// Adds a credential that is a parameter of each URL, with the rules of [`authorization`](Self::authorization). No log, no error and
    /// no [`Response::url`](super::Response::url) has it.
    #[must_use]
    pub fn credential_query(mut self, name: &str, value: SecretString) -> Self {
        self.credential_query.push((name.to_owned(), value));
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `Configuration`, for any invalid value.
    pub fn build(self) -> Result<Client> {
        let base = links::base(&self.base_url)?;
        if self.concurrency == 0 || self.concurrency > RateLimiter::MAX_CONCURRENCY {
            return Err(Error::configuration("the number of requests at once must be at least 1")
                .with_context("concurrency", self.concurrency));
        }
        if !(1..=100).contains(&self.budget) {
            return Err(Error::configuration("the quota budget must be a percentage from 1 to 100")
                .with_context("budget", self.budget));
        }
        let pace = match self.pace {
            Some((requests, per)) => {
                let between = per.checked_div(requests).filter(|between| !between.is_zero());
                Some(between.ok_or_else(|| {
                    Error::configuration("the pace must be at least one request, in a time longer than zero")
                })?)
            }
            None => None,
        };
        let credentials = self.credentials()?;
        if base.scheme() == "http" && self.has_credentials() {
            self.refuse_plain_http(&base)?;
        }
        let mut http = reqwest::Client::builder()
            .default_headers(headers(&self.headers)?)
            // `ClassifyLayer` follows redirects, within this server only.
            .redirect(Policy::none())
            .connect_timeout(self.connect_timeout);
        if let Some(url) = &self.proxy {
            // Without its cause, which may repeat the proxy's password.
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
        let transport = Transport { http, timeout: self.timeout, max_body: self.max_body };
        let service = self.stack(&base, pace, credentials, Arc::new(transport));
        Ok(Client(Arc::new(Inner { base, service })))
    }

    /// Wraps the transport in the layers, the innermost first.
    fn stack(
        &self,
        base: &Url,
        pace: Option<Duration>,
        credentials: HeaderMap,
        transport: Arc<dyn HttpService>,
    ) -> Arc<dyn HttpService> {
        let mut inner: Arc<dyn HttpService> = Arc::new(LogLayer { inner: transport });
        inner = Arc::new(RedactLayer { inner });
        for layer in self.layers.iter().rev() {
            inner = layer.layer(inner);
        }
        if let Some(authorize) = self.authorization.clone() {
            inner = Arc::new(AuthorizationLayer { authorize, inner });
        }
        if !credentials.is_empty() || !self.credential_query.is_empty() {
            inner = Arc::new(CredentialLayer { headers: credentials, query: self.credential_query.clone(), inner });
        }
        inner = Arc::new(BodyMemoryLayer { memory: BodyMemory::new(), inner });
        if self.has_rate_limit {
            let limiter = Arc::new(RateLimiter::new(self.concurrency, self.budget, self.max_wait, pace));
            inner = Arc::new(RateLimitLayer { limiter, inner });
        }
        inner = Arc::new(ClassifyLayer { base: base.clone(), inner });
        match self.retry {
            Some(config) => Arc::new(RetryLayer { config, inner }),
            None => inner,
        }
    }

    /// The headers that are credentials. Those and the parameters are redacted from now on.
    fn credentials(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.credential_headers {
            let name = HeaderName::try_from(name)
                .map_err(|_| Error::configuration(format!("the header {name:?} has no valid name")))?;
            remember_authorization(value.expose_secret());
            headers.insert(name, sensitive(value)?);
        }
        self.credential_query.iter().for_each(|(_, value)| remember(value.expose_secret()));
        Ok(headers)
    }

    /// Whether requests carry credentials, as authorization or in a header of its own such as `X-Api-Key`.
    fn has_credentials(&self) -> bool {
        let has_own = !self.credential_headers.is_empty() || !self.credential_query.is_empty();
        has_own || self.authorization.is_some() || self.headers.iter().any(|(name, _)| is_credential(name))
    }

    /// Rejects credentials that would travel in the clear to another machine, or through one.
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
        // Neither URLs nor header values: nothing has checked them for secrets yet.
        f.debug_struct("Builder")
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("authorization", &self.authorization)
            .field("retry", &self.retry)
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
mod tests;
