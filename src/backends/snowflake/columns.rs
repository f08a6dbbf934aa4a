//! The typed columns of the views.

use super::names::{identifier, literal, upper_name};
use crate::snowflake::{Sql, sql};
use crate::stream::{Column, Step};
use crate::{ColumnType, JsonPath};

/// The digits after the point of a decimal. Unverified: see docs/unverified.md#decimals.
const SCALE: u16 = 18;

/// The typed columns over the `RAW` of a table `t`, separated by commas.
///
/// A value of another type reads as null, even if a cast would succeed, as in the views of every backend. The functions `AS_…` say
/// exactly that, and never fail. Texts, numbers and booleans are one such function of a path, so that Snowflake can use what it
/// knows about the path in a micro-partition. Unverified: see docs/unverified.md#pruning.
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
    let value = at_path(&steps[..each.unwrap_or(steps.len())]);
    match each {
        None => sql!("TO_JSON({value})", value),
        Some(at) => sql!("TO_JSON({array})", array = array(ColumnType::Json, &value, &steps[at + 1..])),
    }
}

fn expression(column: &Column) -> Sql {
    let steps = column.path.steps();
    let each = steps.iter().position(|step| *step == Step::Each);
    let value = at_path(&steps[..each.unwrap_or(steps.len())]);
    match each {
        None => scalar(column.kind, &value),
        Some(at) => array(column.kind, &value, &steps[at + 1..]),
    }
}

/// The value at these members of the `RAW` of a table `t`.
fn at_path(steps: &[Step]) -> Sql {
    let names: Option<Vec<Sql>> = steps.iter().map(plain_name).collect();
    match names {
        Some(names) if !names.is_empty() => sql!("t.\"RAW\":{path}", path = Sql::join(&names, ".")),
        // It means the same, and takes any text as a name.
        _ => walk("t.\"RAW\"".into(), steps),
    }
}

/// A member as a part of a path, if Snowflake documents that its name can be one.
fn plain_name(step: &Step) -> Option<Sql> {
    let Step::Member(member) = step else { return None };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_plainly = member.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (begins_plainly && member.chars().all(is_plain)).then(|| identifier(member))
}

/// The SQL that follows these members from `root`.
fn walk(root: Sql, steps: &[Step]) -> Sql {
    steps.iter().fold(root, |value, step| match step {
        Step::Member(member) => sql!("GET({value}, {member})", value, member = literal(member)),
        Step::Each => value,
    })
}

fn scalar(kind: ColumnType, value: &Sql) -> Sql {
    let json = sql!("TO_JSON({value})", value);
    match kind {
        ColumnType::Text => sql!("AS_VARCHAR({value})", value),
        ColumnType::Integer => sql!("AS_INTEGER({value})", value),
        ColumnType::Decimal => sql!(
            "CASE WHEN REGEXP_LIKE({json}, '^-?[0-9].*$') THEN TRY_TO_DECIMAL({json}, 38, {SCALE}) END",
            json,
            SCALE
        ),
        ColumnType::Float => sql!("AS_DOUBLE({value})", value),
        ColumnType::Boolean => sql!("AS_BOOLEAN({value})", value),
        ColumnType::Timestamp => {
            // The conversion alone would take numbers, and times without a zone. A cast would follow the
            // TIMESTAMP_INPUT_FORMAT of the reader's session.
            let day = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
            let time = "[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?";
            let zone = "([Zz]|[+-][0-9]{2}:[0-9]{2})";
            sql!(
                "CASE WHEN REGEXP_LIKE(AS_VARCHAR({value}), '^{day}[Tt ]{time}{zone}$') \
                 THEN TRY_TO_TIMESTAMP_TZ(AS_VARCHAR({value}), 'AUTO') END",
                value,
                day,
                time,
                zone
            )
        }
        ColumnType::Date => sql!(
            "CASE WHEN REGEXP_LIKE(AS_VARCHAR({value}), '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$') \
             THEN TRY_TO_DATE(AS_VARCHAR({value}), 'YYYY-MM-DD') END",
            value
        ),
        ColumnType::Any => sql!("COALESCE(AS_VARCHAR({value}), NULLIF({json}, 'null'))", value, json),
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
