//! A page of a list: its records, and what leads to the next one.

use jiff::Timestamp;
use serde_json::Value;

use super::super::fields::{ElementPlan, Pointer, Row, Wanted, escaped, is_truthy, scalar};
use super::ending::{Ending, EndingPlan};
use super::plan::{ErrorPlan, GetPlan, PaginatePlan, PagingPlan};
use crate::http::Response;
use crate::{Error, Result, Retry};

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
    ending: EndingPlan,
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
        let ending = paginate.map(|paginate| EndingPlan::new(paginate, &mut wanted)).unwrap_or_default();
        let codes = errors.code.iter().map(|pointer| wanted.add(pointer)).collect();
        let (or_like_list, single) = (None, None);
        Self { wanted, records, or_like_list, single, token, ending, codes, errors: errors.clone() }
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
            let lacks_next = self.token.is_some() || self.ending.has_pages();
            return Ok(Content::Page(Page { rows, date, lacks_next, ..Page::default() }));
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
        let ending = self.ending.read(&found).map_err(|error| error.with_context("url", response.url()))?;
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
        let rows = rows.map_err(|what| self.no_list(&what, elements, response))?;
        let lacks_next = self.token.is_some_and(|slot| found.get(slot).is_none()) || ending.lacks_pages;
        Ok(Content::Page(Page { rows, date, token: token.transpose()?, ending, lacks_next }))
    }

    /// The records at a place of the answer; or what is there in place of records.
    fn rows(
        &self,
        elements: &ElementPlan,
        list: Option<&str>,
        response: &Response,
    ) -> Result<std::result::Result<Vec<Row>, String>> {
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
        Ok(Ok(rows))
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
#[derive(Debug, Default)]
pub(in crate::rest) struct Page {
    pub(in crate::rest) rows: Vec<Row>,
    /// When it was sent, by the server's clock.
    pub(in crate::rest) date: Option<Timestamp>,
    pub(super) token: Option<Value>,
    /// What it tells about the end of the list.
    pub(super) ending: Ending,
    /// Whether the place that would lead to the next page does not exist, not even with null.
    pub(super) lacks_next: bool,
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
