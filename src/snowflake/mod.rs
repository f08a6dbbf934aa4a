//! The driver: sessions, statements with bind variables, rows, and files on stages.
//!
//! [`Client`] and [`Session`] are traits, so that callers can be tested without a server. [`HttpClient`] implements them over
//! Snowflake's HTTP protocol.

#![cfg_attr(
    not(feature = "testkit"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "the app and the tests use the rest, through `internals`"
    )
)]

mod arrow;
mod awake;
mod blocking;
mod cleanup;
mod client;
mod client_inner;
pub mod connection;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod login;
mod parameters;
mod polling;
mod result;
mod row;
mod session;
mod sql;
pub mod stage;
mod statement;
mod transport;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

pub use client::HttpClient;
pub use connection::{ConnectionConfig, Credentials, Protocol};
pub(crate) use parameters::query_tag;
pub use row::{QueryResult, Row};
pub use sql::{Sql, SqlFragment};
pub(crate) use sql::{fragment, sql};
pub use statement::{Bind, StagedFile, Statement, stage_reference, text_literal};

use crate::{Error, ErrorKind, Result};

/// Opens sessions.
#[async_trait]
pub trait Client: Debug + Send + Sync + 'static {
    /// Logs in.
    ///
    /// # Errors
    /// [`Authentication`](crate::ErrorKind::Authentication) when Snowflake rejects the login;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when it cannot be reached.
    async fn open(&self) -> Result<Box<dyn Session>>;

    /// Returns what all sessions of this client have spent so far.
    fn usage(&self) -> Usage;

    /// Returns the ids of the newest sessions, in the order of their logins, without those that Snowflake gave no id. A client
    /// remembers a bounded number of them.
    fn session_ids(&self) -> Vec<u64> {
        Vec::new()
    }
}

/// One session: one statement at a time, and at most one transaction.
///
/// # Cancellation
/// When the future of a statement is dropped, the driver cancels the statement in Snowflake if it can reach it. The session must
/// not be used again: whether the statement had an effect is unknown. Dropping a session closes it and rolls back its
/// transaction.
///
/// # Errors
/// An error of Snowflake carries its code, SQL state and query id as [context](crate::Error::context).
#[async_trait]
pub trait Session: Debug + Send + Sync + 'static {
    /// Runs a statement to completion, however long it takes.
    ///
    /// If only the session's token has expired, the driver renews it, and nothing is lost. If the session has expired, the
    /// driver logs in once more and repeats the statement, but only outside a transaction. Inside one, the earlier statements
    /// are lost, and the error is [`Unavailable`](crate::ErrorKind::Unavailable): retry the whole transaction. The new session
    /// has none of the old one's temporary tables.
    ///
    /// If Snowflake has ended the transaction, the next statement, even a COMMIT, fails with the same error and advice; no later
    /// statement of the session runs as if the transaction were open. DDL is rejected inside a transaction, because it would
    /// commit it.
    ///
    /// If a COMMIT, or a write outside a transaction, gets no response, the error reports an unknown outcome. After that, or
    /// after a lost transaction, the session may be unusable; see [`is_idle`](Self::is_idle).
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult>;

    /// Tags each following statement with this text, instead of the session's own QUERY_TAG. It sends nothing.
    fn set_query_tag(&mut self, _tag: Arc<str>) {}

    /// Uploads a file to a stage, replacing one of the same name.
    async fn put(&mut self, file: StagedFile) -> Result<()>;

    /// Issues a token of this session for another client: the account's image registry accepts it as a password.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) by a session without tokens;
    /// [`Authentication`](crate::ErrorKind::Authentication) when Snowflake refuses.
    async fn issue_token(&mut self) -> Result<IssuedToken> {
        Err(Error::new(ErrorKind::Unsupported, "this session issues no tokens"))
    }

    /// Whether the session can run another statement outside a transaction.
    fn is_idle(&self) -> bool;

    /// Ends the session.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A token that a session issued for another client.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// How long it is valid.
    pub validity: Duration,
}

/// The usage of Snowflake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Usage {
    /// Statements run, PUT among them.
    pub statements: u64,
    /// Logins.
    pub logins: u64,
    /// Bytes stored on stages, compressed.
    pub staged_bytes: u64,
    /// Time from sending statements to their results, in milliseconds. Concurrent statements each count in full.
    pub busy_ms: u64,
    /// How long the statements kept a warehouse awake, in milliseconds: an estimate, for a warehouse that no one else uses and that
    /// suspends itself after 60 seconds.
    pub awake_ms: u64,
}
