//! The elements of a list, as records.

use bytestring::ByteString;
use serde_json::Value;

use super::super::time::TimeFormat;
use super::scan::{Found, is_truthy, scalar};
use super::{Pointer, Wanted, escaped};
use crate::http::json;
use crate::{Error, Record, Reject, Result, Version};

/// The beginning of the reason for rejecting an element without a key.
const NO_KEY: &str = "there is no key at";

/// The number of members to name as possible keys.
const MAX_NAMES: usize = 8;

/// What to find in each element of a list.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct ElementPlan {
    wanted: Wanted,
    key: Vec<(usize, Pointer)>,
    version: Vec<(usize, Pointer)>,
    version_format: TimeFormat,
    since: Vec<(usize, Pointer)>,
    since_format: TimeFormat,
    deleted: Option<(usize, Option<Value>)>,
    last: Option<usize>,
    stub: Option<usize>,
    /// Each element is gone from another list; the version where it has none of its own.
    deletes: bool,
}

/// An element of a list.
#[derive(Debug)]
pub(in crate::rest) struct Row {
    pub(in crate::rest) content: Result<Record, Reject>,
    /// The value of what the API filters by.
    pub(in crate::rest) since: Option<i64>,
    /// What the next page needs of the last record.
    pub(in crate::rest) last: Option<Value>,
    /// The key of the record that this is a stub of.
    pub(in crate::rest) stub: Option<Value>,
}

impl ElementPlan {
    pub(in crate::rest) fn new(key: &[Pointer]) -> Self {
        let mut plan = Self::default();
        plan.key = plan.add(key);
        plan
    }

    fn add(&mut self, pointers: &[Pointer]) -> Vec<(usize, Pointer)> {
        pointers.iter().map(|pointer| (self.wanted.add(pointer), pointer.clone())).collect()
    }

    pub(in crate::rest) fn version(mut self, version: Option<&(Vec<Pointer>, TimeFormat)>) -> Self {
        if let Some((pointers, format)) = version {
            (self.version, self.version_format) = (self.add(pointers), *format);
        }
        self
    }

    pub(in crate::rest) fn since(mut self, since: Option<&(Vec<Pointer>, TimeFormat)>) -> Self {
        if let Some((pointers, format)) = since {
            (self.since, self.since_format) = (self.add(pointers), *format);
        }
        self
    }

    pub(in crate::rest) fn deleted(mut self, deleted: Option<&(Pointer, Option<Value>)>) -> Self {
        self.deleted = deleted.map(|(pointer, is)| (self.wanted.add(pointer), is.clone()));
        self
    }

    pub(in crate::rest) fn last(mut self, last: Option<&Pointer>) -> Self {
        self.last = last.map(|pointer| self.wanted.add(pointer));
        self
    }

    pub(in crate::rest) fn stub(mut self, stub: Option<&Pointer>) -> Self {
        self.stub = stub.map(|pointer| self.wanted.add(pointer));
        self
    }

    pub(in crate::rest) fn deletes(mut self, deletes: bool) -> Self {
        self.deletes = deletes;
        self
    }

    /// Reads a list. An element that is not a record is rejected, and the others are read.
    ///
    /// # Errors
    /// `InvalidData` for a text that is not a JSON array, and for several elements of which none has a key: the description is wrong then.
    pub(in crate::rest) fn list(&self, list: &ByteString) -> Result<Vec<Row>> {
        let rows: Vec<Row> = json::each_with(list, &self.wanted)
            .map(|element| element.map(|(found, raw)| self.row(found, raw)))
            .collect::<Result<_>>()?;
        let keyless = |row: &Row| match &row.content {
            Err(reject) if row.stub.is_none() && reject.reason.starts_with(NO_KEY) => Some(reject.raw.clone()),
            _ => None,
        };
        match rows.first().and_then(keyless) {
            Some(first) if rows.len() > 1 && rows.iter().all(|row| keyless(row).is_some()) => Err(self.no_key(&first)),
            _ => Ok(rows),
        }
    }

