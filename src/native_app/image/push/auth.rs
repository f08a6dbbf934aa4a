//! Credentials for a registry, and the hosts that may receive them in exchange for a token.

use std::fmt;
use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::{Host, Url};

use super::address::Address;
use super::error::RegistryError;
use crate::error::remember;

/// The user name for a password that contains a session token.
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

    /// A token that a Snowflake session issues for other clients, as Snowflake CLI uses it, and its validity. It works with every
    /// authentication method of the session.
    pub fn session(token: &SecretString, validity: Duration) -> Self {
        let password = json!({ "token": token.expose_secret(), "expires_in": validity.as_secs() });
        Self::new(SESSION, password.to_string().into())
    }

    /// Adds the credentials to a request.
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

/// Snowflake's domains.
const SNOWFLAKE: [&str; 2] = [".snowflakecomputing.com", ".snowflakecomputing.cn"];

/// The authentication that a registry requires.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The credentials in every request.
    Password,
    /// A token, for which the credentials are exchanged at a realm.
    Token(Realm),
}

/// The endpoint that issues tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Realm {
    address: String,
    /// The service that the token is for.
    pub(super) service: Option<String>,
}

impl Challenge {
    /// Parses `WWW-Authenticate`.
    pub(super) fn read(header: &HeaderValue) -> Self {
        let challenges =
            header.to_str().ok().and_then(|text| http_auth::parse_challenges(text).ok()).unwrap_or_default();
        let bearer = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
        let parameter = |name: &str| {
            let parameters = &bearer?.params;
            parameters.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
        };
        match parameter("realm") {
            Some(address) => Self::Token(Realm { address, service: parameter("service") }),
            None => Self::Password,
        }
    }
}

impl Realm {
    /// The realm's URL, if it may receive the registry's credentials: on the registry's own host, on another of Snowflake's hosts if the
    /// registry is Snowflake's, or on a host that the caller allowed. It must use TLS, unless the registry itself is on a loopback
    /// address without TLS.
    pub(super) fn url(&self, registry: &Address, allowed: &[String]) -> Result<Url, RegistryError> {
        let url = Url::parse(&self.address).map_err(|_| RegistryError::foreign("an invalid URL"))?;
        let base = registry.base().map_err(|_| RegistryError::foreign("an invalid URL"))?;
        let is_own = url.host() == base.host();
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && base.scheme() == "http" && is_own);
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_allowed = url.host_str().is_some_and(|host| allowed.iter().any(|name| name.eq_ignore_ascii_case(host)));
        if is_plain && is_safe && (is_own || is_allowed || (is_snowflake_host(&base) && is_snowflake_host(&url))) {
            return Ok(url);
        }
        Err(RegistryError::foreign_host(&url, "the credentials"))
    }
}

fn is_snowflake_host(url: &Url) -> bool {
    let Some(Host::Domain(host)) = url.host() else { return false };
    url.scheme() == "https" && SNOWFLAKE.iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_token_becomes_a_json_password() {
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

    fn is_allowed(registry: &str, realm: &str, allowed: &[&str]) -> bool {
        let address = Address::new(&format!("{registry}/a/b"), "1").unwrap();
        let allowed: Vec<String> = allowed.iter().map(|host| (*host).to_owned()).collect();
        Realm { address: realm.to_owned(), service: None }.url(&address, &allowed).is_ok()
    }

    #[test]
    fn credentials_go_to_the_registrys_own_host() {
        for (registry, realm) in [
            ("registry.example", "https://registry.example/token"),
            ("registry.example:5000", "https://registry.example:5001/token"),
            ("registry.example", "https://REGISTRY.example/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://127.0.0.1:5000", "https://127.0.0.1:5001/token"),
            ("a-b.registry.snowflakecomputing.com", "https://a-b.snowflakecomputing.com/login"),
        ] {
            assert!(is_allowed(registry, realm, &[]), "{registry}: {realm}");
        }
    }

    #[test]
    fn credentials_go_to_no_other_host_and_never_unencrypted() {
        for (registry, realm) in [
            ("registry.example", "https://elsewhere.example/token"),
            ("registry.example", "https://registry.example.elsewhere.example/token"),
            ("registry.example", "https://auth.registry.example/token"),
            ("registry.example", "http://registry.example/token"),
            ("registry.example", "https://user:pw@registry.example/token"),
            ("registry.example", "//registry.example/token"),
            ("registry.example", "/token"),
            ("registry.example", "ftp://registry.example/token"),
            ("registry.example", "https://a.snowflakecomputing.com/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.2:5000/token"),
            ("http://127.0.0.1:5000", "http://localhost:5000/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/token"),
            ("a.registry.snowflakecomputing.com", "https://snowflakecomputing.com.example/token"),
            ("a.registry.snowflakecomputing.com", "http://a.snowflakecomputing.com/token"),
        ] {
            assert!(!is_allowed(registry, realm, &[]), "{registry}: {realm}");
        }
    }

    #[test]
    fn the_caller_may_name_another_host() {
        assert!(is_allowed("registry.example", "https://auth.example/token", &["other.example", "Auth.example"]));
        assert!(!is_allowed("registry.example", "http://auth.example/token", &["auth.example"]));
        assert!(!is_allowed("http://127.0.0.1:5000", "http://auth.example/token", &["auth.example"]));
    }

    #[test]
    fn a_challenge_is_found_among_others() {
        let read = |text: &'static str| Challenge::read(&HeaderValue::from_static(text));
        let realm = |address: &str, service: Option<&str>| {
            Challenge::Token(Realm { address: address.to_owned(), service: service.map(str::to_owned) })
        };
        assert_eq!(read(r#"Bearer realm="https://a/t",service="s""#), realm("https://a/t", Some("s")));
        assert_eq!(read(r#"Basic realm="x", bearer Realm="https://a/t""#), realm("https://a/t", None));
        for text in [r#"Basic realm="registry""#, "", "Bearer service=\"x\"", "\u{7f}"] {
            if let Ok(header) = HeaderValue::from_str(text) {
                assert_eq!(Challenge::read(&header), Challenge::Password, "{text}");
            }
        }
    }
}
