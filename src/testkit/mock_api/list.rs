//! The handle of a list.

use std::fmt::{self, Display};
use std::sync::Arc;

use serde_json::Value;

use super::paging::Paging;
use super::rows::Rows;
use super::state::State;

/// A list of a [`MockApi`](super::MockApi), whose records the test may change while it is served. Its clones are the same list.
///
/// ```
/// use serde_json::json;
/// use snowfeed::testkit::mock_api::MockApi;
///
/// let api = MockApi::start();
/// let tickets = api.list("/tickets").since("updated_since", "updated_at").sort_by("updated_at");
/// tickets.insert(json!({"id": 1, "subject": "Printer", "updated_at": "2026-01-01T00:00:00Z"}));
/// tickets.insert(json!({"id": 2, "subject": "Screen", "updated_at": "2026-01-02T00:00:00Z"}));
/// tickets.update(1, json!({"subject": "Printer on fire", "updated_at": "2026-01-03T00:00:00Z"}));
///
/// let changed = api.answer("/tickets?updated_since=2026-01-03T00:00:00Z").to_json();
/// assert_eq!(changed.as_array().unwrap().len(), 1);
/// assert_eq!(changed[0]["subject"], "Printer on fire");
/// ```
#[derive(Clone)]
pub struct MockList {
    state: Arc<State>,
    number: usize,
    /// The keys of the ancestors whose records this handle sees.
    parent: Vec<String>,
    depth: usize,
}

impl MockList {
    pub(super) fn new(state: &Arc<State>, path: &str, parent: Option<&Self>) -> Self {
        if let Some(parent) = parent {
            assert!(Arc::ptr_eq(state, &parent.state), "the parent of {path} belongs to another server");
        }
        let number = state.add_list(path, parent.map(|parent| parent.number));
        let depth = parent.map_or(0, |parent| parent.depth + 1);
        Self { state: Arc::clone(state), number, parent: Vec::new(), depth }
    }

    fn configure(self, set: impl FnOnce(&mut Rows)) -> Self {
        self.state.list(self.number, set);
        self
    }

    /// Works with the records of this handle's parent.
    fn with<T>(&self, with: impl FnOnce(&mut Rows, &[String]) -> T) -> T {
        let (known, depth) = (self.parent.len(), self.depth);
        assert_eq!(known, depth, "the records of a child list belong to a parent: name each with `of`");
        self.state.list(self.number, |rows| with(rows, &self.parent))
    }

    /// Sets the field that identifies a record: its name, or a JSON pointer. `id` by default.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let users = api.list("/users").key("login");
    /// users.insert(json!({"login": "ada"}));
    /// assert!(users.get("ada").is_some());
    /// ```
    pub fn key(self, field: &str) -> Self {
        self.configure(|rows| rows.key = field.to_owned())
    }

    /// Sets where the records are in the body, as a JSON pointer; the empty one means that the body is the array. By default it is, unless
    /// the [paging](Self::paging) needs an object: then they are at `/data`.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// api.list("/users").records_at("/result/users");
    /// assert_eq!(api.answer("/users").to_json(), json!({"result": {"users": []}}));
    /// ```
    pub fn records_at(self, pointer: &str) -> Self {
        self.configure(|rows| rows.records_at = Some(pointer.to_owned()))
    }

    /// Sets how the list is divided into pages. One page by default.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let users = api.list("/users").paging(Paging::offset("offset").size(1));
    /// users.extend([json!({"id": 1}), json!({"id": 2})]);
    /// assert_eq!(api.answer("/users?offset=1").to_json(), json!([{"id": 2}]));
    /// ```
    pub fn paging(self, paging: Paging) -> Self {
        self.configure(|rows| rows.paging = paging)
    }

