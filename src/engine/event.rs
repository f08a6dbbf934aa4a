//! What an ingestion tells those who watch it.

use crate::{Counts, Mode, Resource, RunId, RunRecord, SourceEvent, Traffic};

/// Something that happened during an ingestion.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A run has begun.
    Started {
        /// The run.
        run: RunId,
        /// The resource that it reads.
        resource: Resource,
        /// How it is read.
        mode: Mode,
    },
    /// The source has something to say: a wait, a quota, a warning.
    Source {
        /// The resource being read.
        resource: Resource,
        /// What the source says.
        event: SourceEvent,
    },
    /// The source has something to say while it [checks](super::Connector::check) or [discovers](super::Connector::discover).
    Remote(SourceEvent),
    /// A batch has arrived from the source. It is not yet committed.
    Read {
        /// The resource being read.
        resource: Resource,
        /// How many records the source saw for it.
        records: u64,
        /// What reading has cost so far.
        traffic: Traffic,
    },
    /// A commit is visible in the destination.
    Committed {
        /// The resource.
        resource: Resource,
        /// The run.
        run: RunId,
        /// What became of the run's records so far.
        counts: Counts,
        /// How many commits the run has made.
        commits: u64,
    },
    /// A full pass has come to its end and looks once more at records that it did not come across.
    Verifying {
        /// The resource.
        resource: Resource,
        /// How many records are being looked at in this step.
        records: u64,
    },
    /// A run has ended; its record says how.
    Ended(Box<RunRecord>),
}

/// Watches an ingestion. Any `Fn(&Event)` is one.
///
/// It is called from the tasks that do the work, and must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

impl Event {
    /// Writes the event to the program's log (`tracing`).
    pub(super) fn log(&self) {
        match self {
            Self::Started { run, resource, mode } => tracing::info!(%run, %resource, ?mode, "run started"),
            Self::Source { resource, event: SourceEvent::Waiting { reason, until } } => {
                tracing::warn!(%resource, %reason, %until, "waiting");
            }
            Self::Source { resource, event: SourceEvent::Warning(warning) } => tracing::warn!(%resource, "{warning}"),
            Self::Remote(SourceEvent::Waiting { reason, until }) => tracing::warn!(%reason, %until, "waiting"),
            Self::Remote(SourceEvent::Warning(warning)) => tracing::warn!("{warning}"),
            Self::Remote(event) => tracing::debug!(?event, "source"),
            Self::Source { resource, event } => tracing::debug!(%resource, ?event, "source"),
            Self::Read { resource, records, traffic } => tracing::trace!(%resource, records, ?traffic, "batch read"),
            Self::Committed { resource, commits, counts, .. } => {
                tracing::debug!(%resource, commits, offered = counts.offered, "committed");
            }
            Self::Verifying { resource, records } => tracing::info!(%resource, records, "verifying"),
            Self::Ended(run) => match &run.error {
                Some(error) => {
                    tracing::error!(resource = %run.resource, status = ?run.status, error = %error.message, "run ended")
                }
                None => {
                    tracing::info!(resource = %run.resource, status = ?run.status, counts = ?run.counts, "run ended")
                }
            },
        }
    }
}
