//! Where a command keeps everything: an SQLite file, or a Snowflake database.

#[cfg(feature = "snowflake")]
pub(super) mod snowflake;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::args::Global;
use super::output::{bytes, counted, duration};
use crate::backends::Preview;
use crate::backends::Sqlite;
use crate::{Backend, Error, Resource, Result, SourceSpec};

/// Where a command keeps everything. Nothing is opened before it is needed; clones share what is.
#[derive(Debug, Clone)]
pub(super) enum Destination {
    /// A file.
    Sqlite(PathBuf),
    /// A database of an account.
    #[cfg(feature = "snowflake")]
    Snowflake(Arc<snowflake::Target>),
}

/// An open destination.
pub(super) enum Store {
    Sqlite(Sqlite),
    #[cfg(feature = "snowflake")]
    Snowflake(crate::backends::Snowflake),
}

/// One thing that was looked at: how it is, or what is wrong with it.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) result: Result<String>,
}

/// What the work so far has cost, where that is worth telling.
#[derive(Debug, Serialize)]
pub(super) struct Spending {
    kind: &'static str,
    statements: u64,
    logins: u64,
    staged_bytes: u64,
    busy_ms: u64,
    /// For how long statements have run on a warehouse; `None` where nobody has asked, or none has answered.
    warehouse_ms: Option<u64>,
}

impl Destination {
    /// The destination that the arguments and the environment name.
    pub(super) fn of(spec: &SourceSpec, global: &Global) -> Result<Self> {
        #[cfg(feature = "snowflake")]
        if let Some(target) = snowflake::Target::of(spec, global)? {
            return Ok(Self::Snowflake(Arc::new(target)));
        }
        #[cfg(not(feature = "snowflake"))]
        if variable("SNOWFEED_TO").is_some_and(|to| to == "snowflake") {
            return Err(without_snowflake("SNOWFEED_TO=snowflake"));
        }
        let path = global.db.clone().or_else(|| variable("SNOWFEED_DB").map(PathBuf::from));
        Ok(Self::Sqlite(path.unwrap_or_else(|| format!("{}.db", spec.name).into())))
    }

    /// Opens it; what is missing is made, now or when it is first written.
    pub(super) fn open(&self) -> Result<Store> {
        match self {
            Self::Sqlite(path) => Sqlite::open(path).map(Store::Sqlite),
            #[cfg(feature = "snowflake")]
            Self::Snowflake(target) => target.open().map(Store::Snowflake),
        }
    }

    /// What is said of it where it is not there yet. A database of Snowflake's that is only read is not made, and reads as empty.
    pub(super) fn missing(&self) -> Option<String> {
        match self {
            Self::Sqlite(path) if path.exists() => None,
            Self::Sqlite(path) => {
                Some(format!("there is no database {} yet; `enable` and `ingest` make it", path.display()))
            }
            #[cfg(feature = "snowflake")]
            Self::Snowflake(_) => None,
        }
    }

    /// Opens it to look at it, which makes nothing.
    pub(super) fn look(&self) -> Result<Store> {
        match self.missing() {
            Some(_) => Sqlite::in_memory().map(Store::Sqlite),
            None => self.open(),
        }
    }

    /// Opens it for a command that writes nothing. A file that is write-protected will do.
    pub(super) fn read(&self) -> Result<Store> {
        match self {
            Self::Sqlite(path) if path.exists() => Sqlite::open_to_read(path).map(Store::Sqlite),
            _ => self.look(),
        }
    }

    /// Whether it can be used, thing by thing. Nothing is changed.
    pub(super) async fn check(&self) -> Vec<Finding> {
        match self {
            Self::Sqlite(path) => {
                let path = path.display();
                let how = if self.missing().is_some() { format!("{path}, not made yet") } else { path.to_string() };
                vec![Finding { name: "database", result: self.look().map(|_| how) }]
            }
            #[cfg(feature = "snowflake")]
            Self::Snowflake(target) => target.check().await,
        }
    }

    /// Refuses to be asked for the `cost` of something that has none.
    pub(super) fn can_tell(&self, cost: bool) -> Result<()> {
        match self {
            Self::Sqlite(_) if cost => {
                Err(Error::configuration("--cost asks Snowflake what it has done, and the destination is a file")
                    .with_help("add --to snowflake, or leave --cost out"))
            }
            _ => Ok(()),
        }
    }

    /// What the work so far has cost, as far as it is known here.
    pub(super) fn spent(&self) -> Option<Spending> {
        match self {
            Self::Sqlite(_) => None,
            #[cfg(feature = "snowflake")]
            Self::Snowflake(target) => target.spent(),
        }
    }

    /// The same, after the destination was asked for what only it knows.
    pub(super) async fn cost(&self) -> Option<Spending> {
        match self {
            Self::Sqlite(_) => None,
            #[cfg(feature = "snowflake")]
            Self::Snowflake(target) => target.cost().await,
        }
    }

    /// Ends what is open there. Whatever goes wrong with that mends itself.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(_) => {}
            #[cfg(feature = "snowflake")]
            Self::Snowflake(target) => target.close().await,
        }
    }
}

impl Spending {
    /// In a line, for a person.
    pub(super) fn describe(&self) -> String {
        let mut parts = vec![
            counted(self.statements, "statement"),
            format!("{} staged", bytes(self.staged_bytes)),
            counted(self.logins, "login"),
            format!("{} in statements", duration(self.busy_ms)),
        ];
        parts.extend(self.warehouse_ms.map(|ms| format!("{} on a warehouse", duration(ms))));
        format!("Snowflake: {}", parts.join(", "))
    }
}

impl Store {
    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        match self {
            Self::Sqlite(sqlite) => Arc::new(sqlite.clone()),
            #[cfg(feature = "snowflake")]
            Self::Snowflake(snowflake) => Arc::new(snowflake.clone()),
        }
    }

    /// At most `limit` rows of a resource's table, the one that changed last first.
    pub(super) async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview> {
        match self {
            Self::Sqlite(sqlite) => sqlite.preview(resource, table, limit).await,
            #[cfg(feature = "snowflake")]
            Self::Snowflake(snowflake) => snowflake.preview(resource, table, limit).await,
        }
    }
}

/// An environment variable that says something.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What is said to who asks for Snowflake by `argument` where this program cannot do it.
#[cfg(not(feature = "snowflake"))]
pub(super) fn without_snowflake(argument: &str) -> Error {
    Error::new(
        crate::ErrorKind::Unsupported,
        format!("{argument} is for Snowflake, and this program was built without snowfeed's feature `snowflake`"),
    )
    .with_help("build it with `--features snowflake`")
}
