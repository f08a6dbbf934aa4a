//! The rule book: every entry of `tests/snowflake/rules` is well formed, and its example gets the stated response.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::careless::{Login, Rows, Session};
use crate::peers;
use crate::probes::snowflake::fresh_database;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    rule: Vec<Rule>,
}

/// See the folder's README.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    page: String,
    enforces: String,
    layer: Layer,
    test: Option<String>,
    account: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, toml::Value>,
    #[serde(default)]
    setup: Vec<String>,
    #[serde(default)]
    violation: Vec<String>,
    rejected: Option<Rejection>,
    outcome: Option<Vec<Vec<String>>>,
    #[serde(default)]
    fine: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    Sql,
    Protocol,
    Procedures,
    Deploy,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejection {
    code: String,
    message: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All rules, with the file of each.
fn rules() -> Vec<(String, Rule)> {
    let folder = root().join("tests/snowflake/rules");
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let book: Book = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        book.rule.into_iter().map(move |rule| (name.clone(), rule))
    };
    files.iter().flat_map(read).collect()
}

/// The errors of an entry itself.
fn flaw(rule: &Rule) -> Option<&'static str> {
    let is_kebab = |name: &str| {
        name.split('-')
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
    };
    let has_example = !rule.violation.is_empty();
    match rule {
        rule if !is_kebab(&rule.name) => Some("its name is not in kebab-case"),
        rule if rule.page.is_empty() || rule.page.starts_with('/') || rule.page.contains(' ') => {
            Some("its page is not a path of the documentation")
        }
        rule if rule.enforces.len() < 20 => Some("it does not say what it enforces"),
        rule if rule.layer != Layer::Sql && (rule.test.is_none() || has_example) => {
            Some("a rule of this layer names a test, and has no statements")
        }
        rule if !has_example && rule.test.is_none() => Some("it has neither statements nor a test"),
        rule if has_example && rule.rejected.is_some() == rule.outcome.is_some() => {
            Some("its violation is either rejected, or has an outcome")
        }
        _ => None,
    }
}

/// Whether a test of this name, `path::function`, is in the tree.
fn exists(test: &str) -> bool {
    let Some((path, function)) = test.rsplit_once("::") else { return false };
    let Ok(text) = std::fs::read_to_string(root().join(path)) else { return false };
    let word = if Path::new(path).extension().is_some_and(|extension| extension == "py") { "def" } else { "fn" };
    text.contains(&format!("{word} {function}("))
}

