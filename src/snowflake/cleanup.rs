//! Requests that outlive their caller: cancelling a statement and closing a session.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use snowflake_api::connection::QueryType;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::error;
use super::login::{self, SessionTokens};
use super::transport::Transport;
use super::wire::{Abort, Empty, Response, TOKEN_EXPIRED};
use crate::{Error, Result};

/// The timeout of such a request. Snowflake itself ends abandoned statements and sessions, only later.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often to cancel a statement that is not running yet, and the pause between attempts.
const MAX_ABORTS: u32 = 5;
const ABORT_PAUSE: Duration = Duration::from_millis(200);

/// The code for a statement that is not running: not yet, or no longer.
const NOT_RUNNING: &str = "000605";

/// Sends these requests one after the other: a closed session can no longer cancel a statement.
#[derive(Clone)]
pub(super) struct SessionCleanup {
    transport: Arc<Transport>,
    runtime: Handle,
    order: Arc<Mutex<()>>,
}

impl SessionCleanup {
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn new(transport: Arc<Transport>) -> Self {
        Self { transport, runtime: Handle::current(), order: Arc::default() }
    }

    /// Closes a session and waits for Snowflake's confirmation. A session that no longer exists counts as closed.
    pub(super) async fn close(&self, tokens: &SessionTokens) -> Result<()> {
        let _guard = self.order.lock().await;
        close(&self.transport, tokens).await
    }

    /// Closes a session in the background.
    pub(super) fn close_later(&self, tokens: Arc<SessionTokens>) {
        let cleanup = self.clone();
        // A runtime that is shutting down drops the task.
        self.runtime.spawn(async move {
            if let Err(error) = cleanup.close(&tokens).await {
                tracing::debug!(%error, "a session was left open; Snowflake closes it after some idle hours");
            }
        });
    }

    /// Returns a guard that cancels the statement if it is dropped before [`CancelOnDrop::done`].
    pub(super) fn cancel_on_drop<'a>(
        &'a self,
        tokens: &'a Arc<SessionTokens>,
        sql: &'a str,
        request_id: &'a str,
    ) -> CancelOnDrop<'a> {
        CancelOnDrop { cleanup: self, tokens, sql, request_id, done: false }
    }

    fn cancel_later(&self, tokens: Arc<SessionTokens>, sql: String, request_id: String) {
        let transport = Arc::clone(&self.transport);
        // Locked before the task starts, so that a later close waits for it.
        let guard = Arc::clone(&self.order).try_lock_owned().ok();
        self.runtime.spawn(async move {
            let _guard = guard;
            let abort = abort(&transport, &tokens, &sql, &request_id);
            match with_timeout(abort).await {
                Ok(reply) if reply.success => tracing::debug!(request = request_id, "a statement was cancelled"),
                Ok(reply) => tracing::debug!(request = request_id, code = reply.code, "a statement was not cancelled"),
                Err(error) => tracing::debug!(request = request_id, %error, "a statement was not cancelled"),
            }
        });
    }
}

/// See [`SessionCleanup::cancel_on_drop`].
pub(super) struct CancelOnDrop<'a> {
    cleanup: &'a SessionCleanup,
    tokens: &'a Arc<SessionTokens>,
    sql: &'a str,
    request_id: &'a str,
    done: bool,
}

impl CancelOnDrop<'_> {
    /// The statement is done.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.cleanup.cancel_later(Arc::clone(self.tokens), self.sql.to_owned(), self.request_id.to_owned());
        }
    }
}

/// Cancels a statement. If it is not running yet, Snowflake finds nothing to cancel and runs it later, hence the attempts.
async fn abort(transport: &Transport, tokens: &SessionTokens, sql: &str, request_id: &str) -> Result<Response<Value>> {
    let (mut tries, mut renewed) = (MAX_ABORTS, false);
    loop {
        let own_id = Uuid::now_v7().to_string();
        let body = Abort { sql_text: sql, request_id };
        let reply = transport.post::<Value>("/queries/v1/abort-request", &own_id, &tokens.token(), body).await?;
        tries -= 1;
        if reply.expiry() == Some(TOKEN_EXPIRED) && !renewed && login::renew(transport, tokens).await? {
            renewed = true;
        } else if !reply.success && reply.code.as_deref() == Some(NOT_RUNNING) && tries > 0 {
            tokio::time::sleep(ABORT_PAUSE).await;
        } else {
            return Ok(reply);
        }
    }
}

async fn close(transport: &Transport, tokens: &SessionTokens) -> Result<()> {
    let request = || async {
        let token = tokens.token();
        let request_id = Uuid::now_v7().to_string();
        let parameters = [("delete", "true"), ("requestId", request_id.as_str())];
        transport.request::<Value>(QueryType::CloseSession, &parameters, Some(&token), Empty {}).await
    };
    let reply = with_timeout(async {
        let reply = request().await?;
        // If only the token expired, the session still exists, and its transaction holds locks.
        if reply.expiry() == Some(TOKEN_EXPIRED) && login::renew(transport, tokens).await? {
            return request().await;
        }
        Ok(reply)
    });
    let reply = reply.await?;
    if reply.success || reply.expiry().is_some() {
        return Ok(());
    }
    Err(error::with_code(Error::unavailable("Snowflake did not close a session"), reply.code.as_deref())
        .with_help("Snowflake closes it after some idle hours"))
}

async fn with_timeout<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(TIMEOUT, request).await.unwrap_or_else(|_| {
        Err(Error::unavailable("Snowflake did not answer in time").with_context("timeout", format!("{TIMEOUT:?}")))
    })
}
