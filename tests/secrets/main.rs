//! Secrets: the tests pass an easily found one to the program in every possible way, and search for it in all of the program's
//! output: printed text at every level, errors, reports, bundles, databases and logs.

#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[cfg(feature = "snowflake")]
#[path = "../support/peers.rs"]
mod peers;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod support;

mod canary;
mod commands;
mod core_files;
mod echo;
mod failures;
mod leaks;
mod permissions;
mod planted_settings;
#[cfg(feature = "snowflake")]
mod snowflake;
mod terminal;
