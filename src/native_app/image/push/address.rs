//! The address of an image in a registry.

use std::fmt;

use oci_client::Reference;
use url::Url;

use crate::net::is_loopback_url;
use crate::{Error, Result};

/// A repository and a tag.
#[derive(Debug)]
pub(super) struct Address {
    reference: Reference,
    encrypted: bool,
}

impl Address {
    pub(super) fn new(repository: &str, tag: &str) -> Result<Self> {
        // The text before an `@` may be a password, so the message must not repeat it.
        if repository.contains('@') {
            return Err(malformed("the image's repository", "contains an `@`"));
        }
        let wrong = |why: &str| malformed(&format!("the image's repository {repository:?}"), why);
        let (encrypted, rest) = match repository.split_once("://") {
            None => (true, repository),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(wrong("has an unknown protocol")),
        };
        let (host, path) = rest.trim_end_matches('/').split_once('/').ok_or_else(|| wrong("has no path"))?;
        // Without a host, the name would refer to Docker Hub.
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(wrong("has no host"));
        }
        if !encrypted && !is_loopback(host) {
            return Err(wrong("would receive the password unencrypted").with_help("remove `http://`"));
        }
        if path.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(wrong("is not in lower case"));
        }
        let reference = format!("{}/{path}:{tag}", host.to_ascii_lowercase());
        let reference = reference.parse().map_err(|error| wrong(&format!("and tag {tag:?} name no image: {error}")))?;
        Ok(Self { reference, encrypted })
    }

    /// The host, with its port.
    pub(super) fn host(&self) -> &str {
        self.reference.registry()
    }

    /// The path on the host.
    pub(super) fn path(&self) -> &str {
        self.reference.repository()
    }

    /// The tag.
    pub(super) fn tag(&self) -> &str {
        self.reference.tag().unwrap_or_default()
    }

    /// The registry's base URL.
    pub(super) fn base(&self) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}://{}/", if self.encrypted { "https" } else { "http" }, self.host()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

fn malformed(what: &str, why: &str) -> Error {
    Error::configuration(format!("{what} {why}")).with_help(
        "write host/database/schema/repository/name, in lower case: \
         `repository_url` of `SHOW IMAGE REPOSITORIES` and the name of the image",
    )
}

/// Whether a host, which may have a port, is this machine.
fn is_loopback(host: &str) -> bool {
    Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback_url(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snowflake_repository_uses_https() {
        for given in [
            "acme-prod.registry.snowflakecomputing.com/db/schema/images/github_issues",
            "https://Acme-Prod.registry.snowflakecomputing.com/db/schema/images/github_issues/",
        ] {
            let address = Address::new(given, "0.1.0").unwrap();
            assert_eq!(address.base().unwrap().scheme(), "https");
            assert_eq!(address.host(), "acme-prod.registry.snowflakecomputing.com");
            assert_eq!(address.path(), "db/schema/images/github_issues");
            assert_eq!(
                address.to_string(),
                "acme-prod.registry.snowflakecomputing.com/db/schema/images/github_issues:0.1.0"
            );
        }
    }

    #[test]
    fn only_loopback_uses_http() {
        for host in ["127.0.0.1:5000", "localhost:5000", "localhost"] {
            let address = Address::new(&format!("http://{host}/a/b"), "1").unwrap();
            assert_eq!(address.base().unwrap().scheme(), "http");
        }
        for host in ["10.0.0.1:5000", "registry.example", "127.0.0.1.example:80"] {
            let error = Address::new(&format!("http://{host}/a/b"), "1").unwrap_err();
            assert!(error.to_string().contains("unencrypted"), "{error}");
        }
    }

    #[test]
    fn a_malformed_address_is_rejected_with_a_reason() {
        for (repository, tag, why) in [
            ("github_issues", "1", "no path"),
            ("acme/github_issues", "1", "no host"),
            ("ftp://registry.example/a", "1", "protocol"),
            ("registry.example/DB/a", "1", "lower case"),
            ("registry.example/a", "", "no image"),
            ("registry.example/a", "1 2", "no image"),
            ("registry.example/a", "1/2", "no image"),
            ("registry.example/a b", "1", "no image"),
            ("registry.example/", "1", "no path"),
        ] {
            let error = Address::new(repository, tag).unwrap_err();
            assert!(error.to_string().contains(why), "{repository} {tag}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_rejected_and_not_repeated() {
        let error = Address::new("robot:hunter2@registry.example/a", "1").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
