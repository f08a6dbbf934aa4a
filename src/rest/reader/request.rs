//! Fills the templates of a request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::super::template::{JsonTemplate, Part, Placeholder, Template};
use super::plan::{Place, RequestPlan};
use crate::http::{Client, Request};
use crate::{Error, Result};

/// The unreserved characters of RFC 3986 stay as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The values of placeholders.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct Values {
    /// The settings that are not secret, as texts.
    pub(in crate::rest) settings: Arc<BTreeMap<String, String>>,
    pub(in crate::rest) resource: Option<String>,
    /// The fields of the parent, by path.
    pub(in crate::rest) parent: BTreeMap<String, Value>,
    /// From where on to ask; `None` on a first read.
    pub(in crate::rest) since: Option<Value>,
    /// What `{since}` inside a longer text, or inside an expression in a body, is on a first read.
    pub(in crate::rest) start: Value,
    pub(in crate::rest) until: Option<Value>,
    pub(in crate::rest) key: Option<String>,
    pub(in crate::rest) keys: Vec<Value>,
}

impl Values {
    /// The value of a placeholder; `None` if it has none yet.
    ///
    /// # Errors
    /// `InvalidData` for a parent without the field, `Configuration` for a placeholder that nothing fills here.
    fn get(&self, placeholder: &Placeholder) -> Result<Option<Cow<'_, Value>>> {
        let unfilled = || {
            Error::configuration(format!("nothing fills {placeholder} here"))
                .with_help("remove it from the description, or write `{ word }`, with blanks, for braces that are text")
        };
        let text = |text: &String| Some(Cow::Owned(Value::String(text.clone())));
        Ok(match placeholder {
            Placeholder::Setting(name) => text(self.settings.get(name).ok_or_else(unfilled)?),
            Placeholder::Resource => text(self.resource.as_ref().ok_or_else(unfilled)?),
            Placeholder::Parent(field) => match self.parent.get(field) {
                Some(Value::Null) => {
                    return Err(Error::invalid_data(format!("the parent has no value at {field:?}")).with_help(format!(
                        "correct {placeholder} in the description, or read only parents that have it: `parent = {{ stream, when }}`"
                    )));
                }
                Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Some(Cow::Borrowed(value)),
                Some(_) => {
                    return Err(Error::invalid_data(format!(
                        "the parent's value at {field:?} is neither text nor number"
                    ))
                    .with_help(format!("name a field inside it in place of {placeholder}")));
                }
                None => return Err(unfilled()),
            },
            Placeholder::Since => self.since.as_ref().map(Cow::Borrowed),
            Placeholder::Until => self.until.as_ref().map(Cow::Borrowed),
            Placeholder::Key => text(self.key.as_ref().ok_or_else(unfilled)?),
            Placeholder::Keys => Some(Cow::Owned(Value::Array(self.keys.clone()))),
        })
    }

    /// Fills a template; `None` if it is one placeholder without a value.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and `Configuration` for a value that must not stand inside a longer text.
    pub(in crate::rest) fn fill(&self, template: &Template) -> Result<Option<String>> {
        match template.sole() {
            Some(placeholder) => Ok(self.get(placeholder)?.map(|value| text_of(&value))),
            None => self.fill_checked(template).map(Some),
        }
    }

    /// Fills a longer text. Query languages have no escape in common, so that a value which could need one is refused.
    fn fill_checked(&self, template: &Template) -> Result<String> {
        self.fill_parts(template, |filled, placeholder, value| {
            let is_plain = |c: char| c.is_alphanumeric() || "_-.:/+@".contains(c);
            if !value.chars().all(is_plain) {
                return Err(Error::configuration(format!(
                    "{value:?} must not stand for {placeholder} inside the text {:?}",
                    template.to_string()
                ))
                .with_help(
                    "inside a longer text, a value has only letters, digits and `_ - . : / + @`: give it a parameter or a \
                     member of its own",
                ));
            }
            filled.push_str(value);
            Ok(())
        })
    }

    /// Fills a path: the values are percent-encoded.
    fn fill_path(&self, template: &Template) -> Result<String> {
        self.fill_parts(template, |filled, placeholder, value| {
            // URLs take these for steps.
            if matches!(value, "" | "." | "..") {
                return Err(Error::configuration(format!(
                    "{value:?} must not stand for {placeholder} in the path {:?}",
                    template.to_string()
                ))
                .with_help("leave this record or resource out"));
            }
            filled.extend(utf8_percent_encode(value, SEGMENT));
            Ok(())
        })
    }

    /// Fills a text: `add` checks each value and appends it.
    fn fill_parts(
        &self,
        template: &Template,
        add: impl Fn(&mut String, &Placeholder, &str) -> Result<()>,
    ) -> Result<String> {
        let mut filled = String::new();
        for part in template.parts() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(placeholder) => {
                    let value = self.get(placeholder)?.unwrap_or(Cow::Borrowed(&self.start));
                    add(&mut filled, placeholder, &text_of(&value))?;
                }
            }
        }
        Ok(filled)
    }

    /// Fills the part of a body that is `depth` steps below its root. `None` for a text that is one placeholder without a value: a member
    /// of the body itself is a parameter, which can be absent. Further down, where an expression needs it, `{since}` is the first value of
    /// all.
    fn fill_json(&self, template: &JsonTemplate, depth: usize) -> Result<Option<Value>> {
        Ok(match template {
            JsonTemplate::Text(template) => match template.sole() {
                Some(placeholder) => {
                    let first = || (depth > 1 && *placeholder == Placeholder::Since).then(|| self.start.clone());
                    self.get(placeholder)?.map(Cow::into_owned).or_else(first)
                }
                None => Some(Value::String(self.fill_checked(template)?)),
            },
            JsonTemplate::List(entries) => {
                let filled = entries.iter().filter_map(|entry| self.fill_json(entry, depth + 1).transpose());
                Some(Value::Array(filled.collect::<Result<_>>()?))
            }
            JsonTemplate::Object(fields) => {
                let filled = fields.iter().filter_map(|(name, field)| {
                    Some(self.fill_json(field, depth + 1).transpose()?.map(|value| (name.clone(), value)))
                });
                Some(Value::Object(filled.collect::<Result<_>>()?))
            }
            JsonTemplate::Other(value) => Some(value.clone()),
        })
    }

    /// Fills a request.
    ///
    /// # Errors
    /// As for [`fill`](Self::fill).
    pub(in crate::rest) fn request(&self, plan: &RequestPlan) -> Result<Prepared> {
        let pairs = |pairs: &[(String, Template)]| {
            let filled = pairs
                .iter()
                .filter_map(|(name, value)| Some(self.fill(value).transpose()?.map(|value| (name.clone(), value))));
            filled.collect::<Result<Vec<_>>>()
        };
        Ok(Prepared {
            path: self.fill_path(&plan.path)?,
            template: plan.path.to_string(),
            query: pairs(&plan.query)?,
            headers: pairs(&plan.headers)?,
            body: plan.body.as_ref().map(|body| self.fill_json(body, 0)).transpose()?.flatten(),
            since: plan.has(&Placeholder::Since).then(|| text_of(self.since.as_ref().unwrap_or(&self.start))),
        })
    }
}

