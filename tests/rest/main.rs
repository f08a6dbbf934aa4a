//! Described sources against servers that behave like real ones.
#![cfg(all(feature = "rest", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod bad_input;
mod clock;
mod conformance;
mod corrections;
mod documents;
mod endings;
mod errors;
mod extension;
mod gone;
mod helpdesk;
mod kinds;
mod oauth2;
mod order;
mod proposals;
mod requests;
mod rules;
mod secrets;
mod spec;
mod support;
