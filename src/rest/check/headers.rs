//! Headers.

use std::collections::BTreeMap;

use super::super::place::Place;
use super::placeholders::Uses;
use super::problem::Problems;

/// Headers that sign in.
const SIGN_IN: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

/// Checks the names of headers, and their values.
pub(super) fn headers(problems: &mut Problems<'_>, headers: &BTreeMap<String, String>, at: &Place, uses: &Uses<'_>) {
    for (name, value) in headers {
        let at = at.clone().key(name);
        if SIGN_IN.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            let help =
                format!("move it to `auth` of the source: `auth = {{ header = {{ {name} = \"…\" }} }}`, or `bearer`");
            problems.error(at.clone(), "a credential in `headers` is not kept secret", help);
        } else if http_name(name) {
            uses.check(problems, value, at.clone());
        } else {
            let help = "write letters, digits and `-`";
            problems.error(at.clone(), format!("{name:?} is not the name of a header"), help);
        }
        if value.contains(['\r', '\n']) {
            problems.error(at, "the value of a header has a line break", "remove it");
        }
    }
}

/// Whether a text is a token of HTTP.
pub(super) fn http_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
