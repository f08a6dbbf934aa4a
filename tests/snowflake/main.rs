//! Snowflake: the client against a scripted server and an imitation of Snowflake, stages against the clouds' emulators, the
//! backend's statements and their cost, the views as a user sees them, the engine over a failing client.
#![cfg(feature = "snowflake")]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/probes.rs"]
mod probes;
#[path = "../support/recording.rs"]
mod recording;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/untyped.rs"]
mod untyped;
#[path = "../support/views.rs"]
mod views;

mod answers;
mod bad_input;
mod careless;
mod children;
mod cost;
mod documents;
mod edited_rows;
mod engine;
mod expiry;
mod fakesnow;
mod golden;
mod hostile;
mod idle_day;
mod inference;
mod loads;
mod login;
mod many_streams;
mod migration;
mod mocks;
mod options;
mod parameters;
mod query_tags;
mod redirects;
mod rules;
mod sequences;
mod session;
mod silence;
mod sizes;
mod source;
mod spending;
mod sql;
mod stage;
mod staging;
mod stream_migration;
mod streams;
mod support;
mod transactions;
mod upgrade;
#[path = "../support/warnings.rs"]
mod warnings;
mod worksheet;
