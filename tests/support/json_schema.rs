//! Validates a JSON document against a JSON Schema: the part of the standard that this project's schema uses. An unknown keyword
//! ends the test, so that nothing in the schema goes unchecked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;

/// The violations of one of the schema's definitions in a document; empty if there are none.
pub(crate) fn violations(root: &Value, definition: &str, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(root, &root["$defs"][definition], document, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(is_allowed) = schema.as_bool() {
        if !is_allowed {
            found.push(format!("{at}: not allowed: {value}"));
        }
        return;
    }
    let Some(keywords) = schema.as_object() else { panic!("{at}: the schema is not an object: {schema}") };
    for (keyword, expected) in keywords {
        let mut fail = |what: &str| found.push(format!("{at}: {what}: {value}"));
        match keyword.as_str() {
            "description" | "title" | "$schema" | "$defs" | "default" => {}
            "$ref" => {
                let target = expected.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(target).unwrap_or_else(|| panic!("{expected} leads nowhere"));
                check(root, target, value, at, found);
            }
            "type" => {
                let names: Vec<&Value> = expected.as_array().map_or_else(|| vec![expected], |all| all.iter().collect());
                if !names.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                    fail(&format!("not of the type {expected}"));
                }
            }
            "const" if value != expected => fail(&format!("not {expected}")),
            "enum" if !expected.as_array().unwrap().contains(value) => fail("none of the values that are allowed"),
            "minimum" if value.as_i64().unwrap_or(0) < expected.as_i64().unwrap() => fail("too small"),
            "format" if matches!(expected.as_str(), Some("uint32" | "uint64")) => {}
            "format" => {
                assert_eq!(expected, "date-time", "{at}: the format is not known to this test");
                if value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
                    fail("not a point in time");
                }
            }
            "const" | "enum" | "minimum" => {}
            "required" => {
                for name in expected.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        fail(&format!("lacks {name}"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in expected.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(root, schema, value, &format!("{at}.{name}"), found);
                    }
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        check(root, expected, value, &format!("{at}.{name}"), found);
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, expected, item, &format!("{at}[{index}]"), found);
                }
            }
            "prefixItems" => {
                for (index, part) in expected.as_array().unwrap().iter().enumerate() {
                    if let Some(item) = value.get(index) {
                        check(root, part, item, &format!("{at}[{index}]"), found);
                    }
                }
            }
            "minItems" | "maxItems" => {
                let (length, limit) = (value.as_array().map(|list| list.len() as u64), expected.as_u64().unwrap());
                let is_wrong = |length: u64| if keyword == "minItems" { length < limit } else { length > limit };
                if length.is_some_and(is_wrong) {
                    fail(&format!("{keyword} is {limit}"));
                }
            }
            "oneOf" => {
                let fits = |part: &&Value| {
                    let mut found = Vec::new();
                    check(root, part, value, at, &mut found);
                    found.is_empty()
                };
                if expected.as_array().unwrap().iter().filter(fits).count() != 1 {
                    fail("fits not exactly one of the alternatives");
                }
            }
            "allOf" => expected.as_array().unwrap().iter().for_each(|part| check(root, part, value, at, found)),
            "anyOf" => {
                let fits = |part: &Value| {
                    let mut found = Vec::new();
                    check(root, part, value, at, &mut found);
                    found.is_empty()
                };
                if !expected.as_array().unwrap().iter().any(fits) {
                    fail("fits none of the alternatives");
                }
            }
            other => panic!("{at}: the keyword {other:?} is not known to this test"),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("the type {other:?} is not known to this test"),
    }
}
