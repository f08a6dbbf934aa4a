//! The events of an ingestion, and their observers.

use jiff::Timestamp;

use crate::cost::BudgetUse;
use crate::{Counts, Mode, Resource, RunId, RunRecord, SourceEvent, Traffic};

/// An event of an ingestion.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A run has started.
    #[non_exhaustive]
    Started {
        /// The run.
        run: RunId,
        /// The resource that it reads.
        resource: Resource,
        /// The stream that it reads.
        stream: String,
        /// How it reads.
        mode: Mode,
    },
    /// The source reports a wait, a quota or a warning.
    #[non_exhaustive]
    Source {
        /// The resource being read.
        resource: Resource,
        /// The stream being read.
        stream: String,
        /// The source's event.
        event: SourceEvent,
    },
    /// The source reports an event of a request that belongs to no read: a [check](super::Connector::check), a
    /// [discovery](super::Connector::discover), or a token that all reads share.
    Remote(SourceEvent),
    /// A batch has arrived from the source. It is not yet committed.
    #[non_exhaustive]
    Read {
        /// The resource being read.
        resource: Resource,
        /// The stream being read.
        stream: String,
        /// The number of records that the source read for it.
        records: u64,
        /// The traffic so far.
        traffic: Traffic,
    },
    /// A commit is visible in the destination.
    #[non_exhaustive]
    Committed {
        /// The resource.
        resource: Resource,
        /// The stream.
        stream: String,
        /// The run.
        run: RunId,
        /// The counts of the run so far.
        counts: Counts,
        /// The number of the run's commits.
        commits: u64,
    },
    /// A reconcile run has read everything and verifies records that it has not seen.
    #[non_exhaustive]
    Verifying {
        /// The resource.
        resource: Resource,
        /// The stream.
        stream: String,
        /// The number of records in this step.
        records: u64,
    },
    /// The [budget](super::Connector::set_budget) is used up: nothing starts before the pause ends.
    Paused(BudgetUse),
    /// [`serve`](super::Connector::serve) has nothing to do before the next run is due.
    #[non_exhaustive]
    Idle {
        /// When the next run is due.
        next_due: Timestamp,
    },
    /// A run has ended; its record has the status.
    Ended(Box<RunRecord>),
}

/// Observes an ingestion. Any `Fn(&Event)` is one.
///
/// The engine calls it from the tasks that do the work, so it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Receives an event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

impl Event {
    /// Logs the event (`tracing`).
    pub(super) fn log(&self) {
        match self {
            Self::Started { run, resource, stream, mode } => {
                tracing::info!(%run, %resource, stream, %mode, "run started");
            }
            Self::Source { resource, stream, event: SourceEvent::Waiting { reason, until } } => {
                tracing::warn!(%resource, stream, %reason, %until, "waiting");
            }
            Self::Source { resource, stream, event: SourceEvent::Warning(warning) } => {
                tracing::warn!(%resource, stream, "{warning}");
            }
            Self::Remote(SourceEvent::Waiting { reason, until }) => tracing::warn!(%reason, %until, "waiting"),
            Self::Remote(SourceEvent::Warning(warning)) => tracing::warn!("{warning}"),
            Self::Remote(event) => tracing::debug!("{event}"),
            Self::Source { resource, stream, event } => tracing::debug!(%resource, stream, "{event}"),
            Self::Read { resource, stream, records, traffic } => {
                let Traffic { requests, bytes, waited_ms } = *traffic;
                tracing::trace!(%resource, stream, records, requests, bytes, waited_ms, "batch read")
            }
            Self::Committed { resource, stream, commits, counts, .. } => {
                tracing::debug!(%resource, stream, commits, offered = counts.offered, "committed");
            }
            Self::Verifying { resource, stream, records } => tracing::info!(%resource, stream, records, "verifying"),
            Self::Paused(used) => tracing::warn!("{used}"),
            Self::Idle { next_due } => tracing::debug!(%next_due, "waiting for the next run"),
            Self::Ended(run) => log_end(run),
        }
    }
}

fn log_end(run: &RunRecord) {
    let RunRecord { id, resource, stream, status, counts, .. } = run;
    match &run.error {
        Some(error) => {
            let (kind, help) = (error.kind, error.help.as_deref());
            let causes = (!error.causes.is_empty()).then(|| error.causes.join(": "));
            tracing::error!(
                run = %id, resource, stream, %status, %kind, error = error.message, causes, help,
                "run ended"
            );
        }
        None => {
            let Counts { inserted, updated, unchanged, deleted, rejected, .. } = counts;
            let (skipped, took_ms) = (counts.skipped_total(), run.timings.total_ms);
            tracing::info!(
                run = %id, resource, stream, %status, inserted, updated, unchanged, deleted, skipped, rejected, took_ms,
                "run ended"
            );
        }
    }
}
