//! The client that talks to Snowflake.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::client_inner::{ClientInner, UsageCounters};
use super::connection::ConnectionConfig;
use super::session::HttpSession;
use super::transport::Transport;
use super::{Client, Session, Usage, login, parameters};
use crate::{Result, RetryConfig};

/// Talks to a Snowflake account over HTTP, as Snowflake's own drivers do. Clones are cheap and share everything.
///
/// # Retries
/// A request that brings no answer is sent again, within its [`RetryConfig`], with the same request id, by which Snowflake knows
/// it. What Snowflake answers is final. Redirects 307 and 308 are followed to the same host and, with TLS, to others of
/// Snowflake's; no credential goes anywhere else.
///
/// # Logs
/// Statements are logged at debug level, without bound values: their text, request id, query id and time. No body, header or
/// credential is logged at any level, by this or by the crates below it.
#[derive(Clone)]
pub struct HttpClient(Arc<ClientInner>);

impl HttpClient {
    /// How often, and for how long, a request that brought no answer is sent again unless something else is said: twelve attempts
    /// within five minutes, the first delay half a second, the longest thirty seconds.
    pub const DEFAULT_RETRY: RetryConfig = RetryConfig {
        max_attempts: 12,
        timeout: Duration::from_secs(5 * 60),
        first_delay: Duration::from_millis(500),
        max_delay: Duration::from_secs(30),
    };

    /// A client for this connection. Nothing is sent.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the host is none, or a proxy is not a URL.
    pub fn new(connection: ConnectionConfig) -> Result<Self> {
        Self::with_retry(connection, Self::DEFAULT_RETRY)
    }

    /// A client that sends a request again as often, and for as long, as `retries` say.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_retry(connection: ConnectionConfig, retries: RetryConfig) -> Result<Self> {
        let transport = Transport::new(&connection, retries)?;
        parameters::warn_about_ignored(&connection);
        Ok(Self(Arc::new(ClientInner {
            connection: Arc::new(connection),
            transport: Arc::new(transport),
            meter: UsageCounters::default(),
        })))
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
