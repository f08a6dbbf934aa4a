use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use crate::Result;

/// Says who a [`Client`](super::Client) is: the value of its `Authorization` header.
///
/// It is asked before every request, so that a credential that expires can be renewed in good time, and may be asked by
/// several requests at once.
///
/// # Contract
///
/// `Debug` shows no secret.
///
/// # Errors
///
/// An error of [`header`](Self::header) fails the request as it is; nothing is ever sent without the header instead.
#[async_trait]
pub trait Authorize: Send + Sync + Debug {
    /// The header's value, such as `Bearer …`; `None` to send none.
    async fn header(&self) -> Result<Option<SecretString>>;

    /// The server answered 401 to `header`. Forget it if it is still the current one, and say whether asking again may
    /// bring another; the request is then sent once more.
    ///
    /// By default there is nothing else to try.
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
