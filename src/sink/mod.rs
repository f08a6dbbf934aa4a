//! The trait that a destination implements, and the types of its methods.

mod estimate;
mod limits;
pub mod merge;
mod stage;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::config::ConfigStore;
use crate::cost::Credits;
use crate::state::{Counts, RunId, StateChange, StateKey, StateStore, StateVersion};
use crate::{Column, Error, ErrorKind, Evidence, Position, Record, Reject, Resource, Result, Sequence, StreamSpec};

pub use estimate::{Load, LoadEstimate};
pub use limits::Limits;
pub use stage::{Stage, StagedRecords};
pub use stored::{
    LiveRows, OutstandingRejects, RejectQuery, RowQuery, RowSelection, SelectedRow, StoredRecord, StoredReject,
    StoredRow, UnseenQuery,
};

/// What a reconcile run's commit does with a state older than the stored one, if the run has not marked its key yet. Once a key is
/// marked, its states are compared by version, so that no page read before an update replaces that update.
///
/// It is exhaustive: a destination that ignored a new policy would lose data. [`Merge`](merge::Merge) applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StalePolicy {
    /// Skips it, and marks its key.
    Skip,
    /// Skips it, and does not mark its key, so that [`unseen`](Sink::unseen) returns the stored record and the source is asked
    /// about it. If the stored row is a deletion, revives the row.
    Verify,
    /// Replaces the stored state. A deletion keeps the stored version, so that no older state revives the row.
    Replace,
}

/// The effect of a commit on a reconcile run, which marks the keys that the source lists, then sweeps the others.
///
/// It is exhaustive: a destination that ignored a new variant would lose data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// The reconciliation of this id has seen the keys of this commit: mark them.
    Mark(RunId, StalePolicy),
    /// The reconciliation is complete: delete its marks, and the rejects that it has not seen.
    Finish(RunId),
    /// The reconciliation is abandoned: delete its marks, and nothing else.
    Abandon(RunId),
    /// The commit belongs to no reconciliation and makes no progress: store its change of state, with its run record, only if it
    /// writes a row. Then a reconcile run that read before the commit is refused.
    Fence,
}

/// The parts of several streams of one resource, which become visible together.
///
/// ```
/// use snowfeed::{Commit, Record, Resource, RunId, StreamCommit};
///
/// let earth = Record::upsert("3", 1, r#"{"name":"Earth"}"#);
/// let commit = Commit::new(Resource::new("sun")?, snowfeed::jiff::Timestamp::now())
///     .part(StreamCommit::new("planets", RunId::new()).records([earth]));
/// assert_eq!(commit.parts[0].records.len(), 1);
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The resource that the rows belong to.
    pub resource: Resource,
    /// The time for the rows' metadata.
    pub at: Timestamp,
    /// At most one part of each stream; see [`validate`](Self::validate).
    pub parts: Vec<StreamCommit>,
}

impl Commit {
    /// A commit without parts.
    pub fn new(resource: Resource, at: Timestamp) -> Self {
        Self { resource, at, parts: Vec::new() }
    }

    /// Adds the part of a stream.
    #[must_use]
    pub fn part(mut self, part: StreamCommit) -> Self {
        self.parts.push(part);
        self
    }

    /// Checks that no two parts are of the same stream, and that no part has both records and staged ones. A sink calls it before it
    /// writes anything.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal): the caller of [`Sink::commit`] has a bug.
    pub fn validate(&self) -> Result<()> {
        if let Some(part) = self.parts.iter().find(|part| part.staged.is_some() && !part.records.is_empty()) {
            let both =
                format!("a commit of {} has records and staged ones of the stream {:?}", self.resource, part.stream);
            return Err(Error::internal(both).with_help("commit what is staged first, and then the records"));
        }
        let mut streams = BTreeSet::new();
        match self.parts.iter().find(|part| !streams.insert(part.stream.as_str())) {
            None => Ok(()),
            Some(StreamCommit { stream, .. }) => {
                Err(Error::internal(format!("a commit of {} has two parts of the stream {stream:?}", self.resource))
                    .with_help("put all changes of a stream into one part, or commit them one after the other"))
            }
        }
    }
}

