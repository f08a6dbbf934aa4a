//! Makes a connection of the settings that Snowflake's own tools read.

use std::path::PathBuf;

use serde_json::Map;
use toml::Value;

use super::environment::Environment;
use super::files::ConnectionFiles;
use super::settings::{ConnectionSettings, Setting, SettingKey};
use super::{ConnectionConfig, Credentials, Protocol, account, authentication};
use crate::{Error, Result};

const ACCOUNT: SettingKey = SettingKey::new(&["account"]);
const USER: SettingKey = SettingKey::new(&["user"]);
const HOST: SettingKey = SettingKey::new(&["host"]);
const PORT: SettingKey = SettingKey::new(&["port"]);
const PROTOCOL: SettingKey = SettingKey::new(&["protocol"]);
const REGION: SettingKey = SettingKey::new(&["region"]);
const ROLE: SettingKey = SettingKey::new(&["role"]);
const WAREHOUSE: SettingKey = SettingKey::new(&["warehouse"]);
const DATABASE: SettingKey = SettingKey::new(&["database"]);
const SCHEMA: SettingKey = SettingKey::new(&["schema"]);

/// The keys of this module.
const KEYS: &[SettingKey] = &[ACCOUNT, USER, HOST, PORT, PROTOCOL, REGION, ROLE, WAREHOUSE, DATABASE, SCHEMA];

impl ConnectionConfig {
    /// Reads the connection called `name`, or the default one, from where Snowflake's own tools keep theirs.
    ///
    /// **Files.** The folder is `SNOWFLAKE_HOME` or `~/.snowflake` if that exists, else the platform's default (`~/.config/snowflake`
    /// on Linux). `connections.toml` in it has a section `[NAME]` for each connection; without that file, `config.toml` has
    /// `[connections.NAME]`. The default is `SNOWFLAKE_DEFAULT_CONNECTION_NAME`, else `default_connection_name` of
    /// `config.toml`, else `default`.
    ///
    /// **Precedence**, for each setting: `SNOWFLAKE_CONNECTIONS_<NAME>_<KEY>`, then the file, then `SNOWFLAKE_<KEY>`. The
    /// environment alone is enough. What a program sets afterwards overrides all of them.
    ///
    /// **In a container inside Snowflake**, host, account, database and schema come from the environment, and the token from
    /// `/snowflake/session/token`, unless other credentials are given. If SNOWFLAKE_RUNNING_INSIDE_SPCS is set,
    /// `/snowflake/session/spcs_token` is sent with each login, as in Snowflake's drivers.
    ///
    /// Settings of other tools are ignored. Files are read synchronously.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when there is no such connection, a file cannot be read, or a setting is
    /// missing or invalid; [`Unsupported`](crate::ErrorKind::Unsupported) for authenticators that need a person. No error
    /// repeats the value of a setting: it could be a secret.
    pub fn load(name: Option<&str>) -> Result<Self> {
        Environment::of_process().connection(name)
    }
}

impl Environment<'_> {
    /// Reads the connection called `name`, or the default one.
    pub(super) fn connection(&self, name: Option<&str>) -> Result<ConnectionConfig> {
        let settings = self.settings(name)?;
        let credentials = authentication::choose(&settings, self.mounted_token(&settings)?)?;
        if matches!(credentials, Credentials::Password(_)) {
            tracing::warn!("Snowflake is ending passwords without a second factor; use a key pair or an access token");
        }
        let mut connection = connection(&settings, credentials)?;
        if self.is_inside(&settings)? && (self.variable)("SNOWFLAKE_RUNNING_INSIDE_SPCS").is_some() {
            connection.spcs_token_file = Some(self.spcs_token_file.to_owned());
        }
        connection.check()?;
        Ok(connection)
    }

    /// Finds the settings of the connection.
    fn settings(&self, name: Option<&str>) -> Result<ConnectionSettings<'_>> {
        let connections = ConnectionFiles::read(self)?;
        let asked = name
            .map(str::to_owned)
            .or_else(|| self.text("SNOWFLAKE_DEFAULT_CONNECTION_NAME"))
            .or_else(|| connections.default_name().map(str::to_owned));
        let name = asked.clone().unwrap_or_else(|| "default".to_owned());
        let section = connections.section(&name)?;
        let written = section.is_some();
        let settings = ConnectionSettings::new(self, name, section.unwrap_or_default());
        // Without a name, the environment alone is enough. A given name must exist, so that a typo cannot reach another account.
        let known = written || settings.has_variables(KEYS) || settings.has_variables(authentication::KEYS);
        if known || (asked.is_none() && settings.find(ACCOUNT)?.is_some()) {
            Ok(settings)
        } else {
            Err(connections.missing(settings.name()))
        }
    }

    /// The token of the surrounding container inside Snowflake, if any.
    fn mounted_token(&self, settings: &ConnectionSettings<'_>) -> Result<Option<PathBuf>> {
        Ok((self.is_inside(settings)? && self.token_file.is_file()).then(|| self.token_file.to_owned()))
    }

    /// Whether the process runs in a container of the host that it connects to: the container's tokens must go nowhere else.
    fn is_inside(&self, settings: &ConnectionSettings<'_>) -> Result<bool> {
        let Some(inside) = self.text("SNOWFLAKE_HOST") else { return Ok(false) };
        let host = settings.text(HOST)?.map(|found| found.value);
        Ok(host.as_deref() == Some(inside.trim()))
    }
}

fn connection(settings: &ConnectionSettings<'_>, credentials: Credentials) -> Result<ConnectionConfig> {
    let text = |key| Ok::<_, Error>(settings.text(key)?.map(|found| found.value));
    let identifier = text(ACCOUNT)?.unwrap_or_default();
    let mut connection = ConnectionConfig::new(&identifier, text(USER)?.unwrap_or_default(), credentials);
    let account = account::read(&identifier, text(REGION)?.as_deref());
    connection.account = account.name;
    connection.host = text(HOST)?.unwrap_or(account.host);
    if let Some(found) = settings.text(PROTOCOL)? {
        connection = connection.protocol(protocol(&found)?);
    }
    if let Some(found) = settings.text(PORT)? {
        connection.port = port(&found)?;
    }
    connection.role = text(ROLE)?;
    connection.warehouse = text(WAREHOUSE)?;
    connection.database = text(DATABASE)?;
    connection.schema = text(SCHEMA)?;
    if let Some(parameters) = settings.table("session_parameters")? {
        connection.session_parameters = json(parameters);
    }
    Ok(connection)
}

fn protocol(found: &Setting<String>) -> Result<Protocol> {
    match found.value.to_ascii_lowercase().as_str() {
        "https" => Ok(Protocol::Https),
        "http" => Ok(Protocol::Http),
        _ => Err(Error::configuration(format!("{} is neither https nor http", found.origin)).with_help("leave it out")),
    }
}

fn port(found: &Setting<String>) -> Result<u16> {
    match found.value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => {
            Err(Error::configuration(format!("{} is not a port", found.origin))
                .with_help("write a number from 1 to 65535"))
        }
    }
}

fn json(table: &toml::Table) -> Map<String, serde_json::Value> {
    table.iter().map(|(name, value)| (name.clone(), json_value(value))).collect()
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.iter().map(json_value).collect(),
        Value::Table(table) => json(table).into(),
    }
}
