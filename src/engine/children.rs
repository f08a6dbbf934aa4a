//! Reads a child stream: the list of each parent whose row has changed. The position moves in the order in which the destination numbered the
//! changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::list::{ListReader, stored_record};
use super::task::{SOURCE_PANICKED, Task};
use crate::{
    Batch, BatchStream, Checkpoint, ChildOf, Error, ErrorKind, Evidence, Parent, Position, Result, Revisit, RowPath,
    RowQuery, RowSelection, SelectedRow, Sequence, SourceEvent, Version,
};
use failures::{Failure, Failures};

mod failures;

/// The number of lists to read at once.
const CONCURRENT_LISTS: usize = 8;

/// The number of lists between the position and the last one that was begun. If the first of them takes long, the others are stored without
/// the position, and a run that is stopped before it has ended reads them again.
const MAX_AHEAD: u64 = 64;

/// The number of bytes of each list to read before its turn.
const LIST_BUFFER: usize = 256 << 10;

/// The number of parents to select at once.
const PARENTS: usize = 200;

/// The number of their stored children to select at once. Those of the parents beyond it are selected for each parent.
const CHILDREN: usize = 10_000;

/// The number of owed parents to remember. If there are more, the run fails, and the position stays.
const MAX_OWED: usize = 1_000;

/// The number of lists in a row whose failure ends the run: then the source as a whole is the cause. Of the owed lists, the run then leaves
/// the others to the next one, which begins with them.
const MAX_FAILURES: usize = 10;

/// The reason for not listing the children of a parent that the source did not find, and cannot verify.
const PARENT_NOT_FOUND: &str = "parent_not_found";

/// How far a child stream was read: the checkpoint of the stream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct ChildProgress {
    /// The children of every parent below this sequence were read, except those of the owed parents.
    from: Sequence,
    /// Of this sequence, the parents up to this path were read, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<RowPath>,
    /// The last sequence of a read of all parents that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Sequence>,
    /// The parents whose children could not be read, and those that are gone and may not be marked deleted yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    owed: Vec<RowPath>,
    /// What the lists were, if the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) definition: Option<String>,
}

impl ChildProgress {
    /// Whether nothing is left to read up to a sequence.
    pub(super) fn is_complete(&self, until: Sequence) -> bool {
        self.owed.is_empty() && self.from > until
    }

    /// What is left for incremental reads after a read of all parents up to a sequence.
    fn later_than(&self, until: Sequence) -> Self {
        let read = Self { from: Sequence(until.0 + 1), ..Self::default() };
        if self.from > read.from { self.clone() } else { read }
    }

    fn pass(&mut self, parent: &Position) {
        self.from = parent.sequence;
        self.after = Some(parent.path.clone());
    }

    fn complete(&mut self, until: Sequence) {
        self.from = self.from.max(Sequence(until.0 + 1));
        self.after = None;
        self.until = None;
    }
}

/// Reads the lists of parents.
#[derive(Debug, Clone)]
pub(super) struct ChildReader {
    pub(super) lists: ListReader,
    pub(super) child: ChildOf,
    /// Whether the reader verifies the parents.
    pub(super) is_parent_verifiable: bool,
    /// The newest sequence of the parent stream at the start of the run.
    pub(super) newest: Sequence,
    /// The time at the start of the run.
    pub(super) now: Timestamp,
    /// When that was.
    pub(super) began: Instant,
}

/// A parent whose list is to be read.
struct QueuedParent {
    row: SelectedRow,
    /// Its stored children; `None`: not selected yet. No other run can add to them before this one commits.
    stored: Option<Vec<SelectedRow>>,
}

/// A parent and its list, of which the beginning was read.
struct Visit {
    parent: SelectedRow,
    list: BatchStream,
}

