//! The client's identification in a login request.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::credentials::Credentials;
use super::key_pair::{SignError, damaged_key, key_error, read_private_key, sign_token};
use super::{ConnectionConfig, account};
use crate::secret::read_secret;
use crate::{Error, Result};

/// The fields `AUTHENTICATOR`, `TOKEN` and `PASSWORD` of its `data`.
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
