//! Credentials: which settings give them, and what a login sends of them.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::key_pair::{SignError, damaged_key, key_error, read_private_key, sign_token};
use super::load::{ConnectionSettings, SettingKey};
use super::{ConnectionConfig, account};
use crate::secret::read_secret;
use crate::{Error, ErrorKind, Result};

/// The credentials of a login.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// An RSA key in PEM, plain or encrypted. It is read at every login.
    KeyPair {
        /// The file.
        file: PathBuf,
        /// The passphrase of an encrypted key.
        passphrase: Option<SecretString>,
    },
    /// A programmatic access token.
    AccessToken(SecretString),
    /// A file with a programmatic access token. It is read at every login.
    AccessTokenFile(PathBuf),
    /// An OAuth token.
    OAuth(SecretString),
    /// A file with an OAuth token, as in a container inside Snowflake. It is read at every login.
    TokenFile(PathBuf),
    /// A password. Snowflake is ending passwords without a second factor: prefer a key pair or an access token.
    Password(SecretString),
}

impl Credentials {
    /// Whether a login must name its user; a token names its own.
    pub(super) fn require_user(&self) -> bool {
        matches!(self, Self::KeyPair { .. } | Self::Password(_))
    }
}

const AUTHENTICATOR: SettingKey = SettingKey::new(&["authenticator"]);
const KEY_FILE: SettingKey = SettingKey::new(&["private_key_file", "private_key_path"]);
const PASSPHRASE: SettingKey = SettingKey::new(&["private_key_passphrase", "private_key_file_pwd"]);
const PASSWORD: SettingKey = SettingKey::new(&["password"]);
const TOKEN: SettingKey = SettingKey::new(&["token"]);
const TOKEN_FILE: SettingKey = SettingKey::new(&["token_file_path"]);

/// The keys of this module.
pub(super) const KEYS: &[SettingKey] = &[AUTHENTICATOR, KEY_FILE, PASSPHRASE, PASSWORD, TOKEN, TOKEN_FILE];

/// The authenticators that need no person.
const WORKING: &str =
    "use `SNOWFLAKE_JWT` (a key pair), `PROGRAMMATIC_ACCESS_TOKEN`, `oauth` or `snowflake` (a password)";

/// Authenticators of Snowflake's tools that need a person, or are not implemented.
const OTHERS: &[&str] = &[
    "EXTERNALBROWSER",
    "OAUTH_AUTHORIZATION_CODE",
    "OAUTH_CLIENT_CREDENTIALS",
    "USERNAME_PASSWORD_MFA",
    "WORKLOAD_IDENTITY",
    "PAT_WITH_EXTERNAL_SESSION",
];

/// Reads the credentials from the settings. `mounted` is the token of a container inside Snowflake.
pub(super) fn choose(settings: &ConnectionSettings<'_>, mounted: Option<PathBuf>) -> Result<Credentials> {
    let Some(authenticator) = settings.text(AUTHENTICATOR)? else { return implied(settings, mounted) };
    let name = authenticator.value.to_uppercase();
    let missing = |what: &str| {
        Error::configuration(format!("{} asks for {name}, and the connection has no {what}", authenticator.origin))
    };
    match name.as_str() {
        "SNOWFLAKE" => implied(settings, None),
        "SNOWFLAKE_JWT" => key_pair(settings)?.ok_or_else(|| {
            missing("private key").with_help("set `private_key_file`, or SNOWFLAKE_PRIVATE_KEY_PATH, to a file in PEM")
        }),
        "OAUTH" => token(settings, Credentials::OAuth, Credentials::TokenFile)?
            .or(mounted.map(Credentials::TokenFile))
            .ok_or_else(|| missing("token").with_help("set `token` or `token_file_path`, or SNOWFLAKE_TOKEN")),
        "PROGRAMMATIC_ACCESS_TOKEN" => token(settings, Credentials::AccessToken, Credentials::AccessTokenFile)?
            .ok_or_else(|| missing("token").with_help("set `token` or `token_file_path`, or SNOWFLAKE_TOKEN")),
        other if OTHERS.contains(&other) => {
            let message = format!("{} asks for {name}, which snowfeed does not support", authenticator.origin);
            Err(Error::new(ErrorKind::Unsupported, message).with_help(WORKING))
        }
        okta if okta.starts_with("HTTPS://") => {
            let message = format!("{} asks for Okta, which needs a person to log in", authenticator.origin);
            Err(Error::new(ErrorKind::Unsupported, message).with_help(WORKING))
        }
        // The value is not repeated: it may be a misplaced secret.
        _ => Err(Error::configuration(format!("{} is not an authenticator", authenticator.origin)).with_help(WORKING)),
    }
}

/// Without an authenticator: a key has priority over a password, as in Snowflake's tools.
fn implied(settings: &ConnectionSettings<'_>, mounted: Option<PathBuf>) -> Result<Credentials> {
    if let Some(pair) = key_pair(settings)? {
        return Ok(pair);
    }
    if let Some(password) = settings.secret(PASSWORD)? {
        return Ok(Credentials::Password(password));
    }
    if let Some(mounted) = mounted {
        return Ok(Credentials::TokenFile(settings.path(TOKEN_FILE)?.unwrap_or(mounted)));
    }
    if settings.find(TOKEN)?.or(settings.find(TOKEN_FILE)?).is_some() {
        return Err(Error::configuration("the Snowflake connection has a token without its kind")
            .with_help("set `authenticator` to `PROGRAMMATIC_ACCESS_TOKEN` or `oauth`"));
    }
    Err(Error::configuration("the Snowflake connection has no credentials").with_help(WORKING))
}