/// Visits parents side by side, in the order in which their lists can be read: one that waits for the source holds up no other.
struct Visits {
    reader: Arc<ChildReader>,
    queue: BoxStream<'static, Result<QueuedParent>>,
    is_queue_empty: bool,
    under_way: FuturesUnordered<BoxFuture<'static, (u64, Result<Visit>)>>,
    /// The number of parents whose visit has begun.
    begun: u64,
    /// The number of parents that have ended, with all before them.
    passed: u64,
    /// The parents that have ended before one that began earlier.
    ended: BTreeMap<u64, Position>,
}

impl Visits {
    fn new(reader: Arc<ChildReader>, queue: BoxStream<'static, Result<QueuedParent>>) -> Self {
        let (under_way, ended) = (FuturesUnordered::new(), BTreeMap::new());
        Self { reader, queue, is_queue_empty: false, under_way, begun: 0, passed: 0, ended }
    }

    /// The next parent whose list can be read, and its number in the queue.
    async fn next(&mut self) -> Result<Option<(u64, Visit)>> {
        loop {
            let has_room = self.under_way.len() < CONCURRENT_LISTS && self.begun - self.passed < MAX_AHEAD;
            let parent = tokio::select! {
                biased;
                parent = self.queue.try_next(), if has_room && !self.is_queue_empty => parent?,
                Some((number, visit)) = self.under_way.next() => return Ok(Some((number, visit?))),
                else => return Ok(None),
            };
            match parent {
                Some(parent) => self.begin(parent),
                None => self.is_queue_empty = true,
            }
        }
    }

    /// Visits a parent in a task of its own: while another list is read or verified, it is not polled here, and would keep the requests that
    /// the other one needs.
    fn begin(&mut self, parent: QueuedParent) {
        let (number, visit) = (self.begun, Task::start(self.reader.clone().visit(parent), SOURCE_PANICKED));
        self.under_way.push(visit.map(move |visit| (number, visit)).boxed());
        self.begun += 1;
    }

    /// Begins no more visits, because this one shows that the source as a whole fails. Returns whether none before it is under way.
    fn stop_at(&mut self, number: u64) -> bool {
        self.is_queue_empty = true;
        self.passed >= number
    }

    /// Notes that a parent has ended. Returns the last one before which all have ended, if it is another one than before.
    fn end(&mut self, number: u64, position: Position) -> Option<Position> {
        self.ended.insert(number, position);
        let mut last = None;
        while let Some(position) = self.ended.remove(&self.passed) {
            self.passed += 1;
            last = Some(position);
        }
        last
    }
}