#[test]
fn every_rule_has_a_unique_name_a_source_and_a_test() {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut flaws = Vec::new();
    for (file, rule) in rules() {
        if let Some(flaw) = flaw(&rule) {
            flaws.push(format!("{file}, {}: {flaw}", rule.name));
        }
        if let Some(test) = rule.test.as_deref().filter(|test| !exists(test)) {
            flaws.push(format!("{file}, {}: there is no test {test}", rule.name));
        }
        if let Some(other) = names.insert(rule.name.clone(), file.clone()) {
            flaws.push(format!("{}: it is in {other} and in {file}", rule.name));
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// The imitation with its strict layer.
fn server() -> &'static peers::Server {
    peers::fakesnow().expect("python3, which the Snowflake server of the tests needs")
}

/// A rule's example, running in a separate database.
struct Example<'a> {
    rule: &'a Rule,
    login: Login,
    sessions: HashMap<char, Session>,
    running: HashMap<char, JoinHandle<Ended>>,
}

/// A session whose statement has ended, and its response.
type Ended = (Session, Result<Rows, String>);

/// The session of statements that name none.
const FIRST: char = 'a';

impl<'a> Example<'a> {
    async fn new(rule: &'a Rule) -> Self {
        let (server, database) = (server(), fresh_database());
        let parameters =
            rule.parameters.iter().map(|(name, value)| (name.clone(), serde_json::to_value(value).unwrap()));
        let login = Login {
            account: rule.account.clone().unwrap_or_else(|| "account".to_owned()),
            user: format!("user_of_{database}"),
            database,
            parameters: parameters.collect(),
        };
        let maker = Login { account: "account".to_owned(), database: String::new(), ..login.clone() };
        let maker = Session::open(server, &Login { parameters: serde_json::Map::new(), ..maker }).await;
        for make in ["CREATE DATABASE {db}", "CREATE SCHEMA IF NOT EXISTS {db}.PUBLIC"] {
            maker.execute(&make.replace("{db}", &login.database)).await.unwrap();
        }
        Self { rule, login, sessions: HashMap::new(), running: HashMap::new() }
    }

    fn expand(&self, statement: &str) -> String {
        let mut text = statement.replace("{db}", &self.login.database).replace("{user}", &self.login.user);
        while let Some(start) = text.find("*") {
            let before = text[..start].rfind('{');
            let after = text[start..].find('}').map(|end| start + end);
            let (Some(before), Some(after)) = (before, after) else { break };
            let Ok(times) = text[start + 1..after].parse::<usize>() else { break };
            let repeated = text[before + 1..start].repeat(times);
            text.replace_range(before..=after, &repeated);
        }
        text
    }

    async fn session(&mut self, name: char) -> Session {
        match self.sessions.remove(&name) {
            Some(session) => session,
            None => Session::open(server(), &self.login).await,
        }
    }

    /// Runs a statement, and returns its response; nothing for a statement in the background.
    async fn run(&mut self, statement: &str) -> Option<Result<Rows, String>> {
        let statement = self.expand(statement);
        if let Some(path) = statement.strip_prefix("POST ") {
            peers::post(server(), path);
            return None;
        }
        let mut chars = statement.chars();
        let (name, how) = (chars.next().unwrap_or(FIRST), chars.next().unwrap_or(' '));
        let rest = chars.as_str().trim().to_owned();
        let (name, how, sql) = match how {
            '>' | '&' | '?' => (name, how, rest),
            _ => (FIRST, '>', statement),
        };
        if how == '?' {
            let (session, answer) = self.running.remove(&name).expect("a statement is under way").await.unwrap();
            self.sessions.insert(name, session);
            return Some(answer);
        }
        let session = self.session(name).await;
        let work = async move {
            let answer = session.execute(&sql).await;
            (session, answer)
        };
        if how == '&' {
            self.running.insert(name, tokio::spawn(work));
            // It must be waiting for its lock before the next statement is sent.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            return None;
        }
        let (session, answer) = work.await;
        self.sessions.insert(name, session);
        Some(answer)
    }

    /// Runs all of these; returns the response to the last one.
    async fn run_all(&mut self, statements: &[String]) -> Result<Rows, String> {
        let mut last = Ok(Rows::new());
        for statement in statements {
            if let Err(error) = last {
                return Err(format!("before {statement}: {error}"));
            }
            if let Some(failing) = statement.strip_prefix("! ") {
                match self.run(failing).await {
                    Some(Err(_)) => continue,
                    _ => return Err(format!("before the end: {failing} succeeds")),
                }
            }
            if let Some(either) = statement.strip_prefix("~ ") {
                drop(self.run(either).await);
                continue;
            }
            if let Some(answer) = self.run(statement).await {
                last = answer;
            }
        }
        last
    }

    /// The differences between the example and the rule.
    async fn check(mut self) -> Result<(), String> {
        let rule = self.rule;
        self.run_all(&rule.setup).await.map_err(|error| format!("setup: {error}"))?;
        if !rule.fine.is_empty() {
            self.run_all(&rule.fine).await.map_err(|error| format!("fine: {error}"))?;
            self = Self::new(rule).await;
            self.run_all(&rule.setup).await.map_err(|error| format!("setup: {error}"))?;
        }
        let answer = self.run_all(&rule.violation).await;
        match (&rule.rejected, answer) {
            (Some(rejected), Err(error)) => {
                let missing = [format!("code: {}", rejected.code), rejected.message.clone()];
                match missing.into_iter().find(|part| !error.contains(part)) {
                    Some(part) => Err(format!("{part:?} is not in {error}")),
                    None if error.starts_with("before ") => Err(error),
                    None => Ok(()),
                }
            }
            (Some(_), Ok(_)) => Err("it is accepted".to_owned()),
            (None, Err(error)) => Err(error),
            (None, Ok(rows)) => {
                let cell = |cell: Option<String>| cell.unwrap_or_else(|| "NULL".to_owned());
                let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
                match rule.outcome.as_ref() == Some(&rows) {
                    true => Ok(()),
                    false => Err(format!("it gives {rows:?}, not {:?}", rule.outcome)),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strict_layer_follows_the_example_of_every_rule() {
    let mut failures = Vec::new();
    let mut checked = 0;
    for (file, rule) in rules().iter().filter(|(_, rule)| !rule.violation.is_empty()) {
        checked += 1;
        if let Err(why) = Example::new(rule).await.check().await {
            failures.push(format!("{file}, {}: {why}", rule.name));
        }
    }
    assert!(checked > 0 && failures.is_empty(), "{} of {checked}:\n{}", failures.len(), failures.join("\n"));
}
