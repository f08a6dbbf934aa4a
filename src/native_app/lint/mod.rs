//! Snowflake's rules for a setup script, which it says only when it installs.

mod finding;
mod rules;
mod statement;

use finding::Findings;
pub use finding::{Finding, Rule};
use statement::Statement;

use super::Bundle;

/// The files that are looked for under these names.
const FILES: [&str; 5] = ["README.md", "job.yaml", "manifest.yml", "setup.sql", "snowflake.yml"];

impl Bundle {
    /// What Snowflake would refuse, or what would break at an upgrade.
    pub fn findings(&self) -> Vec<Finding> {
        lint(self)
    }
}

/// The setup script of a bundle against every rule, in the order of its lines.
fn lint(bundle: &Bundle) -> Vec<Finding> {
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
    rules::check_objects(&statements, &mut findings);
    rules::check_files(&statements, bundle, &mut findings);
    rules::check_grants(&statements, &mut findings);
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
