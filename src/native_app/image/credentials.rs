//! Who we are to a registry.

use std::fmt;
use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::error::remember;

/// The user that stands for whoever holds the session that the password names.
const SESSION: &str = "0sessiontoken";

/// A user and a password for a registry.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: SecretString,
}

impl Credentials {
    /// A user and a password. For Snowflake's registry: the user's name and a programmatic access token.
    pub fn new(user: impl Into<String>, password: SecretString) -> Self {
        Self { user: user.into(), password }
    }

    /// The token that a session of Snowflake issues for other clients (as its own tools ask for it), valid for so long. It
    /// needs no password or access token of its own, and works with every way to sign in.
    pub fn session(token: &SecretString, validity: Duration) -> Self {
        let password = json!({ "token": token.expose_secret(), "expires_in": validity.as_secs() });
        Self::new(SESSION, password.to_string().into())
    }

    /// Adds them to a request.
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        remember(self.password.expose_secret());
        request.basic_auth(&self.user, Some(self.password.expose_secret()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_password_of_json() {
        let credentials = Credentials::session(&"ver:1-\"token\"".into(), Duration::from_secs(3600));
        assert_eq!(credentials.user, "0sessiontoken");
        let password: serde_json::Value = serde_json::from_str(credentials.password.expose_secret()).unwrap();
        assert_eq!(password, json!({"token": "ver:1-\"token\"", "expires_in": 3600}));
    }

    #[test]
    fn a_password_is_never_printed() {
        let printed = format!("{:?}", Credentials::new("ROBOT", "hunter2".into()));
        assert!(printed.contains("ROBOT") && !printed.contains("hunter2"), "{printed}");
    }
}
