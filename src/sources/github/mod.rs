//! GitHub: the reference source. A resource is a repository.
//!
//! `streams` declares what it reads, and each kind of list has a module: `updates` reads issues and comments by `updated_at`,
//! concurrently, and without missing a row that changes meanwhile; `snapshots` reads labels, milestones and releases whole, `events` the
//! newest events first, `pulls` what is below one issue or pull request, and `commits` what is below the head of the branch.
//!
//! # Requests
//! * The first read of a stream looks up the repository's id, and lists `/repositories/{id}/issues` from then on: it follows a
//!   repository that is renamed or moved, and does not confuse it with another one that takes over its name. Where the server answers
//!   404 to that, it lists `/repos/{owner}/{name}/issues` instead. The checkpoints of all streams begin with the id (`origin`).
//! * A read without news makes one conditional request: the response 304 costs no quota and brings no batch.
//! * [`verify`](Reader::verify) looks up each record (an issue by its number). A response that states the issue's deletion is trusted. After any
//!   other response without the record (404, a redirect to where it was transferred, another record) it repeats the request, and
//!   counts the record as deleted only if the server returns another listed one of the same kind, before and after.
//! * Where a read brings no issue, only pull requests or nothing, it checks whether the repository's issues are enabled.
//! * The length of a page alone never ends a read. Where the server does not say whether the list continues, the read makes one
//!   more request; the next poll counts, too. A link only shows *that* there is more: the read continues by `updated_at`, at its
//!   own URL.
//! * When the server fails at a page, the read requests smaller ones, and finally single issues or comments: one at which the server fails
//!   becomes a reject that names its neighbours, the rest is read, and every later read requests it again once.
//!
//! # Odd records
//! An element that is not an object, or a record without an `id`, is a [`Reject`](crate::Reject). A record without a readable
//! `updated_at` is kept, with [`Version::NONE`](crate::Version::NONE), so that any state with a time is newer.

mod address;
mod api;
mod batches;
mod commits;
mod connection;
mod credentials;
mod discover;
mod error;
mod events;
mod evidence;
mod fields;
#[cfg(fuzzing)]
pub mod fuzzing;
mod names;
mod origin;
mod page;
mod pulls;
mod repository_list;
mod settings;
mod snapshots;
mod streams;
pub(crate) mod updates;
mod verify;
mod whole_list;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryFutureExt, future, stream};

use self::commits::CommitsRead;
use self::connection::Connection;
use self::events::EventsRead;
use self::origin::Origin;
use self::pulls::{PullRead, ReviewsRead};
pub use self::settings::GithubSettings;
use self::snapshots::SnapshotRead;
use self::streams::Stream;
use crate::{
    BatchStream, Checkpoint, ConnectContext, Error, Monitor, ReadRequest, Reader, Record, Resource, ResourceStream,
    Result, Settings, Source, SourceSpec, VerifyRequest,
};

/// The source `github`: the issues of GitHub repositories, one resource `owner/name` each, and, if they are selected, their comments,
/// labels, milestones, releases, events, pull requests, reviews and commits.
///
/// ```
/// use snowfeed::prelude::*;
/// use snowfeed::sources::github::GithubIssues;
///
/// let spec = GithubIssues::default().spec();
/// assert_eq!((spec.name.as_str(), spec.streams[0].name.as_str()), ("github", "issues"));
/// assert!(spec.settings.is_secret("token"));
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct GithubIssues;

#[async_trait]
impl Source for GithubIssues {
    fn spec(&self) -> SourceSpec {
        let spec = SourceSpec::new("github", env!("CARGO_PKG_VERSION"))
            .resource_kind(names::RESOURCE_KIND)
            .resource_names(names::rule().clone())
            .settings(GithubSettings::declaration().clone())
            .host("api.github.com");
        Stream::ALL.into_iter().map(Stream::spec).fold(spec, SourceSpec::stream)
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let settings = GithubSettings::from_settings(settings)?;
        let monitor = context.monitor.clone();
        let connection = Connection::open(&settings, context).await?;
        Ok(Box::new(Github { connection, settings: Arc::new(settings), monitor }))
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        names::resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        checkpoint.parse::<Origin>().ok()?.identity()
    }

    fn subject(&self, stream: &str, text: &str) -> Option<String> {
        page::number(Stream::from_name(stream).ok()?, text).map(|number| number.to_string())
    }
}

/// A connected GitHub. All reads share its connection and its view of GitHub's limits.
#[derive(Debug)]
struct Github {
    connection: Arc<Connection>,
    settings: Arc<GithubSettings>,
    monitor: Monitor,
}

impl Github {
    /// # Errors
    /// `Configuration`, when the settings leave out everything that the stream has.
    fn stream(&self, name: &str) -> Result<Stream> {
        let stream = Stream::from_name(name)?;
        if stream.needs_pull_requests() && !self.settings.pull_requests {
            return Err(Error::configuration(format!(
                "the stream `{name}` needs pull requests, which the setting `pull_requests` leaves out"
            ))
            .with_help("set `pull_requests` to true, or deselect the stream"));
        }
        Ok(stream)
    }
}

#[async_trait]
impl Reader for Github {
    async fn check(&self) -> Result<()> {
        discover::check(&self.connection, &self.settings, &self.monitor).await
    }

    fn discover(&self) -> ResourceStream {
        let (connection, settings, monitor) = (self.connection.clone(), self.settings.clone(), self.monitor.clone());
        let listed = async move { discover::discover(connection, &settings, &monitor).await };
        listed.map_ok(|resources| stream::iter(resources.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let (connection, settings) = (self.connection.clone(), self.settings.clone());
        let stream = match self.stream(&request.stream) {
            Ok(stream) => stream,
            Err(error) => return future::ready(Err(error)).into_stream().boxed(),
        };
        match stream {
            Stream::Issues | Stream::IssueComments | Stream::ReviewComments => {
                updates::reader::stream(connection, settings, stream, request)
            }
            Stream::Labels | Stream::Milestones | Stream::Releases => {
                batches::stream(SnapshotRead::open(connection, settings, stream, request))
            }
            Stream::IssueEvents => batches::stream(EventsRead::open(connection, settings, request)),
            Stream::Pulls => batches::stream(PullRead::open(connection, request)),
            Stream::Reviews => batches::stream(ReviewsRead::open(connection, settings, request)),
            Stream::Commits => batches::stream(CommitsRead::open(connection, settings, request)),
        }
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        verify::verify(self.connection.clone(), &self.settings, request).await
    }
}
