//! Reference sources.

pub mod github;
