//! The installed application: where it comes from, and its compute pool.

use super::account::{Account, ShowRow, not_found, text_literal};
use super::version::{Versions, released};
use crate::native_app::{Name, Names};
use crate::{Error, ErrorKind, Result};

/// The source of an installation. An app can be upgraded only from the kind of source that it was installed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallSource {
    /// The newest patch of the source's version, in a package of the same account. For testing.
    #[default]
    Version,
    /// The default release directive of a package of the same account (see [`Deploy::release`](super::Deploy::release)).
    ReleaseDirective,
    /// A listing, by its global name, for consumers in other accounts. Snowflake upgrades it when the provider releases.
    Listing(String),
}

/// A version and its patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetVersion {
    version: Name,
    patch: u64,
}

impl InstallSource {
    /// The version to install; `None` lets Snowflake choose.
    pub(super) async fn target(&self, account: &mut Account, names: &Names) -> Result<Option<TargetVersion>> {
        let Names { package, version, .. } = names;
        match self {
            Self::Version => {
                let missing = |what: String| {
                    not_found(
                        what,
                        "run `app deploy`, or install the released version with --released or --listing NAME",
                    )
                };
                let versions = Versions::read(account, package).await.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => missing(format!("the application package {package}")).with_source(error),
                    _ => error,
                })?;
                let newest =
                    versions.newest(version).ok_or_else(|| missing(format!("the version {version} of {package}")))?;
                Ok(Some(TargetVersion { version: version.clone(), patch: newest.number }))
            }
            // A role that may only install cannot see it.
            Self::ReleaseDirective => match released(account, package).await? {
                Some((version, patch)) => Ok(Some(TargetVersion { version: Name::stored(version)?, patch })),
                None => Ok(None),
            },
            Self::Listing(_) => Ok(None),
        }
    }

    /// The clause after `CREATE APPLICATION name`.
    pub(super) fn source_clause(&self, names: &Names, target: Option<&TargetVersion>) -> String {
        match self {
            Self::Listing(listing) => format!("FROM LISTING {}", text_literal(listing)),
            Self::Version | Self::ReleaseDirective => {
                format!("FROM APPLICATION PACKAGE {}{}", names.package, self.using_clause(target))
            }
        }
    }

    /// The clause after `ALTER APPLICATION name UPGRADE`, with a leading space.
    pub(super) fn using_clause(&self, target: Option<&TargetVersion>) -> String {
        match (self, target) {
            (Self::Version, Some(TargetVersion { version, patch })) => {
                format!(" USING VERSION {version} PATCH {patch}")
            }
            _ => String::new(),
        }
    }
}

impl TargetVersion {
    /// Whether an application has this version.
    pub(super) fn is_version_of(&self, application: &ShowRow) -> bool {
        application.get("version") == self.version.as_str() && application.number("patch") == Some(self.patch)
    }
}

/// The name of the compute pool, as in `procedures/pool.py`. A pool belongs to the application that created it, forever.
pub(super) fn pool_name(application: &Name) -> Result<Name> {
    application.with_suffix("POOL")
}

/// The compute pool, if it exists and the role may see it.
pub(super) async fn find_pool(account: &mut Account, application: &Name) -> Result<Option<ShowRow>> {
    account.find("COMPUTE POOLS", &pool_name(application)?, "").await
}

/// Rejects a pool that the application could not use: another application's, or one that exists before the installation.
pub(super) async fn check_pool(account: &mut Account, application: &Name, is_installed: bool) -> Result<()> {
    let Some(found) = find_pool(account, application).await? else { return Ok(()) };
    let of = found.get("application");
    if is_installed && (of.is_empty() || of == application.as_str()) {
        return Ok(());
    }
    let pool = pool_name(application)?;
    let what = match of {
        "" => format!("the compute pool {pool} already exists, and an app can use only one that it creates itself"),
        of if of == application.as_str() => {
            format!("the compute pool {pool} belongs to an application that was dropped")
        }
        of => format!("the compute pool {pool} belongs to the application {of}"),
    };
    Err(Error::new(ErrorKind::Conflict, what).with_context("owner", found.get("owner")).with_help(format!(
        "run `DROP COMPUTE POOL {pool}` if it is not needed, or choose another name (--application)"
    )))
}

/// The application, if it exists; rejects one that snowfeed did not install.
pub(super) async fn find(account: &mut Account, name: &Name, adopt: bool) -> Result<Option<ShowRow>> {
    let found = account.find("APPLICATIONS", name, "").await?;
    if let Some(found) = &found {
        found.check_marker("application", name, adopt, "choose another name (--application)")?;
    }
    Ok(found)
}
