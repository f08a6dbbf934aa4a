//! GitHub issues, read from the test kit's upstream: every pitfall of the reference notes by its number, delivery under
//! change and crashes, access, and real recordings where they are present.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod access;
mod conformance;
mod deletions;
mod delivery;
mod discover;
mod drift;
#[path = "../support/environment.rs"]
mod environment;
mod excluded;
mod gateway;
mod limits;
mod outrun;
#[path = "../support/payloads.rs"]
mod payloads;
mod pitfalls;
mod recordings;
mod refusals;
mod requests;
mod streams;
mod stubborn;
mod support;
mod validators;
#[path = "../support/warnings.rs"]
mod warnings;
