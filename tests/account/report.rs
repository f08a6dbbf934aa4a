//! The run's findings, in Markdown.

use std::fmt::Write;
use std::time::Duration;

use crate::endpoints::redact;
use crate::objects::Swept;
use crate::run::Run;
use crate::step::{Done, Outcome};

pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) steps: Vec<Done>,
    /// Statements that a person must run by hand, and why.
    pub(crate) left: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new(run: &Run, steps: Vec<Done>, leftovers: Swept, swept: Swept, took: Duration) -> Self {
        let text = text(run, &steps, &leftovers, &swept, took);
        Self { text: redact(text, &run.endpoints.secrets()), steps, left: swept.failed }
    }

    /// Whether every step that ran has passed, and nothing is left behind.
    pub(crate) fn is_good(&self) -> bool {
        let is_bad = |outcome: &Outcome| matches!(outcome, Outcome::NotHeld(_) | Outcome::Stopped(_));
        self.left.is_empty() && !self.steps.iter().any(|step| is_bad(&step.outcome))
    }

    /// The failed steps, in one line.
    pub(crate) fn summary(&self) -> String {
        let bad = self.steps.iter().filter(|step| matches!(step.outcome, Outcome::NotHeld(_) | Outcome::Stopped(_)));
        let bad: Vec<&str> = bad.map(|step| step.name).collect();
        format!("did not hold: {bad:?}; objects that could not be removed: {}", self.left.len())
    }
}

fn text(run: &Run, steps: &[Done], leftovers: &Swept, swept: &Swept, took: Duration) -> String {
    let mut text = format!("# Acceptance run {}\n\n", run.id.as_str());
    let count = |wanted: &str| steps.iter().filter(|step| step.outcome.label().0 == wanted).count();
    // Writing into a string does not fail.
    let _ = writeln!(
        text,
        "On {}, snowfeed {}, in {} s: {} held, {} not held, {} skipped, {} stopped.\n",
        run.endpoints.name(),
        env!("CARGO_PKG_VERSION"),
        took.as_secs(),
        count("held"),
        count("**not held**"),
        count("skipped"),
        count("stopped"),
    );
    let _ = writeln!(
        text,
        "Credits: at most {:.3} of {}, estimated from the time of the steps (an account bills hours later: see \
         WAREHOUSE_METERING_HISTORY).\n",
        run.budget.spent(),
        run.budget.limit()
    );
    text.push_str("| step | result | claim, or why not | statements | files | seconds |\n|---|---|---|---|---|---|\n");
    for step in steps {
        let (word, why) = step.outcome.label();
        let (entry, seconds) = (run.ledger.of(step.name), step.took.as_secs_f64());
        let what = if why.is_empty() { step.claim } else { why };
        let _ = writeln!(
            text,
            "| `{}` | {word} | {} | {} | {} | {seconds:.1} |",
            step.name,
            escape_cell(what),
            entry.statements,
            entry.files
        );
    }
    section(
        &mut text,
        "Found",
        steps.iter().flat_map(|step| step.notes.iter().map(|note| format!("`{}`: {note}", step.name))),
    );
    let all = steps.iter().map(|step| step.name).chain(["leftovers", "clean-up"]);
    let codes = all.flat_map(|name| {
        let entry = run.ledger.of(name);
        entry.codes.into_iter().map(move |(code, asked)| format!("`{name}`: {code}, answering `{asked} …`"))
    });
    section(&mut text, "Error codes seen", codes);
    section(&mut text, "Left by earlier runs and removed", leftovers.dropped.iter().cloned());
    let spared = leftovers.spared.iter().chain(&swept.spared);
    section(&mut text, "Left alone", spared.map(|(what, why)| format!("{what}: {why}")));
    section(&mut text, "Removed at the end", swept.dropped.iter().cloned());
    let failed = swept.failed.iter().chain(&leftovers.failed);
    section(&mut text, "Left behind: run this by hand", failed.map(|(sql, why)| format!("`{sql};` ({why})")));
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.map(|line| format!("- {}\n", escape_cell(&line))).collect();
    let none = ["nothing\n".to_owned()];
    let lines = if lines.is_empty() { &none[..] } else { &lines };
    let _ = write!(text, "\n## {title}\n\n{}", lines.concat());
}

/// Escapes a text so that it ends neither its line nor its cell.
fn escape_cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
