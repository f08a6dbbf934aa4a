//! A setting: the first line is its name, the rest its text. An accepted value has the declared type; a secret's value
//! is never repeated.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use snowfeed::sources::github::GithubSettings;
use snowfeed::{SecretRef, SettingsSchema};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[allow(dead_code, reason = "its schema is what is used")]
struct Every {
    text: String,
    small: u8,
    large: u64,
    signed: i64,
    ratio: f64,
    perhaps: Option<f64>,
    list: Vec<String>,
    map: std::collections::BTreeMap<String, Value>,
    flag: bool,
    secret: Option<SecretRef>,
}

static DECLARED: LazyLock<[SettingsSchema; 2]> =
    LazyLock::new(|| [SettingsSchema::of::<Every>(), SettingsSchema::of::<GithubSettings>()]);

fuzz_target!(|input: &str| {
    let Some((name, text)) = input.split_once('\n') else { return };
    for settings in &*DECLARED {
        let parsed = settings.parse(name, text);
        let configured = match &parsed {
            Ok(value) => settings.configure([(name.to_owned(), value.clone())]).map(drop),
            Err(_) => settings.configure([(name.to_owned(), text.into())]).map(drop),
        };
        if let Ok(value) = &parsed {
            assert!(!value.is_null() || text.is_empty(), "{text:?} became null");
            if settings.is_secret(name) && !value.is_null() {
                let reference = value.as_str().expect("a text");
                assert!(reference.starts_with("env:") || reference.starts_with("file:"), "{reference}");
            }
        } else if settings.is_secret(name) && text.len() > 12 {
            for error in [parsed.err(), configured.err()].into_iter().flatten() {
                let said = format!("{error} {error:?} {:?}", error.report());
                assert!(!said.contains(text), "{said}");
            }
        }
    }
});
