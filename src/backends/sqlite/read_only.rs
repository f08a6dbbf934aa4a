//! Opens a file, possibly a write-protected one, for reading.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::error::SqliteResult;
use super::{file, migration};
use crate::{Error, ErrorKind, Result};

/// Opens a file as [`file::open`] does; where it or its directory is write-protected, for reading.
pub(super) fn open(path: &Path) -> Result<Connection> {
    match file::open(path) {
        Err(error) if error.kind() == ErrorKind::Unavailable && path.exists() => {
            // The error of reading counts only if it is another one.
            read(path).map_err(|other| if other.kind() == ErrorKind::Unavailable { error } else { other })
        }
        opened => opened,
    }
}

fn read(path: &Path) -> Result<Connection> {
    file::inspect(path).map_err(|error| file::with_path(error, path))?;
    // Without a log, nothing has the file open, and nothing beside it need be made to read it.
    let has_log = file::sibling(path, "-wal").exists();
    let read = match (has_log, connect(path, !has_log)) {
        (true, Err(_)) if is_empty(&file::sibling(path, "-wal")) => connect(path, true),
        (_, read) => read,
    };
    read.map_err(|error| file::with_path(error, path))
}

/// Connects for reading. An immutable file is read without locks, and without its log.
fn connect(path: &Path, is_immutable: bool) -> SqliteResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, is_immutable)?, flags)?;
    connection.busy_timeout(file::PATIENCE)?;
    if !migration::is_current(&connection)? {
        return Err(Error::configuration("the database has the schema of an older version of this program")
            .with_help("run the command where the file can be written, which brings it up to date")
            .into());
    }
    Ok(connection)
}

/// The file as SQLite's URI.
fn uri(path: &Path, is_immutable: bool) -> Result<String> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::configuration("the path of the database is not valid").with_source(error))?;
    let text = absolute.to_str().ok_or_else(|| {
        Error::configuration("the path of a write-protected database must be UTF-8")
            .with_context("database", path.display())
            .with_help("make the file and its directory writable, or rename them")
    })?;
    Ok(format!("{}{}", file::path_uri(text), if is_immutable { "?immutable=1" } else { "" }))
}

fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() == 0)
}
