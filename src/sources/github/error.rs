//! The meaning of GitHub's errors for a repository.

use super::names::Name;
use crate::{Error, ErrorKind};

/// The error of a repository whose issues are disabled.
pub(super) fn issues_disabled(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("issues are disabled in the repository {}/{}", name.owner, name.name))
        .with_context("status", 410)
        .with_help("enable issues in the repository's settings, or `disable` this resource; no row was changed")
}

/// Explains an error for this repository, with the server's own message if there is one.
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
            "create a token of the kind that the message names, or use a GitHub App",
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
            format!("GitHub does not serve this many pages of {repository}"),
            "more issues than GitHub pages through were updated within one second; reading continues once some of them are updated",
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
