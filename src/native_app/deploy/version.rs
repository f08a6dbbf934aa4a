//! Versions and patches of an application package, their release channels and release directives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::account::{Account, ShowRow};
use crate::native_app::Name;
use crate::native_app::image::Image;
use crate::{Error, ErrorKind, Result};

/// The length of the digests in a label, in bytes: of the files, and of the parts that a patch may not change.
const DIGEST: usize = 6;
const FIXED: usize = 4;
/// The maximum number of patches of a version.
const MOST_PATCHES: u64 = 130;
/// The number of patches from which on a note warns.
const MANY_PATCHES: u64 = 120;

/// The release channel that consumers install from by default.
pub(super) const CHANNEL: &str = "DEFAULT";

/// All patches of all versions of a package.
#[derive(Default)]
pub(super) struct Versions(Vec<Patch>);

/// A patch of a version.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    version: String,
    pub(super) number: u64,
    /// The label that consumers see; it contains a digest of the patch's content.
    pub(super) label: String,
}

impl Versions {
    /// Reads the versions of `package`.
    pub(super) async fn read(account: &mut Account, package: &Name) -> Result<Self> {
        let rows = account.rows(format!("SHOW VERSIONS IN APPLICATION PACKAGE {package}")).await?;
        let rows = rows.iter().filter(|row| row.text("dropped_on").is_none());
        rows.map(parse_patch).collect::<Result<_>>().map(Self)
    }

    /// The newest patch of a version; `None` if the version does not exist.
    pub(super) fn newest(&self, version: &Name) -> Option<&Patch> {
        self.0.iter().filter(|patch| patch.version == version.as_str()).max_by_key(|patch| patch.number)
    }

    /// The versions, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let first = |at: usize, version: &str| !self.0[..at].iter().any(|patch| patch.version == version);
        let names = self.0.iter().enumerate().filter(move |(at, patch)| first(*at, &patch.version));
        names.map(|(_, patch)| patch.version.as_str())
    }

    /// Checks whether a patch can follow the newest one of this version; returns a note for the user.
    pub(super) fn check_patch(&self, version: &Name, label: &str) -> Result<Option<String>> {
        let Some(newest) = self.newest(version).filter(|newest| newest.label != label) else { return Ok(None) };
        let raise = "increase the source's version, so that the next deploy creates a new version";
        if let (Some(before), Some(now)) = (constraints_digest(&newest.label), constraints_digest(label))
            && before != now
        {
            let message =
                format!("{version} was created with other privileges or another image, and a patch cannot change them");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(format!(
                "{raise}; or build with the options of that version (--without-container, --image-repository)"
            )));
        }
        let count = newest.number + 1;
        if count >= MOST_PATCHES {
            let message = format!("{version} has {count} patches, the maximum");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(raise));
        }
        let note = || format!("{version} now has {} of at most {MOST_PATCHES} patches: {raise}", count + 1);
        Ok((count >= MANY_PATCHES).then(note))
    }
}

fn parse_patch(row: &ShowRow) -> Result<Patch> {
    let number = row.number("patch").ok_or_else(|| {
        Error::invalid_data("Snowflake returned a version without a patch number")
            .with_context("patch", row.get("patch"))
    })?;
    Ok(Patch { version: row.get("version").to_owned(), number, label: row.get("label").to_owned() })
}

