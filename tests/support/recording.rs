//! A client that records its calls.
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
    pub(crate) operation: Operation,
    /// The query tag.
    pub(crate) tag: Option<Arc<str>>,
}

/// A request to Snowflake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Login,
    Statement(Statement),
    /// A file for a stage, by the statement that [`HttpClient`] sends for it.
    ///
    /// [`HttpClient`]: snowfeed::internals::snowflake::HttpClient
    Put(Statement),
}

/// The requests to Snowflake, in order.
pub(crate) type Log = Arc<Mutex<Vec<Call>>>;

/// Forwards everything to another client, and records it before.
#[derive(Debug, Clone)]
pub(crate) struct RecordingClient {
    client: Arc<dyn Client>,
    log: Log,
    opened: Arc<AtomicUsize>,
}

impl RecordingClient {
    pub(crate) fn new(client: Arc<dyn Client>) -> Self {
        Self { client, log: Log::default(), opened: Arc::default() }
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// The statements since the last call.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let statements = self.take().into_iter().filter_map(|call| match call.operation {
            Operation::Statement(statement) | Operation::Put(statement) => Some(statement),
            Operation::Login => None,
        });
        statements.collect()
    }
}

#[async_trait]
impl Client for RecordingClient {
    async fn open(&self) -> Result<Box<dyn Session>> {
        let number = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
        let recorded =
            RecordingSession { session: self.client.open().await?, number, log: self.log.clone(), tag: None };
        recorded.record(Operation::Login);
        Ok(Box::new(recorded))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

#[derive(Debug)]
struct RecordingSession {
    session: Box<dyn Session>,
    number: usize,
    log: Log,
    tag: Option<Arc<str>>,
}

impl RecordingSession {
    fn record(&self, operation: Operation) {
        self.log.lock().unwrap().push(Call { session: self.number, operation, tag: self.tag.clone() });
    }
}

#[async_trait]
impl Session for RecordingSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.record(Operation::Statement(statement.clone()));
        self.session.execute(statement).await
    }

    fn set_query_tag(&mut self, tag: Arc<str>) {
        self.tag = Some(tag.clone());
        self.session.set_query_tag(tag);
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.record(Operation::Put(file.put_statement()?));
        self.session.put(file).await
    }

    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.session.close().await
    }
}
