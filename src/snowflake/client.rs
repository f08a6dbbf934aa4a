//! The client that talks to Snowflake.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::client_inner::ClientInner;
use super::connection::ConnectionConfig;
use super::session::HttpSession;
use super::transport::Transport;
use super::{Client, Session, Usage, login, parameters};
use crate::{Result, RetryConfig};

/// A client over HTTP, using the protocol of Snowflake's own drivers. Clones are cheap and share everything.
///
/// # Retries
/// A request without a response is retried within its [`RetryConfig`], with the same request id, so that Snowflake recognizes it.
/// A response of Snowflake is final. Redirects 307 and 308 are followed to the same host and, with TLS, to other Snowflake hosts;
/// credentials go nowhere else.
///
/// # Logs
/// Statements are logged at debug level, without bound values: text, request id, query id and time. Bodies, headers and
/// credentials are logged at no level, neither here nor in the crates below.
#[derive(Clone)]
pub struct HttpClient(Arc<ClientInner>);

impl HttpClient {
    /// The default retries of a request without a response: twelve attempts within five minutes, with delays from half a second to
    /// thirty seconds.
    pub const DEFAULT_RETRY: RetryConfig = RetryConfig {
        max_attempts: 12,
        timeout: Duration::from_secs(5 * 60),
        first_delay: Duration::from_millis(500),
        max_delay: Duration::from_secs(30),
    };

    /// Creates a client with the default retries. It sends nothing.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the host is invalid, or a proxy is not a URL.
    pub fn new(connection: ConnectionConfig) -> Result<Self> {
        Self::with_retry(connection, Self::DEFAULT_RETRY)
    }

    /// Creates a client with other retries.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_retry(connection: ConnectionConfig, retries: RetryConfig) -> Result<Self> {
        let transport = Transport::new(&connection, retries)?;
        parameters::warn_about_ignored(&connection);
        Ok(Self(Arc::new(ClientInner {
            connection: Arc::new(connection),
            transport: Arc::new(transport),
            meter: Arc::default(),
        })))
    }

    /// A client whose sessions use another warehouse. Both count the same usage.
    #[must_use]
    pub fn with_warehouse(&self, name: impl Into<String>) -> Self {
        let ClientInner { connection, transport, meter } = &*self.0;
        let connection = ConnectionConfig { warehouse: Some(name.into()), ..ConnectionConfig::clone(connection) };
        let (transport, meter) = (Arc::clone(transport), Arc::clone(meter));
        Self(Arc::new(ClientInner { connection: Arc::new(connection), transport, meter }))
    }
}

#[async_trait]
impl Client for HttpClient {
    async fn open(&self) -> Result<Box<dyn Session>> {
        let tokens = login::login(&self.0).await?;
        Ok(Box::new(HttpSession::new(Arc::clone(&self.0), tokens)))
    }

    fn usage(&self) -> Usage {
        self.0.meter.read()
    }

    fn session_ids(&self) -> Vec<u64> {
        self.0.meter.session_ids()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionConfig { account, host, port, user, .. } = &*self.0.connection;
        f.debug_struct("HttpClient")
            .field("account", account)
            .field("host", host)
            .field("port", port)
            .field("user", user)
            .finish_non_exhaustive()
    }
}
