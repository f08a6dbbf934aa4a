use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::layer::{HttpRequest, HttpResponse, HttpService};
use crate::error::remember_authorization;
use crate::{Error, Result};

/// Provides the credential of a [`Client`](super::Client): the value of its `Authorization` header.
///
/// The client calls it before every request, possibly several times at once, so that a credential that expires can be renewed
/// in time.
///
/// # Contract
///
/// `Debug` shows no secret.
///
/// # Errors
///
/// An error of [`header`](Self::header) fails the request; nothing is ever sent without the header instead.
#[async_trait]
pub trait Authorize: Send + Sync + Debug {
    /// Returns the header's value, such as `Bearer …`; `None` to send none.
    async fn header(&self) -> Result<Option<SecretString>>;

    /// Handles a 401 in answer to `header`: forgets it if it is still the current one, and returns whether another
    /// credential may be available; the request is then sent once more.
    ///
    /// Returns `false` by default.
    async fn on_unauthorized(&self, header: &SecretString) -> bool {
        let _ = header;
        false
    }
}

/// A token that never changes.
#[derive(Debug, Clone)]
pub struct Bearer(SecretString);

impl Bearer {
    /// Sends `Authorization: Bearer <token>`.
    pub fn new(token: &SecretString) -> Self {
        crate::error::remember(token.expose_secret().trim());
        Self(format!("Bearer {}", token.expose_secret().trim()).into())
    }
}

#[async_trait]
impl Authorize for Bearer {
    async fn header(&self) -> Result<Option<SecretString>> {
        Ok(Some(self.0.clone()))
    }
}

/// The value of an `Authorization` header with a user name and a password.
#[cfg(feature = "rest")]
pub(crate) fn basic(user: &SecretString, password: &SecretString) -> SecretString {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let pair = SecretString::from(format!("{}:{}", user.expose_secret(), password.expose_secret()));
    format!("Basic {}", STANDARD.encode(pair.expose_secret())).into()
}

/// Adds the credential to each request, and renews it once after a 401.
#[derive(Debug)]
pub(super) struct AuthorizationLayer {
    pub(super) authorize: Arc<dyn Authorize>,
    pub(super) inner: Arc<dyn HttpService>,
}

#[async_trait]
impl HttpService for AuthorizationLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        request.headers.remove(AUTHORIZATION);
        let credential = self.authorize.header().await?;
        if let Some(credential) = &credential {
            request.headers.insert(AUTHORIZATION, sensitive(credential)?);
            remember_authorization(credential.expose_secret());
        }
        let response = self.inner.call(request).await?;
        if let Some(rejected) = &credential
            && response.status == 401
            && !request.has_renewed_credential
        {
            request.has_renewed_credential = self.authorize.on_unauthorized(rejected).await;
            request.send_again = request.has_renewed_credential;
        }
        Ok(response)
    }
}

/// Adds credentials that are headers or parameters of their own.
pub(super) struct CredentialLayer {
    pub(super) headers: HeaderMap,
    pub(super) query: Vec<(String, SecretString)>,
    pub(super) inner: Arc<dyn HttpService>,
}

impl fmt::Debug for CredentialLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialLayer").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpService for CredentialLayer {
    async fn call(&self, request: &mut HttpRequest<'_>) -> Result<HttpResponse> {
        request.headers.extend(self.headers.clone());
        request.secret_query.clone_from(&self.query);
        self.inner.call(request).await
    }
}

/// Adds secret parameters to a URL, in place of those of the same names: a server may repeat them in a link.
pub(super) fn with_secrets(mut url: Url, secrets: &[(String, SecretString)]) -> Url {
    if secrets.is_empty() {
        return url;
    }
    let is_secret = |name: &str| secrets.iter().any(|(secret, _)| secret == name);
    let others: Vec<(String, String)> = url.query_pairs().filter(|(name, _)| !is_secret(name)).map(owned).collect();
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(others);
    for (name, value) in secrets {
        query.append_pair(name, value.expose_secret());
    }
    drop(query);
    url
}

fn owned((name, value): (Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (name.into_owned(), value.into_owned())
}

pub(super) fn sensitive(credential: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(credential.expose_secret()).map_err(|_| {
        Error::configuration("the credential cannot be sent in a header")
            .with_help("check the token for line breaks and other stray characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
