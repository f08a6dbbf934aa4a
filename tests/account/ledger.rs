//! Records each step's requests to Snowflake, and the errors that came back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::internals::snowflake::{Client, IssuedToken, QueryResult, Session, StagedFile, Statement, Usage};
use snowfeed::{Error, Result};

/// One step's requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) statements: u64,
    pub(crate) logins: u64,
    pub(crate) files: u64,
    /// Codes of errors, each with the first words of the statement that it answered.
    pub(crate) codes: BTreeSet<(String, String)>,
}

/// Every step's requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<&'static str, Entry>>>);

impl Ledger {
    pub(crate) fn of(&self, step: &str) -> Entry {
        self.0.lock().unwrap().get(step).cloned().unwrap_or_default()
    }

    /// Returns a client whose calls are recorded for a step.
    pub(crate) fn watch(&self, step: &'static str, client: Arc<dyn Client>) -> Watched {
        Watched { client, step, ledger: self.clone() }
    }

    fn note(&self, step: &'static str, change: impl FnOnce(&mut Entry)) {
        change(self.0.lock().unwrap().entry(step).or_default());
    }
}

/// Forwards everything to another client.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    client: Arc<dyn Client>,
    step: &'static str,
    ledger: Ledger,
}

impl Watched {
    fn seen<T>(&self, asked: &str, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|error| {
            if let Some(code) = code(error) {
                let words: Vec<&str> = asked.split_whitespace().take(3).collect();
                self.ledger.note(self.step, |entry| entry.codes.extend([(code.to_owned(), words.join(" "))]));
            }
        })
    }
}

/// Snowflake's code of an error.
pub(crate) fn code(error: &Error) -> Option<&str> {
    error.code()
}

#[async_trait]
impl Client for Watched {
    async fn open(&self) -> Result<Box<dyn Session>> {
        self.ledger.note(self.step, |entry| entry.logins += 1);
        let session = self.seen("login", self.client.open().await)?;
        Ok(Box::new(WatchedSession { session, client: self.clone() }))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }

    fn session_ids(&self) -> Vec<u64> {
        self.client.session_ids()
    }
}

#[derive(Debug)]
struct WatchedSession {
    session: Box<dyn Session>,
    client: Watched,
}

#[async_trait]
impl Session for WatchedSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.client.ledger.note(self.client.step, |entry| entry.statements += 1);
        let sql = statement.sql.clone();
        self.client.seen(&sql, self.session.execute(statement).await)
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.client.ledger.note(self.client.step, |entry| {
            entry.statements += 1;
            entry.files += 1;
        });
        self.client.seen("PUT", self.session.put(file).await)
    }

    async fn issue_token(&mut self) -> Result<IssuedToken> {
        self.client.seen("token request", self.session.issue_token().await)
    }

    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.session.close().await
    }
}
