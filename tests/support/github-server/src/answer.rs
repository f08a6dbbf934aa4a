//! An answer before it is sent.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: HeaderMap::new(), body: body.into() }
            .with("content-type", "application/json; charset=utf-8")
    }

    /// An error as GitHub writes it.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = serde_json::json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        Self { status, ..Self::json(body.to_string()) }
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    /// A redirect; GitHub also puts the address into the body.
    pub(crate) fn moved(status: u16, location: &str) -> Self {
        let body = serde_json::json!({
            "message": "Moved Permanently",
            "url": location,
            "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
        });
        Self { status, ..Self::json(body.to_string()) }.with("location", location)
    }

    /// The secondary limit, in the words by which clients distinguish it from a rejection.
    pub(crate) fn secondary_limit(status: u16) -> Self {
        Self::error(status, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
    }

    pub(crate) fn primary_limit() -> Self {
        Self::error(
            403,
            "API rate limit exceeded for installation. If you reach out to GitHub Support for help, please include the request ID.",
        )
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Adds links to other pages, if there are any.
    #[must_use]
    pub(crate) fn with_link(self, link: Option<String>) -> Self {
        match link {
            Some(link) => self.with("link", link),
            None => self,
        }
    }

    /// Sets a missing header.
    #[must_use]
    pub(crate) fn with_default(self, name: &'static str, value: impl AsRef<str>) -> Self {
        if self.headers.contains_key(name) { self } else { self.with(name, value) }
    }
}
