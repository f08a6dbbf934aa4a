//! The rules for a setup script, and findings.

use std::fmt;

use serde::Serialize;

use super::statement::Statement;

/// A rule for setup scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// A statement, text, name, body or comment has an end, and begins with a word that a setup script knows.
    Readable,
    /// A setup script must not contain `USE`.
    NoUse,
    /// Procedures run with their owner's rights.
    OwnersRights,
    /// Every `CREATE` is idempotent: it has `OR REPLACE`, `OR ALTER` or `IF NOT EXISTS`.
    Repeatable,
    /// Objects with state are neither replaced nor dropped.
    KeepsState,
    /// Apps cannot have temporary tables or stages.
    NoTemporary,
    /// Versioned schemas are created by `CREATE OR ALTER VERSIONED SCHEMA` and contain only code: no tasks, services, jobs or tables.
    VersionedSchemas,
    /// Objects are qualified with their schema, which is created before them.
    Qualified,
    /// Imports are files of the bundle, and only code in a versioned schema has imports.
    Imports,
    /// A handler is a function of an imported file.
    Handlers,
    /// Python code runs with version 3.11 or later.
    PythonRuntime,
    /// `reference()` is used only in procedures.
    References,
    /// Roles are application roles, and grants go to them only.
    ApplicationRoles,
    /// A grant follows the creation of its object.
    GrantsLast,
    /// The bundle has the files that Snowflake and the procedures need.
    Complete,
}

/// A violation of a rule in a setup script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The line of `setup.sql` in which the statement begins, from 1.
    pub line: u64,
    /// The problem and the correction.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setup.sql:{}: {}", self.line, self.message)
    }
}

/// The findings in one setup script.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, statement: &Statement, message: impl Into<String>) {
        self.0.push(Finding { rule, line: statement.line, message: message.into() });
    }
}
