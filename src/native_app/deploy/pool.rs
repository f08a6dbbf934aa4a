//! The app's compute pool, which is bound to the application that made it: one that outlives it is of no use to another.

use super::account::{Account, Found};
use crate::native_app::Name;
use crate::{Error, ErrorKind, Result};

/// The name that the app's procedures give their pool.
pub(super) fn name(application: &Name) -> Result<Name> {
    application.with_suffix("POOL")
}

/// The pool, if there is one that the role may see.
pub(super) async fn find(account: &mut Account, application: &Name) -> Result<Option<Found>> {
    account.find("COMPUTE POOLS", &name(application)?, "").await
}

/// Refuses a pool that the application could not use: another application's, or whatever there is before it is installed.
pub(super) async fn check(account: &mut Account, application: &Name, is_installed: bool) -> Result<()> {
    let Some(found) = find(account, application).await? else { return Ok(()) };
    let of = found.get("application");
    if is_installed && (of.is_empty() || of == application.as_str()) {
        return Ok(());
    }
    let pool = name(application)?;
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
