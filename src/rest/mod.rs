//! A source described rather than programmed: a REST API as plain values, in Rust or in a TOML file.
//!
//! An [`Api`] says where the API is, how to sign in, and what lists it has. The same types are a builder in Rust and, through serde, the
//! format of a file.

mod address;
mod api;
mod auth;
mod check;
mod errors;
mod fields;
mod file;
mod get;
mod oauth2;
mod pace;
mod paginate;
mod paginator;
mod place;
mod pointers;
mod propose;
mod reader;
mod related;
mod replay;
mod settings;
mod shorthand;
mod source;
mod stream;
mod template;
mod time;
mod version;

pub use api::{Api, Auth, OAuth2, ResourceList, Setting};
pub use check::{Drift, Problem, Severity, check, drift};
pub use errors::{Action, Errors};
pub use file::ApiFile;
pub use get::Get;
pub use pace::Pace;
pub use paginate::{Paginate, Paging};
pub use paginator::{NextPage, Paginator};
pub use place::Place;
pub use pointers::Pointers;
pub use propose::{Finding, Proposal, Sample, propose};
pub use related::{Deleted, ParentOf};
pub use replay::{Replay, replay};
pub use source::RestSource;
pub use stream::{Stream, StreamType};
pub use time::{Span, TimeFormat};
pub use version::{Order, Since, Version};