    fn no_key(&self, first: &str) -> Error {
        let pointers: Vec<String> = self.key.iter().map(|(_, pointer)| shown(pointer)).collect();
        let help = match serde_json::from_str::<Value>(first) {
            Ok(Value::Object(members)) => {
                let plain = members.iter().filter(|(_, value)| value.is_string() || value.is_number());
                let names = plain.map(|(name, _)| format!("\"/{}\"", escaped(name)));
                let names: Vec<String> = names.take(MAX_NAMES).collect();
                format!("let `key` point at what identifies a record; the first element has {}", names.join(", "))
            }
            _ => "write `key = \"\"` if the elements themselves are the keys, or let `records` point at a list of objects"
                .to_owned(),
        };
        Error::invalid_data(format!("no element of the list has a key at {}", pointers.join(" and "))).with_help(help)
    }

    /// Reads one record.
    ///
    /// # Errors
    /// `InvalidData` for a text that is not JSON.
    pub(in crate::rest) fn single(&self, raw: ByteString) -> Result<Row> {
        let text = raw.clone();
        let found = self
            .wanted
            .scan(&text)
            .map_err(|error| Error::invalid_data("the record is not the JSON that was expected").with_source(error));
        Ok(self.row(Ok(found?), raw))
    }

    fn row(&self, found: Result<Found<'_>>, raw: ByteString) -> Row {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let content = Err(Reject::new(error.to_string(), raw));
                return Row { content, since: None, last: None, stub: None };
            }
        };
        let value = |slot: usize| found.value(slot).and_then(|raw| serde_json::from_str(raw).ok());
        let since = greatest(&self.since, self.since_format, &found).unwrap_or_default();
        let (last, stub) = (self.last.and_then(value), self.stub.and_then(value));
        let content = match self.record(&found, &raw) {
            Ok(record) => Ok(record),
            Err(reason) => Err(Reject::new(reason, raw)),
        };
        Row { content, since, last, stub }
    }

    fn record(&self, found: &Found<'_>, raw: &ByteString) -> Result<Record, String> {
        let key = self.key(found)?;
        let version = greatest(&self.version, self.version_format, found)?.map_or(Version::NONE, Version);
        let is_deleted = self.deletes
            || self.deleted.as_ref().is_some_and(|(slot, is)| match (is, found.get(*slot)) {
                (None, value) => value.is_some_and(is_truthy),
                (Some(is), Some(value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *is),
                (Some(is), None) => is.is_null(),
            });
        if is_deleted {
            return Ok(Record::delete(key, version));
        }
        Ok(Record::upsert(key, version, raw.clone()).parsed())
    }

    /// The key: the value, or the values, escaped as in a pointer and joined by `/`, so that no two lists of values have the same key.
    fn key(&self, found: &Found<'_>) -> Result<String, String> {
        let part = |(slot, pointer): &(usize, Pointer)| {
            let raw = found.value(*slot).ok_or_else(|| format!("{NO_KEY} {}", shown(pointer)))?;
            let text =
                scalar(raw).ok_or_else(|| format!("the key at {} is neither text nor number", shown(pointer)))?;
            if text.is_empty() { Err(format!("the key at {} is empty", shown(pointer))) } else { Ok(text) }
        };
        if let [only] = self.key.as_slice() {
            return part(only).map(|text| text.into_owned());
        }
        let parts = self.key.iter().map(|one| Ok(escaped(&part(one)?)));
        parts.collect::<Result<Vec<String>, String>>().map(|parts| parts.join("/"))
    }
}

/// A pointer, as messages name it.
fn shown(pointer: &Pointer) -> String {
    if pointer.steps().is_empty() { "the root of the record".to_owned() } else { pointer.to_string() }
}

/// The greatest of several values; `None` if there is none.
fn greatest(slots: &[(usize, Pointer)], format: TimeFormat, found: &Found<'_>) -> Result<Option<i64>, String> {
    let mut greatest = None;
    for (slot, pointer) in slots {
        let Some(raw) = found.value(*slot) else { continue };
        let text = scalar(raw).filter(|text| !text.is_empty());
        let Some(text) = text else {
            if raw == "\"\"" || raw == "false" {
                continue;
            }
            return Err(format!("the value at {pointer} is not {format}"));
        };
        let value = format.parse(&text).ok_or_else(|| {
            let begin: String = text.chars().take(40).collect();
            format!("the value {begin:?} at {pointer} is not {format}")
        })?;
        greatest = greatest.max(Some(value));
    }
    Ok(greatest)
}
