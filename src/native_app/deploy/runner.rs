//! Runs the steps of a plan, or reports what they would do; explains the errors of Snowflake.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::plan::{Action, Plan, Step};
use super::{image_repository, version};
use crate::snowflake::QueryResult;
use crate::{Error, Result};

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
            Action::Call(statement) => of_procedure(&account.execute(statement.clone()).await?).map(|()| true),
            Action::Validate(statement) => {
                report.notes.extend(of_validation(&account.execute(statement.clone()).await?)?);
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

/// Says at which step an error came, which privilege may be missing, and what to do. The codes are those that Snowflake's own command
/// line knows. Unverified: see docs/unverified.md#error-codes.
pub(super) async fn explain(error: Error, step: &Step, account: &mut Account) -> Error {
    let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    let error = error.with_context("step", &step.what);
    match code {
        3001 | 3041 | 2003 | 2043 => missing(error, code, step, account).await,
        code => match help(code) {
            Some(help) => error.with_help(help),
            None => error,
        },
    }
}

/// Where the role may not, or does not see what is there.
async fn missing(error: Error, code: u32, step: &Step, account: &mut Account) -> Error {
    let role = account.role().await;
    let named = role.as_deref().unwrap_or("<role>");
    let remedy = step.privilege.remedy(named);
    let error = error.with_context("role", named).with_context("needs", &step.privilege);
    match code {
        2003 | 2043 => error.with_help(format!("check the name; if it exists, the role may not see it: {remedy}")),
        _ => error.with_help(remedy),
    }
}

/// What to do about an error of this code.
fn help(code: u32) -> Option<&'static str> {
    Some(match code {
        2002 => "another object has this name: give another one (--application, --package)",
        606 | 93_083 => "the setup script needs a warehouse: give one (--warehouse) that the role may use",
        93_030 | 93_168 | 93_167 => "somebody else deployed at the same time: run it again",
        93_035 => "give the source a shorter version",
        93_037 | 512_004 | 512_023 => {
            "a package holds two versions at most, and so does a release channel: drop one that nobody needs (--drop-version VERSION)"
        }
        512_010 => "the version is on its way out of the release channel: run it again later",
        512_020 | 93_088 => {
            "a release directive refers to the version: release another one first (`app deploy --release`)"
        }
        512_021 => {
            "the version is in a release channel, and leaves it when every installation of it has been upgraded: run `app deploy \
             --drop-version VERSION`, again if need be"
        }
        93_044..=93_046 | 93_055 => {
            "the app was installed in another way than it is upgraded now (a version, a release, a stage): upgrade it in that way \
             (--released, or without), or install it anew: `app uninstall`, then `app install`; see there what is lost"
        }
        93_079 => {
            "its package is gone, and the app can only be installed anew: `app uninstall`, then `app install`; see there what is lost"
        }
        93_054 => "nothing is released yet: `app deploy --release`",
        93_074 => "Snowflake has not approved the version yet: try again when its security scan is done (`app status`)",
        93_082 | 93_084 => "the setup script fails: `app deploy` checks it; see the app's event table",
        93_128 => {
            "the app owns objects: say --cascade to drop them with it, or transfer the ownership of all of them before, as the app's \
             README says"
        }
        93_148 | 397_007 | 397_012 | 397_013 => {
            "the image is missing: build it (`app build --binary`) and run `app deploy`, or push it to the repository that the \
             manifest names"
        }
        93_300..=93_303 => "run `app build` again; report it if the manifest is as it was written",
        _ => return None,
    })
}

/// What a procedure of the app answers.
#[derive(Deserialize)]
struct Envelope {
    response_code: String,
    #[serde(default)]
    message: String,
}

/// What `SYSTEM$VALIDATE_NATIVE_APP_SETUP` answers.
#[derive(Deserialize)]
struct Validation {
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Vec<Complaint>,
    #[serde(default)]
    warnings: Vec<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    line: Option<i64>,
}

impl Complaint {
    /// `setup.sql, line 3: what is wrong`.
    fn line(&self) -> String {
        let place = match (self.file_name.as_str(), self.line) {
            ("", _) => String::new(),
            (file, Some(line)) if line > 0 => format!("{file}, line {line}: "),
            (file, _) => format!("{file}: "),
        };
        let said = [&self.message, &self.cause].into_iter().filter(|text| !text.is_empty());
        place + &said.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

fn text(answer: &QueryResult) -> Result<&str> {
    let row = answer.rows.first().ok_or_else(|| Error::invalid_data("Snowflake answered a call with nothing"))?;
    Ok(row.text(0)?)
}

/// Whether a call of a procedure went well.
pub(super) fn of_procedure(answer: &QueryResult) -> Result<()> {
    let Envelope { response_code, message } = serde_json::from_str(text(answer)?)
        .map_err(|error| Error::invalid_data("the app answered in a way that is not understood").with_source(error))?;
    if response_code == "OK" {
        return Ok(());
    }
    Err(Error::configuration(format!("the app refuses: {message}")).with_context("response_code", response_code))
}

/// The warnings. Errors are one error.
pub(super) fn of_validation(answer: &QueryResult) -> Result<Vec<String>> {
    let validation: Validation = serde_json::from_str(text(answer)?).map_err(|error| {
        Error::invalid_data("Snowflake's validation answered in a way that is not understood").with_source(error)
    })?;
    let lines = |complaints: &[Complaint]| complaints.iter().map(Complaint::line).collect::<Vec<_>>();
    if validation.errors.is_empty()
        && !validation.status.eq_ignore_ascii_case("FAIL")
        && !validation.status.starts_with("FAILURE")
    {
        return Ok(lines(&validation.warnings));
    }
    let errors = lines(&validation.errors);
    let said = if errors.is_empty() { "no reason is given".to_owned() } else { errors.join("; ") };
    Err(Error::configuration(format!("Snowflake refuses the setup script: {said}"))
        .with_help("no version was added; report it if the files are as `app build` wrote them"))
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;

    use super::*;
    use crate::snowflake::Row;

    fn answered(text: &str) -> QueryResult {
        let rows = vec![Row(vec![Some(ByteString::from(text))])];
        QueryResult { columns: vec!["V".into()], rows, query_id: "q".into() }
    }

    #[test]
    fn warnings_are_told_and_errors_are_an_error() {
        let warned = r#"{"status":"SUCCESS","errors":[],"warnings":[{"message":"old","cause":"why","errorCode":"1","fileName":"setup.sql","line":3,"column":1}]}"#;
        assert_eq!(of_validation(&answered(warned)).unwrap(), ["setup.sql, line 3: old: why"]);
        let failed = r#"{"status":"FAIL","errors":[{"message":"bad","fileName":"setup.sql","line":-1},{"cause":"worse"}],"warnings":[]}"#;
        let error = of_validation(&answered(failed)).unwrap_err();
        assert!(error.message().ends_with("setup.sql: bad; worse"), "{error}");
    }

    #[test]
    fn a_procedure_that_refuses_is_an_error() {
        of_procedure(&answered(r#"{"response_code":"OK","message":"done"}"#)).unwrap();
        let refused = of_procedure(&answered(r#"{"response_code":"INVALID_REFERENCE","message":"no"}"#)).unwrap_err();
        assert!(refused.to_string().contains("INVALID_REFERENCE"), "{refused}");
        assert!(of_procedure(&answered("what?")).is_err());
        assert!(of_procedure(&QueryResult::default()).is_err());
    }
}
