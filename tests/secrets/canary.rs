//! A secret, and all the forms in which it could be found.

use std::fs;
use std::path::Path;

use regex_lite::{Captures, Regex};

use crate::support::Ended;

/// It looks different as JSON, in a URL and in debug output, and contains the word [`CORE`], which none of these change.
pub(crate) const CANARY: &str = "ghp_C4n4ryBird+/%5c\"9d81\\x7";

const CORE: &str = "C4n4ryBird";

/// The texts that reveal the secret: a part of it that survives escaping, its reversed beginning, and its base64 and
/// hexadecimal forms, at any offset.
fn encodings() -> Vec<String> {
    let mut forms = vec![CORE.to_owned(), CORE.chars().rev().collect()];
    for case in [hex(CORE.as_bytes()), hex(CORE.as_bytes()).to_uppercase()] {
        forms.push(case);
    }
    for shift in 0..3 {
        let shifted = format!("{}{CORE}", &"ghp"[..shift]);
        let encoded = base64(shifted.as_bytes());
        // The characters at either end depend on their neighbours, too.
        let (start, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        forms.push(encoded[start..end].to_owned());
    }
    forms
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(6)
        .map(|six| six.iter().chain([0; 6].iter()).take(6).fold(0, |number, bit| number << 1 | usize::from(*bit)))
        .map(|number| char::from(DIGITS[number]))
        .collect()
}

/// The positions of the secret in these bytes, with their context.
pub(crate) fn find_secret(bytes: &[u8]) -> Option<String> {
    let at = |form: &String| bytes.windows(form.len()).position(|window| window == form.as_bytes());
    if let Some(at) = encodings().iter().find_map(at) {
        let around = &bytes[at.saturating_sub(300)..bytes.len().min(at + 60)];
        return Some(String::from_utf8_lossy(around).into_owned());
    }
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    loop {
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        if let Some(at) = letters.to_lowercase().find(&CORE.to_lowercase()) {
            return Some(letters[at.saturating_sub(100)..letters.len().min(at + 60)].to_owned());
        }
        let unescaped = unescape(&text);
        if unescaped == text {
            return None;
        }
        text = unescaped;
    }
}

/// Undoes one level of the escapes of JSON, URLs and HTML, as far as they hide letters and digits.
fn unescape(text: &str) -> String {
    if !text.contains(['\\', '%', '&']) {
        return text.to_owned();
    }
    let code = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let replaced = |text: &str, pattern: &str, radix| {
        let decode = |found: &Captures<'_>| code(&found[1], radix).map_or_else(|| found[0].to_owned(), String::from);
        Regex::new(pattern).unwrap().replace_all(text, decode).into_owned()
    };
    let text = replaced(text, r"\\u([0-9a-fA-F]{4})", 16);
    let text = replaced(&text, r"\\x([0-9a-fA-F]{2})", 16);
    let text = replaced(&text, r"%([2-7][0-9a-fA-F])", 16);
    let text = replaced(&text, r"&#x([0-9a-fA-F]{2,6});", 16);
    replaced(&text, r"&#([0-9]{2,6});", 10)
}

#[track_caller]
pub(crate) fn assert_absent(what: &str, bytes: impl AsRef<[u8]>) {
    if let Some(around) = find_secret(bytes.as_ref()) {
        panic!("the secret is in {what}: …{around}…");
    }
}

/// Checks that no output of a process contains the secret.
#[track_caller]
pub(crate) fn assert_output_clean(args: &[&str], ended: &Ended) {
    assert_absent(&format!("the standard output of {args:?}"), &ended.stdout);
    assert_absent(&format!("the standard error of {args:?}"), &ended.stderr);
}

/// Checks that no file below a folder, except the named ones, contains the secret. Returns how many were read.
#[track_caller]
pub(crate) fn assert_absent_below(folder: &Path, except: &[&str]) -> usize {
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            read += assert_absent_below(&path, except);
        } else if !except.contains(&name) {
            assert_absent(&path.display().to_string(), fs::read(&path).unwrap());
            read += 1;
        }
    }
    read
}

#[test]
fn every_form_of_a_secret_is_found() {
    for text in [
        CANARY.to_owned(),
        format!("{CANARY:?}"),
        serde_json::to_string(CANARY).unwrap(),
        hex(CANARY.as_bytes()),
        base64(CANARY.as_bytes()),
        base64(format!("x{CANARY}").as_bytes()),
        base64(format!("xy:{CANARY}").as_bytes()),
    ]
    .into_iter()
    .chain(crate::echo::NOTATIONS.map(|(_, write)| write(CANARY)))
    {
        assert!(find_secret(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(find_secret(b"canary birds"), None);
}
