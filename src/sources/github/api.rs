//! GitHub's API: URLs and requests for one repository.

use std::sync::Arc;

use jiff::Timestamp;

use super::connection::{Connection, Repository};
use super::error::{explain, taken_over};
use super::names::Name;
use super::page::{self, Page};
use super::streams::Stream;
use super::updates::step::UnixSecond;
use crate::http::{self, Response, Url};
use crate::{Error, Monitor, Result, SourceEvent};

/// How often a page is requested, if the settings allow it, before smaller ones are tried.
const ATTEMPTS_PER_SIZE: u32 = 3;

/// The smallest page that is tried.
pub(super) const SMALLEST_PAGE: u32 = 5;

/// How a repository is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/repositories/{id}`, which follows renames and moves.
    Id(u64),
    /// `/repos/{owner}/{name}`, on servers that know nothing else.
    Name(String),
}

/// One stream of a repository of a connection.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) connection: Arc<Connection>,
    pub(super) name: Name,
    pub(super) route: Route,
    pub(super) stream: Stream,
}

/// Why a page cannot be read.
#[derive(Debug)]
pub(super) enum PageError {
    /// The server failed at it repeatedly, and answers other requests: a smaller page may succeed.
    TooLarge(Error),
    Other(Error),
}

/// The response to a request for a page.
#[derive(Debug)]
pub(super) enum PageResponse {
    NotModified,
    Page(Box<Page>),
}

/// The newest rows.
#[derive(Debug)]
pub(super) struct NewestRow {
    /// When the newest one was updated.
    pub(super) second: Option<UnixSecond>,
    pub(super) etag: Option<String>,
}

impl Api {
    /// Looks up the repository. Its lists are read by its id; where the server does not know the repository they are read
    /// by its name, as a server may implement GitHub's issues API and nothing else.
    pub(super) async fn open(
        connection: Arc<Connection>,
        name: Name,
        stream: Stream,
        monitor: &Monitor,
    ) -> Result<Self> {
        let repository = connection.repository(&name.path(), &name, stream, monitor).await?;
        let route = repository.map_or_else(|| Route::Name(name.path()), |repository| Route::Id(repository.id));
        Ok(Self { connection, name, route, stream })
    }

    /// The repository with this id; without one, that with this name.
    pub(super) fn of(connection: Arc<Connection>, name: Name, id: Option<u64>, stream: Stream) -> Self {
        let route = id.map_or_else(|| Route::Name(name.path()), Route::Id);
        Self { connection, name, route, stream }
    }

    /// The same repository by its name, for a server that does not know its id; `None` when it is addressed by name already.
    pub(super) fn by_name(&self) -> Option<Self> {
        let route = Route::Name(self.name.path());
        let (connection, name) = (self.connection.clone(), self.name.clone());
        (self.route != route).then_some(Self { connection, name, route, stream: self.stream })
    }

    /// Looks up the repository and checks that its list can be read.
    pub(super) async fn find(
        connection: Arc<Connection>,
        name: Name,
        stream: Stream,
        monitor: &Monitor,
    ) -> Result<Self> {
        let api = Self::open(connection, name, stream, monitor).await?;
        match (api.must_exist(monitor).await, api.by_name()) {
            (Ok(()), _) => Ok(api),
            (Err(error), Some(by_name)) if error.status() == Some(404) => {
                by_name.must_exist(monitor).await?;
                Ok(by_name)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Checks that the repository and its list can be read, which is required before a missing record counts as deleted.
    pub(super) async fn must_exist(&self, monitor: &Monitor) -> Result<()> {
        let request = self.connection.get(&self.list()).query(&[("per_page", "1")]).query(self.stream.filter());
        let found = request.send_with(monitor, |response| page::rows(self.stream, response.body())).await;
        match found {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error, monitor).await),
        }
    }

    /// Checks that the issues of the repository are not disabled, if the stream depends on them.
    pub(super) async fn must_have_issues(&self, monitor: &Monitor) -> Result<()> {
        self.connection.repository(&self.path(""), &self.name, self.stream, monitor).await.map(drop)
    }

    /// A path below that of the repository; an empty one is the repository's own.
    pub(super) fn path(&self, below: &str) -> String {
        let slash = if below.is_empty() { "" } else { "/" };
        match &self.route {
            Route::Id(id) => format!("repositories/{id}{slash}{below}"),
            Route::Name(path) => format!("{path}{slash}{below}"),
        }
    }

    /// The path of the list.
    pub(super) fn list(&self) -> String {
        self.path(self.stream.path())
    }

    pub(super) fn repository_id(&self) -> Option<u64> {
        match self.route {
            Route::Id(id) => Some(id),
            Route::Name(_) => None,
        }
    }

    /// The URL of page 1 of the rows updated since then, oldest first.
    pub(super) fn since(&self, since: Option<UnixSecond>, size: u32) -> Result<String> {
        let mut url = self.url(&self.list())?;
        url.query_pairs_mut()
            .extend_pairs(self.stream.filter())
            .append_pair("sort", "updated")
            .append_pair("direction", "asc")
            .append_pair("per_page", &size.to_string());
        if let Some(since) = since.filter(|since| since.0 > 0) {
            url.query_pairs_mut().append_pair("since", &Timestamp::from(since).to_string());
        }
        Ok(url.into())
    }

    /// The URL of a page of that list.
    pub(super) fn numbered(&self, since: Option<UnixSecond>, size: u32, page: u64) -> Result<String> {
        Ok(format!("{}&page={page}", self.since(since, size)?))
    }

    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let base = self.connection.client.base_url();
        base.join(path).map_err(|error| Error::internal("a path is not a URL").with_source(error))
    }

