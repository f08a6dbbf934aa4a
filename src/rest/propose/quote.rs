//! Keys and values in TOML.

use serde_json::{Map, Value};

/// A key, in quotes if it needs them.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    // TOML's escapes are JSON's; DEL is the one character that only TOML escapes.
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// An object on one line. TOML has no null: what is null is left out.
pub(super) fn table(map: &Map<String, Value>) -> String {
    let entries = map.iter().filter(|(_, value)| !value.is_null());
    let entries: Vec<String> = entries.map(|(name, entry)| format!("{} = {}", key(name), value(entry))).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

fn value(json: &Value) -> String {
    match json {
        Value::String(text) => quoted(text),
        Value::Array(list) => {
            let entries: Vec<String> = list.iter().filter(|entry| !entry.is_null()).map(value).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Object(map) => table(map),
        other => other.to_string(),
    }
}
