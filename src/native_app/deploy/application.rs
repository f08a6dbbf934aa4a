//! The installed application: where it comes from, and its compute pool.

use super::account::{Account, Found, absent, text_literal};
use super::version::{Versions, released};
use crate::native_app::{Name, Names};
use crate::{Error, ErrorKind, Result};

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
            Self::Listing(listing) => format!("FROM LISTING {}", text_literal(listing)),
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

/// The name that the app's procedures give their pool.
pub(super) fn pool_name(application: &Name) -> Result<Name> {
    application.with_suffix("POOL")
}

/// The pool, if there is one that the role may see.
pub(super) async fn find_pool(account: &mut Account, application: &Name) -> Result<Option<Found>> {
    account.find("COMPUTE POOLS", &pool_name(application)?, "").await
}

/// Refuses a pool that the application could not use: another application's, or whatever there is before it is installed.
pub(super) async fn check_pool(account: &mut Account, application: &Name, is_installed: bool) -> Result<()> {
    let Some(found) = find_pool(account, application).await? else { return Ok(()) };
    let of = found.get("application");
    if is_installed && (of.is_empty() || of == application.as_str()) {
        return Ok(());
    }
    let pool = pool_name(application)?;
    let what = match of {
        "" => format!("the compute pool {pool} exists already, and an app can only use one that it makes itself"),
        of if of == application.as_str() => {
            format!("the compute pool {pool} is bound to an application that was dropped")
        }
        of => format!("the compute pool {pool} belongs to the application {of}"),
    };
    Err(Error::new(ErrorKind::Conflict, what)
        .with_context("owner", found.get("owner"))
        .with_help(format!("run `DROP COMPUTE POOL {pool}` if nothing needs it, or give another name (--application)")))
}

/// The application, if there is one; refuses somebody else's.
pub(super) async fn find(account: &mut Account, name: &Name, adopt: bool) -> Result<Option<Found>> {
    let found = account.find("APPLICATIONS", name, "").await?;
    if let Some(found) = &found {
        found.claim("application", name, adopt, "give another name (--application)")?;
    }
    Ok(found)
}
