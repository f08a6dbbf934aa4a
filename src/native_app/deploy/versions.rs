//! Versions of an application package, and their patches.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::account::{Account, Found};
use crate::native_app::Name;
use crate::native_app::image::Image;
use crate::{Error, Result};

/// How much of the digest a label has, in bytes.
const DIGEST: usize = 6;

/// The patches of one version.
pub(super) struct Patches(Vec<Patch>);

/// A patch.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    pub(super) number: u64,
    /// What the consumer is shown; it tells what is in the patch.
    pub(super) label: String,
}

impl Patches {
    /// Of `version` in `package`. No version is no patches.
    pub(super) async fn read(account: &mut Account, package: &Name, version: &Name) -> Result<Self> {
        let rows = account.rows(format!("SHOW VERSIONS IN APPLICATION PACKAGE {package}")).await?;
        let rows = rows.iter().filter(|row| row.get("version") == version.as_str() && row.text("dropped_on").is_none());
        rows.map(patch).collect::<Result<_>>().map(Self)
    }

    /// Those of a package that is not there yet.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn newest(&self) -> Option<&Patch> {
        self.0.iter().max_by_key(|patch| patch.number)
    }
}

fn patch(row: &Found) -> Result<Patch> {
    let number = row.number("patch").ok_or_else(|| {
        Error::invalid_data("Snowflake did not say which patches a version has").with_context("patch", row.get("patch"))
    })?;
    Ok(Patch { number, label: row.get("label").to_owned() })
}

/// The label of what these files and this image make: the version, and a digest. By it, what was deployed before is known: the
/// same files make no new patch, whatever happened in between.
pub(super) fn label(version: &str, files: &BTreeMap<&str, &[u8]>, image: Option<&Image>) -> String {
    let mut digest = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
    }
    digest.update(image.map_or("", Image::digest));
    let digest = digest.finalize();
    let digits: String = digest.iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
    format!("{version}+{digits}")
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
        assert!(one.starts_with("1.0.0+") && one.len() == 18, "{one}");
    }
}
