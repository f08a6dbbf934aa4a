//! The file that marks a folder as a bundle's, and states what was written there: each path with the SHA-256 of its contents.
//!
//! Anyone who can write to the folder can write a listing. It is therefore a claim to be checked: it can name only paths that a
//! bundle has, and a file is ours only while its contents have a digest that is listed for its path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use sha2::{Digest as _, Sha256};

use super::Files;
use super::templates::{PAGE, PROCEDURES, TEMPLATES};

/// The name of the file.
pub(super) const MARKER: &str = ".snowfeed-bundle";

/// Its first line.
const TITLE: &str = "# Files that `app build` wrote here, with their SHA-256. It replaces and removes no others.";

/// Paths, each with the digests of what may have been written there: two while a build is under way.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Listing(BTreeMap<String, BTreeSet<String>>);

impl Listing {
    /// What these files will be listed as.
    pub(super) fn new(files: &Files) -> Self {
        Self(files.iter().map(|(path, bytes)| (path.clone(), BTreeSet::from([digest(bytes)]))).collect())
    }

    /// Reads a listing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.strip_prefix(TITLE).ok_or("was not written by this version of `app build`")?;
        let mut listing = Self::default();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (digest, path) = line.split_once("  ").ok_or("has a line without a digest")?;
            if digest.len() != 64 || !digest.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
                return Err("has a line without a digest".to_owned());
            }
            if !is_of_a_bundle(path) {
                return Err(format!("lists {path:?}, which no bundle has"));
            }
            listing.0.entry(path.to_owned()).or_default().insert(digest.to_owned());
        }
        Ok(listing)
    }

    /// The text of the file.
    pub(super) fn to_text(&self) -> String {
        let lines = self.0.iter().flat_map(|(path, digests)| digests.iter().map(move |digest| (digest, path)));
        lines.fold(format!("{TITLE}\n"), |text, (digest, path)| text + digest + "  " + path + "\n")
    }

    /// The paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Whether `bytes` at `path` are listed.
    pub(super) fn has(&self, path: &str, bytes: &[u8]) -> bool {
        self.0.get(path).is_some_and(|digests| digests.contains(&digest(bytes)))
    }

    /// Everything that either of the two lists.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (path, digests) in &other.0 {
            both.0.entry(path.clone()).or_default().extend(digests.iter().cloned());
        }
        both
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Whether a bundle of this or another version may have a file at `path`: never outside of its folder.
fn is_of_a_bundle(path: &str) -> bool {
    let is_plain = Path::new(path).components().all(|step| matches!(step, Component::Normal(_)));
    let is_known =
        path.starts_with(PAGE) || path.starts_with(PROCEDURES) || TEMPLATES.iter().any(|(of, _)| *of == path);
    is_plain && is_known && !path.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str) -> Result<Listing, String> {
        Listing::parse(&format!("{TITLE}\n{}  {path}\n", digest(b"x")))
    }

    #[test]
    fn a_listing_is_read_back_as_it_was_written() {
        let old = Files::from([("page/app.py".to_owned(), b"old".to_vec()), ("setup.sql".to_owned(), vec![])]);
        let new = Files::from([("page/app.py".to_owned(), b"new".to_vec())]);
        let both = Listing::new(&old).union(&Listing::new(&new));
        assert_eq!(Listing::parse(&both.to_text()).unwrap(), both);
        assert!(both.has("page/app.py", b"old") && both.has("page/app.py", b"new"));
        assert!(!both.has("page/app.py", b"other") && !both.has("setup.sql", b"new"));
    }

    #[test]
    fn a_listing_names_only_what_a_bundle_has() {
        for path in ["page/more/tabs.py", "procedures/old.py", "setup.sql", "README.md"] {
            assert!(listed(path).is_ok(), "{path}");
        }
        for path in ["", "notes.txt", ".git/config", "/etc/passwd", "../x", "page/../x", "page/../../x", "image/x"] {
            assert!(listed(path).is_err(), "{path}");
        }
        for text in
            [String::new(), format!("{TITLE}\nsetup.sql\n"), format!("{TITLE}\n{}  setup.sql\n", "g".repeat(64))]
        {
            assert!(Listing::parse(&text).is_err(), "{text}");
        }
    }
}
