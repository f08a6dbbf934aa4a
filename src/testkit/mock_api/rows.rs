//! The records of a list, and its pages.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::message::{MockRequest, MockResponse};
use super::paging::{Kind, Paging};
use super::path::PathPattern;
use crate::record::content_hash;

/// A list: its declaration, and its records.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) path: PathPattern,
    /// The list whose records these belong to, by its number.
    pub(super) parent: Option<usize>,
    pub(super) key: String,
    pub(super) records_at: Option<String>,
    pub(super) paging: Paging,
    pub(super) since: Option<(String, String)>,
    pub(super) filters: Vec<(String, String)>,
    pub(super) sort_by: Option<String>,
    pub(super) is_descending: bool,
    pub(super) has_etags: bool,
    pub(super) has_lookup: bool,
    /// In the order of the list. Deleted ones stay: a cursor may name them.
    rows: Vec<Row>,
    next_id: u64,
    /// Raised when the cursors given out become invalid.
    cursor_generation: u64,
}

#[derive(Debug)]
struct Row {
    id: u64,
    /// The keys of its ancestors.
    parent: Vec<String>,
    key: String,
    record: Value,
    is_deleted: bool,
}

/// The last record of a page.
struct Cursor {
    row: u64,
    value: Value,
}

/// A part of the list, from a position on.
struct Page<'a> {
    records: Vec<&'a Row>,
    start: usize,
    size: usize,
    total: usize,
    has_more: bool,
}

/// What a request asked for that the list cannot answer.
type BadRequest = String;

impl Rows {
    pub(super) fn new(path: PathPattern, parent: Option<usize>) -> Self {
        Self {
            path,
            parent,
            key: "id".into(),
            records_at: None,
            paging: Paging::single(),
            since: None,
            filters: Vec::new(),
            sort_by: None,
            is_descending: false,
            has_etags: false,
            has_lookup: false,
            rows: Vec::new(),
            next_id: 0,
            cursor_generation: 0,
        }
    }

    /// Inserts a record before the live one at this position, or at the end.
    pub(super) fn insert(&mut self, parent: &[String], position: Option<usize>, record: Value) {
        let key = self.key_of(&record);
        assert!(self.find(parent, &key).is_none(), "{} already has the record {key}", self.path.as_str());
        let at = position.and_then(|position| {
            let mut live = self.rows.iter().enumerate().filter(|(_, row)| row.parent == parent && !row.is_deleted);
            live.nth(position).map(|(at, _)| at)
        });
        let row = Row { id: self.next_id, parent: parent.to_vec(), key, record, is_deleted: false };
        self.next_id += 1;
        self.rows.insert(at.unwrap_or(self.rows.len()), row);
    }

    /// Replaces the fields of a record, and keeps its others.
    pub(super) fn update(&mut self, parent: &[String], key: &str, fields: Value) {
        let Some(at) = self.find(parent, key) else { panic!("{} has no record {key}", self.path.as_str()) };
        let mut record = self.rows[at].record.clone();
        match (&mut record, fields) {
            (Value::Object(record), Value::Object(fields)) => record.extend(fields),
            (_, fields) => panic!("the fields of a record are an object, not {fields}"),
        }
        let same = self.key_of(&record);
        assert_eq!(same, key, "the key of a record never changes");
        self.rows[at].record = record;
    }

    pub(super) fn delete(&mut self, parent: &[String], key: &str) -> Option<Value> {
        let at = self.find(parent, key)?;
        self.rows[at].is_deleted = true;
        Some(self.rows[at].record.clone())
    }

    pub(super) fn get(&self, parent: &[String], key: &str) -> Option<&Value> {
        Some(&self.rows[self.find(parent, key)?].record)
    }

    /// The live records, in the order of insertion.
    pub(super) fn records(&self, parent: &[String]) -> impl Iterator<Item = &Value> {
        self.rows.iter().filter(move |row| row.parent == parent && !row.is_deleted).map(|row| &row.record)
    }

    pub(super) fn expire_cursors(&mut self) {
        self.cursor_generation += 1;
    }

