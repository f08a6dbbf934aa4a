//! The GitHub source's read plan against a simulated list. Separate from `tests/github`, whose timeouts this load would exceed.
#![cfg(all(feature = "github", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod request_count;
mod simulation;
