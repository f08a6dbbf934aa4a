//! Reads a connection from the environment and the files of Snowflake's tools.
//!
//! Each setting has three layers: the environment for this connection, the file, the environment for all connections.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::Map;
use toml::{Table, Value};

use super::files::ConnectionFiles;
use super::{ConnectionConfig, Credentials, Protocol, account, credentials};
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

/// The environment of a process: everything that the settings depend on.
pub(super) struct Environment<'a> {
    /// The user's home directory.
    pub(super) home: Option<PathBuf>,
    /// Reads an environment variable.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Where Snowflake mounts the token of a container.
    pub(super) token_file: &'a Path,
    /// Where Snowflake mounts the token that identifies the container.
    pub(super) spcs_token_file: &'a Path,
}

impl Environment<'static> {
    /// The environment of this process.
    pub(super) fn of_process() -> Self {
        Self {
            home: std::env::home_dir(),
            variable: &|name| std::env::var_os(name),
            token_file: Path::new("/snowflake/session/token"),
            spcs_token_file: Path::new("/snowflake/session/spcs_token"),
        }
    }
}

impl Environment<'_> {
    /// Reads the connection called `name`, or the default one.
    pub(super) fn connection(&self, name: Option<&str>) -> Result<ConnectionConfig> {
        let settings = self.settings(name)?;
        let credentials = credentials::choose(&settings, self.mounted_token(&settings)?)?;
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
        let known = written || settings.has_variables(KEYS) || settings.has_variables(credentials::KEYS);
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

    /// A non-blank environment variable.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name)?.into_string().ok().filter(|text| !text.trim().is_empty())
    }

    /// Expands `~` to the home directory.
    pub(super) fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
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

/// A setting's names, the first one preferred.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettingKey {
    names: &'static [&'static str],
}

impl SettingKey {
    pub(super) const fn new(names: &'static [&'static str]) -> Self {
        Self { names }
    }
}

/// A value and its origin. Messages show the origin, never the value.
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: String,
}

/// One connection's settings.
pub(super) struct ConnectionSettings<'a> {
    sources: &'a Environment<'a>,
    name: String,
    section: Table,
}

impl<'a> ConnectionSettings<'a> {
    pub(super) fn new(sources: &'a Environment<'a>, name: String, section: Table) -> Self {
        Self { sources, name, section }
    }

    /// The connection's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether any of `keys` is set in the environment for this connection and no other.
    pub(super) fn has_variables(&self, keys: &[SettingKey]) -> bool {
        keys.iter().any(|key| self.own_variable(*key).is_some())
    }

    /// The first layer's value. Blank settings, which many templates contain, count as missing.
    pub(super) fn find(&self, key: SettingKey) -> Result<Option<Setting<OsString>>> {
        if let Some(found) = self.own_variable(key) {
            return Ok(Some(found));
        }
        if let Some(found) = self.in_file(key)? {
            return Ok(Some(found));
        }
        Ok(key.names.iter().find_map(|name| self.variable(&format!("SNOWFLAKE_{}", name.to_uppercase()))))
    }

    /// A non-blank environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<Setting<OsString>> {
        let value = (self.sources.variable)(name).filter(|value| !is_blank(value))?;
        Some(Setting { value, origin: name.to_owned() })
    }

    /// A setting as text without surrounding white space.
    pub(super) fn text(&self, key: SettingKey) -> Result<Option<Setting<String>>> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        let Setting { value, origin } = found.unicode()?;
        Ok(Some(Setting { value: value.trim().to_owned(), origin }))
    }

    /// A secret, verbatim.
    pub(super) fn secret(&self, key: SettingKey) -> Result<Option<SecretString>> {
        self.find(key)?.map(Setting::secret).transpose()
    }

    /// A file's path, with `~` expanded.
    pub(super) fn path(&self, key: SettingKey) -> Result<Option<PathBuf>> {
        Ok(self.find(key)?.map(|found| self.sources.expand(PathBuf::from(found.value))))
    }

    /// A table, which only a file can contain.
    pub(super) fn table(&self, name: &str) -> Result<Option<&Table>> {
        match self.section.get(name) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(_) => Err(Error::configuration(format!("{} is not a table", self.origin(name)))),
        }
    }

    fn own_variable(&self, key: SettingKey) -> Option<Setting<OsString>> {
        let connection = self.name.to_uppercase();
        key.names
            .iter()
            .find_map(|name| self.variable(&format!("SNOWFLAKE_CONNECTIONS_{connection}_{}", name.to_uppercase())))
    }

    fn in_file(&self, key: SettingKey) -> Result<Option<Setting<OsString>>> {
        for name in key.names {
            let value = match self.section.get(*name) {
                None => continue,
                Some(Value::String(text)) => OsString::from(text),
                Some(Value::Integer(number)) => number.to_string().into(),
                Some(_) => return Err(Error::configuration(format!("{} is not a text", self.origin(name)))),
            };
            if !is_blank(&value) {
                return Ok(Some(Setting { value, origin: self.origin(name) }));
            }
        }
        Ok(None)
    }

    fn origin(&self, name: &str) -> String {
        format!("`{name}` of the Snowflake connection {:?}", self.name)
    }
}

impl Setting<OsString> {
    pub(super) fn secret(self) -> Result<SecretString> {
        Ok(self.unicode()?.value.into())
    }

    fn unicode(self) -> Result<Setting<String>> {
        let Self { value, origin } = self;
        match value.into_string() {
            Ok(value) => Ok(Setting { value, origin }),
            Err(_) => Err(Error::configuration(format!("{origin} is not valid UTF-8"))),
        }
    }
}

fn is_blank(value: &OsString) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}
