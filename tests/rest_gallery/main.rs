//! The descriptions in `examples/rest`, each against a server that behaves as the documentation of that API says.
#![cfg(all(feature = "rest", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod freshdesk;
mod hubspot;
mod jira;
mod linear;
mod pagerduty;
mod slack;
mod stripe;
mod support;
mod table;
mod zendesk;
