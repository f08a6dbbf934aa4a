//! Names of repositories, as users write them.

use crate::http::Url;
use crate::{Config, Error, Resource, Result};

/// The resource that is meant by a name: `owner/name`, or the address of a repository or of a page in it, as a browser or git has it.
/// GitHub tells no names apart that differ by case only, so the canonical form has none.
pub(super) fn resource(config: &Config, name: &str) -> Result<Resource> {
    let wanted = Resource::new(name)?;
    let path = match address(name) {
        Some((host, path)) if is_served_here(config, &host) => path,
        Some((host, _)) => {
            return Err(Error::configuration(format!("{name:?} is on another server than `api_url`"))
                .with_context("host", host)
                .with_help("write `owner/name`, or set `api_url` to the API of that server"));
        }
        None => name.trim_end_matches('/').to_owned(),
    };
    let Name { owner, name } = Name::of(&Resource::new(path.trim_end_matches(".git"))?).map_err(|error| {
        // The name as it was given says more than its path.
        if path == wanted.name() { error } else { error.with_context("given", wanted.name()) }
    })?;
    Resource::new(format!("{owner}/{name}").to_ascii_lowercase())
}

/// The host and the path `owner/name` of an address.
fn address(text: &str) -> Option<(String, String)> {
    let (host, path) = if text.contains("://") {
        let url: Url = text.parse().ok()?;
        (url.host_str()?.to_owned(), url.path().to_owned())
    } else if let Some((_, rest)) = text.split_once('@') {
        // As git has it: `git@github.com:acme/widgets.git`.
        let (host, path) = rest.split_once(':')?;
        (host.to_owned(), path.to_owned())
    } else {
        let (host, path) = text.split_once('/')?;
        // An address without its scheme; the name of an owner has no dot.
        (host.contains('.') && path.trim_end_matches('/').contains('/')).then(|| (host.to_owned(), path.to_owned()))?
    };
    let host = host.to_ascii_lowercase();
    let path = path.split(['?', '#']).next()?.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    // What follows the repository is a page in it; addresses of the API have something before it.
    let repository = match segments.iter().position(|segment| *segment == "repos") {
        Some(api) if host.starts_with("api.") || segments.first() == Some(&"api") => &segments[api + 1..],
        _ => &segments[..],
    };
    Some((host, repository.iter().take(2).copied().collect::<Vec<_>>().join("/")))
}

/// Whether a host is that of the API in the settings, or of its web site.
fn is_served_here(config: &Config, host: &str) -> bool {
    let configured = config.get("api_url").and_then(|url| url.as_str()?.parse::<Url>().ok());
    let api = configured.as_ref().and_then(Url::host_str).unwrap_or("api.github.com");
    let site = host.strip_prefix("www.").unwrap_or(host);
    // A proxy or a gateway in front of GitHub has any name.
    host == api || api.strip_prefix("api.") == Some(site) || site == "github.com"
}

/// `owner/name`, checked: safe as part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) owner: String,
    pub(super) name: String,
}

impl Name {
    /// # Errors
    /// `Configuration`, when a resource is not of the form `owner/name`.
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        match Scope::of(resource.name())? {
            Scope::Repository(name) => Ok(name),
            Scope::Owner(owner) => Err(Error::configuration(format!("{:?} must name one repository", resource.name()))
                .with_help(format!("write `{owner}/NAME`; `discover` lists what there is"))),
        }
    }

    pub(super) fn path(&self) -> String {
        format!("repos/{}/{}", self.owner, self.name)
    }
}

/// The longest name of an owner or of a repository. GitHub's are at most 100 characters long.
const LONGEST: usize = 255;

/// What one entry of `repositories` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// One repository.
    Repository(Name),
    /// All repositories of an organisation or a user.
    Owner(String),
}

impl Scope {
    /// # Errors
    /// `Configuration`, when the text is neither.
    pub(super) fn of(text: &str) -> Result<Self> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= LONGEST
                && !matches!(part, "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        // A command line takes what begins with a dash for an option.
        let is_owner = |part: &str| plain(part) && !part.starts_with('-');
        match text.split_once('/') {
            None if is_owner(text) => Ok(Self::Owner(text.to_owned())),
            Some((owner, "*")) if is_owner(owner) => Ok(Self::Owner(owner.to_owned())),
            Some((owner, name)) if is_owner(owner) && plain(name) => {
                Ok(Self::Repository(Name { owner: owner.to_owned(), name: name.to_owned() }))
            }
            _ => Err(Error::configuration(format!("{text:?} is not a repository"))
                .with_help("write `owner/name`, as in `rust-lang/rust`, or the address of the repository")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_owner_and_name() {
        let name = |text: &str| Name::of(&Resource::new(text).unwrap());
        assert_eq!(name("vercel/next.js").unwrap().path(), "repos/vercel/next.js");
        for text in [
            "widgets",
            "acme/*",
            "a/b/c",
            "https://github.com/a/b",
            "a/..",
            "a b/c",
            "a/b?x",
            "a/ß",
            "/",
            "a/",
            "--set/x",
            "-x",
        ] {
            assert!(name(text).unwrap_err().help().unwrap().contains('/'), "{text}");
        }
    }

    fn found(api_url: Option<&str>, name: &str) -> Result<String> {
        let config = api_url.map(|url| ("api_url".to_owned(), json!(url))).into_iter().collect();
        resource(&config, name).map(String::from)
    }

    #[test]
    fn all_names_of_a_repository_give_one_resource() {
        for name in [
            "acme/widgets",
            "Acme/Widgets",
            "acme/widgets/",
            "acme/widgets.git",
            "https://github.com/acme/widgets",
            "https://github.com/Acme/Widgets/",
            "https://github.com/acme/widgets.git",
            "https://github.com/acme/widgets/issues",
            "https://github.com/acme/widgets/issues/7?x=y#z",
            "http://www.github.com/acme/widgets",
            "github.com/acme/widgets",
            "git@github.com:acme/widgets.git",
            "ssh://git@github.com/acme/widgets.git",
            "https://api.github.com/repos/acme/widgets",
        ] {
            assert_eq!(found(None, name).unwrap(), "acme/widgets", "{name}");
        }
        let enterprise = Some("https://ghe.example/api/v3");
        for name in ["https://ghe.example/acme/widgets", "https://ghe.example/api/v3/repos/acme/widgets/issues"] {
            assert_eq!(found(enterprise, name).unwrap(), "acme/widgets", "{name}");
        }
        assert_eq!(
            found(Some("https://api.acme.ghe.com"), "https://acme.ghe.com/acme/widgets").unwrap(),
            "acme/widgets"
        );
        assert_eq!(found(None, "vercel/next.js").unwrap(), "vercel/next.js");
    }

    #[test]
    fn what_cannot_be_a_repository_is_refused_with_help() {
        for name in [
            "nope",
            "a/b/c",
            "acme/*",
            "https://github.com",
            "https://github.com/acme",
            "https://gitlab.com/acme/widgets",
            "git@gitlab.com:acme/widgets.git",
            "acme/wid gets",
            "/",
            "acme/.git",
            "https://",
        ] {
            let error = found(None, name).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Configuration, "{name}");
            assert!(error.help().is_some(), "{name}: {error}");
        }
    }
}
