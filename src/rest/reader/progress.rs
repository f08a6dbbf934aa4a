//! The pages of a list so far: where the next one is, and what shows that the list does not end.

use std::collections::HashSet;

use serde_json::Value;

use super::super::check::{fills_page, is_full_page, is_page_number, is_page_number_token};
use super::super::fields::Row;
use super::super::paginator::NextPage;
use super::page::Page;
use super::plan::{PagingPlan, Place, StreamPlan};
use crate::http::{Response, Url};
use crate::record::content_hash;
use crate::{Error, ErrorKind, Result};

/// The consecutive pages without a record after which a list counts as endless.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// How often in a row a page may have the same records as the one before. Rows that are inserted while the list is read move others to the next
/// page: a small page can come twice.
const MAX_REPEATED_PAGES: u32 = 3;

/// Where the next page is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rest) enum Next {
    /// There is none.
    End,
    /// At this URL.
    Url(Url),
    /// With this value at this place.
    Set(Place, Value),
}

/// The pages of one question so far.
#[derive(Debug, Default)]
pub(in crate::rest) struct Progress {
    /// The number of pages.
    pub(in crate::rest) pages: u64,
    /// The number of records.
    pub(in crate::rest) records: u64,
    empty_pages: u32,
    /// What led to the pages so far, hashed.
    seen: HashSet<[u8; 16]>,
    /// The fingerprint of the page before.
    previous: Vec<[u8; 16]>,
    repeated_pages: u32,
    last: Option<Value>,
    /// The token that led to the page.
    token: Option<Value>,
    /// Whether the next page was found by a number that drifts when rows move.
    pub(in crate::rest) is_numbered: bool,
    /// Whether no page had the place that would lead to the next one, and nothing else says that the list ends.
    pub(in crate::rest) lacks_next: bool,
    /// Whether the first page has as many records as it seems to hold at most.
    pub(in crate::rest) is_full: bool,
    /// Whether a number at `pages` or `more` ends the list at its first page, although that is full.
    pub(in crate::rest) ends_full: bool,
}

