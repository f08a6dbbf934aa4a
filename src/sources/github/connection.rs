//! Connections to GitHub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::credentials::{self, CredentialKind};
use super::error::{explain, issues_disabled};
use super::names::Name;
use super::settings::GithubSettings;
use super::streams::Stream;
use crate::http::{Builder, Client, Request};
use crate::{ConnectContext, Error, Monitor, Result, RetryConfig, SourceEvent};

/// A connection to one GitHub, as one identity.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) kind: CredentialKind,
    /// Whether the server was seen to send links to other pages.
    sends_links: AtomicBool,
}

impl Connection {
    /// Connects, on a thread that may block: it reads secrets and certificates from files.
    pub(super) async fn open(settings: &GithubSettings, context: ConnectContext) -> Result<Arc<Self>> {
        let settings = settings.clone();
        let make = move || match context.fail_fast {
            true => Self::for_check(&settings, &context.monitor),
            false => Self::over(settings.client()?, &settings, &context.monitor),
        };
        let made = tokio::task::spawn_blocking(make).await;
        made.map_err(|error| Error::internal("connecting failed").with_source(error))?.map(Arc::new)
    }

    /// Creates a connection that gives up soon if the server cannot be reached or fails, for checks that a person waits for.
    fn for_check(settings: &GithubSettings, monitor: &Monitor) -> Result<Self> {
        let (retries, timeout_seconds) = (settings.retries.min(2), settings.timeout_seconds.min(15));
        let settings = GithubSettings { retries, timeout_seconds, ..settings.clone() };
        let retries =
            RetryConfig { max_attempts: retries + 1, timeout: Duration::from_secs(5), ..RetryConfig::default() };
        Self::over(settings.client()?.retry(retries).connect_timeout(Duration::from_secs(4)), &settings, monitor)
    }

    fn over(builder: Builder, settings: &GithubSettings, monitor: &Monitor) -> Result<Self> {
        let client = match credentials::authorization(settings, monitor)? {
            Some(authorization) => builder.authorization(authorization).build()?,
            None => builder.build()?,
        };
        Ok(Self { client, kind: CredentialKind::from_settings(settings), sends_links: AtomicBool::new(false) })
    }

    /// Prepares a GET, which traces show by its [route].
    pub(super) fn get(&self, path_or_url: &str) -> Request {
        self.client.get(path_or_url).template(route(self.client.base_url().as_str(), path_or_url))
    }

    /// Whether the server is known to send links: then a page without one is the last.
    pub(super) fn sends_links(&self) -> bool {
        self.sends_links.load(Ordering::Relaxed)
    }

    pub(super) fn set_sends_links(&self) {
        self.sends_links.store(true, Ordering::Relaxed);
    }

    /// Looks up the repository at a path; `None` if the server does not know it.
    ///
    /// # Errors
    /// `NotFound`, when its issues are disabled and the stream depends on them.
    pub(super) async fn repository(
        &self,
        path: &str,
        name: &Name,
        stream: Stream,
        monitor: &Monitor,
    ) -> Result<Option<Repository>> {
        let response = self.get(path).allow_status(&[404]).send_with(monitor, |response| {
            if response.status() == 404 { Ok(None) } else { response.json::<Repository>().map(Some) }
        });
        match response.await.map_err(|error| explain(error, name, stream))? {
            Some(Repository { has_issues: Some(false), .. }) if stream.needs_issues() => Err(issues_disabled(name)),
            repository => Ok(repository),
        }
    }

    /// Warns when reading anonymously.
    pub(super) fn announce(&self, monitor: &Monitor) {
        if self.kind == CredentialKind::Anonymous {
            monitor.event(SourceEvent::Warning(
                "reading anonymously: public repositories only, 60 requests an hour; set `token` for 5,000".into(),
            ));
        }
    }
}

/// The words of the paths that this source requests.
const WORDS: [&str; 20] = [
    "app",
    "comments",
    "commits",
    "compare",
    "events",
    "installation",
    "issues",
    "labels",
    "milestones",
    "orgs",
    "organizations",
    "pulls",
    "rate_limit",
    "releases",
    "repos",
    "repositories",
    "reviews",
    "search",
    "user",
    "users",
];

/// The path of a request with placeholders in place of names and numbers: `repos/{owner}/{repo}/issues`.
fn route(base: &str, path_or_url: &str) -> String {
    let path = path_or_url.strip_prefix(base).unwrap_or(path_or_url);
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let mut above = ["", ""];
    let segments = path.split('/').map(|segment| {
        let shown = match above {
            [_, "repos"] => "{owner}",
            ["repos", _] => "{repo}",
            [_, "users" | "orgs" | "organizations" | "repositories"] => "{id}",
            _ if WORDS.contains(&segment) => segment,
            _ => "{id}",
        };
        above = [above[1], segment];
        shown
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A repository, as GitHub describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) full_name: String,
    /// Whether its issues are enabled. Where they are disabled, some servers list its pull requests nevertheless.
    #[serde(default)]
    pub(super) has_issues: Option<bool>,
    #[serde(default)]
    pub(super) permissions: Option<Permissions>,
}

/// What the credentials may do with a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Permissions {
    #[serde(default)]
    pub(super) push: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_no_names_numbers_or_queries() {
        let base = "https://ghe.example/api/v3/";
        for (path, shown) in [
            ("repos/acme/widgets/issues", "repos/{owner}/{repo}/issues"),
            ("https://ghe.example/api/v3/repositories/7/issues/comments?since=x", "repositories/{id}/issues/comments"),
            ("repositories/7/pulls/12/reviews", "repositories/{id}/pulls/{id}/reviews"),
            ("repositories/7/compare/abc...def", "repositories/{id}/compare/{id}"),
            ("repositories/7/commits/feature/secret", "repositories/{id}/commits/{id}/{id}"),
            ("users/issues/repos", "users/{id}/repos"),
            ("rate_limit", "rate_limit"),
            ("https://elsewhere.example/x?token=y", "{id}/{id}/{id}/{id}"),
        ] {
            assert_eq!(route(base, path), shown, "{path}");
        }
    }
}
