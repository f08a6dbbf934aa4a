//! The ways of loading the helpdesk, each a program of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::server::Records;
use super::{Outcome, peers};

#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// The program of this crate, into SQLite.
    Snowfeed,
    /// dlt's source `rest_api`, into DuckDB, with this Python.
    Dlt(PathBuf),
}

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What is new.
    News,
    /// Everything, once more.
    All,
}

impl Way {
    /// `None` where its programs cannot be installed.
    pub(crate) fn named(name: &str) -> Outcome<Option<Self>> {
        match name {
            "snowfeed" => Ok(Some(Self::Snowfeed)),
            "dlt" => Ok(peers::python("dlt").map(Self::Dlt)),
            _ => Err(format!("there is no way {name:?}").into()),
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Snowfeed => "**snowfeed** → SQLite",
            Self::Dlt(_) => "dlt → DuckDB",
        }
    }

    /// The lines of its description that are neither empty nor comments, without indentation.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'static str> {
        let text = match self {
            Self::Snowfeed => include_str!("../../examples/helpdesk.toml"),
            Self::Dlt(_) => include_str!("helpdesk.py"),
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    pub(crate) fn command(&self, url: &str, folder: &Path, extent: Extent) -> Command {
        let mut command = match self {
            Self::Snowfeed => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_snowfeed"));
                command.env_clear().env("HELPDESK_URL", url).env("HELPDESK_TOKEN", "secret");
                let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/helpdesk.toml");
                command.args(["--source", file, "ingest", "acme", "--quiet"]);
                command.args((extent == Extent::All).then_some("--reconcile"));
                command
            }
            Self::Dlt(python) => {
                let mut command = Command::new(python);
                command.env_clear().env("URL", url).env("TOKEN", "secret");
                command.env("DLT_DATA_DIR", folder.join("dlt")).env("RUNTIME__DLTHUB_TELEMETRY", "false");
                // As many as snowfeed sends at once; the default is five.
                command.env("EXTRACT__WORKERS", "8");
                command.envs((extent == Extent::All).then_some(("REFRESH", "drop_data")));
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/helpdesk/helpdesk.py"));
                command
            }
        };
        command.current_dir(folder);
        command
    }

    /// The rows that it has stored.
    pub(crate) fn stored(&self, folder: &Path) -> Outcome<Stored> {
        match self {
            Self::Snowfeed => from_sqlite(&folder.join("helpdesk.db")),
            Self::Dlt(python) => {
                let rows = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/helpdesk/rows.py");
                let output = Command::new(python).arg(rows).current_dir(folder).output()?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into());
                }
                Ok(serde_json::from_slice(&output.stdout)?)
            }
        }
    }
}

/// A row: the values of its columns, by their names.
type Row = BTreeMap<String, Value>;

/// What a destination has.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Stored {
    tickets: Vec<Row>,
    comments: Vec<Row>,
}

/// The columns that were inferred, without deleted records.
fn from_sqlite(database: &Path) -> Outcome<Stored> {
    let mut stored = Stored::default();
    // A run that was killed before its first commit has created no view.
    let connection = rusqlite::Connection::open(database)?;
    for (stream, rows) in [("tickets", &mut stored.tickets), ("comments", &mut stored.comments)] {
        let Ok(mut select) = connection.prepare(&format!("SELECT * FROM {stream} WHERE deleted_at IS NULL")) else {
            continue;
        };
        let names: Vec<String> = select.column_names().map(str::to_owned).collect();
        let mut selected = select.query([])?;
        while let Some(row) = selected.next()? {
            let values = names.iter().enumerate().map(|(index, name)| {
                let value = match row.get_ref(index)? {
                    rusqlite::types::ValueRef::Integer(number) => Value::from(number),
                    rusqlite::types::ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
                    _ => Value::Null,
                };
                Ok((name.clone(), value))
            });
            rows.push(values.collect::<rusqlite::Result<Row>>()?);
        }
    }
    Ok(stored)
}

/// What is wrong with stored rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    pub(crate) missing: usize,
    /// Those that are not as their records.
    pub(crate) stale: usize,
    /// Those without a record: of tickets, and of comments.
    pub(crate) extra: (usize, usize),
    pub(crate) duplicated: usize,
}

impl Stored {
    /// Whether the tickets have a column that is not empty.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.tickets.iter().any(|row| row.get(column).is_some_and(|value| !value.is_null()))
    }

    pub(crate) fn compare(&self, records: &Records) -> Outcome<Errors> {
        let mut errors = Errors::default();
        let streams = [(&self.tickets, &records.tickets), (&self.comments, &records.comments)];
        for ((rows, records), is_tickets) in streams.into_iter().zip([true, false]) {
            let mut ids = BTreeSet::new();
            for row in rows {
                let id = row.get("id").and_then(Value::as_u64).ok_or("a row has no id")?;
                if !ids.insert(id) {
                    errors.duplicated += 1;
                    continue;
                }
                match records.get(&id).and_then(Value::as_object) {
                    None if is_tickets => errors.extra.0 += 1,
                    None => errors.extra.1 += 1,
                    Some(record) => {
                        let is_same = record.iter().all(|(name, value)| row.get(name) == Some(value));
                        errors.stale += usize::from(!is_same);
                    }
                }
            }
            errors.missing += records.keys().filter(|id| !ids.contains(id)).count();
        }
        Ok(errors)
    }
}
