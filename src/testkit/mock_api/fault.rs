//! Faults: what a server does that its documentation does not promise.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::message::{MockRequest, MockResponse};
use super::path::PathPattern;

/// A fault of a [`MockApi`](super::MockApi): what goes wrong, and with which of the requests for a path.
///
/// Without [`after`](Self::after), [`times`](Self::times), [`every`](Self::every), [`always`](Self::always) and
/// [`when`](Self::when), it affects the next request.
///
/// ```
/// use snowfeed::testkit::mock_api::{Fault, MockApi};
///
/// let api = MockApi::start();
/// api.list("/tickets");
/// api.fault("/tickets", Fault::status(503).after(1).times(2));
/// let statuses: Vec<u16> = (0..4).map(|_| api.answer("/tickets").status()).collect();
/// assert_eq!(statuses, [200, 503, 503, 200]);
/// ```
#[derive(Clone)]
pub struct Fault {
    effect: Effect,
    after: u64,
    every: u64,
    times: Option<u64>,
    when: Option<Predicate>,
}

type Predicate = Arc<dyn Fn(&MockRequest) -> bool + Send + Sync>;

/// What a fault does.
#[derive(Clone)]
pub(super) enum Effect {
    Respond(MockResponse),
    Truncate,
    Disconnect,
    Delay(Duration),
    Change(Arc<dyn Fn() + Send + Sync>),
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self { effect, after: 0, every: 1, times: None, when: None }
    }

    /// Answers with this status and a message.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.fault("*", Fault::status(502));
    /// assert_eq!(api.answer("/tickets").status(), 502);
    /// ```
    pub fn status(status: u16) -> Self {
        Self::response(MockResponse::error(status, format!("a fault of the test: status {status}")))
    }

    /// Answers with this response, such as a web page in place of data.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi, MockResponse};
    ///
    /// let api = MockApi::start();
    /// api.fault("/tickets", Fault::response(MockResponse::new(200).with_body("<html>Sign in</html>")));
    /// assert!(api.answer("/tickets").body().contains("Sign in"));
    /// ```
    pub fn response(response: MockResponse) -> Self {
        Self::new(Effect::Respond(response))
    }

    /// Answers with 429 and a `Retry-After` of this time, in whole seconds, rounded up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.fault("/tickets", Fault::rate_limit(Duration::from_secs(2)));
    /// assert_eq!(api.answer("/tickets").header("retry-after"), Some("2"));
    /// ```
    pub fn rate_limit(retry_after: Duration) -> Self {
        let seconds = retry_after.as_millis().div_ceil(1_000).to_string();
        Self::response(MockResponse::error(429, "too many requests").with_header("Retry-After", &seconds))
    }

    /// Sends half of the body, and closes the connection.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.json("/me", &serde_json::json!({"name": "Ada"}));
    /// api.fault("/me", Fault::truncate());
    /// assert_eq!(api.answer("/me").body(), r#"{"name""#);
    /// ```
    pub fn truncate() -> Self {
        Self::new(Effect::Truncate)
    }

    /// Closes the connection instead of answering.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.fault("/tickets", Fault::disconnect().times(3));
    /// ```
    pub fn disconnect() -> Self {
        Self::new(Effect::Disconnect)
    }

    /// Answers this much later. Other faults may follow.
    ///
    /// ```
    /// use std::time::Duration;
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.fault("/tickets", Fault::delay(Duration::from_millis(20)).always());
    /// ```
    pub fn delay(delay: Duration) -> Self {
        Self::new(Effect::Delay(delay))
    }

    /// Calls `change` before the answer: a record that is inserted or deleted between two pages shifts what follows it. What
    /// `change` returns is dropped. Other faults may follow.
    ///
    /// Let the function capture a [`MockList`](super::MockList) or the URL: a [`MockApi`](super::MockApi) that it captures never stops.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{Fault, MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::page_number("page").size(2));
    /// tickets.extend((1..=4).map(|id| json!({"id": id})));
    /// let list = tickets.clone();
    /// api.fault("/tickets", Fault::change(move || list.delete(1)).after(1));
    ///
    /// assert_eq!(api.answer("/tickets?page=1").to_json(), json!([{"id": 1}, {"id": 2}]));
    /// assert_eq!(api.answer("/tickets?page=2").to_json(), json!([{"id": 4}]), "3 has moved to the first page");
    /// ```
    pub fn change<T>(change: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::new(Effect::Change(Arc::new(move || drop(change()))))
    }

    /// Spares the first `requests` matching requests.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("/tickets", Fault::status(500).after(1));
    /// assert_eq!([api.answer("/tickets").status(), api.answer("/tickets").status()], [200, 500]);
    /// ```
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.after = requests;
        self
    }

    /// Affects this many requests.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("/tickets", Fault::status(500).times(2));
    /// let statuses: Vec<u16> = (0..3).map(|_| api.answer("/tickets").status()).collect();
    /// assert_eq!(statuses, [500, 500, 200]);
    /// ```
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Affects all matching requests.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.fault("/tickets", Fault::status(403).always());
    /// assert!((0..9).all(|_| api.answer("/tickets").status() == 403));
    /// ```
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Affects only each `n`th matching request: all of them, unless [`times`](Self::times) limits them.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("/tickets", Fault::status(500).every(2));
    /// let statuses: Vec<u16> = (0..4).map(|_| api.answer("/tickets").status()).collect();
    /// assert_eq!(statuses, [200, 500, 200, 500]);
    /// ```
    ///
    /// # Panics
    /// Panics if `n` is 0.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        assert!(n > 0, "a fault cannot affect every 0th request");
        self.every = n;
        self
    }

    /// Only requests that satisfy `predicate` match.
    ///
    /// Let the function capture a [`MockList`](super::MockList) or the URL: a [`MockApi`](super::MockApi) that it captures never stops.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{Fault, MockApi};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets");
    /// api.fault("/tickets", Fault::status(500).when(|request| request.query("page") == Some("2")));
    /// assert_eq!(api.answer("/tickets?page=1").status(), 200);
    /// assert_eq!(api.answer("/tickets?page=2").status(), 500);
    /// ```
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&MockRequest) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Arc::new(predicate));
        self
    }

    /// Whether the fault affects the request with this number, counted from 0 over all that match.
    fn affects(&self, number: u64) -> bool {
        let Some(number) = number.checked_sub(self.after) else { return false };
        let times = self.times.unwrap_or(if self.every == 1 { 1 } else { u64::MAX });
        (number + 1).is_multiple_of(self.every) && number / self.every < times
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match &self.effect {
            Effect::Respond(response) => format!("respond with {}", response.status()),
            Effect::Truncate => "truncate".to_owned(),
            Effect::Disconnect => "disconnect".to_owned(),
            Effect::Delay(delay) => format!("delay by {delay:?}"),
            Effect::Change(_) => "change".to_owned(),
        };
        f.debug_struct("Fault")
            .field("effect", &effect)
            .field("after", &self.after)
            .field("every", &self.every)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// A fault at a path, and how many requests have matched it.
#[derive(Debug)]
pub(super) struct PathFault {
    path: PathPattern,
    fault: Fault,
    matched: AtomicU64,
}

impl PathFault {
    pub(super) fn new(path: &str, fault: Fault) -> Self {
        Self { path: PathPattern::new(path), fault, matched: AtomicU64::new(0) }
    }

    /// Returns what happens to this request, and counts it.
    pub(super) fn effect(&self, request: &MockRequest) -> Option<&Effect> {
        self.path.matches(request.path())?;
        if self.fault.when.as_ref().is_some_and(|when| !when(request)) {
            return None;
        }
        let number = self.matched.fetch_add(1, Ordering::SeqCst);
        self.fault.affects(number).then_some(&self.fault.effect)
    }
}