/// The part of one stream in a [`Commit`]: rows, and the state after them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamCommit {
    /// The stream's name.
    pub stream: String,
    /// The run that commits.
    pub run: RunId,
    /// The records, in order.
    pub records: Vec<Record>,
    /// Records that a [`Stage`] of the same sink has accepted. Then there are no other records.
    pub staged: Option<StagedRecords>,
    /// Rejects, to be kept beside the tables.
    pub rejects: Vec<Reject>,
    /// Stored rejects to be deleted because they no longer hold. None of them is among `rejects`.
    pub corrected: Vec<Reject>,
    /// Rows that were verified to be gone by a run of another stream: each is marked deleted if it still has this sequence.
    pub gone: Vec<Position>,
    /// The effect on a reconcile run, if the part belongs to one.
    pub sweep: Option<Sweep>,
    /// The change of state; `None` if another store keeps the state.
    pub change: Option<StateChange>,
}

impl StreamCommit {
    /// A part without rows.
    pub fn new(stream: impl Into<String>, run: RunId) -> Self {
        Self {
            stream: stream.into(),
            run,
            records: Vec::new(),
            staged: None,
            rejects: Vec::new(),
            corrected: Vec::new(),
            gone: Vec::new(),
            sweep: None,
            change: None,
        }
    }

    /// Adds records.
    #[must_use]
    pub fn records(mut self, records: impl IntoIterator<Item = Record>) -> Self {
        self.records.extend(records);
        self
    }

    /// Sets the staged records.
    #[must_use]
    pub fn staged(mut self, staged: StagedRecords) -> Self {
        self.staged = Some(staged);
        self
    }

    /// Adds records that the source was asked about one by one: each replaces the stored state, [whatever the version](Evidence::Verified).
    #[must_use]
    pub fn verified(self, records: impl IntoIterator<Item = Record>) -> Self {
        self.records(records.into_iter().map(|record| record.with_evidence(Evidence::Verified)))
    }

    /// Adds a record that a run of another stream has asked the source about: it replaces the stored state if the row still has
    /// [this sequence](Evidence::VerifiedAt).
    #[must_use]
    pub fn verified_at(self, sequence: Sequence, record: Record) -> Self {
        self.records([record.with_evidence(Evidence::VerifiedAt(sequence))])
    }

    /// Adds rejects.
    #[must_use]
    pub fn rejects(mut self, rejects: impl IntoIterator<Item = Reject>) -> Self {
        self.rejects.extend(rejects);
        self
    }

    /// Adds stored rejects that no longer hold.
    #[must_use]
    pub fn corrected(mut self, rejects: impl IntoIterator<Item = Reject>) -> Self {
        self.corrected.extend(rejects);
        self
    }

    /// Adds rows that are gone.
    #[must_use]
    pub fn gone(mut self, rows: impl IntoIterator<Item = Position>) -> Self {
        self.gone.extend(rows);
        self
    }

    /// Sets the effect on a reconcile run.
    #[must_use]
    pub fn sweep(mut self, sweep: Sweep) -> Self {
        self.sweep = Some(sweep);
        self
    }

    /// Sets the change of state.
    #[must_use]
    pub fn change(mut self, change: StateChange) -> Self {
        self.change = Some(change);
        self
    }

    /// The id to store as the last one that has seen the part's rejects: its run, or its reconciliation if that is newer.
    /// [`Sweep::Finish`] deletes the rejects with an older id.
    pub fn rejects_seen_by(&self) -> RunId {
        match self.sweep {
            Some(Sweep::Mark(reconciliation, _)) => self.run.max(reconciliation),
            _ => self.run,
        }
    }

    /// The change of state to store, with `counts` added to its run record. `None` if there is none, or if no row was written and
    /// the part is a [`Sweep::Fence`].
    pub fn counted_change(&self, counts: &Counts) -> Option<StateChange> {
        let mut change = self.change.clone().filter(|_| self.sweep != Some(Sweep::Fence) || counts.changed())?;
        change.count(counts);
        Some(change)
    }
}

/// The result of a commit, by stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CommitReport {
    /// One for each part of the commit.
    pub streams: BTreeMap<String, StreamReport>,
}

impl CommitReport {
    /// A report without streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the report of a stream.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>, report: StreamReport) -> Self {
        self.streams.insert(stream.into(), report);
        self
    }

    /// The counts of all streams.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.streams.values().for_each(|report| sum += &report.counts);
        sum
    }
}

/// What a commit did to one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamReport {
    /// The counts of the records and rejects, which account for the whole part.
    pub counts: Counts,
    /// The state's version after the commit; `None` if the commit stored no change of the stream's state.
    pub version: Option<StateVersion>,
    /// The credits that the commit has used, as the sink estimates them. They are also in the stored change, see [`StateChange::spend`].
    pub credits: Credits,
}

impl StreamReport {
    /// A report of a commit without cost.
    pub fn new(counts: Counts, version: Option<StateVersion>) -> Self {
        Self { counts, version, credits: Credits::ZERO }
    }

