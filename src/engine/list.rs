//! Reads a complete list, and finds the stored rows that it lacks: that of a snapshot stream, or that of one parent.

use std::collections::HashSet;
use std::sync::Arc;

use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt};

use super::deletions::{DeletionLimit, Deletions};
use super::task::Task;
use super::verification;
use crate::record::content_hash;
use crate::sink::LiveRows;
use crate::stream::Listing;
use crate::{
    Batch, BatchStream, Checkpoint, Error, Evidence, Mode, Monitor, Parent, ReadRequest, Reader, Record, Resource,
    Result, RowPath, RowQuery, RowSelection, SelectedRow, Sink, StoredRecord, StreamKind, StreamSpec, VerifyRequest,
};

/// The number of rows to select, to verify and to delete at once.
const STEP: usize = 500;

/// Reads the lists of one stream of a resource.
#[derive(Debug, Clone)]
pub(super) struct ListReader {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) resource: Resource,
    pub(super) stream: StreamSpec,
    pub(super) mode: Mode,
    /// A checkpoint of the source's own that tells the resource from another one of its name: that of the stream, or of its top ancestor.
    pub(super) known: Option<Checkpoint>,
    pub(super) monitor: Monitor,
    pub(super) limit: DeletionLimit,
    /// Whether the stream may have stored rows.
    pub(super) has_rows: bool,
}

/// The keys that a list contains. A hash of 128 bits stands for each, so that a list of any length fits into memory: of two keys with the
/// same hash, one would stay undeleted.
#[derive(Debug, Default)]
struct ListedKeys(HashSet<[u8; 16]>);

impl ListedKeys {
    fn add(&mut self, records: &[Record]) {
        self.0.extend(records.iter().map(|record| content_hash(&record.key)));
    }

    fn lacks(&self, row: &SelectedRow) -> bool {
        row.position.path.key().is_some_and(|key| !self.0.contains(&content_hash(key)))
    }
}

/// The stored live rows below a parent.
#[derive(Debug, Default)]
struct StoredRows {
    /// The number of all.
    live: u64,
    /// Those that a list lacks.
    missing: Vec<SelectedRow>,
}

impl ListReader {
    /// Reads a list to its end, then returns deletions of the stored rows that it lacks. The checkpoint comes last, so that it never holds
    /// before the deletions.
    ///
    /// A list that fails, or that has not changed, deletes nothing.
    ///
    /// `stored` are the stored rows of the parent, if they are known already.
    pub(super) fn read(
        self,
        parent: Option<Parent>,
        checkpoint: Option<Checkpoint>,
        stored: Option<Vec<SelectedRow>>,
    ) -> BatchStream {
        try_stream! {
            let path = parent.as_ref().map_or(RowPath::ROOT, |parent| parent.path.clone());
            let mut listed = ListedKeys::default();
            let (mut batches, mut validators) = (0, None);
            let mut list = self.request(parent.clone(), checkpoint);
            while let Some(mut batch) = list.try_next().await? {
                if batch.is_unchanged {
                    self.check_unchanged(&batch, batches)?;
                    return;
                }
                batches += 1;
                listed.add(&batch.records);
                validators = batch.checkpoint.take();
                yield of_parent(batch, &path);
            }
            drop(list);
            let StoredRows { live, mut missing } = self.missing(&path, &listed, stored).await?;
            let mut deletions = Vec::new();
            if !missing.is_empty() && batches > 1 && self.stream.listing == Listing::MayDrift {
                if self.stream.is_verifiable {
                    for rows in missing.chunks(STEP) {
                        let mut alive = self.verify(rows).await?;
                        deletions.extend(alive.extract_if(.., |record| record.json().is_none()));
                        yield of_parent(Batch::new().records(alive), &path);
                    }
                } else {
                    let mut second = ListedKeys::default();
                    let mut list = self.request(parent, None);
                    while let Some(mut batch) = list.try_next().await? {
                        second.add(&batch.records);
                        batch.checkpoint = None;
                        yield of_parent(batch, &path);
                    }
                    deletions.extend(missing.iter().filter(|row| second.lacks(row)).map(deletion));
                }
                // Where the pages have drifted, a later list that looks the same would not be complete.
                validators = validators.filter(|_| deletions.len() == missing.len());
                missing.clear();
            }
            deletions.extend(missing.iter().map(deletion));
            self.limit(live, &mut deletions).await?;
            while !deletions.is_empty() {
                let rest = deletions.split_off(deletions.len().min(STEP));
                yield of_parent(Batch::new().records(std::mem::replace(&mut deletions, rest)), &path);
            }
            if let Some(validators) = validators {
                yield Batch::new().checkpoint(validators);
            }
        }
        .boxed()
    }

    /// Returns deletions of all stored rows below a parent that is gone.
    pub(super) fn delete_children(self, parent: RowPath, stored: Option<Vec<SelectedRow>>) -> BatchStream {
        try_stream! {
            for rows in self.missing(&parent, &ListedKeys::default(), stored).await?.missing.chunks(STEP) {
                yield of_parent(Batch::new().records(rows.iter().map(deletion)), &parent);
            }
        }
        .boxed()
    }

