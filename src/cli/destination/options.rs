//! The options of a Snowflake database, from arguments and the environment.

use std::str::FromStr;

use super::variable;
use crate::backends::snowflake::{SnowflakeOptions, WarehouseSize};
use crate::{Error, Result};

/// The options of an operator; each has a variable `SNOWFEED_` of the same name.
#[derive(Debug, Default, Clone, clap::Args)]
pub(in crate::cli) struct OptionArgs {
    /// Create transient raw tables, which have no Fail-safe [environment: SNOWFEED_TRANSIENT]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    transient: Option<bool>,
    /// Days of Time Travel of new raw tables, 0 to 90 [default: the account's; environment: SNOWFEED_RETENTION_DAYS]
    #[arg(long, global = true, value_name = "DAYS")]
    retention_days: Option<u16>,
    /// Keep documents also as the text that was sent [default: true; environment: SNOWFEED_KEEP_DOCUMENTS]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keep_documents: Option<bool>,
    /// Size of a commit's files in MiB, 64 to 250 [default: 192; environment: SNOWFEED_COMMIT_MIB]
    #[arg(long, global = true, value_name = "MIB")]
    commit_mib: Option<u32>,
    /// Seconds until a commit, 10 to 3600 [default: 300; environment: SNOWFEED_COMMIT_SECONDS]
    #[arg(long, global = true, value_name = "SECONDS")]
    commit_seconds: Option<u32>,
    /// The warehouse that loads [default: --warehouse; environment: SNOWFEED_LOAD_WAREHOUSE]
    #[arg(long, global = true, value_name = "WAREHOUSE")]
    load_warehouse: Option<String>,
    /// Its size, by which credits are estimated [default: XSMALL; environment: SNOWFEED_WAREHOUSE_SIZE]
    #[arg(long, global = true, value_name = "SIZE")]
    warehouse_size: Option<WarehouseSize>,
}

impl OptionArgs {
    /// The options; arguments come before variables.
    pub(super) fn options(&self) -> Result<SnowflakeOptions> {
        let mut options = SnowflakeOptions::default();
        let bool_help = "set it to true or to false";
        options.transient = given(self.transient, "SNOWFEED_TRANSIENT", bool_help)?.unwrap_or(options.transient);
        let days = given(self.retention_days, "SNOWFEED_RETENTION_DAYS", "set it to a number of days, 0 to 90")?;
        options.retention_days = days.or(options.retention_days);
        let keeps = given(self.keep_documents, "SNOWFEED_KEEP_DOCUMENTS", bool_help)?;
        options.keep_documents = keeps.unwrap_or(options.keep_documents);
        let mib = given(self.commit_mib, "SNOWFEED_COMMIT_MIB", "set it to a number of MiB, 64 to 250")?;
        options.commit_mib = mib.unwrap_or(options.commit_mib);
        let seconds =
            given(self.commit_seconds, "SNOWFEED_COMMIT_SECONDS", "set it to a number of seconds, 10 to 3600")?;
        options.commit_seconds = seconds.unwrap_or(options.commit_seconds);
        options.load_warehouse = given(self.load_warehouse.clone(), "SNOWFEED_LOAD_WAREHOUSE", "set it to a name")?;
        let size = given(self.warehouse_size, "SNOWFEED_WAREHOUSE_SIZE", "set it to a size such as XSMALL or SMALL")?;
        options.warehouse_size = size.unwrap_or_default();
        Ok(options)
    }

    /// The arguments that were given.
    #[cfg(feature = "sqlite")]
    pub(super) fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--transient", self.transient.is_some()),
            ("--retention-days", self.retention_days.is_some()),
            ("--keep-documents", self.keep_documents.is_some()),
            ("--commit-mib", self.commit_mib.is_some()),
            ("--commit-seconds", self.commit_seconds.is_some()),
            ("--load-warehouse", self.load_warehouse.is_some()),
            ("--warehouse-size", self.warehouse_size.is_some()),
        ];
        given.into_iter().filter_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// The value of an argument, or else that of a variable.
fn given<T: FromStr>(argument: Option<T>, name: &str, help: &'static str) -> Result<Option<T>> {
    if argument.is_some() {
        return Ok(argument);
    }
    let Some(value) = variable(name) else { return Ok(None) };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::configuration(format!("{name} is {value:?}, which it cannot be")).with_help(help)),
    }
}
