use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

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

fn sensitive(credential: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(credential.expose_secret()).map_err(|_| {
        Error::configuration("the credential cannot be sent in a header")
            .with_help("check the token for line breaks and other stray characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