impl ChildReader {
    /// Reads the children of the parents that have changed since `progress`, and of those that are owed. In a read of `all` parents,
    /// reads those of every parent; `incremental` is the progress of incremental reads then.
    pub(super) fn read(
        self: Arc<Self>,
        mut progress: ChildProgress,
        incremental: Option<ChildProgress>,
        all: bool,
    ) -> BatchStream {
        try_stream! {
            let is_whole = all || self.child.revisit == Revisit::EveryRun;
            let begins = is_whole && progress.until.is_none();
            if begins {
                let definition = progress.definition.take();
                progress = ChildProgress { until: Some(self.newest), definition, ..ChildProgress::default() };
            }
            let until = progress.until.unwrap_or(self.newest);
            if progress.is_complete(until) {
                return;
            }
            let (began, mut written) = (progress.clone(), progress.clone());
            let mut failures = Failures::default();
            // Those that are gone, until it is known how many they are: they are owed meanwhile.
            let (mut gone, mut too_many_gone) = (Vec::<Position>::new(), None);
            // One after the other, so that no two lists of one parent are read at once.
            let mut queues = vec![(self.owed(progress.owed.clone()), true, false), (self.changed(&progress, until), false, true)];
            // A read of all parents that resumes goes on to what has changed since it began, such as the parents that this run has marked deleted.
            // If it is interrupted there, that comes again.
            let later = incremental.as_ref().map(|incremental| incremental.later_than(until));
            if let Some(later) = later.filter(|later| later.from <= self.newest) {
                queues.push((self.changed(&later, self.newest), false, false));
            }
            for (queue, is_owed, passes) in queues {
                let mut visits = Visits::new(self.clone(), queue);
                // After too many owed parents that are gone, one more ends the run.
                let mut in_a_row = if too_many_gone.is_some() { MAX_FAILURES - 1 } else { 0 };
                let mut end = None::<(u64, Error)>;
                while let Some((number, visit)) = visits.next().await? {
                    if end.as_ref().is_some_and(|(end, _)| number > *end) {
                        continue;
                    }
                    let Visit { parent, mut list } = visit;
                    let ended = loop {
                        match list.try_next().await {
                            Ok(Some(batch)) => yield batch,
                            Ok(None) => break Ok(()),
                            Err(error) => break Err(error),
                        }
                    };
                    progress.owed.retain(|owed| *owed != parent.position.path);
                    gone.retain(|gone| gone.path != parent.position.path);
                    let mut batch = Batch::new();
                    match ended {
                        Ok(()) => in_a_row = 0,
                        Err(error) => match self.failure(&parent, error).await {
                            // Those that began before it are read to their ends, so that the position passes them.
                            Err(error) => {
                                if visits.stop_at(number) {
                                    Err(error)?;
                                } else {
                                    end = Some((number, error));
                                }
                                continue;
                            }
                            Ok(Failure::Gone) if self.lists.limit.is_bounded() => {
                                progress.owed.push(parent.position.path.clone());
                                failures.note(&parent);
                                gone.push(parent.position.clone());
                                too_many_gone = self.lists.limit.refusal(&self.child.parent, &gone).await?;
                                // Then the source as a whole is suspicious.
                                in_a_row += usize::from(too_many_gone.is_some());
                            }
                            Ok(Failure::Gone) => {
                                let mut children = self.lists.clone().delete_children(parent.position.path.clone(), None);
                                while let Some(batch) = children.try_next().await? {
                                    yield batch;
                                }
                                batch.gone.push(parent.position.clone());
                            }
                            Ok(Failure::Unknown) => batch = batch.exclude(PARENT_NOT_FOUND, 1),
                            Ok(Failure::Owed(error, verified)) => {
                                batch.verified_parents.extend(verified);
                                progress.owed.push(parent.position.path.clone());
                                in_a_row += 1;
                                failures.add(error, &parent);
                            }
                        },
                    }
                    if let Some(passed) = visits.end(number, parent.position).filter(|_| passes) {
                        progress.pass(&passed);
                    }
                    if progress.owed.len() > MAX_OWED {
                        failures.refuse_all(too_many_gone.take().or_else(|| self.lists.limit.unheld(&self.child.parent, &gone)));
                        Err(failures.error(&self.lists.stream.name, &self.child.parent, progress.owed.len()))?;
                    }
                    if in_a_row >= MAX_FAILURES && !is_owed {
                        failures.refuse_all(too_many_gone.take());
                        Err(failures.last())?;
                    }
                    // While an earlier list is under way, nothing is passed.
                    if progress != written {
                        written = progress.clone();
                        batch = batch.checkpoint(Checkpoint::new(&progress)?);
                    }
                    yield batch;
                    if end.as_ref().is_some_and(|(end, _)| visits.passed >= *end) {
                        break;
                    }
                    if in_a_row >= MAX_FAILURES {
                        // The next run begins with the other owed lists.
                        break;
                    }
                }
                if let Some((_, error)) = end {
                    Err(error)?;
                }
                if is_owed && in_a_row < MAX_FAILURES {
                    // A parent whose row has disappeared owes nothing.
                    progress.owed.retain(|path| failures.has(path));
                }
            }
            if too_many_gone.is_none() && !gone.is_empty() {
                too_many_gone = self.lists.limit.claim_gone(&self.child.parent, &gone).await?;
            }
            if too_many_gone.is_some() {
                failures.refuse_all(too_many_gone);
                gone.clear();
            }
            for position in gone {
                let mut children = self.lists.clone().delete_children(position.path.clone(), None);
                while let Some(batch) = children.try_next().await? {
                    yield batch;
                }
                progress.owed.retain(|owed| *owed != position.path);
                let mut batch = Batch::new().checkpoint(Checkpoint::new(&progress)?);
                batch.gone.push(position);
                yield batch;
            }
            progress.complete(if all { until.max(self.newest) } else { until });
            if let Some(incremental) = incremental {
                let (read, mut owed) = (std::mem::take(&mut progress), incremental.owed.clone());
                // The lists that incremental reads owe may have changed after this read has passed them, unless all of it was in this run.
                owed.retain(|path| !begins && !read.owed.contains(path));
                owed.extend(read.owed.iter().cloned());
                progress = ChildProgress { owed, ..if incremental.from > read.from { incremental } else { read } };
            }
            if progress != began {
                yield Batch::new().checkpoint(Checkpoint::new(&progress)?);
            }
            if !progress.owed.is_empty() {
                Err(failures.error(&self.lists.stream.name, &self.child.parent, progress.owed.len()))?;
            }
        }
        .boxed()
    }

