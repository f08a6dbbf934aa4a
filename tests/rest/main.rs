//! Described sources against servers that behave like real ones.
#![cfg(all(feature = "rest", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod helpdesk;
mod spec;
mod support;
