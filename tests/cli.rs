//! The command line, as a user sees it: the example binaries as separate processes, against an upstream on loopback.

#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[cfg(any(feature = "otlp", feature = "snowflake"))]
#[path = "support/peers.rs"]
mod peers;

#[path = "cli/colours.rs"]
mod colours;
#[path = "cli/commands.rs"]
mod commands;
#[cfg(all(unix, feature = "snowflake"))]
#[path = "cli/completion.rs"]
mod completion;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/estimate.rs"]
mod estimate;
#[path = "cli/health.rs"]
mod health;
#[path = "cli/json.rs"]
mod json;
#[path = "support/json_schema.rs"]
mod json_schema;
#[path = "cli/log.rs"]
mod log;
#[cfg(all(unix, feature = "metrics", feature = "snowflake"))]
#[path = "cli/monitoring.rs"]
mod monitoring;
#[cfg(unix)]
#[path = "cli/notify.rs"]
mod notify;
#[path = "cli/own_backend.rs"]
mod own_backend;
#[path = "cli/read_only.rs"]
mod read_only;
#[path = "cli/rejects.rs"]
mod rejects;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/signals.rs"]
mod signals;
#[cfg(feature = "snowflake")]
#[path = "cli/snowflake.rs"]
mod snowflake;
#[path = "cli/streams/mod.rs"]
mod streams;
#[path = "cli/support.rs"]
mod support;
#[cfg(all(unix, feature = "metrics", feature = "snowflake"))]
#[path = "cli/surfaces.rs"]
mod surfaces;
#[cfg(all(unix, feature = "otlp", feature = "snowflake"))]
#[path = "cli/traces.rs"]
mod traces;
#[cfg(not(feature = "snowflake"))]
#[path = "cli/without_snowflake.rs"]
mod without_snowflake;