    /// Lets a request ask for the records whose `field` is at or after the value of `parameter`. Numbers and points in time compare by
    /// value, everything else as text.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let events = api.list("/events").since("from", "sequence");
    /// events.extend((8..=11).map(|number| json!({"id": number, "sequence": number})));
    /// assert_eq!(api.answer("/events?from=10").to_json().as_array().unwrap().len(), 2);
    /// ```
    pub fn since(self, parameter: &str, field: &str) -> Self {
        self.configure(|rows| rows.since = Some((parameter.to_owned(), field.to_owned())))
    }

    /// Lets a request ask for the records whose `field` is equal to the value of `parameter`. Call it once for each parameter.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").filter("workspace", "workspace_id");
    /// tickets.extend([json!({"id": 1, "workspace_id": "acme"}), json!({"id": 2, "workspace_id": "other"})]);
    /// assert_eq!(api.answer("/tickets?workspace=acme").to_json()[0]["id"], 1);
    /// ```
    pub fn filter(self, parameter: &str, field: &str) -> Self {
        self.configure(|rows| rows.filters.push((parameter.to_owned(), field.to_owned())))
    }

    /// Sorts the list by this field, the lowest value first. Without it, the order is that of insertion.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").sort_by("updated_at");
    /// tickets.extend([json!({"id": 1, "updated_at": 9}), json!({"id": 2, "updated_at": 8})]);
    /// assert_eq!(api.answer("/tickets").to_json()[0]["id"], 2);
    /// ```
    pub fn sort_by(self, field: &str) -> Self {
        self.configure(|rows| (rows.sort_by, rows.is_descending) = (Some(field.to_owned()), false))
    }

    /// Sorts the list by this field, the highest value first.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let events = api.list("/events").sort_by_descending("at");
    /// events.extend([json!({"id": 1, "at": 8}), json!({"id": 2, "at": 9})]);
    /// assert_eq!(api.answer("/events").to_json()[0]["id"], 2);
    /// ```
    pub fn sort_by_descending(self, field: &str) -> Self {
        self.configure(|rows| (rows.sort_by, rows.is_descending) = (Some(field.to_owned()), true))
    }

    /// Sends an `ETag` with each page and record, and answers a request that has the same one in `If-None-Match` with 304.
    ///
    /// ```
    /// use snowfeed::testkit::mock_api::{MockApi, MockRequest};
    ///
    /// let api = MockApi::start();
    /// api.list("/labels").etags();
    /// let tag = api.answer("/labels").header("etag").unwrap().to_owned();
    /// let again = MockRequest::get("/labels").with_header("If-None-Match", &tag);
    /// assert_eq!(api.answer(again).status(), 304);
    /// ```
    pub fn etags(self) -> Self {
        self.configure(|rows| rows.has_etags = true)
    }

    /// Serves each record at the path of the list and its key, for [`Reader::verify`](crate::Reader::verify): 404 if there is none.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").lookup();
    /// tickets.insert(json!({"id": 7}));
    /// assert_eq!(api.answer("/tickets/7").to_json(), json!({"id": 7}));
    /// tickets.delete(7);
    /// assert_eq!(api.answer("/tickets/7").status(), 404);
    /// ```
    pub fn lookup(self) -> Self {
        self.configure(|rows| rows.has_lookup = true)
    }

    /// Returns a handle of the records that belong to the parent with this key. The list is the same.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// let comments = api.child_list("/tickets/{ticket}/comments", &tickets);
    /// tickets.insert(json!({"id": 7}));
    /// comments.of(7).insert(json!({"id": 1, "text": "It is on fire."}));
    /// assert_eq!(api.answer("/tickets/7/comments").to_json()[0]["id"], 1);
    /// ```
    ///
    /// # Panics
    /// Panics if the list has no parent, or if the handle already has the keys of all ancestors.
    #[must_use]
    pub fn of(&self, parent: impl Display) -> Self {
        assert!(self.parent.len() < self.depth, "the list has no further parent");
        let mut handle = self.clone();
        handle.parent.push(parent.to_string());
        handle
    }

