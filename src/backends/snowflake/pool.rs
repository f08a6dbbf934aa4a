//! A pool of sessions. A transaction belongs to its session, so that concurrent work needs separate ones.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::query_tag::QueryTags;
use crate::snowflake::{Client, Session, Statement};
use crate::{Error, Result};

/// Opens a session when none is idle.
#[derive(Debug, Clone)]
pub(super) struct SessionPool {
    client: Arc<dyn Client>,
    tags: Arc<QueryTags>,
    idle: Arc<Mutex<Vec<Box<dyn Session>>>>,
}

impl SessionPool {
    pub(super) fn new(client: Arc<dyn Client>, tags: QueryTags) -> Self {
        Self { client, tags: Arc::new(tags), idle: Arc::default() }
    }

    /// A pool of another client's sessions, with the same tags.
    pub(super) fn with_client(&self, client: Arc<dyn Client>) -> Self {
        Self { client, tags: Arc::clone(&self.tags), idle: Arc::default() }
    }

    pub(super) fn client(&self) -> &dyn Client {
        &*self.client
    }

    pub(super) fn tags(&self) -> &QueryTags {
        &self.tags
    }

    /// Takes a session out of the pool, or opens one. Its statements carry the constant tag.
    pub(super) async fn session(&self) -> Result<PooledSession> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.client.open().await?,
        };
        session.set_query_tag(self.tags.constant());
        Ok(PooledSession { session: Some(session), pool: self.clone() })
    }

    /// Ends the sessions that wait.
    pub(super) async fn close(&self) -> Result<()> {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for session in idle {
            session.close().await?;
        }
        Ok(())
    }
}

/// A session that returns to the pool on drop, unless it is busy: then it is closed, which rolls back its transaction.
#[derive(Debug)]
pub(super) struct PooledSession {
    session: Option<Box<dyn Session>>,
    pool: SessionPool,
}

impl PooledSession {
    /// Begins a transaction, to be [ended](Self::end) by the caller.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.execute(Statement::new("BEGIN TRANSACTION")).await.map(drop)
    }

    /// Ends a transaction: commits it if the work succeeded, else rolls it back. If the outcome of the COMMIT is unknown, `unknown`
    /// keeps the value.
    pub(super) async fn finish<T>(&mut self, done: Result<T>, unknown: &UnknownOutcome<T>) -> Result<T> {
        let Ok(given) = done else {
            // The first error counts. A session that cannot roll back is closed, which rolls back.
            drop(self.execute(Statement::new("ROLLBACK")).await);
            return done;
        };
        match self.execute(Statement::new("COMMIT")).await {
            Ok(_) => Ok(given),
            Err(error) => {
                unknown.set(given);
                Err(error)
            }
        }
    }
}

/// The value of an earlier attempt whose COMMIT got no response. It may have been committed.
#[derive(Debug)]
pub(super) struct UnknownOutcome<T>(Mutex<Option<T>>);

impl<T> UnknownOutcome<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn set(&self, given: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Deref for PooledSession {
    type Target = dyn Session;

    fn deref(&self) -> &Self::Target {
        self.session.as_deref().unwrap_or_else(|| unreachable!("a session is taken out at the end only"))
    }
}

impl DerefMut for PooledSession {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.session.as_deref_mut().unwrap_or_else(|| unreachable!("a session is taken out at the end only"))
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(|session| session.is_idle()) {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

/// Whether an object does not exist, or is hidden from this role: Snowflake does not distinguish the two.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error.code(), Some("002003" | "002043" | "2003" | "2043"))
}

/// Whether a statement names a column that its table does not have.
///
/// Unverified: see docs/unverified.md#error-codes. Snowflake's documentation does not list the code.
pub(super) fn lacks_column(error: &Error) -> bool {
    matches!(error.code(), Some("000904" | "904"))
}
