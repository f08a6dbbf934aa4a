//! Does the steps, or says what they would be.

use std::fmt;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::answer;
use super::explain::explain;
use super::registry;
use super::step::{Action, Plan, Step};
use crate::Result;

/// What was done, or what would be.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Whether it was stopped between two steps. The next call goes on from there.
    pub stopped: bool,
    /// The steps, in order. Without any, everything was as it should be.
    pub steps: Vec<Done>,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
}

/// A step that was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// What it does, in words.
    pub what: String,
    /// Its statement, with `***` for each secret.
    pub statement: String,
    /// What the role needs for it.
    pub privilege: String,
    /// Whether it changed anything; in a dry run, whether it might.
    pub changed: bool,
}

/// Who is told each step before it begins.
type Progress<'a> = dyn Fn(&Step) + Send + Sync + 'a;

/// How the steps are done.
#[derive(Default)]
pub struct Runner<'a> {
    dry_run: bool,
    stop: CancellationToken,
    progress: Option<Box<Progress<'a>>>,
}

impl<'a> Runner<'a> {
    /// Does all steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it only says what it would do. What there is, is read.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Stops between two steps once this is cancelled.
    #[must_use]
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Is told each step before it begins; in a dry run, none.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Step) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// Does the steps, and adds them to the report.
    pub(super) async fn run(&self, account: &mut Account, plan: Plan, report: &mut Report) -> Result<()> {
        report.dry_run = self.dry_run;
        report.notes.extend(plan.notes);
        for step in plan.steps {
            if self.stop.is_cancelled() {
                report.stopped = true;
                return Ok(());
            }
            let statement = step.statement()?;
            let changed = if self.dry_run {
                !matches!(step.action, Action::Validate(_))
            } else {
                if let Some(progress) = &self.progress {
                    progress(&step);
                }
                match perform(account, &step, report).await {
                    Ok(changed) => changed,
                    Err(error) => return Err(explain(error, &step, account).await),
                }
            };
            let privilege = step.privilege.to_string();
            report.steps.push(Done { what: step.what, statement, privilege, changed });
        }
        Ok(())
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// Whether anything was changed.
async fn perform(account: &mut Account, step: &Step, report: &mut Report) -> Result<bool> {
    match &step.action {
        Action::Run(statement) => account.execute(statement.clone()).await.map(|_| true),
        Action::Call(statement) => answer::of_procedure(&account.execute(statement.clone()).await?).map(|()| true),
        Action::Validate(statement) => {
            report.notes.extend(answer::of_validation(&account.execute(statement.clone()).await?)?);
            Ok(false)
        }
        Action::Put(file) => account.put(file.clone()).await.map(|()| true),
        Action::Push(push) => registry::push(account, push).await,
    }
}
