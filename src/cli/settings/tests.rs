use std::io::Write;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tempfile::NamedTempFile;

use super::*;
use crate::{ErrorKind, SettingsSchema};

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema and its deserialization matter")]
struct Example {
    /// Required, to test that its absence is not blamed on the given settings.
    api_url: String,
    #[serde(default)]
    page_size: Option<u32>,
    #[serde(default)]
    token: Option<SecretRef>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    ids: Vec<u64>,
    #[serde(default)]
    retry: Retry,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only its schema and its deserialization matter")]
struct Retry {
    #[schemars(range(min = 1, max = 20))]
    attempts: u32,
    delay: u32,
    key: Option<SecretRef>,
}

fn spec() -> SourceSpec {
    SourceSpec::new("stars", "1").settings(SettingsSchema::of::<Example>())
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn read(toml: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Result<SettingsOverrides> {
    let file = file(toml);
    let variable = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into());
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    SettingsOverrides::read(&spec(), Some(file.path()), variable, &arguments)
}

#[test]
fn the_command_line_overrides_the_environment_and_that_the_file() {
    let toml = "api_url = 'a'\npage_size = 1\nnames = ['x', 'y']";
    let given = read(toml, &[("STARS_API_URL", "b"), ("STARS_PAGE_SIZE", "2")], &["api_url=c"]).unwrap();
    assert_eq!(Value::Object(given.values().clone()), json!({"api_url": "c", "page_size": 2, "names": ["x", "y"]}));
    assert_eq!(given.origin("api_url"), Some(&SettingOrigin::Argument));
    assert_eq!(given.origin("page_size"), Some(&SettingOrigin::Variable("STARS_PAGE_SIZE".into())));
    assert!(matches!(given.origin("names"), Some(SettingOrigin::File(_))));
}

#[test]
fn nested_settings_are_set_field_by_field() {
    let toml = "retry.attempts = 1\nretry.delay = 2";
    let variables = [("STARS_RETRY_ATTEMPTS", "3"), ("STARS_RETRY_KEY", "hush"), ("STARS_IDS", "1,2")];
    let given = read(toml, &variables, &["retry.delay=4"]).unwrap();
    let retry = json!({"attempts": 3, "delay": 4, "key": "env:STARS_RETRY_KEY"});
    assert_eq!(Value::Object(given.values().clone()), json!({"retry": retry, "ids": [1, 2]}));
    assert_eq!(given.origin("retry.attempts"), Some(&SettingOrigin::Variable("STARS_RETRY_ATTEMPTS".into())));
    assert_eq!(given.origin("retry.delay"), Some(&SettingOrigin::Argument));
    assert_eq!(read("", &[("STARS_RETRY", r#"{"delay":5}"#)], &[]).unwrap().values()["retry"]["delay"], 5);
}

#[test]
fn a_schema_violation_is_named_with_its_origin() {
    for (toml, variables, arguments, origin) in [
        ("[retry]\nattempts = 0", vec![], vec![], "the file "),
        ("", vec![("STARS_RETRY_ATTEMPTS", "21")], vec![], "the environment variable STARS_RETRY_ATTEMPTS"),
        ("", vec![("STARS_RETRY", r#"{"attempts":21}"#)], vec![], "the environment variable STARS_RETRY"),
        ("[retry]\ndelay = 1", vec![], vec!["retry.attempts=0"], "--set"),
    ] {
        let error = read(toml, &variables, &arguments).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`retry.attempts` is out of range") && text.contains(origin), "{text}");
        assert_eq!(error.help(), Some("give a whole number from 1 to 20"));
    }
}

#[test]
fn a_secret_variable_is_stored_by_name() {
    let given = read("", &[("STARS_TOKEN", "hush")], &[]).unwrap();
    assert_eq!(given.values()["token"], "env:STARS_TOKEN");
    assert!(!format!("{given:?}").contains("hush"));
}

#[test]
fn empty_variables_are_ignored() {
    let given = read("", &[("STARS_TOKEN", ""), ("STARS_API_URL", "")], &[]).unwrap();
    assert!(given.values().is_empty());
}

#[test]
fn a_missing_setting_is_not_blamed_on_another() {
    assert!(read("page_size = 1", &[], &[]).is_ok(), "api_url may be stored in the database");
}

#[test]
fn a_malformed_setting_is_named_with_its_origin() {
    for (toml, variables, arguments, origin) in [
        ("page_size = '5'", vec![], vec![], "the file "),
        ("page_size = -1", vec![], vec![], "the file "),
        ("", vec![("STARS_PAGE_SIZE", "many")], vec![], "the environment variable STARS_PAGE_SIZE"),
        ("", vec![("STARS_PAGE_SIZE", "-1")], vec![], "the environment variable STARS_PAGE_SIZE"),
        ("page_size = 3", vec![], vec!["page_size=many"], "--set"),
        ("page_size = 3", vec![], vec!["page_size=-1"], "--set"),
    ] {
        let error = read(toml, &variables, &arguments).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains("`page_size`") && text.contains(origin), "{text}");
    }
}

#[test]
fn an_overridden_malformed_setting_is_still_an_error() {
    assert!(read("page_size = 'x'", &[], &["page_size=1"]).is_err());
}

#[test]
fn an_unknown_setting_gets_a_suggestion_and_its_origin() {
    for (toml, arguments, origin) in [("pagesize = 1", vec![], "the file "), ("", vec!["pagesize=1"], "--set")] {
        let error = read(toml, &[], &arguments).unwrap_err();
        assert!(error.to_string().contains("`pagesize`") && error.to_string().contains(origin), "{error}");
        assert_eq!(error.help(), Some("did you mean `page_size`?"));
    }
}

#[test]
fn a_secret_given_by_value_is_rejected_and_not_repeated() {
    for (toml, arguments) in [
        ("token = 'hush'", vec![]),
        ("api_url = 'x'\ntoken = hush", vec![]),
        ("", vec!["token=hush"]),
        ("", vec!["hush"]),
    ] {
        let error = read(toml, &[], &arguments).unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", error.report()).contains("hush"), "{error:?}");
    }
}

#[test]
fn invalid_toml_is_named_with_its_line() {
    for (toml, line) in [("api_url = 'x'\nnames = [", "line: 2"), ("page_size = 1\n\npage_size = 2\n", "line: 3")] {
        let error = read(toml, &[], &[]).unwrap_err();
        assert!(error.to_string().contains(line), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = SettingsOverrides::read(&spec(), Some(Path::new("no/such.toml")), |_| None, &[]).unwrap_err();
    assert!(error.to_string().contains("no/such.toml"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