    /// Sets the credits.
    #[must_use]
    pub fn credits(mut self, credits: Credits) -> Self {
        self.credits = credits;
        self
    }
}

/// Returns the error for a change whose base is not the newest version.
pub(crate) fn conflict(key: &StateKey, base: StateVersion, newest: StateVersion) -> Error {
    Error::new(ErrorKind::Conflict, format!("another run of {key} has moved on since this one started"))
        .with_context("base", base.0)
        .with_context("newest", newest.0)
        .with_help("let the other run end, then start again: nothing of this commit was stored")
}

/// Returns the error for a table or resource that `ensure_streams` was not called for.
pub(crate) fn not_ensured(resource: &Resource, table: &str) -> Error {
    Error::internal(format!("there is no table {table:?} for the resource {:?}", resource.name()))
        .with_help("call `ensure_streams` with this resource and table before anything is committed to it")
}

/// Returns the error of a sink that does not number its commits.
fn cannot_select(name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "this destination cannot hold snapshots and child streams")
        .with_context("asked for", name)
        .with_help("select other streams, or use a destination that numbers its commits, such as SQLite")
}

/// A destination: tables of raw documents with typed views over them.
///
/// # Contract
/// 1. `ensure_streams` creates missing tables and views, adds new columns, gives inferred ones a wider type, and removes nothing. It is
///    idempotent, also while another connection does the same. A run may call it again between its commits, for one stream, whose table
///    has rows. `columns` returns the columns of a view, or none.
/// 2. `commit` makes the rows and the states of all its parts visible together, or nothing of it, and reports each part by itself. A
///    failed commit can be retried.
/// 3. Of two states of a key the one with the higher version wins, in whatever order they arrive. An equal version
///    replaces the stored state if the text or the operation differs; of two in one commit the later one wins.
///    In a commit that marks, [`StalePolicy`] decides about the first state of a key in that reconciliation. A
///    [verified](Evidence::Verified) record wins, whatever its version, in every commit.
/// 4. An upsert that changes nothing rewrites nothing: neither the row nor its metadata.
/// 5. A deletion keeps the row and its last document and marks it `deleted_at`. A deletion of an unknown key is
///    stored, so that an older upsert that arrives later does not revive it. An upsert that wins revives the row.
/// 6. The report adds up: offered = inserted + updated + unchanged + deleted + skipped + rejected. An older state is skipped
///    with the reason [`Counts::OLDER`]; a deletion of a deleted key is unchanged.
/// 7. A change of state whose base is not the newest version of its stream is refused with a [`Conflict`](crate::ErrorKind::Conflict),
///    and with it the whole commit, the parts of other streams included. Commits of different streams do not conflict. With
///    [`Sweep::Fence`] the change is left out if its part writes no row, and the part's report has no version.
/// 8. Documents come back byte for byte. Any text is a legal key and a legal resource name. Neither resources nor the streams of a
///    resource share rows.
/// 9. Rejects are stored with their reason, each once in its stream, and `rejects` returns and counts them. A commit deletes those that
///    it lists as [corrected](StreamCommit::corrected), and [`Sweep::Finish`] those of the stream that neither its reconciliation nor a
///    later run has seen.
/// 10. `unseen` returns, ordered by key, the live records of the table that no commit has marked for this reconciliation, and
///     `live_rows` counts them. A mark does not rewrite the row. Marks are durable with their commit, and deleted by `Finish`. A
///     reconcile run of one stream neither marks nor finishes anything of another.
/// 11. A commit for a table or resource that `ensure_streams` was not called for, or with [two parts](Commit::validate) of one stream, is
///     an [`Internal`](crate::ErrorKind::Internal) error, and changes nothing.
/// 12. The run record of a part's change is stored with the counts of that part (see [`StateChange::count`]), and record and state with its
///     credits, if the sink reports any (see [`StateChange::spend`]).
/// 13. A row is identified by its [path](Record::path): the same key below two parents is two rows.
/// 14. The commits that insert, change, delete or revive rows of a stream of a resource are numbered from 1 in the order in which they
///     become visible, and each such row gets the number of its commit, its [sequence](Sequence). Other rows keep theirs; a row written
///     before the sink numbered commits has 0. `sequences` returns the newest number of each stream, and `select_rows` finds rows by it.
/// 15. A row in [`gone`](StreamCommit::gone) is marked deleted, with a new sequence, if it is live and has exactly that sequence; otherwise
///     nothing happens to it. A record [verified at a sequence](Evidence::VerifiedAt) wins, whatever its version, if its row has exactly
///     that sequence; otherwise it is skipped.
/// 16. A [`Stage`] accepts records for the next commit of a stream. Nothing of them is visible before a commit [names](StreamCommit::staged)
///     them; that commit does with them, and reports, what it would do with the same records. What no commit names changes nothing. A part
///     that has records beside staged ones is an [`Internal`](crate::ErrorKind::Internal) error.
///
/// Clause 16 is for sinks that [stage](Limits::stage) records; `stage` of others returns [`Unsupported`](crate::ErrorKind::Unsupported).
/// Clauses 13 to 15 are for sinks that hold snapshots and child streams; the engine refuses those streams for others.
///
/// [`merge`] implements clauses 3 to 6. `sink_conformance!` of the test kit tests all of them.
///
/// # Wrappers
/// A type that forwards to another sink must forward every method, those with a default too: put
/// `#[deny(clippy::missing_trait_methods)]` on the `impl`.
///
/// # Cancellation
/// A dropped `commit` is applied entirely or not at all. The caller cannot know which; a retry learns it from the version of the state.
///
/// # Errors
/// [`Conflict`](crate::ErrorKind::Conflict) as above; [`Unavailable`](crate::ErrorKind::Unavailable) if the destination cannot
/// be reached or written.
#[async_trait]
pub trait Sink: Debug + Send + Sync + 'static {
    /// Prepares the tables of a resource: for each stream, the table, the typed view over all resources, and the view of this
    /// one. The view over all resources may be put off until [`finish`](Self::finish).
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()>;

    /// Completes what [`ensure_streams`](Self::ensure_streams) has put off. The engine calls it at the end of each ingestion, and of each
    /// cycle of [`serve`](crate::engine::Connector::serve). What a dropped or failed call, or a crash, leaves is completed when a stream is ensured again.
    ///
    /// The default does nothing.
    async fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the columns of the view of a stream of a resource, as [`ensure_streams`](Self::ensure_streams) has made it. The engine asks
    /// only about streams with [inferred](StreamSpec::infer_columns) columns, at most once in a run. Without an answer, each run ensures
    /// and reports all inferred columns again.
    ///
    /// The default returns none.
    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        let _ = (resource, stream);
        Ok(Vec::new())
    }

    /// Makes rows and state visible together.
    async fn commit(&self, commit: Commit) -> Result<CommitReport>;

    /// Begins to stage records of a stream for its next commit. The engine calls it if [`Limits::stage`] is set, possibly before
    /// [`ensure_streams`](Self::ensure_streams) has returned: only a commit needs the tables.
    ///
    /// # Errors
    /// The default returns [`Unsupported`](crate::ErrorKind::Unsupported).
    async fn stage(&self, resource: &Resource, stream: &str, run: RunId) -> Result<Box<dyn Stage>> {
        let _ = (resource, stream, run);
        Err(Error::new(ErrorKind::Unsupported, "this destination takes records with their commit only")
            .with_help("leave `Limits::stage` unset"))
    }

    /// Returns the live records of a table that a reconcile run has not seen, ordered by key.
    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>>;

    /// Counts the live rows of a table, and those that a reconcile run has not seen. Ignores the query's `after` and `limit`.
    /// The default reads them all.
    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        let mut counted = [0, 0];
        // A new id has marked nothing, so that all live rows are unseen.
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

    /// Returns the outstanding rejects, the last seen first, and counts those of each stream of a resource.
    ///
    /// # Errors
    /// The default returns [`Unsupported`](crate::ErrorKind::Unsupported).
    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let _ = query;
        Err(Error::new(ErrorKind::Unsupported, "this destination does not list what was rejected"))
    }

    /// Returns the selected rows.
    ///
    /// # Errors
    /// The default returns [`Unsupported`](crate::ErrorKind::Unsupported).
    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        Err(cannot_select(&query.stream))
    }

    /// Returns the newest sequence of each stream of a resource; streams without one are missing.
    ///
    /// # Errors
    /// The default returns [`Unsupported`](crate::ErrorKind::Unsupported).
    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        Err(cannot_select(resource.name()))
    }

    /// Estimates what a load takes; `None`: the destination bills nothing, or cannot tell. Sends nothing.
    fn estimate(&self, load: Load) -> Option<LoadEstimate> {
        let _ = load;
        None
    }

    /// The bounds that suit this destination, such as the size of a commit.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// A destination that also keeps configuration and state, and commits rows and state in one transaction.
///
/// Every type with the three traits implements it. Implement all three only if [`commit`](Sink::commit) also stores the
/// [`StateChange`] in the type's own [`StateStore`].
pub trait Backend: Sink + ConfigStore + StateStore {}

impl<T: Sink + ConfigStore + StateStore> Backend for T {}
