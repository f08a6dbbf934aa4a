//! A settings file. An accepted value has the declared type and no password in a URL; a rejected one is not repeated: the word
//! CANARY in a file marks a secret that was put in the wrong place.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use snowfeed::cli::fuzzing::settings_of_file;
use snowfeed::sources::github::GithubSettings;
use snowfeed::{SecretRef, SettingsSchema, SourceSpec};

/// It is not a valid name, so it may not even be repeated as one.
const SECRET: &str = "4f1c 9a7b/e2d0";

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[allow(dead_code, reason = "its schema is what is used")]
struct Every {
    text: String,
    #[schemars(extend("format" = "uri"))]
    url: Option<String>,
    small: u8,
    ratio: f64,
    list: Vec<u64>,
    flag: bool,
    nested: Option<Nested>,
    secret: Option<SecretRef>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[allow(dead_code, reason = "its schema is what is used")]
struct Nested {
    #[schemars(range(min = 1, max = 5))]
    attempts: u32,
    password: Option<SecretRef>,
}

static SPECS: LazyLock<[SourceSpec; 2]> = LazyLock::new(|| {
    let spec = |settings| SourceSpec::new("stars", "1").settings(settings);
    [spec(SettingsSchema::of::<Every>()), spec(SettingsSchema::of::<GithubSettings>())]
});

fuzz_target!(|input: &str| {
    let text = input.replace("CANARY", SECRET);
    for spec in &*SPECS {
        match settings_of_file(spec, &text) {
            Ok(config) => {
                assert!(spec.settings.first_invalid(&config).is_none(), "{config:?}");
                for (name, value) in config.values() {
                    if let (true, Value::String(url)) = (spec.settings.is_url(name), value) {
                        assert!(url.starts_with("http://") || url.starts_with("https://"), "{url:?}");
                        assert!(!url.contains(['@', '?', '#', '\\', ' ', '\n']), "{url:?}");
                    }
                    if let (true, Value::String(reference)) = (spec.settings.is_secret(name), value) {
                        assert!(reference.starts_with("env:") || reference.starts_with("file:"), "{reference:?}");
                    }
                }
            }
            Err(error) => {
                let said = format!("{error} {error:?} {:?}", error.report());
                assert!(!said.contains(SECRET), "{said}");
            }
        }
    }
});
