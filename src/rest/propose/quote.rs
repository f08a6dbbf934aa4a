//! Keys and texts in TOML.

/// A key, in quotes if it needs them.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    // TOML's escapes are JSON's; DEL is the one character that only TOML escapes.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}
