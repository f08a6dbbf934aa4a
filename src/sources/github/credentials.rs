//! Credentials for GitHub: a token, the installation of a GitHub App, or none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::settings::GithubSettings;
use crate::http::{Authorize, Client};
use crate::{Error, ErrorKind, Monitor, Result, SecretRef};

/// An installation token is renewed when it is good for less than this.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The kind of credentials in use. The entity tags of one kind are useless to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialKind {
    Anonymous,
    Token,
    App,
}

impl CredentialKind {
    pub(super) fn from_settings(settings: &GithubSettings) -> Self {
        match settings {
            GithubSettings { token: Some(_), .. } => Self::Token,
            GithubSettings { app_id: Some(_), .. } => Self::App,
            _ => Self::Anonymous,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Token => "token",
            Self::App => "app",
        }
    }
}

/// Returns the credentials of the settings; `None` when there are none.
///
/// # Errors
/// `Configuration`, when a secret cannot be read, or the key is invalid.
pub(super) fn authorization(settings: &GithubSettings, monitor: &Monitor) -> Result<Option<Arc<dyn Authorize>>> {
    if let Some(token) = &settings.token {
        let token = Token { reference: token.clone(), current: Mutex::default() };
        token.read()?;
        return Ok(Some(Arc::new(token)));
    }
    let (Some(app_id), Some(installation), Some(key)) =
        (&settings.app_id, settings.installation_id, &settings.private_key)
    else {
        return Ok(None);
    };
    let app = App { id: app_id.clone(), key: key.clone() };
    app.key()?;
    let client = settings.client()?.authorization(Arc::new(app)).build()?;
    let (monitor, current) = (monitor.clone(), tokio::sync::Mutex::default());
    Ok(Some(Arc::new(Installation { id: installation, client, monitor, current })))
}

fn bearer(token: &str) -> SecretString {
    format!("Bearer {token}").into()
}

/// A token by reference. It is read once, and again when GitHub rejects it: mounted secrets are rewritten.
struct Token {
    reference: SecretRef,
    current: Mutex<Option<SecretString>>,
}

impl Token {
    fn read(&self) -> Result<SecretString> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(header) = &*current {
            return Ok(header.clone());
        }
        let header = bearer(self.reference.resolve()?.expose_secret());
        *current = Some(header.clone());
        Ok(header)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.reference)
    }
}

#[async_trait]
impl Authorize for Token {
    async fn header(&self) -> Result<Option<SecretString>> {
        self.read().map(Some)
    }

    async fn on_unauthorized(&self, header: &SecretString) -> bool {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_some_and(|current| current.expose_secret() == header.expose_secret()) {
                *current = None;
            }
        }
        self.read().is_ok_and(|fresh| fresh.expose_secret() != header.expose_secret())
    }
}

/// A GitHub App, which authenticates as itself only to get installation tokens.
struct App {
    id: String,
    key: SecretRef,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
}

impl App {
    fn key(&self) -> Result<EncodingKey> {
        // Without its cause, which may repeat a part of the key.
        EncodingKey::from_rsa_pem(self.key.resolve()?.expose_secret().as_bytes()).map_err(|_| {
            Error::configuration(format!("the GitHub App's private key ({}) is not an RSA key in PEM", self.key))
                .with_help("use the `.pem` file that GitHub provided with the key")
        })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({}, {})", self.id, self.key)
    }
}

#[async_trait]
impl Authorize for App {
    async fn header(&self) -> Result<Option<SecretString>> {
        // One minute back, because clocks differ; GitHub allows ten minutes in total.
        let now = Timestamp::now().as_second();
        let claims = Claims { iss: &self.id, iat: now - 60, exp: now + 480 };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key()?)
            .map_err(|error| Error::internal("the GitHub App's token cannot be signed").with_source(error))?;
        Ok(Some(bearer(&token)))
    }
}

/// An installation of a GitHub App: its token is valid for an hour and is renewed in time, by one request at a time.
struct Installation {
    id: u64,
    client: Client,
    /// Receives the waits and retries of requests for tokens, which all reads share.
    monitor: Monitor,
    current: tokio::sync::Mutex<Option<InstallationToken>>,
}

struct InstallationToken {
    header: SecretString,
    expires: Timestamp,
}

/// Without `Debug`: the token is plain text here.
#[derive(Deserialize)]
struct TokenResponse {
    token: String,
    expires_at: Timestamp,
}

impl Installation {
    async fn renew(&self) -> Result<InstallationToken> {
        let path = format!("app/installations/{}/access_tokens", self.id);
        let granted: TokenResponse =
            self.client.post(&path).idempotent().send_with(&self.monitor, |response| response.json()).await.map_err(
                |error| match error.kind() {
                    ErrorKind::Authentication | ErrorKind::NotFound => {
                        Error::new(ErrorKind::Authentication, "GitHub refuses a token to the App's installation")
                            .with_context("installation_id", self.id)
                            .with_help(
                                "check `app_id`, `installation_id` and `private_key`, and that the App is installed",
                            )
                            .with_source(error)
                    }
                    _ => error,
                },
            )?;
        Ok(InstallationToken { header: bearer(&granted.token), expires: granted.expires_at })
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Installation({})", self.id)
    }
}

#[async_trait]
impl Authorize for Installation {
    async fn header(&self) -> Result<Option<SecretString>> {
        let mut current = self.current.lock().await;
        if let Some(token) = &*current
            && token.expires.duration_since(Timestamp::now()) > MARGIN
        {
            return Ok(Some(token.header.clone()));
        }
        let token = self.renew().await?;
        let header = token.header.clone();
        *current = Some(token);
        Ok(Some(header))
    }

    async fn on_unauthorized(&self, header: &SecretString) -> bool {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|token| token.header.expose_secret() == header.expose_secret()) {
            *current = None;
        }
        true
    }
}
