//! Writes and reads a bundle on disk. Only files that the [`Listing`] proves to be the bundle's are replaced or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind as Io, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::templates::{PAGE, PROCEDURES, TEMPLATES};
use crate::{Error, Result};

/// The files of a bundle by path, with `/` as the separator.
pub(in crate::native_app) type Files = BTreeMap<String, Vec<u8>>;

/// The result of writing a bundle. Paths are relative to its folder, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WriteReport {
    /// New and changed files.
    pub written: Vec<String>,
    /// Unchanged files.
    pub unchanged: Vec<String>,
    /// Files of an earlier bundle that are no longer part of it.
    pub removed: Vec<String>,
}

/// Writes these files to the folder, and removes unedited files of an earlier call that are no longer part of the bundle.
pub(super) fn write(dir: &Path, files: &Files) -> Result<WriteReport> {
    // Removes a trailing slash, which would follow a link.
    let dir = &dir.components().collect::<PathBuf>();
    refuse_link(dir)?;
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;
    let (old, new) = (existing_listing(dir)?, Listing::new(files));
    let mut done = WriteReport::default();
    let mut changes = Vec::new();
    // Nothing is changed before every file is checked.
    for (path, bytes) in files {
        let target = safe_path(dir, path)?;
        match contents(&target)? {
            Some(current) if current == *bytes => done.unchanged.push(path.clone()),
            Some(current) if !old.has(path, &current) => {
                return Err(Error::configuration(format!(
                    "{} was changed since `app build` wrote it",
                    target.display()
                ))
                .with_help("move or delete the file, and build again"));
            }
            _ => changes.push((path, target, bytes)),
        }
    }
    // Lists old and new files, so that the next call recognizes both if this one is interrupted.
    write_listing(dir, &old.union(&new))?;
    for (path, target, bytes) in changes {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| unwritable(parent, error))?;
        }
        replace(&target, bytes)?;
        done.written.push(path.clone());
    }
    for path in old.paths().filter(|path| !files.contains_key(*path)) {
        let target = safe_path(dir, path)?;
        if contents(&target)?.is_some_and(|current| old.has(path, &current)) {
            remove(dir, &target)?;
            done.removed.push(path.clone());
        }
    }
    write_listing(dir, &new)?;
    Ok(done)
}

/// Reads the files that the listing names.
pub(super) fn read(dir: &Path) -> Result<Files> {
    let Some(listing) = read_listing(dir)? else {
        return Err(Error::new(crate::ErrorKind::NotFound, format!("{} does not contain a bundle", dir.display()))
            .with_help("run `app build`"));
    };
    let mut files = Files::new();
    for path in listing.paths() {
        if let Some(bytes) = contents(&safe_path(dir, path)?)? {
            files.insert(path.clone(), bytes);
        }
    }
    Ok(files)
}

/// The listing of a folder that contains a bundle or is empty.
fn existing_listing(dir: &Path) -> Result<Listing> {
    if let Some(listing) = read_listing(dir)? {
        return Ok(listing);
    }
    let mut entries = fs::read_dir(dir).map_err(|error| unreadable(dir, error))?;
    if entries.next().is_none() {
        return Ok(Listing::default());
    }
    Err(Error::configuration(format!("{} is not empty and does not contain a bundle", dir.display()))
        .with_help("use an empty folder, or one that `app build` wrote"))
}

/// Reads the listing; `None` if it does not exist.
fn read_listing(dir: &Path) -> Result<Option<Listing>> {
    let marker = dir.join(MARKER);
    refuse_link(&marker)?;
    let Some(bytes) = contents(&marker)? else { return Ok(None) };
    let listing = std::str::from_utf8(&bytes).map_err(|_| "is not text".to_owned()).and_then(Listing::parse);
    listing.map(Some).map_err(|why| {
        Error::configuration(format!("{} {why}", marker.display()))
            .with_help(format!("use an empty folder, or delete {} and build again", dir.display()))
    })
}

fn write_listing(dir: &Path, listing: &Listing) -> Result<()> {
    let (marker, text) = (dir.join(MARKER), listing.to_text());
    if contents(&marker)?.is_some_and(|current| current == text.as_bytes()) {
        return Ok(());
    }
    replace(&marker, text.as_bytes())
}

/// The bytes of a file; `None` if it does not exist.
///
/// # Errors
/// `Configuration` if it is not a regular file: a named pipe would block forever.
fn contents(target: &Path) -> Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_file() => fs::read(target).map(Some).map_err(|error| unreadable(target, error)),
        Ok(_) => Err(Error::configuration(format!("{} is not a file", target.display()))
            .with_help("move or delete it, and build again")),
        Err(error) if error.kind() == Io::NotFound => Ok(None),
        Err(error) => Err(unreadable(target, error)),
    }
}

/// Replaces a file by renaming a new one. It never writes into the existing file, which may have other hard links.
fn replace(target: &Path, bytes: &[u8]) -> Result<()> {
    let new = target.with_file_name(format!(".{}.new", Uuid::now_v7()));
    let write = || {
        fs::File::create_new(&new)?.write_all(bytes)?;
        fs::rename(&new, target)
    };
    write().map_err(|error| {
        // It may not exist.
        let _ = fs::remove_file(&new);
        unwritable(target, error)
    })
}

fn remove(dir: &Path, target: &Path) -> Result<()> {
    fs::remove_file(target).map_err(|error| unwritable(target, error))?;
    for parent in target.ancestors().skip(1).take_while(|parent| *parent != dir) {
        // Fails if the folder has other files.
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// The path of a bundle's file. It is always inside the folder and never follows a link.
fn safe_path(dir: &Path, path: &str) -> Result<PathBuf> {
    let mut target = dir.to_owned();
    for step in Path::new(path).components() {
        if !matches!(step, Component::Normal(_)) {
            return Err(Error::internal(format!("{path:?} is outside {}", dir.display())));
        }
        target.push(step);
        refuse_link(&target)?;
    }
    Ok(target)
}

fn refuse_link(target: &Path) -> Result<()> {
    if fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(Error::configuration(format!("{} is a link", target.display()))
            .with_help("delete it, or use the folder that it links to, and build again"));
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be written", path.display())).with_source(error).exhausted()
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be read", path.display())).with_source(error).exhausted()
}

/// The name of the listing's file.
pub(super) const MARKER: &str = ".snowfeed-bundle";

/// Its first line.
const TITLE: &str = "# Files that `app build` wrote here, with their SHA-256. It replaces and removes no others.";

/// Paths, each with the digests of what may have been written there: two while a build is under way.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Listing(BTreeMap<String, BTreeSet<String>>);

impl Listing {
    /// Creates the listing of these files.
    pub(super) fn new(files: &Files) -> Self {
        Self(files.iter().map(|(path, bytes)| (path.clone(), BTreeSet::from([digest(bytes)]))).collect())
    }

    /// Reads a listing.
    ///
    /// # Errors
    /// Describes the error in the listing.
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
    fn a_listing_round_trips() {
        let old = Files::from([("page/app.py".to_owned(), b"old".to_vec()), ("setup.sql".to_owned(), vec![])]);
        let new = Files::from([("page/app.py".to_owned(), b"new".to_vec())]);
        let both = Listing::new(&old).union(&Listing::new(&new));
        assert_eq!(Listing::parse(&both.to_text()).unwrap(), both);
        assert!(both.has("page/app.py", b"old") && both.has("page/app.py", b"new"));
        assert!(!both.has("page/app.py", b"other") && !both.has("setup.sql", b"new"));
    }

    #[test]
    fn a_listing_names_only_bundle_files() {
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
