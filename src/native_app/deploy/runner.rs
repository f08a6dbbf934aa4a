//! Executes the steps of a plan, or reports them in a dry run, and explains Snowflake's errors.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::plan::{Action, Plan, Step};
use super::{image_repository, version};
use crate::snowflake::QueryResult;
use crate::{Error, Result};

/// The steps that were executed, or that a dry run would execute.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether this is a dry run.
    pub dry_run: bool,
    /// Whether it was stopped between two steps. The next call continues from there.
    pub stopped: bool,
    /// The steps, in order; empty if nothing had to change.
    pub steps: Vec<StepReport>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// A step that was executed, or that a dry run would execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The change in words.
    #[serde(rename = "what")]
    pub description: String,
    /// The statement, with `***` for each secret.
    pub statement: String,
    /// The privilege that the role needs.
    pub privilege: String,
    /// Whether it changed something; in a dry run, whether it might.
    pub changed: bool,
}

/// The default of [`Runner::wait`].
const WAIT: Duration = Duration::from_secs(300);

/// The callback for each step.
type Progress<'a> = dyn Fn(&Step) + Send + Sync + 'a;

/// Executes steps.
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
    /// Executes all steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to only report the steps. The account is still read.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Stops between two steps when this token is cancelled.
    #[must_use]
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// How long to wait until a version has left its release channel; five minutes by default. A timeout is an error, and the next
    /// call continues from there.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// Sets a callback for each step before it is executed. A dry run does not call it.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Step) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// Executes the steps and adds them to the report.
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
                    Err(error) => return Err(explain_error(error, &step, account).await),
                }
            };
            let privilege = step.privilege.to_string();
            report.steps.push(StepReport { description: step.description, statement, privilege, changed });
        }
        Ok(())
    }

    /// Returns whether the step changed something.
    async fn perform(&self, account: &mut Account, step: &Step, report: &mut Report) -> Result<bool> {
        match &step.action {
            Action::Run(statement) => account.execute(statement.clone()).await.map(|_| true),
            Action::RunOnce { statement, already_done: done } => match account.execute(statement.clone()).await {
                Err(error) if error.code() == Some(*done) => Ok(false),
                answer => answer.map(|_| true),
            },
            Action::Call(statement) => {
                check_procedure_response(&account.execute(statement.clone()).await?).map(|()| true)
            }
            Action::Validate(statement) => {
                report.notes.extend(validation_warnings(&account.execute(statement.clone()).await?)?);
                Ok(false)
            }
            Action::Put(file) => account.put(file.clone()).await.map(|()| true),
            Action::Push(push) => image_repository::push(account, push).await,
            Action::AwaitRemoval { package, version } => {
                version::await_removal(account, package, version, self.wait, &self.stop).await.map(|()| false)
            }
        }
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// Adds the step, the privilege that may be missing, and help to an error. The codes are those that Snowflake CLI handles.
/// Unverified: see docs/unverified.md#error-codes.
pub(super) async fn explain_error(error: Error, step: &Step, account: &mut Account) -> Error {
    let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    let error = error.with_context("step", &step.description);
    match code {
        3001 | 3041 | 2003 | 2043 => privilege_error(error, code, step, account).await,
        code => match help_for_code(code) {
            Some(help) => error.with_help(help),
            None => error,
        },
    }
}

/// Explains an error of a role that lacks a privilege or cannot see an object.
async fn privilege_error(error: Error, code: u32, step: &Step, account: &mut Account) -> Error {
    let role = account.role().await;
    let named = role.as_deref().unwrap_or("<role>");
    let remedy = step.privilege.grant_help(named);
    let error = error.with_context("role", named).with_context("needs", &step.privilege);
    match code {
        2003 | 2043 => {
            error.with_help(format!("check the name; if the object exists, the role may not see it: {remedy}"))
        }
        _ => error.with_help(remedy),
    }
}

/// The help for an error code.
fn help_for_code(code: u32) -> Option<&'static str> {
    Some(match code {
        2002 => "another object has this name: choose another one (--application, --package)",
        606 | 93_083 => "the setup script needs a warehouse: pass --warehouse with one that the role may use",
        93_030 | 93_168 | 93_167 => "another deployment ran at the same time: run it again",
        93_035 => "give the source a shorter version",
        93_037 | 512_004 | 512_023 => {
            "a package and a release channel hold at most two versions: drop one that is no longer needed (--drop-version VERSION)"
        }
        512_010 => "the version is being removed from the release channel: run it again later",
        512_020 | 93_088 => {
            "a release directive refers to the version: release another one first (`app deploy --release`)"
        }
        512_021 => {
            "the version is in a release channel until every installation of it is upgraded: run `app deploy --drop-version VERSION`, \
             repeatedly if necessary"
        }
        93_044..=93_046 | 93_055 => {
            "the app was installed from another kind of source (version, release directive or stage): upgrade it from the same kind \
             (with or without --released), or reinstall it with `app uninstall` and `app install`, whose help says what is lost"
        }
        93_079 => {
            "its package no longer exists: reinstall the app with `app uninstall` and `app install`, whose help says what is lost"
        }
        93_054 => "no version is released yet: run `app deploy --release`",
        93_074 => "Snowflake has not approved the version yet: try again after its security scan (`app status`)",
        93_082 | 93_084 => "the setup script failed: validate it with `app deploy`, or check the app's event table",
        93_128 => {
            "the app owns objects: pass --cascade to drop them too, or first transfer the ownership of all of them, as the app's README \
             describes"
        }
        93_148 | 397_007 | 397_012 | 397_013 => {
            "the image is missing: build it (`app build --binary`) and run `app deploy`, or push it to the repository that the \
             manifest names"
        }
        93_300..=93_303 => "run `app build` again; if the manifest is unchanged, report a bug",
        _ => return None,
    })
}

