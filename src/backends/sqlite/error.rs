//! SQLite's errors, as a user understands them.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_GETTEMPPATH;

use crate::{Error, Retry};

/// A failure of work on a connection: SQLite's error, or one of this crate.
#[derive(Debug)]
pub(super) enum SqliteError {
    Sqlite(rusqlite::Error),
    Own(Error),
}

/// The result of work on a connection.
pub(super) type SqliteResult<T> = std::result::Result<T, SqliteError>;

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for SqliteError {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<serde_json::Error> for SqliteError {
    fn from(error: serde_json::Error) -> Self {
        let error = Error::invalid_data("a value in the database is not valid JSON").with_source(error);
        Self::Own(error.with_help("another program has changed the file: restore it from a copy"))
    }
}

impl SqliteError {
    /// Returns the error for a user of the database at this path.
    pub(super) fn at(self, path: &Path) -> Error {
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Own(error) => return error,
        };
        let extended = error.sqlite_error().map(|error| error.extended_code);
        let described = match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) if extended == Some(SQLITE_IOERR_GETTEMPPATH) => {
                Error::unavailable("there is no folder for temporary files")
                    .with_retry(Retry::Never)
                    .with_help("set TMPDIR to a folder that this user may write to")
            }
            Some(ErrorCode::NotADatabase) => not_a_database(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::unavailable("the database is busy: another program is writing it")
                    .with_help("wait until that program is done, or stop it")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => read_only(),
            Some(ErrorCode::DiskFull) => Error::unavailable("the database cannot grow: the disk is full")
                .with_retry(Retry::Never)
                .with_help("free some space and start again: what was committed before is safe"),
            Some(ErrorCode::CannotOpen) => cannot_open(),
            Some(ErrorCode::DatabaseCorrupt) => Error::invalid_data("the database is damaged")
                .with_help("restore it from a copy, or delete it to ingest everything again"),
            Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
                Error::unavailable("the database cannot be read or written")
                    .with_help("check the disk; a file on a network share may lack the locks that SQLite needs")
            }
            Some(ErrorCode::OutOfMemory) => {
                Error::unavailable("memory is short").with_help("allow the process more memory, or ingest fewer at once")
            }
            Some(ErrorCode::TooBig) => Error::invalid_data("a value is larger than SQLite can store (1 GB)").with_help(
                "if the source has nothing so large, the file is damaged: restore it from a copy, or delete it to ingest \
                 everything again",
            ),
            _ => Error::internal("the database refused a statement").with_help(
                "if another program has changed the file, or it is damaged, restore it from a copy, or delete it to ingest \
                 everything again",
            ),
        };
        described.with_context("database", path.display()).with_source(error)
    }
}

/// The file is something else.
pub(super) fn not_a_database() -> Error {
    Error::configuration("the file is not a database")
        .with_help("name another file, or one that does not exist yet, which will be created")
}

/// The file or its directory is write-protected.
pub(super) fn read_only() -> Error {
    Error::unavailable("the database is read-only")
        .with_retry(Retry::Never)
        .with_help("make the file and its directory writable for this user, or name another file")
}

/// The file's directory is missing, or the file is out of reach.
pub(super) fn cannot_open() -> Error {
    Error::unavailable("the database cannot be opened")
        .with_retry(Retry::Never)
        .with_help("check that its directory exists, and that this user may write to it")
}

/// The path is a link to a file that does not exist.
pub(super) fn dangling_link() -> Error {
    Error::configuration("the database is a link to a file that does not exist")
        .with_help("delete the link, or name the file itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_for_temporary_files_is_not_a_broken_disk() {
        let at = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            SqliteError::from(error).at(Path::new("data.db"))
        };
        let error = at(SQLITE_IOERR_GETTEMPPATH);
        assert!(error.message().contains("temporary files") && error.help().unwrap().contains("TMPDIR"), "{error:?}");
        assert!(at(rusqlite::ffi::SQLITE_IOERR_READ).help().unwrap().contains("disk"));
    }
}
