//! The HTTP client against servers that behave like real ones.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod answers;
mod broken;
mod certificates;
mod credentials;
#[path = "../support/environment.rs"]
mod environment;
mod layers;
mod limits;
mod mock_api;
#[path = "../support/payloads.rs"]
mod payloads;
mod recorded;
mod redirects;
mod support;
mod validators;
