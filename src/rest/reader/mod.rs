//! Reads what a description says.

mod advice;
mod ask;
mod began;
mod by_version;
mod downwards;
mod ending;
mod first_pages;
mod list;
pub(super) mod page;
pub(super) mod plan;
mod position;
mod progress;
pub(super) mod request;
mod verify;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream};

use self::list::StreamReader;
use self::plan::{ApiPlan, Kind, ResourcePlan};
use self::position::Position;
use self::request::Values;
use super::fields::{Wanted, is_truthy, scalar};
use crate::http::Client;
use crate::stream::definition_changed;
use crate::{
    Batch, BatchStream, Error, ErrorKind, Mode, Monitor, Parent, ReadRequest, Reader, Record, Resource, ResourceStream,
    Result, SourceEvent, VerifyRequest,
};

/// A connected API.
#[derive(Debug)]
pub(super) struct RestReader {
    plan: Arc<ApiPlan>,
    streams: BTreeMap<String, Arc<StreamReader>>,
    /// The readers of streams that are not described.
    by_hand: BTreeMap<String, Arc<dyn Reader>>,
    settings: Arc<BTreeMap<String, String>>,
    monitor: Monitor,
}

impl RestReader {
    /// `client` makes the client of a stream.
    ///
    /// # Errors
    /// Those of `client`.
    pub(super) fn new(
        plan: Arc<ApiPlan>,
        by_hand: BTreeMap<String, Arc<dyn Reader>>,
        settings: BTreeMap<String, String>,
        monitor: Monitor,
        client: impl Fn(&plan::StreamPlan) -> Result<Client>,
    ) -> Result<Self> {
        let mut streams = BTreeMap::new();
        for stream in &plan.streams {
            let target = match &stream.kind {
                Kind::DeletionsOf(target) => plan.stream(target).map(|target| &**target),
                _ => None,
            };
            let reader = StreamReader::new(stream.clone(), target, client(stream)?);
            streams.insert(stream.name.clone(), Arc::new(reader));
        }
        Ok(Self { plan, streams, by_hand, settings: Arc::new(settings), monitor })
    }

    fn stream(&self, name: &str) -> Result<&Arc<StreamReader>> {
        self.streams
            .get(name)
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("the source has no stream {name:?}")))
    }

    fn values(&self, resource: &Resource) -> Values {
        let resource = (*resource != Resource::source_wide()).then(|| resource.name().to_owned());
        Values { settings: self.settings.clone(), resource, ..Values::default() }
    }

    /// The batches of a read.
    fn open(&self, request: ReadRequest) -> Result<BatchStream> {
        let reader = self.stream(&request.stream)?.clone();
        let mut position = Position::from_checkpoint(request.checkpoint.as_ref())?;
        if !position.is_of(&reader.plan.definition) {
            request.monitor.event(SourceEvent::Warning(definition_changed(&reader.plan.name)));
            position = Position::mark(None);
        }
        let mut values = self.values(&request.resource);
        if let Some(plan) = &reader.plan.parent {
            let Some(Parent { fields, .. }) = request.parent else {
                return Err(Error::internal(format!("the stream {:?} was read without a parent", request.stream)));
            };
            // A parent that says that it has none needs no request.
            let has_list =
                plan.when.is_none_or(|when| fields.get(when).is_some_and(|value| is_truthy(&value.to_string())));
            if !has_list {
                return Ok(stream::empty().boxed());
            }
            values.parent = plan.fields.iter().cloned().zip(fields).collect();
        }
        let definition = reader.plan.definition.clone();
        let known = match reader.plan.kind {
            // A reconcile run asks without the filter, which may hide what comes late.
            Kind::Append if request.mode != Mode::Reconcile => {
                let top = Position::from_checkpoint(request.incremental.as_ref())?;
                top.newest.filter(|_| top.is_of(&definition))
            }
            _ => None,
        };
        Ok(with_marks(reader.read(values, position, known, request.mode, request.monitor), definition))
    }

    /// The stream whose first page shows that the settings are right: the list of resources, or the first that needs nothing else.
    fn probed(&self) -> Option<&Arc<StreamReader>> {
        let name = match &self.plan.resource {
            Some(list) => Some(&list.stream),
            None => self.plan.streams.iter().find(|stream| stream.parent.is_none()).map(|stream| &stream.name),
        };
        name.and_then(|name| self.streams.get(name))
    }
}

