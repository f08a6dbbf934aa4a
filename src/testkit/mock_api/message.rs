//! Requests and responses.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::path::Parameters;

/// What the value of a header or a parameter that may hold a credential is replaced by in the log.
const REDACTED: &str = "<redacted>";

/// The unreserved characters of RFC 3986 stay as they are.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to a [`MockApi`](super::MockApi). It displays as its method and target: `GET /tickets?page=2`.
///
/// ```
/// use snowfeed::testkit::mock_api::MockRequest;
///
/// let request = MockRequest::get("/tickets?q=late+reply").with_header("If-None-Match", "\"1\"");
/// assert_eq!((request.method(), request.path()), ("GET", "/tickets"));
/// assert_eq!(request.query("q"), Some("late reply"));
/// assert_eq!(request.header("if-none-match"), Some("\"1\""));
/// assert_eq!(request.to_string(), "GET /tickets?q=late%20reply");
/// ```
#[derive(Clone)]
pub struct MockRequest {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pub(super) parameters: Parameters,
    pub(super) status: Option<u16>,
}

impl MockRequest {
    /// A GET request for this path and query, for [`MockApi::answer`](super::MockApi::answer).
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockRequest;
    ///
    /// assert_eq!(MockRequest::get("/tickets").to_string(), "GET /tickets");
    /// ```
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(super) fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v)));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.collect(),
            headers: Vec::new(),
            body: Vec::new(),
            parameters: Vec::new(),
            status: None,
        }
    }

    /// Adds a header.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockRequest;
    ///
    /// let request = MockRequest::get("/").with_header("Accept", "application/json");
    /// assert_eq!(request.header("accept"), Some("application/json"));
    /// ```
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// The method, in capitals.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockRequest;
    /// assert_eq!(MockRequest::get("/tickets").method(), "GET");
    /// ```
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path as it was sent, percent-encoded and without the query.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockRequest;
    /// assert_eq!(MockRequest::get("/tickets/a%2Fb?page=2").path(), "/tickets/a%2Fb");
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A parameter of the query, decoded; the first one of this name.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockRequest;
    /// assert_eq!(MockRequest::get("/tickets?page=2").query("page"), Some("2"));
    /// ```
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A parameter of the route's path, decoded. Only a route's handler sees parameters.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{MockApi, MockResponse};
    ///
    /// let api = MockApi::start();
    /// api.route("/users/{name}", |request| MockResponse::json(&request.parameter("name").into()));
    /// assert_eq!(api.answer("/users/Ada%20L").to_json(), "Ada L");
    /// ```
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }

    /// A header by its name, ignoring case. In the log, a header that may hold a credential has the value `<redacted>`.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{MockApi, MockRequest};
    ///
    /// let api = MockApi::start();
    /// api.answer(MockRequest::get("/").with_header("Authorization", "Bearer s3cr3t"));
    /// assert_eq!(api.requests()[0].header("authorization"), Some("<redacted>"));
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, &name.to_ascii_lowercase())
    }

    /// The body; empty in the log.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockRequest;
    /// assert!(MockRequest::get("/").body().is_empty());
    /// ```
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The status of the response. `None` outside the log, before the answer, and where a fault closed the connection.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.answer("/nothing");
    /// assert_eq!(api.requests()[0].status(), Some(404));
    /// ```
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The target of the request with other values of these parameters.
    pub(super) fn target_with(&self, changed: &[(&str, String)]) -> String {
        let kept = self.query.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let changed = changed.iter().map(|(name, value)| (*name, value.as_str()));
        target(&self.path, kept.chain(changed))
    }

    /// The request as the log keeps it: without body and credentials.
    pub(super) fn redacted(&self) -> Self {
        let mut request = Self { body: Vec::new(), parameters: Vec::new(), ..self.clone() };
        for (name, value) in &mut request.headers {
            let is_secret = ["authorization", "cookie", "token", "key", "secret", "password", "signature"];
            if is_secret.iter().any(|word| name.contains(word)) {
                REDACTED.clone_into(value);
            }
        }
        // A cursor may be named `page_token`, so the whole name counts here.
        let is_secret =
            ["access_token", "private_token", "token", "api_key", "apikey", "key", "secret", "client_secret"];
        for (name, value) in &mut request.query {
            if is_secret.contains(&name.to_ascii_lowercase().as_str()) || name.eq_ignore_ascii_case("password") {
                REDACTED.clone_into(value);
            }
        }
        request
    }
}

impl From<&str> for MockRequest {
    fn from(target: &str) -> Self {
        Self::get(target)
    }
}

impl fmt::Display for MockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        write!(f, "{} {}", self.method, target(&self.path, query))
    }
}

/// Without headers and body, which may hold credentials.
impl fmt::Debug for MockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.redacted())?;
        match self.status {
            Some(status) => write!(f, " ({status})"),
            None => Ok(()),
        }
    }
}

/// A response of a [`MockApi`](super::MockApi).
///
/// ```
/// use serde_json::json;
/// use snowfeed::testkit::mock_api::MockResponse;
///
/// let response = MockResponse::new(403).with_header("X-RateLimit-Remaining", "0").with_body("slow down");
/// assert_eq!((response.status(), response.body()), (403, "slow down"));
/// assert_eq!(response.header("x-ratelimit-remaining"), Some("0"));
/// assert_eq!(MockResponse::json(&json!({"id": 7})).to_json()["id"], 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MockResponse {
    status: u16,
    pub(super) headers: Vec<(String, String)>,
    body: String,
}

impl MockResponse {
    /// A response with this status and no body.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(204).status(), 204);
    /// ```
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// A response with the status 200 and a JSON document.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// let response = MockResponse::json(&serde_json::json!([1, 2]));
    /// assert_eq!((response.status(), response.body()), (200, "[1,2]"));
    /// ```
    pub fn json(document: &Value) -> Self {
        Self::new(200).with_header("Content-Type", "application/json").with_body(document.to_string())
    }

    /// A response with an error's status and a JSON document with a message.
    pub(super) fn error(status: u16, message: impl Into<String>) -> Self {
        Self { status, ..Self::json(&json!({"message": message.into()})) }
    }

    /// Adds a header. Without a `Date`, the server adds the present time, as servers do.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// let response = MockResponse::new(429).with_header("Retry-After", "1");
    /// assert_eq!(response.header("retry-after"), Some("1"));
    /// ```
    ///
    /// # Panics
    /// Panics if the name or the value contains a line break.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        assert!(![name, value].iter().any(|text| text.contains(['\r', '\n'])), "a header is one line: {name:?}");
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets the body.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(200).with_body("<html>").body(), "<html>");
    /// ```
    #[must_use]
    pub fn with_body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(410).status(), 410);
    /// ```
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header by its name, ignoring case.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(200).header("link"), None);
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, &name.to_ascii_lowercase())
    }

    /// The body.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(200).body(), "");
    /// ```
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Parses the body.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockResponse;
    /// assert_eq!(MockResponse::new(200).with_body("[7]").to_json()[0], 7);
    /// ```
    ///
    /// # Panics
    /// Panics if the body is not JSON.
    pub fn to_json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in the body {:?}", self.body))
    }

    /// The first half of the body.
    pub(super) fn half(&self) -> &[u8] {
        &self.body.as_bytes()[..self.body.len() / 2]
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A path with a query.
fn target<'a>(path: &str, query: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let encode = |text| utf8_percent_encode(text, QUERY);
    let pairs: Vec<String> = query.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}
