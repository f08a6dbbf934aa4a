//! A page of a list: its records, and where the next one is.

use std::collections::HashSet;

use bytestring::ByteString;
use jiff::Timestamp;
use serde_json::Value;

use super::super::check::{is_full_page, is_page_number, is_page_number_token};
use super::super::fields::{ElementPlan, Pointer, Row, Wanted, escaped, is_truthy, scalar};
use super::super::paginator::NextPage;
use super::plan::{ErrorPlan, GetPlan, PaginatePlan, PagingPlan, Place, StreamPlan};
use crate::http::{Response, Url};
use crate::record::content_hash;
use crate::{Error, ErrorKind, Result, Retry};

/// The consecutive pages without a record after which a list counts as endless.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// How often in a row a page may be the same as the one before. Rows that are inserted while the list is read move others to the next page: a
/// small page can come twice.
const MAX_REPEATED_PAGES: u32 = 3;

/// What to find in a page beside its records.
#[derive(Debug, Clone)]
pub(in crate::rest) struct EnvelopePlan {
    wanted: Wanted,
    records: (usize, Pointer),
    /// Where single records are, if not at `records`: where the list has its own.
    or_like_list: Option<usize>,
    /// The path of single records.
    single: Option<String>,
    token: Option<usize>,
    more: Option<usize>,
    done: Option<usize>,
    codes: Vec<usize>,
    errors: ErrorPlan,
}

impl EnvelopePlan {
    pub(in crate::rest) fn new(records: &Pointer, paginate: Option<&PaginatePlan>, errors: &ErrorPlan) -> Self {
        let mut wanted = Wanted::default();
        let records = (wanted.add(records), records.clone());
        let token = paginate.and_then(|paginate| match &paginate.by {
            PagingPlan::Next(pointer) | PagingPlan::Token { token: pointer, .. } => Some(wanted.add(pointer)),
            _ => None,
        });
        let more = paginate.and_then(|paginate| paginate.more.as_ref()).map(|pointer| wanted.add(pointer));
        let done = paginate.and_then(|paginate| paginate.done.as_ref()).map(|pointer| wanted.add(pointer));
        let codes = errors.code.iter().map(|pointer| wanted.add(pointer)).collect();
        let (or_like_list, single) = (None, None);
        Self { wanted, records, or_like_list, single, token, more, done, codes, errors: errors.clone() }
    }

    /// What to find in an answer about single records. They have the envelope of the list if they have one that the description does not
    /// name.
    pub(in crate::rest) fn single(get: &GetPlan, list: &Pointer, errors: &ErrorPlan) -> Self {
        let mut plan = Self::new(&get.records, None, errors);
        if get.records.steps().is_empty() && !list.steps().is_empty() {
            plan.or_like_list = Some(plan.wanted.add(list));
        }
        plan.single = Some(get.path.clone());
        plan
    }

    /// The code of an error in a body, if it has one.
    pub(in crate::rest) fn code(&self, body: &str) -> Option<String> {
        if self.codes.is_empty() {
            return None;
        }
        let found = self.wanted.scan(body).ok()?;
        self.codes.iter().filter_map(|slot| found.value(*slot)).find_map(code)
    }

