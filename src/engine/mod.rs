//! The engine: reads any [`Source`] into any backend, incrementally, and so that a crash at any point loses nothing.
//!
//! A [`Connector`] joins a source with a place to put its data. Its operations are those of the reference system:
//! [`provision`](Connector::provision), [`enable`](Connector::enable), [`disable`](Connector::disable),
//! [`ingest`](Connector::ingest), [`reset`](Connector::reset), [`remove`](Connector::remove), and [`serve`](Connector::serve), which keeps every enabled
//! resource on its schedule.
//!
//! How one run goes: the source's stream is read ahead in a task of its own, bounded by bytes; batches are joined by rows,
//! bytes and time into commits; each commit carries rows, checkpoint and run record together, and names the state that the
//! run began with, so that of two runs side by side only one gets through.

mod admission;
mod batcher;
pub(crate) mod columns;
mod connector;
mod credentials;
mod deletions;
mod discover;
mod duplicates;
mod event;
mod identity;
mod ingest;
mod reject_tracker;
mod resources;
mod run;
mod schedule;
mod serve;
mod settings;
mod sweep;

pub use connector::Connector;
pub use event::{Event, Observer};
pub use ingest::{IngestReport, IngestRequest};
#[cfg(feature = "cli")]
pub(crate) use resources::unknown_resource;
pub use schedule::Schedule;
pub use tokio_util::sync::CancellationToken;

#[cfg(doc)]
use crate::Source;