/// A value as a text: a list is separated by commas.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A request whose placeholders are filled.
#[derive(Debug, Clone)]
pub(in crate::rest) struct Prepared {
    path: String,
    /// The path before it was filled.
    template: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    /// How `{since}` is written, if the template has it.
    since: Option<String>,
}

impl Prepared {
    /// Sets a parameter, or a place in the body, whose objects are made as needed.
    ///
    /// # Errors
    /// `Configuration` if the place is inside a text or a number, or beyond the end of a list.
    pub(in crate::rest) fn set(&mut self, place: &Place, value: &Value) -> Result<()> {
        let pointer = match place {
            Place::Parameter(name) => {
                self.query.retain(|(other, _)| other != name);
                self.query.push((name.clone(), text_of(value)));
                return Ok(());
            }
            Place::Body(pointer) => pointer,
        };
        let mut within = self.body.get_or_insert_with(|| Value::Object(Map::new()));
        for step in pointer.steps() {
            let inner = match within {
                Value::Object(fields) => Some(fields.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()))),
                Value::Array(entries) => step.parse::<usize>().ok().and_then(|index| entries.get_mut(index)),
                _ => None,
            };
            within = inner.ok_or_else(|| {
                Error::configuration(format!("the body has no place {pointer} for the next page"))
                    .with_help("let `to` name a place in the body of the description")
            })?;
        }
        *within = value.clone();
        Ok(())
    }

    /// Whether a parameter, a header or the body has a text.
    fn has(&self, text: &str) -> bool {
        let mut pairs = self.query.iter().chain(&self.headers);
        pairs.any(|(_, value)| value.contains(text))
            || self.body.as_ref().is_some_and(|body| body.to_string().contains(text))
    }

    /// How `{since}` is written in the request; `None` if it is not there: a parameter that is `{since}` alone is left out of a first read.
    pub(super) fn since(&self) -> Option<&str> {
        self.since.as_deref().filter(|since| self.has(since))
    }

    /// The names of the parameters in the query.
    pub(super) fn parameters(&self) -> Vec<&str> {
        self.query.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The names of the members of the body.
    pub(super) fn members(&self) -> Vec<&str> {
        self.body.iter().filter_map(Value::as_object).flat_map(Map::keys).map(String::as_str).collect()
    }

    /// The names of the headers.
    pub(super) fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The request, to be sent. A POST only asks, so that it may be repeated.
    pub(in crate::rest) fn request(&self, client: &Client) -> Request {
        let path = self.path.trim_start_matches('/');
        let query: Vec<(&str, &str)> = self.query.iter().map(|(name, value)| (&**name, &**value)).collect();
        let request = match &self.body {
            Some(body) => client.post(path).json(body).idempotent(),
            None => client.get(path),
        };
        self.with_headers(request.query(&query))
    }

    /// A request for another page, at the URL that the server has sent.
    pub(in crate::rest) fn follow(&self, client: &Client, url: &str) -> Request {
        let request = match &self.body {
            Some(body) => client.post(url).json(body).idempotent(),
            None => client.get(url),
        };
        self.with_headers(request)
    }

    fn with_headers(&self, request: Request) -> Request {
        let request = request.template(self.template.trim_start_matches('/'));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}
