//! GitHub issues: the reference source.
//!
//! It reads all issues of a repository, of every state, pull requests included, by `updated_at`: side by side and without
//! missing a row that changes meanwhile. How, and why that holds, is told in `listing.rs` for servers that count their pages, and
//! in `ranges.rs` for others.
//!
//! # What is asked for
//! * The first read asks for the repository, to learn its id, and lists `/repositories/{id}/issues` from then on: a
//!   repository that is renamed or moved is followed, and one that takes over its name is not mistaken for it. Where the
//!   server answers 404 to that, `/repos/{owner}/{name}/issues` is listed instead.
//! * A read that finds nothing new makes one request, a conditional one: the answer 304 costs no quota and brings no batch.
//! * [`verify`](Source::verify) asks for each issue by its number. An answer that names the issue's deletion is believed. Any other
//!   that does not bring the issue (404, a redirect to where it was transferred, another issue) is asked for again, and counts only
//!   if the server gives another item of the same kind that it lists, before and after.
//! * Where a read brings no issue, only pull requests or nothing, the repository is asked whether its issues are enabled.
//!
//! * The length of a page alone never ends a read. Where the server does not say whether the list goes on, it is asked once more;
//!   the look at what is new serves for that, too. A link only says *that* there is more: reading goes on by `updated_at`, at our
//!   own address.
//! * A page at which the server fails is made smaller. At last its issues are asked for one by one: one at which the server fails
//!   becomes a reject that names its neighbours, the rest is read, and every later read asks for it again with one request.
//!
//! # Odd records
//! An element that is no object, or a record without an `id`, is a [`Reject`](crate::Reject). One without a readable `updated_at` is kept, with
//! [`Version::NONE`](crate::Version::NONE), so that any state with a time is newer.

mod api;
pub(crate) mod checkpoint;
mod connection;
mod credentials;
mod discover;
mod error;
mod evidence;
mod failing_issues;
#[cfg(fuzzing)]
pub mod fuzzing;
mod list_end;
mod names;
mod numbered_pages;
mod page;
mod ranges;
pub(crate) mod read_plan;
mod reader;
mod repository_list;
mod settings;
pub(crate) mod step;
mod table;
mod tie_scan;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;

use self::checkpoint::Position;
use self::connection::{Connection, Connections, connect};
pub use self::settings::GithubSettings;
use crate::{
    BatchStream, Checkpoint, Monitor, ReadRequest, Record, Resource, Result, Settings, Source, SourceSpec,
    VerifyRequest,
};

/// The source `github`: the issues of GitHub repositories, one resource `owner/name` each.
///
/// ```
/// use snowfeed::prelude::*;
/// use snowfeed::sources::github::GithubIssues;
///
/// let spec = GithubIssues::default().spec();
/// assert_eq!((spec.name.as_str(), spec.tables[0].name.as_str()), ("github", "issues"));
/// assert!(spec.settings.is_secret("token"));
/// ```
///
/// One value serves any number of configurations; reads with equal settings share connections and their view of GitHub's
/// limits.
#[derive(Debug, Default)]
pub struct GithubIssues {
    connections: Arc<Connections>,
}

#[async_trait]
impl Source for GithubIssues {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("github", env!("CARGO_PKG_VERSION"))
            .resource_kind(names::RESOURCE_KIND)
            .resource_names(names::rule().clone())
            .settings(GithubSettings::declaration().clone())
            .table(table::issues())
            .host("api.github.com")
    }

    async fn check(&self, config: &Settings) -> Result<()> {
        self.check_with(config, &credentials::logging_monitor()).await
    }

    async fn discover(&self, config: &Settings) -> Result<Vec<Resource>> {
        self.discover_with(config, &credentials::logging_monitor()).await
    }

    async fn check_with(&self, config: &Settings, monitor: &Monitor) -> Result<()> {
        let settings = GithubSettings::from_settings(config)?;
        // Its connection is its own: one that gives up soon.
        discover::check(connect(&settings, Connection::briefly).await?, &settings, monitor).await
    }

    async fn discover_with(&self, config: &Settings, monitor: &Monitor) -> Result<Vec<Resource>> {
        let settings = GithubSettings::from_settings(config)?;
        discover::discover(self.connections.get(&settings).await?, &settings, monitor).await
    }

    fn resource(&self, config: &Settings, name: &str) -> Result<Resource> {
        names::resource(config, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        Position::read(checkpoint).ok()?.identity()
    }

    fn subject(&self, _: &str, text: &str) -> Option<String> {
        page::number(text).map(|number| number.to_string())
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        reader::stream(self.connections.clone(), request)
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let settings = GithubSettings::from_settings(&request.settings)?;
        verify::verify(self.connections.get(&settings).await?, request).await
    }
}
