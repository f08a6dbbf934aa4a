//! Transactions that the server aborts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use snowfeed::internals::snowflake::{Client, QueryResult, Session, StagedFile, Statement, Usage};
use snowfeed::{Result, Sink, StateStore, StateVersion};

use crate::load::rows;
use crate::scene::{Scene, ask, cell};
use crate::source::{commit_with_state, issue, key, resource, table};
use crate::step::{Ended, ensure};

/// The error in a session after another session aborted its transaction.
pub(crate) async fn statement_by_statement(scene: &Scene<'_>) -> Ended {
    let database = scene.database("ABORT").await?;
    let (mut session, mut other) = (scene.session().await?, scene.session().await?);
    let table = format!("{database}.PUBLIC.ROWS_OF_AN_ABORTED_TRANSACTION");
    ask(&mut *session, format!("CREATE TABLE {table} (N NUMBER(38, 0))")).await?;
    ask(&mut *session, "BEGIN TRANSACTION").await?;
    ask(&mut *session, format!("INSERT INTO {table} (N) SELECT 1")).await?;
    let transaction = cell(&ask(&mut *session, "SELECT CURRENT_TRANSACTION()").await?)?;
    ensure!(!transaction.is_empty(), "CURRENT_TRANSACTION() is null within a transaction");
    let abort = format!("SELECT SYSTEM$ABORT_TRANSACTION({transaction})");
    let mut notes = vec![format!("the abort returned {:?}", cell(&ask(&mut *other, &abort).await?)?)];
    for sql in [&format!("INSERT INTO {table} (N) SELECT 2"), "SELECT CURRENT_TRANSACTION()", "COMMIT"] {
        let answer = match ask(&mut *session, sql).await {
            Ok(answer) => format!("succeeds with {} rows", answer.rows.len()),
            Err(error) => format!("fails: {error}"),
        };
        notes.push(format!("after the abort, `{}` {answer}", sql.split(' ').take(2).collect::<Vec<_>>().join(" ")));
    }
    let first = ask(&mut *other, format!("SELECT COUNT(*) AS N FROM {table} WHERE N = 1")).await?;
    ensure!(first.rows[0].integer(0)? == 0, "a row of the aborted transaction is stored");
    let second = ask(&mut *other, format!("SELECT COUNT(*) AS N FROM {table} WHERE N = 2")).await?;
    notes.push(format!("{} rows were stored by the statement after the abort", second.rows[0].integer(0)?));
    Ok(notes)
}

/// A commit whose transaction is aborted before one of its statements applies wholly or not at all: at each of them in turn.
pub(crate) async fn commit(scene: &Scene<'_>) -> Ended {
    let database = scene.database("ABORTED_COMMIT").await?;
    let maker = scene.backend(&database)?;
    let mut notes = Vec::new();
    for at in 1.. {
        let one = resource(&format!("aborted before statement {at}"));
        maker.ensure_streams(&one, &[table()]).await?;
        let aborting = Aborting { client: Arc::new(scene.client_in(&database)?), at, seen: Arc::default() };
        let (seen, writer) = (aborting.seen.clone(), scene.backend_over(aborting, &database));
        let ended = writer.commit(commit_with_state(&one, vec![issue(1), issue(2)], StateVersion::NONE)).await;
        let reader = scene.backend(&database)?;
        let found = rows(&reader, &one).await?.len();
        let state = reader.latest(&key(&one)).await?.is_some();
        let is_whole = if ended.is_ok() { found == 2 && state } else { found == 0 && !state };
        let outcome = ended.as_ref().map_or_else(ToString::to_string, |_| "committed".into());
        ensure!(is_whole, "aborted before statement {at}: {found} rows, state {state}, and the writer got: {outcome}");
        // A failed commit can be repeated.
        let again = commit_with_state(&one, vec![issue(1), issue(2)], StateVersion::NONE);
        if ended.is_err() {
            reader.commit(again).await?;
        }
        if seen.load(Ordering::SeqCst) < at {
            notes.push(format!("{} statements in a transaction, aborted before each", at - 1));
            break;
        }
        notes.push(format!("before statement {at}: {outcome}"));
    }
    Ok(notes)
}

/// Aborts the first transaction before its n-th statement.
#[derive(Debug, Clone)]
struct Aborting {
    client: Arc<dyn Client>,
    at: usize,
    /// Statements in transactions so far.
    seen: Arc<AtomicUsize>,
}

#[async_trait]
impl Client for Aborting {
    async fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(AbortingSession { session: self.client.open().await?, of: self.clone(), within: false }))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

#[derive(Debug)]
struct AbortingSession {
    session: Box<dyn Session>,
    of: Aborting,
    within: bool,
}

#[async_trait]
impl Session for AbortingSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        if self.within && self.of.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.of.at {
            let transaction = cell(&ask(&mut *self.session, "SELECT CURRENT_TRANSACTION()").await?)?;
            if !transaction.is_empty() {
                let mut other = self.of.client.open().await?;
                ask(&mut *other, format!("SELECT SYSTEM$ABORT_TRANSACTION({transaction})")).await?;
            }
        }
        match statement.sql.as_str() {
            sql if sql.starts_with("BEGIN") => self.within = true,
            "COMMIT" | "ROLLBACK" => self.within = false,
            _ => {}
        }
        self.session.execute(statement).await
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.session.put(file).await
    }

    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.session.close().await
    }
}
