//! Checks values against a JSON Schema: ranges, lengths, patterns, choices, entries and the names of fields.

use std::fmt::Display;

use regex_lite::Regex;
use serde_json::{Map, Number, Value};

use super::{names, url};
use crate::SecretRef;
use crate::secret::SECRET_FORMAT;

/// The maximum depth to which schemas are followed, because a recursive schema never ends.
const DEEPEST: usize = 64;

/// A schema violation in a value.
#[derive(Debug, PartialEq)]
pub(super) struct Violation {
    /// The dotted name of the setting.
    pub(super) path: String,
    /// The problem, to be appended to the setting's name. It never quotes the value, which may be a secret in the wrong place.
    pub(super) message: String,
    pub(super) help: String,
    /// The value is of another kind than this schema describes, so another branch of a choice may apply.
    is_other_shape: bool,
    /// A field is missing.
    pub(super) is_incomplete: bool,
}

/// The JSON Schema of the settings, against which references are resolved.
#[derive(Clone, Copy)]
pub(super) struct Root<'a>(pub(super) &'a Value);

impl<'a> Root<'a> {
    fn target(self, schema: &Value) -> Option<&'a Value> {
        self.0.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    /// Returns a schema with the schemas that it refers to, and all their branches.
    fn alternatives(self, schema: &'a Value) -> Vec<&'a Value> {
        let mut all = vec![schema];
        let mut next = 0;
        while let Some(&schema) = all.get(next) {
            for found in branches(schema, "allOf")
                .chain(branches(schema, "anyOf"))
                .chain(branches(schema, "oneOf"))
                .chain(self.target(schema))
            {
                if !all.iter().any(|known| std::ptr::eq(*known, found)) {
                    all.push(found);
                }
            }
            next += 1;
        }
        all
    }

    /// Whether a schema, or one of its alternatives, has this facet.
    pub(super) fn has(self, schema: &'a Value, facet: &str, wanted: &str) -> bool {
        self.alternatives(schema).into_iter().any(|schema| match schema.get(facet) {
            Some(Value::String(value)) => value == wanted,
            Some(Value::Array(values)) => values.iter().any(|value| value == wanted),
            _ => false,
        })
    }

    /// Returns the schema of a list's entries.
    pub(super) fn items(self, schema: &'a Value) -> Option<&'a Value> {
        self.alternatives(schema).into_iter().find_map(|schema| schema.get("items"))
    }

    /// Returns the fields of a nested struct; `None` for any other type, and for a choice between structs.
    pub(super) fn fields(self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut all = self.alternatives(schema).into_iter().filter_map(|schema| schema.get("properties")?.as_object());
        let fields = all.next()?;
        all.next().is_none().then_some(fields)
    }

    /// Returns the schema of the entries of a map, whose keys are free.
    pub(super) fn map_entry(self, schema: &'a Value) -> Option<&'a Value> {
        self.alternatives(schema)
            .into_iter()
            .find_map(|schema| schema.get("additionalProperties").filter(|s| is_open(s)))
    }

    /// Returns the first violation in a value.
    pub(super) fn violation(self, schema: &'a Value, value: &Value, path: &str) -> Option<Violation> {
        self.check_whole(schema, value, path, 0)
    }

    /// Checks a value against the whole schema: each field must be known to at least one branch.
    fn check_whole(self, schema: &'a Value, value: &Value, path: &str, depth: usize) -> Option<Violation> {
        self.check(schema, value, path, depth).or_else(|| self.unknown_field(schema, value, path))
    }

    fn unknown_field(self, schema: &'a Value, value: &Value, path: &str) -> Option<Violation> {
        let object = value.as_object()?;
        let mut known: Vec<&str> = Vec::new();
        for schema in self.alternatives(schema) {
            if schema.get("additionalProperties").is_some_and(is_open) || schema.get("patternProperties").is_some() {
                return None;
            }
            let fields = schema.get("properties").and_then(Value::as_object);
            known.extend(fields.into_iter().flatten().map(|(name, _)| name.as_str()));
        }
        let name = object.keys().find(|name| !known.contains(&name.as_str()) && !known.is_empty())?;
        let help = format!("its fields are: {}", known.join(", "));
        // An invalid name may be a secret in the wrong place.
        let message =
            if names::is_name(name) { format!("has no field `{name}`") } else { "has an unknown field".into() };
        Some(violation(path, message, help))
    }

    fn check(self, schema: &'a Value, value: &Value, path: &str, depth: usize) -> Option<Violation> {
        if depth > DEEPEST || !schema.is_object() {
            return None;
        }
        let deeper = |schema| self.check(schema, value, path, depth + 1);
        shape_violation(schema, value, path)
            .or_else(|| self.target(schema).and_then(deeper))
            .or_else(|| branches(schema, "allOf").find_map(deeper))
            .or_else(|| choice(branches(schema, "anyOf").map(deeper)))
            .or_else(|| choice(branches(schema, "oneOf").map(deeper)))
            .or_else(|| match value {
                Value::Number(number) => range_violation(schema, number, path),
                Value::String(text) => text_violation(schema, text, path),
                Value::Array(entries) => self.list(schema, entries, path, depth),
                Value::Object(fields) => self.object(schema, fields, path, depth),
                _ => None,
            })
    }

    fn list(self, schema: &'a Value, entries: &[Value], path: &str, depth: usize) -> Option<Violation> {
        let repeats = || entries.iter().enumerate().any(|(index, entry)| entries[..index].contains(entry));
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) && repeats() {
            return Some(violation(path, "has an entry twice".into(), "give each entry once".into()));
        }
        size_violation(schema, entries.len(), ["minItems", "maxItems"], ["entry", "entries"], path).or_else(|| {
            let items = schema.get("items")?;
            let mut all = entries.iter().enumerate();
            all.find_map(|(index, entry)| self.check_whole(items, entry, &format!("{path}[{index}]"), depth + 1))
        })
    }

    fn object(self, schema: &'a Value, fields: &Map<String, Value>, path: &str, depth: usize) -> Option<Violation> {
        let declared = schema.get("properties").and_then(Value::as_object);
        let patterns: Vec<_> = schema
            .get("patternProperties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(pattern, schema)| Some((Regex::new(pattern).ok()?, schema)))
            .collect();
        let missing = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|name| name.as_str().is_some_and(|name| !fields.contains_key(name)));
        if let Some(name) = missing {
            let message = format!("lacks the field {name}");
            let help = "`schema` lists the settings, their types and defaults".into();
            return Some(Violation { is_other_shape: true, is_incomplete: true, ..violation(path, message, help) });
        }
        size_violation(schema, fields.len(), ["minProperties", "maxProperties"], ["entry", "entries"], path).or_else(
            || {
                fields.iter().find_map(|(name, value)| {
                    let by_pattern =
                        || patterns.iter().find(|(regex, _)| regex.is_match(name)).map(|(_, schema)| *schema);
                    let schema = declared
                        .and_then(|declared| declared.get(name))
                        .or_else(by_pattern)
                        .or_else(|| schema.get("additionalProperties"))?;
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.check_whole(schema, value, &path, depth + 1)
                })
            },
        )
    }
}

fn violation(path: &str, message: String, help: String) -> Violation {
    Violation { path: path.to_owned(), message, help, is_other_shape: false, is_incomplete: false }
}

fn branches<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Whether `additionalProperties` allows names that are not declared.
fn is_open(rest: &Value) -> bool {
    *rest != Value::Bool(false)
}

/// The violation to report if no branch fits: preferably that of a branch which describes this kind of value.
fn choice(branches: impl Iterator<Item = Option<Violation>>) -> Option<Violation> {
    let violations: Vec<Violation> = branches.collect::<Option<_>>()?;
    let is_meant = violations.iter().position(|violation| !violation.is_other_shape).unwrap_or(0);
    violations.into_iter().nth(is_meant)
}

fn shape_violation(schema: &Value, value: &Value, path: &str) -> Option<Violation> {
    let shape =
        |message: String, help: String| Some(Violation { is_other_shape: true, ..violation(path, message, help) });
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        let wanted = &schema["const"];
        return shape("has a value that is not allowed".into(), format!("give {wanted}"));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<String> = choices.iter().filter(|one| !one.is_null()).map(Value::to_string).collect();
        return shape("has a value that is not allowed".into(), format!("give one of {}", choices.join(", ")));
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    if kinds.iter().any(|kind| is_of_type(value, kind)) {
        return None;
    }
    shape(format!("is not of the type {}", kinds.join(" or ")), "`schema` lists the settings and their types".into())
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => {
            kind == "number" || kind == "integer" && number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

fn range_violation(schema: &Value, number: &Number, path: &str) -> Option<Violation> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_number);
    let (least, most) = (bound("minimum"), bound("maximum"));
    let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
    let fits = least.is_none_or(|least| !is_less(number, least))
        && most.is_none_or(|most| !is_less(most, number))
        && above.is_none_or(|above| is_less(above, number))
        && below.is_none_or(|below| is_less(number, below));
    let kind = if schema.get("type").is_some_and(|kind| kind.to_string().contains("integer")) {
        "whole number"
    } else {
        "number"
    };
    if !fits {
        let range = match (least, most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            _ => [(least, "at least"), (above, "more than"), (most, "at most"), (below, "less than")]
                .into_iter()
                .filter_map(|(bound, words)| Some(format!("{words} {}", bound?)))
                .collect::<Vec<_>>()
                .join(" and "),
        };
        let message = format!("is out of range: {number} is not {range}");
        return Some(violation(path, message, format!("give a {kind} {range}")));
    }
    let step = bound("multipleOf")?;
    let quotient = number.as_f64()? / step.as_f64()?;
    let is_multiple = (quotient - quotient.round()).abs() < 1e-9;
    (!is_multiple).then(|| {
        violation(path, format!("is not a multiple of {step}: {number}"), format!("give a multiple of {step}"))
    })
}

/// Compares integers exactly: a double cannot distinguish the largest ones.
fn is_less(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one < other),
    }
}