/// The response of one of the app's procedures.
#[derive(Deserialize)]
struct ProcedureResponse {
    response_code: String,
    #[serde(default)]
    message: String,
}

/// The result of `SYSTEM$VALIDATE_NATIVE_APP_SETUP`.
#[derive(Deserialize)]
struct Validation {
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Vec<ValidationMessage>,
    #[serde(default)]
    warnings: Vec<ValidationMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValidationMessage {
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    line: Option<i64>,
}

impl ValidationMessage {
    /// `setup.sql, line 3: message`.
    fn line(&self) -> String {
        let position = match (self.file_name.as_str(), self.line) {
            ("", _) => String::new(),
            (file, Some(line)) if line > 0 => format!("{file}, line {line}: "),
            (file, _) => format!("{file}: "),
        };
        let parts = [&self.message, &self.cause].into_iter().filter(|text| !text.is_empty());
        position + &parts.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

fn text(answer: &QueryResult) -> Result<&str> {
    let row = answer.rows.first().ok_or_else(|| Error::invalid_data("Snowflake returned no row for a call"))?;
    Ok(row.text(0)?)
}

/// Returns an error unless a procedure's response is OK.
pub(super) fn check_procedure_response(answer: &QueryResult) -> Result<()> {
    let ProcedureResponse { response_code, message } = serde_json::from_str(text(answer)?)
        .map_err(|error| Error::invalid_data("the app's response cannot be parsed").with_source(error))?;
    if response_code == "OK" {
        return Ok(());
    }
    Err(Error::configuration(format!("the app rejected the call: {message}"))
        .with_context("response_code", response_code))
}

/// Returns the warnings, or one error with all errors.
pub(super) fn validation_warnings(answer: &QueryResult) -> Result<Vec<String>> {
    let validation: Validation = serde_json::from_str(text(answer)?).map_err(|error| {
        Error::invalid_data("the result of Snowflake's validation cannot be parsed").with_source(error)
    })?;
    let lines = |complaints: &[ValidationMessage]| complaints.iter().map(ValidationMessage::line).collect::<Vec<_>>();
    if validation.errors.is_empty()
        && !validation.status.eq_ignore_ascii_case("FAIL")
        && !validation.status.starts_with("FAILURE")
    {
        return Ok(lines(&validation.warnings));
    }
    let errors = lines(&validation.errors);
    let reasons = if errors.is_empty() { "no reason given".to_owned() } else { errors.join("; ") };
    Err(Error::configuration(format!("Snowflake rejected the setup script: {reasons}"))
        .with_help("no version was added; report a bug if the files are unchanged since `app build`"))
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;

    use super::*;
    use crate::snowflake::Row;

    fn result(text: &str) -> QueryResult {
        let rows = vec![Row(vec![Some(ByteString::from(text))])];
        QueryResult { columns: vec!["V".into()], rows, query_id: "q".into() }
    }

    #[test]
    fn validation_returns_warnings_and_joins_errors() {
        let warned = r#"{"status":"SUCCESS","errors":[],"warnings":[{"message":"old","cause":"why","errorCode":"1","fileName":"setup.sql","line":3,"column":1}]}"#;
        assert_eq!(validation_warnings(&result(warned)).unwrap(), ["setup.sql, line 3: old: why"]);
        let failed = r#"{"status":"FAIL","errors":[{"message":"bad","fileName":"setup.sql","line":-1},{"cause":"worse"}],"warnings":[]}"#;
        let error = validation_warnings(&result(failed)).unwrap_err();
        assert!(error.message().ends_with("setup.sql: bad; worse"), "{error}");
    }

    #[test]
    fn a_procedure_error_response_is_an_error() {
        check_procedure_response(&result(r#"{"response_code":"OK","message":"done"}"#)).unwrap();
        let refused =
            check_procedure_response(&result(r#"{"response_code":"INVALID_REFERENCE","message":"no"}"#)).unwrap_err();
        assert!(refused.to_string().contains("INVALID_REFERENCE"), "{refused}");
        assert!(check_procedure_response(&result("what?")).is_err());
        assert!(check_procedure_response(&QueryResult::default()).is_err());
    }
}
