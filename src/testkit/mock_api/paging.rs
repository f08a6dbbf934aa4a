//! How a list is divided into pages.

/// How a list is divided into pages.
///
/// Page numbers, offsets and links name a place in the list as it is at that moment: a record that is inserted or deleted before that
/// place shifts the next page. A cursor names the last record of a page, and nothing shifts.
///
/// ```
/// use serde_json::json;
/// use snowfeed::testkit::mock_api::{MockApi, Paging};
///
/// let api = MockApi::start();
/// let paging = Paging::cursor("cursor", "/meta/next").size(2).total("/meta/total");
/// let tickets = api.list("/tickets").records_at("/tickets").paging(paging);
/// tickets.extend((1..=3).map(|id| json!({"id": id})));
///
/// let first = api.answer("/tickets").to_json();
/// assert_eq!(first["tickets"], json!([{"id": 1}, {"id": 2}]));
/// assert_eq!(first["meta"]["total"], 3);
/// let cursor = first["meta"]["next"].as_str().unwrap();
/// let last = api.answer(&*format!("/tickets?cursor={cursor}")).to_json();
/// assert_eq!(last["tickets"], json!([{"id": 3}]));
/// assert!(last["meta"]["next"].is_null());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    pub(super) kind: Kind,
    pub(super) size: usize,
    pub(super) size_parameter: Option<String>,
    pub(super) more: Option<String>,
    pub(super) total: Option<String>,
}

/// Where a request names its page, and where a page names the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    PageNumber { parameter: String },
    Offset { parameter: String },
    Links { parameter: String },
    Cursor { parameter: String, pointer: String },
    NextUrl { parameter: String, pointer: String },
}

impl Paging {
    fn new(kind: Kind) -> Self {
        Self { kind, size: 100, size_parameter: None, more: None, total: None }
    }

    /// One page with all records. The default.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets").paging(Paging::single()).insert(json!({"id": 1}));
    /// assert_eq!(api.answer("/tickets").to_json(), json!([{"id": 1}]));
    /// ```
    pub fn single() -> Self {
        Self::new(Kind::Single)
    }

    /// Pages with numbers from 1, in this parameter: `?page=2`.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::page_number("page").size(1));
    /// tickets.extend([json!({"id": 1}), json!({"id": 2})]);
    /// assert_eq!(api.answer("/tickets?page=2").to_json(), json!([{"id": 2}]));
    /// assert_eq!(api.answer("/tickets?page=3").to_json(), json!([]));
    /// ```
    pub fn page_number(parameter: &str) -> Self {
        Self::new(Kind::PageNumber { parameter: parameter.into() })
    }

    /// An offset in this parameter, counted from 0: `?offset=100`.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::offset("offset").size_parameter("limit"));
    /// tickets.extend((1..=3).map(|id| json!({"id": id})));
    /// assert_eq!(api.answer("/tickets?offset=1&limit=1").to_json(), json!([{"id": 2}]));
    /// ```
    pub fn offset(parameter: &str) -> Self {
        Self::new(Kind::Offset { parameter: parameter.into() })
    }

    /// A `Link` header with the URLs of the next, previous, first and last page; this parameter has the page's number.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::links("page").size(1));
    /// tickets.extend([json!({"id": 1}), json!({"id": 2})]);
    /// let first = api.answer("/tickets");
    /// assert!(first.header("link").unwrap().contains(&format!("<{}/tickets?page=2>; rel=\"next\"", api.url())));
    /// ```
    pub fn links(parameter: &str) -> Self {
        Self::new(Kind::Links { parameter: parameter.into() })
    }

    /// A cursor in the body, at this [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901), for this parameter of the next request. On
    /// the last page it is `null`.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets").paging(Paging::cursor("cursor", "/next_cursor"));
    /// assert_eq!(api.answer("/tickets").to_json(), json!({"data": [], "next_cursor": null}));
    /// ```
    pub fn cursor(parameter: &str, pointer: &str) -> Self {
        Self::new(Kind::Cursor { parameter: parameter.into(), pointer: pointer.into() })
    }

    /// The URL of the next page in the body, at this JSON pointer, with a cursor in this parameter. On the last page it is `null`.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::next_url("after", "/links/next").size(1));
    /// tickets.extend([json!({"id": 1}), json!({"id": 2})]);
    /// let url = api.answer("/tickets").to_json()["links"]["next"].as_str().unwrap().to_owned();
    /// let last = api.answer(url.strip_prefix(api.url()).unwrap()).to_json();
    /// assert_eq!(last, json!({"data": [{"id": 2}], "links": {"next": null}}));
    /// ```
    pub fn next_url(parameter: &str, pointer: &str) -> Self {
        Self::new(Kind::NextUrl { parameter: parameter.into(), pointer: pointer.into() })
    }

    /// The most records on a page; 100 by default.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::page_number("page").size(2));
    /// tickets.extend((1..=3).map(|id| json!({"id": id})));
    /// assert_eq!(api.answer("/tickets").to_json(), json!([{"id": 1}, {"id": 2}]));
    /// ```
    ///
    /// # Panics
    /// Panics if `records` is 0.
    #[must_use]
    pub fn size(mut self, records: usize) -> Self {
        assert!(records > 0, "a page has at least one record");
        self.size = records;
        self
    }

    /// The parameter with which a request asks for smaller pages: `?per_page=50`. It cannot ask for more than [`size`](Self::size).
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// let tickets = api.list("/tickets").paging(Paging::page_number("page").size(2).size_parameter("per_page"));
    /// tickets.extend((1..=3).map(|id| json!({"id": id})));
    /// assert_eq!(api.answer("/tickets?per_page=1").to_json(), json!([{"id": 1}]));
    /// assert_eq!(api.answer("/tickets?per_page=3").to_json(), json!([{"id": 1}, {"id": 2}]));
    /// ```
    #[must_use]
    pub fn size_parameter(mut self, parameter: &str) -> Self {
        self.size_parameter = Some(parameter.into());
        self
    }

    /// Adds to the body, at this JSON pointer, whether there are more pages.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets").paging(Paging::page_number("page").more("/has_more"));
    /// assert_eq!(api.answer("/tickets").to_json(), json!({"data": [], "has_more": false}));
    /// ```
    #[must_use]
    pub fn more(mut self, pointer: &str) -> Self {
        self.more = Some(pointer.into());
        self
    }

    /// Adds to the body, at this JSON pointer, the number of records on all pages.
    ///
    /// ```
    /// use serde_json::json;
    /// use snowfeed::testkit::mock_api::{MockApi, Paging};
    ///
    /// let api = MockApi::start();
    /// api.list("/tickets").paging(Paging::offset("offset").total("/total"));
    /// assert_eq!(api.answer("/tickets").to_json(), json!({"data": [], "total": 0}));
    /// ```
    #[must_use]
    pub fn total(mut self, pointer: &str) -> Self {
        self.total = Some(pointer.into());
        self
    }

    /// Whether a page has more than its records in its body.
    pub(super) fn needs_object(&self) -> bool {
        let has_pointer = matches!(self.kind, Kind::Cursor { .. } | Kind::NextUrl { .. });
        has_pointer || self.more.is_some() || self.total.is_some()
    }
}
