//! Tokens of an OAuth 2 server.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::{Authorize, Client, Response, Url};
use crate::net::is_loopback_url;
use crate::{Error, ErrorKind, Monitor, Result, Retry, RetryConfig, SourceEvent};

/// A token is renewed when it is good for less than this, or than a tenth of its life.
const MARGIN: Duration = Duration::from_secs(60);

/// What to ask the token server with.
pub(super) struct TokenRequest {
    pub(super) token_url: String,
    pub(super) grant: Option<String>,
    pub(super) client_id: SecretString,
    pub(super) client_secret: Option<SecretString>,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) scope: Option<String>,
}

/// The tokens of a source, renewed once for all concurrent requests.
pub(super) struct OAuth2Tokens {
    request: TokenRequest,
    grant: Grant,
    client: Client,
    monitor: Monitor,
    current: Mutex<Current>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    ClientCredentials,
    RefreshToken,
}

#[derive(Default)]
struct Current {
    /// The header, and when it has to be renewed.
    token: Option<(SecretString, Option<Instant>)>,
    /// The refresh token of the last answer, if it had one.
    refresh_token: Option<SecretString>,
}

/// The answer of a token server. All members may be missing, or be of another type.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    access_token: Value,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    refresh_token: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_description: Value,
}

impl OAuth2Tokens {
    /// # Errors
    /// `Configuration` for a grant that is not known or lacks something, and for a token URL that would send secrets in the clear.
    pub(super) fn new(request: TokenRequest, retry: RetryConfig, monitor: Monitor) -> Result<Self> {
        let grant = match (request.grant.as_deref(), &request.refresh_token) {
            (Some("client_credentials"), _) | (None, None) => Grant::ClientCredentials,
            (Some("refresh_token") | None, Some(_)) => Grant::RefreshToken,
            (Some("refresh_token"), None) => {
                return Err(Error::configuration("`auth.oauth2` has the grant `refresh_token` and no refresh token")
                    .with_help("add `refresh_token = \"{refresh_token}\"`"));
            }
            (Some(other), _) => {
                return Err(Error::configuration(format!("`auth.oauth2` has the unknown grant {other:?}"))
                    .with_help("write `client_credentials` or `refresh_token`"));
            }
        };
        let malformed = || {
            Error::configuration("`token_url` is not an https URL")
                .with_help("write `https://HOST/PATH`, where tokens are issued")
        };
        let url = Url::parse(&request.token_url).map_err(|_| malformed())?;
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback_url(&url);
        if !is_safe || url.host_str().is_none() {
            return Err(malformed());
        }
        let client = Client::builder(&url.origin().ascii_serialization()).retry(retry).build()?;
        Ok(Self { request, grant, client, monitor, current: Mutex::default() })
    }