fn text_violation(schema: &Value, text: &str, path: &str) -> Option<Violation> {
    let length = text.chars().count();
    let format = schema.get("format").and_then(Value::as_str);
    if format == Some(SECRET_FORMAT) {
        let error = text.parse::<SecretRef>().err()?;
        let help = error.help().unwrap_or_default().to_owned();
        return Some(violation(path, format!("is malformed: {error}"), help));
    }
    if format == Some(url::FORMAT) && !url::is_plain(text) {
        return Some(violation(path, "is not a plain http or https URL".into(), url::HELP.into()));
    }
    size_violation(schema, length, ["minLength", "maxLength"], ["character", "characters"], path).or_else(|| {
        let pattern = schema.get("pattern")?.as_str()?;
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => None,
            Ok(_) => Some(violation(
                path,
                format!("does not match the pattern `{pattern}`"),
                "`schema` describes what the setting takes".into(),
            )),
            Err(error) => Some(violation(
                path,
                format!("declares a pattern that cannot be read: {error}"),
                "report it to the author of this connector: patterns have no look-around and no `\\p`".into(),
            )),
        }
    })
}

fn size_violation(schema: &Value, size: usize, bounds: [&str; 2], unit: [&str; 2], path: &str) -> Option<Violation> {
    let [least, most] = bounds.map(|bound| schema.get(bound).and_then(Value::as_u64));
    let is_outside = least.is_some_and(|least| (size as u64) < least) || most.is_some_and(|most| size as u64 > most);
    let counted = |n: &dyn Display| format!("{n} {}", unit[usize::from(n.to_string() != "1")]);
    let range = match (least, most) {
        (Some(least), Some(most)) if least == most => format!("exactly {}", counted(&least)),
        (Some(least), Some(most)) => format!("{least} to {}", counted(&most)),
        (Some(least), None) => format!("at least {}", counted(&least)),
        (None, Some(most)) => format!("at most {}", counted(&most)),
        (None, None) => return None,
    };
    is_outside.then(|| {
        let word = if least.is_some_and(|least| (size as u64) < least) { "short" } else { "long" };
        violation(path, format!("is too {word}: it has {}", counted(&size)), format!("give {range}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value) -> Option<(String, String, String)> {
        Root(schema).violation(schema, value, "").map(|found| (found.path, found.message, found.help))
    }

    #[track_caller]
    fn assert_rejected(schema: Value, value: Value, path: &str, says: &str) {
        let schema =
            json!({"properties": {"x": schema}, "$defs": {"Size": {"type": "integer", "minimum": 1, "maximum": 9}}});
        let (at, message, help) = check(&schema, &json!({"x": value})).expect("a violation");
        assert_eq!(at, path);
        assert!(format!("{message}; {help}").contains(says), "{message}; {help}");
    }

    #[track_caller]
    fn assert_accepted(schema: Value, value: Value) {
        let schema =
            json!({"properties": {"x": schema}, "$defs": {"Size": {"type": "integer", "minimum": 1, "maximum": 9}}});
        assert_eq!(check(&schema, &json!({"x": value})), None);
    }

    #[test]
    fn numbers_keep_within_their_range() {
        let size = json!({"type": ["integer", "null"], "minimum": 1, "maximum": 100});
        assert_rejected(size.clone(), json!(1000), "x", "1000 is not from 1 to 100");
        assert_rejected(size.clone(), json!(0), "x", "give a whole number from 1 to 100");
        for good in [json!(1), json!(100), Value::Null] {
            assert_accepted(size.clone(), good);
        }
        assert_rejected(json!({"type": "number", "exclusiveMinimum": 0}), json!(0.0), "x", "more than 0");
        assert_rejected(json!({"type": "number", "exclusiveMaximum": 1}), json!(1), "x", "less than 1");
        assert_rejected(json!({"maximum": u64::MAX - 1}), json!(u64::MAX), "x", "at most 18446744073709551614");
        assert_rejected(json!({"multipleOf": 5}), json!(7), "x", "multiple of 5");
        assert_accepted(json!({"multipleOf": 0.1}), json!(0.3));
    }

    #[test]
    fn texts_keep_their_length_and_pattern_and_are_not_repeated() {
        assert_rejected(json!({"minLength": 3}), json!("hi"), "x", "it has 2 characters; give at least 3 characters");
        assert_rejected(json!({"maxLength": 1}), json!("ßß"), "x", "give at most 1 character");
        assert_accepted(json!({"minLength": 1, "maxLength": 1}), json!("ß"));
        let pattern = json!({"type": "string", "pattern": "^[a-z]+$"});
        assert_accepted(pattern.clone(), json!("abc"));
        assert_rejected(pattern.clone(), json!("ABC"), "x", "`^[a-z]+$`");
        let schema = json!({"properties": {"x": pattern}});
        assert!(!format!("{:?}", check(&schema, &json!({"x": "HUNTER2"}))).contains("HUNTER2"));
        assert_rejected(json!({"pattern": "(?=a)"}), json!("a"), "x", "cannot be read");
    }

    #[test]
    fn choices_are_listed() {
        assert_rejected(json!({"enum": ["a", "b"]}), json!("c"), "x", r#"give one of "a", "b""#);
        assert_rejected(json!({"const": 1}), json!(2), "x", "give 1");
    }

    #[test]
    fn entries_and_fields_are_held_to_their_own_schema() {
        let list = json!({"type": "array", "items": {"$ref": "#/$defs/Size"}, "maxItems": 2, "uniqueItems": true});
        assert_accepted(list.clone(), json!([1, 9]));
        assert_rejected(list.clone(), json!([1, 10]), "x[1]", "from 1 to 9");
        assert_rejected(list.clone(), json!([1, 2, 3]), "x", "give at most 2 entries");
        assert_rejected(list, json!([1, 1]), "x", "twice");
        let nested = json!({"type": "object", "properties": {"size": {"$ref": "#/$defs/Size"}}, "required": ["size"]});
        assert_accepted(nested.clone(), json!({"size": 1}));
        assert_rejected(nested.clone(), json!({"size": 0}), "x.size", "from 1 to 9");
        assert_rejected(nested.clone(), json!({"size": 1, "sise": 1}), "x", "its fields are: size");
        assert_rejected(nested, json!({}), "x", "lacks");
        let map = json!({"type": "object", "additionalProperties": {"$ref": "#/$defs/Size"}});
        assert_accepted(map.clone(), json!({"any": 1}));
        assert_rejected(map, json!({"any": 0}), "x.any", "from 1 to 9");
    }

    #[test]
    fn the_matching_branch_of_a_choice_reports_the_error() {
        let perhaps = json!({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Size"}]});
        assert_accepted(perhaps.clone(), Value::Null);
        assert_rejected(perhaps, json!(10), "x", "from 1 to 9");
        let field =
            |tag: &str| json!({"properties": {"type": {"const": tag}, tag: {"minimum": 1}}, "required": ["type", tag]});
        let tagged = json!({"oneOf": [field("a"), field("b")]});
        assert_accepted(tagged.clone(), json!({"type": "b", "b": 1}));
        assert_rejected(tagged.clone(), json!({"type": "b", "b": 0}), "x.b", "at least 1");
        assert_rejected(tagged, json!({"type": "b", "b": 1, "c": 1}), "x", "`c`");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema =
            json!({"properties": {"x": {"$ref": "#/$defs/Loop"}}, "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}});
        assert_eq!(check(&schema, &json!({"x": 1})), None);
    }
}