    /// Inserts a record at the end of the list, or where the sorting puts it.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// tickets.insert(serde_json::json!({"id": 1}));
    /// assert_eq!(tickets.len(), 1);
    /// ```
    ///
    /// # Panics
    /// Panics if the record has no key, or if the list has a record with this key.
    pub fn insert(&self, record: Value) {
        self.with(|rows, parent| rows.insert(parent, None, record));
    }

    /// Inserts a record before the one at this position, counted from 0: what follows moves on by one.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// tickets.extend([json!({"id": 1}), json!({"id": 2})]);
    /// tickets.insert_at(0, json!({"id": 3}));
    /// assert_eq!(api.answer("/tickets").to_json()[0]["id"], 3);
    /// ```
    ///
    /// # Panics
    /// As for [`insert`](Self::insert).
    pub fn insert_at(&self, position: usize, record: Value) {
        self.with(|rows, parent| rows.insert(parent, Some(position), record));
    }

    /// Inserts records at the end of the list.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// tickets.extend((1..=250).map(|id| serde_json::json!({"id": id})));
    /// assert_eq!(tickets.len(), 250);
    /// ```
    ///
    /// # Panics
    /// As for [`insert`](Self::insert).
    pub fn extend(&self, records: impl IntoIterator<Item = Value>) {
        records.into_iter().for_each(|record| self.insert(record));
    }

    /// Sets these fields of a record, and keeps its others.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// tickets.insert(json!({"id": 1, "open": true, "updated_at": 1}));
    /// tickets.update(1, json!({"open": false, "updated_at": 2}));
    /// assert_eq!(tickets.get(1), Some(json!({"id": 1, "open": false, "updated_at": 2})));
    /// ```
    ///
    /// # Panics
    /// Panics if there is no such record, if `fields` is not an object, or if it changes the key.
    pub fn update(&self, key: impl Display, fields: Value) {
        self.with(|rows, parent| rows.update(parent, &key.to_string(), fields));
    }

    /// Deletes a record, and returns it; `None` if there is none. The lists of its children then answer with 404.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::MockApi;
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets");
    /// tickets.insert(json!({"id": 1}));
    /// assert_eq!(tickets.delete(1), Some(json!({"id": 1})));
    /// assert_eq!(tickets.delete(1), None);
    /// ```
    pub fn delete(&self, key: impl Display) -> Option<Value> {
        self.with(|rows, parent| rows.delete(parent, &key.to_string()))
    }

    /// Returns a record.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// assert_eq!(api.list("/tickets").get(1), None);
    /// ```
    pub fn get(&self, key: impl Display) -> Option<Value> {
        self.with(|rows, parent| rows.get(parent, &key.to_string()).cloned())
    }

    /// Returns all records, in the order of insertion.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// assert!(api.list("/tickets").records().is_empty());
    /// ```
    pub fn records(&self) -> Vec<Value> {
        self.with(|rows, parent| rows.records(parent).cloned().collect())
    }

    /// Returns the number of records.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// assert_eq!(api.list("/tickets").len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.with(|rows, parent| rows.records(parent).count())
    }

    /// Whether there are no records.
    ///
    /// ```
    /// # use snowfeed::testkit::mock_api::MockApi;
    /// # let api = MockApi::start();
    /// assert!(api.list("/tickets").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Invalidates the cursors that requests have received: a request with one of them gets a 400.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::cursor("cursor", "/next").size(1));
    /// tickets.extend([json!({"id": 1}), json!({"id": 2})]);
    /// let next = format!("/tickets?cursor={}", api.answer("/tickets").to_json()["next"].as_str().unwrap());
    /// assert_eq!(api.answer(&*next).status(), 200);
    /// tickets.expire_cursors();
    /// assert_eq!(api.answer(&*next).status(), 400);
    /// ```
    pub fn expire_cursors(&self) {
        self.state.list(self.number, Rows::expire_cursors);
    }
}

impl fmt::Debug for MockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.state.list(self.number, |rows| rows.path.as_str().to_owned());
        f.debug_struct("MockList").field("path", &path).field("parent", &self.parent).finish_non_exhaustive()
    }
}
