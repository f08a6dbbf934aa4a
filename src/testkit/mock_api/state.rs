//! What the server serves, and what it has served.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::{Effect, PathFault};
use super::message::{MockRequest, MockResponse};
use super::path::{Parameters, PathPattern};
use super::rows::Rows;

/// A function that answers the requests for a route.
type Handler = Arc<dyn Fn(&MockRequest) -> MockResponse + Send + Sync>;

/// What a server and the handles of its lists share.
pub(super) struct State {
    /// The base URL.
    pub(super) url: String,
    inner: Mutex<Inner>,
    stopped: Condvar,
}

#[derive(Default)]
struct Inner {
    lists: Vec<Rows>,
    routes: Vec<(PathPattern, Handler)>,
    faults: Vec<Arc<PathFault>>,
    token: Option<String>,
    log: Vec<(u64, MockRequest)>,
    received: u64,
    is_stopped: bool,
}

/// What is sent in answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    Whole(MockResponse),
    /// Half of the body.
    Truncated(MockResponse),
    /// Nothing: the connection is closed.
    Nothing,
}

/// What answers a path.
enum Target {
    Route(Handler),
    Page(usize),
    Record(usize),
}

impl State {
    pub(super) fn new(url: String) -> Self {
        Self { url, inner: Mutex::default(), stopped: Condvar::new() }
    }

    /// A test that panics while it changes a record leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes or reads a list.
    pub(super) fn list<T>(&self, number: usize, with: impl FnOnce(&mut Rows) -> T) -> T {
        with(&mut self.lock().lists[number])
    }

    /// # Panics
    /// Panics if there is a list at this path, or if the path does not have one parameter for each ancestor.
    pub(super) fn add_list(&self, path: &str, parent: Option<usize>) -> usize {
        let pattern = PathPattern::new(path);
        let mut inner = self.lock();
        assert!(inner.lists.iter().all(|list| list.path != pattern), "there is already a list at {path}");
        let ancestors = parent.map_or(0, |parent| inner.lists[parent].path.parameters() + 1);
        let parameters = pattern.parameters();
        assert_eq!(parameters, ancestors, "the path {path} must have one parameter for each ancestor");
        inner.lists.push(Rows::new(pattern, parent));
        inner.lists.len() - 1
    }

    /// Adds a route, in place of one with the same path.
    pub(super) fn add_route(&self, path: &str, handler: Handler) {
        let pattern = PathPattern::new(path);
        let mut inner = self.lock();
        inner.routes.retain(|(other, _)| *other != pattern);
        inner.routes.push((pattern, handler));
    }

    pub(super) fn add_fault(&self, fault: PathFault) {
        self.lock().faults.push(Arc::new(fault));
    }

    pub(super) fn clear_faults(&self) {
        // What a fault owns is dropped without the lock: it may hold the handle of a list.
        let faults = std::mem::take(&mut self.lock().faults);
        drop(faults);
    }

