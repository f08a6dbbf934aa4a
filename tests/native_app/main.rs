//! The native app: its image.
#![cfg(feature = "native-app")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "../support/peers.rs"]
mod peers;

mod image;
