//! Makes room for a new version: a package holds two, and so does a release channel.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::package::{CHANNEL, holds};
use super::versions::Versions;
use crate::native_app::Name;
use crate::{Error, ErrorKind, Result};

/// How many versions a package holds at once, how many of them in no release channel, and how many a channel holds.
pub(super) const MOST_VERSIONS: usize = 2;

/// What is known of a package when a version is to be added.
pub(super) struct Room<'a> {
    pub(super) package: &'a Name,
    pub(super) version: &'a Name,
    pub(super) versions: &'a Versions,
    /// Whether the package has release channels.
    pub(super) has_channels: bool,
    /// The versions of the default channel.
    pub(super) channel: &'a [String],
    /// The versions that are in any channel.
    pub(super) assigned: &'a [String],
    /// The version that consumers get.
    pub(super) released: Option<&'a str>,
    /// The version that is to go first.
    pub(super) dropped: Option<&'a Name>,
    /// Whether the new version goes into the channel.
    pub(super) releases: bool,
}

impl Room<'_> {
    /// Refuses a version that Snowflake could not add, before anything is changed.
    pub(super) fn check(&self) -> Result<()> {
        let Self { package, version, .. } = self;
        let dropped = self.dropped.map(Name::as_str);
        if let Some(dropped) = dropped {
            if dropped == version.as_str() {
                return Err(Error::configuration(format!("{version} is the version that is deployed"))
                    .with_help("name another one with --drop-version"));
            }
            if self.released == Some(dropped) {
                return Err(Error::new(ErrorKind::Conflict, format!("{dropped} is what {package} has released"))
                    .with_help("release another version first: run `app deploy --release` without --drop-version"));
            }
        }
        let others = |name: &&str| *name != version.as_str() && Some(*name) != dropped;
        let names: Vec<&str> = self.versions.names().filter(others).collect();
        let held: Vec<&str> = self.channel.iter().map(String::as_str).filter(others).collect();
        let is_new = self.versions.newest(version).is_none();
        let loose = names.iter().filter(|name| !self.assigned.iter().any(|held| held == *name)).count();
        let is_full = is_new && if self.has_channels { loose >= MOST_VERSIONS } else { names.len() >= MOST_VERSIONS };
        let is_channel_full = self.releases && self.has_channels && held.len() >= MOST_VERSIONS;
        if !is_full && !is_channel_full {
            return Ok(());
        }
        let (place, names) =
            if is_full { (format!("{package} holds"), names) } else { (format!("the channel {CHANNEL} holds"), held) };
        let message = format!("{place} {}, and takes no third version", names.join(" and "));
        let unused = names.iter().find(|name| Some(**name) != self.released).copied().unwrap_or("VERSION");
        Err(Error::new(ErrorKind::Conflict, message).with_help(format!(
            "drop a version that nobody needs any more: --drop-version {unused}; installations that have it are upgraded before"
        )))
    }
}

/// Waits until a version is in no release channel: it leaves when every installation has been upgraded.
pub(super) async fn await_removal(
    account: &mut Account,
    package: &Name,
    version: &Name,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<()> {
    let end = Instant::now() + limit;
    let pause = (limit / 30).clamp(Duration::from_millis(20), Duration::from_secs(10));
    loop {
        let channels = account.rows(format!("SHOW RELEASE CHANNELS IN APPLICATION PACKAGE {package}")).await?;
        if !channels.iter().any(|row| holds(row.get("versions"), version.as_str())) || stop.is_cancelled() {
            return Ok(());
        }
        if Instant::now() >= end {
            let message = format!("{version} is still in a release channel, because installations have it");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(
                "run the same command again later: it goes on from there. SHOW VERSIONS and the view APPLICATION_STATE tell who has it",
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}
