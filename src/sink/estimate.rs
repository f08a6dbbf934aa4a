//! What loading would take.

use std::time::Duration;

use serde::Serialize;

use crate::cost::Credits;

/// What an ingestion is expected to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Load {
    /// The resources that were never enabled.
    pub new_resources: u64,
    /// The streams that have records.
    pub streams: u64,
    /// The records of all streams.
    pub records: u64,
    /// The bytes of their documents, before compression.
    pub bytes: u64,
    /// How long reading them takes.
    pub read_time: Duration,
}

/// What a load takes in a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoadEstimate {
    /// The commits.
    pub commits: u64,
    /// The statements.
    pub statements: u64,
    /// The bytes that are uploaded, compressed.
    pub staged_bytes: u64,
    /// The credits.
    pub credits: Credits,
}

impl LoadEstimate {
    /// An estimate.
    pub fn new(commits: u64, statements: u64, staged_bytes: u64, credits: Credits) -> Self {
        Self { commits, statements, staged_bytes, credits }
    }
}
