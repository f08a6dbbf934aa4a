//! The rules for a setup script, and where a script breaks one.

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

/// The findings in one setup script.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, statement: &Statement, message: impl Into<String>) {
        self.0.push(Finding { rule, line: statement.line, message: message.into() });
    }
}
