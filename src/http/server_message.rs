//! The message of a server, in the forms in which servers send one.

use serde_json::{Map, Value};

use crate::error::bounded;

/// The longest part of a server's message that is repeated, in characters.
const MAX_LENGTH: usize = 300;

/// How far down the errors of an error are looked for.
const MAX_DEPTH: usize = 6;

/// The number of messages that are repeated on one level.
const MAX_MESSAGES: usize = 8;

/// The members with the text of an error, in lower case and without separators, the most telling first.
const MESSAGES: [&str; 10] = [
    "message",
    "errormessage",
    "errordescription",
    "errorsummary",
    "detail",
    "description",
    "msg",
    "error",
    "title",
    "reason",
];

/// The members with the errors that an error consists of: a list, one error, or an object with those of each field.
const DETAILS: [&str; 8] =
    ["error", "errors", "errormessages", "errorcauses", "validationerrors", "details", "invalidparams", RECORDS];

/// The member with the records that have errors, as Xero sends them.
const RECORDS: &str = "elements";

/// The members that tell something where no text does, as GitHub's resource, field and code.
const CODES: [&str; 3] = ["resource", "field", "code"];

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
    short(&message(value, MAX_DEPTH)?)
}

/// The message of an error, with those of the errors in it: `the main one (the first; the second)`.
fn message(error: &Value, depth: usize) -> Option<String> {
    match error {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(list) => joined(list.iter().filter_map(|error| message(error, depth.checked_sub(1)?))),
        Value::Object(members) => {
            let main =
                MESSAGES.iter().find_map(|name| Some(member(members, name)?.as_str()?).filter(|text| !text.is_empty()));
            let details =
                joined(details(members, depth.checked_sub(1)?)).filter(|details| Some(details.as_str()) != main);
            match (main, details) {
                (Some(main), Some(details)) => Some(format!("{main} ({details})")),
                (Some(main), None) => Some(main.to_owned()),
                (None, Some(details)) => Some(details),
                (None, None) => {
                    let parts: Vec<&str> = CODES.iter().filter_map(|name| member(members, name)?.as_str()).collect();
                    (!parts.is_empty()).then(|| parts.join(" "))
                }
            }
        }
        _ => None,
    }
}

/// The messages of the errors that an error consists of.
fn details(members: &Map<String, Value>, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for name in DETAILS {
        match member(members, name) {
            // Records, each with its errors.
            Some(Value::Array(list)) if name == RECORDS => {
                let records = list.iter().filter_map(Value::as_object);
                found.extend(records.filter_map(|record| joined(details(record, depth.checked_sub(1)?))));
            }
            // Not an error, but one or several for each field.
            Some(Value::Object(fields)) if !is_error(fields) => {
                let about = |(field, error): (&String, &Value)| Some(format!("{field}: {}", message(error, depth)?));
                found.extend(fields.iter().filter_map(about));
            }
            // The text of this error itself, or its code.
            Some(Value::String(_)) if name == "error" => {}
            Some(error) => found.extend(message(error, depth)),
            None => {}
        }
    }
    found
}

/// Whether an object has a member that belongs to an error, and is not one of errors by field.
fn is_error(members: &Map<String, Value>) -> bool {
    let names = MESSAGES.iter().chain(&CODES).filter(|name| member(members, name).is_some_and(Value::is_string));
    names.count() > 0 || DETAILS.iter().any(|name| member(members, name).is_some())
}

/// The member of this name, whatever its case and its separators.
fn member<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    let is = |other: &str| {
        let plain = other.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase());
        plain.eq(name.chars())
    };
    members.iter().find(|(other, _)| is(other)).map(|(_, value)| value)
}

/// Messages in one, each once.
fn joined(messages: impl IntoIterator<Item = String>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for message in messages {
        if all.len() < MAX_MESSAGES && !all.contains(&message) {
            all.push(message);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
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
            // RFC 7807.
            (
                r#"{"type":"about:blank","title":"Invalid request","status":400,"invalid-params":[{"name":"limit","reason":"too large"}]}"#,
                Some("Invalid request (too large)"),
            ),
            // Okta.
            (
                r#"{"errorCode":"E0000001","errorSummary":"Api validation failed: limit","errorLink":"x","errorCauses":[{"errorSummary":"limit: must be 1 to 200"}]}"#,
                Some("Api validation failed: limit (limit: must be 1 to 200)"),
            ),
            // Xero.
            (
                r#"{"ErrorNumber":10,"Type":"ValidationException","Message":"A validation exception occurred","Elements":[{"Reference":"r","Description":"d","ValidationErrors":[{"Message":"Page size is too large"}]}]}"#,
                Some("A validation exception occurred (Page size is too large)"),
            ),
            (r#"{"Type":null,"Title":"Unauthorized","Status":401,"Detail":"TokenExpired"}"#, Some("TokenExpired")),
            // PagerDuty.
            (
                r#"{"error":{"message":"Invalid Input Provided","code":2001,"errors":["Limit must be at most 100."]}}"#,
                Some("Invalid Input Provided (Limit must be at most 100.)"),
            ),
            // JSON:API, as Klaviyo and Square send it.
            (
                r#"{"errors":[{"id":"1","code":"invalid","title":"Invalid input.","detail":"page size must be 1 to 100"},{"title":"Second"}]}"#,
                Some("page size must be 1 to 100; Second"),
            ),
            (
                r#"{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"BAD_CURSOR","detail":"Invalid cursor."}]}"#,
                Some("Invalid cursor."),
            ),
            // Google says it twice.
            (
                r#"{"error":{"code":403,"message":"No access","status":"PERMISSION_DENIED","errors":[{"message":"No access","reason":"forbidden"}]}}"#,
                Some("No access"),
            ),
            // GraphQL.
            (
                r#"{"data":null,"errors":[{"message":"Unknown field","extensions":{"code":"X"}}]}"#,
                Some("Unknown field"),
            ),
            // Shopify, Rails and Zendesk: the errors of each field.
            (r#"{"errors":"[API] Invalid API key"}"#, Some("[API] Invalid API key")),
            (
                r#"{"errors":{"limit":["is too large","is odd"],"page":"is 0"}}"#,
                Some("limit: is too large; is odd; page: is 0"),
            ),
            (
                r#"{"error":"RecordInvalid","description":"Validation errors","details":{"email":[{"description":"is not valid"}]}}"#,
                Some("Validation errors (email: is not valid)"),
            ),
            // Jira and Salesforce.
            (
                r#"{"errorMessages":["The field 'x' does not exist."],"errors":{}}"#,
                Some("The field 'x' does not exist."),
            ),
            (r#"[{"message":"Session expired","errorCode":"INVALID_SESSION_ID"}]"#, Some("Session expired")),
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
        let many = format!(
            r#"{{"errors":[{}{{"detail":"last"}}]}}"#,
            r#"{"detail":"the same text, 30 characters"},"#.repeat(99)
        );
        assert_eq!(extract(&many).as_deref(), Some("the same text, 30 characters; last"));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(extract(&deep), None);
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
