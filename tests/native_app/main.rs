//! The native app: the generated files, and whether Snowflake's own tools accept them; the image; the Python inside.
#![cfg(all(feature = "native-app", feature = "cli", feature = "github"))]
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

#[path = "../support/containers.rs"]
mod containers;
#[path = "../support/guide.rs"]
mod guide;
#[path = "../support/json_schema.rs"]
mod json_schema;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/scripted.rs"]
mod scripted;

mod bundle;
mod cli;
mod deploy;
#[cfg(all(feature = "rest", feature = "sqlite", feature = "testkit"))]
mod described;
#[path = "../support/example.rs"]
mod example;
mod golden;
mod guides;
mod hostile;
mod image;
mod planted;
mod python;
mod snow;
mod support;