fn key_pair(settings: &ConnectionSettings<'_>) -> Result<Option<Credentials>> {
    let Some(file) = settings.path(KEY_FILE)? else { return Ok(None) };
    // In Snowflake's tools, too, this variable overrides the connection.
    let passphrase = match settings.variable("PRIVATE_KEY_PASSPHRASE") {
        Some(found) => Some(found.secret()?),
        None => settings.secret(PASSPHRASE)?,
    };
    Ok(Some(Credentials::KeyPair { file, passphrase }))
}

/// A token. A file has priority over the token itself, as in Snowflake's tools.
fn token(
    settings: &ConnectionSettings<'_>,
    itself: fn(SecretString) -> Credentials,
    file: fn(PathBuf) -> Credentials,
) -> Result<Option<Credentials>> {
    Ok(match settings.path(TOKEN_FILE)? {
        Some(path) => Some(file(path)),
        None => settings.secret(TOKEN)?.map(itself),
    })
}

/// The credentials in a login request: the fields `AUTHENTICATOR`, `TOKEN` and `PASSWORD` of its `data`.
#[derive(Debug)]
pub struct LoginFields {
    /// `SNOWFLAKE_JWT`, `OAUTH`, `PROGRAMMATIC_ACCESS_TOKEN`; `None` for a password.
    pub authenticator: Option<&'static str>,
    /// The token.
    pub token: Option<SecretString>,
    /// The password.
    pub password: Option<SecretString>,
    /// The token that identifies the surrounding container, beside the credentials: `SPCS_TOKEN`.
    pub spcs_token: Option<SecretString>,
}

impl LoginFields {
    fn token(authenticator: &'static str, token: SecretString) -> Self {
        Self { authenticator: Some(authenticator), token: Some(token), password: None, spcs_token: None }
    }
}

impl ConnectionConfig {
    /// Reads the credentials for a login now. Files of keys and tokens are read each time, because they are rotated. Signing blocks
    /// the thread for some milliseconds.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when a file is missing or holds something else, when a passphrase is wrong,
    /// and when the connection must not be used: no account, no user, or plain http to another machine.
    pub fn login_fields(&self) -> Result<LoginFields> {
        self.check()?;
        let mut fields = match &self.credentials {
            Credentials::KeyPair { file, passphrase } => {
                LoginFields::token("SNOWFLAKE_JWT", self.signed_token(file, passphrase.as_ref())?)
            }
            Credentials::AccessToken(token) => LoginFields::token("PROGRAMMATIC_ACCESS_TOKEN", token.clone()),
            Credentials::AccessTokenFile(file) => LoginFields::token("PROGRAMMATIC_ACCESS_TOKEN", token_of(file)?),
            Credentials::OAuth(token) => LoginFields::token("OAUTH", token.clone()),
            Credentials::TokenFile(file) => LoginFields::token("OAUTH", token_of(file)?),
            Credentials::Password(password) => {
                LoginFields { authenticator: None, token: None, password: Some(password.clone()), spcs_token: None }
            }
        };
        fields.spcs_token = self.spcs_token_file.as_deref().and_then(spcs_token_of);
        for secret in [&fields.token, &fields.password, &fields.spcs_token].into_iter().flatten() {
            crate::error::remember(secret.expose_secret());
        }
        Ok(fields)
    }

    /// Signs a token for this account and user with the private key.
    fn signed_token(&self, file: &Path, passphrase: Option<&SecretString>) -> Result<SecretString> {
        let key = read_private_key(file, passphrase)?;
        let account = account::read(&self.account, None).name;
        let subject = format!("{account}.{}", self.user).to_uppercase();
        sign_token(&key, &subject).map_err(|failure| match failure {
            SignError::InvalidKey => damaged_key(file),
            SignError::Signing(source) => key_error(file, "cannot sign")
                .with_source(source)
                .with_help("use an RSA key of 2048 to 4096 bits: `openssl genrsa 2048`"),
        })
    }
}

/// The token of the surrounding container. As in Snowflake's drivers, a login continues without an unreadable one.
fn spcs_token_of(file: &Path) -> Option<SecretString> {
    match token_of(file) {
        Ok(token) => Some(token),
        Err(error) => {
            tracing::warn!(%error, "the container's token cannot be read, and is not sent");
            None
        }
    }
}

/// The token in a file, without surrounding white space.
fn token_of(file: &Path) -> Result<SecretString> {
    let wrong = |why: &str| {
        Error::configuration(format!("the token file {} {why}", file.display()))
            .with_help("point `token_file_path` to a file that contains the token and nothing else")
    };
    let text = read_secret(file).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    match text.expose_secret().trim() {
        "" => Err(wrong("is empty")),
        token => Ok(token.into()),
    }
}
