//! Credentials in absolute or relative URLs: user info, and values in the query or the fragment whose names suggest a credential.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::decode::Glyph;
use super::decode::REDACTED;

/// The placeholder for user and password in help texts.
const PLACEHOLDER: &str = "USER:PASSWORD";

/// Finds credentials.
pub(super) fn find(glyphs: &[Glyph]) -> Vec<Range<usize>> {
    let mut text = String::with_capacity(glyphs.len());
    // For each byte, the index of its glyph.
    let mut owners = Vec::with_capacity(glyphs.len());
    for (index, glyph) in glyphs.iter().enumerate() {
        text.push(glyph.c);
        owners.resize(text.len(), index);
    }
    let ranges = user_infos(&text)
        .into_iter()
        .chain(values(&text))
        .filter(|range| ![REDACTED, PLACEHOLDER].contains(&&text[range.clone()]));
    ranges.map(|Range { start, end }| glyphs[owners[start]].start..glyphs[owners[end - 1]].end).collect()
}

/// Finds user and password, between the slashes and `@`. URL parsers require neither two slashes nor forward ones.
fn user_infos(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let after = |mark: &'static str, needs_password: bool| {
        lower.match_indices(mark).map(move |(at, mark)| (at + mark.len(), needs_password))
    };
    let starts = after("://", false).chain(after("http:", false)).chain(after("https:", false));
    let infos = starts.chain(after("//", true)).chain(after("\\\\", true)).filter_map(|(at, needs_password)| {
        let start = at + text[at..].find(|c| !matches!(c, '/' | '\\'))?;
        let end = text[start..].find(|c: char| "/?#\"<>\\".contains(c) || c.is_whitespace());
        let authority = &text[start..end.map_or(text.len(), |end| start + end)];
        let info = &authority[..authority.rfind('@')?];
        (!info.is_empty() && (!needs_password || info.contains(':'))).then_some(start..start + info.len())
    });
    infos.collect()
}

/// Finds values that are credentials.
fn values(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(['?', '&', ';', '#']) {
        at += next + 1;
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.%~[]$+".contains(c);
        let length = text[at..].find(|c| !is_part(c)).unwrap_or(text.len() - at);
        let (name, rest) = text[at..].split_at(length);
        let Some(value) = rest.strip_prefix('=') else { continue };
        let end = value.find(|c: char| "&#\"'<>`".contains(c) || c.is_whitespace()).unwrap_or(value.len());
        let value = value[..end].trim_end_matches([',', ')', ';', '.', ']', '}']);
        let start = at + length + 1;
        if !value.is_empty() && is_secret(&decoded(name), value) {
            found.push(start..start + value.len());
            at = start + value.len();
        }
    }
    found
}

fn is_secret(name: &str, value: &str) -> bool {
    let value = decoded(value);
    // A URL may contain another URL.
    is_credential(name) || value.contains('=') && !values(&value).is_empty()
}

/// Whether a name suggests that its value is a credential.
pub(crate) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    const WHOLE: [&str; 11] = ["auth", "code", "cookie", "jwt", "key", "pass", "pw", "pwd", "sas", "sid", "sig"];
    const PART: [&str; 13] = [
        "accesskey",
        "apikey",
        "assertion",
        "authkey",
        "authorization",
        "credential",
        "passphrase",
        "passwd",
        "password",
        "secret",
        "session",
        "signature",
        "token",
    ];
    WHOLE.contains(&letters.as_str())
        || PART.iter().any(|part| letters.contains(part))
        || ["x-amz-", "x-goog-"].iter().any(|start| name.starts_with(start))
        || ["_key", "-key", ".key"].iter().any(|end| name.ends_with(end))
}

/// Decodes the percent signs in a text.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}
