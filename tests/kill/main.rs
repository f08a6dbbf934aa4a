//! `kill -9` of the example `github_issues` while it reads an upstream that changes at every request: repeatedly at random
//! moments, and at every named step; then the table is compared with the upstream, row by row.
//!
//! The same program and proxy also measure the cost of an idle connector.
//!
//! `SNOWFEED_KILLS` sets the number of random kills (30 unless set), `SNOWFEED_SEED` the seed of all randomness,
//! `SNOWFEED_STEPS` the number of kills per step name; `SNOWFEED_TEST_ACCOUNT=hostile` runs everything on the
//! account whose parameters are all set to values that break careless clients.
#![cfg(all(feature = "cli", feature = "github"))]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod all_streams;
#[path = "../support/claims.rs"]
mod claims;
mod crash_points;
#[path = "../support/example.rs"]
mod example;
#[cfg(feature = "snowflake")]
mod idle;
mod matrix;
mod oracle;
#[path = "../support/peers.rs"]
mod peers;
mod process;
#[cfg(feature = "snowflake")]
mod proxy;
mod random;
#[cfg(feature = "snowflake")]
mod snowflake;
#[cfg(feature = "snowflake")]
mod statements;
mod syscalls;
mod target;

use github_server::GithubServer;
use matrix::{ISSUES, Matrix, REPOSITORY, Sampling};
use peers::environment::number;
use tokio::runtime::Runtime;

#[test]
fn no_kill_loses_or_duplicates_a_row() {
    random::kill_and_compare(&target::SqliteFiles::new());
}

#[test]
fn no_kill_loses_duplicates_or_falsely_deletes_a_row_of_any_stream() {
    all_streams::kill_and_compare();
}

#[cfg(feature = "snowflake")]
#[test]
fn no_kill_loses_or_duplicates_a_row_in_snowflake() {
    if let Some(account) = snowflake::SnowflakeDatabases::new() {
        random::kill_and_compare(&account);
    }
}

#[cfg(feature = "snowflake")]
#[test]
fn no_kill_loses_or_duplicates_a_row_in_hostile_snowflake() {
    if let Some(account) = snowflake::SnowflakeDatabases::hostile() {
        random::kill_and_compare(&account);
    }
}

/// The upstream of the named steps.
fn upstream(runtime: &Runtime) -> GithubServer {
    let upstream = GithubServer::builder().seed(number("SNOWFEED_SEED").unwrap_or(9)).repository(REPOSITORY, ISSUES);
    runtime.block_on(upstream.start()).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The sampling that `SNOWFEED_STEPS` sets, or the default.
fn sampling(default: Sampling) -> Sampling {
    number("SNOWFEED_STEPS").map_or(default, |steps| Sampling { per_name: usize::try_from(steps).unwrap(), one_in: 1 })
}

#[test]
fn no_kill_at_a_named_step_loses_or_duplicates_a_row() {
    let (runtime, files) = (runtime(), target::SqliteFiles::new());
    let Some(calls) = syscalls::Syscalls::new(&files) else { return };
    let upstream = upstream(&runtime);
    let mut matrix = Matrix::new(&upstream, &files);
    matrix.kill_at_each(&crash_points::Requests, sampling(Sampling { per_name: 2, one_in: 1 }));
    matrix.kill_at_each(&calls, sampling(Sampling { per_name: 4, one_in: 1 }));
    matrix.report();
}

#[cfg(feature = "snowflake")]
#[test]
fn no_kill_at_a_named_step_loses_or_duplicates_a_row_in_snowflake() {
    use proxy::Side;
    let runtime = runtime();
    let Some(account) = snowflake::SnowflakeDatabases::new() else { return };
    let upstream = upstream(&runtime);
    let proxy = statements::proxy(&account, &runtime);
    let mut matrix = Matrix::new(&upstream, &account);
    matrix
        .kill_at_each(&statements::Statements::new(&proxy, Side::After), sampling(Sampling { per_name: 1, one_in: 7 }));
    // The server is slow, and its state before a statement is the same as after the previous one.
    if number("SNOWFEED_STEPS").is_some() {
        let every_step = sampling(Sampling { per_name: 1, one_in: 1 });
        matrix.kill_at_each(&statements::Statements::new(&proxy, Side::Before), every_step);
        matrix.kill_at_each(&crash_points::Requests, every_step);
    }
    matrix.report();
}
