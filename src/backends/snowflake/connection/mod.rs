//! Where a Snowflake account is, and who we say we are.

use std::path::PathBuf;

use secrecy::SecretString;

/// Everything that is needed to open a session.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The account identifier: `ORG-NAME`, or a locator.
    pub account: String,
    /// `https` or `http`.
    pub protocol: Protocol,
    /// The host; `{account}.snowflakecomputing.com` unless given.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user; empty with an OAuth token, which names its user.
    pub user: String,
    /// The role; the user's default one unless given.
    pub role: Option<String>,
    /// The warehouse; the user's default one unless given.
    pub warehouse: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// The schema.
    pub schema: Option<String>,
    /// How we say who we are.
    pub credentials: Credentials,
    /// Marks all statements in the account's query history.
    pub query_tag: Option<String>,
    /// Session parameters to set at login.
    pub session_parameters: serde_json::Map<String, serde_json::Value>,
}

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Encrypted.
    #[default]
    Https,
    /// In the clear: for servers on this machine.
    Http,
}

/// How we say who we are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A private key, PEM, plain or encrypted with the passphrase. It is read again at every login.
    KeyPair {
        /// The file that holds it.
        file: PathBuf,
        /// What it is encrypted with.
        passphrase: Option<SecretString>,
    },
    /// A programmatic access token.
    AccessToken(SecretString),
    /// An OAuth token.
    OAuth(SecretString),
    /// A file that holds an OAuth token, as in a container inside Snowflake. It is read again at every login.
    TokenFile(PathBuf),
    /// A password.
    Password(SecretString),
}

/// What a login request says of who we are: the fields `AUTHENTICATOR`, `TOKEN` and `PASSWORD` of its `data`.
#[derive(Debug)]
pub struct LoginFields {
    /// `SNOWFLAKE_JWT`, `OAUTH`, `PROGRAMMATIC_ACCESS_TOKEN`; `None` for a password.
    pub authenticator: Option<&'static str>,
    /// The token.
    pub token: Option<SecretString>,
    /// The password.
    pub password: Option<SecretString>,
}

/// A stand-in until the module that reads credentials arrives.
impl Connection {
    /// What to say at the next login.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for what is read from a file.
    pub fn login_fields(&self) -> crate::Result<LoginFields> {
        let token = |authenticator, token: &SecretString| LoginFields {
            authenticator: Some(authenticator),
            token: Some(token.clone()),
            password: None,
        };
        match &self.credentials {
            Credentials::Password(password) => {
                Ok(LoginFields { authenticator: None, token: None, password: Some(password.clone()) })
            }
            Credentials::AccessToken(secret) => Ok(token("PROGRAMMATIC_ACCESS_TOKEN", secret)),
            Credentials::OAuth(secret) => Ok(token("OAUTH", secret)),
            Credentials::KeyPair { .. } | Credentials::TokenFile(_) => {
                Err(crate::Error::new(crate::ErrorKind::Unsupported, "credentials in files cannot be read yet"))
            }
        }
    }
}
