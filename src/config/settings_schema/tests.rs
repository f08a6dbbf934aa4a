use std::collections::BTreeMap;

use super::*;
use serde::Deserialize;
use serde_json::json;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only its schema and its deserialization matter")]
struct Retry {
    #[schemars(range(min = 1))]
    attempts: u32,
    key: Option<SecretRef>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only its schema and its deserialization matter")]
struct Example {
    url: String,
    #[schemars(range(min = 1, max = 100))]
    page_size: u32,
    #[schemars(length(max = 3))]
    ids: Vec<u64>,
    retry: Option<Retry>,
    labels: BTreeMap<String, u64>,
    ratio: f64,
    token: Option<SecretRef>,
    names: Vec<String>,
    deep: bool,
    limit: Option<u64>,
}

impl Default for Example {
    fn default() -> Self {
        let (ids, names, labels) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (url, page_size, ratio, token, retry) = (String::new(), 1, 1.0, None, None);
        Self { url, page_size, ids, retry, labels, ratio, token, names, deep: false, limit: None }
    }
}

fn settings() -> SettingsSchema {
    SettingsSchema::of::<Example>()
}

#[test]
fn text_is_read_by_the_declared_type() {
    let parse = |name, text| settings().parse(name, text).unwrap();
    assert_eq!(parse("url", "5"), json!("5"));
    assert_eq!(parse("page_size", "5"), json!(5));
    assert_eq!(parse("ratio", "5"), json!(5.0));
    assert_eq!(parse("deep", "true"), json!(true));
    assert_eq!(parse("names", "a, b"), json!(["a", "b"]));
    assert_eq!(parse("names", r#"["a,b"]"#), json!(["a,b"]));
    assert_eq!(parse("ids", "1, 2"), json!([1, 2]));
    assert_eq!(parse("ids", "[1,2]"), json!([1, 2]));
    assert_eq!(parse("token", "env:X"), json!("env:X"));
    assert_eq!(parse("limit", "7"), json!(7));
    assert_eq!(parse("limit", ""), Value::Null);
    assert_eq!(parse("token", ""), Value::Null);
}

#[test]
fn malformed_text_is_named() {
    for (name, text) in
        [("page_size", "many"), ("ratio", "x"), ("deep", "yes!"), ("names", "[1"), ("ids", "1,b"), ("limit", "x")]
    {
        let error = settings().parse(name, text).unwrap_err();
        assert!(error.to_string().contains(name) && error.help().is_some(), "{error}");
    }
}

#[test]
fn a_number_that_is_not_finite_is_an_error() {
    for text in ["NaN", "inf", "-infinity", "1e999"] {
        let error = settings().parse("ratio", text).unwrap_err();
        assert!(error.to_string().contains("it is not a number") && !error.to_string().contains(text), "{error}");
    }
}

#[test]
fn the_largest_whole_numbers_are_whole_numbers() {
    assert_eq!(settings().parse("limit", "18446744073709551615").unwrap(), json!(u64::MAX));
}

#[test]
fn a_literal_secret_is_refused_without_being_repeated() {
    let error = settings().parse("token", "ghp_abc").unwrap_err();
    assert!(error.to_string().contains("token") && !format!("{error:?}").contains("ghp_abc"), "{error:?}");
    let error = settings().configure([("token".into(), json!("ghp_abc"))]).unwrap_err();
    assert!(error.to_string().contains("token") && !format!("{error:?}").contains("ghp_abc"), "{error:?}");
}

#[test]
fn an_unknown_name_gets_the_closest_one() {
    let error = settings().configure([("page-size".into(), json!(1))]).unwrap_err();
    assert_eq!(error.help(), Some("did you mean `page_size`?"));
    let error = settings().configure([("zzzzzzzzzz".into(), json!(1))]).unwrap_err();
    assert!(error.help().unwrap().contains("url"), "{error:?}");
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let error = settings().configure([("page_size".into(), json!(-1))]).unwrap_err();
    assert!(error.to_string().contains("`page_size`"), "{error}");
}

#[test]
fn the_first_invalid_setting_is_named_whatever_is_missing() {
    let invalid = |values: Value| settings().first_invalid(&serde_json::from_value(values).unwrap());
    assert!(invalid(json!({"url": "x", "page_size": 5})).is_none());
    for (values, name) in [
        (json!({"url": "x", "names": ["a", 1]}), "names"),
        (json!({"page_size": "x", "zzz": 5}), "zzz"),
        (json!({"page_size": 101}), "page_size"),
        (json!({"ids": [1, 2, 3, 4]}), "ids"),
        (json!({"retry": {"attempts": 0}}), "retry.attempts"),
    ] {
        assert_eq!(invalid(values).unwrap().0, name);
    }
}

#[test]
fn a_schema_violation_names_what_is_allowed() {
    let error = settings().configure([("page_size".into(), json!(1000))]).unwrap_err();
    assert_eq!(error.message(), "the setting `page_size` is out of range: 1000 is not from 1 to 100");
    assert_eq!(error.help(), Some("give a whole number from 1 to 100"));
    let error = settings().configure([("retry.attempts".into(), json!(0))]).unwrap_err();
    assert!(error.message().contains("`retry.attempts` is out of range"), "{error}");
    let error = settings().configure([("retry".into(), json!({"atempts": 1}))]).unwrap_err();
    assert!(error.message().contains("`retry` has no field `atempts`"), "{error}");
}

#[test]
fn a_rule_sees_what_the_schema_allows() {
    let settings = settings().rule(|example: &Example| match example.deep && example.url.is_empty() {
        true => Err(Error::configuration("`deep` needs a `url`")),
        false => Ok(()),
    });
    assert_eq!(settings.configure([("deep".into(), json!(true))]).unwrap_err().message(), "`deep` needs a `url`");
    settings.configure([("deep".into(), json!(true)), ("url".into(), json!("x"))]).unwrap();
}

#[test]
fn nested_settings_have_dotted_names() {
    let settings = settings();
    assert_eq!(settings.parse("retry.attempts", "3").unwrap(), json!(3));
    assert_eq!(settings.parse("retry", r#"{"attempts":3}"#).unwrap(), json!({"attempts": 3}));
    assert_eq!(settings.parse("labels.team", "7").unwrap(), json!(7));
    assert!(settings.is_secret("retry.key") && !settings.is_secret("retry.attempts"));
    let leaves = settings.leaves();
    assert!(leaves.contains(&"retry.attempts".to_owned()) && !leaves.contains(&"retry".to_owned()), "{leaves:?}");
    let error = settings.parse("retry.atempts", "3").unwrap_err();
    assert_eq!(error.help(), Some("did you mean `retry.attempts`?"));
    assert!(settings.parse("url.x", "3").is_err());
}

#[test]
fn only_the_given_fields_of_a_nested_struct_are_replaced() {
    let mut values = Map::new();
    let merge = |values: &mut _, name: &str, value| settings().merge(values, [(name.to_owned(), value)]);
    merge(&mut values, "retry", json!({"attempts": 3, "key": "env:X"}));
    merge(&mut values, "retry.attempts", json!(4));
    merge(&mut values, "retry", json!({"attempts": 5}));
    merge(&mut values, "labels", json!({"a": 1}));
    merge(&mut values, "labels", json!({"b": 2}));
    assert_eq!(json!(values), json!({"retry": {"attempts": 5, "key": "env:X"}, "labels": {"b": 2}}));
    assert!(settings().remove(&mut values, "retry.key") && !settings().remove(&mut values, "retry.key"));
    assert!(settings().remove(&mut values, "retry.attempts"));
    assert_eq!(json!(values), json!({"labels": {"b": 2}}));
}

#[test]
fn secret_settings_are_recognized() {
    assert!(settings().is_secret("token"));
    assert!(!settings().is_secret("url"));
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only its schema and its deserialization matter")]
struct Careless {
    #[schemars(range(max = 9_999))]
    pin: u32,
    #[schemars(length(max = 4))]
    api_key: String,
    #[schemars(extend("format" = "password"))]
    hush: String,
    #[schemars(extend("writeOnly" = true))]
    word: String,
    #[serde(deserialize_with = "repeats")]
    own: String,
    mode: Mode,
    urls: Vec<Address>,
}

impl Default for Careless {
    fn default() -> Self {
        let text = String::new;
        Self { pin: 1, api_key: text(), hush: text(), word: text(), own: text(), mode: Mode::Fast, urls: Vec::new() }
    }
}

#[derive(Deserialize, JsonSchema)]
enum Mode {
    Fast,
}

#[derive(Deserialize, JsonSchema)]
struct Address(
    #[schemars(extend("format" = "uri"))]
    #[allow(dead_code, reason = "only its schema matters")]
    String,
);

fn repeats<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(text) } else { Err(serde::de::Error::custom(format!("{text:?} ({text}) is not nice"))) }
}

#[test]
fn a_rejected_value_is_not_quoted_whatever_the_setting() {
    let settings = SettingsSchema::of::<Careless>();
    for (name, value) in [
        ("pin", json!(123_456)),
        ("pin", json!("hunter\"2")),
        ("pin", json!(["hunter\"2"])),
        ("api_key", json!("hunter\"2")),
        ("api_key", json!(123_456)),
        ("own", json!("hunter\"2")),
        ("mode", json!("hunter\"2")),
        ("mode", json!({"hunter\"2": 1})),
        ("urls", json!(["http:/user:hunter\"2@host"])),
        ("hunter\"2", json!(1)),
    ] {
        let error = settings.configure([(name.to_owned(), value)]).unwrap_err();
        let said = format!("{error} {error:?} {:?}", error.report());
        assert!(!said.contains("hunter") && !said.contains("123456"), "{name}: {said}");
    }
    for (name, text) in [("pin", "hunter2"), ("urls", "[hunter2"), ("mode", "hunter2")] {
        if let Err(error) = settings.parse(name, text) {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
    for (name, is_hidden) in [("api_key", true), ("hush", true), ("word", true), ("own", false), ("pin", false)] {
        assert_eq!(settings.is_hidden(name), is_hidden, "{name}");
    }
}

#[test]
fn credentials_are_rejected_in_any_setting() {
    for value in ["ghp_0123456789abcdef", "see https://user:hunter2@host", "http:/user:hunter2@host"] {
        for (name, value) in [("url", json!(value)), ("names", json!(["a", value])), ("labels", json!({value: 1}))] {
            let error = settings().configure([(name.to_owned(), value)]).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(&format!("`{name}` holds")), "{said}");
            assert!(!said.contains("hunter2") && !said.contains("ghp_"), "{said}");
        }
    }
    settings().configure([("url".into(), json!("https://host/@me")), ("names".into(), json!(["me@host"]))]).unwrap();
}
