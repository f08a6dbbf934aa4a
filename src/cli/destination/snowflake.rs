//! A database of a Snowflake account.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::args::DestinationKind;
use super::{Destination, DestinationArgs, Finding, SnowflakeArgs, Store, Usage, variable};
use crate::backends::snowflake::{ConnectionConfig, Credentials, SnowflakeBuilder, WarehouseSize, WarehouseTime};
use crate::backends::{Preview, Snowflake};
use crate::cost::CostEntry;
use crate::{Backend, Error, Resource, Result, RetryConfig, SourceSpec};

/// The database that the command line names. It reads connection and credentials when a command first needs them.
pub(super) struct SnowflakeDatabase {
    args: SnowflakeArgs,
    /// Marks the statements in the account's history.
    tag: String,
    connected: OnceLock<Connected>,
}

struct Connected {
    snowflake: Snowflake,
    /// The connection, as text for the user.
    description: String,
    /// Says what a second of the warehouse costs.
    warehouse_size: WarehouseSize,
}

/// Whether the arguments or the environment select Snowflake. If the destination is a file, rejects options that do not apply to
/// files.
pub(super) fn is_selected(args: &DestinationArgs) -> Result<bool> {
    match args.snowflake.to.map_or_else(kind_from_environment, |to| Ok(Some(to)))? {
        Some(DestinationKind::Snowflake) => Ok(true),
        #[cfg(feature = "sqlite")]
        Some(DestinationKind::Sqlite) | None => refuse_snowflake_args(&args.snowflake).map(|()| false),
        #[cfg(not(feature = "sqlite"))]
        None => Ok(true),
    }
}

impl SnowflakeDatabase {
    pub(super) fn new(spec: &SourceSpec, args: &DestinationArgs) -> Result<Self> {
        #[cfg(feature = "sqlite")]
        if args.db.is_some() {
            return Err(Error::configuration("--db names a file, and the destination is Snowflake")
                .with_help("leave --db out, or add --to sqlite"));
        }
        Ok(Self { args: args.snowflake.clone(), tag: tag(spec), connected: OnceLock::new() })
    }

    fn connected(&self, retries: RetryConfig) -> Result<&Connected> {
        if let Some(connected) = self.connected.get() {
            return Ok(connected);
        }
        let connection = connection(&self.args, &self.tag)?;
        let description = describe(&connection);
        let options = self.args.options.options()?;
        let warehouse_size = options.warehouse_size;
        let snowflake = Snowflake::builder(connection).retry(retries).options(options).build()?;
        Ok(self.connected.get_or_init(|| Connected { snowflake, description, warehouse_size }))
    }
}

#[async_trait]
impl Destination for SnowflakeDatabase {
    /// A database that is only read is not created, and reads as empty.
    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(self.connected(SnowflakeBuilder::DEFAULT_RETRY)?.snowflake.clone()))
    }

    async fn check(&self) -> Vec<Finding> {
        // A check reports the current state, so it does not retry.
        let brief = RetryConfig { max_attempts: 3, ..SnowflakeBuilder::DEFAULT_RETRY };
        let connected = match self.connected(brief) {
            Ok(connected) => connected,
            Err(error) => return vec![Finding { name: "connection", result: Err(error) }],
        };
        let mut findings = vec![Finding { name: "connection", result: Ok(connected.description.clone()) }];
        let found = connected.snowflake.check().await.into_iter();
        findings.extend(found.map(|found| Finding { name: found.name, result: found.result }));
        findings
    }

    fn reports_cost(&self) -> bool {
        true
    }

    fn usage(&self) -> Option<Usage> {
        let Connected { snowflake, warehouse_size, .. } = self.connected.get()?;
        let usage = snowflake.usage();
        Some(Usage {
            kind: "snowflake",
            statements: usage.statements,
            logins: usage.logins,
            staged_bytes: usage.staged_bytes,
            busy_ms: usage.busy_ms,
            awake_ms: usage.awake_ms,
            credits: snowflake.credits(),
            warehouse_size: warehouse_size.to_string(),
            warehouse_ms: None,
            warehouse_ms_by_run: BTreeMap::new(),
        })
    }

    async fn cost(&self) -> Option<Usage> {
        let found = self.connected.get()?.snowflake.warehouse_time().await;
        let usage = self.usage()?;
        match found {
            Ok(WarehouseTime { total, by_run, .. }) => {
                let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let by_run = by_run.into_iter().map(|(run, time)| (run, ms(time))).collect();
                Some(Usage { warehouse_ms: Some(ms(total)), warehouse_ms_by_run: by_run, ..usage })
            }
            Err(error) => {
                tracing::warn!(%error, "Snowflake did not report the warehouse's run time");
                Some(usage)
            }
        }
    }

    async fn cost_history(&self, days: usize) -> Result<Vec<CostEntry>> {
        self.connected(SnowflakeBuilder::DEFAULT_RETRY)?.snowflake.cost_history(days).await
    }

    async fn close(&self) {
        let Some(connected) = self.connected.get() else { return };
        if let Err(error) = connected.snowflake.close().await {
            tracing::debug!(%error, "a session was left open; Snowflake closes it after a long idle time");
        }
    }
}

