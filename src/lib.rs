//! Write a Snowflake connector by implementing one trait.
//!
//! An author implements [`Source`], which connects to a [`Reader`]. snowfeed adds the rest: an incremental, crash-safe ingestion [`engine`], [`backends`] that keep
//! rows, settings and state together, a command line for any source (the `cli` module), an HTTP client for sources (`http`),
//! and conformance suites with a mock of an HTTP API (`testkit`). The reference source is GitHub issues (`sources::github`).
//!
//! # Where to start
//!
//! * Write a source: [`Source`], [`Batch`], [`Record`], and `use snowfeed::prelude::*`.
//! * Embed the engine in a program: [`engine::Connector`].
//! * Write a destination: [`Sink`], [`ConfigStore`], [`StateStore`], and [`merge`] for the rows.
//!
//! # The four contracts
//!
//! [`Source`], [`Sink`], [`ConfigStore`] and [`StateStore`] are object-safe. The documentation of each lists the clauses of its contract,
//! and a conformance suite tests them. Two rules apply everywhere: a checkpoint is part of its batch and is committed with its
//! records; and records stay raw JSON, so that no type can lose what a source sends.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backends;
mod checkpoint;
mod config;
pub mod cost;
pub mod engine;
mod error;
mod monitor;
mod record;
mod resource;
mod secret;
mod sink;
mod source;
mod spans;
mod state;
mod stream;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "native-app")]
pub mod native_app;
#[cfg(any(feature = "http", feature = "snowflake"))]
mod net;
#[cfg(feature = "rest")]
pub mod rest;
#[cfg(feature = "snowflake")]
mod snowflake;
#[cfg(feature = "github")]
pub mod sources;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use checkpoint::Checkpoint;
pub use config::{ConfigSnapshot, ConfigStore, Namespace, ResourceConfig, Settings, SettingsSchema};
pub use error::{Error, ErrorKind, ErrorReport, Result, Retry};
pub use monitor::{Monitor, SourceEvent, Traffic, WaitGuard};
#[cfg(any(feature = "http", feature = "snowflake"))]
pub use net::RetryConfig;
pub use record::{Batch, Evidence, Operation, Position, Record, Reject, RowPath, Sequence, Version};
pub use resource::{Resource, ResourceNames};
pub use secret::SecretRef;
pub use sink::merge;
pub use sink::{
    Backend, Commit, CommitReport, Limits, LiveRows, Load, LoadEstimate, OutstandingRejects, RejectQuery, RowQuery,
    RowSelection, SelectedRow, Sink, Stage, StagedRecords, StalePolicy, StoredRecord, StoredReject, StoredRow,
    StreamCommit, StreamReport, Sweep, UnseenQuery,
};
pub use source::{
    BatchStream, ConnectContext, Parent, ReadRequest, Reader, ResourceStream, Source, SourceSpec, VerifyRequest,
};
pub use state::{
    Counts, Failing, Marks, Mode, Reconciliation, RejectReason, RunId, RunProgress, RunQuery, RunRecord, RunStatus,
    StateChange, StateEntry, StateKey, StateStore, StateVersion, StreamState, StreamStatus, Timings,
};
pub use stream::{
    Append, ChildOf, Column, ColumnType, Inference, Inferred, JsonPath, Listing, Revisit, Step, StreamKind, StreamSpec,
    UntypedColumn,
};

/// Crates whose types appear in this crate's signatures, so that programs use the same versions.
pub use {bytestring, futures, jiff, schemars, secrecy};

/// Everything that the author of a source needs: `use snowfeed::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{
        Batch, BatchStream, Checkpoint, ColumnType, ConnectContext, Error, ErrorKind, Mode, Monitor, ReadRequest,
        Reader, Record, Resource, ResourceStream, Result, SecretRef, Settings, SettingsSchema, Source, SourceSpec,
        StreamSpec, Version,
    };
}

/// Items beyond the public API for the tests, benches and fuzz targets of this crate. Semver does not cover them.
#[cfg(any(feature = "testkit", fuzzing))]
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "native-app")]
    pub use crate::native_app::{deploy::app_account, image_reference};
    pub use crate::stream::view_name;

    /// The read plan of the GitHub source, for simulations.
    #[cfg(feature = "github")]
    pub mod github {
        pub use crate::sources::github::updates::checkpoint::Position;
        pub use crate::sources::github::updates::read_plan::ReadPlan;
        pub use crate::sources::github::updates::step::{
            EntityTag, PageInfo, PageRequest, Range, RowFilter, Step, StepResult, Task, UnixSecond,
        };
    }

    /// SQLite's SQL generation, for fuzzing.
    #[cfg(all(feature = "sqlite", fuzzing))]
    pub mod sqlite {
        pub use crate::backends::sqlite::fuzzing;
    }

    /// The Snowflake driver.
    #[cfg(feature = "snowflake")]
    pub mod snowflake {
        pub use crate::backends::snowflake::internals::*;
        pub use crate::snowflake::*;
    }
}

/// The documents whose code is compiled with the tests.
#[cfg(all(doctest, feature = "cli", feature = "github", feature = "testkit"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/guides/write-a-source.md")]
    mod write_a_source {}
    #[doc = include_str!("../docs/guides/streams.md")]
    mod streams {}
    #[doc = include_str!("../docs/contract.md")]
    mod contract {}
    #[doc = include_str!("../docs/guides/operate.md")]
    mod operate {}
    #[doc = include_str!("../docs/guides/github.md")]
    mod github {}
    #[cfg(feature = "snowflake")]
    #[doc = include_str!("../docs/guides/snowflake.md")]
    mod snowflake {}
    #[cfg(feature = "native-app")]
    #[doc = include_str!("../docs/guides/native-app.md")]
    mod native_app {}
}
