//! Checks a setup script against Snowflake's rules, which Snowflake itself checks only at installation.

mod finding;
mod rules;
mod statement;

use finding::Findings;
pub use finding::{Finding, Rule};
use statement::Statement;

use super::Bundle;

/// The files that every bundle must have.
const FILES: [&str; 5] = ["README.md", "job.yaml", "manifest.yml", "setup.sql", "snowflake.yml"];

impl Bundle {
    /// Checks the setup script for statements that Snowflake would reject or that would fail at an upgrade.
    pub fn findings(&self) -> Vec<Finding> {
        lint(self)
    }
}

/// The findings of every rule, in the order of the lines.
fn lint(bundle: &Bundle) -> Vec<Finding> {
    let mut findings = Findings::default();
    for path in FILES.iter().filter(|path| bundle.text(path).is_none()) {
        findings.0.push(Finding { rule: Rule::Complete, line: 1, message: format!("the bundle has no {path}") });
    }
    let statements = match statement::split(bundle.text("setup.sql").unwrap_or_default()) {
        Ok(statements) => statements,
        Err(statement::ParseError { line, message }) => {
            findings.0.push(Finding { rule: Rule::Readable, line, message });
            return findings.0;
        }
    };
    for statement in &statements {
        check_first_word(statement, &mut findings);
        check_references(statement, &mut findings);
    }
    rules::check_objects(&statements, &mut findings);
    rules::check_files(&statements, bundle, &mut findings);
    rules::check_grants(&statements, &mut findings);
    findings.0.sort_by_key(|finding| (finding.line, finding.rule));
    findings.0
}

/// The first words of the statements that a setup script may have.
const VERBS: [&str; 14] = [
    "ALTER", "CALL", "COMMENT", "CREATE", "DELETE", "DROP", "EXECUTE", "GRANT", "INSERT", "MERGE", "REVOKE", "SELECT",
    "SHOW", "UPDATE",
];

fn check_first_word(statement: &Statement, findings: &mut Findings) {
    match statement.leading_words().first() {
        Some(&"USE") => {
            findings.add(Rule::NoUse, statement, "a setup script cannot USE anything: name objects with their schema");
        }
        Some(&("BEGIN" | "DECLARE" | "LET" | "END")) => {
            findings.add(
                Rule::Readable,
                statement,
                "wrap the block in EXECUTE IMMEDIATE $$ … $$, so that it is one statement",
            );
        }
        Some(verb) if VERBS.contains(verb) => {}
        _ => findings.add(Rule::Readable, statement, "unknown statement"),
    }
}

fn check_references(statement: &Statement, findings: &mut Findings) {
    let is_call = |pair: &[statement::Part]| {
        pair[0].word() == Some("REFERENCE") && pair[1] == statement::Part::Symbol("(".into())
    };
    if statement.parts.windows(2).any(is_call) {
        findings.add(
            Rule::References,
            statement,
            "reference() works only in a procedure, after the consumer has bound it: move it into a procedure",
        );
    }
}

#[cfg(test)]
mod tests;
