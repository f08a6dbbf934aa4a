//! The settings that an operator makes: what tables are like, how large commits are, and which warehouse loads.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::cost::WarehouseSize;
use crate::{Error, Result};

/// What an operator of a Snowflake database may set. The programs take each as an argument and as an environment variable of the same
/// name.
///
/// ```
/// use snowfeed::backends::snowflake::SnowflakeOptions;
///
/// let options = SnowflakeOptions::default().transient(true).retention_days(0).load_warehouse("LOADING");
/// assert!(options.check().is_ok());
/// let options: SnowflakeOptions = serde_json::from_str(r#"{"commit_mib": 100, "commit_seconds": 600}"#)?;
/// assert_eq!(options.commit_seconds, 600);
/// assert!(options.commit_mib(1).check().is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SnowflakeOptions {
    /// Whether new raw tables are transient: their storage costs less, because Snowflake keeps no copies in Fail-safe. An existing
    /// table stays as it is: Snowflake cannot convert it.
    pub transient: bool,
    /// How long new raw tables keep changed and deleted rows for Time Travel, in days: 0 to 90, and at most 1 for transient tables
    /// and in an account of the Standard Edition. `None` leaves it to the schema, the database or the account. An existing table
    /// stays as it is.
    pub retention_days: Option<u16>,
    /// Whether raw tables keep the text of each document as the source sent it, in `DOCUMENT`, beside the VARIANT `RAW`. Without it, new
    /// rows take about half the storage, and `DOCUMENT` is empty where `RAW` has the document. A VARIANT keeps neither spaces, nor the order
    /// of members, nor repeated members, nor more than 38 digits of an integer or 17 of another number. What is not JSON is always kept
    /// as text. Rows that are not written again stay as they are. The default is true.
    pub keep_documents: bool,
    /// A commit of staged records happens when its compressed files have this size, in MiB: 64 to 250. The default is 192.
    pub commit_mib: u32,
    /// Or when its oldest record has waited this long, in seconds: 10 to 3,600. The default is 300.
    pub commit_seconds: u32,
    /// The warehouse of all statements that load: tables, commits, and the rows that a run reads. `None` means the connection's. Settings,
    /// states, rejects and previews are read with the connection's.
    pub load_warehouse: Option<String>,
    /// The size of the warehouse that loads, by which the [credits](crate::RunRecord::credits) of runs are estimated. The default is
    /// `XSMALL`.
    pub warehouse_size: WarehouseSize,
}

const RETENTION_DAYS: RangeInclusive<u16> = 0..=90;
const TRANSIENT_RETENTION_DAYS: RangeInclusive<u16> = 0..=1;
const COMMIT_MIB: RangeInclusive<u32> = 64..=250;
const COMMIT_SECONDS: RangeInclusive<u32> = 10..=3_600;

impl Default for SnowflakeOptions {
    /// Permanent tables with the account's retention, which keep documents as text; commits of 192 MiB or 5 minutes; the connection's warehouse, which is an
    /// X-Small one.
    fn default() -> Self {
        Self {
            transient: false,
            retention_days: None,
            keep_documents: true,
            commit_mib: 192,
            commit_seconds: 300,
            load_warehouse: None,
            warehouse_size: WarehouseSize::default(),
        }
    }
}

impl SnowflakeOptions {
    /// Sets [`transient`](Self::transient).
    #[must_use]
    pub fn transient(mut self, transient: bool) -> Self {
        self.transient = transient;
        self
    }

    /// Sets [`retention_days`](Self::retention_days).
    #[must_use]
    pub fn retention_days(mut self, days: u16) -> Self {
        self.retention_days = Some(days);
        self
    }

    /// Sets [`keep_documents`](Self::keep_documents).
    #[must_use]
    pub fn keep_documents(mut self, keep: bool) -> Self {
        self.keep_documents = keep;
        self
    }

    /// Sets [`commit_mib`](Self::commit_mib).
    #[must_use]
    pub fn commit_mib(mut self, mib: u32) -> Self {
        self.commit_mib = mib;
        self
    }

    /// Sets [`commit_seconds`](Self::commit_seconds).
    #[must_use]
    pub fn commit_seconds(mut self, seconds: u32) -> Self {
        self.commit_seconds = seconds;
        self
    }

    /// Sets [`load_warehouse`](Self::load_warehouse).
    #[must_use]
    pub fn load_warehouse(mut self, name: impl Into<String>) -> Self {
        self.load_warehouse = Some(name.into());
        self
    }

