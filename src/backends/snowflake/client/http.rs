//! The client that talks to Snowflake.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::super::connection::Connection;
use super::session::HttpSession;
use super::transport::Transport;
use super::{Client, Session, Spent, login, parameters};
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
pub struct HttpClient(Arc<Shared>);

/// What all sessions of a client have in common.
pub(super) struct Shared {
    pub(super) connection: Arc<Connection>,
    pub(super) transport: Arc<Transport>,
    pub(super) meter: Meter,
}

impl HttpClient {
    /// How often, and for how long, a request that brought no answer is sent again unless something else is said: twelve attempts
    /// within five minutes, the first delay half a second, the longest thirty seconds.
    pub const RETRIES: RetryConfig = RetryConfig {
        max_attempts: 12,
        timeout: Duration::from_secs(5 * 60),
        first_delay: Duration::from_millis(500),
        max_delay: Duration::from_secs(30),
    };

    /// A client for this connection. Nothing is sent.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the host is none, or a proxy is not a URL.
    pub fn new(connection: Connection) -> Result<Self> {
        Self::with_retries(connection, Self::RETRIES)
    }

    /// A client that sends a request again as often, and for as long, as `retries` say.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_retries(connection: Connection, retries: RetryConfig) -> Result<Self> {
        let transport = Transport::new(&connection, retries)?;
        parameters::warn_of_ignored(&connection);
        Ok(Self(Arc::new(Shared {
            connection: Arc::new(connection),
            transport: Arc::new(transport),
            meter: Meter::default(),
        })))
    }
}

#[async_trait]
impl Client for HttpClient {
    async fn open(&self) -> Result<Box<dyn Session>> {
        let tokens = login::login(&self.0).await?;
        Ok(Box::new(HttpSession::new(Arc::clone(&self.0), tokens)))
    }

    fn spent(&self) -> Spent {
        self.0.meter.read()
    }

    fn sessions(&self) -> Vec<u64> {
        self.0.meter.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connection { account, host, port, user, .. } = &*self.0.connection;
        f.debug_struct("HttpClient")
            .field("account", account)
            .field("host", host)
            .field("port", port)
            .field("user", user)
            .finish_non_exhaustive()
    }
}

/// How many sessions are remembered: a program that runs for years opens more and more of them, and each is a branch of the
/// statement that asks for their [cost](super::super::Snowflake::warehouse_time).
const SESSIONS: usize = 64;

/// Counts what is spent.
#[derive(Debug, Default)]
pub(super) struct Meter {
    statements: AtomicU64,
    logins: AtomicU64,
    staged_bytes: AtomicU64,
    busy_ms: AtomicU64,
    /// The numbers that Snowflake gave to the newest [`SESSIONS`] sessions, oldest first.
    sessions: Mutex<VecDeque<u64>>,
}

impl Meter {
    pub(super) fn ran(&self, time: Duration) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.busy_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn logged_in(&self, session: Option<u64>) {
        self.logins.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.extend(session);
        if sessions.len() > SESSIONS {
            sessions.pop_front();
        }
    }

    pub(super) fn staged(&self, bytes: u64) {
        self.staged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn read(&self) -> Spent {
        Spent {
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
        let meter = Meter::default();
        (0..1_000).for_each(|session| meter.logged_in(Some(session)));
        meter.logged_in(None);
        let sessions = meter.sessions.lock().unwrap();
        assert_eq!((sessions.len(), sessions.front(), sessions.back()), (SESSIONS, Some(&936), Some(&999)));
        assert_eq!(meter.read().logins, 1_001);
    }
}
