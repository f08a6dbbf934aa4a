//! A scripted account: statements and their responses.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::snowflake::{Client, QueryResult, Row, StagedFile, Usage};

type Answers = Vec<(&'static str, std::result::Result<QueryResult, (&'static str, &'static str)>)>;

/// Answers each statement with the last entry whose text the statement begins with; anything else does not exist.
#[derive(Debug, Clone)]
struct Account {
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Client for Account {
    async fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

#[async_trait]
impl Session for Account {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.asked.lock().unwrap().push(statement.sql.to_string());
        let found = self.answers.iter().rev().find(|(begin, _)| statement.sql.starts_with(begin));
        match found.map_or(Err(("002003", "it does not exist or not authorized")), |(_, answer)| answer.clone()) {
            Ok(answer) => Ok(answer),
            Err((code, message)) => Err(Error::new(ErrorKind::NotFound, message).with_code(code)),
        }
    }

    async fn put(&mut self, _: StagedFile) -> Result<()> {
        panic!("a check stores nothing")
    }

    fn is_idle(&self) -> bool {
        true
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn shown(columns: &[&str], rows: &[&[&str]]) -> QueryResult {
    let row = |cells: &&[&str]| Row(cells.iter().map(|cell| (!cell.is_empty()).then(|| (*cell).into())).collect());
    let columns = columns.iter().map(ToString::to_string).collect();
    QueryResult { columns, rows: rows.iter().map(row).collect(), query_id: String::new() }
}

fn grants(rows: &[&[&str]]) -> QueryResult {
    shown(&["created_on", "privilege", "granted_on", "name"], rows)
}

fn version(form: &str) -> QueryResult {
    shown(&["RESOURCE", "STREAM", "NAME", "COLUMNS", "MADE_FROM"], &[&["", "", "PUBLIC", "", form]])
}

/// A healthy account in which nothing has been created yet.
fn healthy() -> Answers {
    let warehouses =
        [&["LOADING", "STARTED", "true"][..], &["asleep", "SUSPENDED", "true"], &["OFF", "SUSPENDED", "false"]];
    vec![
        ("SELECT CURRENT_USER()", Ok(shown(&["USER", "ROLE", "WAREHOUSE"], &[&["ME", "LOADER", "LOADING"]]))),
        ("SHOW WAREHOUSES", Ok(shown(&["name", "state", "auto_resume"], &warehouses))),
        ("SHOW SCHEMAS IN DATABASE \"DB\"", Ok(shown(&["name"], &[&["PUBLIC"]]))),
        ("SHOW GRANTS TO ROLE \"PUBLIC\"", Ok(grants(&[]))),
        ("SHOW GRANTS TO ROLE \"LOADER\"", Ok(grants(&[&["", "USAGE", "ROLE", "MAKER"]]))),
        ("SHOW GRANTS TO ROLE \"MAKER\"", Ok(grants(&[&["", "CREATE SCHEMA", "DATABASE", "DB"]]))),
    ]
}

fn with(more: Answers) -> Answers {
    healthy().into_iter().chain(more).collect()
}

async fn run_check(answers: Answers, database: &str) -> Vec<Finding> {
    let account = Account { answers: Arc::new(answers), asked: Arc::default() };
    let findings = super::super::internals::backend(Arc::new(account.clone()), database, "PUBLIC").check().await;
    for sql in account.asked.lock().unwrap().iter() {
        assert!(sql.starts_with("SELECT ") || sql.starts_with("SHOW "), "a check changes nothing: {sql}");
    }
    findings
}

/// The one that fails: its name, message and help.
async fn wrong(answers: Answers) -> (&'static str, String, String) {
    let findings = run_check(answers, "db").await;
    let mut failed = findings.iter().filter_map(|found| Some((found.name, found.result.as_ref().err()?)));
    let (name, error) = failed.next().unwrap_or_else(|| panic!("nothing is wrong: {findings:?}"));
    assert!(failed.next().is_none(), "{findings:?}");
    (name, error.to_string(), error.help().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_healthy_account_has_one_finding_per_check() {
    let findings = run_check(healthy(), "db").await;
    let lines: Vec<String> =
        findings.iter().map(|found| format!("{}: {}", found.name, found.result.as_ref().unwrap())).collect();
    let tables = "tables: not created yet; the first `enable` or `ingest` creates them, in \"DB\".\"STATE\"";
    assert_eq!(lines, ["login: as ME", "role: LOADER", "warehouse: \"LOADING\"", "database: \"DB\"", tables]);
}

#[tokio::test]
async fn tables_of_this_version_need_no_create_privilege() {
    let findings = run_check(
        with(vec![("SELECT CAST(NULL", Ok(version("3"))), upper_name(), ("SHOW GRANTS", Ok(grants(&[])))]),
        "db",
    )
    .await;
    assert_eq!(findings.last().unwrap().result.as_ref().unwrap(), "created, in \"DB\".\"STATE\" (schema version 3)");
    let older = run_check(with(vec![("SELECT CAST(NULL", Ok(version("2"))), upper_name()]), "db").await;
    assert!(older.last().unwrap().result.as_ref().unwrap().ends_with("migrates them"), "{older:?}");
}

/// No column has a collation.
fn upper_name() -> (&'static str, std::result::Result<QueryResult, (&'static str, &'static str)>) {
    ("SELECT \"TABLE_NAME\", \"COLUMN_NAME\"", Ok(shown(&["TABLE_NAME", "COLUMN_NAME", "COLLATION_NAME"], &[])))
}

#[tokio::test]
async fn tables_with_a_collation_are_named_with_the_statement_that_removes_it() {
    let columns = shown(
        &["TABLE_NAME", "COLUMN_NAME", "COLLATION_NAME"],
        &[&["APP_STATE", "AT", "en-ci"], &["APP_STATE", "KEY", "en-ci"]],
    );
    let collated = ("SELECT \"TABLE_NAME\", \"COLUMN_NAME\"", Ok(columns));
    let (name, message, help) = wrong(with(vec![("SELECT CAST(NULL", Ok(version("1"))), collated])).await;
    assert!(name == "tables" && message.contains("\"APP_STATE\" has the collation \"en-ci\""), "{message}");
    assert!(help.contains("REPLACE (COLLATE(\"AT\", '') AS \"AT\", COLLATE(\"KEY\", '') AS \"KEY\")"), "{help}");
    let mut catalog = version("2");
    let cells = ["a/b", "issues", "a/b", "[]", "collation en-ci"];
    catalog.rows.push(Row(cells.iter().map(|cell| Some((*cell).into())).collect()));
    let (_, message, help) = wrong(with(vec![("SELECT CAST(NULL", Ok(catalog)), upper_name()])).await;
    assert!(message.contains("\"PUBLIC_RAW\".\"a/b\" has the collation \"en-ci\""), "{message}");
    assert!(help.contains("DROP TABLE") && help.contains("then `reset`"), "{help}");
}

#[tokio::test]
async fn a_missing_role_or_warehouse_has_help() {
    let session = |role, warehouse| {
        let context = shown(&["USER", "ROLE", "WAREHOUSE"], &[&["ME", role, warehouse]]);
        with(vec![("SELECT CURRENT_USER()", Ok(context))])
    };
    let (name, _, help) = wrong(session("", "LOADING")).await;
    assert!(name == "role" && help.contains("ALTER USER \"ME\" SET DEFAULT_ROLE"), "{help}");
    let (name, _, help) = wrong(session("LOADER", "")).await;
    assert!(name == "warehouse" && help.contains("ALTER USER \"ME\" SET DEFAULT_WAREHOUSE"), "{help}");
}

#[tokio::test]
async fn a_suspended_warehouse_is_an_error_only_if_it_cannot_resume() {
    let current = |warehouse| {
        let context = shown(&["USER", "ROLE", "WAREHOUSE"], &[&["ME", "LOADER", warehouse]]);
        with(vec![("SELECT CURRENT_USER()", Ok(context))])
    };
    let asleep = run_check(current("asleep"), "db").await;
    assert_eq!(asleep[2].result.as_ref().unwrap(), "\"asleep\", suspended; it resumes automatically");
    let (name, message, help) = wrong(current("OFF")).await;
    assert!(name == "warehouse" && message.contains("\"OFF\" is suspended"), "{message}");
    assert!(help.contains("ALTER WAREHOUSE \"OFF\" SET AUTO_RESUME = TRUE"), "{help}");
    // It is the session's warehouse, and the role has no privilege on it.
    let (_, message, help) = wrong(current("LOADING_")).await;
    assert!(
        message.contains("may not use it") && help.contains("GRANT USAGE ON WAREHOUSE \"LOADING_\" TO ROLE \"LOADER\"")
    );
}

#[tokio::test]
async fn a_missing_database_can_be_created_with_the_privilege() {
    let missing = ("SHOW SCHEMAS", Err(("002043", "does not exist")));
    let (name, message, help) = wrong(with(vec![missing.clone()])).await;
    assert_eq!(
        (name, message.as_str()),
        ("database", "the database \"DB\" does not exist, or the role \"LOADER\" may not use it")
    );
    assert!(help.contains("GRANT USAGE, CREATE SCHEMA ON DATABASE \"DB\" TO ROLE \"LOADER\""), "{help}");
    let may = ("SHOW GRANTS TO ROLE \"MAKER\"", Ok(grants(&[&["", "CREATE DATABASE", "ACCOUNT", "HERE"]])));
    let findings = run_check(with(vec![missing, may]), "db").await;
    assert!(findings.last().unwrap().result.as_ref().unwrap().contains("not created yet"), "{findings:?}");
}

#[tokio::test]
async fn a_missing_create_schema_privilege_names_the_grant() {
    let (name, message, help) = wrong(with(vec![("SHOW GRANTS TO ROLE \"MAKER\"", Ok(grants(&[])))])).await;
    assert_eq!(
        (name, message.as_str()),
        ("tables", "the role \"LOADER\" may not create schemas in the database \"DB\"")
    );
    assert!(help.contains("GRANT USAGE, CREATE SCHEMA ON DATABASE \"DB\" TO ROLE \"LOADER\""), "{help}");
    assert!(help.contains("CREATE VIEW ON SCHEMA \"DB\".\"PUBLIC\" TO ROLE \"LOADER\""), "{help}");
}

#[tokio::test]
async fn an_invisible_privilege_is_not_reported_as_missing() {
    let hidden = ("SHOW GRANTS TO ROLE \"MAKER\"", Err(("003001", "insufficient privileges")));
    let findings = run_check(with(vec![hidden]), "db").await;
    assert!(findings.iter().all(|found| found.result.is_ok()), "{findings:?}");
    let names: Vec<String> = (0..MAX_ROLES).map(|number| format!("R{number}")).collect();
    let rows: Vec<[&str; 4]> = names.iter().map(|name| ["", "USAGE", "ROLE", name.as_str()]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(<[_; 4]>::as_slice).collect();
    let many = ("SHOW GRANTS TO ROLE \"LOADER\"", Ok(grants(&rows)));
    let findings = run_check(with(vec![("SHOW GRANTS", Ok(grants(&[]))), many]), "db").await;
    assert!(findings.iter().all(|found| found.result.is_ok()), "{findings:?}");
}

#[tokio::test]
async fn foreign_tables_and_tables_of_a_newer_version_are_rejected() {
    let tables = |names: &[&[&str]]| {
        with(vec![("SELECT \"TABLE_NAME\" FROM \"DB\".\"INFORMATION_SCHEMA\"", Ok(shown(&["TABLE_NAME"], names)))])
    };
    let (name, message, help) = wrong(tables(&[&["APP_STATE"]])).await;
    assert!(name == "tables" && message.contains("is not this program's"), "{message}");
    assert!(help.contains("choose another database"), "{help}");
    let begun = run_check(tables(&[&["APP_STATE"], &["SNOWFEED_VERSION"]]), "db").await;
    assert!(begun.iter().all(|found| found.result.is_ok()), "{begun:?}");
    let (_, message, help) = wrong(with(vec![("SELECT CAST(NULL", Ok(version("4")))])).await;
    assert!(message.contains("newer version") && help.contains("upgrade"), "{message}");
}

#[tokio::test]
async fn a_name_with_quotes_stays_one_name() {
    let findings = run_check(
        with(vec![
            ("SHOW SCHEMAS IN DATABASE \"we\"\"ird\"", Ok(shown(&["name"], &[]))),
            ("SHOW GRANTS TO ROLE \"MAKER\"", Ok(grants(&[&["", "OWNERSHIP", "DATABASE", "\"we\"\"ird\""]]))),
        ]),
        "we\"ird",
    )
    .await;
    assert_eq!(findings[3].result.as_ref().unwrap(), "\"we\"\"ird\"");
    assert!(findings.iter().all(|found| found.result.is_ok()), "{findings:?}");
}
