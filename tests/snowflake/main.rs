//! Snowflake: what is sent to it, what that costs and what a user finds there, on a server of the tests; the engine above a client
//! that fails; stages against the clouds' emulators.
#![cfg(feature = "snowflake")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod cost;
mod engine;
mod golden;
mod mocks;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/probes.rs"]
mod probes;
#[path = "../support/recording.rs"]
mod recording;
mod source;
mod sql;
mod stage;
mod support;
#[path = "../support/views.rs"]
mod views;
mod worksheet;
