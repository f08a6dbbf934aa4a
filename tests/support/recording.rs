//! A client that writes down what passes through it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::Result;
use snowfeed::internals::snowflake::{Client, QueryResult, Session, StagedFile, Statement, Usage};

/// One call, by the number of the session that made it: the first one opened is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) session: usize,
    pub(crate) what: What,
}

/// What was asked of Snowflake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Login,
    Statement(Statement),
    /// A file for a stage, by the statement that [`HttpClient`] sends for it.
    ///
    /// [`HttpClient`]: snowfeed::internals::snowflake::HttpClient
    Put(Statement),
}

/// What was asked of Snowflake, in order.
pub(crate) type Log = Arc<Mutex<Vec<Call>>>;

/// Passes everything on to another client, and writes it down before.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    client: Arc<dyn Client>,
    log: Log,
    opened: Arc<AtomicUsize>,
}

impl Recording {
    pub(crate) fn of(client: Arc<dyn Client>) -> Self {
        Self { client, log: Log::default(), opened: Arc::default() }
    }

    /// What was asked since the last look.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// The statements that were sent since the last look.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let statements = self.take().into_iter().filter_map(|call| match call.what {
            What::Statement(statement) | What::Put(statement) => Some(statement),
            What::Login => None,
        });
        statements.collect()
    }
}

#[async_trait]
impl Client for Recording {
    async fn open(&self) -> Result<Box<dyn Session>> {
        let number = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
        let recorded = RecordedSession { session: self.client.open().await?, number, log: self.log.clone() };
        recorded.note(What::Login);
        Ok(Box::new(recorded))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

#[derive(Debug)]
struct RecordedSession {
    session: Box<dyn Session>,
    number: usize,
    log: Log,
}

impl RecordedSession {
    fn note(&self, what: What) {
        self.log.lock().unwrap().push(Call { session: self.number, what });
    }
}

#[async_trait]
impl Session for RecordedSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.note(What::Statement(statement.clone()));
        self.session.execute(statement).await
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.note(What::Put(file.put_statement()?));
        self.session.put(file).await
    }

    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.session.close().await
    }
}
