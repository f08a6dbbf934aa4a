//! The bounds of an ingestion.

use std::time::Duration;

/// Bounds on memory, on the size of commits, and on deletions.
///
/// ```
/// use snowfeed::Limits;
///
/// let limits = Limits::default().commit_rows(20_000).history(50);
/// assert_eq!(limits.commit_rows, 20_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of bytes read ahead of the destination, for all resources of an ingestion together.
    pub read_ahead: usize,
    /// Commit when this many records are waiting…
    pub commit_rows: usize,
    /// … or this many bytes; at most half of `read_ahead`, because what waits for a commit has been read ahead …
    pub commit_bytes: usize,
    /// … or when the oldest of them has waited this long.
    pub commit_after: Duration,
    /// Whether to [stage](super::Sink::stage) records while they are read. Then records that reach `commit_rows` or `commit_bytes` are staged
    /// instead, and committed when the stage is full, at the end of the stream, or after `commit_after`.
    pub stage: bool,
    /// The number of state entries and of runs to keep for each stream of a resource.
    pub history: usize,
    /// A [metered](crate::StateStore::is_metered) store records a run that found nothing new if the newest recorded one of its stream
    /// began this long ago; zero: never. If the store is awake because of other writes, an hour is enough.
    pub heartbeat: Duration,
    /// The runs of a resource in one ingestion mark at most this many rows of a table deleted, or
    /// [`max_deleted_percent`](Self::max_deleted_percent) of them if that is more. If more have disappeared, the run that finds it ends as
    /// partial, until a user [confirms](crate::engine::IngestRequest::allow_deletions).
    pub max_deleted_rows: u64,
    /// The share of a table's live rows that may be marked deleted, in percent. 100 disables the limit.
    pub max_deleted_percent: u8,
}

impl Default for Limits {
    /// 6 MiB read ahead; commits of 5,000 records, 3 MiB or 1 second; 200 entries of history for each stream; a heartbeat a day; deletions of 10 rows or 10 percent.
    fn default() -> Self {
        Self {
            read_ahead: 6 << 20,
            commit_rows: 5_000,
            commit_bytes: 3 << 20,
            commit_after: Duration::from_secs(1),
            stage: false,
            history: 200,
            heartbeat: Duration::from_secs(24 * 60 * 60),
            max_deleted_rows: 10,
            max_deleted_percent: 10,
        }
    }
}

impl Limits {
    /// Sets [`read_ahead`](Self::read_ahead).
    #[must_use]
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.read_ahead = bytes;
        self
    }

    /// Sets [`commit_rows`](Self::commit_rows).
    #[must_use]
    pub fn commit_rows(mut self, rows: usize) -> Self {
        self.commit_rows = rows;
        self
    }

    /// Sets [`commit_bytes`](Self::commit_bytes).
    #[must_use]
    pub fn commit_bytes(mut self, bytes: usize) -> Self {
        self.commit_bytes = bytes;
        self
    }

    /// Sets [`commit_after`](Self::commit_after).
    #[must_use]
    pub fn commit_after(mut self, after: Duration) -> Self {
        self.commit_after = after;
        self
    }

    /// Sets [`stage`](Self::stage).
    #[must_use]
    pub fn stage(mut self, stage: bool) -> Self {
        self.stage = stage;
        self
    }

    /// Sets [`history`](Self::history).
    #[must_use]
    pub fn history(mut self, entries: usize) -> Self {
        self.history = entries;
        self
    }

    /// Sets [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Sets [`max_deleted_rows`](Self::max_deleted_rows).
    #[must_use]
    pub fn max_deleted_rows(mut self, rows: u64) -> Self {
        self.max_deleted_rows = rows;
        self
    }

    /// Sets [`max_deleted_percent`](Self::max_deleted_percent).
    #[must_use]
    pub fn max_deleted_percent(mut self, percent: u8) -> Self {
        self.max_deleted_percent = percent;
        self
    }
}
