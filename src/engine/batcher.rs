//! Reads a source ahead of the destination, and collects its batches into commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::task::{SOURCE_PANICKED, Task};
use crate::{Batch, BatchStream, Checkpoint, Error, Limits, Position, Record, Reject, Result, StagedRecords};

/// The bytes that may be read ahead for all resources together, in units of [`UNIT`].
///
/// Clones share it.
#[derive(Debug, Clone)]
pub(super) struct ReadBudget {
    units: Arc<Semaphore>,
    total: u32,
    demand: watch::Sender<Demand>,
}

/// The smallest reservation from a [`ReadBudget`], in bytes.
const UNIT: usize = 1 << 10;

/// The readers and commits that use the budget.
#[derive(Debug, Default)]
struct Demand {
    /// The number of readers that wait for capacity.
    waiting: usize,
    /// The number of current commits: each frees capacity when it ends.
    committing: usize,
}

impl Demand {
    /// Whether a reader waits, and only a commit of a buffer can free capacity.
    fn is_stuck(&self) -> bool {
        self.waiting > 0 && self.committing == 0
    }
}

/// Counts a reader or a commit for as long as it lives.
#[derive(Debug)]
struct DemandGuard {
    demand: watch::Sender<Demand>,
    count: fn(&mut Demand) -> &mut usize,
}

impl Drop for DemandGuard {
    fn drop(&mut self) {
        self.demand.send_modify(|demand| *(self.count)(demand) -= 1);
    }
}

impl ReadBudget {
    pub(super) fn new(limits: &Limits) -> Self {
        let total = u32::try_from(limits.read_ahead / UNIT).unwrap_or(u32::MAX).max(2);
        Self { units: Arc::new(Semaphore::new(total as usize)), total, demand: watch::Sender::default() }
    }

    /// Waits until there is capacity for a batch. One that is larger than the whole budget gets all of it.
    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        if let Ok(permit) = self.units.clone().try_acquire_many_owned(units) {
            return Ok(permit);
        }
        let _waiting = self.count(|demand| &mut demand.waiting);
        let permit = self.units.clone().acquire_many_owned(units).await;
        permit.map_err(|error| Error::internal("the read-ahead budget is closed").with_source(error))
    }

    fn count(&self, count: fn(&mut Demand) -> &mut usize) -> DemandGuard {
        self.demand.send_modify(|demand| *count(demand) += 1);
        DemandGuard { demand: self.demand.clone(), count }
    }

    /// Waits until a reader waits for capacity.
    async fn is_exhausted(&self) {
        // The sender lives as long as `self`.
        let _ = self.demand.subscribe().wait_for(|demand| demand.waiting > 0).await;
    }

    /// Waits until no reader waits for capacity.
    async fn has_capacity(&self) {
        let _ = self.demand.subscribe().wait_for(|demand| demand.waiting == 0).await;
    }

    /// Waits until a reader waits for capacity that only a commit can free.
    async fn is_stuck(&self) {
        // The sender lives as long as `self`.
        let _ = self.demand.subscribe().wait_for(Demand::is_stuck).await;
    }
}

/// The rows of one commit.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) records: Vec<Record>,
    /// Records that the sink has accepted already. Then `records` is empty.
    pub(super) staged: Option<StagedRecords>,
    pub(super) rejects: Vec<Reject>,
    /// Stored rejects that no longer hold.
    pub(super) corrected: Vec<Reject>,
    /// Rows of the parent stream that are gone.
    pub(super) gone: Vec<Position>,
    /// Records of the parent stream that were verified to exist.
    pub(super) verified_parents: Vec<Record>,
    /// Whether they change the outstanding rejects; `None` if the rejects have not been tracked.
    pub(super) changes_rejects: Option<bool>,
}

impl Rows {
    /// The number of records, with those that are staged.
    pub(super) fn count(&self) -> u64 {
        self.records.len() as u64 + self.staged.as_ref().map_or(0, StagedRecords::records)
    }
}

/// Batches collected for one commit.
#[derive(Debug, Default)]
pub(super) struct CommitBuffer {
    pub(super) rows: Rows,
    pub(super) excluded: BTreeMap<String, u64>,
    /// The number of records that are left out because the table has them.
    pub(super) unchanged: u64,
    pub(super) checkpoint: Option<Checkpoint>,
    /// Whether nothing follows it in the stream. A buffer that was committed before that was known is not.
    pub(super) is_last: bool,
    /// Whether it must be committed now, because its rows have waited long enough.
    pub(super) is_due: bool,
    records: usize,
    batches: usize,
    /// The part of the budget reserved until the rows are committed and dropped.
    reserved: Option<OwnedSemaphorePermit>,
    /// Counts the commit from when the buffer is taken.
    _committing: Option<DemandGuard>,
}

