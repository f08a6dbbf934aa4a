//! Versions and patches of an application package, their release channels and release directives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Found};
use crate::native_app::Name;
use crate::native_app::image::Image;
use crate::{Error, ErrorKind, Result};

/// How much of a digest a label has, in bytes: of the files, and of what a patch may not change.
const DIGEST: usize = 6;
const FIXED: usize = 4;
/// How many patches a version may have.
const MOST_PATCHES: u64 = 130;
/// From how many on it is told.
const MANY_PATCHES: u64 = 120;

/// The release channel that consumers install from unless they say otherwise.
pub(super) const CHANNEL: &str = "DEFAULT";

/// All patches of all versions of a package.
#[derive(Default)]
pub(super) struct Versions(Vec<Patch>);

/// A patch of a version.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    version: String,
    pub(super) number: u64,
    /// What the consumer is shown; it tells what is in the patch.
    pub(super) label: String,
}

impl Versions {
    /// Of `package`.
    pub(super) async fn read(account: &mut Account, package: &Name) -> Result<Self> {
        let rows = account.rows(format!("SHOW VERSIONS IN APPLICATION PACKAGE {package}")).await?;
        let rows = rows.iter().filter(|row| row.text("dropped_on").is_none());
        rows.map(patch).collect::<Result<_>>().map(Self)
    }

    /// The newest patch of a version. `None`: there is no such version.
    pub(super) fn newest(&self, version: &Name) -> Option<&Patch> {
        self.0.iter().filter(|patch| patch.version == version.as_str()).max_by_key(|patch| patch.number)
    }

    /// The versions, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let first = |at: usize, version: &str| !self.0[..at].iter().any(|patch| patch.version == version);
        let names = self.0.iter().enumerate().filter(move |(at, patch)| first(*at, &patch.version));
        names.map(|(_, patch)| patch.version.as_str())
    }

    /// Checks what a patch after the newest one of this version may be; with what is worth knowing.
    pub(super) fn check_patch(&self, version: &Name, label: &str) -> Result<Option<String>> {
        let Some(newest) = self.newest(version).filter(|newest| newest.label != label) else { return Ok(None) };
        let raise = "raise the source's version: the next deploy makes a version of it";
        if let (Some(before), Some(now)) = (fixed(&newest.label), fixed(label))
            && before != now
        {
            let message = format!(
                "{version} was made with other privileges or another image, and a patch may not change privileges"
            );
            return Err(Error::new(ErrorKind::Conflict, message).with_help(format!(
                "{raise}; or build with the options that the version was built with (--without-container, --image-repository)"
            )));
        }
        let count = newest.number + 1;
        if count >= MOST_PATCHES {
            let message = format!("{version} has {count} patches, and Snowflake takes no more");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(raise));
        }
        let note = || format!("{version} has {} of at most {MOST_PATCHES} patches now: {raise}", count + 1);
        Ok((count >= MANY_PATCHES).then(note))
    }
}

fn patch(row: &Found) -> Result<Patch> {
    let number = row.number("patch").ok_or_else(|| {
        Error::invalid_data("Snowflake did not say which patches a version has").with_context("patch", row.get("patch"))
    })?;
    Ok(Patch { version: row.get("version").to_owned(), number, label: row.get("label").to_owned() })
}

/// The label of what these files and this image make: the version, a digest of all, and one of what a patch may not change. By the
/// first, what was deployed before is known: the same files make no new patch, whatever happened in between.
pub(super) fn label(version: &str, files: &BTreeMap<&str, &[u8]>, image: Option<&Image>) -> String {
    let mut digest = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
    }
    digest.update(image.map_or("", Image::digest));
    let manifest = files.get("manifest.yml").map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let fixed = Sha256::digest(asked_for(&manifest).join("\n"));
    format!("{version}+{}.{}", hex(&digest.finalize()[..DIGEST]), hex(&fixed[..FIXED]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest in a label of what a patch may not change; labels of other tools have none.
fn fixed(label: &str) -> Option<&str> {
    let (all, fixed) = label.rsplit_once('+')?.1.split_once('.')?;
    (all.len() == 2 * DIGEST && fixed.len() == 2 * FIXED).then_some(fixed)
}

/// What a patch may not change: the version of the manifest, the privileges and the images that it lists.
fn asked_for(manifest: &str) -> Vec<&str> {
    let entries = |section: &'static str| -> Vec<&str> {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut lines = manifest.lines().skip_while(|line| line.trim() != section);
        let depth = lines.next().map(indent);
        let within = lines.take_while(|line| line.trim().is_empty() || Some(indent(line)) > depth);
        within.map(str::trim).filter(|line| line.starts_with("- ")).collect()
    };
    let version = manifest.lines().filter(|line| line.starts_with("manifest_version:"));
    version.chain(entries("privileges:")).chain(entries("images:")).collect()
}

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

/// The version and the patch that consumers get unless they are told apart.
pub(super) async fn released(account: &mut Account, package: &Name) -> Result<Option<(String, u64)>> {
    let rows = account.rows_if_any(format!("SHOW RELEASE DIRECTIVES IN APPLICATION PACKAGE {package}")).await?;
    // A package without release channels has no such column, or nothing in it.
    let is_default = |row: &&Found| row.get("name") == CHANNEL && matches!(row.get("release_channel"), "" | CHANNEL);
    let row = rows.iter().find(is_default);
    Ok(row.and_then(|row| Some((row.text("version")?, row.number("patch")?))))
}

/// Whether a list, `["V1","V2"]` or `[V1, V2]`, holds a name.
pub(super) fn holds(list: &str, name: &str) -> bool {
    match serde_json::from_str::<Vec<String>>(list) {
        Ok(names) => names.iter().any(|one| one == name),
        Err(_) => list.trim_matches(['[', ']']).split(',').any(|one| one.trim() == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_the_files_apart() {
        let files = |path: &'static str, bytes: &'static [u8]| BTreeMap::from([(path, bytes)]);
        let one = label("1.0.0", &files("a", b"bc"), None);
        assert_eq!(one, label("1.0.0", &files("a", b"bc"), None));
        assert_ne!(one, label("1.0.0", &files("ab", b"c"), None));
        assert!(one.starts_with("1.0.0+") && one.len() == 27, "{one}");
    }

    #[test]
    fn what_a_patch_may_not_change_is_told_apart_in_the_label() {
        let manifest = "manifest_version: 2\n\nartifacts:\n  container_services:\n    images:\n      - \"/a/b/c:1\"\n\n\
                        privileges:\n  - \"CREATE DATABASE\":\n      description: \"why\"\n\nreferences:\n  - \"token\":\n";
        assert_eq!(asked_for(manifest), ["manifest_version: 2", "- \"CREATE DATABASE\":", "- \"/a/b/c:1\""]);
        let labelled =
            |manifest: &str| label("1.0.0+b.1", &BTreeMap::from([("manifest.yml", manifest.as_bytes())]), None);
        let (before, text) = (labelled(manifest), labelled(&manifest.replace("why", "because")));
        assert!(fixed(&before).is_some() && before != text && fixed(&before) == fixed(&text));
        assert_ne!(fixed(&before), fixed(&labelled(&manifest.replace("DATABASE", "WAREHOUSE"))));
        assert_eq!(fixed("1.0.0+5f0c5f0c5f0c"), None);
        assert_eq!(fixed("0.1.0"), None);
    }
}
