//! A GitHub-like server for tests: seeded data that changes while it is read, and every fault that GitHub's users have
//! reported.
//!
//! ```
//! use github_server::{Fault, GithubServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let upstream = GithubServer::builder().seed(42).repository("acme/widgets", 1_000).start().await?;
//! // A source under test now reads from `upstream.url()`; meanwhile things happen.
//! upstream.edit("acme/widgets", 7);
//! upstream.delete("acme/widgets", 8);
//! upstream.fault(Fault::status(502));
//! // In the end, what it delivered is compared with the truth, byte for byte.
//! let truth = upstream.snapshot("acme/widgets");
//! assert_eq!(truth.len(), 999);
//! # Ok(())
//! # }
//! ```
//!
//! It serves repositories, their issues (lists with `state`, `sort`, `direction`, `since`, `per_page`, `page`, `Link` and
//! `ETag`; single ones with 404, 410 and 301), owners and their repositories, the rate limit and installation tokens, at
//! the paths that GitHub has, on 127.0.0.1. It also serves pull requests and the other lists of a repository, one for each
//! [`RecordKind`]: comments, review comments, labels, milestones, releases, issue events, reviews and commits, which it also compares.
//!
//! A comment, an event or a review moves the `updated_at` of its issue or pull request, and disappears with it. Labels and
//! milestones are part of the issues that bear them.
//!
//! Like GitHub it refuses requests without a `User-Agent`, lists open issues only unless `state` says otherwise, and does
//! not move `updated_at` when a label is renamed. Equal seeds and equal calls give equal bytes, in every process.

mod access;
mod answer;
mod builder;
mod changes;
mod clock;
mod data;
mod fault;
mod fault_injection;
mod fixtures;
mod generate;
mod handle;
mod issue;
mod log;
mod mutations;
mod records;
mod render;
mod repository;
mod routes;
mod server;
mod table;
mod timeline;

pub use builder::GithubServerBuilder;
pub use clock::Clock;
pub use fault::{Fault, RetryAfter};
pub use handle::{GithubServer, SnapshotIssue, SnapshotRecord};
pub use log::{Counts, ReceivedRequest};
pub use mutations::Mutations;
pub use table::RecordKind;
