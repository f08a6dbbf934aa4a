//! The pieces of SQL that are made from names, texts and paths. Everything else is bound.

use jiff::Timestamp;

use super::readable;
use crate::ColumnType;
use crate::backends::concatenation::concatenation;
use crate::stream::{Column, JsonPath, Step};

/// An identifier, whatever characters it has.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a constant expression. SQL text cannot hold a NUL, so that is put in by its number.
pub(super) fn literal(text: &str) -> String {
    let quote = |part: &str| format!("'{}'", part.replace('\'', "''"));
    concatenation(text.split('\0').map(quote).collect(), "||char(0)||")
}

/// A point in time. All have the same length, so that they sort as text.
pub(super) fn timestamp_text(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// The point in time that [`stamp`] wrote.
pub(super) fn parse_timestamp(text: &str) -> crate::Result<Timestamp> {
    text.parse().map_err(|error| {
        crate::Error::invalid_data(format!("{text:?} in the database is not a timestamp")).with_source(error)
    })
}

/// The table behind a stream's views.
pub(super) fn raw_table(stream: &str) -> String {
    identifier(&format!("snowfeed_raw_{stream}"))
}

/// The unique index of the table behind a stream's views.
pub(super) fn key_index(stream: &str) -> String {
    identifier(&format!("snowfeed_raw_{stream}_by_key"))
}

/// The index by sequence of the table behind a stream's views, if the stream has child streams.
pub(super) fn sequence_index(stream: &str) -> String {
    identifier(&format!("snowfeed_raw_{stream}_by_seq"))
}

/// A column of the typed view, as an expression over `document`, itself the SQL of a valid JSON text.
pub(super) fn column(column: &Column, document: &str) -> String {
    let (outer, inner) = split(&column.path);
    let path = literal(&outer);
    let kind = format!("json_type({document},{path})");
    let value = format!("({document} ->> {path})");
    if let Some(inner) = inner {
        return each(column.kind, document, &path, &kind, inner.as_deref());
    }
    match column.kind {
        ColumnType::Text => format!("iif({kind}='text',{value},NULL)"),
        // JSON knows larger numbers than the type does; SQLite reads those as floats.
        ColumnType::Integer => format!("iif({kind}='integer' AND typeof({value})='integer',{value},NULL)"),
        // SQLite has no exact type for fractions: the digits stay as they were sent.
        ColumnType::Decimal => format!("iif({kind} IN ('integer','real'),{document} -> {path},NULL)"),
        ColumnType::Float => format!("iif({kind} IN ('integer','real'),CAST({value} AS REAL),NULL)"),
        ColumnType::Boolean => format!("CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"),
        ColumnType::Timestamp => {
            // `datetime` alone would take `now`, and times without a zone; and the 30th of February for the 1st of March.
            let day = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";
            let time = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]";
            format!(
                "iif({kind}='text' AND {value} GLOB '{day}[Tt ]{time}*' AND {value} GLOB '*[Zz0-9]' AND \
                 ({value} GLOB '*[Zz]' OR {value} GLOB '*[+-][0-9][0-9]:[0-9][0-9]') AND \
                 datetime({value}) IS NOT NULL AND date(substr({value},1,10))=substr({value},1,10),{value},NULL)"
            )
        }
        ColumnType::Date => format!(
            "iif({kind}='text' AND {value} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' AND date({value})={value},{value},NULL)"
        ),
        ColumnType::Any => {
            format!("CASE {kind} WHEN 'text' THEN {value} WHEN 'null' THEN NULL ELSE {document} -> {path} END")
        }
        ColumnType::Json => format!("iif({kind} IN ('object','array'),{document} -> {path},NULL)"),
        ColumnType::Present => format!("ifnull({kind}<>'null',0)"),
    }
}

/// The result of a path with `[*]`: an array, or whether it has an element.
fn each(kind: ColumnType, document: &str, path: &str, is: &str, inner: Option<&str>) -> String {
    // Only objects have members; a plain text is not even JSON.
    let found = inner.map(|inner| format!("iif(e.type IN ('object','array'),e.value -> {},NULL)", literal(inner)));
    match (kind, found) {
        (ColumnType::Json, None) => format!("iif({is}='array',{document} -> {path},NULL)"),
        (ColumnType::Json, Some(found)) => {
            format!(
                "iif({is}='array',(SELECT json_group_array(json(ifnull({found},'null'))) \
                 FROM json_each({document},{path}) e),NULL)"
            )
        }
        (ColumnType::Present, found) => {
            let filled =
                found.map_or_else(|| "e.type<>'null'".to_owned(), |found| format!("ifnull({found},'null')<>'null'"));
            format!("iif({is}='array',EXISTS(SELECT 1 FROM json_each({document},{path}) e WHERE {filled}),0)")
        }
        // The path yields an array, which every other type reads as null.
        _ => "NULL".to_owned(),
    }
}

/// A path in SQLite's notation: up to its `[*]`, and after it, where it has one (`Some(None)`: it ends there).
fn split(path: &JsonPath) -> (String, Option<Option<String>>) {
    let render = |steps: &[Step]| {
        let mut text = String::from("$");
        for step in steps {
            if let Step::Member(member) = step {
                text.push('.');
                text.push_str(&readable::name(member));
            }
        }
        text
    };
    match path.steps().iter().position(|step| *step == Step::Each) {
        None => (render(path.steps()), None),
        Some(at) => {
            let rest = &path.steps()[at + 1..];
            (render(&path.steps()[..at]), Some((!rest.is_empty()).then(|| render(rest))))
        }
    }
}
