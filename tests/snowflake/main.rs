//! Snowflake: the client against a scripted server, stages against the clouds' emulators, settings as Snowflake's own tools
//! read them.
#![cfg(feature = "snowflake")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "../support/peers.rs"]
mod peers;

mod answers;
mod fakesnow;
mod login;
mod scripted;
mod session;
mod silence;
mod stage;
