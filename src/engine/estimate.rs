//! Estimates an ingestion: reads the beginning of each stream, and stores nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::check::CONCURRENT_STREAMS;
use super::planned::PlannedStream;
use super::resources::ResourceLookup;
use super::run::millis;
use super::{Connector, IngestRequest};
use crate::{ErrorReport, Load, LoadEstimate, Mode, Monitor, Reader, Resource, Result, SourceEvent};

/// The window of a quota whose requests are used up: GitHub's is an hour.
const QUOTA_WINDOW: Duration = Duration::from_secs(60 * 60);

/// What an ingestion would take, as far as the beginnings of its streams tell.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct IngestEstimate {
    /// One for each stream of each resource, ordered by both names.
    pub streams: Vec<StreamEstimate>,
    /// The sum of all streams whose length is known.
    pub requests: u64,
    /// The sum of all streams whose length is known.
    pub records: u64,
    /// The bytes of their documents, before compression.
    pub bytes: u64,
    /// The time for the requests one after another, with the waits for the source's quota, in milliseconds.
    pub read_ms: u64,
    /// What loading the records takes; `None` if the destination cannot tell.
    pub load: Option<LoadEstimate>,
}

/// What reading one stream of a resource would take.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StreamEstimate {
    /// The resource.
    pub resource: Resource,
    /// The stream.
    pub stream: String,
    /// The length of the stream; `None` if the source does not tell how long it is, or if it cannot be read.
    pub size: Option<StreamSize>,
    /// Why its beginning cannot be read.
    pub error: Option<ErrorReport>,
}

/// The length of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamSize {
    /// The requests for it.
    pub requests: u64,
    /// The records.
    pub records: u64,
    /// The bytes of their documents.
    pub bytes: u64,
}

/// The beginning of a stream, and what the source reported while it was read.
struct Beginning {
    size: Option<StreamSize>,
    /// How long a request took.
    latency: Duration,
    quota: Option<Quota>,
}

/// The requests that a source allows.
#[derive(Clone, Copy)]
struct Quota {
    remaining: u64,
    limit: Option<u64>,
}

/// What a source reports while it is read.
#[derive(Default)]
struct Reported {
    pages: Option<u64>,
    quota: Option<Quota>,
}

impl Connector {
    /// Estimates what an ingestion would take: reads the beginning of each stream, from where its next run begins, and stores nothing. The
    /// length of a stream is known if it ends at once, or if the source [reports](SourceEvent::Pages) its number of pages. That of a child
    /// stream is not, because it depends on records that are not stored yet. `request.mode` counts: a reconcile run reads everything.
    ///
    /// # Errors
    /// As for [`ingest`](Self::ingest), and the errors of [`Source::connect`](crate::Source::connect). Those of a stream are in its estimate.
    pub async fn estimate(&self, request: IngestRequest) -> Result<IngestEstimate> {
        let configured = self.configuration().await?;
        let (config, known) = (configured.config, configured.resources);
        let names = ResourceLookup::new(self, &config, known.keys().map(Resource::name));
        let requested = request.streams.map(|streams| streams.read(&self.spec)).transpose()?;
        let named = request.resources.iter().map(|one| names.find(one.name())).collect::<Result<Vec<_>>>()?;
        let enabled = || known.iter().filter(|(_, config)| config.enabled).map(|(resource, _)| resource.clone());
        let resources: Vec<Resource> = if named.is_empty() { enabled().collect() } else { named };
        if resources.is_empty() {
            return Err(self.nothing_enabled());
        }
        let new_resources = resources.iter().filter(|resource| !known.contains_key(resource)).count() as u64;
        let selected = resources.into_iter().map(|resource| {
            let streams = self.selection_for(requested.as_deref(), known.get(&resource)).streams;
            (resource, streams)
        });
        let planned: Vec<PlannedStream> =
            PlannedStream::selected(&self.spec, selected).into_values().flatten().collect();
        let reader = self.reader(&config).await?;
        let mode = request.mode;
        let begin = |planned: PlannedStream| {
            let reader = reader.clone();
            async move { (self.beginning(reader.as_ref(), &planned, mode).await, planned) }
        };
        let begun: Vec<_> = stream::iter(planned).map(begin).buffered(CONCURRENT_STREAMS).collect().await;
        Ok(self.sum_up(begun, new_resources))
    }

