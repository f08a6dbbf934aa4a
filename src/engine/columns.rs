//! Detects columns that are null in every row: their path is mistyped, or their type never fits.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::stream::{Column, Step};
use crate::{ColumnType, Record, StreamSpec};

/// The number of records to read before a column is reported.
pub(super) const MIN_RECORDS: u64 = 20;

/// The number of records of a table that are parsed unconditionally. After that, only documents that may contain a missing member are parsed.
const MAX_PARSED: u64 = 200;

/// The best match of a column's path in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ColumnState {
    /// A member of the path is missing.
    Absent,
    /// A value of another type.
    WrongType,
    /// Null, or an empty array: the path may be right.
    Null,
    /// A value of its type.
    Fits,
}

/// Tracks which columns of a stream have had a value. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct ColumnCheck(Arc<Mutex<Columns>>);

#[derive(Debug)]
struct Columns {
    stream: String,
    records: u64,
    unmatched: Vec<UnmatchedColumn>,
}

/// A column that has had no value yet.
#[derive(Debug)]
struct UnmatchedColumn {
    column: Column,
    best: ColumnState,
    /// The last member of its path, as a JSON string.
    member: String,
}

impl ColumnCheck {
    pub(crate) fn new(stream: &StreamSpec) -> Self {
        let open = |column: &Column| {
            let last = column.path.steps().iter().rev().find_map(|step| match step {
                Step::Member(member) => Some(Value::from(member.as_str()).to_string()),
                Step::Each => None,
            });
            UnmatchedColumn { column: column.clone(), best: ColumnState::Absent, member: last.unwrap_or_default() }
        };
        // A column of the type `Present` may always be false.
        let sought = |column: &&Column| column.kind != ColumnType::Present;
        Self(Arc::new(Mutex::new(Columns {
            stream: stream.name.clone(),
            records: 0,
            unmatched: stream.columns.iter().filter(sought).map(open).collect(),
        })))
    }

    /// Checks records for values of the columns that have had none yet.
    pub(crate) fn observe(&self, records: &[Record]) {
        let mut columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().for_each(|record| columns.observe(record));
    }

    /// The columns without a value, as `stream.column`, if at least `records` documents were read.
    pub(crate) fn missing(&self, records: u64) -> Vec<String> {
        let columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if columns.records < records.max(1) {
            return Vec::new();
        }
        let never_matched = columns.unmatched.iter().filter(|open| open.best < ColumnState::Null);
        never_matched.map(|open| format!("{}.{}", columns.stream, open.column.name)).collect()
    }
}

/// The warning about columns without a value.
pub(super) fn warning(missing: &[String]) -> String {
    let (noun, whose) =
        if missing.len() == 1 { ("column", "its path and type") } else { ("columns", "their paths and types") };
    format!(
        "no record of this run has a value for the {noun} {}, so that every row reads null: in the source, check {whose}",
        missing.join(", ")
    )
}

impl Columns {
    fn observe(&mut self, record: &Record) {
        let Some(json) = record.json() else { return };
        self.records += 1;
        if self.unmatched.is_empty() {
            return;
        }
        let is_late = self.records > MAX_PARSED;
        if is_late {
            // The states of the other columns are known by now.
            self.unmatched.retain(|open| open.best == ColumnState::Absent || open.best == ColumnState::WrongType);
            if !self.unmatched.iter().any(|open| open.best == ColumnState::Absent && json.contains(&open.member)) {
                return;
            }
        }
        let Ok(document) = serde_json::from_str::<Value>(json) else { return };
        for open in &mut self.unmatched {
            open.best = open.best.max(find(&document, open.column.path.steps(), Some(open.column.kind)));
        }
        self.unmatched.retain(|open| open.best != ColumnState::Fits);
    }
}

