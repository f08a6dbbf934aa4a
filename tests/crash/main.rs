//! Crash equivalence: a run that crashes anywhere and is resumed results in the same table as an undisturbed run,
//! although the source keeps changing.
//!
//! `PROPTEST_CASES` raises the number of cases.
#![cfg(all(feature = "github", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../support/peers.rs"]
#[cfg(feature = "snowflake")]
mod peers;
#[path = "../support/probes.rs"]
#[cfg(feature = "snowflake")]
mod probes;

#[path = "../support/claims.rs"]
mod claims;
mod crash;
mod destination;
mod github;
mod model;
mod mutations;
mod scenario;
mod scripted;
mod side_by_side;
mod streams;

use proptest::test_runner::{Config, RngSeed};

/// The default number of cases, unless `PROPTEST_CASES` overrides it; different cases at every run.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 10_000, max_shrink_time: 60_000, ..Config::default() }
}

/// The same cases at every run, unless `PROPTEST_RNG_SEED` sets another seed.
fn fixed_cases(count: u32) -> Config {
    let config = cases(count);
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(2_026),
        given => given,
    };
    Config { rng_seed, ..config }
}
