//! The file: whether it is ours, and its form from version to version.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::fault::{Attempt, Fault, cannot_open, not_a_database, read_only};
use crate::{Error, Result};

/// By this number in its header a file is known as ours: `SNOF`.
const APPLICATION_ID: i32 = 0x534E_4F46;

/// What brings a file from version 0 to 1, from 1 to 2, and so on. A step that was released never changes.
const STEPS: &[&str] = &[include_str!("v1.sql")];

/// How long one writer waits for another.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The version of a file of this program's.
pub(super) fn newest_version() -> usize {
    STEPS.len()
}

/// Opens the file and brings it to this version's form.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let new = inspect(path)
        .and_then(|new| if is_protected(path) { Err(read_only()) } else { Ok(new) })
        .map_err(|error| error.with_context("database", path.display()))?;
    if new {
        make(path).map_err(|error| error.with_context("database", path.display()))?;
    }
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        if connection.is_readonly("main")? {
            return Err(Fault::Own(read_only().with_context("database", path.display())));
        }
        prepare(connection, new)
    };
    open().map_err(|fault| fault.at(path))
}

/// A database in memory.
pub(super) fn in_memory() -> Result<Connection> {
    Connection::open_in_memory()
        .map_err(Fault::from)
        .and_then(|connection| prepare(connection, true))
        .map_err(|fault| fault.at(Path::new(":memory:")))
}

/// Makes the file, for its owner alone: what a private repository's issues say is nobody else's business. SQLite gives the files
/// beside it the same permissions, and one that exists keeps its own.
fn make(path: &Path) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Empty, or another process was quicker.
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_open().with_source(error)),
        Ok(_) => Ok(()),
    }
}

/// Looks at a file without SQLite, which might change a foreign file by merely opening it: it would finish or take back
/// what another program had left in the file's log. Says whether the file is missing or empty.
pub(super) fn inspect(path: &Path) -> Result<bool> {
    let mut header = Vec::with_capacity(100);
    match File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)) {
        Ok(_) => {}
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(cannot_open().with_source(error)),
    }
    if header.is_empty() {
        return Ok(true);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(not_a_database());
    }
    let field = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (schema_changes, version, application) = (field(40), field(60), field(68));
    judge(application, version, schema_changes > 0)?;
    Ok(false)
}

/// Whether the file's permissions let nobody write it.
fn is_protected(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().readonly())
}

/// Refuses a file that is not ours, or newer than this program.
fn judge(application: i32, version: i32, has_tables: bool) -> Result<()> {
    if application != APPLICATION_ID && (application != 0 || has_tables) {
        return Err(Error::configuration("the database belongs to another program")
            .with_help("name another file, or one that does not exist yet: it will be made"));
    }
    if application == APPLICATION_ID && usize::try_from(version).is_ok_and(|version| version > STEPS.len()) {
        return Err(Error::configuration("the database was written by a newer version of this program")
            .with_context("its version", version)
            .with_context("newest known", STEPS.len())
            .with_help("upgrade this program, or name another file"));
    }
    Ok(())
}

/// Checks once more what the log may say differently, sets the connection up, and migrates.
fn prepare(mut connection: Connection, new: bool) -> Attempt<Connection> {
    connection.busy_timeout(PATIENCE)?;
    // Until the file is known as ours, closing it must not write the log back into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = check(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    if new {
        // Documents of a few kB fill such pages well: 200,000 issues of 4.5 kB take 4.7 s of CPU and 1.0 GB, where they take
        // 5.3 s and 1.1 GB with pages of 16 kB, 7.1 s and 1.4 GB with pages of 8 kB.
        connection.pragma_update(None, "page_size", 32_768)?;
    }
    if version < STEPS.len() {
        begin_log(&connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been quicker.
        for (step, sql) in STEPS.iter().enumerate().skip(check(&transaction)?) {
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", i64::try_from(step + 1).unwrap_or(i64::MAX))?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
    }
    // FULL: what has been committed survives a power cut. In WAL mode it costs one more sync for each commit.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In KiB, by SQLite's custom of negative numbers: enough for the pages that a commit changes. What more of the index
    // over the keys is needed, the system's cache has.
    connection.pragma_update(None, "cache_size", -4_096)?;
    // The log does not keep its largest size for ever.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Switches to WAL mode. Two that do so at once each hold what the other one needs: SQLite then refuses one of them without
/// waiting, and with good reason, so that it has to begin anew.
fn begin_log(connection: &Connection) -> Attempt<()> {
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

/// The file's version, if it is ours or empty.
pub(super) fn check(connection: &Connection) -> Attempt<usize> {
    // One statement, one moment: between two, another process may make the file ours.
    let (application, version, tables) = connection.query_row(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) \
         FROM pragma_application_id, pragma_user_version",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)),
    )?;
    judge(application, version, tables > 0)?;
    Ok(if application == APPLICATION_ID { usize::try_from(version).unwrap_or(0) } else { 0 })
}
