//! A small account: it executes the statements of `app deploy`, `app install` and the rest, and those of Snowflake's own
//! command line. It rejects what Snowflake's documentation says Snowflake rejects: the rules are in
//! `tests/snowflake/rules/deploy.toml`, each with the test in `deploy/rules.rs` that breaks it.

// By their paths: the acceptance run shares this file.
#[path = "account/application.rs"]
mod application;
#[path = "account/limits.rs"]
mod limits;
#[path = "account/package.rs"]
mod package;
#[path = "account/show.rs"]
mod show;
#[path = "account/sql_tokens.rs"]
mod sql_tokens;
#[path = "account/statements.rs"]
mod statements;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use snowfeed::internals::snowflake::Client;
use snowfeed::native_app::deploy;
use tempfile::TempDir;

use crate::scripted::{QUERY, RENEW, ReceivedRequest, Reply, ScriptedServer};

/// The token that the session issues to other clients.
pub(crate) const ISSUED: &str = "hunter2-issued-token";

/// A package.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Package {
    pub(crate) comment: String,
    pub(crate) channels: bool,
    /// Version, patch and label.
    pub(crate) versions: Vec<(String, u64, String)>,
    pub(crate) channel: Vec<String>,
    /// Versions leaving the channel, with the number of polls for which they stay.
    pub(crate) leaving: BTreeMap<String, usize>,
    pub(crate) released: Option<(String, u64)>,
    /// The privileges in each version's manifest, which no patch may change.
    pub(crate) privileges: BTreeMap<String, BTreeSet<String>>,
}

/// How an application was installed; it is upgraded in the same way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum InstalledFrom {
    /// A version or patch that was named: development mode.
    #[default]
    Version,
    /// The release directive of the package, or of a listing.
    Release,
}

/// An application.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Application {
    pub(crate) comment: String,
    pub(crate) source: String,
    pub(crate) from: InstalledFrom,
    pub(crate) version: String,
    pub(crate) patch: u64,
    /// The version that it was upgraded from, while runs on that version continue.
    pub(crate) previous: Option<(String, u64)>,
    /// Whether each privilege was granted.
    pub(crate) privileges: BTreeMap<String, bool>,
    /// The object that each reference is bound to.
    pub(crate) references: BTreeMap<String, String>,
    /// Application role and role.
    pub(crate) roles: BTreeSet<(String, String)>,
    /// Kind and name.
    pub(crate) owned: Vec<(String, String)>,
}

/// An object with a comment and a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AccountObject {
    pub(crate) comment: String,
    pub(crate) value: String,
    /// The type of a secret or of a network rule.
    pub(crate) kind: String,
    /// The mode of a network rule.
    pub(crate) mode: String,
}

impl AccountObject {
    /// A secret of `TYPE = GENERIC_STRING`.
    pub(crate) fn secret(comment: &str, value: &str) -> Self {
        Self { comment: comment.into(), value: value.into(), kind: "GENERIC_STRING".into(), mode: String::new() }
    }

    /// A network rule as external access needs it.
    pub(crate) fn rule(comment: &str, value: &str) -> Self {
        Self { comment: comment.into(), value: value.into(), kind: "HOST_PORT".into(), mode: "EGRESS".into() }
    }
}

/// A compute pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pool {
    /// The role or the application that owns it.
    pub(crate) owner: String,
    /// The application that uses it exclusively; it stays when the application is dropped.
    pub(crate) application: Option<String>,
    pub(crate) services: u64,
    pub(crate) jobs: u64,
}

/// The account's objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AccountContents {
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) applications: BTreeMap<String, Application>,
    pub(crate) databases: BTreeSet<String>,
    pub(crate) schemas: BTreeSet<String>,
    pub(crate) stages: BTreeSet<String>,
    pub(crate) repositories: BTreeMap<String, String>,
    pub(crate) rules: BTreeMap<String, AccountObject>,
    pub(crate) secrets: BTreeMap<String, AccountObject>,
    pub(crate) integrations: BTreeMap<String, AccountObject>,
    pub(crate) pools: BTreeMap<String, Pool>,
}

