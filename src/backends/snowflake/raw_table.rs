//! The tables behind the views of resources: how they are created, and which are not as the options say.

use super::migration::LONG_TEXT;
use super::names::Names;
use super::options::SnowflakeOptions;
use super::pool::is_missing;
use super::show::cell;
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::{Error, Result};

/// Creates a raw table, unless it exists.
pub(super) async fn create(session: &mut dyn Session, raw: &Sql, options: &SnowflakeOptions) -> Result<()> {
    let retention = match options.retention_days {
        Some(days) => sql!(" DATA_RETENTION_TIME_IN_DAYS = {days}", days),
        None => Sql::default(),
    };
    let create = sql!(
        "CREATE {transient}TABLE IF NOT EXISTS {raw} (\"KEY\" VARCHAR NOT NULL, \"VERSION\" NUMBER(38, 0) NOT NULL, \
         \"HASH\" VARCHAR, \"RAW\" VARIANT, \"DOCUMENT\" {LONG_TEXT}, \"FIRST_SEEN\" TIMESTAMP_NTZ NOT NULL, \
         \"CHANGED_AT\" TIMESTAMP_NTZ NOT NULL, \"DELETED_AT\" TIMESTAMP_NTZ, \"SEQ\" NUMBER(38, 0), \"PARENT\" VARCHAR)\
         {retention} DEFAULT_DDL_COLLATION = ''",
        transient = if options.transient { "TRANSIENT " } else { "" },
        raw,
        LONG_TEXT,
        retention
    );
    let Err(error) = session.execute(Statement::new(create)).await else { return Ok(()) };
    match options.retention_days {
        Some(days) if is_too_long(&error) => Err(Error::configuration(format!(
            "this account does not keep {days} days of Time Travel for the table {raw}"
        ))
        .with_help("write a smaller number (`retention_days`): an account of the Standard Edition keeps 0 or 1")
        .with_source(error)),
        _ => Err(error),
    }
}

/// How many tables are looked at: the limit of SHOW.
const MAX_SHOWN: u64 = 10_000;

/// Says how many of the existing raw tables are not as the options say, and how to change those that can be changed.
pub(super) async fn describe(session: &mut dyn Session, names: &Names, options: &SnowflakeOptions) -> Result<String> {
    let schema = names.schema_name(&names.raw_schema());
    let show = sql!("SHOW TABLES IN SCHEMA {schema} LIMIT {MAX_SHOWN}", schema, MAX_SHOWN);
    let shown = match session.execute(Statement::new(show)).await {
        Ok(shown) => shown,
        Err(error) if is_missing(&error) => return Ok("none yet".to_owned()),
        Err(error) => return Err(error),
    };
    let (mut permanent, mut different) = (0_usize, Vec::new());
    for row in &shown.rows {
        permanent += usize::from(cell(&shown, row, "kind")? == "TABLE");
        let retention = cell(&shown, row, "retention_time")?;
        if options.retention_days.is_some_and(|days| retention.parse() != Ok(days)) {
            different.push(names.raw(cell(&shown, row, "name")?));
        }
    }
    let mut parts = vec![format!("{} in {schema}", shown.rows.len())];
    if options.transient && permanent > 0 {
        parts.push(format!("{permanent} of them permanent, as they were created"));
    }
    if let (Some(table), Some(days)) = (different.first(), options.retention_days) {
        parts.push(format!(
            "{} of them with another retention; for each, run: ALTER TABLE {table} SET DATA_RETENTION_TIME_IN_DAYS = {days}",
            different.len()
        ));
    }
    Ok(parts.join("; "))
}

/// Whether the account refuses a retention. Unverified: see docs/unverified.md#retention. Snowflake's documentation has no code for it.
fn is_too_long(error: &Error) -> bool {
    let message = error.to_string();
    message.contains("maximum allowable retention time") || message.contains("DATA_RETENTION_TIME_IN_DAYS")
}
