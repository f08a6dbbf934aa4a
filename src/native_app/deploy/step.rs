//! What is done to an account, one thing after the other.

use super::privilege::Privilege;
use crate::Result;
use crate::snowflake::{StagedFile, Statement};
use crate::native_app::Name;
use crate::native_app::app;
use crate::native_app::image::{Credentials, Image};

/// One change of an account.
#[derive(Debug, Clone)]
pub struct Step {
    pub(super) what: String,
    pub(super) action: Action,
    pub(super) privilege: Privilege,
}

/// How a step is done.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A statement.
    Run(Statement),
    /// A statement whose refusal with this code says that it was done already.
    RunOnce { statement: Statement, done: &'static str },
    /// A call of one of the app's procedures, which says in its answer whether it went well.
    Call(Statement),
    /// A question to Snowflake whether the setup script on the stage is sound. It changes nothing.
    Validate(Statement),
    /// A file that goes to a stage.
    Put(StagedFile),
    /// An image that goes to a repository of the account.
    Push(Box<Push>),
    /// A wait until a version of a package is in no release channel.
    AwaitRemoval { package: Name, version: Name },
}

/// An image, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) image: Image,
    pub(super) to: app::Image,
    /// Of whom; the session's own, unless given.
    pub(super) credentials: Option<Credentials>,
}

impl Step {
    pub(super) fn run(what: impl Into<String>, sql: impl Into<String>, privilege: Privilege) -> Self {
        Self { what: what.into(), action: Action::Run(Statement::new(sql)), privilege }
    }

    /// What it does, in words: `create the schema D.S`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What the role needs for it.
    pub fn privilege(&self) -> &Privilege {
        &self.privilege
    }

    /// The statement that it runs, with `***` for each secret; of an image, what is pushed; of a wait, what for.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal): a file has a name that cannot be in a statement.
    pub fn statement(&self) -> Result<String> {
        Ok(match &self.action {
            Action::Run(statement) | Action::Call(statement) | Action::Validate(statement) => statement.sql.clone(),
            Action::RunOnce { statement, .. } => statement.sql.clone(),
            Action::Put(file) => file.put_statement()?.sql,
            Action::Push(push) => format!("-- push {} to {}", push.image.digest(), push.to),
            Action::AwaitRemoval { package, version } => {
                format!("-- until SHOW RELEASE CHANNELS IN APPLICATION PACKAGE {package} has no {version}")
            }
        })
    }
}

/// Steps that bring an account to where it should be. Without any, it is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// What is worth knowing besides.
    pub(super) notes: Vec<String>,
}

impl Plan {
    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
