//! A bundle on disk. Only what is provably ours is replaced or removed: see [`Listing`].

use std::fs;
use std::io::{self, ErrorKind as Io, Write};
use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use super::Files;
use super::listing::{Listing, MARKER};
use crate::{Error, Result};

/// What writing a bundle has done; paths are relative to its folder, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Files that are new or have changed.
    pub written: Vec<String>,
    /// Files that were there already, the same.
    pub unchanged: Vec<String>,
    /// Files of an earlier bundle that no longer belong to it.
    pub removed: Vec<String>,
}

/// Makes the folder hold these files, and removes those that an earlier call wrote and that are unchanged since.
pub(super) fn write(dir: &Path, files: &Files) -> Result<Written> {
    // Without a slash at the end, which would lead through a link.
    let dir = &dir.components().collect::<PathBuf>();
    refuse_link(dir)?;
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;
    let (old, new) = (claim(dir)?, Listing::new(files));
    let mut done = Written::default();
    let mut changes = Vec::new();
    // Nothing is touched before everything is known to be ours.
    for (path, bytes) in files {
        let place = place(dir, path)?;
        match contents(&place)? {
            Some(there) if there == *bytes => done.unchanged.push(path.clone()),
            Some(there) if !old.has(path, &there) => {
                return Err(Error::configuration(format!("{} is not as `app build` wrote it", place.display()))
                    .with_help("move the file away or delete it, and build again"));
            }
            _ => changes.push((path, place, bytes)),
        }
    }
    // Were this to stop half-way, the next one would still know what is its own.
    mark(dir, &old.union(&new))?;
    for (path, place, bytes) in changes {
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|error| unwritable(parent, error))?;
        }
        replace(&place, bytes)?;
        done.written.push(path.clone());
    }
    for path in old.paths().filter(|path| !files.contains_key(*path)) {
        let place = place(dir, path)?;
        if contents(&place)?.is_some_and(|there| old.has(path, &there)) {
            remove(dir, &place)?;
            done.removed.push(path.clone());
        }
    }
    mark(dir, &new)?;
    Ok(done)
}

/// Reads the files that the marker lists, as they are now.
pub(super) fn read(dir: &Path) -> Result<Files> {
    let Some(listing) = marked(dir)? else {
        return Err(Error::new(crate::ErrorKind::NotFound, format!("{} holds no bundle", dir.display()))
            .with_help("`app build` writes one"));
    };
    let mut files = Files::new();
    for path in listing.paths() {
        if let Some(bytes) = contents(&place(dir, path)?)? {
            files.insert(path.clone(), bytes);
        }
    }
    Ok(files)
}

/// What was written before into a folder that is a bundle's, or empty.
fn claim(dir: &Path) -> Result<Listing> {
    if let Some(listing) = marked(dir)? {
        return Ok(listing);
    }
    let mut entries = fs::read_dir(dir).map_err(|error| unreadable(dir, error))?;
    if entries.next().is_none() {
        return Ok(Listing::default());
    }
    Err(Error::configuration(format!("{} is not empty, and no bundle of ours", dir.display()))
        .with_help("name an empty folder, or one that `app build` has written before"))
}

/// What the marker lists; `None` where there is no marker.
fn marked(dir: &Path) -> Result<Option<Listing>> {
    let marker = dir.join(MARKER);
    refuse_link(&marker)?;
    let Some(bytes) = contents(&marker)? else { return Ok(None) };
    let listing = std::str::from_utf8(&bytes).map_err(|_| "is not text".to_owned()).and_then(Listing::parse);
    listing.map(Some).map_err(|why| {
        Error::configuration(format!("{} {why}", marker.display()))
            .with_help(format!("name an empty folder, or delete {} and build again", dir.display()))
    })
}

fn mark(dir: &Path, listing: &Listing) -> Result<()> {
    let (marker, text) = (dir.join(MARKER), listing.to_text());
    if contents(&marker)?.is_some_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    replace(&marker, text.as_bytes())
}

/// The bytes of a file; `None` where there is nothing.
///
/// # Errors
/// `Configuration` where there is anything but a file: a named pipe would block forever.
fn contents(place: &Path) -> Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(place) {
        Ok(metadata) if metadata.is_file() => fs::read(place).map(Some).map_err(|error| unreadable(place, error)),
        Ok(_) => Err(Error::configuration(format!("{} is not a file", place.display()))
            .with_help("move it away or delete it, and build again")),
        Err(error) if error.kind() == Io::NotFound => Ok(None),
        Err(error) => Err(unreadable(place, error)),
    }
}

/// Puts a new file in the place of what is there, and never writes into that: it may have another name elsewhere.
fn replace(place: &Path, bytes: &[u8]) -> Result<()> {
    let new = place.with_file_name(format!(".{}.new", Uuid::now_v7()));
    let write = || {
        fs::File::create_new(&new)?.write_all(bytes)?;
        fs::rename(&new, place)
    };
    write().map_err(|error| {
        // It may not be there.
        let _ = fs::remove_file(&new);
        unwritable(place, error)
    })
}

fn remove(dir: &Path, place: &Path) -> Result<()> {
    fs::remove_file(place).map_err(|error| unwritable(place, error))?;
    for parent in place.ancestors().skip(1).take_while(|parent| *parent != dir) {
        // Fails where there are other files in it.
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Where a file of the bundle lies: within the folder, whatever the marker says and whatever links there are.
fn place(dir: &Path, path: &str) -> Result<PathBuf> {
    let mut place = dir.to_owned();
    for step in Path::new(path).components() {
        if !matches!(step, Component::Normal(_)) {
            return Err(Error::internal(format!("{path:?} leads out of {}", dir.display())));
        }
        place.push(step);
        refuse_link(&place)?;
    }
    Ok(place)
}

fn refuse_link(place: &Path) -> Result<()> {
    if fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(Error::configuration(format!("{} is a link", place.display()))
            .with_help("a bundle has no links: delete it, or name the folder that it leads to, and build again"));
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be written", path.display())).with_source(error).exhausted()
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be read", path.display())).with_source(error).exhausted()
}