    fn find(&self, parent: &[String], key: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.parent == parent && row.key == key && !row.is_deleted)
    }

    fn key_of(&self, record: &Value) -> String {
        match field(record, &self.key) {
            Some(Value::String(key)) => key.clone(),
            Some(Value::Number(key)) => key.to_string(),
            _ => panic!("a record of {} needs a text or a number in {}: {record}", self.path.as_str(), self.key),
        }
    }

    /// Answers a request for a page.
    pub(super) fn page(&self, parent: &[String], request: &MockRequest, base: &str) -> MockResponse {
        let response = self.slice(parent, request).and_then(|page| self.render(&page, request, base));
        response.unwrap_or_else(|message| MockResponse::error(400, message))
    }

    /// Answers a request for one record.
    pub(super) fn lookup(&self, parent: &[String], key: &str, request: &MockRequest) -> MockResponse {
        match self.get(parent, key) {
            Some(record) => self.tagged(MockResponse::json(record), request),
            None => MockResponse::error(404, format!("{} has no record {key}", self.path.as_str())),
        }
    }

    fn slice(&self, parent: &[String], request: &MockRequest) -> Result<Page<'_>, BadRequest> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.parent == parent).collect();
        if self.sort_by.is_some() {
            rows.sort_by(|one, other| self.order((&self.sort_value(one), one.id), (&self.sort_value(other), other.id)));
        }
        let size = match self.paging.size_parameter.as_deref().and_then(|name| number(request, name).transpose()) {
            _ if self.paging.kind == Kind::Single => usize::MAX,
            Some(size) => size?.clamp(1, self.paging.size),
            None => self.paging.size,
        };
        let mut from = 0;
        if let Kind::Cursor { parameter, .. } | Kind::NextUrl { parameter, .. } = &self.paging.kind
            && let Some(cursor) = request.query(parameter).filter(|cursor| !cursor.is_empty())
        {
            from = self.position(&rows, &self.parse_cursor(cursor)?);
        }
        let mut live = Vec::with_capacity(rows.len());
        let mut before = 0;
        for (position, row) in rows.into_iter().enumerate() {
            if !row.is_deleted && self.is_wanted(&row.record, request)? {
                before += usize::from(position < from);
                live.push(row);
            }
        }
        let start = match &self.paging.kind {
            Kind::Single => 0,
            Kind::PageNumber { parameter } | Kind::Links { parameter } => match number(request, parameter)? {
                Some(0) => return Err(format!("the parameter {parameter} counts from 1")),
                page => page.unwrap_or(1).saturating_sub(1).saturating_mul(size),
            },
            Kind::Offset { parameter } => number(request, parameter)?.unwrap_or(0),
            Kind::Cursor { .. } | Kind::NextUrl { .. } => before,
        };
        let total = live.len();
        let end = start.saturating_add(size);
        let records = live.into_iter().skip(start).take(size).collect();
        Ok(Page { records, start, size, total, has_more: end < total })
    }

    /// Whether the filters of a request leave this record in the list.
    fn is_wanted(&self, record: &Value, request: &MockRequest) -> Result<bool, BadRequest> {
        for (parameter, name) in &self.filters {
            let Some(wanted) = request.query(parameter) else { continue };
            let is_equal = match field(record, name) {
                Some(Value::String(text)) => text == wanted,
                value => value.is_some_and(|value| format!("{value}") == wanted),
            };
            if !is_equal {
                return Ok(false);
            }
        }
        let Some((parameter, name)) = &self.since else { return Ok(true) };
        let Some(since) = request.query(parameter).filter(|since| !since.is_empty()) else { return Ok(true) };
        let Some(value) = field(record, name).filter(|value| !value.is_null()) else { return Ok(false) };
        let since = if value.is_number() {
            serde_json::from_str(since).ok().filter(Value::is_number)
        } else {
            Some(since.into())
        };
        let since = since.ok_or_else(|| format!("the parameter {parameter} must be a number"))?;
        Ok(compare(value, &since).is_ge())
    }

    fn render(&self, page: &Page<'_>, request: &MockRequest, base: &str) -> Result<MockResponse, BadRequest> {
        let records: Vec<Value> = page.records.iter().map(|row| row.record.clone()).collect();
        let default = if self.paging.needs_object() { "/data" } else { "" };
        let mut body = Value::Null;
        place(&mut body, self.records_at.as_deref().unwrap_or(default), records.into())?;
        let cursor = page.records.last().filter(|_| page.has_more).map(|row| self.cursor(row));
        let mut links = None;
        match &self.paging.kind {
            Kind::Single | Kind::PageNumber { .. } | Kind::Offset { .. } => {}
            Kind::Links { parameter } => {
                let number = page.start / page.size + 1;
                let last = page.total.div_ceil(page.size).max(1);
                let relations = [
                    ("next", page.has_more.then_some(number + 1)),
                    ("prev", (number > 1).then(|| number - 1)),
                    ("first", (number > 1).then_some(1)),
                    ("last", page.has_more.then_some(last)),
                ];
                let link = |(relation, number): (&str, Option<usize>)| {
                    let target = request.target_with(&[(parameter, number?.to_string())]);
                    Some(format!("<{base}{target}>; rel=\"{relation}\""))
                };
                links = Some(relations.into_iter().filter_map(link).collect::<Vec<_>>().join(", "));
            }
            Kind::Cursor { pointer, .. } => place(&mut body, pointer, json!(cursor))?,
            Kind::NextUrl { parameter, pointer } => {
                let url = cursor.map(|cursor| format!("{base}{}", request.target_with(&[(parameter, cursor)])));
                place(&mut body, pointer, json!(url))?;
            }
        }
        if let Some(pointer) = &self.paging.more {
            place(&mut body, pointer, page.has_more.into())?;
        }
        if let Some(pointer) = &self.paging.total {
            place(&mut body, pointer, page.total.into())?;
        }
        let mut response = MockResponse::json(&body);
        if let Some(links) = links.filter(|links| !links.is_empty()) {
            response = response.with_header("Link", &links);
        }
        Ok(self.tagged(response, request))
    }

    /// Adds the entity tag, or answers that the client has this response already.
    fn tagged(&self, response: MockResponse, request: &MockRequest) -> MockResponse {
        if !self.has_etags {
            return response;
        }
        let text = format!("{}\n{}", response.header("link").unwrap_or_default(), response.body());
        let tag = format!("\"{:032x}\"", u128::from_be_bytes(content_hash(&text)));
        let known = request.header("if-none-match").unwrap_or_default();
        let is_known =
            known.split(',').any(|known| [tag.as_str(), "*"].contains(&known.trim().trim_start_matches("W/")));
        let response = if is_known { MockResponse::new(304) } else { response };
        response.with_header("ETag", &tag)
    }

    fn sort_value(&self, row: &Row) -> Value {
        self.sort_by.as_deref().and_then(|name| field(&row.record, name)).cloned().unwrap_or_default()
    }

    fn order(&self, one: (&Value, u64), other: (&Value, u64)) -> Ordering {
        let order = compare(one.0, other.0).then(one.1.cmp(&other.1));
        if self.is_descending { order.reverse() } else { order }
    }

    fn cursor(&self, row: &Row) -> String {
        URL_SAFE_NO_PAD.encode(json!([self.cursor_generation, row.id, self.sort_value(row)]).to_string())
    }

    fn parse_cursor(&self, text: &str) -> Result<Cursor, BadRequest> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| "the cursor is invalid")?;
        let (generation, row, value): (u64, u64, Value) =
            serde_json::from_slice(&json).map_err(|_| "the cursor is invalid")?;
        if generation != self.cursor_generation {
            return Err("the cursor has expired".into());
        }
        Ok(Cursor { row, value })
    }

    /// The position after the record that a cursor names, in the order of the list.
    fn position(&self, rows: &[&Row], cursor: &Cursor) -> usize {
        if self.sort_by.is_none() {
            return rows.iter().position(|row| row.id == cursor.row).map_or(0, |at| at + 1);
        }
        rows.partition_point(|row| self.order((&self.sort_value(row), row.id), (&cursor.value, cursor.row)).is_le())
    }
}

