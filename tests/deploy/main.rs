//! The recipes of the guide `deploy.md`, run: systemd, cron, a container, Kubernetes, an account of Snowflake. What the guide quotes,
//! counts and claims is compared with the files, the program and the source.

#![cfg(all(
    target_os = "linux",
    feature = "cli",
    feature = "github",
    feature = "metrics",
    feature = "rest",
    feature = "snowflake",
    feature = "sqlite",
    feature = "testkit"
))]
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

mod account;
mod container;
#[path = "../support/containers.rs"]
mod containers;
mod cost;
mod cron;
#[path = "../support/guide.rs"]
mod guide;
mod helpdesk;
mod kubernetes;
mod machine;
#[path = "../support/peers.rs"]
mod peers;
mod quotes;
mod systemd;
