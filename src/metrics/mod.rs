//! Metrics of ingestion in the text format of Prometheus, and the HTTP server that shows them.
//!
//! [`Metrics`] observes a connector and counts. [`Listener`] serves `/metrics`, `/healthz` and `/readyz`; `run --listen` starts both.
//!
//! | family | type | labels | |
//! |---|---|---|---|
//! | `snowfeed_info` | gauge | `source`, `version` | always 1 |
//! | `snowfeed_runs_in_progress` | gauge | | runs that have started and not ended |
//! | `snowfeed_runs_total` | counter | `stream`, `status` | runs that have ended, by their [status](crate::RunStatus) |
//! | `snowfeed_run_duration_seconds` | histogram | | from start to end |
//! | `snowfeed_errors_total` | counter | `kind` | runs that ended with an error, by its [kind](crate::ErrorKind) |
//! | `snowfeed_records_total` | counter | `stream`, `outcome` | records that the source has returned: `inserted`, `updated`, `unchanged`, `deleted`, `skipped`, `rejected` |
//! | `snowfeed_commits_total` | counter | `stream` | commits |
//! | `snowfeed_requests_total` | counter | `stream` | requests to the source, retries included |
//! | `snowfeed_received_bytes_total` | counter | `stream` | bytes of response bodies, after decompression |
//! | `snowfeed_waited_seconds_total` | counter | `stream` | time in which a run waited for a limit |
//! | `snowfeed_waiting_until_timestamp_seconds` | gauge | | the end of the longest wait for a limit; 0 without one |
//! | `snowfeed_credits_total` | counter | | credits that commits have used, as the destination estimates them |
//! | `snowfeed_health` | gauge | `health` | the health of the connector: 1 for the [word](crate::engine::Health) that holds, 0 for the other seven |
//! | `snowfeed_streams` | gauge | `health` | the streams of all resources by their health, all eight words |
//! | `snowfeed_resource_health` | gauge | `resource`, `health` | always 1; each resource has the word that holds |
//! | `snowfeed_oldest_success_timestamp_seconds` | gauge | | up to when everything that is enabled was read completely; 0 if something never was |
//! | `snowfeed_next_due_timestamp_seconds` | gauge | | when the next run is due, in the past if it is overdue; 0 if none ever is |
//! | `snowfeed_last_success_timestamp_seconds` | gauge | `resource`, `stream` | the end of the newest complete run |
//! | `snowfeed_failing_since_timestamp_seconds` | gauge | `resource`, `stream` | the end of the first failed run since the newest complete one, of a stream that is failing |
//! | `snowfeed_resources_without_series` | gauge | | resources beyond the first 1,000: they count in all families but the three with the label `resource` |
//!
//! Those from `snowfeed_health` on say what [`Connector::current_health`] says: they come from the stores, so that a process that has just
//! started knows what was before it, and they change with the time. The others count what this process has done.
//!
//! Labels are bounded: streams are those of the source's declaration, and at most 1,000 resources have series of their own.

mod family;
mod server;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

pub use server::Listener;

use crate::engine::{ConnectorHealth, Event, Observer};
use crate::{Counts, Resource, RunRecord, SourceEvent, SourceSpec, Traffic};
use family::Families;

/// The resources that have series of their own.
const MAX_RESOURCES: usize = 1_000;

/// Counts what a connector does since this process began, and shows its health. Clones share their counters.
///
/// ```
/// # use std::sync::Arc;
/// # use snowfeed::{SourceSpec, engine::Observer, metrics::Metrics};
/// let metrics = Metrics::new(&SourceSpec::new("planets", "1.0.0"));
/// assert!(metrics.encode().contains("snowfeed_info{source=\"planets\",version=\"1.0.0\"} 1"));
/// // let connector = connector.observer(metrics.clone());
/// # fn is_observer(_: impl Observer) {}
/// # is_observer(metrics.clone());
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    families: Families,
    state: Mutex<State>,
}

/// What is known of the runs under way.
#[derive(Default)]
struct State {
    /// What the runs in progress have been counted with so far, by resource and stream.
    running: HashMap<(String, String), Counted>,
    /// Until when streams wait.
    waits: HashMap<(String, String), Timestamp>,
}

/// The part of a run that has been counted.
#[derive(Default)]
struct Counted {
    counts: Counts,
    commits: u64,
    traffic: Traffic,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of a source, all zero.
    pub fn new(spec: &SourceSpec) -> Self {
        Self(Arc::new(Inner { families: Families::new(spec), state: Mutex::default() }))
    }

    /// Shows this health from now on. [`Listener`] does it for each request.
    pub fn set_health(&self, health: &ConnectorHealth) {
        self.update(|families, _| families.set_health(health, MAX_RESOURCES));
    }

    /// All metrics, in the text format of Prometheus (version 0.0.4).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Not while another thread has removed series to set them anew.
        self.update(|families, _| text = families.encode());
        text
    }

    fn update(&self, change: impl FnOnce(&Families, &mut State)) {
        change(&self.0.families, &mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Metrics {
    fn event(&self, event: &Event) {
        self.update(|families, state| match event {
            Event::Started { resource, stream, .. } => {
                state.running.insert(key(resource, stream), Counted::default());
                families.set_running(state.running.len());
            }
            Event::Read { resource, stream, traffic, .. } => {
                if let Some(counted) = state.running.get_mut(&key(resource, stream)) {
                    families.add_traffic(stream, &counted.traffic, traffic);
                    counted.traffic = *traffic;
                }
            }
            Event::Committed { resource, stream, counts, commits, .. } => {
                if let Some(counted) = state.running.get_mut(&key(resource, stream)) {
                    families.add_counts(stream, &counted.counts, counts);
                    families.add_commits(stream, commits.saturating_sub(counted.commits));
                    (counted.counts, counted.commits) = (counts.clone(), *commits);
                }
            }
            Event::Source { resource, stream, event: SourceEvent::Waiting { until, .. } } => {
                state.waits.insert(key(resource, stream), *until);
                families.set_waiting(state.waits.values().max().copied());
            }
            Event::Source { resource, stream, event: SourceEvent::Resumed } => {
                state.waits.remove(&key(resource, stream));
                families.set_waiting(state.waits.values().max().copied());
            }
            Event::Ended(run) => ended(families, state, run),
            _ => {}
        });
    }
}

fn key(resource: &Resource, stream: &str) -> (String, String) {
    (resource.name().to_owned(), stream.to_owned())
}

fn ended(families: &Families, state: &mut State, run: &RunRecord) {
    let key = (run.resource.clone(), run.stream.clone());
    let counted = state.running.remove(&key).unwrap_or_default();
    if state.waits.remove(&key).is_some() {
        families.set_waiting(state.waits.values().max().copied());
    }
    families.set_running(state.running.len());
    families.add_traffic(&run.stream, &counted.traffic, &run.traffic);
    families.add_counts(&run.stream, &counted.counts, &run.counts);
    families.add_commits(&run.stream, run.commits.saturating_sub(counted.commits));
    families.ended(run);
}

#[cfg(doc)]
use crate::engine::Connector;

#[cfg(test)]
mod tests;
