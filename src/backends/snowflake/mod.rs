//! Snowflake as destination, configuration and state.

pub mod client;
pub mod connection;
pub mod stage;
