//! The engine, against scripted sources, the memory backend and mocks.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod append;
mod backend;
mod budget;
mod check;
mod children;
mod contract;
mod current_health;
mod deletion_feeds;
mod deletions;
mod delivery;
mod discover;
mod group_commits;
mod health;
mod identity;
mod inference;
mod metered;
mod metered_serve;
mod mocks;
mod newest;
mod operations;
mod reconcile;
mod records;
mod rejects;
mod runs;
mod serve;
mod snapshots;
mod source_wide;
mod split_stores;
mod staging;
mod state_size;
mod store;
mod streams;
mod support;
mod tree;
