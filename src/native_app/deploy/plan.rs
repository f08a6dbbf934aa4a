//! The planned changes of an account: steps with their statements and the privileges that they need.

use std::fmt;

use super::account::{Account, MARKER, qualified_name, text_literal};
use crate::Result;
use crate::native_app::Name;
use crate::native_app::app;
use crate::native_app::image::{Credentials, Image};
use crate::snowflake::{Sql, StagedFile, Statement};

/// One change of an account.
#[derive(Debug, Clone)]
pub struct Step {
    pub(super) description: String,
    pub(super) action: Action,
    pub(super) privilege: Privilege,
}

/// How a step is done.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A statement.
    Run(Statement),
    /// A statement that fails with this error code if it was executed before.
    RunOnce { statement: Statement, already_done: &'static str },
    /// A call of one of the app's procedures, whose result has a response code.
    Call(Statement),
    /// Snowflake's validation of the setup script on the stage. It changes nothing.
    Validate(Statement),
    /// The upload of a file to a stage.
    Put(StagedFile),
    /// The push of an image to a repository of the account.
    Push(Box<ImagePush>),
    /// A wait until no release channel has a version of a package.
    AwaitRemoval { package: Name, version: Name },
}

/// An image and its destination.
#[derive(Debug, Clone)]
pub(super) struct ImagePush {
    pub(super) image: Image,
    pub(super) destination: app::ImageReference,
    /// `None` uses a token of the session.
    pub(super) credentials: Option<Credentials>,
}

impl Step {
    pub(super) fn run(what: impl Into<String>, sql: impl Into<String>, privilege: Privilege) -> Self {
        Self { description: what.into(), action: Action::Run(Statement::new(Sql::assert_safe(sql))), privilege }
    }

    /// The change in words: `create the schema D.S`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The statement, with `***` for each secret; a SQL comment for a push or a wait.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal): a file's name is not valid in a statement.
    pub fn statement(&self) -> Result<String> {
        Ok(match &self.action {
            Action::Run(statement) | Action::Call(statement) | Action::Validate(statement) => statement.sql.to_string(),
            Action::RunOnce { statement, .. } => statement.sql.to_string(),
            Action::Put(file) => file.put_statement()?.sql.to_string(),
            Action::Push(push) => format!("-- push {} to {}", push.image.digest(), push.destination),
            Action::AwaitRemoval { package, version } => {
                format!("-- until SHOW RELEASE CHANNELS IN APPLICATION PACKAGE {package} has no {version}")
            }
        })
    }
}

/// The steps that are missing in an account; empty if nothing has to change.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

impl Plan {
    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Creates a schema and its database where they are missing.
    pub(super) async fn create_schema(&mut self, account: &mut Account, database: &Name, schema: &Name) -> Result<()> {
        if account.find("DATABASES", database, "").await?.is_none() {
            self.push(Step::run(
                format!("create the database {database}"),
                format!("CREATE DATABASE IF NOT EXISTS {database} COMMENT = {}", text_literal(MARKER)),
                Privilege::account("CREATE DATABASE"),
            ));
            // A new database has this schema.
            if schema.as_str() == "PUBLIC" {
                return Ok(());
            }
        }
        if account.find("SCHEMAS", schema, &format!("IN DATABASE {database}")).await?.is_none() {
            let path = qualified_name(&[database, schema]);
            self.push(Step::run(
                format!("create the schema {path}"),
                format!("CREATE SCHEMA IF NOT EXISTS {path} COMMENT = {}", text_literal(MARKER)),
                Privilege::on("CREATE SCHEMA", format!("DATABASE {database}")),
            ));
        }
        Ok(())
    }
}

/// The minimal privilege for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Privilege {
    /// A privilege on an object, or on the account.
    On {
        /// Such as `CREATE APPLICATION PACKAGE`.
        privilege: &'static str,
        /// Such as `ACCOUNT`, or `SCHEMA D.S`.
        object: String,
    },
    /// Ownership of the object.
    Ownership {
        /// Such as `APPLICATION G`.
        object: String,
    },
    /// An account privilege with the grant option.
    Grant {
        /// Such as `EXECUTE TASK`.
        privilege: String,
    },
}

impl Privilege {
    pub(super) fn on(privilege: &'static str, object: impl Into<String>) -> Self {
        Self::On { privilege, object: object.into() }
    }

    pub(super) fn account(privilege: &'static str) -> Self {
        Self::on(privilege, "ACCOUNT")
    }

    pub(super) fn ownership(object: impl Into<String>) -> Self {
        Self::Ownership { object: object.into() }
    }

    /// The help for a role that lacks the privilege.
    pub(super) fn grant_help(&self, role: &str) -> String {
        match self {
            Self::On { privilege, object } => {
                format!(
                    "let an administrator run `GRANT {privilege} ON {object} TO ROLE {role}`, or use another role (--role)"
                )
            }
            Self::Ownership { object } => format!(
                "use the role that owns it (--role), or let an administrator run \
                 `GRANT OWNERSHIP ON {object} TO ROLE {role} COPY CURRENT GRANTS`"
            ),
            Self::Grant { privilege } => format!(
                "let an administrator run `GRANT {privilege} ON ACCOUNT TO ROLE {role} WITH GRANT OPTION`, or grant it to the \
                 application with the statement that --dry-run prints"
            ),
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On { privilege, object } => write!(f, "{privilege} on {object}"),
            Self::Ownership { object } => write!(f, "OWNERSHIP on {object}"),
            Self::Grant { privilege } => write!(f, "{privilege} on ACCOUNT, with the grant option"),
        }
    }
}