    fn request(&self, parent: Option<Parent>, checkpoint: Option<Checkpoint>) -> BatchStream {
        self.reader.read(ReadRequest {
            resource: self.resource.clone(),
            stream: self.stream.name.clone(),
            checkpoint,
            incremental: self.known.clone(),
            mode: self.mode,
            parent,
            monitor: self.monitor.clone(),
        })
    }

    fn check_unchanged(&self, batch: &Batch, batches: usize) -> Result<()> {
        if batches == 0 && batch.offered() == 0 {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the source called the list of `{}` unchanged, but returned records",
            self.stream.name
        ))
        .with_help("in the source, return `Batch::unchanged()` alone, once no page has changed"))
    }

    /// The stored live rows below a parent that a list lacks.
    async fn missing(
        &self,
        parent: &RowPath,
        listed: &ListedKeys,
        stored: Option<Vec<SelectedRow>>,
    ) -> Result<StoredRows> {
        let mut found = StoredRows::default();
        let mut add = |rows: Vec<SelectedRow>| {
            found.live += rows.len() as u64;
            found.missing.extend(rows.into_iter().filter(|row| listed.lacks(row)));
        };
        if let Some(stored) = stored {
            add(stored);
            return Ok(found);
        }
        let mut after = None;
        loop {
            let rows = self.select_children(vec![parent.clone()], after.take(), STEP).await?;
            let is_last = rows.len() < STEP;
            after = rows.last().map(|row| row.position.path.clone());
            add(rows);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Limits the deletions of a list like those of a reconcile run. A snapshot that lacks more deletes nothing; of the lists of a child
    /// stream, those that come first may have deleted rows.
    async fn limit(&self, live: u64, deletions: &mut Vec<Record>) -> Result<()> {
        let (stream, rows) = (&self.stream.name, deletions.len() as u64);
        if !self.limit.is_bounded() || rows == 0 {
            return Ok(());
        }
        if self.stream.kind != StreamKind::Snapshot {
            return self.limit.claim(stream, rows).await;
        }
        let ledger = &self.limit.ledger;
        let mut limited = Deletions::new(stream, LiveRows::new(live, rows), ledger.deleted(stream), &self.limit.limits);
        limited.refuse_empty_listing()?;
        limited.hold_back(deletions)?;
        *deletions = limited.release();
        ledger.add_deleted(stream, rows);
        Ok(())
    }

    /// The stored live rows below some parents, at most `limit`.
    pub(super) async fn select_children(
        &self,
        parents: Vec<RowPath>,
        after: Option<RowPath>,
        limit: usize,
    ) -> Result<Vec<SelectedRow>> {
        if !self.has_rows {
            return Ok(Vec::new());
        }
        let selection = RowSelection::Children { parents, after };
        self.select(RowQuery::new(self.resource.clone(), &self.stream.name, selection, limit)).await
    }

    /// Selects rows in a task of its own: a reader that has read far enough ahead is not polled on, and a query in it would keep what commits
    /// wait for, such as the sink's connection.
    pub(super) async fn select(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        let sink = self.sink.clone();
        Task::start(async move { sink.select_rows(query).await }, "the sink panicked").await
    }

    /// Verifies rows of this stream one by one.
    async fn verify(&self, rows: &[SelectedRow]) -> Result<Vec<Record>> {
        let paths: Vec<RowPath> = rows.iter().map(|row| row.position.path.clone()).collect();
        let query = RowQuery::new(self.resource.clone(), &self.stream.name, RowSelection::Paths(paths), rows.len());
        let records = self.select(query.documents()).await?.into_iter().filter_map(stored_record).collect();
        let verified = self.verify_records(&self.stream.name, records).await?.into_iter();
        Ok(verified.map(|record| record.with_evidence(Evidence::Verified)).collect())
    }

    /// Verifies records of a stream one by one.
    pub(super) async fn verify_records(&self, stream: &str, records: Vec<StoredRecord>) -> Result<Vec<Record>> {
        let request = VerifyRequest {
            checkpoint: self.known.clone(),
            monitor: self.monitor.clone(),
            allow_deletions: self.limit.is_confirmed,
            ..VerifyRequest::new(self.resource.clone(), stream, records)
        };
        verification::verify(self.reader.as_ref(), request).await
    }
}

/// A selected row with its document, as the source verifies it.
pub(super) fn stored_record(row: SelectedRow) -> Option<StoredRecord> {
    let (path, json) = (&row.position.path, row.json?);
    Some(StoredRecord { parent: path.parent(), ..StoredRecord::new(path.key()?, row.version, json) })
}

fn deletion(row: &SelectedRow) -> Record {
    Record::delete(row.position.path.key().unwrap_or_default(), row.version)
}

/// Sets the parent of the records.
fn of_parent(mut batch: Batch, parent: &RowPath) -> Batch {
    batch.records = batch.records.into_iter().map(|record| record.of_parent(parent.clone())).collect();
    batch
}
