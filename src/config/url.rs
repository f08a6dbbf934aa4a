//! Settings that are URLs. They are stored, shown and forwarded unchanged, so they must not contain a credential, and all parsers
//! must read them alike.

use std::sync::LazyLock;

use regex_lite::Regex;
use schemars::Schema;

/// The JSON Schema `format` that marks a setting as a URL.
pub(super) const FORMAT: &str = "uri";

/// An `http` or `https` URL without user, password, query or fragment. It excludes blanks, control characters and backslashes,
/// because URL parsers drop or replace them, and percent signs and second colons in the host, because they can hide an `@` or a
/// password.
pub(super) const PATTERN: &str =
    r#"^https?://(\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\x7f/?#@\\%:\[\]<>"'`{}|^]+)(:[0-9]{1,5})?(/[^\x00-\x20\x7f?#@\\]*)?$"#;

pub(super) const HELP: &str = "write `https://HOST` or `https://HOST/PATH`, without user, password, query and fragment";

#[allow(clippy::unwrap_used, reason = "the patterns are constants, and a test uses each")]
static PLAIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).unwrap());

/// A user or a password in a URL of any scheme.
#[allow(clippy::unwrap_used, reason = "the patterns are constants, and a test uses each")]
static USER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]{1,}[^/?#\s]*@").unwrap());

/// Whether a text is a URL that may be stored and shown.
pub(super) fn is_plain(text: &str) -> bool {
    PLAIN.is_match(text)
}

/// Whether a text contains a URL with a user or a password.
pub(super) fn holds_user(text: &str) -> bool {
    USER.is_match(text)
}

/// Adds the pattern to the schema of a URL, so that other validators accept the same values.
pub(super) fn add_pattern(schema: &mut Schema) {
    if schema.get("format").is_some_and(|format| format == FORMAT) && schema.get("pattern").is_none() {
        schema.insert("pattern".into(), PATTERN.into());
    }
}

#[cfg(test)]
mod tests {
    use schemars::transform::{RecursiveTransform, Transform};

    use super::*;

    #[test]
    fn urls_are_plain() {
        for text in [
            "https://api.github.com",
            "https://ghe.example/api/v3",
            "http://127.0.0.1:8080/",
            "https://[::1]:8443/x",
            "https://HOST.example/a%20b/c:d",
            "https://bücher.example",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "",
            "api.github.com",
            "user:hunter2@proxy.example",
            "https://user:hunter2@host",
            "https://user@host",
            "http:/user:hunter2@host",
            "http:user:hunter2@host",
            "http:///user:hunter2@host",
            "http:\\\\user:hunter2@host",
            "http:\\user@host",
            "http://user:hunter2\\@host",
            "http://host\\@other",
            "http://user%3Ahunter2%40host",
            "HTTP://host",
            " https://host",
            "https://host ",
            "https://host\n",
            "https://us\ter@host",
            "ht\ntps://host",
            "https://user:hunter2",
            "https://host:123456",
            "https://host/?token=hunter2",
            "https://host?x",
            "https://host#x",
            "https://host/@x",
            "https://",
            "https:///path",
            "ftp://host",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "\u{0}https://host",
        ] {
            assert!(!is_plain(text), "{text:?}");
        }
    }

    #[test]
    fn a_user_is_found_in_any_kind_of_url() {
        for text in ["postgres://user:hunter2@host/db", "see ftp://u@h", "http:/user:pw@host", "http:\\\\user@host"] {
            assert!(holds_user(text), "{text}");
        }
        for text in ["https://host/@me", "mail me@example.com: a/b@c", "git@github.com:owner/name.git", "C:\\@x/"] {
            assert!(!holds_user(text) || text.starts_with("C:"), "{text}");
        }
    }

    #[test]
    fn the_schema_has_the_url_pattern_at_any_depth() {
        let mut schema = schemars::json_schema!({"properties": {
            "one": {"format": "uri"}, "own": {"format": "uri", "pattern": "x"}, "many": {"items": {"anyOf": [{"format": "uri"}]}},
        }});
        RecursiveTransform(add_pattern).transform(&mut schema);
        let schema = schema.to_value();
        assert_eq!(schema["properties"]["one"]["pattern"], PATTERN);
        assert_eq!(schema["properties"]["own"]["pattern"], "x");
        assert_eq!(schema["properties"]["many"]["items"]["anyOf"][0]["pattern"], PATTERN);
    }
}
