//! Removes credentials from the text of errors, logs and the run history: the secrets in use, texts that look like a well-known
//! token, and credentials in URLs.
//!
//! A remote may repeat a credential in any notation, so each level of escaping is decoded and searched.

mod decode;
mod secrets;
mod shapes;
mod urls;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use decode::REDACTED;
use decode::{Glyph, LEVELS};
pub(crate) use secrets::remember;
#[cfg(feature = "http")]
pub(crate) use secrets::remember_authorization;
#[cfg(feature = "http")]
pub(crate) use urls::is_credential;

/// The maximum number of repeated searches: after a redaction, the remaining text may join into another credential.
const ROUNDS: usize = 8;

/// The kinds of credentials to redact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The secrets in use.
    #[cfg(feature = "http")]
    Known,
    /// The secrets in use, texts that look like a token, and credentials in URLs.
    Everything,
}

/// Returns a text without credentials.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    redact_within(text, Scope::Everything)
}

/// Returns a text without the secrets in use. It keeps anything else that may be a credential, for text that the program still
/// needs, such as the link to the next page.
#[cfg(feature = "http")]
pub(crate) fn redact_known(text: &str) -> Cow<'_, str> {
    if secrets::none_is_known() { Cow::Borrowed(text) } else { redact_within(text, Scope::Known) }
}

fn redact_within(text: &str, scope: Scope) -> Cow<'_, str> {
    let mut redacted = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        let found = find(decode::glyphs(&redacted), scope);
        match replace(&redacted, found) {
            Some(replaced) if replaced != *redacted => redacted = Cow::Owned(replaced),
            _ => return redacted,
        }
    }
    Cow::Borrowed(REDACTED)
}

/// Finds credentials at each level of escaping, and in base64 and hexadecimal digits.
fn find(level: Vec<Glyph>, scope: Scope) -> Vec<Range<usize>> {
    let all = level.first().map_or(0, |first| first.start)..level.last().map_or(0, |last| last.end);
    let mut found = Vec::new();
    let is_searched = each_level(level, |level| {
        found.extend(tokens(level, scope));
        if scope == Scope::Everything {
            found.extend(urls::find(level));
        }
        // Decoded bytes are not searched for credentials in URLs: any bytes may look like part of a URL.
        for bytes in decode::binary(level) {
            each_level(bytes, |level| found.extend(tokens(level, scope)));
        }
    });
    if is_searched { found } else { vec![all] }
}

/// Finds secrets in use and texts that look like a token.
fn tokens(level: &[Glyph], scope: Scope) -> Vec<Range<usize>> {
    let mut found = secrets::find(level);
    if scope == Scope::Everything {
        found.extend(shapes::find(level));
    }
    found
}

/// Calls `look` with each level of escaping. Returns whether it reached the last level.
fn each_level(mut level: Vec<Glyph>, mut look: impl FnMut(&[Glyph])) -> bool {
    for _ in 0..LEVELS {
        look(&level);
        match decode::unescape(&level) {
            Some(next) => level = next,
            None => return true,
        }
    }
    false
}

/// Replaces these ranges by the placeholder; `None` if there are none.
fn replace(text: &str, mut ranges: Vec<Range<usize>>) -> Option<String> {
    if ranges.is_empty() {
        return None;
    }
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    let (mut replaced, mut copied) = (String::with_capacity(text.len()), 0);
    for Range { start, end } in joined {
        replaced.push_str(&text[copied..start]);
        replaced.push_str(REDACTED);
        copied = end;
    }
    replaced.push_str(&text[copied..]);
    Some(replaced)
}

#[cfg(test)]
mod tests;
