//! A database of a Snowflake account.

use std::sync::OnceLock;

use super::super::args::{Global, SnowflakeArgs, To};
use super::{Finding, Spending, variable};
use crate::backends::Snowflake;
use crate::backends::snowflake::{ConnectionConfig, Credentials, SnowflakeBuilder};
use crate::{Error, Result, RetryConfig, SourceSpec};

/// What the command line says of the database; where it is, and who we are there, is read when it is first needed.
#[derive(Debug)]
pub(in crate::cli) struct Target {
    args: SnowflakeArgs,
    /// Marks the statements in the account's history.
    tag: String,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    snowflake: Snowflake,
    /// In words, for a person.
    connection: String,
}

impl Target {
    /// The database that the arguments name, if it is to be Snowflake.
    pub(super) fn of(spec: &SourceSpec, global: &Global) -> Result<Option<Self>> {
        let args = global.snowflake.clone();
        match args.to.map_or_else(to_of_environment, |to| Ok(Some(to)))? {
            Some(To::Snowflake) => {}
            Some(To::Sqlite) | None => return refuse_others(&args).map(|()| None),
        }
        if global.db.is_some() {
            return Err(Error::configuration("--db names a file, and the destination is Snowflake")
                .with_help("leave --db out, or say --to sqlite"));
        }
        Ok(Some(Self { args, tag: tag(spec), opened: OnceLock::new() }))
    }

    pub(super) fn open(&self) -> Result<Snowflake> {
        self.opened(SnowflakeBuilder::DEFAULT_RETRY).map(|opened| opened.snowflake.clone())
    }

    fn opened(&self, retries: RetryConfig) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let connection = connection(&self.args, &self.tag)?;
        let described = describe(&connection);
        let snowflake = Snowflake::builder(connection).retry(retries).build()?;
        Ok(self.opened.get_or_init(|| Opened { snowflake, connection: described }))
    }

    pub(super) async fn check(&self) -> Vec<Finding> {
        // Who looks wants to know how it is now.
        let brief = RetryConfig { max_attempts: 3, ..SnowflakeBuilder::DEFAULT_RETRY };
        let opened = match self.opened(brief) {
            Ok(opened) => opened,
            Err(error) => return vec![Finding { name: "connection", result: Err(error) }],
        };
        let mut findings = vec![Finding { name: "connection", result: Ok(opened.connection.clone()) }];
        let found = opened.snowflake.check().await.into_iter();
        findings.extend(found.map(|found| Finding { name: found.name, result: found.result }));
        findings
    }

    /// What was spent; nothing where nothing was opened.
    pub(super) fn spent(&self) -> Option<Spending> {
        let spent = self.opened.get()?.snowflake.usage();
        Some(Spending {
            kind: "snowflake",
            statements: spent.statements,
            logins: spent.logins,
            staged_bytes: spent.staged_bytes,
            busy_ms: spent.busy_ms,
            warehouse_ms: None,
        })
    }

    /// The same, with what Snowflake says of its warehouse.
    pub(super) async fn cost(&self) -> Option<Spending> {
        let ms = match self.opened.get()?.snowflake.warehouse_time().await {
            Ok(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Err(error) => {
                tracing::warn!(%error, "Snowflake does not say for how long its warehouse has worked");
                None
            }
        };
        self.spent().map(|spent| Spending { warehouse_ms: ms, ..spent })
    }

    pub(super) async fn close(&self) {
        let Some(opened) = self.opened.get() else { return };
        if let Err(error) = opened.snowflake.close().await {
            tracing::debug!(%error, "a session was left open; Snowflake closes it when it has been idle for long");
        }
    }
}

/// What marks the statements of a source in the account's history.
pub(in crate::cli) fn tag(spec: &SourceSpec) -> String {
    format!("snowfeed {}/{}", spec.name, spec.version)
}

/// The connection's settings, and before them those of the command line.
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

fn to_of_environment() -> Result<Option<To>> {
    let Some(to) = variable("SNOWFEED_TO") else { return Ok(None) };
    match to.to_str() {
        Some("sqlite") => Ok(Some(To::Sqlite)),
        Some("snowflake") => Ok(Some(To::Snowflake)),
        _ => {
            Err(Error::configuration("SNOWFEED_TO names no destination").with_help("set it to sqlite or to snowflake"))
        }
    }
}

/// Refuses what means nothing to a file, lest it be taken for done.
fn refuse_others(args: &SnowflakeArgs) -> Result<()> {
    let given = [
        ("--connection", &args.connection),
        ("--database", &args.database),
        ("--schema", &args.schema),
        ("--warehouse", &args.warehouse),
        ("--role", &args.role),
    ];
    match given.iter().find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((name, _)) => Err(Error::configuration(format!("{name} is for Snowflake, and the destination is a file"))
            .with_help("add --to snowflake")),
    }
}

/// A connection in words. No secret is in them.
fn describe(connection: &ConnectionConfig) -> String {
    let how = match &connection.credentials {
        Credentials::KeyPair { .. } => "a key pair",
        Credentials::AccessToken(_) | Credentials::AccessTokenFile(_) => "an access token",
        Credentials::OAuth(_) | Credentials::TokenFile(_) => "an OAuth token",
        Credentials::Password(_) => "a password",
    };
    let ConnectionConfig { account, protocol, host, port, user, .. } = connection;
    let who = if user.is_empty() { "whom the token names".to_owned() } else { user.clone() };
    let place = match (protocol.as_str(), port) {
        ("https", 443) => host.clone(),
        (protocol, port) => format!("{protocol}://{host}:{port}"),
    };
    format!("account {account} at {place}, as {who}, with {how}")
}
