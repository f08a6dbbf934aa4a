//! The destination of the killed processes, and a view of it from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::OptionalExtension;
use serde_json::Value;

/// A row: the issue's id, its text, and whether it is live.
pub(crate) type Row = (i64, String, bool);

/// The stored data of one resource.
#[derive(Debug, Default)]
pub(crate) struct ResourceRows {
    pub(crate) rows: Vec<Row>,
    /// The newest state, as stored.
    pub(crate) state: Option<Value>,
    /// The id of its newest run.
    pub(crate) run: Option<String>,
    /// The run's progress, as far as it is visible; without a run, what exists.
    pub(crate) reached: String,
}

/// A destination: database after database.
pub(crate) trait KillTarget {
    fn name(&self) -> &'static str;

    /// The number of kills, unless set otherwise.
    fn default_kills(&self) -> u32;

    /// The number of issues of each repository.
    fn issue_counts(&self) -> [u32; 2];

    /// The longest time from the last request to the kill.
    fn max_kill_delay(&self) -> Duration;

    /// Makes a command use a database, which is created if missing.
    fn use_database(&self, command: &mut Command, database: u32);

    /// Called after a kill.
    fn end_sessions(&self) {}

    /// Called when a database is no longer needed.
    fn drop_database(&self, database: u32);

    /// Reads the data of a resource without changing it.
    fn read(&self, database: u32, resource: &str) -> ResourceRows;
}

/// Files in a folder.
pub(crate) struct SqliteFiles(tempfile::TempDir);

impl SqliteFiles {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, database: u32) -> PathBuf {
        self.0.path().join(format!("{database}.db"))
    }
}

impl SqliteFiles {
    /// Opens a copy of a database: opening a file whose writer has died recovers it.
    pub(crate) fn open_copy(&self, database: u32) -> (rusqlite::Connection, tempfile::TempDir) {
        let copy = tempfile::tempdir().unwrap();
        let (from, to) = (self.path(database), copy.path().join("copy.db"));
        for suffix in ["", "-wal"] {
            let (from, to) = (with_suffix(&from, suffix), with_suffix(&to, suffix));
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
        (rusqlite::Connection::open(to).unwrap(), copy)
    }
}

impl KillTarget for SqliteFiles {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn default_kills(&self) -> u32 {
        30
    }

    fn issue_counts(&self) -> [u32; 2] {
        [3_000, 300]
    }

    fn max_kill_delay(&self) -> Duration {
        Duration::from_millis(40)
    }

    fn use_database(&self, command: &mut Command, database: u32) {
        let path = self.path(database);
        command.current_dir(path.parent().unwrap_or(Path::new("."))).arg("--db").arg(path);
    }

    fn drop_database(&self, database: u32) {
        std::fs::remove_file(self.path(database)).unwrap();
    }

    fn read(&self, database: u32, resource: &str) -> ResourceRows {
        let (copy, _folder) = self.open_copy(database);
        read_rows(&copy, resource).unwrap()
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn read_rows(reader: &rusqlite::Connection, resource: &str) -> rusqlite::Result<ResourceRows> {
    let integrity: String = reader.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(integrity, "ok");
    let exists = |name: &str| reader.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")?.exists([name]);
    let without_run = |reached: &str| Ok(ResourceRows { reached: reached.to_owned(), ..ResourceRows::default() });
    if !exists("APP_STATE")? {
        return without_run("nothing");
    }
    if !reader.prepare("SELECT 1 FROM RESOURCE_CONFIGURATION WHERE key = ?1")?.exists([resource])? {
        return without_run("the first tables");
    }
    if !exists("issues")? {
        return without_run("enabling the resource");
    }
    let mut select = reader.prepare("SELECT id, raw, deleted_at IS NULL FROM issues WHERE resource = ?1")?;
    let rows = select.query_map([resource], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    let newest = "SELECT value FROM APP_STATE WHERE key = ?1 AND stream = 'issues' ORDER BY version DESC LIMIT 1";
    let state: Option<String> = reader.query_row(newest, [resource], |row| row.get(0)).optional()?;
    let state = state.map(|text| serde_json::from_str(&text).unwrap());
    let run = "SELECT id, status FROM INGESTION_RUN WHERE resource = ?1 AND stream = 'issues' \
               ORDER BY started_at DESC, id DESC LIMIT 1";
    let run = reader.query_row(run, [resource], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
    let (run, reached) = match run.optional()? {
        None => (None, "the resource's tables"),
        Some((run, status)) if status == "running" => (Some(run), "a commit"),
        Some((run, _)) => (Some(run), "the run's end"),
    };
    Ok(ResourceRows { rows, state, run, reached: reached.to_owned() })
}
