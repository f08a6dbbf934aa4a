//! Documents as the views of all versions of SQLite read them.
//!
//! Until 3.45, SQLite compares the steps of a path with the names of members as they are written in the document: `"a\/b"` and `"Gr\u00f6\u00dfe"`
//! are not `"a/b"` and `"Größe"` there. And a step ends at its first quote, escaped or not. So names are stored as [`name`] writes them, which
//! the paths of views use, too.

use crate::backends::surrogates;

/// A document with each unpaired surrogate replaced and each name of a member as [`name`] writes it; `None` if that is the document itself.
pub(super) fn readable(json: &str) -> Option<String> {
    let replaced = surrogates::replaced(json);
    match rewritten(replaced.as_deref().unwrap_or(json)) {
        Some(rewritten) => Some(rewritten),
        None => replaced,
    }
}

/// The name of a member as a JSON string that holds no quote.
pub(super) fn name(member: &str) -> String {
    let string = serde_json::Value::from(member).to_string();
    let text = string.get(1..string.len() - 1).unwrap_or_default();
    format!("\"{}\"", text.replace("\\\"", "\\u0022"))
}

/// A JSON text with other names; `None` if none changes. Only strings with a backslash are looked at.
fn rewritten(json: &str) -> Option<String> {
    let mut text = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        let first = at + found;
        let end = end_of_string(json, first)?;
        at = end;
        if !json[end..].trim_start().starts_with(':') {
            continue;
        }
        // Before the first backslash of a string, no quote is escaped.
        let begin = memchr::memrchr(b'"', &json.as_bytes()[..first])?;
        let string = &json[begin..end];
        // What is not JSON stays as it is.
        let decoded: String = serde_json::from_str(string).ok()?;
        let named = name(&decoded);
        if named != string {
            text.push_str(&json[copied..begin]);
            text.push_str(&named);
            copied = end;
        }
    }
    (copied > 0).then(|| text + &json[copied..])
}

/// The end of the string that this position is in: behind the next quote after an even number of backslashes.
fn end_of_string(json: &str, inside: usize) -> Option<usize> {
    let mut at = inside;
    loop {
        let quote = at + memchr::memchr(b'"', &json.as_bytes()[at..])?;
        at = quote + 1;
        let backslashes = json.as_bytes()[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{name, readable};

    #[test]
    fn names_are_written_in_one_way() {
        for (json, expected) in [
            (
                r#"{"a\/b":"c\/d","Gr\u00f6\u00dfe" : {"\u0031":["\u0031"]}}"#,
                r#"{"a/b":"c\/d","Größe" : {"1":["\u0031"]}}"#,
            ),
            (r#"{"say \"x\"":1}"#, r#"{"say \u0022x\u0022":1}"#),
            (r#"{"a":"\\","b\/":"\"\\\"","c\/":0}"#, r#"{"a":"\\","b/":"\"\\\"","c/":0}"#),
            (r#"{"\ud83d":"\ud83d"}"#, "{\"\u{fffd}\":\"\\ufffd\"}"),
        ] {
            assert_eq!(readable(json).as_deref(), Some(expected), "{json}");
        }
        for json in
            [r#"{"a":"\u0031:"}"#, r#"{"back\\slash":1,"tab\tx":["\"", ":"]}"#, r#"{"a\"#, r#"{"a\x":1}"#, "{\"a\":1}"]
        {
            assert_eq!(readable(json), None, "{json}");
        }
        assert_eq!(name(r#"\"a"#), r#""\\\u0022a""#);
    }
}
