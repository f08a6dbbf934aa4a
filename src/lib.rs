//! Write a Snowflake connector by implementing one trait.

pub mod backends;
pub mod checkpoint;
pub mod config;
pub mod engine;
pub mod error;
pub mod monitor;
pub mod record;
pub mod resource;
pub mod secret;
pub mod sink;
pub mod source;
pub mod state;
pub mod table;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "github")]
pub mod sources;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use checkpoint::Checkpoint;
pub use config::{Config, ConfigStore, Domain, ResourceConfig, Settings};
pub use error::{Error, ErrorKind, ErrorReport, Result, Retry};
pub use monitor::{Monitor, SourceEvent, Traffic};
pub use record::{Batch, Operation, Record, Reject, Version};
pub use resource::Resource;
pub use secret::SecretRef;
pub use sink::{Backend, Commit, CommitReport, Rows, Sink, StoredRecord, Sweep, UnseenQuery};
pub use source::{BatchStream, ReadRequest, Source, SourceSpec, VerifyRequest};
pub use state::{Counts, Mode, RunId, RunRecord, RunStatus, StateChange, StateEntry, StateStore, StateVersion};
pub use table::{ColumnType, TableSpec};

/// What a source's author needs: `use snowfeed::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Batch, BatchStream, Checkpoint, ColumnType, Config, Error, ErrorKind, Mode, Monitor, ReadRequest, Record,
        Resource, Result, SecretRef, Settings, Source, SourceSpec, TableSpec, Version,
    };
}
