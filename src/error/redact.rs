//! Credentials in URLs, taken out of whatever ends up in errors, logs and the run history: values of the query (and the fragment)
//! whose names say so or that are known secrets, and user info.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use twox_hash::XxHash3_128;

/// What stands for a credential.
pub(crate) const STAND_IN: &str = "***";

/// A shorter text is not taken for a secret: it may be part of any word, or any value. In bytes.
pub(crate) const SHORTEST_SECRET: usize = 8;

/// Hashes of the secrets that were read, so that they are known wherever a URL repeats them.
static KNOWN: Mutex<BTreeSet<u128>> = Mutex::new(BTreeSet::new());

/// Remembers a secret, by its hash.
pub(crate) fn remember(secret: &str) {
    if secret.len() >= SHORTEST_SECRET {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(XxHash3_128::oneshot(secret.as_bytes()));
    }
}

fn is_known(value: &str) -> bool {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    !known.is_empty() && known.contains(&XxHash3_128::oneshot(value.as_bytes()))
}

/// A text with no credential in its URLs, absolute or not.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let mut secrets = user_infos(text);
    secrets.extend(values(text));
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|range| range.start);
    let (mut redacted, mut copied) = (String::with_capacity(text.len()), 0);
    for Range { start, end } in secrets {
        if start >= copied {
            redacted.push_str(&text[copied..start]);
            redacted.push_str(STAND_IN);
            copied = end;
        }
    }
    redacted.push_str(&text[copied..]);
    Cow::Owned(redacted)
}

/// Where user and password stand: between `://` and `@`.
fn user_infos(text: &str) -> Vec<Range<usize>> {
    let hosts = text.match_indices("://").map(|(at, found)| at + found.len());
    let infos = hosts.filter_map(|start| {
        let end = text[start..].find(|c: char| "/?#\"<>\\".contains(c) || c.is_whitespace());
        let authority = &text[start..end.map_or(text.len(), |end| start + end)];
        let at = authority.rfind('@')?;
        (at > 0).then_some(start..start + at)
    });
    infos.collect()
}

/// Where values stand that are credentials.
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
    // A URL within a URL, too.
    is_credential(name) || is_known(&value) || value.contains('=') && !values(&value).is_empty()
}

/// Whether a name says that its value is a credential.
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

/// A text without its percent signs.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_taken_out_and_their_names_stay() {
        for (text, expected) in [
            ("https://a/x?access_token=hush&page=2", "https://a/x?access_token=***&page=2"),
            ("https://a/x?page=2&API-Key=hush", "https://a/x?page=2&API-Key=***"),
            ("/x?sig=h%2Fush (why)", "/x?sig=*** (why)"),
            ("<https://a/?client_secret=hush>; rel=\"next\"", "<https://a/?client_secret=***>; rel=\"next\""),
            ("https://a/#id_token=hush&state=x", "https://a/#id_token=***&state=x"),
            ("https://s3/?X-Amz-Credential=a%2Fb&X-Amz-Date=1", "https://s3/?X-Amz-Credential=***&X-Amz-Date=***"),
            (
                "see https://a/?token=hush, or (https://b/?key=hush)",
                "see https://a/?token=***, or (https://b/?key=***)",
            ),
            ("https://a/?t%6Fken=hush", "https://a/?t%6Fken=***"),
            ("https://a/?to=https%3A%2F%2Fb%2F%3Ftoken%3Dhush&x=1", "https://a/?to=***&x=1"),
            ("https://me:hush@a/x and ftp://hush@b", "https://***@a/x and ftp://***@b"),
            ("https://a/x?auth[token]=hush", "https://a/x?auth[token]=***"),
            ("https://a/?password=hüsh", "https://a/?password=***"),
        ] {
            assert_eq!(redact(text), expected);
        }
        for text in [
            "https://a/x?page=2&since=2024-01-01T00:00:00Z&state=all&keyword=y",
            "what? a & b = c; token = 5",
            "https://a/?token=",
            "https://a/@me",
            "",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn a_known_secret_is_taken_out_whatever_its_name() {
        let text = "https://a/?q=hunter2%2Bhunter2&r=hunter2";
        assert_eq!(redact(text), text);
        remember("hunter2+hunter2");
        assert_eq!(redact(text), "https://a/?q=***&r=hunter2");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[a?&;=%@:/ #tokenß0-9,)]{0,40}") {
            let once = redact(&text).into_owned();
            proptest::prop_assert_eq!(redact(&once).into_owned(), once);
        }
    }
}