    /// Sets [`warehouse_size`](Self::warehouse_size).
    #[must_use]
    pub fn warehouse_size(mut self, size: WarehouseSize) -> Self {
        self.warehouse_size = size;
        self
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when one is out of its range; the help says what to write.
    pub fn check(&self) -> Result<()> {
        let days =
            "write the number of days that Time Travel reaches back: 0 to 90, and in the Standard Edition 0 or 1";
        let mib = "write the size of a commit's compressed files in MiB (1,048,576 bytes): 64 to 250";
        let seconds = "write the number of seconds: 10 to 3600";
        check("retention_days", &self.retention_days.unwrap_or(0), &RETENTION_DAYS, days)?;
        check("commit_mib", &self.commit_mib, &COMMIT_MIB, mib)?;
        check("commit_seconds", &self.commit_seconds, &COMMIT_SECONDS, seconds)?;
        if let Some(days) =
            self.retention_days.filter(|days| self.transient && !TRANSIENT_RETENTION_DAYS.contains(days))
        {
            return Err(Error::configuration(format!(
                "retention_days is {days}, and transient tables keep at most 1 day"
            ))
            .with_help("write 0 or 1, or leave `transient` out"));
        }
        if self.load_warehouse.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::configuration("load_warehouse is empty")
                .with_help("write the name of a warehouse, or leave it out to load with the connection's"));
        }
        Ok(())
    }
}

/// What a consumer of a native app may set. Its warehouse is a reference.
#[cfg(feature = "native-app")]
impl SnowflakeOptions {
    /// The JSON Schema of the options.
    pub(crate) fn app_schema() -> serde_json::Value {
        let whole = |least: u64, most: u64| serde_json::json!({ "type": "integer", "minimum": least, "maximum": most });
        let flag = serde_json::json!({ "type": "boolean" });
        serde_json::json!({
            "type": "object",
            "properties": {
                "transient": flag,
                "retention_days": whole((*RETENTION_DAYS.start()).into(), (*RETENTION_DAYS.end()).into()),
                "keep_documents": flag,
                "commit_mib": whole((*COMMIT_MIB.start()).into(), (*COMMIT_MIB.end()).into()),
                "commit_seconds": whole((*COMMIT_SECONDS.start()).into(), (*COMMIT_SECONDS.end()).into()),
                "warehouse_size": { "enum": WarehouseSize::names().collect::<Vec<_>>() },
            },
        })
    }
}

fn check<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: &T,
    range: &RangeInclusive<T>,
    help: &'static str,
) -> Result<()> {
    if range.contains(value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(Error::configuration(format!("{name} is {value}, and must be from {least} to {most}")).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_within_their_ranges_are_accepted() {
        let options = SnowflakeOptions::default();
        for options in [
            options.clone(),
            options.clone().retention_days(0),
            options.clone().retention_days(90),
            options.clone().transient(true).retention_days(1),
            options.clone().commit_mib(64).commit_seconds(10),
            options.commit_mib(250).commit_seconds(3_600).load_warehouse("my loads"),
        ] {
            options.check().unwrap();
        }
    }

    #[test]
    fn values_out_of_their_ranges_are_refused_by_name() {
        let options = SnowflakeOptions::default();
        for (options, message, help) in [
            (options.clone().retention_days(91), "retention_days is 91, and must be from 0 to 90", "0 to 90"),
            (options.clone().transient(true).retention_days(2), "retention_days is 2, and transient tables", "0 or 1"),
            (options.clone().commit_mib(0), "commit_mib is 0, and must be from 64 to 250", "64 to 250"),
            (options.clone().commit_mib(251), "commit_mib is 251", "MiB"),
            (options.clone().commit_seconds(9), "commit_seconds is 9, and must be from 10 to 3600", "10 to 3600"),
            (options.clone().commit_seconds(3_601), "commit_seconds is 3601", "seconds"),
            (options.load_warehouse(" "), "load_warehouse is empty", "leave it out"),
        ] {
            let error = options.check().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Configuration);
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.help().unwrap_or_default().contains(help), "{message}: {:?}", error.help());
        }
    }

    #[cfg(feature = "native-app")]
    #[test]
    fn an_app_takes_every_option_but_the_warehouse_of_loads() {
        let schema = SnowflakeOptions::app_schema();
        let mut known: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        known.push("load_warehouse".to_owned());
        let options = serde_json::to_value(SnowflakeOptions::default()).unwrap();
        let mut all: Vec<String> = options.as_object().unwrap().keys().cloned().collect();
        known.sort();
        all.sort();
        assert_eq!(known, all);
        let days = &schema["properties"]["retention_days"];
        assert_eq!((&days["minimum"], &days["maximum"]), (&0.into(), &90.into()));
    }

    #[test]
    fn text_negative_numbers_and_unknown_names_are_refused() {
        for json in [
            r#"{"commit_mib": "a lot"}"#,
            r#"{"retention_days": -1}"#,
            r#"{"commit_seconds": 1.5}"#,
            r#"{"transient": "yes"}"#,
            r#"{"keep_documents": 1}"#,
            r#"{"retention": 1}"#,
            r#"{"warehouse_size": "7X"}"#,
        ] {
            assert!(serde_json::from_str::<SnowflakeOptions>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::from_str::<SnowflakeOptions>("{}").unwrap(), SnowflakeOptions::default());
    }
}
