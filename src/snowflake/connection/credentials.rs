//! How we say who we are.

use std::path::PathBuf;

use secrecy::SecretString;

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