    /// Reads a successful response.
    ///
    /// # Errors
    /// `InvalidData`, with the place, for a body that is not JSON or has no list of records.
    pub(in crate::rest) fn read(&self, elements: &ElementPlan, response: &Response) -> Result<Content> {
        let body = response.body();
        let date = response.date();
        let is_plain_list = self.records.1.steps().is_empty() && body.trim_start().starts_with('[');
        if is_plain_list {
            let rows = elements.list(body).map_err(|error| error.with_context("url", response.url()))?;
            let lacks_next = self.token.is_some();
            return Ok(Content::Page(Page { rows, text: body.clone(), date, token: None, more: None, lacks_next }));
        }
        let unreadable = |error: serde_json::Error| {
            Error::invalid_data("the answer is not JSON")
                .with_retry(Retry::Backoff)
                .with_context("url", response.url())
                .with_source(error)
        };
        let found = self.wanted.scan(body).map_err(unreadable)?;
        if let Some(code) = self.codes.iter().filter_map(|slot| found.value(*slot)).find_map(code) {
            return Ok(Content::Code(code));
        }
        let flag = |slot: Option<usize>| slot.and_then(|slot| found.value(slot)).map(is_truthy);
        let more = match (flag(self.more), flag(self.done)) {
            (_, Some(true)) | (Some(false), _) => Some(false),
            (Some(true), _) | (_, Some(false)) => Some(true),
            (None, None) => None,
        };
        let token = self.token.and_then(|slot| found.value(slot)).filter(|raw| *raw != "\"\"" && *raw != "false");
        let token = token.map(|raw| {
            let token = scalar(raw).and_then(|_| serde_json::from_str::<Value>(raw).ok());
            token.ok_or_else(|| {
                Error::invalid_data("what should lead to the next page is neither text nor number")
                    .with_context("url", response.url())
                    .with_help("correct the pointer of `paginate`")
            })
        });
        let mut rows = self.rows(elements, found.get(self.records.0), response)?;
        let like_list = self.or_like_list.and_then(|slot| found.value(slot));
        if rows.is_err() && like_list.is_some() {
            rows = self.rows(elements, like_list, response)?;
        }
        let (rows, text) = rows.map_err(|what| self.no_list(&what, elements, response))?;
        let lacks_next = self.token.is_some_and(|slot| found.get(slot).is_none());
        Ok(Content::Page(Page { rows, text, date, token: token.transpose()?, more, lacks_next }))
    }

    /// The records at a place of the answer, with its text; or what is there in place of records.
    fn rows(
        &self,
        elements: &ElementPlan,
        list: Option<&str>,
        response: &Response,
    ) -> Result<std::result::Result<(Vec<Row>, ByteString), String>> {
        let Some(list) = list else {
            let is_object = response.body().trim_start().starts_with('{');
            let is_left_out = self.errors.may_leave_out_list(response.status()) && is_object;
            return Ok(if is_left_out { Ok(Default::default()) } else { Err("there is nothing".to_owned()) });
        };
        let text = response.body().slice_ref(list);
        let rows = match list.as_bytes().first() {
            Some(b'[') => elements.list(&text).map_err(|error| error.with_context("url", response.url()))?,
            Some(b'{') => {
                let row = elements.single(text.clone())?;
                // An envelope in place of a record has no key.
                if let Err(reject) = &row.content {
                    return Ok(Err(format!("there is one object ({})", reject.reason)));
                }
                vec![row]
            }
            // Servers send null for an empty list.
            Some(b'n') if !self.records.1.steps().is_empty() => Vec::new(),
            _ => return Ok(Err("there is neither a list nor an object".to_owned())),
        };
        Ok(Ok((rows, text)))
    }

    fn no_list(&self, what: &str, elements: &ElementPlan, response: &Response) -> Error {
        let place = if self.records.1.steps().is_empty() { "the root".to_owned() } else { self.records.1.to_string() };
        let has_records = |value: &Value| match (value, &self.single) {
            (Value::Object(_), Some(_)) => {
                elements.single(value.to_string().into()).is_ok_and(|row| row.content.is_ok())
            }
            (value, _) => value.is_array(),
        };
        let (is_object, places): (bool, Vec<String>) = match serde_json::from_str::<Value>(response.body()) {
            Ok(Value::Object(members)) => {
                let found = members.iter().filter(|(_, value)| has_records(value));
                (true, found.map(|(name, _)| format!("\"/{}\"", escaped(name))).collect())
            }
            _ => (false, Vec::new()),
        };
        let status = response.status();
        let what_is_missing = if self.single.is_some() {
            "the answer of `get` has no record"
        } else {
            "the answer has no list of records"
        };
        let help = match (&self.single, places.as_slice()) {
            (Some(_), []) => "let `get.records` point at the record".to_owned(),
            (Some(path), [place, ..]) => format!("write `get = {{ path = {path:?}, records = {place} }}`"),
            (None, []) if is_object && !self.records.1.steps().is_empty() => format!(
                "let `records` point at the list of records; if the API leaves out a list that is empty, write \
                 `errors = {{ {status} = \"empty\" }}`"
            ),
            (None, []) => "let `records` point at the list of records".to_owned(),
            (None, lists) => format!("write `records = {}`", lists.join("`, or `records = ")),
        };
        Error::invalid_data(format!("{what_is_missing} at {place}: {what}"))
            .with_status(status)
            .with_context("url", response.url())
            .with_help(help)
    }
}