/// A fault injected into a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InjectedFault {
    /// Snowflake fails, and the statement has no effect.
    Fails,
    /// The statement takes effect, and its response is lost.
    LostResponse,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) contents: AccountContents,
    /// The statements received, each once.
    pub(crate) log: Vec<String>,
    /// The prefixes of statements that the role may not execute.
    pub(crate) forbidden: Vec<&'static str>,
    /// The row of the app's view `CONNECTOR_OVERVIEW`: health, since, code, cause, help, complete up to.
    pub(crate) health: Option<[&'static str; 6]>,
    /// The result of Snowflake's validation.
    pub(crate) validation: Option<Value>,
    /// The number of further statements before the fault, and the fault.
    pub(crate) fault: Option<(usize, InjectedFault)>,
    /// An error for statements with this prefix: code and message.
    pub(crate) errors: Vec<(&'static str, &'static str, &'static str)>,
    /// The references that the app requests.
    pub(crate) references: Vec<String>,
    /// Whether privileges are granted at installation.
    pub(crate) grants_at_installation: bool,
    /// For how many polls of a release channel a dropped version stays in it.
    pub(crate) removal_polls: usize,
    /// Where new image repositories are, instead of `registry.invalid`.
    pub(crate) registry: Option<String>,
    folder: PathBuf,
    seen: HashMap<String, Option<Reply>>,
}

/// Why a statement is rejected: code, state, message.
pub(super) type SqlError = (String, &'static str, String);

/// A server with an account.
pub(crate) struct Account {
    pub(crate) server: ScriptedServer,
    state: Arc<Mutex<State>>,
    folder: TempDir,
}

impl Account {
    /// An account with the database and the repository of the images, and nothing else.
    pub(crate) async fn start() -> Self {
        let account = Self::fresh().await;
        {
            let contents = &mut account.state().contents;
            contents.databases.insert("SNOWFEED".into());
            contents.schemas.insert("SNOWFEED.PUBLIC".into());
            let url = "registry.invalid/snowfeed/public/images";
            contents.repositories.insert("SNOWFEED.PUBLIC.IMAGES".into(), url.into());
        }
        account
    }

    /// An empty account.
    pub(crate) async fn fresh() -> Self {
        let (server, folder) = (ScriptedServer::start().await, TempDir::new().unwrap());
        let state = State {
            folder: folder.path().to_owned(),
            references: ["warehouse_reference", "github_external_access", "private_key", "token"]
                .map(str::to_owned)
                .to_vec(),
            grants_at_installation: true,
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let answering = Arc::clone(&state);
        server.on_request(QUERY, move |asked| answering.lock().unwrap().answer(asked));
        let issued = json!({ "sessionToken": ISSUED, "validityInSecondsST": 3600 });
        server.on(RENEW, [Reply::json(json!({ "data": issued, "success": true }))]);
        Self { server, state, folder }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn contents(&self) -> AccountContents {
        self.state().contents.clone()
    }

    /// A session in it.
    pub(crate) async fn open(&self) -> deploy::Account {
        snowfeed::internals::app_account(self.server.client().open().await.unwrap())
    }

    /// The statements received since the last call.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// The statements since the last call that may change something.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.log().into_iter().filter(|sql| is_change(sql)).collect()
    }

    /// The files of all stages.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.folder.path()).into_iter().map(|(path, file)| (path, fs::read(file).unwrap())).collect()
    }

    /// Adds a file to a stage, as a user would.
    pub(crate) fn put_file(&self, path: &str, content: &[u8]) {
        fs::write(self.folder.path().join(path), content).unwrap();
    }

    /// Stops injecting failures.
    pub(crate) fn clear_fault(&self) {
        self.state().fault = None;
    }
}

/// Whether a statement may change something.
pub(crate) fn is_change(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
    !matches!(first.as_str(), "SHOW" | "LIST" | "LS" | "DESC" | "DESCRIBE" | "SELECT" | "USE")
        && !sql.to_uppercase().contains("SYSTEM$VALIDATE")
}

/// Files below a folder, by their paths in it.
pub(super) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    found
}

impl State {
    /// The response to a statement.
    pub(crate) fn answer(&mut self, asked: &ReceivedRequest) -> Reply {
        let id = asked.query.get("requestId").or_else(|| asked.query.get("request_id")).cloned().unwrap_or_default();
        // Snowflake recognises a retried request.
        if let Some(before) = self.seen.get(&id) {
            return before.clone().unwrap_or(Reply::Reset);
        }
        let sql = asked.sql().to_owned();
        self.log.push(sql.clone());
        let fault = match &mut self.fault {
            Some((0, fault)) => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        let act = match fault {
            Some(InjectedFault::Fails) => Some(Reply::error("000603", "XX000", "SQL execution internal error")),
            fault => {
                let answer = match self.refused(&sql).map_or_else(|| self.run(&sql), Err) {
                    Ok(data) => Reply::json(json!({ "data": data, "code": null, "message": null, "success": true })),
                    Err((code, state, message)) => Reply::error(&code, state, &message),
                };
                (fault.is_none()).then_some(answer)
            }
        };
        if fault.is_some() {
            self.fault = None;
        }
        self.seen.insert(id, act.clone());
        act.unwrap_or(Reply::Reset)
    }

    fn refused(&self, sql: &str) -> Option<SqlError> {
        if self.forbidden.iter().any(|beginning| sql.starts_with(beginning)) {
            return Some(("003001".into(), "42501", "SQL access control error: Insufficient privileges".into()));
        }
        let (_, code, message) = self.errors.iter().find(|(beginning, ..)| sql.starts_with(beginning))?;
        // Snowflake quotes the part of a statement that it does not understand.
        Some(((*code).into(), "42000", message.replace("{sql}", sql)))
    }

    fn run(&mut self, sql: &str) -> Result<Value, SqlError> {
        limits::statement(sql)?;
        let mut words = sql_tokens::Tokens::of(sql);
        if words.eat("SHOW") || words.eat("DESCRIBE") || words.eat("DESC") {
            return self.show(sql);
        }
        if words.eat("LIST") || words.eat("LS") {
            return self.list(sql);
        }
        self.change(sql)
    }

    /// The folder of a stage.
    fn stage(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// An answer with rows.
pub(super) fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Value {
    let rowtype: Vec<Value> = columns
        .iter()
        .map(|name| json!({ "name": name, "type": "text", "nullable": true, "scale": null, "precision": null, "length": 100, "byteLength": 400 }))
        .collect();
    json!({
        "queryId": "the-query", "queryResultFormat": "json", "total": rows.len(), "returned": rows.len(), "rowtype": rowtype,
        "rowset": rows, "parameters": [], "statementTypeId": 4096, "finalRoleName": "TESTER",
    })
}

/// A result of one text.
pub(super) fn text_result(text: &str) -> Value {
    table(&["status"], vec![vec![text.to_owned()]])
}

/// A statement that this account does not understand is an error that no test expects.
pub(super) fn unknown(sql: &str) -> SqlError {
    ("001003".into(), "42000", format!("this account does not understand: {sql}"))
}

pub(super) fn exists(name: &str) -> SqlError {
    ("002002".into(), "42710", format!("SQL compilation error: Object '{name}' already exists."))
}

/// A rejection for which Snowflake documents no code.
pub(super) fn invalid(why: impl Into<String>) -> SqlError {
    ("001008".into(), "22023", format!("SQL compilation error: {}", why.into()))
}

pub(super) fn absent(what: &str) -> SqlError {
    ("002003".into(), "02000", format!("SQL compilation error: {what} does not exist or not authorized."))
}
