//! GitHub's API, as far as it is used here: addresses, requests, and what its refusals mean.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::credentials::{self, Kind};
use super::names::Name;
use super::page::{self, Page};
use super::ranges::Second;
use super::settings::GithubSettings;
use crate::http::{self, Builder, Client, Url};
use crate::{Error, ErrorKind, Monitor, Result, RetryConfig, SourceEvent};

/// A page is asked for so often, or as often as is allowed, before smaller ones are tried.
const HEAVY_AFTER: u32 = 3;

/// The smallest page that is tried.
pub(super) const SMALLEST_PAGE: u32 = 5;

/// A connection to one GitHub, as one identity.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) kind: Kind,
}

impl Connection {
    pub(super) fn new(settings: &GithubSettings) -> Result<Self> {
        Self::over(settings.client()?, settings)
    }

    /// One that gives up soon where the server cannot be reached or fails, for a person who waits.
    pub(super) fn briefly(settings: &GithubSettings) -> Result<Self> {
        let (retries, timeout_seconds) = (settings.retries.min(2), settings.timeout_seconds.min(15));
        let settings = GithubSettings { retries, timeout_seconds, ..settings.clone() };
        let retries =
            RetryConfig { max_attempts: retries + 1, timeout: Duration::from_secs(5), ..RetryConfig::default() };
        Self::over(settings.client()?.retry(retries).connect_timeout(Duration::from_secs(4)), &settings)
    }

    fn over(builder: Builder, settings: &GithubSettings) -> Result<Self> {
        let client = match credentials::authorization(settings)? {
            Some(authorization) => builder.authorization(authorization).build()?,
            None => builder.build()?,
        };
        Ok(Self { client, kind: Kind::of(settings) })
    }

    /// The repository at an address; `None` where the server does not know it.
    ///
    /// # Errors
    /// `NotFound`, when it says that its issues are disabled.
    async fn repository(&self, path: &str, name: &Name, monitor: &Monitor) -> Result<Option<Repository>> {
        let response = self.client.get(path).allow_status(&[404]).send_with(monitor, |response| {
            if response.status() == 404 { Ok(None) } else { response.json::<Repository>().map(Some) }
        });
        match response.await.map_err(|error| explain(error, name))? {
            Some(Repository { has_issues: Some(false), .. }) => Err(issues_disabled(name)),
            repository => Ok(repository),
        }
    }

    /// Anonymous reading is legal and never silent.
    pub(super) fn announce(&self, monitor: &Monitor) {
        if self.kind == Kind::Anonymous {
            monitor.event(SourceEvent::Warning(
                "reading anonymously: public repositories only, 60 requests an hour; set `token` for 5,000".into(),
            ));
        }
    }
}

/// What GitHub says about a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) full_name: String,
    /// Whether it has issues. Where they are disabled, some servers list its pull requests all the same.
    #[serde(default)]
    pub(super) has_issues: Option<bool>,
}

/// How a repository's issues are addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/repositories/{id}`, which follows renames and moves.
    Id(u64),
    /// `/repos/{owner}/{name}`, on servers that know nothing else.
    Name(String),
}

/// One repository of a connection.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) connection: Arc<Connection>,
    pub(super) name: Name,
    pub(super) route: Route,
}

/// Why a page did not come.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server failed at it again and again, and answers other questions: a smaller one may do.
    Heavy(Error),
    Error(Error),
}

/// What the answer to a request for a page is.
#[derive(Debug)]
pub(super) enum Listed {
    NotModified,
    Page(Box<Page>),
}

/// The newest rows.
#[derive(Debug)]
pub(super) struct Newest {
    /// When the very newest one was updated.
    pub(super) second: Option<Second>,
    pub(super) etag: Option<String>,
}

impl Api {
    /// Finds the repository. Its issues are read by its id; where the server does not know the repository they are read
    /// by its name, as a server may speak GitHub's issues API and nothing beside it.
    pub(super) async fn open(connection: Arc<Connection>, name: Name, monitor: &Monitor) -> Result<Self> {
        let repository = connection.repository(&name.path(), &name, monitor).await?;
        let route = repository.map_or_else(|| Route::Name(name.path()), |repository| Route::Id(repository.id));
        Ok(Self { connection, name, route })
    }

    /// The same repository by its name, for a server that does not know it by its id; `None` when that is tried already.
    pub(super) fn by_name(&self) -> Option<Self> {
        let route = Route::Name(self.name.path());
        let (connection, name) = (self.connection.clone(), self.name.clone());
        (self.route != route).then_some(Self { connection, name, route })
    }

