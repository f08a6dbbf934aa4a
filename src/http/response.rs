use std::fmt;

use bytestring::ByteString;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use super::links;
use crate::{Error, Result, Retry};

/// A complete answer: all of its body is here, and it is UTF-8.
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
    /// The status: 2xx, 304, or one that [`accept`](super::Request::accept) named.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether nothing has changed since the entity tag given to [`if_none_match`](super::Request::if_none_match).
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// The URL that answered: after a redirect not the one that was asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a redirect led here, as for a repository that was renamed.
    pub fn redirected(&self) -> bool {
        self.redirected
    }

    /// A header by its name in any case; `None` also if it is not plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The entity tag as it came, weak ones included, for [`if_none_match`](super::Request::if_none_match).
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
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
    /// `InvalidData`, which names the field; [`send_with`](super::Request::send_with) then asks again.
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
        Error::invalid_data("the answer is not the JSON that was expected")
            .with_context("url", &self.url)
            .with_retry(Retry::Backoff)
            .with_source(error)
    }

    /// Where the next page is: the target of `Link: …; rel="next"`, to be followed as it is.
    ///
    /// # Errors
    ///
    /// A header that cannot be read, and a link to any other scheme, host or port: an end of the pages that is none would
    /// lose records.
    pub fn next(&self) -> Result<Option<Url>> {
        self.link("next")
    }

    /// The number of the last page: `page=` of `Link: …; rel="last"`, where the server says so.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn last_page(&self) -> Result<Option<u64>> {
        let number =
            |url: Url| url.query_pairs().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
        Ok(self.link("last")?.and_then(number))
    }

    fn link(&self, relation: &str) -> Result<Option<Url>> {
        for header in self.headers.get_all(LINK) {
            let header = header
                .to_str()
                .map_err(|error| Error::invalid_data("the Link header is not plain text").with_source(error))?;
            if let Some(reference) = links::target(header, relation)? {
                return links::follow(&self.base, &self.url, reference).map(Some);
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &self.url.as_str())
            .field("redirected", &self.redirected)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