    fn query(&self, selection: RowSelection) -> RowQuery {
        RowQuery::new(self.lists.resource.clone(), &self.child.parent, selection, PARENTS)
            .fields(self.child.fields.iter().cloned())
    }

    /// The owed parents.
    fn owed(self: &Arc<Self>, paths: Vec<RowPath>) -> BoxStream<'static, Result<QueuedParent>> {
        let this = self.clone();
        try_stream! {
            for paths in paths.chunks(PARENTS) {
                let rows = this.lists.select(this.query(RowSelection::Paths(paths.to_vec()))).await?;
                for parent in this.with_stored_children(rows).await? {
                    yield parent;
                }
            }
        }
        .boxed()
    }

    /// The parents that have changed, up to a sequence.
    fn changed(
        self: &Arc<Self>,
        progress: &ChildProgress,
        until: Sequence,
    ) -> BoxStream<'static, Result<QueuedParent>> {
        let (this, mut from, mut after) = (self.clone(), progress.from, progress.after.clone());
        try_stream! {
            loop {
                let rows = this.lists.select(this.query(RowSelection::Changed { from, after, until })).await?;
                let is_last = rows.len() < PARENTS;
                let Some(last) = rows.last() else { break };
                (from, after) = (last.position.sequence, Some(last.position.path.clone()));
                for parent in this.with_stored_children(rows).await? {
                    yield parent;
                }
                if is_last {
                    break;
                }
            }
        }
        .boxed()
    }

    /// Selects the stored children of these parents at once: a query for each parent would cost a round trip each.
    async fn with_stored_children(&self, rows: Vec<SelectedRow>) -> Result<Vec<QueuedParent>> {
        let parents = rows.iter().map(|row| row.position.path.clone()).collect();
        let found = self.lists.select_children(parents, None, CHILDREN).await?;
        // The children of the last parent that was reached may be incomplete.
        let reached = found.last().filter(|_| found.len() >= CHILDREN).map(|row| row.position.path.parent());
        let mut by_parent: BTreeMap<RowPath, Vec<SelectedRow>> = BTreeMap::new();
        for row in found {
            by_parent.entry(row.position.path.parent()).or_default().push(row);
        }
        let mut is_complete = true;
        let with_children = |row: SelectedRow| {
            is_complete &= reached.as_ref() != Some(&row.position.path);
            let stored = is_complete.then(|| by_parent.remove(&row.position.path).unwrap_or_default());
            QueuedParent { row, stored }
        };
        Ok(rows.into_iter().map(with_children).collect())
    }

    /// Reads the beginning of a parent's list. A deleted parent takes its children with it.
    async fn visit(self: Arc<Self>, queued: QueuedParent) -> Result<Visit> {
        let QueuedParent { row: mut parent, stored } = queued;
        let path = parent.position.path.clone();
        let mut list = if parent.is_deleted {
            self.lists.clone().delete_children(path, stored)
        } else {
            self.wait_for_lag(&parent).await;
            let request = Parent { fields: std::mem::take(&mut parent.fields), ..Parent::new(path) };
            self.lists.clone().read(Some(request), None, stored)
        };
        let (mut begun, mut bytes) = (Vec::new(), 0);
        while bytes <= LIST_BUFFER
            && let Some(batch) = list.next().await
        {
            bytes += batch.as_ref().map_or(0, Batch::size);
            begun.push(batch);
        }
        Ok(Visit { parent, list: stream::iter(begun).chain(list).boxed() })
    }

    /// Waits until the list of a parent shows what changed the parent, and all other changes within the precision of its version: of two in
    /// one second, the second one leaves the parent as it is, so that nothing would ask for the list again.
    async fn wait_for_lag(&self, parent: &SelectedRow) {
        let age = self.now.duration_since(parent.changed_at);
        let age = Duration::try_from(age).unwrap_or_default() + self.began.elapsed();
        let lag = self.child.lag + open_for(parent.version, parent.changed_at);
        if let Some(rest) = lag.checked_sub(age).filter(|rest| !rest.is_zero()) {
            tokio::time::sleep(rest).await;
        }
    }

    /// Decides about a parent whose list failed.
    ///
    /// # Errors
    /// Returns the error if it concerns the source as a whole.
    async fn failure(&self, parent: &SelectedRow, error: Error) -> Result<Failure> {
        match error.kind() {
            _ if parent.is_deleted => Err(error),
            ErrorKind::NotFound => self.verify_parent(parent, error).await,
            ErrorKind::Unavailable | ErrorKind::InvalidData => Ok(Failure::Owed(error, None)),
            // The credentials may see the others.
            ErrorKind::Authentication if error.status() == Some(403) => Ok(Failure::Owed(error, None)),
            _ => Err(error),
        }
    }

    /// Asks the source about a parent whose children were not found.
    async fn verify_parent(&self, parent: &SelectedRow, error: Error) -> Result<Failure> {
        let path = &parent.position.path;
        let unknown = || {
            self.lists.monitor.event(SourceEvent::Warning(format!(
                "the source did not find the record {path} of `{}`, and cannot verify it: its children in `{}` stay unchanged",
                self.child.parent, self.lists.stream.name
            )));
            Failure::Unknown
        };
        if !self.is_parent_verifiable {
            return Ok(unknown());
        }
        let query = self.query(RowSelection::Paths(vec![path.clone()])).documents();
        let Some(record) = self.lists.select(query).await?.pop().and_then(stored_record) else { return Ok(unknown()) };
        let mut verified = self.lists.verify_records(&self.child.parent, vec![record]).await?;
        Ok(match verified.pop() {
            None => unknown(),
            Some(record) if record.json().is_none() => Failure::Gone,
            // The parents' own stream brings a newer state, and none that is older.
            Some(record) if record.version >= parent.version || record.defect().is_some() => Failure::Owed(error, None),
            Some(record) => {
                let evidence = Evidence::VerifiedAt(parent.position.sequence);
                Failure::Owed(error, Some(record.of_parent(path.parent()).with_evidence(evidence)))
            }
        })
    }
}

/// How long after a row was stored its record may change without a higher version: a second, if the version is a recent time of whole
/// seconds. The clocks may differ by as much as a day, and the source's is not needed: its second had begun when the row was read.
fn open_for(version: Version, stored: Timestamp) -> Duration {
    const SECOND: i64 = 1_000_000;
    let is_recent = || {
        let at = Timestamp::from_microsecond(version.0).ok();
        at.is_some_and(|at| stored.duration_since(at) < SignedDuration::from_hours(24))
    };
    let is_open = version.0 % SECOND == 0 && is_recent();
    if is_open { Duration::from_secs(1) } else { Duration::ZERO }
}
