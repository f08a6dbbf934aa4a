//! Connections to GitHub.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::credentials::{self, CredentialKind};
use super::error::{explain, issues_disabled};
use super::names::Name;
use super::settings::GithubSettings;
use crate::http::{Builder, Client};
use crate::{Error, Monitor, Result, RetryConfig, SourceEvent};

/// The maximum number of connections, with different settings, that are kept.
const MAX_CONNECTIONS: usize = 16;

/// Connections by their settings, the most recently used one last.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Vec<(String, Arc<Connection>)>>);

impl Connections {
    /// Returns the connection for these settings.
    pub(super) async fn get(&self, settings: &GithubSettings) -> Result<Arc<Connection>> {
        let key = serde_json::to_string(settings)
            .map_err(|error| Error::internal("the settings cannot be written").with_source(error))?;
        if let Some(known) = self.latest(&key, None) {
            return Ok(known);
        }
        let new = connect(settings, Connection::new).await?;
        Ok(self.latest(&key, Some(&new)).unwrap_or(new))
    }

    /// Returns the connection with this key, or else stores and returns the new one. One that was made meanwhile takes
    /// precedence: it knows the server's limits.
    fn latest(&self, key: &str, new: Option<&Arc<Connection>>) -> Option<Arc<Connection>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match all.iter().position(|(known, _)| known == key) {
            Some(index) => all.remove(index).1,
            None => new?.clone(),
        };
        if all.len() >= MAX_CONNECTIONS {
            all.remove(0);
        }
        all.push((key.to_owned(), connection.clone()));
        Some(connection)
    }
}

/// Creates a connection, on a thread that may block: it reads secrets and certificates from files.
pub(super) async fn connect(
    settings: &GithubSettings,
    make: fn(&GithubSettings) -> Result<Connection>,
) -> Result<Arc<Connection>> {
    let settings = settings.clone();
    let made = tokio::task::spawn_blocking(move || make(&settings).map(Arc::new)).await;
    made.map_err(|error| Error::internal("connecting failed").with_source(error))?
}

/// A connection to one GitHub, as one identity.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) kind: CredentialKind,
}

impl Connection {
    pub(super) fn new(settings: &GithubSettings) -> Result<Self> {
        Self::over(settings.client()?, settings)
    }

    /// Creates a connection that gives up soon if the server cannot be reached or fails, for checks that a person waits for.
    pub(super) fn for_check(settings: &GithubSettings) -> Result<Self> {
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
        Ok(Self { client, kind: CredentialKind::from_settings(settings) })
    }

    /// Looks up the repository at a path; `None` if the server does not know it.
    ///
    /// # Errors
    /// `NotFound`, when its issues are disabled.
    pub(super) async fn repository(&self, path: &str, name: &Name, monitor: &Monitor) -> Result<Option<Repository>> {
        let response = self.client.get(path).allow_status(&[404]).send_with(monitor, |response| {
            if response.status() == 404 { Ok(None) } else { response.json::<Repository>().map(Some) }
        });
        match response.await.map_err(|error| explain(error, name))? {
            Some(Repository { has_issues: Some(false), .. }) => Err(issues_disabled(name)),
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

/// A repository, as GitHub describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) full_name: String,
    /// Whether its issues are enabled. Where they are disabled, some servers list its pull requests nevertheless.
    #[serde(default)]
    pub(super) has_issues: Option<bool>,
}
