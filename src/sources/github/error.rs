//! The meaning of GitHub's errors for a repository.

use super::names::Name;
use super::streams::Stream;
use crate::{Error, ErrorKind};

/// The error of a repository whose issues are disabled.
pub(super) fn issues_disabled(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("issues are disabled in the repository {}/{}", name.owner, name.name))
        .with_context("status", 410)
        .with_help("enable issues in the repository's settings, or `disable` this resource; no row was changed")
}

/// The context of an error of [`taken_over`].
const NEW_ID: &str = "new id";

/// The error of a repository that was deleted, and whose name another one has now.
pub(super) fn taken_over(name: &Name, id: u64, new_id: u64) -> Error {
    let Name { owner, name } = name;
    let message = format!("the repository {owner}/{name} was deleted, and another one has its name now");
    Error::new(ErrorKind::NotFound, message).with_status(404).with_context("id", id).with_context(NEW_ID, new_id).with_help(
        "`reset` the resource to read the new repository from the start; to keep what was read of the old one as it is, \
         `disable` the resource",
    )
}

/// Whether another repository has the name.
pub(super) fn is_taken_over(error: &Error) -> bool {
    error.context().any(|(name, _)| name == NEW_ID)
}

/// Explains an error of reading a stream of this repository, with the server's own message if there is one.
pub(super) fn explain(error: Error, name: &Name, stream: Stream) -> Error {
    let Name { owner, name } = name;
    let repository = format!("{owner}/{name}");
    let said = error.server_message().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let Some(status) = error.status() else { return error };
    let (records, permission) = (stream.records(), stream.permission());
    let (kind, message, help) = match status {
        401 => (
            ErrorKind::Authentication,
            format!("GitHub does not accept the credentials, so {repository} was not read"),
            "check that `token` refers to a token that is valid, and belongs to this `api_url`".to_owned(),
        ),
        403 if says(&["ip allow list", "ip address", "ip addresses"]) => (
            ErrorKind::Authentication,
            format!("GitHub does not let this machine's address read {repository}"),
            "let an owner of the organisation add the address of this machine to its IP allow list, or run where the address is \
             allowed".to_owned(),
        ),
        403 if says(&["saml", "single sign-on", "sso"]) => (
            ErrorKind::Authentication,
            format!("the organisation's single sign-on keeps these credentials from {repository}"),
            "authorize the token for the organisation: on GitHub under Settings, Developer settings, Personal access tokens, \
             Configure SSO".to_owned(),
        ),
        403 if says(&["personal access token (classic)", "lifetime", "fine-grained"]) => (
            ErrorKind::Authentication,
            format!("the organisation's policy keeps this token from {repository}"),
            "create a token of the kind that the message names, or use a GitHub App".to_owned(),
        ),
        403 if says(&["suspended", "blocked", "disabled", "terms of service"]) => (
            ErrorKind::Authentication,
            format!("GitHub has blocked the access to {repository}"),
            "follow the message; an owner of the repository or of the account can ask GitHub's support".to_owned(),
        ),
        403 if said.is_empty() || says(&["resource not accessible", "must have", "permission", "not authorized"]) => (
            ErrorKind::Authentication,
            format!("GitHub does not let these credentials read the {records} of {repository}"),
            format!(
                "give the token (or the GitHub App) read access to {permission}, and authorize it for the organisation's single \
                 sign-on"
            ),
        ),
        403 => (
            ErrorKind::Authentication,
            format!("reading the {records} of {repository} is forbidden"),
            format!(
                "follow the message; where it is not GitHub's, ask those who run the proxy or gateway; otherwise give the token \
                 (or the GitHub App) read access to {permission}"
            ),
        ),
        404 => (
            ErrorKind::NotFound,
            format!("the repository {repository} does not exist, or these credentials may not see it"),
            "check the name; for a private repository, check that the token may read it".to_owned(),
        ),
        410 => (
            ErrorKind::NotFound,
            format!("issues are disabled in the repository {repository}"),
            "enable issues in the repository's settings, or `disable` this resource".to_owned(),
        ),
        451 => (
            ErrorKind::NotFound,
            format!("the repository {repository} is blocked for legal reasons"),
            "`disable` this resource".to_owned(),
        ),
        409 => (
            ErrorKind::Unavailable,
            format!("the repository {repository} is empty, or is just being made"),
            "try again later, or `disable` this resource".to_owned(),
        ),
        422 if says(&["pagination", "only the first"]) => (
            ErrorKind::InvalidData,
            format!("GitHub does not serve this many pages of {repository}"),
            "more of them than GitHub pages through were updated within one second; reading continues once some of them are updated".to_owned(),
        ),
        422 => (
            ErrorKind::InvalidData,
            format!("GitHub cannot process the request for the {records} of {repository}"),
            "follow the message; if it does not help, check that `api_url` is the address of GitHub's API".to_owned(),
        ),
        _ => return error,
    };
    let said = error.server_message().map(str::to_owned);
    let message = said.as_ref().map_or_else(|| message.clone(), |said| format!("{message}: {said}"));
    Error::new(kind, message).with_status(status).with_help(help).with_server_message(said).with_source(error)
}
