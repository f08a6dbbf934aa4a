use std::fmt;

use bytestring::ByteString;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use super::links;
use crate::error::redact;
use crate::{Error, Result, Retry};

/// A response's information about further pages of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum More {
    /// There is a next page, and this is its URL.
    Next(Url),
    /// The server sends links, and none leads to a next page: this is the last page.
    Last,
    /// There is no `Link` header about pages, or it is malformed. However short the page is, there may be more.
    Unknown,
}

/// A complete response, whose body is UTF-8.
#[derive(Clone)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) url: Url,
    pub(super) redirected: bool,
    pub(super) body: ByteString,
    pub(super) base: Url,
}

impl Response {
    /// A successful response without headers, whose body was saved.
    #[cfg(feature = "rest")]
    pub(crate) fn saved(url: Url, body: ByteString) -> Self {
        Self { status: 200, headers: HeaderMap::new(), base: url.clone(), url, redirected: false, body }
    }

    /// The status: 2xx, 304, or one that [`allow_status`](super::Request::allow_status) named.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether nothing has changed since the entity tag given to [`if_none_match`](super::Request::if_none_match).
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// The URL of the response: after a redirect, not the URL of the request.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a redirect led here, as for a repository that was renamed.
    pub fn redirected(&self) -> bool {
        self.redirected
    }

    /// A header by its name, ignoring case; `None` also if it is not plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The entity tag, unchanged, for [`if_none_match`](super::Request::if_none_match); it may be weak. One that is longer than
    /// 1 KiB is dropped: a server would not accept it in a request.
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// The time of the response, by the server's clock.
    #[cfg(any(feature = "github", feature = "rest"))]
    pub(crate) fn date(&self) -> Option<jiff::Timestamp> {
        super::rate_limit::date(self.header("date")?)
    }

    /// The body. Cheap to clone, and so are its [slices](ByteString::slice_ref).
    pub fn body(&self) -> &ByteString {
        &self.body
    }

    /// The body, without the rest.
    pub fn into_body(self) -> ByteString {
        self.body
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// `InvalidData`, which names the field. It has retry advice where the body is cut short or not JSON, but not where it is JSON
    /// of another shape.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let mut json = serde_json::Deserializer::from_str(&self.body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            self.unreadable(error.into_inner()).with_context("at", path)
        })?;
        json.end().map_err(|error| self.unreadable(error))?;
        Ok(value)
    }

    fn unreadable(&self, error: serde_json::Error) -> Error {
        let retry = if error.is_data() { Retry::Never } else { Retry::Backoff };
        Error::invalid_data("the answer is not the JSON that was expected")
            .with_context("url", &self.url)
            .with_retry(retry)
            .with_source(error)
    }

    /// The URL of the next page: the target of `Link: …; rel="next"`, on the client's server. Where a gateway passes on a link to
    /// the server behind it, with another scheme, host, port or base path, this is the URL of this response with the link's
    /// query.
    ///
    /// `None` means that there is no link to a next page. That is the end only where the server sends links at all;
    /// [`more`](Self::more) distinguishes the two.
    ///
    /// # Errors
    ///
    /// `InvalidData`, when the header is malformed: a false end of the pages would lose records.
    pub fn next(&self) -> Result<Option<Url>> {
        self.link("next")
    }

    /// Returns what the response reports about further pages of its list.
    pub fn more(&self) -> More {
        let Ok(next) = self.link("next") else { return More::Unknown };
        if let Some(url) = next {
            return More::Next(url);
        }
        let here = links::page_number(&self.url);
        if let Ok(Some(last)) = self.last_page() {
            return if last > here { More::Next(links::numbered(&self.url, here + 1)) } else { More::Last };
        }
        let pages = |relation: &str| self.link(relation).is_ok_and(|link| link.is_some());
        if ["prev", "previous", "first"].into_iter().any(pages) { More::Last } else { More::Unknown }
    }

    /// The number of the last page: `page=` of `Link: …; rel="last"`, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn last_page(&self) -> Result<Option<u64>> {
        let number =
            |url: Url| url.query_pairs().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
        Ok(self.link("last")?.and_then(number))
    }

    /// The error that this response is, whose status is an error.
    #[cfg(feature = "rest")]
    pub(crate) fn rejection(&self) -> Error {
        super::error::status(self.status, &self.body, self.retry_after(), &self.url)
    }

    /// The message of the server, of a response that is an error.
    #[cfg(feature = "rest")]
    pub(crate) fn server_message(&self) -> Option<String> {
        super::server_message::extract(&self.body)
    }

    /// The time that the response asks to wait, if it does.
    #[cfg(feature = "rest")]
    pub(crate) fn retry_after(&self) -> Option<std::time::Duration> {
        super::rate_limit::retry_after(&self.headers, jiff::Timestamp::now())
    }

    /// The time until the limit ends that has rejected the request, if the response tells: that of `Retry-After`, or of a limit that is
    /// used up.
    #[cfg(feature = "rest")]
    pub(crate) fn limit_wait(&self) -> Option<std::time::Duration> {
        super::rate_limit::limit_wait(&self.headers, jiff::Timestamp::now())
    }

    /// The URL that the response refers to, absolute or relative to its own, on the client's server.
    ///
    /// # Errors
    ///
    /// `Configuration` for another server, `InvalidData` for what is not a URL.
    #[cfg(feature = "rest")]
    pub(crate) fn follow(&self, reference: &str) -> Result<Url> {
        links::follow(&self.base, &self.url, reference)
    }

    /// The target of `Link: …; rel="next"`, as it was sent.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    #[cfg(feature = "rest")]
    pub(crate) fn next_reference(&self) -> Result<Option<&str>> {
        for header in self.headers.get_all(LINK) {
            let header = header
                .to_str()
                .map_err(|error| Error::invalid_data("the Link header is not plain text").with_source(error))?;
            if let Some(reference) = links::target(header, "next")? {
                return Ok(Some(reference));
            }
        }
        Ok(None)
    }

    fn link(&self, relation: &str) -> Result<Option<Url>> {
        for header in self.headers.get_all(LINK) {
            let header = header
                .to_str()
                .map_err(|error| Error::invalid_data("the Link header is not plain text").with_source(error))?;
            if let Some(reference) = links::target(header, relation)? {
                return links::page(&self.base, &self.url, reference).map(Some);
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &redact(self.url.as_str()))
            .field("redirected", &self.redirected)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
