//! Faults of the network and of the disk, each caused for real: a TCP proxy that corrupts responses, a small file system
//! that is full, a process without permissions, a power cut. Each must end in a clear error with advice, and a rerun must store
//! everything.
//!
//! `cargo test --all-features --test faults -- --nocapture` prints a table of fault, error and outcome.
#![cfg(all(feature = "cli", feature = "github"))]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod disk;
#[path = "../support/environment.rs"]
mod environment;
#[path = "../support/example.rs"]
mod example;
mod faulty_proxy;
mod memory;
mod network;
mod outage;
mod power;
mod program;
mod scenario;
