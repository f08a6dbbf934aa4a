//! Where data goes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytestring::ByteString;
use jiff::Timestamp;

use crate::config::ConfigStore;
use crate::state::{Counts, RunId, StateChange, StateStore, StateVersion};
use crate::{Error, ErrorKind, Record, Reject, Resource, Result, TableSpec, Version};

/// Bounds on what the engine holds and on how much it commits at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Read at most so many bytes ahead of the destination, for all resources of an ingestion together.
    pub read_ahead: usize,
    /// Commit when so many records are waiting…
    pub commit_rows: usize,
    /// … or so many bytes; at most half of `read_ahead`, because what waits to be committed has been read ahead …
    pub commit_bytes: usize,
    /// … or when the oldest of them has waited for so long.
    pub commit_after: Duration,
    /// How many state entries and runs of each resource are kept.
    pub history: usize,
    /// A reconcile run marks at most this many rows of a table deleted, or [`max_deleted_percent`](Self::max_deleted_percent) of
    /// them where that is more. If more have disappeared, it marks none and ends as partial, until a person
    /// [confirms](crate::engine::IngestRequest::allow_deletions).
    pub max_deleted_rows: u64,
    /// The share of a table's live rows that a reconcile run may mark deleted, in percent. 100 switches the bound off.
    pub max_deleted_percent: u8,
}

impl Default for Limits {
    /// 6 MiB read ahead; commits of 5,000 records, 3 MiB or 1 second; 200 entries of history; deletions of 10 rows or 10 percent.
    fn default() -> Self {
        Self {
            read_ahead: 6 << 20,
            commit_rows: 5_000,
            commit_bytes: 3 << 20,
            commit_after: Duration::from_secs(1),
            history: 200,
            max_deleted_rows: 10,
            max_deleted_percent: 10,
        }
    }
}

/// The rows of one table in a [`Commit`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableRows {
    /// The table's name.
    pub table: String,
    /// The records, in order.
    pub records: Vec<Record>,
    /// What could not be made a record of; to be kept beside the tables.
    pub rejects: Vec<Reject>,
    /// Rejects to be forgotten, where they are kept: they no longer hold. None of them is among `rejects`.
    pub corrected: Vec<Reject>,
}

/// What a commit does with a state that is older than the stored one, where the pass has not marked its key yet. Once a key is
/// marked, its states are compared by version, so that no page that was read before an update wins over that update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StalePolicy {
    /// It is skipped, and its key is marked.
    Skip,
    /// It is skipped, and its key is not marked, so that [`unseen`](Sink::unseen) gives the stored record and the source is asked
    /// about it. Where the stored row is a deletion, it revives the row.
    Verify,
    /// It replaces the stored state. A deletion keeps the stored version, so that no older state revives the row.
    Replace,
}

/// What a commit means for a full pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// This pass knows of the keys of this commit: mark them.
    Mark(RunId, StalePolicy),
    /// The pass is over: forget what it has seen, and the rejects that it has not met.
    Finish(RunId),
    /// The pass is given up: forget what it has seen, and nothing else.
    Abandon(RunId),
    /// The commit belongs to no pass and makes no progress: store its change of state, its run record too, only if it writes a row.
    /// Then a pass that has read before is refused.
    Fence,
}

/// What becomes visible together: rows, and the state that holds with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The resource that the rows belong to.
    pub resource: Resource,
    /// The run that commits.
    pub run: RunId,
    /// The clock's time: the one that the rows' metadata carry.
    pub at: Timestamp,
    /// The rows, by table.
    pub rows: Vec<TableRows>,
    /// What the commit means for a full pass, where one is under way.
    pub sweep: Option<Sweep>,
    /// The change of state. `None` where the state is kept elsewhere.
    pub change: Option<StateChange>,
}

impl Commit {
    /// The id under which the commit's rejects are met: its run, or its pass if that is newer. At the end of a pass, whatever was
    /// met under an older id is no longer outstanding.
    pub fn rejects_seen_by(&self) -> RunId {
        match self.sweep {
            Some(Sweep::Mark(pass, _)) => self.run.max(pass),
            _ => self.run,
        }
    }

    /// The change of state to store, with what the commit has counted in its run record; `None` where there is none, or where
    /// [`Sweep::Fence`] finds that no row was written.
    pub fn counted_change(&self, counts: &Counts) -> Option<StateChange> {
        let mut change = self.change.clone().filter(|_| self.sweep != Some(Sweep::Fence) || counts.changed())?;
        change.count(counts);
        Some(change)
    }
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitReport {
    /// What became of the records and rejects; they add up to what the commit held.
    pub counts: Counts,
    /// The state's version after the commit; `None` when the commit held no change of state.
    pub version: Option<StateVersion>,
}

/// Which records of a table a full pass has not come across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenQuery {
    /// The resource.
    pub resource: Resource,
    /// The table.
    pub table: String,
    /// The pass.
    pub sweep: RunId,
    /// Only keys after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// The live rows of a table, for a full pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveRows {
    /// How many there are.
    pub live: u64,
    /// How many of them no commit has marked for this pass.
    pub unseen: u64,
}

/// Which rejects are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RejectQuery {
    /// Only those of this resource.
    pub resource: Option<Resource>,
    /// At most this many are given; all are counted.
    pub limit: usize,
    /// Only those are given of which at most this many bytes were received; all are counted.
    pub max_raw: Option<usize>,
}