    /// Finds the repository and makes sure that its issues can be read.
    pub(super) async fn find(connection: Arc<Connection>, name: Name, monitor: &Monitor) -> Result<Self> {
        let api = Self::open(connection, name, monitor).await?;
        match (api.must_exist(monitor).await, api.by_name()) {
            (Ok(()), _) => Ok(api),
            (Err(error), Some(by_name)) if error.status() == Some(404) => {
                by_name.must_exist(monitor).await?;
                Ok(by_name)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The repository and its issues can be read: needed before anything missing is taken for deleted.
    pub(super) async fn must_exist(&self, monitor: &Monitor) -> Result<()> {
        let request = self.connection.client.get(&self.issues("")).query(&[("per_page", "1"), ("state", "all")]);
        let found = request.send_with(monitor, |response| page::rows(response.body())).await;
        match found {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error, monitor).await),
        }
    }

    /// The repository does not say that its issues are disabled.
    pub(super) async fn must_have_issues(&self, monitor: &Monitor) -> Result<()> {
        self.connection.repository(&self.path(), &self.name, monitor).await.map(drop)
    }

    /// The repository's own address.
    fn path(&self) -> String {
        match &self.route {
            Route::Id(id) => format!("repositories/{id}"),
            Route::Name(path) => path.clone(),
        }
    }

    pub(super) fn issues(&self, tail: &str) -> String {
        format!("{}/issues{tail}", self.path())
    }

    pub(super) fn repository_id(&self) -> Option<u64> {
        match self.route {
            Route::Id(id) => Some(id),
            Route::Name(_) => None,
        }
    }

    /// The address of page 1 of what was updated since then, oldest first.
    pub(super) fn since(&self, since: Option<Second>, size: u32) -> Result<String> {
        let mut url = self.url(&self.issues(""))?;
        url.query_pairs_mut()
            .append_pair("state", "all")
            .append_pair("sort", "updated")
            .append_pair("direction", "asc")
            .append_pair("per_page", &size.to_string());
        if let Some(since) = since.filter(|since| since.0 > 0) {
            url.query_pairs_mut().append_pair("since", &Timestamp::from(since).to_string());
        }
        Ok(url.into())
    }

    /// The address of a page of that list.
    pub(super) fn numbered(&self, since: Option<Second>, size: u32, page: u64) -> Result<String> {
        Ok(format!("{}&page={page}", self.since(since, size)?))
    }

    fn url(&self, path: &str) -> Result<Url> {
        let base = self.connection.client.base_url();
        base.join(path).map_err(|error| Error::internal("a path is no URL").with_source(error))
    }

    /// A page of the list. One that the server fails at, takes too long for, or sends cut short or too long is
    /// [`Trouble::Heavy`].
    pub(super) async fn page(
        &self,
        url: &str,
        size: u32,
        etag: Option<&str>,
        monitor: &Monitor,
    ) -> Result<Listed, Trouble> {
        let mut request = self.connection.client.get(url).max_attempts_at_this_size(HEAVY_AFTER);
        if let Some(etag) = etag {
            request = request.if_none_match(etag);
        }
        let outcome = request.send_with(monitor, |response| {
            if response.is_not_modified() {
                Ok(Listed::NotModified)
            } else {
                page::read(url, size, &response).map(|page| Listed::Page(Box::new(page)))
            }
        });
        match outcome.await {
            Ok(listed) => Ok(listed),
            Err(error) if http::error::may_depend_on_size(&error) && self.answers(monitor).await => {
                Err(Trouble::Heavy(error))
            }
            Err(error) => Err(Trouble::Error(self.explain(error, monitor).await)),
        }
    }

    /// Whether the server answers at all, so that a failure is about what was asked for. This waits out a short outage.
    async fn answers(&self, monitor: &Monitor) -> bool {
        match self.connection.client.get(&self.path()).send(monitor).await {
            Ok(_) => true,
            Err(error) => error.status().is_some_and(|status| (400..500).contains(&status)),
        }
    }

    /// Says what a refusal means for this repository; for one that is known by its id, also whether another one has its name now.
    pub(super) async fn explain(&self, error: Error, monitor: &Monitor) -> Error {
        let (Some(404), Some(id)) = (error.status(), self.repository_id()) else { return explain(error, &self.name) };
        let request = self.connection.client.get(&self.name.path());
        match request.send_with(monitor, |response| response.json::<Repository>()).await {
            Ok(other) if other.id != id => {
                let Name { owner, name } = &self.name;
                let message = format!("the repository {owner}/{name} was deleted, and another one has its name now");
                Error::new(ErrorKind::NotFound, message)
                    .with_status(404)
                    .with_context("id", id)
                    .with_context("new id", other.id)
                    .with_help(
                        "`reset` the resource to read the new repository from the start; to keep what was read of the old one \
                         as it is, `disable` the resource",
                    )
                    .with_source(error)
            }
            _ => explain(error, &self.name),
        }
    }

    /// The newest `size` rows; `None` when they are those of the entity tag.
    pub(super) async fn newest(&self, size: u32, etag: Option<&str>, monitor: &Monitor) -> Result<Option<Newest>> {
        let mut url = self.url(&self.issues(""))?;
        url.set_query(Some(&format!("state=all&sort=updated&direction=desc&per_page={size}")));
        let mut request = self.connection.client.get(url.as_str());
        if let Some(etag) = etag {
            request = request.if_none_match(etag);
        }
        let newest = request.send_with(monitor, |response| {
            if response.is_not_modified() {
                return Ok(None);
            }
            let second = page::rows(response.body())?.first().and_then(|row| row.second);
            Ok(Some(Newest { second, etag: response.etag().map(str::to_owned) }))
        });
        newest.await.map_err(|error| explain(error, &self.name))
    }
}

/// The error of a repository whose issues are disabled.
pub(super) fn issues_disabled(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("issues are disabled in the repository {}/{}", name.owner, name.name))
        .with_context("status", 410)
        .with_help("enable issues in the repository's settings, or `disable` this resource; no row was changed")
}

