//! Adds an account's objects to a server that has only databases, and injects faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::internals::snowflake::{Client, QueryResult, Row, Session, Sql, StagedFile, Statement, Usage};
use snowfeed::{Error, ErrorKind, Result};

/// The injected behaviour of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Fails,
    Panics,
    /// It never ends.
    Hangs,
}

/// The objects of the account, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    objects: BTreeMap<(&'static str, String), String>,
    /// The statements' prefixes.
    pub(crate) faults: Vec<(&'static str, Fault)>,
}

const KINDS: [&str; 3] = ["DATABASE", "WAREHOUSE", "RESOURCE MONITOR"];

impl Catalog {
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        self.objects.iter().map(|((kind, name), comment)| (format!("{kind} {name}"), comment.clone())).collect()
    }

    /// Adds an object that an earlier run left behind.
    pub(crate) fn leave(&mut self, kind: &'static str, name: &str, comment: &str) {
        self.objects.insert((kind, name.to_owned()), comment.to_owned());
    }
}

/// A client of the imitation.
#[derive(Debug, Clone)]
pub(crate) struct Imitation {
    client: Arc<dyn Client>,
    catalog: Arc<Mutex<Catalog>>,
}

impl Imitation {
    pub(crate) fn new(client: Arc<dyn Client>, catalog: Arc<Mutex<Catalog>>) -> Self {
        Self { client, catalog }
    }
}

#[async_trait]
impl Client for Imitation {
    async fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(ImitationSession { session: self.client.open().await?, catalog: self.catalog.clone() }))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }

    fn session_ids(&self) -> Vec<u64> {
        self.client.session_ids()
    }
}

#[derive(Debug)]
struct ImitationSession {
    session: Box<dyn Session>,
    catalog: Arc<Mutex<Catalog>>,
}

fn table(columns: &[&str], rows: Vec<Vec<&str>>) -> QueryResult {
    let row = |cells: Vec<&str>| Row(cells.into_iter().map(|cell| Some(cell.into())).collect());
    QueryResult {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.into_iter().map(row).collect(),
        ..QueryResult::default()
    }
}

fn refused(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message.to_owned()).with_retry(snowfeed::Retry::Never).with_code(code)
}

/// The name at the start of a statement, as it is stored.
fn name_of(rest: &str) -> String {
    let Some(rest) = rest.strip_prefix('"') else {
        return rest.split_whitespace().next().unwrap_or_default().to_uppercase();
    };
    // In a quoted name, two quotes are one.
    let rest = rest.replace("\"\"", "\0");
    rest.split('"').next().unwrap_or_default().replace('\0', "\"")
}

/// A name in quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl ImitationSession {
    async fn create(&mut self, kind: &'static str, rest: &str) -> Result<QueryResult> {
        let name = name_of(rest);
        let comment = rest.split_once("COMMENT = '").and_then(|(_, rest)| rest.split('\'').next()).unwrap_or_default();
        let before = self.catalog.lock().unwrap().objects.insert((kind, name.clone()), comment.to_owned());
        if before.is_some() {
            return Err(refused("002002", &format!("SQL compilation error: object '{name}' already exists.")));
        }
        if kind == "DATABASE" {
            let name = quoted(&name);
            self.session.execute(Statement::new(Sql::assert_safe(format!("CREATE DATABASE {name}")))).await?;
            // Snowflake's databases have it from the beginning.
            return self
                .session
                .execute(Statement::new(Sql::assert_safe(format!("CREATE SCHEMA IF NOT EXISTS {name}.\"PUBLIC\""))))
                .await;
        }
        Ok(table(&["status"], vec![vec!["created"]]))
    }

    async fn drop(&mut self, kind: &'static str, rest: &str) -> Result<QueryResult> {
        let name = name_of(rest.trim_start_matches("IF EXISTS "));
        let was = self.catalog.lock().unwrap().objects.remove(&(kind, name.clone()));
        if kind == "DATABASE" && was.is_some() {
            // The imitation cannot drop a database, only what is in it. One that was never made there is empty.
            for schema in ["PUBLIC", "PUBLIC_RAW", "STATE"] {
                let drop = Statement::new(Sql::assert_safe(format!(
                    "DROP SCHEMA IF EXISTS {}.\"{schema}\" CASCADE",
                    quoted(&name)
                )));
                let _ = self.session.execute(drop).await;
            }
        }
        Ok(table(&["status"], vec![vec!["dropped"]]))
    }

    fn show(&self, kind: &str) -> QueryResult {
        let catalog = self.catalog.lock().unwrap();
        let found = catalog.objects.iter().filter(|((of, _), _)| *of == kind);
        table(&["name", "comment"], found.map(|((_, name), comment)| vec![name.as_str(), comment.as_str()]).collect())
    }
}

#[async_trait]
impl Session for ImitationSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        let sql = statement.sql.clone();
        let fault =
            self.catalog.lock().unwrap().faults.iter().find(|(beginning, _)| sql.starts_with(beginning)).copied();
        match fault {
            Some((_, Fault::Fails)) => {
                return Err(refused("003001", "SQL access control error: insufficient privileges"));
            }
            Some((_, Fault::Panics)) => panic!("a fault of the test"),
            Some((_, Fault::Hangs)) => std::future::pending().await,
            None => {}
        }
        for kind in KINDS {
            if let Some(rest) = sql.strip_prefix(&format!("CREATE {kind} ")) {
                return self.create(kind, rest).await;
            }
            if let Some(rest) = sql.strip_prefix(&format!("DROP {kind} ")) {
                return self.drop(kind, rest).await;
            }
            if sql.starts_with(&format!("SHOW {kind}S LIKE '{}", crate::objects::PREFIX)) {
                return Ok(self.show(kind));
            }
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