#[async_trait]
impl Reader for RestReader {
    async fn check(&self) -> Result<()> {
        let Some(reader) = self.probed() else { return Ok(()) };
        let records = reader.first_page(self.values(&Resource::source_wide()), &self.monitor).await?;
        self.check_lists(reader.plan.name.clone(), records).await
    }

    fn discover(&self) -> ResourceStream {
        let Some(list) = &self.plan.resource else {
            return stream::iter([Resource::new(self.plan.name.clone())]).boxed();
        };
        let reader = match self.stream(&list.stream) {
            Ok(reader) => reader.clone(),
            Err(error) => return future::ready(Err(error)).into_stream().boxed(),
        };
        let values = self.values(&Resource::source_wide());
        let position = Position::mark(None);
        let fields = ResourceFields::new(list);
        let resources = move |batch: Batch| {
            let resources: Vec<Result<Resource>> =
                batch.records.iter().filter_map(|record| fields.resource(record)).collect();
            stream::iter(resources)
        };
        reader
            .read(values, position, None, Mode::Reconcile, self.monitor.clone())
            .map_ok(resources)
            .try_flatten()
            .boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        if let Some(reader) = self.by_hand.get(&request.stream) {
            return reader.read(request);
        }
        match self.open(request) {
            Ok(batches) => batches,
            Err(error) => future::ready(Err(error)).into_stream().boxed(),
        }
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        if let Some(reader) = self.by_hand.get(&request.stream) {
            return reader.verify(request).await;
        }
        let reader = self.stream(&request.stream)?.clone();
        if !reader.plan.is_verifiable() {
            return Ok(Vec::new());
        }
        let values = self.values(&request.resource);
        reader.verify(values, request).await
    }
}

/// Adds to checkpoints what was read. As long as every element is rejected, there are none: either the server or the description is wrong,
/// and what is right must be read once it is corrected.
fn with_marks(batches: BatchStream, definition: String) -> BatchStream {
    let (mut has_rejects, mut has_records) = (false, false);
    let mut with_mark = move |mut batch: Batch| {
        has_rejects |= !batch.rejects.is_empty();
        has_records |= !batch.records.is_empty();
        let checkpoint = batch.checkpoint.take().filter(|_| has_records || !has_rejects);
        batch.checkpoint = checkpoint.map(|checkpoint| Position::sign(&checkpoint, &definition)).transpose()?;
        Ok(batch)
    };
    batches.map(move |batch| batch.and_then(&mut with_mark)).boxed()
}

/// Where a record of the list of resources has the name and the title of its resource.
struct ResourceFields {
    wanted: Wanted,
    id: usize,
    name: Option<usize>,
}

impl ResourceFields {
    fn new(list: &ResourcePlan) -> Self {
        let mut wanted = Wanted::default();
        let (id, name) = (wanted.add(&list.id), list.name.as_ref().map(|name| wanted.add(name)));
        Self { wanted, id, name }
    }

    /// The resource that a record is; `None` for a deletion.
    fn resource(&self, record: &Record) -> Option<Result<Resource>> {
        let found = self.wanted.scan(record.json()?).ok()?;
        let title = self.name.and_then(|slot| found.value(slot)).and_then(scalar);
        Some(match found.value(self.id).and_then(scalar) {
            Some(id) => Resource::new(id).map(|resource| match title {
                Some(title) => resource.with_title(title),
                None => resource,
            }),
            None => Err(Error::invalid_data(format!("the resource {:?} has no name", record.key))
                .with_help("let `resource.id` point at a text or a number in the records of its stream")),
        })
    }
}
