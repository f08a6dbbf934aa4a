//! The state shared by all sessions of a client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::awake::AwakeTime;
use super::connection::ConnectionConfig;
use super::transport::Transport;
use super::{Statement, Usage};

/// The state shared by all sessions of a client.
pub(super) struct ClientInner {
    pub(super) connection: Arc<ConnectionConfig>,
    pub(super) transport: Arc<Transport>,
    pub(super) meter: Arc<UsageCounters>,
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
    awake: Mutex<AwakeTime>,
    /// The numbers that Snowflake gave to the newest [`SESSIONS`] sessions, oldest first.
    sessions: Mutex<VecDeque<u64>>,
}

impl UsageCounters {
    /// Counts a statement that has ended now.
    pub(super) fn add_statement(&self, statement: &Statement, began: Instant) {
        let ended = Instant::now();
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.busy_ms.fetch_add(millis(ended - began), Ordering::Relaxed);
        self.awake.lock().unwrap_or_else(PoisonError::into_inner).add(statement, began, ended);
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

    pub(super) fn session_ids(&self) -> Vec<u64> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    pub(super) fn read(&self) -> Usage {
        Usage {
            statements: self.statements.load(Ordering::Relaxed),
            logins: self.logins.load(Ordering::Relaxed),
            staged_bytes: self.staged_bytes.load(Ordering::Relaxed),
            busy_ms: self.busy_ms.load(Ordering::Relaxed),
            awake_ms: millis(self.awake.lock().unwrap_or_else(PoisonError::into_inner).total()),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
