//! One session: one statement at a time, at most one transaction, and polling for long statements.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use snowflake_api::connection::QueryType;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::cleanup::SessionCleanup;
use super::client_inner::ClientInner;
use super::login::{self, SessionTokens, TokenPair};
use super::polling::poll_until_done;
use super::stage::{self, Origin};
use super::statement::{StatementKind, operation};
use super::wire::{Bindings, Empty, Query, QueryData, Response, StatementParameters, TOKEN_EXPIRED};
use super::{IssuedToken, QueryResult, Session, StagedFile, Statement, error, result, wire};
use crate::spans;
use crate::{Error, ErrorKind, Result, Retry};

/// After this much idle time, a heartbeat precedes the next statement: Snowflake ends a session after four hours, and its token
/// after one.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(45 * 60);

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    /// Outside a transaction.
    Idle,
    /// Inside a transaction.
    InTransaction,
    /// A statement is running, or its future was dropped.
    Executing,
    /// Snowflake ended the transaction, or may have: no further statement may run as if it were part of it.
    Lost,
}

/// A session of [`HttpClient`](super::HttpClient).
pub(super) struct HttpSession {
    client: Arc<ClientInner>,
    cleanup: SessionCleanup,
    /// `None` once it is closed.
    session_tokens: Option<Arc<SessionTokens>>,
    phase: SessionState,
    sequence: u64,
    used: Instant,
    /// The tag of the statements; `None` for the session's own.
    query_tag: Option<Arc<str>>,
}

impl HttpSession {
    pub(super) fn new(client: Arc<ClientInner>, tokens: TokenPair) -> Self {
        Self {
            cleanup: SessionCleanup::new(Arc::clone(&client.transport)),
            client,
            session_tokens: Some(Arc::new(SessionTokens::new(tokens))),
            phase: SessionState::Idle,
            sequence: 0,
            used: Instant::now(),
            query_tag: None,
        }
    }

    /// Runs a statement and updates the session's state.
    async fn run(&mut self, statement: &Statement) -> Result<QueryData> {
        let kind = StatementKind::parse(&statement.sql);
        let phase = self.start(kind)?;
        let began = Instant::now();
        let request_id = Uuid::now_v7().to_string();
        let span = spans::statement(&operation(&statement.sql));
        let ended = self.execute_with_renewal(statement, &request_id, phase).instrument(span.clone()).await;
        self.client.meter.add_statement(statement, began);
        self.used = Instant::now();
        let ended = match ended {
            Ok(Response { success: true, data, .. }) => {
                let (phase, ended) = after_success(kind, phase, data);
                self.phase = phase;
                ended
            }
            Ok(reply) => {
                let is_lost = phase == SessionState::InTransaction && error::aborts_transaction(&reply);
                self.phase = if is_lost { SessionState::Lost } else { phase };
                Err(if statement.is_confidential() {
                    error::confidential_error(&reply)
                } else {
                    error::statement_error(&reply)
                })
            }
            Err(SendError::Ended(error)) => {
                self.phase = if phase == SessionState::InTransaction { SessionState::Lost } else { phase };
                Err(error)
            }
            Err(SendError::Unknown(error)) => {
                self.phase = if phase == SessionState::InTransaction || kind == StatementKind::Begin {
                    SessionState::Lost
                } else {
                    phase
                };
                Err(unknown_outcome(kind, phase, error))
            }
        };
        match &ended {
            Ok(data) => {
                span.record("query_id", data.query_id.as_deref());
            }
            Err(error) => {
                span.record("db.response.status_code", error.code());
                spans::fail(&span, error.kind());
            }
        }
        tracing::debug!(
            sql = &*statement.sql,
            request = request_id,
            query = ended.as_ref().ok().and_then(|data| data.query_id.as_deref()),
            elapsed_ms = began.elapsed().as_millis(),
            error = ended.as_ref().err().map(tracing::field::display),
            "a statement has ended"
        );
        ended
    }

