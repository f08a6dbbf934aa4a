//! Secrets: one that is easy to find is given to the program in every way there is, and looked for in everything that comes out
//! of it: what it prints at every level, its errors, reports, bundles, databases and logs.

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