/// Says what a refusal means for this repository, in the server's own words where it gives any.
pub(super) fn explain(error: Error, name: &Name) -> Error {
    let Name { owner, name } = name;
    let repository = format!("{owner}/{name}");
    let said = error.server_message().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let Some(status) = error.status() else { return error };
    let (kind, message, help) = match status {
        401 => (
            ErrorKind::Authentication,
            format!("GitHub does not accept the credentials, so {repository} was not read"),
            "check that `token` refers to a token that is valid, and belongs to this `api_url`",
        ),
        403 if says(&["ip allow list", "ip address", "ip addresses"]) => (
            ErrorKind::Authentication,
            format!("GitHub does not let this machine's address read {repository}"),
            "let an owner of the organisation add the address of this machine to its IP allow list, or run where the address is \
             allowed",
        ),
        403 if says(&["saml", "single sign-on", "sso"]) => (
            ErrorKind::Authentication,
            format!("the organisation's single sign-on keeps these credentials from {repository}"),
            "authorize the token for the organisation: on GitHub under Settings, Developer settings, Personal access tokens, \
             Configure SSO",
        ),
        403 if says(&["personal access token (classic)", "lifetime", "fine-grained"]) => (
            ErrorKind::Authentication,
            format!("the organisation's policy keeps this token from {repository}"),
            "make a token of the kind that the message names, or use a GitHub App",
        ),
        403 if says(&["suspended", "blocked", "disabled", "terms of service"]) => (
            ErrorKind::Authentication,
            format!("GitHub has blocked the access to {repository}"),
            "follow the message; an owner of the repository or of the account can ask GitHub's support",
        ),
        403 if said.is_empty() || says(&["resource not accessible", "must have", "permission", "not authorized"]) => (
            ErrorKind::Authentication,
            format!("GitHub does not let these credentials read the issues of {repository}"),
            "give the token (or the GitHub App) read access to issues, and authorize it for the organisation's single sign-on",
        ),
        403 => (
            ErrorKind::Authentication,
            format!("reading the issues of {repository} is forbidden"),
            "follow the message; where it is not GitHub's, ask those who run the proxy or gateway; otherwise give the token (or \
             the GitHub App) read access to issues",
        ),
        404 => (
            ErrorKind::NotFound,
            format!("the repository {repository} does not exist, or these credentials may not see it"),
            "check the name; for a private repository, check that the token may read it",
        ),
        410 => (
            ErrorKind::NotFound,
            format!("issues are disabled in the repository {repository}"),
            "enable issues in the repository's settings, or `disable` this resource",
        ),
        451 => (
            ErrorKind::NotFound,
            format!("the repository {repository} is blocked for legal reasons"),
            "`disable` this resource",
        ),
        409 => (
            ErrorKind::Unavailable,
            format!("the repository {repository} is empty, or is just being made"),
            "try again later, or `disable` this resource",
        ),
        422 if says(&["pagination", "only the first"]) => (
            ErrorKind::InvalidData,
            format!("GitHub does not give so many pages of {repository}"),
            "more issues than GitHub pages through were updated within one second; reading goes on once some of them are updated",
        ),
        422 => (
            ErrorKind::InvalidData,
            format!("GitHub cannot process the request for the issues of {repository}"),
            "follow the message; if it does not help, check that `api_url` is the address of GitHub's API",
        ),
        _ => return error,
    };
    let said = error.server_message().map(str::to_owned);
    let message = said.as_ref().map_or_else(|| message.clone(), |said| format!("{message}: {said}"));
    Error::new(kind, message).with_status(status).with_help(help).with_server_message(said).with_source(error)
}
