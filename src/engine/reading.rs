//! Reads a stream in the way that its kind demands.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::append::{self, AppendProgress};
use super::children::{ChildProgress, ChildReader};
use super::deletions::DeletionLimit;
use super::list::ListReader;
use super::run::Run;
use super::snapshot;
use crate::stream::definition_changed;
use crate::{
    Batch, BatchStream, Checkpoint, ChildOf, Error, ErrorKind, Mode, ReadRequest, Reader, Reject, Result, Revisit,
    Sequence, SourceEvent, StateKey, StreamKind, StreamSpec,
};

impl Run<'_> {
    /// Reads the stream from where it was left. The checkpoints of the batches are those of its kind.
    pub(super) async fn batches(&self, reader: Arc<dyn Reader>) -> Result<BatchStream> {
        let (checkpoint, incremental) = match self.reconciliation() {
            Some(reconcile) => (reconcile.checkpoint.clone(), self.checkpoint.clone()),
            None => (self.checkpoint.clone(), None),
        };
        let request = ReadRequest {
            resource: self.resource.clone(),
            stream: self.stream.name.clone(),
            checkpoint,
            incremental,
            mode: self.record.mode,
            parent: None,
            monitor: self.monitor.clone(),
        };
        match &self.stream.kind {
            StreamKind::Incremental => Ok(reader.read(request)),
            StreamKind::Append(append) => {
                let mut progress = progress_in::<AppendProgress>(request.checkpoint.as_ref())?;
                if !self.is_defined_as(progress.definition.as_deref()) {
                    self.warn_of_definition();
                    progress = AppendProgress::default();
                }
                progress.definition.clone_from(&self.stream.definition);
                Ok(append::read(reader, request, progress, append.overlap, self.connector.now().as_microsecond()))
            }
            StreamKind::Snapshot => {
                let known = self.checkpoint.clone().map(snapshot::last_list);
                Ok(self.lists(reader, true, known)?.read(None, request.checkpoint.and_then(snapshot::validators), None))
            }
            StreamKind::Child(child) => self.children(reader, child.clone(), request).await,
            StreamKind::DeletionsOf(_) => {
                let mode = Mode::Incremental;
                Ok(reader.read(ReadRequest { mode, ..request }).map_ok(reject_upserts).boxed())
            }
        }
    }

    async fn children(&self, reader: Arc<dyn Reader>, child: ChildOf, request: ReadRequest) -> Result<BatchStream> {
        let mut progress = progress_in::<ChildProgress>(request.checkpoint.as_ref())?;
        if !self.is_defined_as(progress.definition.as_deref()) {
            self.warn_of_definition();
            progress = ChildProgress::default();
        }
        progress.definition.clone_from(&self.stream.definition);
        let incremental = match self.reconciliation() {
            Some(_) => {
                let incremental = progress_in::<ChildProgress>(request.incremental.as_ref())?;
                let incremental = Some(incremental).filter(|it| self.is_defined_as(it.definition.as_deref()));
                let mut incremental = incremental.unwrap_or_default();
                incremental.definition.clone_from(&self.stream.definition);
                Some(incremental)
            }
            None => None,
        };
        let sequences = self.connector.sink.sequences(&self.resource).await?;
        let newest = sequences.get(&child.parent).copied().unwrap_or(Sequence(0));
        let all = incremental.is_some();
        if !all && child.revisit == Revisit::WhenChanged && progress.is_complete(newest) {
            return Ok(stream::empty().boxed());
        }
        let is_parent = |stream: &&StreamSpec| stream.name == child.parent;
        let parent = self.connector.spec.streams.iter().find(is_parent);
        let known = self.checkpoint_of_top(&child.parent).await?;
        let reader = ChildReader {
            lists: self.lists(reader, sequences.contains_key(&self.stream.name), known)?,
            is_parent_verifiable: parent.is_some_and(|parent| parent.is_verifiable),
            newest,
            now: self.connector.now(),
            began: Instant::now(),
            child,
        };
        Ok(Arc::new(reader).read(progress, incremental, all))
    }

    /// Whether the stream is what it was when progress was noted; progress of which that is not known counts.
    fn is_defined_as(&self, definition: Option<&str>) -> bool {
        definition.zip(self.stream.definition.as_deref()).is_none_or(|(then, now)| then == now)
    }

    fn warn_of_definition(&self) {
        self.monitor.event(SourceEvent::Warning(definition_changed(&self.stream.name)));
    }

    /// The checkpoint of a stream's top ancestor, if it is the source's own.
    async fn checkpoint_of_top(&self, stream: &str) -> Result<Option<Checkpoint>> {
        let find = |name: &str| self.connector.spec.streams.iter().find(|spec| spec.name == name);
        let mut top = find(stream);
        while let Some(child) = top.and_then(StreamSpec::child_of) {
            top = find(&child.parent);
        }
        let Some(top) = top.filter(|top| !matches!(top.kind, StreamKind::Append(_))) else { return Ok(None) };
        let entry = self.connector.state(&StateKey::new(self.resource.name(), &top.name)).await?;
        Ok(entry.and_then(|entry| entry.state.checkpoint).map(snapshot::last_list))
    }

    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) if two stores keep rows and state. A crash between them would leave validators of a list whose
    /// rows are stored only in part, and positions of children that are not.
    fn lists(&self, reader: Arc<dyn Reader>, has_rows: bool, known: Option<Checkpoint>) -> Result<ListReader> {
        if !self.connector.is_transactional() {
            let message = format!("the stream `{}` needs a destination that also keeps the state", self.stream.name);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_help("create the connector with `Connector::new` and one backend, or select other streams"));
        }
        Ok(ListReader {
            reader,
            sink: self.connector.sink.clone(),
            resource: self.resource.clone(),
            stream: self.stream.clone(),
            mode: self.record.mode,
            known,
            monitor: self.monitor.clone(),
            limit: self.deletion_limit(),
            has_rows,
        })
    }

    /// The limit of the deletions of each table of the resource.
    pub(super) fn deletion_limit(&self) -> DeletionLimit {
        DeletionLimit {
            sink: self.connector.sink.clone(),
            resource: self.resource.clone(),
            ledger: self.ledger.clone(),
            limits: self.connector.limits,
            is_confirmed: self.allow_deletions,
        }
    }

    /// Whether a reconcile run reads the stream anew. A list of deletions is read on.
    pub(super) fn reconciles(&self) -> bool {
        !matches!(self.stream.kind, StreamKind::DeletionsOf(_))
    }

    /// Whether a reconcile run verifies what it has not marked: of a snapshot, the records that were listed in an older state. Other lists
    /// are authoritative, and an append stream loses no record.
    pub(super) fn sweeps(&self) -> bool {
        let verifies = match self.stream.kind {
            StreamKind::Incremental => true,
            StreamKind::Snapshot => self.stream.is_verifiable,
            StreamKind::Append(_) | StreamKind::Child(_) | StreamKind::DeletionsOf(_) => false,
        };
        verifies && self.record.mode == Mode::Reconcile
    }
}

/// Reads the engine's progress in a checkpoint.
fn progress_in<T: DeserializeOwned + Default>(checkpoint: Option<&Checkpoint>) -> Result<T> {
    checkpoint.map_or_else(|| Ok(T::default()), Checkpoint::parse)
}

/// Rejects the records of a list of deletions that are none.
fn reject_upserts(mut batch: Batch) -> Batch {
    for record in batch.records.extract_if(.., |record| record.json().is_some()) {
        let raw = record.json().cloned().unwrap_or_default();
        batch.rejects.push(Reject::new(format!("the record {:?} is not a deletion", record.key), raw));
    }
    batch
}
