//! Estimates what a load takes.

use std::time::Duration;

use crate::backends::snowflake::Snowflake;
use crate::backends::snowflake::staging::{MAX_COMMIT_RECORDS, MAX_FILE_BYTES};
use crate::{Limits, Load, LoadEstimate};

/// How much smaller gzip makes JSON documents: GitHub's issues become a sixth.
const COMPRESSION: u64 = 6;

/// The reads of settings and states.
const READS: u64 = 2;

/// The statements of a commit, those of one that is staged, and those of a new resource: see docs/guides/snowflake.md#what-it-costs.
const COMMIT: u64 = 6;
const STAGED_COMMIT: u64 = 8;
const NEW_RESOURCE: u64 = 12;

/// How long a small X-Small warehouse works for a commit, and for each MiB of compressed files. Unverified: see
/// docs/unverified.md#warehouse-seconds.
const COMMIT_TIME: Duration = Duration::from_secs(2);
const MIB_TIME: Duration = Duration::from_millis(200);

/// How long the warehouse stays awake after a commit: `AUTO_SUSPEND = 60`.
const AUTO_SUSPEND: Duration = Duration::from_secs(60);

impl Snowflake {
    /// The commits of a load: its size decides, or the time until a commit is due.
    pub(in crate::backends::snowflake) fn estimate_load(&self, load: Load, limits: &Limits) -> LoadEstimate {
        let by_time = load.read_time.as_secs() / limits.commit_after.as_secs().max(1);
        let is_bound = load.bytes <= (self.0.max_bind_bytes as u64).saturating_mul(load.streams);
        let staged_bytes = if is_bound { 0 } else { load.bytes / COMPRESSION };
        let by_size = staged_bytes.div_ceil(self.0.stages.commit_bytes).max(load.records.div_ceil(MAX_COMMIT_RECORDS));
        let commits = load.streams.max(by_size).max(by_time.min(load.records));
        let files = staged_bytes.div_ceil(MAX_FILE_BYTES as u64);
        let of_commit = if is_bound { COMMIT } else { STAGED_COMMIT };
        let statements = READS + load.new_resources * NEW_RESOURCE + commits * of_commit + files;
        let [commits_u32, mib] = [commits, staged_bytes >> 20].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let busy = COMMIT_TIME.saturating_mul(commits_u32) + MIB_TIME.saturating_mul(mib);
        // Commits that follow each other within a minute share it.
        let awake = (AUTO_SUSPEND.saturating_mul(commits_u32)).min(load.read_time + AUTO_SUSPEND);
        let ms = if commits == 0 { 0 } else { u64::try_from((busy + awake).as_millis()).unwrap_or(u64::MAX) };
        LoadEstimate::new(commits, statements, staged_bytes, self.0.credits.size().credits(ms))
    }
}