    async fn renew(&self, current: &mut Current) -> Result<SecretString> {
        let TokenRequest { token_url, client_id, client_secret, refresh_token, scope, .. } = &self.request;
        let mut form = vec![("client_id", client_id.expose_secret())];
        if let Some(secret) = client_secret {
            form.push(("client_secret", secret.expose_secret()));
        }
        let refresh = current.refresh_token.clone().or_else(|| refresh_token.clone());
        match (self.grant, &refresh) {
            (Grant::RefreshToken, Some(token)) => {
                form.extend([("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())]);
            }
            _ => form.push(("grant_type", "client_credentials")),
        }
        if let Some(scope) = scope {
            form.push(("scope", scope));
        }
        let request = self.client.post(token_url).form(&form).idempotent().allow_errors();
        let answer = request.send_with(&self.monitor, |response| self.read(&response)).await;
        let Token { token, life, refresh_token } =
            answer.map_err(|error| error.with_context("token_url", token_url))?;
        let margin = life.map(|life| (life / 10).min(MARGIN));
        let renew_at = life.zip(margin).map(|(life, margin)| Instant::now() + life.saturating_sub(margin));
        current.token = Some((token.clone(), renew_at));
        if let Some(fresh) = refresh_token
            && self.grant == Grant::RefreshToken
            && refresh.as_ref().is_none_or(|known| known.expose_secret() != fresh.expose_secret())
        {
            self.monitor.event(SourceEvent::Warning(
                "the token server has issued a new refresh token, which is used until the program ends and is stored nowhere: if the \
                 server forgets the old one, the next run cannot sign in"
                    .to_owned(),
            ));
            current.refresh_token = Some(fresh);
        }
        Ok(token)
    }

    /// Reads an answer of the token server. No part of it is repeated but its error.
    fn read(&self, response: &Response) -> Result<Token> {
        let is_object = response.body().trim_start().starts_with('{');
        let parsed = match response.json::<TokenAnswer>() {
            Ok(answer) => Some(answer).filter(|_| is_object),
            // Cut short on its way: the next answer is whole.
            Err(error) if is_object && response.status() < 400 && error.retry() != Retry::Never => return Err(error),
            Err(_) => None,
        };
        if let Some(TokenAnswer { error, error_description, .. }) = &parsed
            && let Some(code) = error.as_str()
        {
            let described = error_description.as_str().map_or_else(String::new, |text| format!(": {text}"));
            let help = match (code, self.grant) {
                ("invalid_grant", Grant::RefreshToken) => {
                    "get a new refresh token: this one has expired or was revoked"
                }
                ("invalid_scope", _) => "correct `scope`",
                ("unsupported_grant_type" | "unauthorized_client", _) => {
                    "let the client use this grant, or write another `grant`"
                }
                _ => "check `client_id` and `client_secret`",
            };
            return Err(Error::new(ErrorKind::Authentication, format!("the token server refuses: {code}{described}"))
                .with_status(response.status())
                .with_code(code)
                .with_help(help));
        }
        if response.status() >= 400 {
            let error = response.rejection();
            return Err(match response.status() {
                400..=499 if error.kind() == ErrorKind::InvalidData || error.kind() == ErrorKind::NotFound => {
                    Error::new(ErrorKind::Authentication, format!("the token server refuses: {}", error.message()))
                        .with_status(response.status())
                        .with_help("check `token_url`, `client_id` and `client_secret`")
                }
                _ => error,
            });
        }
        let wrong = |what: &str| {
            Error::new(ErrorKind::Authentication, format!("the answer of the token server {what}"))
                .with_status(response.status())
                .with_help("check `token_url`: it must be the endpoint that issues tokens")
        };
        let answer = parsed.ok_or_else(|| wrong("is not a JSON object"))?;
        let token = answer
            .access_token
            .as_str()
            .filter(|token| !token.is_empty())
            .ok_or_else(|| wrong("has no `access_token`"))?;
        if !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(wrong("has an `access_token` that cannot be sent"));
        }
        if let Some(kind) = answer.token_type.as_str().filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(wrong(&format!("has a token of the type {kind:?}, and only `Bearer` can be used")));
        }
        let life = match &answer.expires_in {
            Value::Null => None,
            Value::Number(seconds) => seconds.as_f64(),
            // Some servers write it as a text.
            Value::String(seconds) => {
                Some(seconds.parse().map_err(|_| wrong("has an `expires_in` that is not a number"))?)
            }
            _ => return Err(wrong("has an `expires_in` that is not a number")),
        };
        let life = life
            .map(|seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|_| wrong("has a negative `expires_in`")));
        Ok(Token {
            token: format!("Bearer {token}").into(),
            life: life.transpose()?,
            refresh_token: answer
                .refresh_token
                .as_str()
                .filter(|token| !token.is_empty())
                .map(|token| token.to_owned().into()),
        })
    }
}

struct Token {
    /// The header.
    token: SecretString,
    life: Option<Duration>,
    refresh_token: Option<SecretString>,
}

impl fmt::Debug for OAuth2Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2Tokens").field("token_url", &self.request.token_url).finish_non_exhaustive()
    }
}

#[async_trait]
impl Authorize for OAuth2Tokens {
    async fn header(&self) -> Result<Option<SecretString>> {
        // Held while the token is renewed, so that all who wait get the same one.
        let mut current = self.current.lock().await;
        match &current.token {
            Some((token, until)) if until.is_none_or(|until| Instant::now() < until) => Ok(Some(token.clone())),
            _ => self.renew(&mut current).await.map(Some),
        }
    }

    async fn on_unauthorized(&self, header: &SecretString) -> bool {
        let mut current = self.current.lock().await;
        if current.token.as_ref().is_some_and(|(token, _)| token.expose_secret() == header.expose_secret()) {
            current.token = None;
        }
        true
    }
}