    pub(super) fn require_token(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    pub(super) fn log(&self) -> Vec<MockRequest> {
        self.lock().log.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(super) fn clear_log(&self) {
        self.lock().log.clear();
    }

    /// Wakes everything that waits, and drops the functions of the test, which may hold handles of lists.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.is_stopped = true;
        let functions = (std::mem::take(&mut inner.faults), std::mem::take(&mut inner.routes));
        drop(inner);
        drop(functions);
        self.stopped.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Waits, and returns whether the server still runs.
    fn wait(&self, delay: Duration) -> bool {
        let waited = self.stopped.wait_timeout_while(self.lock(), delay, |inner| !inner.is_stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped
    }

    /// Logs a request, lets the faults happen, and answers it.
    pub(super) fn answer(&self, request: MockRequest) -> Answer {
        let number = {
            let mut inner = self.lock();
            inner.received += 1;
            let number = inner.received;
            inner.log.push((number, request.redacted()));
            number
        };
        let answer = self.answer_with_faults(request);
        let status = match &answer {
            Answer::Whole(response) | Answer::Truncated(response) => Some(response.status()),
            Answer::Nothing => None,
        };
        if let Some((_, logged)) = self.lock().log.iter_mut().rfind(|(other, _)| *other == number) {
            logged.status = status;
        }
        answer
    }

    fn answer_with_faults(&self, request: MockRequest) -> Answer {
        let faults = self.lock().faults.clone();
        for fault in faults {
            match fault.effect(&request) {
                Some(Effect::Delay(delay)) if !self.wait(*delay) => return Answer::Nothing,
                None | Some(Effect::Delay(_)) => {}
                Some(Effect::Change(change)) => change(),
                Some(Effect::Respond(response)) => return Answer::Whole(response.clone()),
                Some(Effect::Truncate) => return Answer::Truncated(self.respond(request)),
                Some(Effect::Disconnect) => return Answer::Nothing,
            }
        }
        Answer::Whole(self.respond(request))
    }

    fn respond(&self, mut request: MockRequest) -> MockResponse {
        let inner = self.lock();
        if let Some(token) = &inner.token
            && request.header("authorization") != Some(&format!("Bearer {token}"))
        {
            return MockResponse::error(401, "the bearer token is missing or wrong");
        }
        let Some((parameters, target)) = inner.target(request.path()) else {
            return inner.not_found(&request);
        };
        if !matches!(target, Target::Route(_)) && !["GET", "HEAD"].contains(&request.method()) {
            return MockResponse::error(405, format!("a list answers GET, not {}", request.method()));
        }
        let keys = || parameters.iter().map(|(_, key)| key.clone()).collect::<Vec<String>>();
        match target {
            Target::Page(list) => inner.page(list, &keys(), &request, &self.url),
            Target::Record(list) => inner.record(list, &keys(), &request),
            Target::Route(handler) => {
                // The handler may use the server.
                drop(inner);
                request.parameters = parameters;
                handler(&request)
            }
        }
    }
}

impl Inner {
    /// All paths that are served.
    fn served(&self) -> impl Iterator<Item = (PathPattern, Target)> {
        let routes = self.routes.iter().map(|(path, handler)| (path.clone(), Target::Route(Arc::clone(handler))));
        let lists = self.lists.iter().enumerate().flat_map(|(number, list)| {
            let record = list.has_lookup.then(|| (list.path.join(list.key.trim_matches('/')), Target::Record(number)));
            std::iter::once((list.path.clone(), Target::Page(number))).chain(record)
        });
        routes.chain(lists)
    }

    /// The target with the fewest parameters that matches a path.
    fn target(&self, path: &str) -> Option<(Parameters, Target)> {
        let matching = self.served().filter_map(|(pattern, target)| {
            let parameters = pattern.matches(path)?;
            Some((pattern.parameters(), parameters, target))
        });
        matching.min_by_key(|(count, ..)| *count).map(|(_, parameters, target)| (parameters, target))
    }

    fn page(&self, list: usize, parent: &[String], request: &MockRequest, base: &str) -> MockResponse {
        self.missing(list, parent).unwrap_or_else(|| self.lists[list].page(parent, request, base))
    }

    fn record(&self, list: usize, path: &[String], request: &MockRequest) -> MockResponse {
        let Some((key, parent)) = path.split_last() else { return self.not_found(request) };
        self.missing(list, parent).unwrap_or_else(|| self.lists[list].lookup(parent, key, request))
    }

    /// A 404 if an ancestor does not exist.
    fn missing(&self, list: usize, path: &[String]) -> Option<MockResponse> {
        let (key, above) = path.split_last()?;
        let parent = self.lists[list].parent?;
        let rows = &self.lists[parent];
        let is_missing = rows.get(above, key).is_none();
        let missing = || MockResponse::error(404, format!("{} has no record {key}", rows.path.as_str()));
        self.missing(parent, above).or_else(|| is_missing.then(missing))
    }

    fn not_found(&self, request: &MockRequest) -> MockResponse {
        let paths: Vec<String> = self.served().map(|(path, _)| path.as_str().to_owned()).collect();
        let paths = if paths.is_empty() { "there are none".into() } else { format!("there are {}", paths.join(", ")) };
        MockResponse::error(404, format!("no route matches {}: {paths}", request.path()))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("url", &self.url).finish_non_exhaustive()
    }
}