    /// Claims the session for one statement.
    fn start(&mut self, kind: StatementKind) -> Result<SessionState> {
        match self.phase {
            SessionState::InTransaction if kind == StatementKind::Ddl => {
                Err(Error::internal("a statement that changes objects would commit the open transaction")
                    .with_help("run it before the transaction begins, or after its end"))
            }
            phase @ (SessionState::Idle | SessionState::InTransaction) => {
                // The state stays if the statement's future is dropped.
                self.phase = SessionState::Executing;
                Ok(phase)
            }
            SessionState::Executing => {
                Err(Error::internal("a session was used after one of its statements was cancelled")
                    .with_help("open another session"))
            }
            SessionState::Lost => Err(Error::unavailable("the session was lost, and its transaction with it")
                .with_help("open another session, and run the transaction again")),
        }
    }

    /// Runs a statement, and resumes an expired session once if nothing is lost by that.
    async fn execute_with_renewal(
        &mut self,
        statement: &Statement,
        request_id: &str,
        phase: SessionState,
    ) -> Result<Response<QueryData>, SendError> {
        if self.used.elapsed() > HEARTBEAT_AFTER {
            self.send_heartbeat(phase).await?;
        }
        self.sequence += 1;
        let reply = self.send(statement, request_id).await?;
        let Some(code) = reply.expiry().map(str::to_owned) else { return Ok(reply) };
        // Snowflake did not run it.
        self.resume(&code, phase).await?;
        self.send(statement, request_id).await
    }

    async fn send(&self, statement: &Statement, request_id: &str) -> Result<Response<QueryData>, SendError> {
        let session_tokens = self.tokens()?;
        let query = Query {
            sql_text: statement.text(),
            async_exec: false,
            sequence_id: self.sequence,
            query_submission_time: Timestamp::now().as_millisecond(),
            is_internal: false,
            bindings: Bindings(&statement.binds),
            parameters: self.query_tag.as_deref().map(|query_tag| StatementParameters { query_tag }),
        };
        let cancel_guard = self.cleanup.cancel_on_drop(session_tokens, &statement.sql, request_id);
        let transport = &self.client.transport;
        let parameters = [("requestId", request_id)];
        let reply = transport.request(QueryType::JsonQuery, &parameters, Some(&session_tokens.token()), query).await;
        let reply = poll_until_done(transport, session_tokens, reply.map_err(SendError::Unknown)?).await;
        let reply = reply.map_err(SendError::Unknown)?;
        cancel_guard.done();
        Ok(reply)
    }

    /// Keeps the session alive.
    async fn send_heartbeat(&mut self, phase: SessionState) -> Result<(), SendError> {
        let request_id = Uuid::now_v7().to_string();
        let token = self.tokens()?.token();
        let heartbeat = self.client.transport.post::<Value>("/session/heartbeat", &request_id, &token, Empty {});
        // The next statement shows whether a missing response matters.
        match heartbeat.await {
            Ok(reply) => match reply.expiry() {
                Some(code) => self.resume(code, phase).await,
                None => Ok(()),
            },
            Err(error) => {
                tracing::debug!(%error, "a heartbeat failed");
                Ok(())
            }
        }
    }

    /// Continues after Snowflake reported by `code` that the session has expired.
    async fn resume(&mut self, code: &str, phase: SessionState) -> Result<(), SendError> {
        let session_tokens = Arc::clone(self.tokens()?);
        // If only the token expired, the session and its transaction still exist.
        if code == TOKEN_EXPIRED
            && login::renew(&self.client.transport, &session_tokens).await.map_err(SendError::Ended)?
        {
            return Ok(());
        }
        if phase == SessionState::InTransaction {
            self.session_tokens = None;
            let error =
                Error::unavailable("the session expired within a transaction, which is lost: nothing was committed")
                    .with_code(code)
                    .with_help("run the whole transaction again, in another session");
            return Err(SendError::Ended(error));
        }
        session_tokens.replace(login::login(&self.client).await.map_err(SendError::Ended)?);
        Ok(())
    }

    fn tokens(&self) -> Result<&Arc<SessionTokens>, SendError> {
        self.session_tokens
            .as_ref()
            .ok_or_else(|| SendError::Ended(Error::internal("a session was used after its end")))
    }
}

