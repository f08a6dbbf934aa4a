//! Crash equivalence: a run that dies anywhere, and is taken up again, ends in the table of a run that nothing disturbed,
//! although the source changes all the while.
//!
//! `PROPTEST_CASES` raises the number of cases.
#![cfg(all(feature = "github", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "../support/peers.rs"]
#[cfg(feature = "snowflake")]
mod peers;
#[path = "../support/probes.rs"]
#[cfg(feature = "snowflake")]
mod probes;

mod death;
mod github;
mod place;
mod scripted;
mod side_by_side;
mod world;

use proptest::test_runner::Config;

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() }
}
