//! The typed columns of the views.

use super::names::{identifier, literal, upper_name};
use crate::snowflake::{Sql, sql};
use crate::stream::{Column, Step};
use crate::{ColumnType, JsonPath};

/// The typed columns over the `RAW` of a table `t`, separated by commas.
///
/// A value of another type reads as null, even if a cast would succeed, as in the views of every backend.
pub(super) fn select_list(columns: &[Column]) -> Sql {
    let columns: Vec<Sql> = columns
        .iter()
        .map(|column| {
            sql!("{column} AS {name}", column = expression(column), name = identifier(&upper_name(&column.name)))
        })
        .collect();
    Sql::join(&columns, ", ")
}

/// The JSON text of the value at a path in the `RAW` of a table `t`; null where there is none.
pub(super) fn value_at(path: &JsonPath) -> Sql {
    let steps = path.steps();
    let each = steps.iter().position(|step| *step == Step::Each);
    let value = walk("t.\"RAW\"".into(), &steps[..each.unwrap_or(steps.len())]);
    match each {
        None => sql!("TO_JSON({value})", value),
        Some(at) => sql!("TO_JSON({array})", array = array(ColumnType::Json, &value, &steps[at + 1..])),
    }
}

fn expression(column: &Column) -> Sql {
    let steps = column.path.steps();
    let each = steps.iter().position(|step| *step == Step::Each);
    let value = walk("t.\"RAW\"".into(), &steps[..each.unwrap_or(steps.len())]);
    match each {
        None => scalar(column.kind, &value),
        Some(at) => array(column.kind, &value, &steps[at + 1..]),
    }
}

/// The SQL that follows these members from `root`.
fn walk(root: Sql, steps: &[Step]) -> Sql {
    steps.iter().fold(root, |value, step| match step {
        Step::Member(member) => sql!("GET({value}, {member})", value, member = literal(member)),
        Step::Each => value,
    })
}

/// The JSON text shows the type of a VARIANT; `TYPEOF` would cost the same.
fn scalar(kind: ColumnType, value: &Sql) -> Sql {
    let json = sql!("TO_JSON({value})", value);
    match kind {
        ColumnType::Text => sql!("CASE WHEN LEFT({json}, 1) = '\"' THEN CAST({value} AS VARCHAR) END", json, value),
        ColumnType::Integer => {
            sql!("CASE WHEN REGEXP_LIKE({json}, '^-?[0-9]+$') THEN TRY_CAST({json} AS NUMBER(19, 0)) END", json)
        }
        ColumnType::Float => {
            sql!("CASE WHEN REGEXP_LIKE({json}, '^-?[0-9].*$') THEN TRY_CAST({json} AS FLOAT) END", json)
        }
        ColumnType::Boolean => sql!("CASE {json} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END", json),
        ColumnType::Timestamp => {
            // The conversion alone would take numbers, and times without a zone. A cast would follow the
            // TIMESTAMP_INPUT_FORMAT of the reader's session.
            let day = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
            let time = "[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?";
            let zone = "([Zz]|[+-][0-9]{2}:[0-9]{2})";
            sql!(
                "CASE WHEN REGEXP_LIKE({json}, '^\"{day}[Tt ]{time}{zone}\"$') \
                 THEN TRY_TO_TIMESTAMP_TZ(CAST({value} AS VARCHAR), 'AUTO') END",
                json,
                day,
                time,
                zone,
                value
            )
        }
        ColumnType::Json => sql!("CASE WHEN LEFT({json}, 1) IN ('{{', '[') THEN {value} END", json, value),
        ColumnType::Present => sql!("COALESCE({json}, 'null') <> 'null'", json),
    }
}

/// The values of a path with `[*]`: an array, or whether it has any. Snowflake supports no subquery over FLATTEN whose array depends
/// on the row.
fn array(kind: ColumnType, value: &Sql, inner: &[Step]) -> Sql {
    let is_array = sql!("LEFT(TO_JSON({value}), 1) = '['", value);
    let found = walk("e".into(), inner);
    match kind {
        ColumnType::Json if inner.is_empty() => sql!("CASE WHEN {is_array} THEN {value} END", is_array, value),
        ColumnType::Json => sql!(
            "CASE WHEN {is_array} THEN TRANSFORM(CAST({value} AS ARRAY), e -> {found}) END",
            is_array,
            value,
            found
        ),
        ColumnType::Present => sql!(
            "COALESCE({is_array} AND ARRAY_SIZE(FILTER(CAST({value} AS ARRAY), e -> \
             COALESCE(TO_JSON({found}), 'null') <> 'null')) > 0, FALSE)",
            is_array,
            value,
            found
        ),
        // The path returns an array: every other type reads it as null.
        _ => "NULL".into(),
    }
}
