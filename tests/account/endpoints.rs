//! The account or servers of the run.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use snowfeed::Result;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials};
use snowfeed::internals::snowflake::{Client, HttpClient};

use crate::peers;

/// The part of an account that a statement is for. On an account they are the same; a rehearsal has a server for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Sql,
    App,
}

/// The origin of the app's container image.
#[derive(Debug, Clone)]
pub(crate) enum Container {
    /// This program.
    Program(PathBuf),
    /// An image that the repository holds.
    InRepository,
    /// None, with the reason.
    Absent(String),
}

/// The target of the run: an account, or the servers of a rehearsal.
pub(crate) trait Endpoints: Send + Sync {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Returns a client of a part, with a connection adjusted to the step's needs.
    fn client(&self, part: Part, adjust: &dyn Fn(ConnectionConfig) -> ConnectionConfig) -> Result<Arc<dyn Client>>;

    /// The connections whose logins are tested, by name.
    fn logins(&self) -> Vec<(String, Result<ConnectionConfig>)>;

    /// Whether it is a simulation, where a failing statement proves nothing.
    fn is_imitation(&self) -> bool;

    fn container(&self) -> Container;

    /// The texts that must not appear in any report.
    fn secrets(&self) -> Vec<SecretString>;
}

/// A Snowflake account.
pub(crate) struct Account {
    name: String,
    connection: ConnectionConfig,
    logins: Vec<String>,
}

impl Account {
    /// The account of a connection that Snowflake's own tools know.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let list = std::env::var("SNOWFEED_ACCOUNT_LOGINS").unwrap_or_default();
        let others = list.split(',').map(str::trim).filter(|other| !other.is_empty()).map(str::to_owned);
        let mut logins = vec![name.to_owned()];
        logins.extend(others);
        Ok(Self { name: name.to_owned(), connection: ConnectionConfig::load(Some(name))?, logins })
    }
}

impl Endpoints for Account {
    fn name(&self) -> String {
        format!("the connection `{}`", self.name)
    }

    fn client(&self, _: Part, adjust: &dyn Fn(ConnectionConfig) -> ConnectionConfig) -> Result<Arc<dyn Client>> {
        Ok(Arc::new(HttpClient::new(adjust(self.connection.clone()))?))
    }

    fn logins(&self) -> Vec<(String, Result<ConnectionConfig>)> {
        self.logins.iter().map(|name| (name.clone(), ConnectionConfig::load(Some(name)))).collect()
    }

    fn is_imitation(&self) -> bool {
        false
    }

    fn container(&self) -> Container {
        let built = || peers::artefacts().join("x86_64-unknown-linux-gnu/release/examples/github_issues");
        match std::env::var_os("SNOWFEED_ACCOUNT_PROGRAM").map(PathBuf::from) {
            Some(program) => Container::Program(program),
            None if built().exists() => Container::Program(built()),
            None => Container::Absent(
                "SNOWFEED_ACCOUNT_PROGRAM names no program for the image; docs/unverified.md says how to build it"
                    .into(),
            ),
        }
    }

    fn secrets(&self) -> Vec<SecretString> {
        let loaded = self.logins().into_iter().filter_map(|(_, connection)| connection.ok());
        loaded.filter_map(|connection| secret_of(&connection.credentials)).collect()
    }
}

/// The secret in the credentials.
pub(crate) fn secret_of(credentials: &Credentials) -> Option<SecretString> {
    match credentials {
        Credentials::KeyPair { passphrase, .. } => passphrase.clone(),
        Credentials::AccessToken(secret) | Credentials::OAuth(secret) | Credentials::Password(secret) => {
            Some(secret.clone())
        }
        Credentials::AccessTokenFile(file) | Credentials::TokenFile(file) => {
            std::fs::read_to_string(file).ok().map(|text| text.trim().into())
        }
        _ => None,
    }
}

/// A text with each secret replaced by `***`.
pub(crate) fn redact(mut text: String, secrets: &[SecretString]) -> String {
    /// Shorter ones would match ordinary words.
    const SHORTEST: usize = 8;
    for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| secret.len() >= SHORTEST) {
        text = text.replace(secret, "***");
    }
    text
}