impl Progress {
    /// Finds the page that follows.
    ///
    /// # Errors
    /// `InvalidData` for a list that has no end: a token, a URL or a page that repeats, or only empty pages.
    pub(in crate::rest) fn next(&mut self, stream: &StreamPlan, page: &mut Page, response: &Response) -> Result<Next> {
        let count = page.rows.len() as u64;
        let lacks_next = match &stream.paginate.by {
            PagingPlan::Link => response.next_reference()?.is_none(),
            _ => page.lacks_next,
        };
        let more = page.ending.pages.map_or(page.ending.more, |pages| Some(self.pages + 1 < pages));
        self.lacks_next = (self.pages == 0 || self.lacks_next) && lacks_next && more.is_none();
        if self.pages == 0 {
            self.is_full = is_full_page(response.url(), count);
            self.ends_full = more == Some(false) && page.ending.is_counted && fills_page(response.url(), count);
        }
        self.pages += 1;
        self.records += count;
        self.empty_pages = if count == 0 { self.empty_pages + 1 } else { 0 };
        let endless = |why: String, help: String| {
            Err(Error::new(ErrorKind::InvalidData, format!("the list does not end: {why}"))
                .with_context("url", response.url())
                .with_context("page", self.pages)
                .with_help(help))
        };
        if more == Some(false) {
            return Ok(Next::End);
        }
        if let Some(last) = page.rows.iter_mut().rev().find_map(|row| row.last.take()) {
            self.last = Some(last);
        }
        let no_flag_and_empty = more.is_none() && count == 0;
        let next = match &stream.paginate.by {
            PagingPlan::None => Next::End,
            PagingPlan::Link => match response.next_reference()? {
                Some(reference) => Next::Url(response.follow(reference)?),
                None => Next::End,
            },
            PagingPlan::Next(_) => match &page.token {
                Some(Value::String(reference)) => Next::Url(response.follow(reference)?),
                Some(_) => {
                    return Err(Error::invalid_data("the URL of the next page is not a text")
                        .with_context("url", response.url())
                        .with_help("correct the pointer of `paginate`"));
                }
                None => Next::End,
            },
            PagingPlan::Token { to, .. } => match page.token.take() {
                Some(token) => Next::Set(to.clone(), token),
                None => Next::End,
            },
            PagingPlan::Last { .. } | PagingPlan::Offset(_) | PagingPlan::Page(_) if no_flag_and_empty => Next::End,
            PagingPlan::Last { last, to } => match &self.last {
                Some(value) => Next::Set(to.clone(), value.clone()),
                None if count == 0 => Next::End,
                None => {
                    return Err(Error::invalid_data(format!("no record of the page has a value at {last}"))
                        .with_context("url", response.url())
                        .with_help("correct `last` of `paginate`"));
                }
            },
            PagingPlan::Custom(paginator) => match paginator.next(response, page.rows.len())? {
                NextPage::End => Next::End,
                NextPage::Url(reference) => Next::Url(response.follow(&reference)?),
                NextPage::Set { to, value } => Next::Set(Place::parse(&to)?, value),
            },
            PagingPlan::Offset(to) => Next::Set(to.clone(), self.records.into()),
            PagingPlan::Page(to) => Next::Set(to.clone(), (self.pages + 1).into()),
        };
        let is_number = matches!(stream.paginate.by, PagingPlan::Offset(_) | PagingPlan::Page(_));
        let mark = match &next {
            Next::End if more == Some(true) && !matches!(stream.paginate.by, PagingPlan::None | PagingPlan::Link) => {
                return Err(Error::invalid_data(
                    "the server says that there are more pages, and not where the next one is",
                )
                .with_context("url", response.url())
                .with_help("correct the pointers of `paginate`"));
            }
            Next::End => return Ok(next),
            Next::Url(url) => {
                self.is_numbered = is_page_number(response.url(), url, count, self.records);
                url.to_string()
            }
            Next::Set(_, value) => {
                if let PagingPlan::Token { .. } = stream.paginate.by {
                    let key = page.rows.last().and_then(|row| row.content.as_ref().ok()).map(|record| &*record.key);
                    self.is_numbered = is_page_number_token(self.token.as_ref(), value, key, count, self.records);
                    self.token = Some(value.clone());
                }
                value.to_string()
            }
        };
        // An offset stands still at an empty page with a flag.
        let is_new = self.seen.insert(content_hash(&mark));
        if !is_new && (count > 0 || !is_number) {
            return endless(
                format!("what leads to the next page, {mark}, has led to a page before"),
                format!("correct `paginate`: the server does not move on{}", misplaced(stream, &next)),
            );
        }
        // A server that ignores what leads to a page may make it anew for each request.
        let records = fingerprint(&page.rows);
        let is_repeated = count > 0 && self.previous == records;
        self.repeated_pages = if is_repeated { self.repeated_pages + 1 } else { 0 };
        if self.repeated_pages >= MAX_REPEATED_PAGES {
            let ignored = match next {
                Next::Url(_) => "check the links that the server sends: they lead to the same records".to_owned(),
                _ => "correct the parameter of `paginate`, which the server seems to ignore".to_owned(),
            };
            return endless(
                format!("{} pages in a row have the same records", MAX_REPEATED_PAGES + 1),
                format!("{ignored}; write `paginate = \"none\"` for a list of one page{}", misplaced(stream, &next)),
            );
        }
        self.previous = records;
        if self.empty_pages >= MAX_EMPTY_PAGES {
            let help = match &stream.paginate.pages {
                Some(pages) => format!("correct `pages`: the number at {pages} is not that of the pages"),
                None => "check what the server sends".to_owned(),
            };
            return endless(format!("{MAX_EMPTY_PAGES} pages in a row are empty"), help);
        }
        self.is_numbered |= is_number;
        Ok(next)
    }
}

/// What to write if a request with a body sends in its query what belongs into the body.
fn misplaced(stream: &StreamPlan, next: &Next) -> String {
    match next {
        Next::Set(Place::Parameter(name), _) if stream.request.body.is_some() => {
            format!("; it is asked with the parameter {name:?}: write `\"/{name}\"` for a place in the body")
        }
        _ => String::new(),
    }
}

/// What the records of a page are, in any order: their keys, and what moves when they change. Other fields may differ in each answer.
fn fingerprint(rows: &[Row]) -> Vec<[u8; 16]> {
    let hash = |row: &Row| match (&row.stub, &row.content) {
        (Some(stub), _) => content_hash(&format!("{stub} {:?}", row.since)),
        (None, Ok(record)) => content_hash(&format!("{} {} {:?}", record.key, record.version.0, row.since)),
        (None, Err(reject)) => content_hash(&reject.raw),
    };
    let mut hashes: Vec<[u8; 16]> = rows.iter().map(hash).collect();
    hashes.sort_unstable();
    hashes
}
