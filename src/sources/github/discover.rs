//! Lists repositories, and checks that the settings reach them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::Api;
use super::connection::{Connection, Repository};
use super::credentials::CredentialKind;
use super::names::Scope;
use super::settings::GithubSettings;
use super::streams::Stream;
use crate::http::Response;
use crate::{Error, ErrorKind, Monitor, Resource, Result};

/// Lists the repositories that the settings name, in alphabetical order; by default, those that the credentials reach.
pub(super) async fn discover(
    connection: Arc<Connection>,
    settings: &GithubSettings,
    monitor: &Monitor,
) -> Result<Vec<Resource>> {
    let mut names = BTreeSet::new();
    let mut add = |repositories: Vec<Repository>| names.extend(repositories.into_iter().map(|one| one.full_name));
    if settings.repositories.is_empty() {
        add(list_accessible(&connection, monitor).await?);
    }
    for entry in &settings.repositories {
        match Scope::parse(entry)? {
            Scope::Owner(owner) => add(list_owned(&connection, &owner, monitor).await?),
            Scope::Repository(name) => {
                let full_name = format!("{}/{}", name.owner, name.name);
                let api = Api::find(connection.clone(), name, Stream::Issues, monitor).await?;
                let id = api.repository_id().unwrap_or_default();
                add(vec![Repository { id, full_name, has_issues: None, permissions: None }]);
            }
        }
    }
    names.into_iter().map(Resource::new).collect()
}

/// Checks that GitHub accepts the credentials, and that each named repository and owner exists.
pub(super) async fn check(connection: &Arc<Connection>, settings: &GithubSettings, monitor: &Monitor) -> Result<()> {
    // This request costs no quota. Enterprise servers without limits, and simple servers, answer 404.
    let limits = connection.get("rate_limit").allow_status(&[404]).fail_without_data();
    let answer =
        limits.send_with(monitor, |response| if response.status() == 404 { Ok(()) } else { is_api(&response) });
    answer.await.map_err(|error| credentials_error(error, connection))?;
    for entry in &settings.repositories {
        match Scope::parse(entry)? {
            Scope::Owner(owner) => drop(is_organization(connection, &owner, monitor).await?),
            Scope::Repository(name) => drop(Api::find(connection.clone(), name, Stream::Issues, monitor).await?),
        }
    }
    Ok(())
}

/// Checks that the response has the rate limits of an API, rather than a message in place of them.
fn is_api(response: &Response) -> Result<()> {
    let answer: serde_json::Map<String, serde_json::Value> = response.json()?;
    if answer.contains_key("message") && !answer.contains_key("resources") && !answer.contains_key("rate") {
        return Err(Error::invalid_data("the answer does not have the rate limits"));
    }
    Ok(())
}

fn credentials_error(error: Error, connection: &Connection) -> Error {
    if error.status() == Some(401) {
        return Error::new(ErrorKind::Authentication, "GitHub does not accept the credentials")
            .with_status(401)
            .with_context("api_url", connection.client.base_url())
            .with_help("check that `token` refers to a token that is valid, and belongs to this `api_url`")
            .with_source(error);
    }
    error
}

#[derive(Deserialize)]
struct Account {
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

async fn is_organization(connection: &Connection, owner: &str, monitor: &Monitor) -> Result<bool> {
    let request = connection.get(&format!("users/{owner}"));
    let account = request.send_with(monitor, |response| response.json::<Account>()).await.map_err(|error| {
        if error.status() == Some(404) {
            return Error::new(ErrorKind::NotFound, format!("there is no organisation or user {owner}"))
                .with_status(404)
                .with_help("check `repositories`: write `owner/*`, or `owner/name` for one repository")
                .with_source(error);
        }
        credentials_error(error, connection)
    })?;
    Ok(account.kind == "Organization")
}

async fn list_owned(connection: &Connection, owner: &str, monitor: &Monitor) -> Result<Vec<Repository>> {
    let path = if is_organization(connection, owner, monitor).await? {
        format!("orgs/{owner}/repos")
    } else if connection.kind == CredentialKind::Token && is_token_owner(connection, owner, monitor).await? {
        // The list of a user has public repositories only, even for the user.
        return Ok(list(connection, "user/repos", monitor)
            .await?
            .into_iter()
            .filter(|one| is_owned_by(one, owner))
            .collect());
    } else {
        format!("users/{owner}/repos")
    };
    list(connection, &path, monitor).await
}

fn is_owned_by(repository: &Repository, owner: &str) -> bool {
    repository.full_name.split_once('/').is_some_and(|(of, _)| of.eq_ignore_ascii_case(owner))
}

/// Whether the token is the owner's own. Some tokens may not read `user`.
async fn is_token_owner(connection: &Connection, owner: &str, monitor: &Monitor) -> Result<bool> {
    let request = connection.get("user").allow_status(&[403, 404]);
    request
        .send_with(monitor, |response| match response.status() {
            200 => Ok(response.json::<Account>()?.login.eq_ignore_ascii_case(owner)),
            _ => Ok(false),
        })
        .await
}

async fn list(connection: &Connection, path: &str, monitor: &Monitor) -> Result<Vec<Repository>> {
    let all = connection.list(path, monitor, |response| Ok(response.body().clone())).await;
    all.map_err(|error| credentials_error(error, connection))
}

async fn list_accessible(connection: &Connection, monitor: &Monitor) -> Result<Vec<Repository>> {
    #[derive(Deserialize)]
    struct Installed<'a> {
        #[serde(borrow)]
        repositories: &'a RawValue,
    }
    match connection.kind {
        CredentialKind::App => {
            let read = |response: &Response| {
                let Installed { repositories } = response.json()?;
                Ok(response.body().slice_ref(repositories.get()))
            };
            connection
                .list("installation/repositories", monitor, read)
                .await
                .map_err(|error| credentials_error(error, connection))
        }
        CredentialKind::Token => list(connection, "user/repos", monitor).await,
        CredentialKind::Anonymous => Err(Error::configuration("the settings do not name repositories")
            .with_help("set `repositories`, for instance to `owner/*`, or configure a token")),
    }
}