/// The label of a patch: the version, a digest of the files and the image, and a digest of what a patch may not change. The first digest
/// identifies an unchanged bundle, which needs no new patch.
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
    let fixed = Sha256::digest(patch_constraints(&manifest).join("\n"));
    format!("{version}+{}.{}", hex(&digest.finalize()[..DIGEST]), hex(&fixed[..FIXED]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The second digest in a label, of what a patch may not change; labels of other tools have none.
fn constraints_digest(label: &str) -> Option<&str> {
    let (all, fixed) = label.rsplit_once('+')?.1.split_once('.')?;
    (all.len() == 2 * DIGEST && fixed.len() == 2 * FIXED).then_some(fixed)
}

/// The parts of a manifest that a patch may not change: its version, privileges and images.
fn patch_constraints(manifest: &str) -> Vec<&str> {
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

/// Snowflake's limit on versions: per package without channels, per channel, and outside any channel.
pub(super) const MOST_VERSIONS: usize = 2;

/// Checks whether a package can hold another version.
pub(super) struct VersionLimits<'a> {
    pub(super) package: &'a Name,
    pub(super) version: &'a Name,
    pub(super) versions: &'a Versions,
    /// Whether the package has release channels.
    pub(super) has_channels: bool,
    /// The versions of the default channel.
    pub(super) channel: &'a [String],
    /// The versions in any channel.
    pub(super) assigned: &'a [String],
    /// The released version.
    pub(super) released: Option<&'a str>,
    /// The version to drop first.
    pub(super) dropped: Option<&'a Name>,
    /// Whether the new version is released.
    pub(super) releases: bool,
}

impl VersionLimits<'_> {
    /// Rejects a version that Snowflake could not add, before anything is changed.
    pub(super) fn check(&self) -> Result<()> {
        let Self { package, version, .. } = self;
        let dropped = self.dropped.map(Name::as_str);
        if let Some(dropped) = dropped {
            if dropped == version.as_str() {
                return Err(Error::configuration(format!("{version} is the version to deploy"))
                    .with_help("pass another version to --drop-version"));
            }
            if self.released == Some(dropped) {
                return Err(Error::new(ErrorKind::Conflict, format!("{dropped} is the released version of {package}"))
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
        let (holder, names) =
            if is_full { (format!("{package} holds"), names) } else { (format!("the channel {CHANNEL} holds"), held) };
        let message = format!("{holder} {}, and cannot hold a third version", names.join(" and "));
        let unused = names.iter().find(|name| Some(**name) != self.released).copied().unwrap_or("VERSION");
        Err(Error::new(ErrorKind::Conflict, message).with_help(format!(
            "drop a version that is no longer needed with --drop-version {unused}; Snowflake first upgrades its installations"
        )))
    }
}

/// Waits until a version is in no release channel. Snowflake removes it after upgrading every installation.
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
        if !channels.iter().any(|row| contains_name(row.get("versions"), version.as_str())) || stop.is_cancelled() {
            return Ok(());
        }
        if Instant::now() >= end {
            let message = format!("{version} is still in a release channel, because installations use it");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(
                "run the same command again later; it continues from there. SHOW VERSIONS and the view APPLICATION_STATE list the installations",
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The version and the patch of the default release directive.
pub(super) async fn released(account: &mut Account, package: &Name) -> Result<Option<(String, u64)>> {
    let rows = account.rows_if_any(format!("SHOW RELEASE DIRECTIVES IN APPLICATION PACKAGE {package}")).await?;
    // Without release channels the column is missing or empty.
    let is_default = |row: &&ShowRow| row.get("name") == CHANNEL && matches!(row.get("release_channel"), "" | CHANNEL);
    let row = rows.iter().find(is_default);
    Ok(row.and_then(|row| Some((row.text("version")?, row.number("patch")?))))
}

/// Whether a list, `["V1","V2"]` or `[V1, V2]`, contains a name.
pub(super) fn contains_name(list: &str, name: &str) -> bool {
    match serde_json::from_str::<Vec<String>>(list) {
        Ok(names) => names.iter().any(|one| one == name),
        Err(_) => list.trim_matches(['[', ']']).split(',').any(|one| one.trim() == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_depends_on_the_files() {
        let files = |path: &'static str, bytes: &'static [u8]| BTreeMap::from([(path, bytes)]);
        let one = label("1.0.0", &files("a", b"bc"), None);
        assert_eq!(one, label("1.0.0", &files("a", b"bc"), None));
        assert_ne!(one, label("1.0.0", &files("ab", b"c"), None));
        assert!(one.starts_with("1.0.0+") && one.len() == 27, "{one}");
    }

    #[test]
    fn the_label_records_what_a_patch_cannot_change() {
        let manifest = "manifest_version: 2\n\nartifacts:\n  container_services:\n    images:\n      - \"/a/b/c:1\"\n\n\
                        privileges:\n  - \"CREATE DATABASE\":\n      description: \"why\"\n\nreferences:\n  - \"token\":\n";
        assert_eq!(patch_constraints(manifest), ["manifest_version: 2", "- \"CREATE DATABASE\":", "- \"/a/b/c:1\""]);
        let labelled =
            |manifest: &str| label("1.0.0+b.1", &BTreeMap::from([("manifest.yml", manifest.as_bytes())]), None);
        let (before, text) = (labelled(manifest), labelled(&manifest.replace("why", "because")));
        assert!(
            constraints_digest(&before).is_some()
                && before != text
                && constraints_digest(&before) == constraints_digest(&text)
        );
        assert_ne!(
            constraints_digest(&before),
            constraints_digest(&labelled(&manifest.replace("DATABASE", "WAREHOUSE")))
        );
        assert_eq!(constraints_digest("1.0.0+5f0c5f0c5f0c"), None);
        assert_eq!(constraints_digest("0.1.0"), None);
    }
}
