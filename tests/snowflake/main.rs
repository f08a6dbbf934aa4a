//! Snowflake: the client against a scripted server, stages against the clouds' emulators, settings as Snowflake's own tools
//! read them.
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