/// A field of a record: by its name, or by a JSON pointer.
fn field<'a>(record: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { record.pointer(name) } else { record.get(name) }
}

/// A parameter that is a number.
fn number(request: &MockRequest, name: &str) -> Result<Option<usize>, BadRequest> {
    let number = request.query(name).map(str::parse).transpose();
    number.map_err(|_| format!("the parameter {name} must be a number"))
}

/// Compares two values of a field: numbers and points in time by value, everything else as text.
fn compare(one: &Value, other: &Value) -> Ordering {
    if let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) {
        return one.cmp(&other);
    }
    if let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) {
        return one.total_cmp(&other);
    }
    match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => match (one.parse::<Timestamp>(), other.parse::<Timestamp>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(other),
        },
        _ => one.to_string().cmp(&other.to_string()),
    }
}

/// Puts a value at a JSON pointer, and creates the objects that lead there.
fn place(body: &mut Value, pointer: &str, value: Value) -> Result<(), BadRequest> {
    let mut target = body;
    for name in pointer.split('/').skip(1) {
        if target.is_null() {
            *target = Value::Object(Map::new());
        }
        let Value::Object(fields) = target else {
            return Err(format!("the test declares {pointer} in a body that is no object there: see records_at"));
        };
        target = fields.entry(name.replace("~1", "/").replace("~0", "~")).or_insert(Value::Null);
    }
    *target = value;
    Ok(())
}
