//! The typed columns of the views.

use super::names::{identifier, literal, upper_name};
use crate::ColumnType;
use crate::table::{Column, Step};

/// The typed columns over the `RAW` of a table that is called `t`, separated by commas.
///
/// A value of another type reads as null, also where a cast would do: so do the views of every backend.
pub(super) fn select_list(columns: &[Column]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| format!("{} AS {}", expression(column), identifier(&upper_name(&column.name))))
        .collect();
    columns.join(", ")
}

fn expression(column: &Column) -> String {
    let steps = column.path.steps();
    let each = steps.iter().position(|step| *step == Step::Each);
    let value = walk("t.\"RAW\"", &steps[..each.unwrap_or(steps.len())]);
    match each {
        None => scalar(column.kind, &value),
        Some(at) => array(column.kind, &value, &steps[at + 1..]),
    }
}

/// The SQL of what is reached from `root` by these members.
fn walk(root: &str, steps: &[Step]) -> String {
    steps.iter().fold(root.to_owned(), |value, step| match step {
        Step::Member(member) => format!("GET({value}, {})", literal(member)),
        Step::Each => value,
    })
}

/// The type of a VARIANT is told by how it is written as JSON: `TYPEOF` would do as well, and needs the same reading.
fn scalar(kind: ColumnType, value: &str) -> String {
    let json = format!("TO_JSON({value})");
    match kind {
        ColumnType::Text => format!("CASE WHEN LEFT({json}, 1) = '\"' THEN CAST({value} AS VARCHAR) END"),
        ColumnType::Integer => {
            format!("CASE WHEN REGEXP_LIKE({json}, '^-?[0-9]+$') THEN TRY_CAST({json} AS NUMBER(19, 0)) END")
        }
        ColumnType::Float => format!("CASE WHEN REGEXP_LIKE({json}, '^-?[0-9].*$') THEN TRY_CAST({json} AS FLOAT) END"),
        ColumnType::Boolean => format!("CASE {json} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"),
        ColumnType::Timestamp => {
            // The conversion alone would take numbers, and times without a zone. A cast would follow the
            // TIMESTAMP_INPUT_FORMAT of the reader's session.
            let day = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
            let time = "[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?";
            let zone = "([Zz]|[+-][0-9]{2}:[0-9]{2})";
            format!(
                "CASE WHEN REGEXP_LIKE({json}, '^\"{day}[Tt ]{time}{zone}\"$') \
                 THEN TRY_TO_TIMESTAMP_TZ(CAST({value} AS VARCHAR), 'AUTO') END"
            )
        }
        ColumnType::Json => format!("CASE WHEN LEFT({json}, 1) IN ('{{', '[') THEN {value} END"),
        ColumnType::Present => format!("COALESCE({json}, 'null') <> 'null'"),
    }
}

/// What a path with `[*]` finds: an array, or whether anything is in it. A subquery over FLATTEN would be the obvious way, and
/// Snowflake does not support it where the array depends on the row.
fn array(kind: ColumnType, value: &str, inner: &[Step]) -> String {
    let is_array = format!("LEFT(TO_JSON({value}), 1) = '['");
    let found = walk("e", inner);
    match kind {
        ColumnType::Json if inner.is_empty() => format!("CASE WHEN {is_array} THEN {value} END"),
        ColumnType::Json => format!("CASE WHEN {is_array} THEN TRANSFORM(CAST({value} AS ARRAY), e -> {found}) END"),
        ColumnType::Present => format!(
            "COALESCE({is_array} AND ARRAY_SIZE(FILTER(CAST({value} AS ARRAY), e -> \
             COALESCE(TO_JSON({found}), 'null') <> 'null')) > 0, FALSE)"
        ),
        // The path gives an array: every other type reads it as null.
        _ => "NULL".to_owned(),
    }
}
