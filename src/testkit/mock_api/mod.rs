//! An HTTP API for the tests of a source: a test declares its lists, changes their records while they are served, and injects faults.
//!
//! # A test of a source with two streams
//!
//! The source reads tickets, in the order of their last change, and the comments of each ticket. Both conformance suites run over it while
//! every seventh request fails, and one test has faults of its own.
//!
//! ```
//! # #[cfg(feature = "http")]
//! # mod example {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use futures::{StreamExt, stream};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use serde_json::json;
//! use snowfeed::RetryConfig;
//! use snowfeed::backends::Memory;
//! use snowfeed::engine::{Connector, IngestRequest};
//! use snowfeed::http::{Client, Response, json};
//! use snowfeed::prelude::*;
//! use snowfeed::testkit::conformance::SourceCase;
//! use snowfeed::testkit::mock_api::{Fault, MockApi, Paging};
//!
//! #[derive(Debug)]
//! struct Helpdesk;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct HelpdeskSettings {
//!     /// The base URL of the API.
//!     url: String,
//!     /// The delay before the first retry, in milliseconds.
//!     retry_delay: u64,
//! }
//!
//! #[derive(Debug, Clone)]
//! struct HelpdeskReader {
//!     client: Client,
//!     monitor: Monitor,
//! }
//!
//! #[derive(Deserialize)]
//! struct Item {
//!     id: u64,
//!     changed: i64,
//! }
//!
//! #[async_trait]
//! impl Source for Helpdesk {
//!     fn spec(&self) -> SourceSpec {
//!         SourceSpec::new("helpdesk", "1.0.0")
//!             .settings(SettingsSchema::of::<HelpdeskSettings>())
//!             .stream(StreamSpec::new("tickets").column("subject", "subject", ColumnType::Text))
//!             .stream(StreamSpec::child("comments", "tickets").column("text", "text", ColumnType::Text))
//!     }
//!
//!     async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
//!         let HelpdeskSettings { url, retry_delay } = settings.read()?;
//!         let retry = RetryConfig { first_delay: Duration::from_millis(retry_delay), ..RetryConfig::default() };
//!         Ok(Box::new(HelpdeskReader { client: Client::builder(&url).retry(retry).build()?, monitor: context.monitor }))
//!     }
//! }
//!
//! #[async_trait]
//! impl Reader for HelpdeskReader {
//!     async fn check(&self) -> Result<()> {
//!         self.client.get("tickets").send(&self.monitor).await.map(drop)
//!     }
//!
//!     fn discover(&self) -> ResourceStream {
//!         stream::iter([Resource::new("all")]).boxed()
//!     }
//!
//!     fn read(&self, request: ReadRequest) -> BatchStream {
//!         let client = self.client.clone();
//!         let first = match &request.parent {
//!             Some(ticket) => format!("tickets/{}/comments", ticket.key()),
//!             None => "tickets".to_owned(),
//!         };
//!         let pages = stream::try_unfold(Some(first), move |next| {
//!             let (client, request) = (client.clone(), request.clone());
//!             async move {
//!                 match next {
//!                     Some(url) => page(&client, &request, &url).await.map(Some),
//!                     None => Ok(None),
//!                 }
//!             }
//!         });
//!         pages.boxed()
//!     }
//! }
//!
//! /// Reads a page of tickets, or of a ticket's comments, and returns the URL of the next page.
//! async fn page(client: &Client, request: &ReadRequest, url: &str) -> Result<(Batch, Option<String>)> {
//!     let since = request.checkpoint.as_ref().map_or(Ok(0), Checkpoint::parse::<i64>)?;
//!     let mut page = client.get(url);
//!     if request.parent.is_none() && !url.contains('?') {
//!         page = page.query(&[("since", &since.to_string())]);
//!     }
//!     let read = |response: Response| {
//!         let (mut batch, mut last) = (Batch::new(), since);
//!         for item in json::elements::<Item>(response.body()) {
//!             let (Item { id, changed }, raw) = item?;
//!             batch = batch.record(Record::upsert(id.to_string(), changed, raw));
//!             last = changed;
//!         }
//!         if request.parent.is_none() {
//!             batch = batch.checkpoint(Checkpoint::new(&last)?);
//!         }
//!         Ok((batch, response.next()?.map(String::from)))
//!     };
//!     page.send_with(&request.monitor, read).await
//! }
//!
//! /// Twelve tickets, each with two comments.
//! fn helpdesk() -> MockApi {
//!     let api = MockApi::start();
//!     let paging = Paging::links("page").size(5);
//!     let tickets = api.list("/tickets").paging(paging).since("since", "changed").sort_by("changed");
//!     let comments = api.child_list("/tickets/{ticket}/comments", &tickets);
//!     for id in 1..=12 {
//!         tickets.insert(json!({"id": id, "subject": format!("Ticket {id}"), "changed": id}));
//!         comments.of(id).extend((1..=2).map(|n| json!({"id": n, "text": format!("Note {n} on {id}"), "changed": n})));
//!     }
//!     api
//! }
//!
//! /// Tests the source against the API, of which every seventh request fails.
//! fn case() -> SourceCase {
//!     let api = helpdesk();
//!     api.fault("*", Fault::status(503).every(7));
//!     let acme = Resource::new("all").expect("a name");
//!     SourceCase::new(Helpdesk, settings(&api), acme).keeping(api)
//! }
//!
//! fn settings(api: &MockApi) -> Settings {
//!     [("url".to_owned(), api.url().into()), ("retry_delay".to_owned(), 1.into())].into_iter().collect()
//! }
//!
//! mod conformance {
//!     snowfeed::source_conformance!(super::case());
//! }
//!
//! mod delivery {
//!     snowfeed::delivery_conformance!(super::case());
//! }
//!
//! #[tokio::test]
//! async fn faults_lose_nothing() -> Result<()> {
//!     let api = helpdesk();
//!     api.fault("/tickets", Fault::truncate().after(1));
//!     api.fault("/tickets/{ticket}/comments", Fault::disconnect().every(5));
//!     let (memory, all) = (Memory::new(), Resource::new("all")?);
//!     let connector = Connector::new(Helpdesk, Arc::new(memory.clone())).with_settings(settings(&api).values().clone());
//!     connector.ingest(IngestRequest::new([all.clone()])).await?;
//!     assert_eq!((memory.rows(&all, "tickets").len(), memory.rows(&all, "comments").len()), (12, 24));
//!     assert_eq!(api.count("/tickets"), 4, "three pages, and one retry");
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```

mod fault;
mod list;
mod message;
mod paging;
mod path;
mod rows;
mod server;
mod state;

use std::sync::Arc;

use serde_json::Value;

pub use self::fault::Fault;
pub use self::list::MockList;
pub use self::message::{MockRequest, MockResponse};
pub use self::paging::Paging;

use self::fault::PathFault;
use self::path::PathPattern;
use self::server::Server;
use self::state::Answer;

/// An HTTP server on this machine that serves what the test declares.
///
/// Its clones are the same server, which stops when the last one is dropped: [`SourceCase::keeping`](super::conformance::SourceCase::keeping)
/// keeps one. It runs on threads of its own, so it needs no runtime, and each test can have one.
///
/// A request that matches nothing gets a 404 whose message lists the paths that are served. See the [module](self) for a whole test.
///
/// ```
/// use serde_json::json;
/// use snowfeed::testkit::mock_api::{Fault, MockApi, Paging};
///
/// let api = MockApi::start();
/// let tickets = api.list("/tickets").paging(Paging::links("page").size(2));
/// tickets.extend((1..=3).map(|id| json!({"id": id})));
/// api.fault("/tickets", Fault::status(503));
///
/// // The source reads from `api.url()`; `answer` shows what it gets.
/// assert_eq!(api.answer("/tickets?page=2").status(), 503);
/// assert_eq!(api.answer("/tickets?page=2").to_json(), json!([{"id": 3}]));
/// assert_eq!(api.count("/tickets"), 2);
/// ```
#[derive(Debug, Clone)]
pub struct MockApi {
    server: Arc<Server>,
}

