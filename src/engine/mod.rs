//! The engine: reads any [`Source`] into any backend incrementally. A crash at any point loses nothing.
//!
//! A [`Connector`] connects a source to a destination. Its operations are those of the reference system:
//! [`provision`](Connector::provision), [`enable`](Connector::enable), [`disable`](Connector::disable),
//! [`ingest`](Connector::ingest), [`reset`](Connector::reset), [`remove`](Connector::remove), and [`serve`](Connector::serve), which runs every enabled
//! resource on its schedule.
//!
//! During a run, a task reads the source's stream ahead, bounded by bytes. The engine collects batches into commits, bounded by rows,
//! bytes and time. Each commit contains rows, checkpoint and run record, and names the state that it builds on, so that of two
//! concurrent runs only one succeeds.

mod admission;
mod append;
mod batcher;
mod budget;
mod budget_meter;
mod check;
mod children;
pub(crate) mod columns;
mod commit;
mod connector;
mod credentials;
mod cycle_end;
mod deletions;
mod discover;
mod duplicates;
mod estimate;
mod event;
mod extension;
mod finish;
mod group_commits;
mod health;
mod identity;
mod idle_runs;
mod inference;
mod ingest;
mod lease;
mod ledger;
mod list;
mod newest;
mod planned;
mod position;
mod reading;
mod reject_tracker;
mod resources;
mod run;
mod schedule;
mod selection;
mod serve;
mod settings;
mod snapshot;
mod staged_commit;
mod staging;
mod sweep;
mod task;
mod timetable;
#[cfg(feature = "cli")]
mod told;
mod unstarted;
mod verification;

pub use check::StreamCheck;
pub use connector::Connector;
pub use estimate::{IngestEstimate, StreamEstimate, StreamSize};
pub use event::{Event, Observer};
#[cfg(feature = "cli")]
pub(crate) use health::Survey;
pub use health::{ConnectorHealth, Failure, Health, HealthFacts, ResourceHealth, StreamHealth};
pub use ingest::{IngestReport, IngestRequest};
pub use resources::EnableRequest;
#[cfg(feature = "cli")]
pub(crate) use resources::unknown_resource;
pub use schedule::Schedule;
#[cfg(feature = "cli")]
pub(crate) use schedule::next_due;
pub use selection::StreamSelection;
#[cfg(feature = "cli")]
pub(crate) use selection::{find_stream, list_streams};
pub use tokio_util::sync::CancellationToken;

#[cfg(doc)]
use crate::Source;
