//! The native app: what is generated, and whether Snowflake's own tools take it.
#![cfg(feature = "native-app")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "../support/peers.rs"]
mod peers;

mod bundle;
mod golden;
mod hostile;
mod snow;
mod support;
