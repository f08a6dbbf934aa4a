//! The engine.

mod schedule;
pub use schedule::Schedule;
