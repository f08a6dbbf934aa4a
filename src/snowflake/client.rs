//! The client that talks to Snowflake.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

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

/// The state that all sessions of a client share.
pub(super) struct ClientInner {
    pub(super) connection: Arc<ConnectionConfig>,
    pub(super) transport: Arc<Transport>,
    pub(super) meter: UsageCounters,
}

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
        self.0.meter.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
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

/// How many session ids are remembered. A long-running program opens ever more sessions, and each is a branch of the statement
/// that queries their [cost](crate::backends::Snowflake::warehouse_time).
const MAX_SESSION_IDS: usize = 64;

/// Counts usage.
#[derive(Debug, Default)]
pub(super) struct UsageCounters {
    statements: AtomicU64,
    logins: AtomicU64,
    staged_bytes: AtomicU64,
    busy_ms: AtomicU64,
    /// The numbers that Snowflake gave to the newest [`SESSIONS`] sessions, oldest first.
    sessions: Mutex<VecDeque<u64>>,
}

impl UsageCounters {
    pub(super) fn add_statement(&self, time: Duration) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.busy_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn add_login(&self, session: Option<u64>) {
        self.logins.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.extend(session);
        if sessions.len() > MAX_SESSION_IDS {
            sessions.pop_front();
        }
    }

    pub(super) fn add_staged_bytes(&self, bytes: u64) {
        self.staged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn read(&self) -> Usage {
        Usage {
            statements: self.statements.load(Ordering::Relaxed),
            logins: self.logins.load(Ordering::Relaxed),
            staged_bytes: self.staged_bytes.load(Ordering::Relaxed),
            busy_ms: self.busy_ms.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_sessions_are_remembered() {
        let meter = UsageCounters::default();
        (0..1_000).for_each(|session| meter.add_login(Some(session)));
        meter.add_login(None);
        let sessions = meter.sessions.lock().unwrap();
        assert_eq!((sessions.len(), sessions.front(), sessions.back()), (MAX_SESSION_IDS, Some(&936), Some(&999)));
        assert_eq!(meter.read().logins, 1_001);
    }
}
