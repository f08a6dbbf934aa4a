//! How we say who we are.

use std::path::PathBuf;

use secrecy::SecretString;

/// How we say who we are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// An RSA key, PEM, plain or encrypted with the passphrase. It is read again at every login.
    KeyPair {
        /// The file that holds it.
        file: PathBuf,
        /// What it is encrypted with.
        passphrase: Option<SecretString>,
    },
    /// A programmatic access token.
    AccessToken(SecretString),
    /// A file that holds a programmatic access token. It is read again at every login.
    AccessTokenFile(PathBuf),
    /// An OAuth token.
    OAuth(SecretString),
    /// A file that holds an OAuth token, as in a container inside Snowflake. It is read again at every login.
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
