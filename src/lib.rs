//! Write a Snowflake connector by implementing one trait.

pub mod error;
pub mod monitor;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use error::{Error, ErrorKind, ErrorReport, Result, Retry};
pub use monitor::{Monitor, SourceEvent, Traffic};
