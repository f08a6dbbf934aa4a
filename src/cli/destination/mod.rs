//! The destination of a command: a SQLite file, a Snowflake database, or the program's own backend.

mod args;
mod custom;
#[cfg(feature = "snowflake")]
mod options;
mod select;
#[cfg(feature = "snowflake")]
pub(super) mod snowflake;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::BTreeMap;
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
use std::ffi::OsString;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

pub(super) use args::DestinationArgs;
#[cfg(feature = "snowflake")]
pub(super) use args::SnowflakeArgs;
pub(super) use select::Destinations;

use super::output::{bytes, counted, duration};
use crate::backends::Preview;
use crate::cost::{CostEntry, Credits};
use crate::{Backend, Error, Resource, Result, RunId};

/// The destination of a command. It opens nothing before a command needs it. By default, reading needs nothing special and nothing has
/// a cost.
#[async_trait]
pub(super) trait Destination: Send + Sync {
    /// Opens the destination, and creates missing parts.
    fn open(&self) -> Result<Box<dyn Store>>;

    /// Opens the destination and creates nothing: one that does not exist reads as empty.
    fn open_existing(&self) -> Result<Box<dyn Store>> {
        self.open()
    }

    /// Opens the destination for a command that writes nothing. A write-protected one suffices.
    fn open_to_read(&self) -> Result<Box<dyn Store>> {
        self.open()
    }

    /// The note to the user if the destination does not exist yet.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Whether reading needs neither a network nor a warehouse.
    fn is_local(&self) -> bool {
        false
    }

    /// Checks each prerequisite of the destination. Changes nothing.
    async fn check(&self) -> Vec<Finding>;

    /// Whether the destination can report what its work has cost.
    fn reports_cost(&self) -> bool {
        false
    }

    /// The usage so far, as far as this process knows.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// [`usage`](Self::usage), completed by the destination, which takes one more statement.
    async fn cost(&self) -> Option<Usage> {
        None
    }

    /// What the account says that the connector's statements of the last `days` days have cost.
    async fn cost_history(&self, days: usize) -> Result<Vec<CostEntry>> {
        let _ = days;
        Ok(Vec::new())
    }

    /// Closes open connections. A failure needs no handling: open sessions time out.
    async fn close(&self) {}
}

/// An open destination.
#[async_trait]
pub(super) trait Store: Send + Sync {
    fn backend(&self) -> Arc<dyn Backend>;

    /// At most `limit` rows of a resource's table, the most recently changed first.
    async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview>;
}

/// The result of one check.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) result: Result<String>,
}

/// The usage of an account so far.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    kind: &'static str,
    statements: u64,
    logins: u64,
    staged_bytes: u64,
    busy_ms: u64,
    /// How long they kept the warehouse awake, as an estimate.
    awake_ms: u64,
    /// What that costs with a warehouse of this size.
    credits: Credits,
    warehouse_size: String,
    /// How long statements ran on a warehouse; `None` unless Snowflake was asked and answered.
    warehouse_ms: Option<u64>,
    /// The same for each run.
    warehouse_ms_by_run: BTreeMap<RunId, u64>,
}

impl Usage {
    /// One line for the user.
    pub(super) fn describe(&self) -> String {
        let mut parts = vec![
            counted(self.statements, "statement"),
            format!("{} staged", bytes(self.staged_bytes)),
            counted(self.logins, "login"),
            format!("{} in statements", duration(self.busy_ms)),
        ];
        parts.extend(self.warehouse_ms.map(|ms| format!("{} on a warehouse", duration(ms))));
        if !self.credits.is_zero() {
            parts.push(format!("about {} credits ({})", self.credits, self.warehouse_size));
        }
        format!("Snowflake: {}", parts.join(", "))
    }
}

/// Rejects an `argument` about cost for a destination that cannot report it.
pub(super) fn check_cost(destination: &dyn Destination, argument: &str, is_given: bool) -> Result<()> {
    if is_given && !destination.reports_cost() {
        return Err(Error::configuration(format!("{argument} needs Snowflake as the destination"))
            .with_help(format!("add --to snowflake, or leave {argument} out")));
    }
    Ok(())
}

/// The value of an environment variable that is set and not empty.
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The error for an `argument` of Snowflake's in a program that was built without it.
#[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
pub(super) fn without_snowflake(argument: &str) -> Error {
    Error::new(
        crate::ErrorKind::Unsupported,
        format!("{argument} needs Snowflake, and this program was built without snowfeed's feature `snowflake`"),
    )
    .with_help("build it with `--features snowflake`")
}