/// Reads an error code from a value; `None` if the value means that there is no error.
fn code(raw: &str) -> Option<String> {
    if !is_truthy(raw) || raw == "true" {
        return (raw == "true").then(|| "true".to_owned());
    }
    Some(scalar(raw).map_or_else(|| "an object".to_owned(), |text| text.into_owned()))
}

/// What a successful response is.
#[derive(Debug)]
pub(in crate::rest) enum Content {
    Page(Page),
    /// An error in spite of its status.
    Code(String),
}

/// A page of a list.
#[derive(Debug)]
pub(in crate::rest) struct Page {
    pub(in crate::rest) rows: Vec<Row>,
    /// The text of the list.
    text: ByteString,
    /// When it was sent, by the server's clock.
    pub(in crate::rest) date: Option<Timestamp>,
    token: Option<Value>,
    /// Whether there are more pages, if the server says so.
    more: Option<bool>,
    /// Whether the place that would lead to the next page does not exist, not even with null.
    lacks_next: bool,
}

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
    /// The hash of the page before.
    previous: Option<[u8; 16]>,
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
        self.lacks_next = (self.pages == 0 || self.lacks_next) && lacks_next && page.more.is_none();
        if self.pages == 0 {
            self.is_full = is_full_page(response.url(), count);
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
        if page.more == Some(false) {
            return Ok(Next::End);
        }
        if let Some(last) = page.rows.iter_mut().rev().find_map(|row| row.last.take()) {
            self.last = Some(last);
        }
        let no_flag_and_empty = page.more.is_none() && count == 0;
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
            Next::End
                if page.more == Some(true) && !matches!(stream.paginate.by, PagingPlan::None | PagingPlan::Link) =>
            {
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
        // An offset stands still at an empty page with a flag; the hash of the page tells whether the server moves on.
        let is_new = self.seen.insert(content_hash(&mark));
        if !is_new && (count > 0 || !is_number) {
            return endless(
                format!("what leads to the next page, {mark}, has led to a page before"),
                format!("correct `paginate`: the server does not move on{}", misplaced(stream, &next)),
            );
        }
        // Whatever else leads to a page is noticed when it repeats.
        let can_be_ignored = is_number || matches!(stream.paginate.by, PagingPlan::Last { .. });
        let hash = can_be_ignored.then(|| content_hash(&page.text));
        let is_repeated = count > 0 && hash.is_some() && self.previous == hash;
        self.repeated_pages = if is_repeated { self.repeated_pages + 1 } else { 0 };
        if self.repeated_pages >= MAX_REPEATED_PAGES {
            return endless(
                format!("{} pages in a row are the same", MAX_REPEATED_PAGES + 1),
                format!(
                    "correct the parameter of `paginate`, which the server seems to ignore; write `paginate = \"none\"` for a list of one \
                     page{}",
                    misplaced(stream, &next)
                ),
            );
        }
        self.previous = hash;
        if self.empty_pages >= MAX_EMPTY_PAGES {
            return endless(
                format!("{MAX_EMPTY_PAGES} pages in a row are empty"),
                "check what the server sends".to_owned(),
            );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_values_that_say_something() {
        for (raw, expected) in [
            ("\"not_in_channel\"", Some("not_in_channel")),
            ("42", Some("42")),
            ("true", Some("true")),
            ("{\"a\":1}", Some("an object")),
            ("false", None),
            ("0", None),
            ("\"\"", None),
            ("[]", None),
        ] {
            assert_eq!(code(raw).as_deref(), expected, "{raw}");
        }
    }
}
