//! The contract of [`Source`].

mod kinds;
mod reading;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;

use kinds::*;
use reading::*;

use super::Clause;
use crate::{
    Batch, BatchStream, Checkpoint, ChildOf, ConnectContext, JsonPath, Mode, Monitor, Parent, ReadRequest, Reader,
    Resource, RowPath, Settings, Source, StreamSpec, Version,
};

/// Tests a [`Source`] against its contract: one `#[test]` for each clause, over the [`SourceCase`] that the expression
/// returns.
///
/// ```
/// mod planets {
///     # use async_trait::async_trait;
///     # use futures::{StreamExt, stream};
///     # use snowfeed::prelude::*;
///     use snowfeed::testkit::conformance::SourceCase;
///
///     # #[derive(Debug)]
///     # struct Planets;
///     # #[async_trait]
///     # impl Source for Planets {
///     #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1.0.0").stream(StreamSpec::new("planets")) }
///     #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
///     # }
///     # #[async_trait]
///     # impl Reader for Planets {
///     #     async fn check(&self) -> Result<()> { Ok(()) }
///     #     fn discover(&self) -> ResourceStream { stream::iter([Resource::new("sun")]).boxed() }
///     #     fn read(&self, _: ReadRequest) -> BatchStream { stream::empty().boxed() }
///     # }
///     snowfeed::source_conformance!(SourceCase::new(Planets, Settings::default(), Resource::new("sun").unwrap()));
/// }
/// ```
#[macro_export]
macro_rules! source_conformance {
    ($make:expr) => {
        $crate::__source_clauses! { __conformance_tests (source, $crate::testkit::conformance::SourceCase, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __source_clauses {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            clause_1_spec_is_constant_and_names_its_streams
            clause_2_connect_sends_no_request
            clause_2_check_succeeds_every_time
            clause_2_discover_finds_the_resource
            clause_3_streams_do_not_contain_the_same_records
            clause_3_every_key_has_1_to_255_bytes
            clause_3_no_version_decreases_between_reads
            clause_3_every_document_is_json
            clause_3_every_column_matches_a_value
            clause_4_resuming_at_any_checkpoint_leaves_no_gap
            clause_4_changes_after_the_last_checkpoint_arrive
            clause_4_an_unreadable_checkpoint_is_refused
            clause_5_every_read_delivers_everything
            clause_5_a_reconcile_run_delivers_everything
            clause_5_the_stream_ends_after_an_error
            clause_6_nothing_happens_before_the_stream_is_polled
            clause_6_a_dropped_stream_leaves_nothing_running
            clause_7_concurrent_reads_do_not_interfere
            clause_9_verify_returns_only_requested_records
            clause_10_a_list_of_children_belongs_to_its_parent
            clause_10_a_read_returns_the_children_of_its_parent
            clause_11_a_snapshot_is_unchanged_only_if_it_is_the_same
            clause_12_an_append_stream_lists_the_newest_first
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<SourceCase>> {
    crate::__source_clauses! { __conformance_list () }
}

/// A source, its settings, and a resource. Only [`changing`](Self::changing) may change the resource while it is read.
pub struct SourceCase {
    pub(super) source: Arc<dyn Source>,
    pub(super) settings: Settings,
    other: Settings,
    pub(super) resource: Resource,
    pub(super) change: Option<Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>>,
    overlap: bool,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl SourceCase {
    /// Creates a case from a source, its settings, and a resource that it can read with them.
    pub fn new(source: impl Source, settings: Settings, resource: Resource) -> Self {
        let (source, other) = (Arc::new(source), settings.clone());
        Self { source, settings, other, resource, change: None, overlap: false, kept: Vec::new() }
    }

    /// Adds other settings that read the same records, such as another page size. The checks use both concurrently, on the same
    /// source.
    #[must_use]
    pub fn other_settings(mut self, settings: Settings) -> Self {
        self.other = settings;
        self
    }

    /// Sets how to change the resource: each call adds or changes at least one record of any stream.
    #[must_use]
    pub fn changing<F>(mut self, change: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.change = Some(Box::new(move || Box::pin(change())));
        self
    }

    /// Declares that every record of one stream may be in another one, too: such as all users and the administrators.
    #[must_use]
    pub fn overlapping_streams(mut self) -> Self {
        self.overlap = true;
        self
    }

    /// Keeps a value, such as a server or a directory, alive as long as the case.
    #[must_use]
    pub fn keeping(mut self, value: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(value));
        self
    }

    /// The names of the source's streams.
    pub(super) fn streams(&self) -> Vec<String> {
        self.source.spec().streams.into_iter().map(|stream| stream.name).collect()
    }

    fn request(&self, stream: &str, mode: Mode, checkpoint: Option<Checkpoint>, monitor: Monitor) -> ReadRequest {
        let resource = self.spec_of(stream).owner(&self.resource);
        ReadRequest { monitor, ..ReadRequest::new(resource, stream).mode(mode).checkpoint(checkpoint) }
    }

    /// Connects with the case's settings.
    async fn reader(&self) -> Box<dyn Reader> {
        self.connect(&self.settings).await
    }

    async fn connect(&self, settings: &Settings) -> Box<dyn Reader> {
        let connected = self.source.connect(settings, ConnectContext::detached()).await;
        connected.unwrap_or_else(|error| panic!("connect failed: {error:?}"))
    }

    async fn read(&self, stream: &str, mode: Mode, checkpoint: Option<Checkpoint>) -> BatchStream {
        self.reader().await.read(self.request(stream, mode, checkpoint, Monitor::detached()))
    }

    fn spec_of(&self, stream: &str) -> StreamSpec {
        let spec = self.source.spec().streams.into_iter().find(|spec| spec.name == stream);
        spec.unwrap_or_else(|| panic!("the source has no stream {stream:?}"))
    }

    /// The live records of a child stream's parent.
    async fn parents(&self, child: &ChildOf) -> Vec<Parent> {
        let mut documents = BTreeMap::new();
        for record in
            self.batches(&child.parent, Mode::Reconcile, None).await.into_iter().flat_map(|batch| batch.records)
        {
            documents.insert(record.path(), record.json().cloned());
        }
        let live = documents.into_iter().filter_map(|(path, json)| Some((path, json?)));
        live.map(|(path, json)| Parent { fields: JsonPath::find_all(&child.fields, &json), ..Parent::new(path) })
            .collect()
    }

    /// The reads that the source serves: one for each stream; for a child stream, one for each of its first parents.
    async fn lists(&self) -> Vec<List> {
        let mut lists = Vec::new();
        for spec in self.source.spec().streams {
            match spec.child_of() {
                None => lists.push(List { stream: spec.name, parent: None }),
                Some(child) => {
                    let parents = self.parents(child).await.into_iter().take(FIRST_PARENTS);
                    lists.extend(parents.map(|parent| List { stream: spec.name.clone(), parent: Some(parent) }));
                }
            }
        }
        lists
    }

    fn list_request(&self, list: &List, monitor: Monitor) -> ReadRequest {
        ReadRequest { parent: list.parent.clone(), ..self.request(&list.stream, Mode::Incremental, None, monitor) }
    }

    async fn list_batches(&self, list: &List) -> Vec<Batch> {
        drain(self.reader().await.read(self.list_request(list, Monitor::detached()))).await
    }

    /// Reads a stream incrementally from the start, then reads all of it in reconcile mode.
    async fn batches_of_both_modes(&self, stream: &str) -> Vec<Batch> {
        let mut batches = self.batches(stream, Mode::Incremental, None).await;
        batches.extend(self.batches(stream, Mode::Reconcile, None).await);
        batches
    }

    /// Reads a stream to its end; a child stream for every parent.
    pub(super) async fn batches(&self, stream: &str, mode: Mode, checkpoint: Option<Checkpoint>) -> Vec<Batch> {
        let spec = self.spec_of(stream);
        let Some(child) = spec.child_of() else { return drain(self.read(stream, mode, checkpoint).await).await };
        let reader = self.reader().await;
        let mut batches = Vec::new();
        for parent in Box::pin(self.parents(child)).await {
            let path = parent.path.clone();
            let request = self.request(stream, mode, None, Monitor::detached()).parent(parent);
            for mut batch in drain(reader.read(request)).await {
                batch.records = batch.records.into_iter().map(|record| record.of_parent(path.clone())).collect();
                batches.push(batch);
            }
        }
        batches
    }

    /// Reads every stream incrementally from the start.
    async fn all_streams(&self) -> BTreeMap<String, Vec<Batch>> {
        let mut read = BTreeMap::new();
        for stream in self.streams() {
            let batches = self.batches(&stream, Mode::Incremental, None).await;
            read.insert(stream, batches);
        }
        read
    }
}

impl fmt::Debug for SourceCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceCase")
            .field("source", &self.source)
            .field("resource", &self.resource)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// The number of parents whose lists are read one by one.
const FIRST_PARENTS: usize = 2;

/// A list that a source serves.
#[derive(Debug, Clone)]
struct List {
    stream: String,
    /// The parent, if the stream is a child.
    parent: Option<Parent>,
}

/// Reads a stream to its end.
async fn drain(mut stream: BatchStream) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch.unwrap_or_else(|error| panic!("the source failed: {error:?}")));
    }
    batches
}

/// The newest version of each record of a stream, by path. Records with falling versions count as lost.
fn newest<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> BTreeMap<RowPath, Version> {
    let mut newest = BTreeMap::new();
    for record in batches.into_iter().flat_map(|batch| &batch.records) {
        let version = newest.entry(record.path()).or_insert(record.version);
        *version = record.version.max(*version);
    }
    newest
}

/// Long enough to notice a task that is still running.
const SETTLE_TIME: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_is_listed() {
        let files = [include_str!("source/reading.rs"), include_str!("source/kinds.rs")];
        super::super::assert_complete(&files.concat(), &super::clauses());
    }
}
