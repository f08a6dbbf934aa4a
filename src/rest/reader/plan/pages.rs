//! How a list continues.

use std::sync::Arc;

use crate::Result;
use crate::rest::api::Api;
use crate::rest::check::{drift, drift_help};
use crate::rest::fields::Pointer;
use crate::rest::paginate::{Paginate, Paging};
use crate::rest::paginator::Paginator;
use crate::rest::stream::Stream;

/// What only an answer shows about the pages of a list.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct UnseenPages {
    /// The warning if links or tokens hold the number of the page; `None` if nothing is missed then, or if neither leads on.
    pub(in crate::rest) numbered: Option<String>,
    /// Whether the description does not say how the list continues.
    pub(in crate::rest) unsaid: bool,
    /// What leads to the next page, where an answer may lack it.
    pub(in crate::rest) next: Option<NextPlace>,
}

/// What leads to the next page, or tells that there is one.
#[derive(Debug, Clone)]
pub(in crate::rest) enum NextPlace {
    /// The header `Link`.
    Link,
    /// What this pointer finds.
    Pointer(String),
    /// The number of pages, which this pointer finds, ends the list.
    Pages(String),
}

impl UnseenPages {
    pub(super) fn new(api: &Api, stream: &Stream) -> Self {
        let Some(paginate) = stream.paginate.as_ref().or(api.paginate.as_ref()) else {
            return Self { unsaid: true, ..Self::default() };
        };
        let (next, what) = match &paginate.by {
            Paging::Token { token, .. } => (NextPlace::Pointer(token.clone()), "the tokens are"),
            Paging::Next(next) => (NextPlace::Pointer(next.clone()), "the links hold"),
            Paging::Link => (NextPlace::Link, "the links hold"),
            Paging::Page(_) => return Self { next: paginate.pages.clone().map(NextPlace::Pages), ..Self::default() },
            _ => return Self::default(),
        };
        let drift = drift(api, stream, Some(true));
        let warning =
            |help| format!("stream {:?}: paginate: {what} the number of the page: {drift}; {help}", stream.name);
        Self { numbered: drift_help(drift, stream.order).map(warning), unsaid: false, next: Some(next) }
    }
}

/// How a list continues.
#[derive(Debug, Clone)]
pub(in crate::rest) struct PaginatePlan {
    pub(in crate::rest) by: PagingPlan,
    pub(in crate::rest) more: Option<Pointer>,
    pub(in crate::rest) done: Option<Pointer>,
    pub(in crate::rest) pages: Option<Pointer>,
}

/// Where the next page is.
#[derive(Debug, Clone)]
pub(in crate::rest) enum PagingPlan {
    None,
    Link,
    Next(Pointer),
    Token {
        token: Pointer,
        to: Place,
    },
    Last {
        last: Pointer,
        to: Place,
    },
    Offset(Place),
    Page(Place),
    /// As the program says.
    Custom(Arc<dyn Paginator>),
}

/// Where a request takes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rest) enum Place {
    Parameter(String),
    Body(Pointer),
}

impl Place {
    pub(in crate::rest) fn parse(to: &str) -> Result<Self> {
        if to.starts_with('/') { to.parse().map(Self::Body) } else { Ok(Self::Parameter(to.to_owned())) }
    }
}

impl PaginatePlan {
    pub(super) fn parse(Paginate { by, more, done, pages }: &Paginate) -> Result<Self> {
        let by = match by {
            Paging::None => PagingPlan::None,
            Paging::Link => PagingPlan::Link,
            Paging::Next(next) => PagingPlan::Next(next.parse()?),
            Paging::Token { token, to } => PagingPlan::Token { token: token.parse()?, to: Place::parse(to)? },
            Paging::Last { last, to } => PagingPlan::Last { last: last.parse()?, to: Place::parse(to)? },
            Paging::Offset(to) => PagingPlan::Offset(Place::parse(to)?),
            Paging::Page(to) => PagingPlan::Page(Place::parse(to)?),
        };
        let optional = |pointer: &Option<String>| pointer.as_deref().map(str::parse).transpose();
        Ok(Self { by, more: optional(more)?, done: optional(done)?, pages: optional(pages)? })
    }
}