impl MockApi {
    /// Starts a server on 127.0.0.1, at a port that is free.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// assert!(api.url().starts_with("http://127.0.0.1:"));
    /// ```
    ///
    /// # Panics
    /// Panics if the system has no port or thread left.
    pub fn start() -> Self {
        let server = Server::start().unwrap_or_else(|error| panic!("the server of the test cannot start: {error}"));
        Self { server: Arc::new(server) }
    }

    /// The base URL, without a `/` at its end.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// assert!(!MockApi::start().url().ends_with('/'));
    /// ```
    pub fn url(&self) -> &str {
        &self.server.state.url
    }

    /// Serves an empty list at this path, and returns its handle, which also declares how the list is served.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/v1/tickets").key("number").paging(Paging::cursor("cursor", "/next"));
    /// tickets.insert(json!({"number": 1}));
    /// assert_eq!(api.answer("/v1/tickets").to_json(), json!({"data": [{"number": 1}], "next": null}));
    /// ```
    ///
    /// # Panics
    /// Panics if the path has parameters, or if there is already a list at it.
    pub fn list(&self, path: &str) -> MockList {
        MockList::new(&self.server.state, path, None)
    }

    /// Serves a list of each record of `parent`. The path has one parameter for each ancestor, which is its key; where an ancestor does
    /// not exist, the answer is 404. [`MockList::of`] selects a parent.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// let comments = api.child_list("/tickets/{ticket}/comments", &tickets);
    /// let reactions = api.child_list("/tickets/{ticket}/comments/{comment}/reactions", &comments);
    /// tickets.insert(json!({"id": 7}));
    /// comments.of(7).insert(json!({"id": 1}));
    /// reactions.of(7).of(1).insert(json!({"id": "heart"}));
    ///
    /// assert_eq!(api.answer("/tickets/7/comments/1/reactions").to_json(), json!([{"id": "heart"}]));
    /// tickets.delete(7);
    /// assert_eq!(api.answer("/tickets/7/comments").status(), 404);
    /// ```
    ///
    /// # Panics
    /// Panics if the number of parameters is wrong, or if there is already a list at this path.
    pub fn child_list(&self, path: &str, parent: &MockList) -> MockList {
        MockList::new(&self.server.state, path, Some(parent))
    }

