//! The file: whether it is ours, and how it is opened.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{SqliteError, SqliteResult, cannot_open, dangling_link, not_a_database, read_only};
use super::migration::{self, Header};
use crate::secret::{OTHERS, grants};
use crate::{Error, Result};

/// How long one writer waits for another.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the file and brings it to this version's form.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let new = inspect(path)
        .and_then(|new| if is_protected(path) { Err(read_only().into()) } else { Ok(new) })
        .map_err(|error| with_path(error, path))?;
    if new {
        make(path).map_err(|error| with_path(error.into(), path))?;
    }
    warn_if_shared(path);
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        if connection.is_readonly("main")? {
            return Err(read_only().into());
        }
        prepare(connection, new)
    };
    open().map_err(|error| with_path(error, path))
}

/// The error for a user, with the name of the file.
pub(super) fn with_path(error: SqliteError, path: &Path) -> Error {
    match error {
        SqliteError::Own(error) => error.with_context("database", path.display()),
        error => error.at(path),
    }
}

/// A database in memory.
pub(super) fn in_memory() -> Result<Connection> {
    Connection::open_in_memory()
        .map_err(SqliteError::from)
        .and_then(|connection| prepare(connection, true))
        .map_err(|error| error.at(Path::new(":memory:")))
}

/// Creates the file, accessible only to its owner: the issues of a private repository are private. SQLite gives the files beside
/// it the same permissions; an existing file keeps its own.
fn make(path: &Path) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // SQLite would create the target of the link, readable by everyone.
        Err(error) if error.kind() == IoErrorKind::AlreadyExists && !path.exists() => {
            Err(dangling_link().with_source(error))
        }
        // Empty, or another process was quicker.
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_open().with_source(error)),
        Ok(_) => Ok(()),
    }
}

/// Warns if other users can read or change the database or a file beside it. SQLite creates those files with the permissions of
/// the database; anyone may have created an earlier one.
fn warn_if_shared(path: &Path) {
    // For a link, those files are next to its target.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for ending in ["", "-wal", "-shm", "-journal"] {
        let file = sibling(&path, ending);
        if grants(&file, OTHERS) {
            let file = file.display();
            tracing::warn!(%file, "anybody on this machine can use the database file; run `chmod 600` on it");
        }
    }
}

/// The file that SQLite keeps beside the database, under the same name with this ending.
pub(super) fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Inspects a file without SQLite, which might change a foreign file by merely opening it: it would complete or roll back what
/// another program left in the file's log. Returns whether the file is missing or empty.
pub(super) fn inspect(path: &Path) -> SqliteResult<bool> {
    let mut header = Vec::with_capacity(100);
    match File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)) {
        Ok(_) => {}
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(cannot_open().with_source(error).into()),
    }
    if header.is_empty() {
        return Ok(true);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(not_a_database().into());
    }
    let field = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let header = Header { application: field(68), version: field(60), has_tables: field(40) > 0 };
    header.refuse()?;
    if header.application == 0 && header.is_lost() {
        check_tables(path)?;
    }
    Ok(false)
}

/// Whether the file's permissions allow no writing.
fn is_protected(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().readonly())
}

/// Checks the tables of a file that may be this crate's, as if on a read-only disk, so that nothing changes.
fn check_tables(path: &Path) -> SqliteResult<()> {
    let path = std::path::absolute(path).map_err(|error| cannot_open().with_source(error))?;
    let mut uri = path_uri(&path.to_string_lossy());
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    migration::version(&Connection::open_with_flags(uri, flags)?).map(drop)
}

/// A path as SQLite reads it in a URI.
pub(super) fn path_uri(path: &str) -> String {
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    if cfg!(windows) { format!("file:///{}", path.replace('\\', "/")) } else { format!("file:{path}") }
}

/// Checks the file again, because its log may change it, then sets up the connection and migrates.
fn prepare(mut connection: Connection, new: bool) -> SqliteResult<Connection> {
    connection.busy_timeout(PATIENCE)?;
    // Until the file is known to be this crate's, closing it must not write the log back into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let is_current = migration::is_current(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    if new {
        // Documents of a few kB fill such pages well: 200,000 issues of 4.5 kB take 4.7 s of CPU and 1.0 GB, where they take
        // 5.3 s and 1.1 GB with pages of 16 kB, 7.1 s and 1.4 GB with pages of 8 kB.
        connection.pragma_update(None, "page_size", 32_768)?;
    }
    if !is_current {
        enable_wal(&connection)?;
        migration::upgrade(&mut connection)?;
    }
    // FULL: what has been committed survives a power cut. In WAL mode it costs one more sync for each commit.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Negative means KiB: enough for the pages that a commit changes. The system's cache holds the rest of the index over
    // the keys.
    connection.pragma_update(None, "cache_size", -4_096)?;
    // Shrinks the log after it was large.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Switches to WAL mode. Two processes that do so at once would deadlock, so SQLite rejects one of them without waiting; it has
/// to start again.
fn enable_wal(connection: &Connection) -> SqliteResult<()> {
    let began = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return Ok(done?),
        }
    }
}
