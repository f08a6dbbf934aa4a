//! Crash equivalence: a run that dies anywhere, and is taken up again, ends in the table of a run that nothing disturbed,
//! although the source changes all the while.
//!
//! `PROPTEST_CASES` raises the number of cases.
#![cfg(all(feature = "github", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod death;
mod github;
mod place;
mod scripted;
mod side_by_side;
mod world;

use proptest::test_runner::Config;

/// So many cases, or a share of what `PROPTEST_CASES` says: costly properties take one case in so many.
fn cases(unless_told: u32, one_in: u32) -> Config {
    let told = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse::<u32>().ok());
    let cases = told.map_or(unless_told, |told| (told / one_in).max(1));
    // Cases run into the time slices of two machines side by side; a shrunken one need not fail again.
    Config { cases, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() }
}