    fn sum_up(&self, begun: Vec<(Result<Option<Beginning>>, PlannedStream)>, new_resources: u64) -> IngestEstimate {
        let (mut streams, mut sum) =
            (Vec::with_capacity(begun.len()), StreamSize { requests: 0, records: 0, bytes: 0 });
        let (mut reading, mut quota, mut with_records) = (Duration::ZERO, None, 0);
        for (begun, PlannedStream { resource, stream, .. }) in begun {
            let (size, error) = match begun {
                Ok(None) => (None, None),
                Ok(Some(begun)) => {
                    quota = begun.quota.or(quota);
                    if let Some(size) = begun.size {
                        sum.requests += size.requests;
                        sum.records += size.records;
                        sum.bytes += size.bytes;
                        reading += begun.latency.saturating_mul(u32::try_from(size.requests).unwrap_or(u32::MAX));
                        with_records += u64::from(size.records > 0);
                    }
                    (begun.size, None)
                }
                Err(error) => (None, Some(error.report())),
            };
            streams.push(StreamEstimate { resource, stream: stream.name, size, error });
        }
        let read_time = reading + quota.map_or(Duration::ZERO, |quota| quota.wait_for(sum.requests));
        let StreamSize { requests, records, bytes } = sum;
        let load = Load { new_resources, streams: with_records, records, bytes, read_time };
        IngestEstimate { streams, requests, records, bytes, read_ms: millis(read_time), load: self.sink.estimate(load) }
    }

    /// Reads the beginning of a stream. `None`: it is a child stream.
    async fn beginning(&self, reader: &dyn Reader, planned: &PlannedStream, mode: Mode) -> Result<Option<Beginning>> {
        if planned.stream.child_of().is_some() {
            return Ok(None);
        }
        let reported = Arc::<Mutex<Reported>>::default();
        let noted = reported.clone();
        let monitor = Monitor::new(move |event| lock(&noted).note(&event));
        let request = self.beginning_of(planned, mode, monitor.clone()).await?;
        let began = Instant::now();
        let mut batches = reader.read(request);
        let first = batches.try_next().await?;
        let traffic = monitor.traffic();
        let latency = began.elapsed() / u32::try_from(traffic.requests.max(1)).unwrap_or(u32::MAX);
        let Some(batch) = first else {
            let size = StreamSize { requests: traffic.requests, records: 0, bytes: 0 };
            return Ok(Some(Beginning { size: Some(size), latency, quota: lock(&reported).quota }));
        };
        let records = batch.records.len() as u64;
        let bytes = batch.records.iter().filter_map(|record| record.json()).map(|json| json.len() as u64).sum::<u64>();
        let Reported { pages, quota } = *lock(&reported);
        let size = match pages {
            Some(pages) => Some(StreamSize {
                requests: (traffic.requests + pages).saturating_sub(1),
                records: records.saturating_mul(pages),
                bytes: bytes.saturating_mul(pages),
            }),
            // Without pages, only the end of the stream tells that it is short.
            None => match batches.try_next().await? {
                None => Some(StreamSize { requests: monitor.traffic().requests, records, bytes }),
                Some(_) => None,
            },
        };
        Ok(Some(Beginning { size, latency, quota }))
    }
}

fn lock(reported: &Mutex<Reported>) -> MutexGuard<'_, Reported> {
    reported.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reported {
    fn note(&mut self, event: &SourceEvent) {
        match *event {
            SourceEvent::Pages(pages) => self.pages = self.pages.max(Some(pages)),
            SourceEvent::Quota { remaining, limit, .. } => self.quota = Some(Quota { remaining, limit }),
            _ => {}
        }
    }
}

impl Quota {
    /// The time that this many requests wait.
    fn wait_for(self, requests: u64) -> Duration {
        let beyond = requests.saturating_sub(self.remaining);
        let Some(limit) = self.limit.filter(|limit| *limit > 0) else { return Duration::ZERO };
        QUOTA_WINDOW.saturating_mul(u32::try_from(beyond.div_ceil(limit)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_quota_wait_for_windows() {
        let hours = |remaining, limit, requests| Quota { remaining, limit }.wait_for(requests).as_secs() / 3_600;
        assert_eq!(hours(4_000, Some(5_000), 4_000), 0);
        assert_eq!(hours(4_000, Some(5_000), 4_001), 1);
        assert_eq!(hours(4_000, Some(5_000), 14_000), 2);
        assert_eq!(hours(0, None, 14_000), 0, "the source does not tell");
        assert_eq!(hours(0, Some(0), 14_000), 0);
    }
}