    /// Reads a page of the list in the order of `updated_at`.
    pub(super) async fn page(
        &self,
        url: &str,
        size: u32,
        etag: Option<&str>,
        monitor: &Monitor,
    ) -> Result<PageResponse, PageError> {
        let read = |response: &Response| page::read(self.stream, url, size, response).map(Box::new);
        let page = self.request(url, etag, monitor, read).await?;
        Ok(page.map_or(PageResponse::NotModified, PageResponse::Page))
    }

    /// Requests a page and reads the response; `None` when it matches the entity tag. A page at which the server fails or takes too
    /// long, or which is cut short or too long, is [`PageError::TooLarge`].
    pub(super) async fn request<T: Send>(
        &self,
        url: &str,
        etag: Option<&str>,
        monitor: &Monitor,
        read: impl Fn(&Response) -> Result<T> + Send + Sync,
    ) -> Result<Option<T>, PageError> {
        let mut request = self.connection.get(url).max_attempts_at_this_size(ATTEMPTS_PER_SIZE);
        if let Some(etag) = etag {
            request = request.if_none_match(etag);
        }
        let outcome = request.send_with(monitor, |response| {
            if response.is_not_modified() {
                return Ok(None);
            }
            // A server that counts pages may still send a malformed link.
            if let Some(pages) = response.last_page().ok().flatten() {
                monitor.event(SourceEvent::Pages(pages));
            }
            read(&response).map(Some)
        });
        match outcome.await {
            Ok(page) => Ok(page),
            Err(error) if http::error::may_depend_on_size(&error) && self.answers(monitor).await => {
                Err(PageError::TooLarge(error))
            }
            Err(error) => Err(PageError::Other(self.explain(error, monitor).await)),
        }
    }

    /// Whether the server answers at all, so that a failure is specific to the request. This waits out a short outage.
    async fn answers(&self, monitor: &Monitor) -> bool {
        match self.connection.get(&self.path("")).send(monitor).await {
            Ok(_) => true,
            Err(error) => error.status().is_some_and(|status| (400..500).contains(&status)),
        }
    }

    /// Explains an error for this repository; for one that is known by its id, also whether another one has its name now.
    pub(super) async fn explain(&self, error: Error, monitor: &Monitor) -> Error {
        let (Some(404), Some(id)) = (error.status(), self.repository_id()) else {
            return explain(error, &self.name, self.stream);
        };
        let request = self.connection.get(&self.name.path());
        match request.send_with(monitor, |response| response.json::<Repository>()).await {
            Ok(other) if other.id != id => taken_over(&self.name, id, other.id).with_source(error),
            _ => explain(error, &self.name, self.stream),
        }
    }

    /// Reads the newest `size` rows; `None` when they match the entity tag.
    pub(super) async fn newest(&self, size: u32, etag: Option<&str>, monitor: &Monitor) -> Result<Option<NewestRow>> {
        let mut url = self.url(&self.list())?;
        url.query_pairs_mut()
            .extend_pairs(self.stream.filter())
            .append_pair("sort", "updated")
            .append_pair("direction", "desc")
            .append_pair("per_page", &size.to_string());
        let mut request = self.connection.get(url.as_str());
        if let Some(etag) = etag {
            request = request.if_none_match(etag);
        }
        let newest = request.send_with(monitor, |response| {
            if response.is_not_modified() {
                return Ok(None);
            }
            let second = page::rows(self.stream, response.body())?.first().and_then(|row| row.second);
            Ok(Some(NewestRow { second, etag: response.etag().map(str::to_owned) }))
        });
        newest.await.map_err(|error| explain(error, &self.name, self.stream))
    }
}
