//! How to reach a Snowflake account, and how to log in.

mod account;
mod authentication;
mod credentials;
mod environment;
mod files;
mod key_pair;
mod load;
mod login_fields;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use url::Host;

use crate::net::is_loopback;
use crate::{Error, Result};

pub use credentials::Credentials;
pub use login_fields::LoginFields;

/// How to reach a Snowflake account, and how to log in.
///
/// [`load`](Self::load) reads the settings of Snowflake's own tools; [`new`](Self::new) takes them from a program.
///
/// ```
/// use snowfeed::backends::snowflake::{ConnectionConfig, Credentials};
///
/// let key = Credentials::KeyPair { file: "/etc/snowfeed/key.p8".into(), passphrase: None };
/// let connection = ConnectionConfig::new("my_org-my_account", "SNOWFEED", key).role("LOADER").warehouse("LOADING");
/// assert_eq!(connection.host, "my-org-my-account.snowflakecomputing.com");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The account's name, without region and domain: `ORG-NAME`, or a locator.
    pub account: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The host alone, without protocol, port and path.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user; empty if a token names its user.
    pub user: String,
    /// The role; the user's default one unless given.
    pub role: Option<String>,
    /// The warehouse; the user's default one unless given.
    pub warehouse: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// The schema.
    pub schema: Option<String>,
    /// The credentials.
    pub credentials: Credentials,
    /// The tag of all statements in the account's query history. The statements of [`Snowflake`](crate::backends::Snowflake) carry it
    /// as the member `tag` of their own tag.
    pub query_tag: Option<String>,
    /// The file of the token that identifies the surrounding container to Snowflake; sent with each login.
    pub spcs_token_file: Option<PathBuf>,
    /// Session parameters to set at login. Those that snowfeed depends on are ignored, with a warning.
    pub session_parameters: serde_json::Map<String, serde_json::Value>,
}

/// The protocol of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Encrypted.
    #[default]
    Https,
    /// Unencrypted: only to servers on this machine.
    Http,
}

impl Protocol {
    /// The scheme of its URLs: `https` or `http`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl ConnectionConfig {
    /// Creates the settings of `user` in `account`, which is `ORG-NAME`, a locator with or without its region, or the account's host
    /// or URL. The user may be empty with tokens, which name their user.
    ///
    /// Invalid settings are reported at login.
    pub fn new(account: impl AsRef<str>, user: impl Into<String>, credentials: Credentials) -> Self {
        let account = account::read(account.as_ref(), None);
        Self {
            account: account.name,
            protocol: Protocol::Https,
            host: account.host,
            port: Protocol::Https.default_port(),
            user: user.into(),
            role: None,
            warehouse: None,
            database: None,
            schema: None,
            credentials,
            query_tag: None,
            spcs_token_file: None,
            session_parameters: serde_json::Map::new(),
        }
    }

    /// Sets the role of the session.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Sets the warehouse that statements run in.
    #[must_use]
    pub fn warehouse(mut self, warehouse: impl Into<String>) -> Self {
        self.warehouse = Some(warehouse.into());
        self
    }

    /// Sets the database.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Sets the schema.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets the host, if it is not the account's usual one.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the protocol, and its default port unless another port was set.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        if self.port == self.protocol.default_port() {
            self.port = protocol.default_port();
        }
        self.protocol = protocol;
        self
    }

    /// Sets the tag of all statements in the account's query history.
    #[must_use]
    pub fn query_tag(mut self, tag: impl Into<String>) -> Self {
        self.query_tag = Some(tag.into());
        self
    }

    /// Sets the credentials.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets the file of the token that identifies the surrounding container.
    #[must_use]
    pub fn spcs_token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.spcs_token_file = Some(file.into());
        self
    }

    /// Sets the session parameters to set at login.
    #[must_use]
    pub fn session_parameters(mut self, parameters: serde_json::Map<String, serde_json::Value>) -> Self {
        self.session_parameters = parameters;
        self
    }

    /// Rejects settings that cannot reach an account, or would expose a secret on the way.
    fn check(&self) -> Result<()> {
        account::check(&self.account)?;
        let no_host = || {
            Error::configuration("the Snowflake host is not a host name")
                .with_help("write `host` without protocol, port and path, or leave it out: the account has a usual one")
        };
        if self.host.split('.').any(str::is_empty) {
            return Err(no_host());
        }
        let host = Host::parse(&self.host).map_err(|_| no_host())?;
        if self.port == 0 {
            return Err(Error::configuration("the port of the Snowflake connection is 0").with_help("leave `port` out"));
        }
        if self.protocol == Protocol::Http && !is_loopback(&host) {
            return Err(Error::configuration("plain http is refused: the credentials would be sent unencrypted")
                .with_help("use `protocol = \"https\"`; http is only for servers on this machine"));
        }
        if self.user.is_empty() && self.credentials.require_user() {
            return Err(Error::configuration("the Snowflake connection names no user")
                .with_help("set `user` in the connection, or SNOWFLAKE_USER"));
        }
        Ok(())
    }
}
