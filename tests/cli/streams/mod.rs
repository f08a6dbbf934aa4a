//! Sources with several streams.

mod output;
pub(crate) mod projects;
mod run;
mod selection;
