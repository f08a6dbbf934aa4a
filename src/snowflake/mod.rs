//! The driver: sessions, statements with bind variables, rows, and files on stages.
//!
//! [`Client`] and [`Session`] are traits, so that what is built on them can be tested without a server. [`HttpClient`] is the
//! implementation that talks to Snowflake.

#![cfg_attr(not(feature = "testkit"), allow(unreachable_pub, reason = "`testkit` exposes it as `internals`"))]

mod arrow;
mod blocking;
mod cleanup;
mod client;
pub mod connection;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod login;
mod parameters;
mod result;
mod session;
mod sql;
pub mod stage;
mod statement;
mod transport;
mod wire;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

pub use client::HttpClient;
pub use connection::{ConnectionConfig, Credentials, Protocol};
pub use result::{QueryResult, Row};
pub use sql::{Sql, SqlFragment};
pub(crate) use sql::{fragment, sql};
pub use statement::{Bind, StagedFile, Statement, stage_reference, text_literal};

use crate::{Error, ErrorKind, Result};

/// Where sessions come from.
#[async_trait]
pub trait Client: Debug + Send + Sync + 'static {
    /// Logs in.
    ///
    /// # Errors
    /// [`Authentication`](crate::ErrorKind::Authentication) when Snowflake refuses who we say we are;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when it cannot be reached.
    async fn open(&self) -> Result<Box<dyn Session>>;

    /// What was spent so far, by all sessions of this client.
    fn usage(&self) -> Usage;

    /// The numbers of the newest sessions, in the order of their logins; those that Snowflake gave no number are left out. A
    /// client that opens sessions without end remembers a bounded number of them.
    fn session_ids(&self) -> Vec<u64> {
        Vec::new()
    }
}

/// One session: one statement at a time, and at most one transaction.
///
/// # Cancellation
/// A statement whose future is dropped is cancelled in Snowflake, as far as it can be reached, and the session must not be
/// used again: whether the statement had an effect is unknown. Dropping a session closes it, and rolls back its transaction.
///
/// # Errors
/// An error of Snowflake carries its code, SQL state and query id as [context](crate::Error::context).
#[async_trait]
pub trait Session: Debug + Send + Sync + 'static {
    /// Runs a statement to its end, however long it takes.
    ///
    /// Where only the session's token has expired, it gets a new one, and nothing is lost. After an expired session it logs
    /// in again, once, and repeats the statement, but only outside of a transaction: within one, what came before is lost,
    /// and the error ([`Unavailable`](crate::ErrorKind::Unavailable), worth a retry of the whole transaction) says so. The
    /// new session has none of the old one's temporary tables.
    ///
    /// Where Snowflake has ended a transaction by itself, the statement that learns of it fails with the same error and advice, be
    /// it the COMMIT; no later statement of the session runs as if the transaction were open. A statement that makes, changes or
    /// drops objects is refused within a transaction, which it would commit.
    ///
    /// When no answer comes to a COMMIT, or to a statement that changes something outside of a transaction, the error says
    /// that its outcome is unknown. After that, or after a lost transaction, the session may be of no more use; see
    /// [`is_idle`](Self::is_idle).
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult>;

    /// Stores a file on a stage, replacing one of the same name.
    async fn put(&mut self, file: StagedFile) -> Result<()>;

    /// A token of this session for another client: the image registry of the account takes it as a password.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) by a session that has none; [`Authentication`](crate::ErrorKind::Authentication)
    /// when Snowflake refuses.
    async fn issue_token(&mut self) -> Result<IssuedToken> {
        Err(Error::new(ErrorKind::Unsupported, "this session issues no tokens"))
    }

    /// Whether the session can be used for another statement outside of a transaction.
    fn is_idle(&self) -> bool;

    /// Ends the session.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A token that a session has issued for another client.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// For how long it is good.
    pub validity: Duration,
}

/// What was spent on Snowflake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Usage {
    /// Statements run, PUT among them.
    pub statements: u64,
    /// Logins.
    pub logins: u64,
    /// Bytes stored on stages, compressed.
    pub staged_bytes: u64,
    /// Time from sending statements to their answers, in milliseconds. Statements side by side count once each.
    pub busy_ms: u64,
}
