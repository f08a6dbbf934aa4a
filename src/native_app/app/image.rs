//! The reference of the container image in a Snowflake account.

use std::fmt;

use serde::Serialize;

use crate::{Error, Result};

/// The maximum length of a tag.
const LONGEST_TAG: usize = 128;

/// The reference of an image in a Snowflake account: `/database/schema/repository/name:tag`, in lower case. The image of a published
/// tag does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ImageReference {
    /// The database that the repository is in, in lower case.
    pub(crate) database: String,
    /// The schema that the repository is in, in lower case.
    pub(crate) schema: String,
    /// The image repository, in lower case.
    pub(crate) repository: String,
    /// The image's name in its repository: the connector's program.
    pub(crate) name: String,
    /// The tag: the version of the source.
    pub(crate) tag: String,
}

impl ImageReference {
    pub(super) fn new(repository: &str, name: &str, version: &str) -> Result<Self> {
        let steps: Vec<&str> = repository.trim_start_matches('/').split('/').collect();
        let [database, schema, repository] = steps.as_slice() else {
            return Err(Error::configuration(format!("{repository:?} is not the path of an image repository"))
                .with_help("write /database/schema/repository, in lower case"));
        };
        for step in steps.iter().copied().chain([name]) {
            check_path_segment(step)?;
        }
        Ok(Self {
            database: (*database).to_owned(),
            schema: (*schema).to_owned(),
            repository: (*repository).to_owned(),
            name: name.to_owned(),
            tag: image_tag(version)?,
        })
    }

    /// The path of the repository: `/database/schema/repository`.
    pub(crate) fn repository_path(&self) -> String {
        format!("/{}/{}/{}", self.database, self.schema, self.repository)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.repository_path(), self.name, self.tag)
    }
}

/// Validates one segment of an image's path.
fn check_path_segment(step: &str) -> Result<()> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-' | '.');
    if !step.is_empty() && step.chars().all(allowed) && step.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::configuration(format!("{step:?} is not a valid segment of an image's path")).with_help(format!(
        "Snowflake's image paths are lower-case letters, digits, `_`, `-` and `.`, beginning with a letter or digit{}",
        if step.to_lowercase() == step { "" } else { "; write it in lower case" }
    )))
}

/// The tag of a version. A tag cannot contain `+`, which a version can.
fn image_tag(version: &str) -> Result<String> {
    let tag = version.replace('+', "-");
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !tag.is_empty() && tag.len() <= LONGEST_TAG && tag.chars().all(allowed) && !tag.starts_with(['.', '-']) {
        return Ok(tag);
    }
    Err(Error::configuration(format!("the version {version:?} is not a valid image tag"))
        .with_help("give the source a version such as 1.2.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_has_neither_registry_nor_upper_case() {
        let image = ImageReference::new("/db/schema/repo", "connector", "1.0.0+build.5").unwrap();
        assert_eq!(image.to_string(), "/db/schema/repo/connector:1.0.0-build.5");
        assert_eq!(image.repository_path(), "/db/schema/repo");
    }

    #[test]
    fn an_invalid_repository_path_is_rejected_with_help() {
        for (repository, name, version) in [
            ("/DB/schema/repo", "connector", "1"),
            ("db/schema", "connector", "1"),
            ("/db/schema/repo/more", "connector", "1"),
            ("/db//repo", "connector", "1"),
            ("/db/my schema/repo", "connector", "1"),
            ("/db/schema/repo", "Connector", "1"),
            ("/db/schema/repo", "", "1"),
            ("/db/schema/repo", "connector", ""),
            ("/db/schema/repo", "connector", "1 beta"),
            ("ghcr.io/db/schema/repo", "connector", "1"),
        ] {
            let error = ImageReference::new(repository, name, version).unwrap_err();
            assert!(error.help().is_some(), "{repository} {name} {version}: {error}");
        }
        let error = ImageReference::new("/DB/schema/repo", "connector", "1").unwrap_err();
        assert!(error.help().is_some_and(|help| help.contains("in lower case")), "{:?}", error.help());
    }
}