impl CommitBuffer {
    fn add(&mut self, batch: Batch, reserved: OwnedSemaphorePermit) {
        self.records += batch.records.len() + batch.rejects.len();
        self.batches += 1;
        match &mut self.reserved {
            Some(all) => all.merge(reserved),
            None => self.reserved = Some(reserved),
        }
        if batch.checkpoint.is_some() {
            self.checkpoint = batch.checkpoint;
        }
        for (reason, count) in batch.excluded {
            *self.excluded.entry(reason).or_default() += count;
        }
        self.rows.records.extend(batch.records);
        self.rows.rejects.extend(batch.rejects);
        self.rows.corrected.extend(batch.corrected);
        self.rows.gone.extend(batch.gone);
        self.rows.verified_parents.extend(batch.verified_parents);
    }

    /// Adds a buffer whose records are staged, and gives back its part of the budget.
    pub(super) fn append_staged(&mut self, buffer: Self) {
        let CommitBuffer { rows, excluded, unchanged, checkpoint, is_last, batches, .. } = buffer;
        self.batches += batches;
        self.unchanged += unchanged;
        self.is_last |= is_last;
        self.checkpoint = checkpoint.or(self.checkpoint.take());
        for (reason, count) in excluded {
            *self.excluded.entry(reason).or_default() += count;
        }
        self.rows.rejects.extend(rows.rejects);
        let changes_rejects = self.rows.changes_rejects.unwrap_or_default() | rows.changes_rejects.unwrap_or_default();
        self.rows.changes_rejects = Some(changes_rejects);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// The bytes reserved from the budget.
    fn bytes(&self) -> usize {
        self.reserved.as_ref().map_or(0, |reserved| reserved.num_permits() * UNIT)
    }
}

/// Reads a source's stream ahead in a task of its own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct ReadAhead {
    batches: mpsc::UnboundedReceiver<(Result<Batch>, OwnedSemaphorePermit)>,
    reader: Option<Task<()>>,
    budget: ReadBudget,
    limits: Limits,
    /// The current buffer; kept here so that dropping the future of `next` loses nothing.
    pending: CommitBuffer,
    /// The batch that follows a full buffer.
    following: Option<(Batch, OwnedSemaphorePermit)>,
    /// Whether to wait, with a full buffer, until it is known whether it is the last one.
    finds_last: bool,
    /// When `pending` must be committed.
    due: Instant,
    /// When rows that were taken before, and are not committed yet, must be.
    staged_due: Option<Instant>,
    /// The error that ended the stream, to be returned after `pending`.
    failed: Option<Error>,
}

impl ReadAhead {
    pub(super) fn start(mut stream: BatchStream, budget: ReadBudget, limits: Limits) -> Self {
        // Bounded by the budget, in bytes.
        let (sender, batches) = mpsc::unbounded_channel();
        let capacity = budget.clone();
        let reader = async move {
            loop {
                // Reading on without capacity would make each resource hold one batch more than the budget.
                let item = tokio::select! {
                    biased;
                    () = capacity.is_exhausted() => {
                        capacity.has_capacity().await;
                        continue;
                    }
                    item = stream.next() => item,
                };
                let Some(item) = item else { break };
                let failed = item.is_err();
                let reserved = capacity.reserve(item.as_ref().map_or(0, Batch::size)).await?;
                if sender.send((item, reserved)).is_err() || failed {
                    break;
                }
            }
            Ok(())
        };
        Self {
            batches,
            reader: Some(Task::start(reader, SOURCE_PANICKED)),
            budget,
            limits,
            pending: CommitBuffer::default(),
            following: None,
            finds_last: false,
            due: Instant::now(),
            staged_due: None,
            failed: None,
        }
    }

    /// Waits, with a full buffer, until it is known whether the stream has [ended](CommitBuffer::is_last) with it, unless the buffer must be
    /// committed first.
    pub(super) fn finding_last(mut self) -> Self {
        self.finds_last = true;
        self
    }

    /// Sets when rows that were taken out, and are not committed yet, must be. Then a buffer that is [due](CommitBuffer::is_due) is returned,
    /// even if it is empty. `None` if everything is committed.
    pub(super) fn set_staged_due(&mut self, due: Option<Instant>) {
        self.staged_due = due;
    }