/// Matches a path. Without a type, any value but null fits.
fn find(value: &Value, path: &[Step], kind: Option<ColumnType>) -> ColumnState {
    match (path.split_first(), value) {
        (_, Value::Null) => ColumnState::Null,
        (None, value) => match kind {
            Some(kind) if !fits(value, kind) => ColumnState::WrongType,
            _ => ColumnState::Fits,
        },
        (Some((Step::Member(member), rest)), Value::Object(members)) => {
            members.get(member).map_or(ColumnState::Absent, |value| find(value, rest, kind))
        }
        (Some((Step::Member(_), _)), _) => ColumnState::Absent,
        (Some((Step::Each, rest)), Value::Array(elements)) => {
            let best = elements.iter().map(|element| find(element, rest, None)).max().unwrap_or(ColumnState::Null);
            // Collected values form an array.
            if best == ColumnState::Fits && kind != Some(ColumnType::Json) { ColumnState::WrongType } else { best }
        }
        (Some((Step::Each, _)), _) => ColumnState::WrongType,
    }
}

pub(super) fn fits(value: &Value, kind: ColumnType) -> bool {
    match kind {
        ColumnType::Text => value.is_string(),
        ColumnType::Integer => value.is_i64(),
        ColumnType::Decimal | ColumnType::Float => value.is_number(),
        ColumnType::Boolean => value.is_boolean(),
        ColumnType::Timestamp => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        ColumnType::Date => value.as_str().is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok()),
        ColumnType::Json => value.is_object() || value.is_array(),
        ColumnType::Any | ColumnType::Present => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StreamSpec, Version};

    fn missing(kind: ColumnType, path: &str, documents: &[&str]) -> bool {
        let check = ColumnCheck::new(&StreamSpec::new("t").column("c", path, kind));
        let record = |text: &&str| Record::upsert("k", Version::NONE, (*text).to_owned());
        check.observe(&documents.iter().map(record).collect::<Vec<_>>());
        !check.missing(1).is_empty()
    }

    #[test]
    fn a_column_is_unmatched_when_no_document_has_a_fitting_value() {
        use ColumnType::{Integer, Json, Present, Text, Timestamp};
        for (kind, path, documents, expected) in [
            (Text, "a", &[r#"{"a":"x"}"#][..], false),
            (Text, "b", &[r#"{"a":"x"}"#], true),
            (Text, "b", &[r#"{"a":"x"}"#, r#"{"b":null}"#], false),
            (Text, "b", &[r#"{"a":"x"}"#, r#"{"b":"y"}"#], false),
            (Text, "a.b", &[r#"{"a":null}"#], false),
            (Text, "a.b", &[r#"{"a":{"c":1}}"#], true),
            (Text, "a.b", &[r#"{"a":"x"}"#], true),
            (Integer, "a", &[r#"{"a":"1"}"#], true),
            (Integer, "a", &[r#"{"a":"1"}"#, r#"{"a":1}"#], false),
            (Timestamp, "a", &[r#"{"a":"yesterday"}"#], true),
            (Timestamp, "a", &[r#"{"a":"2024-01-02T03:04:05Z"}"#], false),
            (Json, "a[*].b", &[r#"{"a":[{"b":1}]}"#], false),
            (Json, "a[*].b", &[r#"{"a":[]}"#], false),
            (Json, "a[*].b", &[r#"{"a":[{"c":1}]}"#], true),
            (Json, "a[*]", &[r#"{"a":{"b":1}}"#], true),
            (Text, "a[*].b", &[r#"{"a":[{"b":"x"}]}"#], true),
            (Present, "b", &[r#"{"a":1}"#], false),
            (Text, "b", &[], false),
        ] {
            assert_eq!(missing(kind, path, documents), expected, "{kind:?} {path} {documents:?}");
        }
    }

    #[test]
    fn a_member_that_first_appears_late_is_found() {
        let early = vec![r#"{"a":1}"#; 5_000];
        assert!(missing(ColumnType::Text, "b", &early));
        assert!(!missing(ColumnType::Text, "b", &[early.as_slice(), &[r#"{"b":"x"}"#]].concat()));
    }
}
