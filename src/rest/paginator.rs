//! Paginators of one's own.

use std::fmt::Debug;

use serde_json::Value;

use crate::Result;
use crate::http::Response;

/// Finds the next page of a list, where no [`Paginate`](super::Paginate) does; see
/// [`RestSource::with_paginator`](super::RestSource::with_paginator).
///
/// ```
/// use snowfeed::Result;
/// use snowfeed::http::Response;
/// use snowfeed::rest::{NextPage, Paginator};
///
/// /// The number of the next page is in a header.
/// #[derive(Debug)]
/// struct NextPageHeader;
///
/// impl Paginator for NextPageHeader {
///     fn next(&self, response: &Response, _: usize) -> Result<NextPage> {
///         Ok(match response.header("x-next-page").filter(|page| !page.is_empty()) {
///             Some(page) => NextPage::Set { to: "page".into(), value: page.into() },
///             None => NextPage::End,
///         })
///     }
/// }
/// ```
pub trait Paginator: Debug + Send + Sync {
    /// Returns where the page after this one is. `records` is the number of elements on this one. The engine notices a list that does not
    /// end, and asks for the same page again after a failure, so that a paginator keeps nothing.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) for a response that does not tell: it ends the read.
    fn next(&self, response: &Response, records: usize) -> Result<NextPage>;
}

/// Where the next page of a list is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum NextPage {
    /// There is none.
    End,
    /// At this URL, absolute or relative to that of the response, on the same server.
    Url(String),
    /// With a value in the first request.
    Set {
        /// A parameter, or with a leading `/` a place in the body.
        to: String,
        /// The value.
        value: Value,
    },
}
