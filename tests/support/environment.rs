//! What the environment says of how much is to be tested.
#![allow(dead_code, reason = "not every test needs all of it")]

/// A number that a variable gives.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Says that a test is left out; where nothing may be left out (`CI`), fails instead.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
}
