//! Snowflake's rules for a setup script, which it says only when it installs.

mod create;
mod files;
mod grants;
mod statement;

use std::fmt;

use serde::Serialize;

use super::Bundle;
use statement::Statement;

/// A rule for setup scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// A statement, text, name, body or comment has an end, and begins with a word that a setup script knows.
    Readable,
    /// A setup script cannot change the session: no `USE`.
    NoUse,
    /// Nothing runs with the rights of its caller.
    OwnersRights,
    /// Every `CREATE` can be repeated: it says `OR REPLACE`, `OR ALTER` or `IF NOT EXISTS`.
    Repeatable,
    /// What holds state is neither replaced nor dropped.
    KeepsState,
    /// There are no temporary tables and stages in apps.
    NoTemporary,
    /// Versioned schemas are made by `CREATE OR ALTER VERSIONED SCHEMA`, and hold code only: no tasks, services, jobs and
    /// tables.
    VersionedSchemas,
    /// Objects are named with their schema, which is made before them.
    Qualified,
    /// What is imported is a file of the bundle, and only code in a versioned schema imports.
    Imports,
    /// A handler is a function of an imported file.
    Handlers,
    /// Python code runs with version 3.11 or later.
    PythonRuntime,
    /// `reference()` works inside of procedures only.
    References,
    /// Roles are application roles, and grants go to them only.
    ApplicationRoles,
    /// A grant comes after what it is for.
    GrantsLast,
    /// The bundle has the files that Snowflake and the procedures look for.
    Complete,
}

/// Where a setup script breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The line of `setup.sql` that the statement begins in, from 1.
    pub line: u64,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setup.sql:{}: {}", self.line, self.message)
    }
}

/// The findings of one pass.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, statement: &Statement, message: impl Into<String>) {
        self.0.push(Finding { rule, line: statement.line, message: message.into() });
    }
}

/// The files that are looked for under these names.
const FILES: [&str; 5] = ["README.md", "job.yaml", "manifest.yml", "setup.sql", "snowflake.yml"];

/// The setup script of a bundle against every rule, in the order of its lines.
pub(super) fn lint(bundle: &Bundle) -> Vec<Finding> {
    let mut findings = Findings::default();
    for path in FILES.iter().filter(|path| bundle.text(path).is_none()) {
        findings.0.push(Finding { rule: Rule::Complete, line: 1, message: format!("the bundle has no {path}") });
    }
    let statements = match statement::split(bundle.text("setup.sql").unwrap_or_default()) {
        Ok(statements) => statements,
        Err(statement::Unreadable { line, message }) => {
            findings.0.push(Finding { rule: Rule::Readable, line, message });
            return findings.0;
        }
    };
    for statement in &statements {
        begins(statement, &mut findings);
        references(statement, &mut findings);
    }
    create::check(&statements, &mut findings);
    files::check(&statements, bundle, &mut findings);
    grants::check(&statements, &mut findings);
    findings.0.sort_by_key(|finding| (finding.line, finding.rule));
    findings.0
}

/// The words that a statement of a setup script may begin with.
const VERBS: [&str; 14] = [
    "ALTER", "CALL", "COMMENT", "CREATE", "DELETE", "DROP", "EXECUTE", "GRANT", "INSERT", "MERGE", "REVOKE", "SELECT",
    "SHOW", "UPDATE",
];

fn begins(statement: &Statement, findings: &mut Findings) {
    match statement.leading_words().first() {
        Some(&"USE") => {
            findings.add(Rule::NoUse, statement, "a setup script cannot USE anything: name objects with their schema");
        }
        Some(&("BEGIN" | "DECLARE" | "LET" | "END")) => {
            findings.add(
                Rule::Readable,
                statement,
                "put a block into EXECUTE IMMEDIATE $$ … $$, so that it is one statement",
            );
        }
        Some(verb) if VERBS.contains(verb) => {}
        _ => findings.add(Rule::Readable, statement, "a statement does not begin like this"),
    }
}

fn references(statement: &Statement, findings: &mut Findings) {
    let is_call = |pair: &[statement::Part]| {
        pair[0].word() == Some("REFERENCE") && pair[1] == statement::Part::Symbol("(".into())
    };
    if statement.parts.windows(2).any(is_call) {
        findings.add(
            Rule::References,
            statement,
            "reference() works only inside of a procedure, once the consumer has bound it: move it into one",
        );
    }
}

#[cfg(test)]
mod tests;
