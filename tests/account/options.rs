//! The run's options, from the environment.

use std::collections::BTreeSet;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::peers;
use crate::steps::STEPS;

/// The run's budget and size.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The limit, in credits.
    pub(crate) credits: f64,
    /// The steps to run; all unless named.
    pub(crate) steps: Option<BTreeSet<&'static str>>,
    /// Rows of the backfill.
    pub(crate) rows: u32,
    /// Writers side by side.
    pub(crate) writers: u32,
    /// The size of the largest document, in bytes.
    pub(crate) large: usize,
    /// The repository that the app's container ingests.
    pub(crate) repository: String,
    /// A token for GitHub's API.
    pub(crate) token: Option<SecretString>,
    /// The path of the report.
    pub(crate) report: PathBuf,
    /// The folder in which runs mark themselves as active.
    pub(crate) folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        let folder = peers::artefacts().join("account");
        Self {
            credits: 1.0,
            steps: None,
            rows: 100_000,
            writers: 40,
            large: 20 << 20,
            repository: "rust-lang/log".into(),
            token: None,
            report: folder.join("report.md"),
            folder,
        }
    }
}

impl Options {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let mut options = Self::default();
        if let Some(credits) = text("SNOWFEED_ACCOUNT_CREDITS") {
            let credits = credits.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
            options.credits = credits.ok_or("SNOWFEED_ACCOUNT_CREDITS must be a number above 0, such as 0.5")?;
        }
        if let Some(steps) = text("SNOWFEED_ACCOUNT_STEPS") {
            options.steps = Some(select(&steps)?);
        }
        if let Some(repository) = text("SNOWFEED_ACCOUNT_REPOSITORY") {
            options.repository = repository;
        }
        options.token = text("SNOWFEED_ACCOUNT_GITHUB_TOKEN").map(Into::into);
        if let Some(report) = text("SNOWFEED_ACCOUNT_REPORT") {
            options.report = report.into();
        }
        Ok(options)
    }

    /// Whether a step will run.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.steps.as_ref().is_none_or(|steps| steps.contains(name))
    }
}

/// The steps of a list, and those that they need. A name also selects every step that begins with it and a dash.
pub(crate) fn select(list: &str) -> Result<BTreeSet<&'static str>, String> {
    let mut selected = BTreeSet::new();
    for wanted in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let is_meant = |name: &str| name == wanted || name.starts_with(&format!("{wanted}-"));
        let before = selected.len();
        selected.extend(STEPS.iter().map(|step| step.name).filter(|name| is_meant(name)));
        if selected.len() == before && !selected.contains(wanted) {
            let known = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
            return Err(format!("SNOWFEED_ACCOUNT_STEPS: there is no step {wanted:?}; there are {known}"));
        }
    }
    // Steps come after what they need.
    for step in STEPS.iter().rev() {
        if selected.contains(step.name) {
            selected.extend(step.needs);
        }
    }
    Ok(selected)
}