#[async_trait]
impl Store for Snowflake {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview> {
        Self::preview(self, resource, table, limit).await
    }
}

/// Returns the query tag of a source's statements.
pub(in crate::cli) fn tag(spec: &SourceSpec) -> String {
    format!("snowfeed {}/{}", spec.name, spec.version)
}

/// Loads the connection; the arguments override its own settings.
pub(in crate::cli) fn connection(args: &SnowflakeArgs, tag: &str) -> Result<ConnectionConfig> {
    let SnowflakeArgs { connection: name, database, schema, warehouse, role, .. } = args.clone();
    let mut connection = ConnectionConfig::load(name.as_deref())?;
    connection.database = database.or(connection.database);
    connection.schema = schema.or(connection.schema);
    connection.warehouse = warehouse.or(connection.warehouse);
    connection.role = role.or(connection.role);
    let is_tagged = connection.session_parameters.keys().any(|name| name.eq_ignore_ascii_case("QUERY_TAG"));
    if !is_tagged {
        connection.query_tag.get_or_insert_with(|| tag.to_owned());
    }
    Ok(connection)
}

fn kind_from_environment() -> Result<Option<DestinationKind>> {
    let Some(kind) = variable("SNOWFEED_TO") else { return Ok(None) };
    match kind.to_str() {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => Ok(Some(DestinationKind::Sqlite)),
        Some("snowflake") => Ok(Some(DestinationKind::Snowflake)),
        _ => {
            Err(Error::configuration("SNOWFEED_TO names no destination").with_help("set it to sqlite or to snowflake"))
        }
    }
}

/// Rejects arguments that a file would ignore.
#[cfg(feature = "sqlite")]
fn refuse_snowflake_args(args: &SnowflakeArgs) -> Result<()> {
    let given = [
        ("--connection", &args.connection),
        ("--database", &args.database),
        ("--schema", &args.schema),
        ("--warehouse", &args.warehouse),
        ("--role", &args.role),
    ];
    let given = given.into_iter().filter_map(|(name, value)| value.is_some().then_some(name));
    match given.chain(args.options.given()).next() {
        None => Ok(()),
        Some(name) => Err(Error::configuration(format!("{name} is for Snowflake, and the destination is a file"))
            .with_help("add --to snowflake")),
    }
}

/// Describes a connection for the user, without secrets.
fn describe(connection: &ConnectionConfig) -> String {
    let how = match &connection.credentials {
        Credentials::KeyPair { .. } => "a key pair",
        Credentials::AccessToken(_) | Credentials::AccessTokenFile(_) => "an access token",
        Credentials::OAuth(_) | Credentials::TokenFile(_) => "an OAuth token",
        Credentials::Password(_) => "a password",
    };
    let ConnectionConfig { account, protocol, host, port, user, .. } = connection;
    let who = if user.is_empty() { "the token's user".to_owned() } else { user.clone() };
    let place = match (protocol.as_str(), port) {
        ("https", 443) => host.clone(),
        (protocol, port) => format!("{protocol}://{host}:{port}"),
    };
    format!("account {account} at {place}, as {who}, with {how}")
}
