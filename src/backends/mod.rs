//! Destinations.

mod memory;
mod merge;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use memory::Memory;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