    /// Returns the next commit; `None` at the end of the stream. Passes each batch to `seen` as it arrives.
    ///
    /// # Cancellation
    /// A dropped future keeps the buffer for the next call, or for [`take`](Self::take).
    pub(super) async fn next(&mut self, mut seen: impl FnMut(&Batch)) -> Result<Option<CommitBuffer>> {
        if let Some((batch, reserved)) = self.following.take() {
            self.add(batch, reserved, &mut seen);
        }
        while self.failed.is_none() && !self.pending.is_last && (!self.is_full() || self.finds_last) {
            match self.arrival().await {
                Some(following) if self.is_full() => {
                    self.following = Some(following);
                    break;
                }
                Some((batch, reserved)) => self.add(batch, reserved, &mut seen),
                None => break,
            }
        }
        match self.take() {
            buffer if !buffer.is_empty() || buffer.is_due => Ok(Some(buffer)),
            _ => self.failed.take().map_or(Ok(None), Err),
        }
    }

    fn add(&mut self, batch: Batch, reserved: OwnedSemaphorePermit, seen: &mut impl FnMut(&Batch)) {
        if self.pending.is_empty() {
            self.due = self.staged_due.unwrap_or_else(|| Instant::now() + self.limits.commit_after);
        }
        seen(&batch);
        self.pending.add(batch, reserved);
    }

    /// Returns the next batch; `None` if the stream has ended or failed, or if the buffer must be committed first.
    async fn arrival(&mut self) -> Option<(Batch, OwnedSemaphorePermit)> {
        let is_empty = self.pending.is_empty();
        let due = if is_empty { self.staged_due } else { Some(self.due) };
        let arrived = tokio::select! {
            biased;
            arrived = self.batches.recv() => arrived,
            () = self.budget.is_stuck(), if !is_empty => return None,
            () = at(due) => {
                self.pending.is_due = true;
                return None;
            }
        };
        match arrived {
            Some((Ok(batch), reserved)) => return Some((batch, reserved)),
            Some((Err(error), _)) => self.failed = Some(error),
            None => match self.ended().await {
                Ok(()) => self.pending.is_last = true,
                Err(error) => self.failed = Some(error),
            },
        }
        None
    }

    /// Takes the current buffer.
    pub(super) fn take(&mut self) -> CommitBuffer {
        let mut taken = std::mem::take(&mut self.pending);
        if !taken.is_empty() {
            taken._committing = Some(self.budget.count(|demand| &mut demand.committing));
        }
        taken
    }

    /// Whether the buffer has reached its bounds. Always false when empty: an empty buffer means the end of the stream.
    fn is_full(&self) -> bool {
        let (records, bytes) = (self.pending.records, self.pending.bytes());
        !self.pending.is_empty() && (records >= self.limits.commit_rows || bytes >= self.limits.commit_bytes)
    }

    /// Distinguishes the end of the stream from a panic of the reader.
    async fn ended(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let ended = reader.await;
        self.reader = None;
        ended
    }
}

