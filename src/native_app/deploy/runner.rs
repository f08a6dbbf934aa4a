//! Does the steps, or says what they would be.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::answer;
use super::explain::explain;
use super::step::{Action, Plan, Step};
use super::{registry, retire};
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

/// How long is waited unless it is said otherwise.
const WAIT: Duration = Duration::from_secs(300);

/// Who is told each step before it begins.
type Progress<'a> = dyn Fn(&Step) + Send + Sync + 'a;

/// How the steps are done.
pub struct Runner<'a> {
    dry_run: bool,
    stop: CancellationToken,
    wait: Duration,
    progress: Option<Box<Progress<'a>>>,
}

impl Default for Runner<'_> {
    fn default() -> Self {
        Self { dry_run: false, stop: CancellationToken::new(), wait: WAIT, progress: None }
    }
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

    /// How long it waits for what Snowflake does later: until a version has left its release channel. Five minutes unless given;
    /// then it is an error, and the next call goes on from there.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
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
                !matches!(step.action, Action::Validate(_) | Action::AwaitRemoval { .. })
            } else {
                if let Some(progress) = &self.progress {
                    progress(&step);
                }
                match self.perform(account, &step, report).await {
                    Ok(changed) => changed,
                    Err(error) => return Err(explain(error, &step, account).await),
                }
            };
            let privilege = step.privilege.to_string();
            report.steps.push(Done { what: step.what, statement, privilege, changed });
        }
        Ok(())
    }

    /// Whether anything was changed.
    async fn perform(&self, account: &mut Account, step: &Step, report: &mut Report) -> Result<bool> {
        match &step.action {
            Action::Run(statement) => account.execute(statement.clone()).await.map(|_| true),
            Action::RunOnce { statement, done } => match account.execute(statement.clone()).await {
                Err(error) if error.code() == Some(*done) => Ok(false),
                answer => answer.map(|_| true),
            },
            Action::Call(statement) => answer::of_procedure(&account.execute(statement.clone()).await?).map(|()| true),
            Action::Validate(statement) => {
                report.notes.extend(answer::of_validation(&account.execute(statement.clone()).await?)?);
                Ok(false)
            }
            Action::Put(file) => account.put(file.clone()).await.map(|()| true),
            Action::Push(push) => registry::push(account, push).await,
            Action::AwaitRemoval { package, version } => {
                retire::await_removal(account, package, version, self.wait, &self.stop).await.map(|()| false)
            }
        }
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}
