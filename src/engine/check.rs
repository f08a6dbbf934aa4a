//! Checks that the remote accepts the settings, and that the selected streams can be read.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::Connector;
use super::planned::PlannedStream;
use super::settings::Configured;
use crate::{
    ChildOf, ConnectContext, ErrorKind, Mode, Monitor, Parent, ReadRequest, Reader, Resource, Result, RowQuery,
    RowSelection, Sequence, SourceEvent, StreamKind,
};

/// The maximum number of streams to read.
const MAX_STREAMS: usize = 100;

/// The number of streams to read at once.
pub(super) const CONCURRENT_STREAMS: usize = 4;

/// The number of stored rows among which to look for parents.
const PARENTS: usize = 20;

/// Whether a stream of a resource can be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamCheck {
    /// The resource.
    pub resource: Resource,
    /// The stream.
    pub stream: String,
    /// Whether the source returned its beginning; `None` for a child stream without a stored parent.
    pub result: Result<Option<()>>,
}

impl Connector {
    /// Checks the effective settings: validates them, then connects to the remote. The [observer](Self::observer) gets waits and retries.
    ///
    /// # Errors
    /// Returns the errors of [`Source::connect`](crate::Source::connect) and [`Reader::check`].
    pub async fn check(&self) -> Result<()> {
        let config = self.configuration().await?.config;
        self.source.connect(&config, self.check_context()).await?.check().await
    }

    /// Checks that the selected streams of the enabled resources can be read: reads the beginning of each, and stores nothing. Of a child
    /// stream, reads the lists of stored parents up to one with records. Reads at most 100 streams; the [observer](Self::observer) gets a warning if there are more.
    ///
    /// # Errors
    /// The errors of the stores, of the settings, and of [`Source::connect`](crate::Source::connect). Those of a stream are in its check.
    pub async fn check_streams(&self) -> Result<Vec<StreamCheck>> {
        let Configured { config, resources, .. } = self.configuration().await?;
        let enabled = resources.into_iter().filter(|(_, config)| config.enabled);
        let selected = enabled.map(|(resource, config)| (resource, self.selection(Some(&config)).streams));
        let mut streams: Vec<PlannedStream> =
            PlannedStream::selected(&self.spec, selected).into_values().flatten().collect();
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        if streams.len() > MAX_STREAMS {
            let warning = format!("{} streams are selected: the first {MAX_STREAMS} are checked", streams.len());
            self.monitor().event(SourceEvent::Warning(warning));
            streams.truncate(MAX_STREAMS);
        }
        let reader: Arc<dyn Reader> = self.source.connect(&config, self.check_context()).await?.into();
        let check = |planned: PlannedStream| async {
            let result = self.check_stream(reader.as_ref(), &planned).await;
            StreamCheck { resource: planned.resource, stream: planned.stream.name, result }
        };
        Ok(stream::iter(streams).map(check).buffered(CONCURRENT_STREAMS).collect().await)
    }

    fn check_context(&self) -> ConnectContext {
        ConnectContext::new(self.monitor()).fail_fast(true)
    }

    /// Reads the beginning of a stream.
    async fn check_stream(&self, reader: &dyn Reader, planned: &PlannedStream) -> Result<Option<()>> {
        let PlannedStream { resource, stream, .. } = planned;
        let request = self.beginning_of(planned, Mode::Incremental, self.monitor()).await?;
        if let Some(child) = stream.child_of() {
            let mut checked = None;
            for parent in self.stored_parents(resource, child).await? {
                match reader.read(request.clone().parent(parent)).try_next().await {
                    // A source may know without a request that a parent has no children.
                    Ok(None) => checked = Some(()),
                    Ok(Some(_)) => return Ok(Some(())),
                    // It was deleted meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(checked);
        }
        reader.read(request).try_next().await.map(|_| Some(()))
    }

    /// The request for the beginning of a stream: in an incremental read, the changes since the last run.
    pub(super) async fn beginning_of(
        &self,
        planned: &PlannedStream,
        mode: Mode,
        monitor: Monitor,
    ) -> Result<ReadRequest> {
        let PlannedStream { resource, stream, .. } = planned;
        let mut request = ReadRequest { monitor, ..ReadRequest::new(resource.clone(), &stream.name).mode(mode) };
        if mode == Mode::Incremental && matches!(stream.kind, StreamKind::Incremental | StreamKind::DeletionsOf(_)) {
            request.checkpoint = self.state(&planned.key()).await?.and_then(|entry| entry.state.checkpoint);
        }
        Ok(request)
    }

    /// Some stored live parents.
    async fn stored_parents(&self, resource: &Resource, child: &ChildOf) -> Result<Vec<Parent>> {
        let all = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
        let query = RowQuery::new(resource.clone(), &child.parent, all, PARENTS).fields(child.fields.clone());
        let rows = match self.sink.sequences(resource).await?.contains_key(&child.parent) {
            true => self.sink.select_rows(query).await?,
            false => Vec::new(),
        };
        let live = rows.into_iter().filter(|row| !row.is_deleted);
        Ok(live.map(|row| Parent { fields: row.fields, ..Parent::new(row.position.path) }).collect())
    }
}