/// Why a statement got no response.
enum SendError {
    /// It did not run.
    Ended(Error),
    /// It may have run, or may still be running.
    Unknown(Error),
}

impl SendError {
    fn into_error(self) -> Error {
        match self {
            Self::Ended(error) | Self::Unknown(error) => error,
        }
    }
}

/// The state after a successful statement, and its result.
///
/// COMMIT and ROLLBACK succeed without a result if no transaction is open. After our COMMIT this means that Snowflake has aborted
/// the transaction, and has committed every later statement on its own.
fn after_success(
    kind: StatementKind,
    phase: SessionState,
    data: Option<QueryData>,
) -> (SessionState, Result<QueryData>) {
    match (kind, data) {
        (StatementKind::Commit, None) if phase == SessionState::InTransaction => {
            (SessionState::Lost, Err(error::lost_transaction()))
        }
        (StatementKind::Commit | StatementKind::Rollback, data) => (SessionState::Idle, Ok(data.unwrap_or_default())),
        (kind, Some(data)) => {
            (if kind == StatementKind::Begin { SessionState::InTransaction } else { phase }, Ok(data))
        }
        // A BEGIN without a result may or may not have begun a transaction.
        (kind, None) => (
            if kind == StatementKind::Begin { SessionState::Lost } else { phase },
            Err(Error::invalid_data("Snowflake returned no result for a statement")),
        ),
    }
}

/// Adds to the error of a missing response which outcome is unknown.
fn unknown_outcome(kind: StatementKind, phase: SessionState, error: Error) -> Error {
    let message = match (kind, phase) {
        (StatementKind::Commit, _) => "no response to COMMIT: whether the transaction was committed is unknown",
        (StatementKind::Write | StatementKind::Ddl, SessionState::Idle) => {
            "no response to a statement: whether it had an effect is unknown"
        }
        _ => return error,
    };
    Error::new(ErrorKind::Unavailable, message)
        .with_help("run it again: stored data is recognized, and missing data is stored then")
        .with_retry(match error.retry() {
            Retry::After(_) => Retry::Backoff,
            retry => retry,
        })
        .with_source(error)
}

#[async_trait]
impl Session for HttpSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        let data = self.run(&statement).await?;
        let session_tokens = self.tokens().map_err(SendError::into_error)?;
        result::collect_rows(&self.client.transport, session_tokens, data).await
    }

    fn set_query_tag(&mut self, tag: Arc<str>) {
        self.query_tag = Some(tag);
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        let statement = file.put_statement()?;
        let origin = if self.client.transport.is_loopback() { Origin::Loopback } else { Origin::Remote };
        let mut again = true;
        loop {
            let answer = wire::put_response(&self.run(&statement).await?)?;
            let span = spans::upload();
            let uploaded = stage::upload(&answer, origin, &file.name, &file.content).instrument(span.clone()).await;
            let uploaded = uploaded.inspect_err(|error| spans::fail(&span, error.kind()));
            match uploaded {
                Ok(bytes) => {
                    span.record("bytes", spans::number(bytes));
                    self.client.meter.add_staged_bytes(bytes);
                    return Ok(());
                }
                // The credentials in the response are valid for an hour, and may have expired before the upload.
                Err(error) if error.kind() == ErrorKind::Authentication && again => again = false,
                Err(error) => return Err(error),
            }
        }
    }

    async fn issue_token(&mut self) -> Result<IssuedToken> {
        login::issue_token(&self.client.transport, self.tokens().map_err(SendError::into_error)?).await
    }

    fn is_idle(&self) -> bool {
        self.phase == SessionState::Idle
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        let Some(session_tokens) = self.session_tokens.clone() else { return Ok(()) };
        let closed = self.cleanup.close(&session_tokens).await;
        // Only now: if this future is dropped, the session is closed in the background.
        self.session_tokens = None;
        closed
    }
}

impl Drop for HttpSession {
    fn drop(&mut self) {
        if let Some(session_tokens) = self.session_tokens.take() {
            self.cleanup.close_later(session_tokens);
        }
    }
}

impl fmt::Debug for HttpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSession")
            .field("phase", &self.phase)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
