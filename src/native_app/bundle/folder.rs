//! A bundle on disk. A file in its folder marks it as one, and lists what was written: nothing else is ever removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind as Io};
use std::path::{Component, Path, PathBuf};

use super::Files;
use crate::{Error, Result};

/// The file that marks a folder as a bundle's.
pub(super) const MARKER: &str = ".snowfeed-bundle";

/// The first line of the marker.
const TITLE: &str = "# Files that `app build` wrote here. It removes those that it no longer writes, and no others.";

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

/// Makes the folder hold these files, and no others that this function has written before.
pub(super) fn write(dir: &Path, files: &Files) -> Result<Written> {
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;
    let old = claim(dir)?;
    let new: BTreeSet<String> = files.keys().cloned().collect();
    // Were this to stop half-way, the next one would still know what is its own.
    mark(dir, old.union(&new))?;
    let mut done = Written::default();
    for (path, bytes) in files {
        let place = place(dir, path)?;
        if fs::read(&place).is_ok_and(|there| there == *bytes) {
            done.unchanged.push(path.clone());
            continue;
        }
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|error| unwritable(parent, error))?;
        }
        fs::write(&place, bytes).map_err(|error| unwritable(&place, error))?;
        done.written.push(path.clone());
    }
    for path in old.difference(&new) {
        if remove(dir, path)? {
            done.removed.push(path.clone());
        }
    }
    mark(dir, new.iter())?;
    Ok(done)
}

/// Reads the files that the marker lists.
pub(super) fn read(dir: &Path) -> Result<Files> {
    let Some(paths) = marked(dir)? else {
        return Err(Error::new(crate::ErrorKind::NotFound, format!("{} holds no bundle", dir.display()))
            .with_help("`app build` writes one"));
    };
    let mut files = Files::new();
    for path in paths {
        let place = place(dir, &path)?;
        match fs::read(&place) {
            Ok(bytes) => files.insert(path, bytes),
            Err(error) if error.kind() == Io::NotFound => None,
            Err(error) => return Err(unreadable(&place, error)),
        };
    }
    Ok(files)
}

/// What was written before into a folder that is a bundle's, or empty.
fn claim(dir: &Path) -> Result<BTreeSet<String>> {
    if let Some(paths) = marked(dir)? {
        return Ok(paths);
    }
    let mut entries = fs::read_dir(dir).map_err(|error| unreadable(dir, error))?;
    if entries.next().is_none() {
        return Ok(BTreeSet::new());
    }
    Err(Error::configuration(format!("{} is not empty, and no bundle of ours", dir.display()))
        .with_help("name an empty folder, or one that `app build` has written before"))
}

/// The paths that the marker lists; none where there is no marker.
fn marked(dir: &Path) -> Result<Option<BTreeSet<String>>> {
    let marker = dir.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) => {
            match text.strip_prefix(TITLE) {
                Some(list) => Ok(Some(list.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())),
                None => Err(Error::configuration(format!("{} is none of ours", marker.display()))
                    .with_help("name an empty folder")),
            }
        }
        Err(error) if error.kind() == Io::NotFound => Ok(None),
        Err(error) => Err(unreadable(&marker, error)),
    }
}

fn mark<'a>(dir: &Path, paths: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut text = TITLE.to_owned() + "\n";
    paths.for_each(|path| {
        text.push_str(path);
        text.push('\n');
    });
    let marker = dir.join(MARKER);
    if fs::read_to_string(&marker).is_ok_and(|there| there == text) {
        return Ok(());
    }
    refuse_link(&marker)?;
    fs::write(&marker, text).map_err(|error| unwritable(&marker, error))
}

fn remove(dir: &Path, path: &str) -> Result<bool> {
    let place = place(dir, path)?;
    match fs::remove_file(&place) {
        Ok(()) => {}
        Err(error) if error.kind() == Io::NotFound => return Ok(false),
        Err(error) => return Err(unwritable(&place, error)),
    }
    for parent in place.ancestors().skip(1).take_while(|parent| *parent != dir) {
        // Fails where somebody keeps other files in it.
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(true)
}

/// Where a file of the bundle lies: within the folder, whatever the marker says and whatever links there are.
fn place(dir: &Path, path: &str) -> Result<PathBuf> {
    let relative = Path::new(path);
    let within = !path.is_empty() && relative.components().all(|step| matches!(step, Component::Normal(_)));
    if !within {
        return Err(Error::configuration(format!("{path:?} leads out of {}", dir.display()))
            .with_help(format!("delete {} and build again", dir.display())));
    }
    let mut place = dir.to_owned();
    for step in relative.components() {
        place.push(step);
        refuse_link(&place)?;
    }
    Ok(place)
}

fn refuse_link(place: &Path) -> Result<()> {
    if fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(Error::configuration(format!("{} is a link", place.display()))
            .with_help("a bundle has no links: delete it and build again"));
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be written", path.display())).with_source(error).exhausted()
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} cannot be read", path.display())).with_source(error).exhausted()
}
