//! Described sources against servers that behave like real ones.
#![cfg(all(feature = "rest", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod bad_input;
mod conformance;
mod corrections;
mod documents;
mod errors;
mod extension;
mod helpdesk;
mod kinds;
mod oauth2;
mod order;
mod requests;
mod rules;
mod secrets;
mod spec;
mod support;