/// Waits until a time, or forever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use futures::stream;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits { commit_rows: 3, commit_bytes: 1 << 20, commit_after: Duration::from_secs(5), ..Limits::default() }
    }

    /// A budget of 64 KiB, and commits that neither the number of rows nor time triggers.
    fn small_budget() -> Limits {
        Limits {
            read_ahead: 64 << 10,
            commit_bytes: 32 << 10,
            commit_rows: 1_000_000,
            commit_after: Duration::from_secs(3_600),
            ..limits()
        }
    }

    fn batch(key: usize) -> Batch {
        Batch::new()
            .record(Record::upsert(key.to_string(), Version::NONE, "{}"))
            .checkpoint(Checkpoint::new(&key).unwrap())
    }

    fn start(stream: impl futures::Stream<Item = Result<Batch>> + Send + 'static, limits: Limits) -> ReadAhead {
        ReadAhead::start(stream.boxed(), ReadBudget::new(&limits), limits)
    }

    #[tokio::test]
    async fn batches_are_joined_by_rows_and_keep_the_last_checkpoint() {
        let mut ahead = start(stream::iter((1..=7).map(|key| Ok(batch(key)))), limits());
        let mut sizes = Vec::new();
        while let Some(buffer) = ahead.next(|_| ()).await.unwrap() {
            sizes.push((buffer.records, buffer.checkpoint.unwrap().parse::<usize>().unwrap()));
        }
        assert_eq!(sizes, [(3, 3), (6 - 3, 6), (1, 7)]);
    }

    #[tokio::test]
    async fn a_full_buffer_waits_for_the_end_of_the_stream_if_that_matters() {
        for (batches, sizes) in [(6, vec![(3, false), (3, true)]), (7, vec![(3, false), (3, false), (1, true)])] {
            let mut ahead = start(stream::iter((1..=batches).map(|key| Ok(batch(key)))), limits()).finding_last();
            let mut found = Vec::new();
            while let Some(buffer) = ahead.next(|_| ()).await.unwrap() {
                found.push((buffer.records, buffer.is_last));
            }
            assert_eq!(found, sizes);
        }
        // Its failure is not an end.
        let failing = stream::iter([Ok(batch(1)), Err(Error::unavailable("down"))]);
        let mut ahead = start(failing, Limits { commit_rows: 1, ..limits() }).finding_last();
        assert!(!ahead.next(|_| ()).await.unwrap().unwrap().is_last);
        assert!(ahead.next(|_| ()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_buffer_is_committed_in_time_while_the_source_is_silent() {
        let silent = stream::iter([Ok(batch(1))]).chain(stream::pending());
        let mut ahead = start(silent, Limits { commit_rows: 1, ..limits() }).finding_last();
        let began = Instant::now();
        assert!(!ahead.next(|_| ()).await.unwrap().unwrap().is_last);
        assert_eq!(began.elapsed(), limits().commit_after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_committed_by_time() {
        let slow = stream::iter(1..=2).then(|key| async move {
            tokio::time::sleep(Duration::from_secs(4 * key as u64)).await;
            Ok(batch(key))
        });
        let mut ahead = start(slow, limits());
        let first = ahead.next(|_| ()).await.unwrap().unwrap();
        assert_eq!(first.records, 1, "the second batch arrives after `commit_after`");
    }

    #[tokio::test]
    async fn batches_before_an_error_are_returned_first() {
        let mut ahead = start(stream::iter([Ok(batch(1)), Err(Error::unavailable("down"))]), limits());
        assert_eq!(ahead.next(|_| ()).await.unwrap().unwrap().records, 1);
        assert_eq!(ahead.next(|_| ()).await.unwrap_err().to_string(), "down");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_not_the_end_of_the_stream() {
        let broken = stream::iter(1..=2).map(|key| if key == 2 { panic!("broken source") } else { Ok(batch(key)) });
        let mut ahead = start(broken, limits());
        assert_eq!(ahead.next(|_| ()).await.unwrap().unwrap().records, 1);
        assert_eq!(ahead.next(|_| ()).await.unwrap_err().kind(), crate::ErrorKind::Internal);
    }

    /// More batches than the budget has units, each below one unit, with commits that are never full.
    #[tokio::test(start_paused = true)]
    async fn many_small_batches_are_committed_before_the_budget_stalls_them() {
        let limits = small_budget();
        let began = Instant::now();
        let mut ahead = start(stream::iter((0..500).map(|key| Ok(batch(key)))), limits);
        let mut records = 0;
        while let Some(buffer) = ahead.next(|_| ()).await.unwrap() {
            records += buffer.records;
        }
        assert_eq!(records, 500);
        assert_eq!(began.elapsed(), Duration::ZERO, "a commit waited for its timer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_needs_the_whole_budget_is_committed_at_once() {
        let limits = small_budget();
        let budget = ReadBudget::new(&limits);
        let large = || {
            let text = format!("\"{}\"", "x".repeat(100 << 10));
            Ok(Batch::new().record(Record::upsert("large", Version::NONE, text)))
        };
        let began = Instant::now();
        // Two resources that each hold a small pending batch, and then both need the whole budget.
        let readers = (0..2).map(|_| {
            let batches = stream::iter([Ok(batch(1)), large(), Ok(batch(2)), large()]);
            let mut ahead = ReadAhead::start(batches.boxed(), budget.clone(), limits);
            async move {
                let mut records = 0;
                while let Some(buffer) = ahead.next(|_| ()).await.unwrap() {
                    tokio::task::yield_now().await;
                    records += buffer.records;
                }
                records
            }
        });
        assert_eq!(futures::future::join_all(readers).await, [4, 4]);
        assert_eq!(began.elapsed(), Duration::ZERO, "a commit waited for its timer");
    }

    #[tokio::test]
    async fn reading_ahead_stops_at_the_budget() {
        let polled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = polled.clone();
        let endless = stream::repeat_with(move || {
            let key = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let text = format!("\"{}\"", "x".repeat(10 << 10));
            Ok(Batch::new().record(Record::upsert(key.to_string(), Version::NONE, text)))
        });
        let limits = Limits { read_ahead: 100 << 10, commit_rows: 1, ..limits() };
        let mut ahead = start(endless, limits);
        let held = ahead.next(|_| ()).await.unwrap().unwrap();
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let polled = polled.load(std::sync::atomic::Ordering::SeqCst);
        assert!((2..=11).contains(&polled), "{polled} batches of 10 KiB were read within a budget of 100 KiB");
        drop(held);
    }
}
