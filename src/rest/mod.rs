//! A source described rather than programmed: a REST API as plain values, in Rust or in a TOML file.
//!
//! An [`Api`] says where the API is, how to sign in, and what lists it has. The same types are a builder in Rust and, through serde, the
//! format of a file.

mod api;
mod auth;
mod check;
mod fields;
mod file;
mod oauth2;
mod paginate;
mod paginator;
mod place;
mod propose;
mod reader;
mod settings;
mod source;
mod stream;
mod template;
mod time;

pub use api::{Action, Api, Auth, Errors, OAuth2, Pace, ResourceList, Setting};
pub use check::{Drift, Problem, Severity, check, drift};
pub use file::ApiFile;
pub use paginate::{Paginate, Paging};
pub use paginator::{NextPage, Paginator};
pub use place::Place;
pub use propose::{Finding, Proposal, Sample, propose};
pub use source::RestSource;
pub use stream::{Deleted, Get, Order, ParentOf, Pointers, Since, Stream, StreamType, Version};
pub use time::{Span, TimeFormat};
