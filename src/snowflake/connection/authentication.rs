//! The credentials that a connection's settings name.

use std::path::PathBuf;

use secrecy::SecretString;

use super::credentials::Credentials;
use super::settings::{ConnectionSettings, SettingKey};
use crate::{Error, ErrorKind, Result};

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