/// The rejects that the source has not been seen to correct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutstandingRejects {
    /// How many there are, by the name of the resource; resources without any are missing.
    pub counts: BTreeMap<String, u64>,
    /// Some of them, those that were met last first.
    pub rejects: Vec<StoredReject>,
}

impl OutstandingRejects {
    /// How many there are of all resources together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// A reject as the destination has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReject {
    /// The resource that it belongs to.
    pub resource: String,
    /// The table that it was meant for.
    pub table: String,
    /// Why it is no record.
    pub reason: String,
    /// What was received; a sink may keep only its beginning.
    pub raw: ByteString,
    /// When it was first met.
    pub first_seen: Timestamp,
    /// When it was last met.
    pub last_seen: Timestamp,
}

/// A live record as the destination has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: Version,
    /// Its document.
    pub json: ByteString,
}

/// A row as the destination has it, deleted or not, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Its key.
    pub key: String,
    /// The version of its newest state.
    pub version: Version,
    /// Its newest document; `None` when only its deletion was ever seen.
    pub json: Option<ByteString>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// When it was marked deleted; `None` for a live row.
    pub deleted_at: Option<Timestamp>,
}

/// Where data goes: tables of raw documents with typed views over them.
///
/// # Contract
/// 1. `ensure_tables` makes tables and views where they are missing, adds columns that are new, and removes nothing.
///    It is repeatable, also while another connection does the same.
/// 2. `commit` makes rows and state visible together, or nothing of it. A commit that failed can be tried again.
/// 3. Of two states of a key the one with the higher version stays, in whatever order they arrive. An equal version
///    replaces the stored state when the text differs or the operation does; of two in one commit the later one counts.
///    In a commit that marks, [`StalePolicy`] decides about the first state of a key that the pass brings.
/// 4. An upsert that changes nothing rewrites nothing: neither the row nor its metadata.
/// 5. A deletion keeps the row and its last document and marks it `deleted_at`. A deletion of an unknown key is
///    remembered, so that an older upsert that arrives later does not revive it. An upsert that wins revives.
/// 6. The report adds up: offered = inserted + updated + unchanged + deleted + skipped + rejected. An older state is skipped
///    with the reason [`Counts::OLDER`]; a deletion of a deleted key is unchanged.
/// 7. A change of state whose base is not the newest version is refused with a [`Conflict`](crate::ErrorKind::Conflict), and
///    with it the whole commit. With [`Sweep::Fence`] the change is left out where no row is written, and the report has no version.
/// 8. Documents come back byte for byte, and any text is a legal key and a legal resource name. Resources are apart.
/// 9. Rejects are kept, with their reason, each once, and `rejects` gives and counts them. A commit forgets those that it says are
///    [corrected](TableRows::corrected), and [`Sweep::Finish`] those of the resource that neither its pass nor a later run has met.
/// 10. `unseen` gives, ordered by key, the live records of the table that no commit has marked for this pass, and `live_rows`
///     counts them. A mark costs no rewriting of the row. Marks are durable with their commit, and gone after `Finish`.
/// 11. A commit for a table or resource that was not ensured is an [`Internal`](crate::ErrorKind::Internal) error, and changes nothing.
/// 12. The run record of a commit's change is stored with what the commit has counted (see [`StateChange::count`]).
///
/// The suite is `sink_conformance!` of the test kit.
///
/// # Cancellation
/// A dropped `commit` has happened wholly or not at all; the caller cannot know which, and the version fence tells a retry.
///
/// # Errors
/// [`Conflict`](crate::ErrorKind::Conflict) as above; [`Unavailable`](crate::ErrorKind::Unavailable) when the destination cannot
/// be reached or written.
#[async_trait]
pub trait Sink: Debug + Send + Sync + 'static {
    /// Makes room for a resource: each of its source's tables, the typed view over all resources, and the view of this
    /// one (see [`view_name`](crate::table::view_name)).
    async fn ensure_tables(&self, resource: &Resource, tables: &[TableSpec]) -> Result<()>;

    /// Makes rows and state visible together.
    async fn commit(&self, commit: Commit) -> Result<CommitReport>;

    /// The live records of a table that a full pass has not come across, ordered by key.
    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>>;

    /// Counts the live rows of a table, and those that a full pass has not come across. `after` and `limit` do not count.
    /// By default it reads them all.
    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        let mut counted = [0, 0];
        // A pass that has just begun has seen nothing.
        for (count, sweep) in counted.iter_mut().zip([RunId::new(), query.sweep]) {
            let mut after = None;
            loop {
                let query = UnseenQuery { sweep, after: after.take(), limit: 1_000, ..query.clone() };
                let records = self.unseen(query).await?;
                *count += records.len() as u64;
                let Some(last) = records.last() else { break };
                after = Some(last.key.clone());
            }
        }
        let [live, unseen] = counted;
        Ok(LiveRows { live, unseen })
    }

    /// The outstanding rejects, those that were met last first, and how many there are of each resource.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) unless a sink says otherwise.
    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let _ = query;
        Err(Error::new(ErrorKind::Unsupported, "this destination does not list what was rejected"))
    }

    /// The bounds that suit this destination: how much it likes to be given at once.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// A destination that also keeps configuration and state, and commits rows and state in one transaction.
///
/// It is implemented for every type that has the three traits; a type must not have all three unless its
/// [`commit`](Sink::commit) stores the [`StateChange`] in the [`StateStore`] that it is itself.
pub trait Backend: Sink + ConfigStore + StateStore {}

impl<T: Sink + ConfigStore + StateStore> Backend for T {}
