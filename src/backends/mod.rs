//! Destinations.

#[cfg(any(feature = "snowflake", feature = "sqlite"))]
mod concatenation;
mod memory;
#[cfg(any(feature = "cli", feature = "snowflake", feature = "sqlite"))]
mod preview;
#[cfg(feature = "snowflake")]
pub mod snowflake;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
mod surrogates;

pub use memory::Memory;
#[cfg(any(feature = "cli", feature = "snowflake", feature = "sqlite"))]
pub use preview::Preview;
#[cfg(feature = "snowflake")]
pub use snowflake::Snowflake;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
