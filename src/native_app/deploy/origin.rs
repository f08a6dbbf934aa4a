//! Where an app is installed from.

use super::account::{Account, Found};
use super::explain::absent;
use super::package::released;
use super::sql;
use super::versions::Versions;
use crate::native_app::{Name, Names};
use crate::{ErrorKind, Result};

/// Where an app is installed and upgraded from. An app is upgraded in the way in which it was installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The newest patch of this version of the source, in a package of the same account: for trying it out.
    #[default]
    Version,
    /// What the package of the same account has released (see [`Deploy::release`](super::Deploy::release)).
    Release,
    /// A listing, by its global name: how consumers in other accounts get it. It is upgraded as its provider releases.
    Listing(String),
}

/// A version and, where it is known, its patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    version: Name,
    patch: u64,
}

impl Origin {
    /// What there is to install. `None`: whatever Snowflake finds.
    pub(super) async fn target(&self, account: &mut Account, names: &Names) -> Result<Option<Target>> {
        let Names { package, version, .. } = names;
        match self {
            Self::Version => {
                let missing = |what: String| {
                    absent(what, "run `app deploy`; or take what is released: --released, or --listing NAME")
                };
                let versions = Versions::read(account, package).await.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => missing(format!("the application package {package}")).with_source(error),
                    _ => error,
                })?;
                let newest =
                    versions.newest(version).ok_or_else(|| missing(format!("the version {version} of {package}")))?;
                Ok(Some(Target { version: version.clone(), patch: newest.number }))
            }
            // Who may only install does not see it.
            Self::Release => match released(account, package).await? {
                Some((version, patch)) => Ok(Some(Target { version: Name::stored(version)?, patch })),
                None => Ok(None),
            },
            Self::Listing(_) => Ok(None),
        }
    }

    /// What follows `CREATE APPLICATION name`.
    pub(super) fn clause(&self, names: &Names, target: Option<&Target>) -> String {
        match self {
            Self::Listing(listing) => format!("FROM LISTING {}", sql::text(listing)),
            Self::Version | Self::Release => {
                format!("FROM APPLICATION PACKAGE {}{}", names.package, self.using(target))
            }
        }
    }

    /// What follows `ALTER APPLICATION name UPGRADE`, a blank first.
    pub(super) fn using(&self, target: Option<&Target>) -> String {
        match (self, target) {
            (Self::Version, Some(Target { version, patch })) => format!(" USING VERSION {version} PATCH {patch}"),
            _ => String::new(),
        }
    }
}

impl Target {
    /// Whether an application has it.
    pub(super) fn is_that_of(&self, application: &Found) -> bool {
        application.get("version") == self.version.as_str() && application.number("patch") == Some(self.patch)
    }
}