    /// Serves a JSON document.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.json("/me", &json!({"name": "Ada"}));
    /// assert_eq!(api.answer("/me").to_json()["name"], "Ada");
    /// ```
    pub fn json(&self, path: &str, document: &Value) {
        let response = MockResponse::json(document);
        self.route(path, move |_| response.clone());
    }

    /// Answers all requests for a path, with any method, by a function. In the path, `{name}` matches one segment, and `*` at the end
    /// everything that follows. Among the paths that match a request, the one with the fewest parameters counts.
    ///
    /// Let the function capture a [`MockList`] or the URL: a `MockApi` that it captures never stops.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, MockResponse};
    ///
    /// let api = MockApi::start();
    /// api.route("/search", |request| match request.query("q") {
    ///     Some(text) => MockResponse::json(&json!({"query": text})),
    ///     None => MockResponse::new(422),
    /// });
    /// assert_eq!(api.answer("/search?q=fire").to_json()["query"], "fire");
    /// assert_eq!(api.answer("/search").status(), 422);
    /// ```
    pub fn route(&self, path: &str, respond: impl Fn(&MockRequest) -> MockResponse + Send + Sync + 'static) {
        self.server.state.add_route(path, Arc::new(respond));
    }

    /// Answers every request without the header `Authorization: Bearer <token>` with 401.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{MockApi, MockRequest};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.require_bearer("s3cr3t");
    /// assert_eq!(api.answer("/tickets").status(), 401);
    /// let request = MockRequest::get("/tickets").with_header("Authorization", "Bearer s3cr3t");
    /// assert_eq!(api.answer(request).status(), 200);
    /// ```
    pub fn require_bearer(&self, token: &str) {
        self.server.state.require_token(token);
    }

    /// Injects a fault into requests for a path, which may have parameters, as that of a [route](Self::route); `*` means every path.
    ///
    /// Faults happen in the order in which they were added. The first one that decides the answer is the last one that sees the request.
    ///
    /// ```
    /// use std::time::Duration;
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("/tickets", Fault::rate_limit(Duration::from_secs(1)));
    /// api.fault("*", Fault::status(500));
    /// let statuses: Vec<u16> = (0..3).map(|_| api.answer("/tickets").status()).collect();
    /// assert_eq!(statuses, [429, 500, 200]);
    /// ```
    pub fn fault(&self, path: &str, fault: Fault) {
        self.server.state.add_fault(PathFault::new(path, fault));
    }

    /// Removes all faults.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("*", Fault::status(500).always());
    /// api.clear_faults();
    /// assert_eq!(api.answer("/tickets").status(), 200);
    /// ```
    pub fn clear_faults(&self) {
        self.server.state.clear_faults();
    }

    /// Returns the log: all requests, in the order of their arrival, without credentials.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.answer("/tickets?page=2");
    /// let requests: Vec<String> = api.requests().iter().map(ToString::to_string).collect();
    /// assert_eq!(requests, ["GET /tickets?page=2"]);
    /// ```
    pub fn requests(&self) -> Vec<MockRequest> {
        self.server.state.log()
    }

    /// Returns how many requests the log has for a path, which may have parameters, as that of a [route](Self::route).
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.answer("/tickets/1/comments");
    /// api.answer("/tickets/2/comments");
    /// assert_eq!((api.count("/tickets/{ticket}/comments"), api.count("/tickets/2/comments"), api.count("*")), (2, 1, 2));
    /// ```
    pub fn count(&self, path: &str) -> usize {
        let path = PathPattern::new(path);
        self.requests().iter().filter(|request| path.matches(request.path()).is_some()).count()
    }

    /// Empties the log.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.answer("/tickets");
    /// api.clear_requests();
    /// assert!(api.requests().is_empty());
    /// ```
    pub fn clear_requests(&self) {
        self.server.state.clear_log();
    }

    /// Answers a request without a connection, as if a client had sent it: it is logged, and faults affect it. A text is the path and query
    /// of a GET.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{MockApi, MockRequest};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// assert_eq!(api.answer("/tickets").body(), "[]");
    /// assert_eq!(api.answer(MockRequest::get("/tickets")).body(), "[]");
    /// ```
    ///
    /// # Panics
    /// Panics if a fault closes the connection.
    pub fn answer(&self, request: impl Into<MockRequest>) -> MockResponse {
        match self.server.state.answer(request.into()) {
            Answer::Whole(response) => response,
            Answer::Truncated(response) => {
                let half = String::from_utf8_lossy(response.half()).into_owned();
                response.with_body(half)
            }
            Answer::Nothing => panic!("a fault has closed the connection"),
        }
    }
}
