//! Names of repositories, as users write them.

use std::sync::LazyLock;

use serde_json::Value;

use crate::resource::ResourceNames;
use crate::{Error, Resource, Result, Settings};

/// The noun for a resource.
pub(super) const RESOURCE_KIND: &str = "repository";

/// One part of `owner/name`. It is never `.` or `..`.
const PART: &str = r"\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*";

/// The names of repositories: `owner/name`, or the URL of a repository or of a page in it, as in a browser or git. GitHub ignores
/// the case of names.
pub(super) fn rule() -> &'static ResourceNames {
    static RULE: LazyLock<ResourceNames> = LazyLock::new(|| {
        let name = "(?P<name>[^/?#]+/[^/?#]+)";
        ResourceNames::new(format!("^{PART}/{PART}$"), "owner/name")
            .ignores_case()
            .suffix(".git")
            .address(format!(r"(?i)^https?://(?P<host>api\.[^/:?#@]+)(?::[0-9]+)?/repos/{name}"))
            .address(format!(r"(?i)^https?://(?P<host>[^/:?#@]+)(?::[0-9]+)?/api/(?:[^/?#]+/)*?repos/{name}"))
            .address(format!(r"(?i)^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/:?#@]+)(?::[0-9]+)?/{name}"))
            // As in git: `git@github.com:acme/widgets.git`.
            .address(format!("^[^/:@]+@(?P<host>[^/:@]+):/?{name}"))
            // Without a scheme: the name of an owner has no dot.
            .address(format!(r"^(?P<host>[^/:@]+\.[^/:@]+)/{name}"))
            .served_by("api_url", ["github.com"])
    });
    &RULE
}

/// Resolves a name to a resource, in its canonical form.
pub(super) fn resource(config: &Settings, name: &str) -> Result<Resource> {
    let url = config.get("api_url").and_then(Value::as_str).unwrap_or("https://api.github.com");
    rule().resolve(RESOURCE_KIND, Some(url), name)
}

/// A valid `owner/name`, safe as part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) owner: String,
    pub(super) name: String,
}

impl Name {
    /// # Errors
    /// `Configuration`, when a resource is not of the form `owner/name`.
    pub(super) fn from_resource(resource: &Resource) -> Result<Self> {
        match Scope::parse(resource.name())? {
            Scope::Repository(name) => Ok(name),
            Scope::Owner(owner) => Err(Error::configuration(format!("{:?} must name one repository", resource.name()))
                .with_help(format!("write `{owner}/NAME`; `discover` lists the repositories"))),
        }
    }

    pub(super) fn path(&self) -> String {
        format!("repos/{}/{}", self.owner, self.name)
    }
}

/// The longest name of an owner or of a repository. GitHub's are at most 100 characters long.
const LONGEST: usize = 255;

/// The meaning of one entry of `repositories`.
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
    pub(super) fn parse(text: &str) -> Result<Self> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= LONGEST
                && !matches!(part, "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        // A command line would read a leading dash as an option.
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
        let name = |text: &str| Name::from_resource(&Resource::new(text).unwrap());
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

    /// The native app's own test reads the same file.
    #[test]
    fn every_way_to_write_a_repository_gives_its_resource_or_is_refused_with_help() {
        let text = include_str!("../../../tests/native_app/python/resource_names.json");
        let cases: Vec<(Option<String>, String, Option<String>)> = serde_json::from_str(text).unwrap();
        for (api_url, name, canonical) in cases {
            match (found(api_url.as_deref(), &name), canonical) {
                (Ok(resource), Some(canonical)) => {
                    assert_eq!(resource, canonical, "{name}");
                    assert_eq!(found(api_url.as_deref(), &resource).unwrap(), canonical);
                    Name::from_resource(&Resource::new(resource).unwrap()).unwrap();
                }
                (Err(error), None) => {
                    assert_eq!(error.kind(), crate::ErrorKind::Configuration, "{name}");
                    assert!(error.help().is_some(), "{name}: {error}");
                }
                (found, canonical) => panic!("{name}: {found:?} instead of {canonical:?}"),
            }
        }
    }
}
