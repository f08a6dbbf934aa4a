//! The message of a server, in the forms in which servers send one.

use serde_json::Value;

use crate::error::bounded;

/// The longest part of a server's message that is repeated, in characters.
const MAX_LENGTH: usize = 300;

/// Extracts the message of a body that is not data: that of a JSON error, the title of an HTML page, or the first line of plain text.
pub(super) fn extract(body: &str) -> Option<String> {
    let text = body.trim_start_matches('\u{feff}').trim();
    if text.starts_with('<') {
        return short(title(text)?);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => from_json(&value),
        // JSON that was cut short holds no complete message.
        Err(_) if text.starts_with(['{', '[', '"']) => None,
        Err(_) => short(text.lines().next()?),
    }
}

/// Extracts the message of a JSON object that was sent in place of data.
pub(super) fn in_place_of_data(body: &str) -> Option<String> {
    let value: Value = serde_json::from_str(body).ok()?;
    // A record may well have a title.
    let has_message = ["message", "error", "errors"].iter().any(|name| value.get(name).is_some());
    has_message.then(|| from_json(&value)).flatten()
}

/// Whether a body is a web page, whatever its content type.
pub(super) fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let starts = |tag: &[u8]| body.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    starts(b"<!doctype html") || starts(b"<html") || starts(b"<head") || starts(b"<body")
}

fn from_json(value: &Value) -> Option<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty());
    let nested = value.get("error").filter(|error| error.is_object());
    let main = ["message", "error_description", "error", "detail", "title"]
        .into_iter()
        .find_map(|name| text(value.get(name)))
        .or_else(|| text(nested.and_then(|error| error.get("message"))));
    let details: Vec<String> =
        value.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(detail).collect();
    let message = match (main, details.is_empty()) {
        (Some(main), true) => main,
        (Some(main), false) => format!("{main} ({})", details.join("; ")),
        (None, true) => return None,
        (None, false) => details.join("; "),
    };
    short(&message)
}

/// One of several errors: text, an object with a message, or GitHub's resource, field and code.
fn detail(error: &Value) -> Option<String> {
    let text = |name| error.get(name).and_then(Value::as_str);
    if let Some(text) = error.as_str().or_else(|| text("message")).or_else(|| text("detail")) {
        return Some(text.to_owned());
    }
    let parts: Vec<&str> = ["resource", "field", "code"].into_iter().filter_map(text).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn title(html: &str) -> Option<&str> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    Some(&html[start..end])
}

/// Returns one short line without credentials; `None` when nothing is left.
fn short(text: &str) -> Option<String> {
    // Redact before cutting: half a credential would not be recognized.
    let text = bounded(text);
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    Some(line.chars().take(MAX_LENGTH).collect()).filter(|line: &String| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_message_is_found() {
        for (body, expected) in [
            (r#"{"message":"Bad\n  credentials","documentation_url":"x"}"#, Some("Bad credentials")),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"Search","field":"q","code":"missing"}]}"#,
                Some("Validation Failed (Search q missing)"),
            ),
            (r#"{"message":"No","errors":["a",{"message":"b"}]}"#, Some("No (a; b)")),
            (r#"{"errors":[{"detail":"too old"}]}"#, Some("too old")),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, Some("expired")),
            (r#"{"error":{"message":"quota"}}"#, Some("quota")),
            (r#"{"title":"Forbidden","detail":"no such scope"}"#, Some("no such scope")),
            ("<html><head><TITLE lang=en>Access\n Denied</TITLE></head>", Some("Access Denied")),
            ("upstream connect error\nmore", Some("upstream connect error")),
            ("<html>", None),
            (r#"{"message":"cut sh"#, None),
            (r#"{"id":7}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(extract(body).as_deref(), expected, "{body}");
        }
        assert_eq!(extract(&"x".repeat(1_000)).unwrap().len(), MAX_LENGTH);
    }

    #[test]
    fn only_an_object_is_a_message_in_place_of_data() {
        assert_eq!(in_place_of_data(r#"{"message":"no"}"#).as_deref(), Some("no"));
        for body in [r#"[{"message":"no"}]"#, r#"{"id":1,"title":"no"}"#, r#""no""#, "no", "<title>no</title>"] {
            assert_eq!(in_place_of_data(body), None, "{body}");
        }
    }

    #[test]
    fn a_web_page_is_known_by_its_beginning() {
        for page in ["<html>", "\u{feff} <!DOCTYPE HTML><p>", "\n<HTML lang=en>"] {
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for data in ["[]", "<feed>", "<?xml version=\"1.0\"?>", "", "html"] {
            assert!(!is_web_page(data.as_bytes()), "{data}");
        }
    }
}
