//! The output of typed views for documents: the same in every backend that has views.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use snowfeed::backends::Preview;
use snowfeed::{ColumnType, StreamSpec};

/// A table with a column of every type over one member, and paths into arrays.
pub(crate) fn spec() -> StreamSpec {
    StreamSpec::new("issues")
        .column("text", "v", ColumnType::Text)
        .column("integer", "v", ColumnType::Integer)
        .column("decimal", "v", ColumnType::Decimal)
        .column("float", "v", ColumnType::Float)
        .column("boolean", "v", ColumnType::Boolean)
        .column("timestamp", "v", ColumnType::Timestamp)
        .column("date", "v", ColumnType::Date)
        .column("any", "v", ColumnType::Any)
        .column("json", "v", ColumnType::Json)
        .column("present", "v", ColumnType::Present)
        .column("names", "v[*].name", ColumnType::Json)
        .column("any_name", "v[*].name", ColumnType::Present)
        .column("elements", "v[*]", ColumnType::Json)
        .column("no_text", "v[*]", ColumnType::Text)
        .column("odd", r#""a.b\"c[0]'\\".x"#, ColumnType::Text)
        .column("dollar", r#""$$;/~"."*""#, ColumnType::Text)
}

/// Documents, and the non-null columns of their rows. A value of another type reads as null.
pub(crate) fn cases() -> Vec<(&'static str, Value)> {
    let none = json!({"present": false, "any_name": false});
    let with = |more: Value| {
        let mut all = json!({"present": true, "any_name": false});
        let members = all.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        if let Some(text) = more.get("text") {
            members.insert("any".into(), text.clone());
        }
        all
    };
    vec![
        (r#"{}"#, none.clone()),
        (r#"{"v":null}"#, none.clone()),
        (r#"[1]"#, none.clone()),
        ("{oops", none.clone()),
        (r#"{"v":"now"}"#, with(json!({"text": "now"}))),
        (r#"{"v":""}"#, with(json!({"text": ""}))),
        (r#"{"v":"5"}"#, with(json!({"text": "5"}))),
        (r#"{"v":"true"}"#, with(json!({"text": "true"}))),
        (r#"{"v":"null"}"#, with(json!({"text": "null"}))),
        (r#"{"v":"{\"name\":1}"}"#, with(json!({"text": "{\"name\":1}"}))),
        (r#"{"v":"tab\t\"quote\" \\ \u00e9 🦀\nline"}"#, with(json!({"text": "tab\t\"quote\" \\ é 🦀\nline"}))),
        (r#"{"v":"2024-02-30"}"#, with(json!({"text": "2024-02-30"}))),
        (r#"{"v":"2024-02-29"}"#, with(json!({"text": "2024-02-29", "date": "2024-02-29"}))),
        (r#"{"v":"2024-02-29 "}"#, with(json!({"text": "2024-02-29 "}))),
        (r#"{"v":"2024-02-03T04:05:06"}"#, with(json!({"text": "2024-02-03T04:05:06"}))),
        (r#"{"v":"2024-02-30T04:05:06Z"}"#, with(json!({"text": "2024-02-30T04:05:06Z"}))),
        (
            r#"{"v":"2024-02-03T04:05:06Z"}"#,
            with(json!({"text": "2024-02-03T04:05:06Z", "timestamp": "2024-02-03T04:05:06Z"})),
        ),
        (
            r#"{"v":"2024-02-03T04:05:06.7+02:00"}"#,
            with(json!({"text": "2024-02-03T04:05:06.7+02:00", "timestamp": "2024-02-03T02:05:06.7Z"})),
        ),
        (r#"{"v":5}"#, with(json!({"integer": 5, "decimal": "5", "float": 5.0, "any": "5"}))),
        (
            r#"{"v":-9223372036854775808}"#,
            with(json!({
                "integer": i64::MIN,
                "decimal": i64::MIN.to_string(),
                "float": -9223372036854775808.0,
                "any": i64::MIN.to_string(),
            })),
        ),
        (
            r#"{"v":99999999999999999999}"#,
            with(json!({"decimal": "99999999999999999999", "float": 1e20, "any": "99999999999999999999"})),
        ),
        (r#"{"v":1.5}"#, with(json!({"decimal": "1.5", "float": 1.5, "any": "1.5"}))),
        (
            r#"{"v":12345678901234567.89}"#,
            with(json!({
                "decimal": "12345678901234567.89",
                "float": 12345678901234567.89,
                "any": "12345678901234567.89",
            })),
        ),
        (r#"{"v":true}"#, with(json!({"boolean": true, "any": "true"}))),
        (r#"{"v":false}"#, with(json!({"boolean": false, "any": "false"}))),
        (r#"{"v":{"name":1}}"#, with(json!({"json": {"name": 1}, "any": r#"{"name":1}"#}))),
        (r#"{"v":[]}"#, with(json!({"json": [], "elements": [], "names": [], "any": "[]"}))),
        (
            r#"{"v":[{"name":"bug"},{"name":true},"plain",{},{"name":[1]}]}"#,
            with(json!({
                "json": [{"name":"bug"},{"name":true},"plain",{},{"name":[1]}],
                "elements": [{"name":"bug"},{"name":true},"plain",{},{"name":[1]}],
                "names": ["bug", true, null, null, [1]],
                "any_name": true,
                "any": r#"[{"name":"bug"},{"name":true},"plain",{},{"name":[1]}]"#,
            })),
        ),
        (r#"{"a.b\"c[0]'\\":{"x":"found"}}"#, json!({"present": false, "any_name": false, "odd": "found"})),
        (r#"{"$$;/~":{"*":"found"}}"#, json!({"present": false, "any_name": false, "dollar": "found"})),
    ]
}

/// The documents of a preview, with the non-null columns of their rows. A time is the instant, however it is written.
pub(crate) fn typed(preview: Preview) -> Vec<(String, Value)> {
    let columns = preview.columns;
    let rows = preview.rows.into_iter().map(|mut row| {
        let Some(Value::String(document)) = row.pop() else { panic!("no document: {row:?}") };
        let mut typed: Map<String, Value> =
            columns.iter().cloned().zip(row).filter(|(_, value)| !value.is_null()).collect();
        if let Some(time) = typed.get_mut("timestamp") {
            *time = time.as_str().unwrap().parse::<Timestamp>().unwrap().to_string().into();
        }
        (document, typed.into())
    });
    rows.collect()
}

/// Compares the rows of all [`cases`], of which the columns in `other` differ.
#[track_caller]
pub(crate) fn assert_as_expected(preview: Preview, other: &[(&str, Value)]) {
    let found = typed(preview);
    assert_eq!(found.len(), cases().len());
    for (document, mut expected) in cases() {
        if let Some((_, columns)) = other.iter().find(|(of, _)| *of == document) {
            expected.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
        }
        let row = found.iter().find(|(of, _)| of == document).unwrap_or_else(|| panic!("no row of {document}"));
        assert_eq!(row.1, expected, "{document}");
    }
}
