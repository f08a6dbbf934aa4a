//! The program's output: results on standard output, everything else on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::terminal::{escaped, plain, plain_but_for_colours, plain_lines};
use crate::{Error, ErrorReport, Result, RunRecord};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default().bold();

/// The version of the JSON documents, which `docs/json.md` describes. It increases when a field is removed or changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// Writes results, notes and errors, as text or as JSON. Colours appear on a terminal only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
    /// Whether each JSON document is one line.
    in_lines: bool,
    /// Whether notes and errors are lines of the log.
    is_logged: bool,
}

/// A document with the version of its schema.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema_version: u32,
    #[serde(flatten)]
    document: &'a T,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, in_lines: false, is_logged: false }
    }

    /// Writes each JSON document on one line, for a command that runs until it is stopped.
    pub(super) fn in_lines(self) -> Self {
        Self { in_lines: true, ..self }
    }

    /// Writes notes and errors into the log.
    pub(super) fn in_log(self) -> Self {
        Self { is_logged: true, ..self }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Whether notes and progress are suppressed.
    pub(super) fn is_silent(self) -> bool {
        self.json || self.quiet
    }

    /// Whether progress bars are visible.
    pub(super) fn is_animated(self) -> bool {
        !self.is_silent() && io::stderr().is_terminal()
    }

    /// Writes a command's result: the document as JSON, or the text.
    pub(super) fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        self.write(&Versioned { schema_version: SCHEMA_VERSION, document }, text)
    }

    /// Writes a command's result whose text has this program's own colours.
    pub(super) fn coloured(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            return self.result(document, String::new);
        }
        write_line(&plain_but_for_colours(&text()))
    }

    /// Writes a document whose schema is not this crate's.
    pub(super) fn foreign(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        self.write(document, text)
    }

    fn write(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        write_line(&match (self.json, self.in_lines) {
            (false, _) => plain_lines(&text()),
            (true, false) => to_json(document, serde_json::to_string_pretty)?,
            (true, true) => to_json(document, serde_json::to_string)?,
        })
    }

    /// Writes a note to standard error.
    pub(super) fn note(self, text: &str) {
        if self.is_logged && !self.quiet {
            tracing::info!(target: "snowfeed::cli", "{text}");
        } else if !self.is_silent() {
            // If standard error is gone, there is nowhere to report to.
            let _ = writeln!(anstream::stderr(), "{}", plain(text));
        }
    }

    /// Writes to standard error why a check has failed, as part of its result: `--quiet` does not suppress it.
    pub(super) fn failed_check(self, text: &str) {
        if self.is_logged {
            tracing::error!(target: "snowfeed::cli", "{text}");
        } else if !self.json {
            let _ = writeln!(anstream::stderr(), "{}", plain(text));
        }
    }

    /// Writes an error with its cause and help. With `--json` it is the document on standard output.
    pub(super) fn error(self, error: &Error) {
        let report = error.report();
        if self.json {
            // If this cannot be written, the exit code still reports the first error.
            let _ = self.result(&json!({ "error": report }), String::new);
        } else {
            self.report(None, &report);
        }
    }

    /// Writes an error as text to standard error.
    pub(super) fn report(self, resource: Option<&str>, report: &ErrorReport) {
        // An error before the log begins.
        if !self.is_logged || !tracing::dispatcher::has_been_set() {
            let _ = write!(anstream::stderr(), "{}", describe(resource, report));
            return;
        }
        let (kind, help, message) = (report.kind, report.help.as_deref(), &report.message);
        let causes = (!report.causes.is_empty()).then(|| report.causes.join(": "));
        tracing::error!(target: "snowfeed::cli", resource, %kind, help, causes, "{message}");
    }
}

fn describe(resource: Option<&str>, report: &ErrorReport) -> String {
    let resource = resource.map(|resource| format!("{}: ", plain(resource))).unwrap_or_default();
    let mut text = format!("{ERROR}error:{ERROR:#} {resource}{}\n", plain(&report.message));
    for cause in report.causes.iter().filter(|cause| !report.message.contains(*cause)) {
        let _ = writeln!(text, "  because: {}", plain(cause));
    }
    if let Some(help) = &report.help {
        let _ = writeln!(text, "{HELP}help:{HELP:#} {}", plain(help));
    }
    text
}

fn to_json<T: Serialize>(document: &T, write: impl Fn(&T) -> serde_json::Result<String>) -> Result<String> {
    let json =
        write(document).map_err(|error| Error::internal("the result cannot be written as JSON").with_source(error))?;
    Ok(escaped(json))
}

fn write_line(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // The reader closed the pipe, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::unavailable("the result cannot be written to standard output").with_source(error)),
        Ok(()) => Ok(()),
    }
}

/// A table without lines. The columns named in `numbers` are aligned to the right.
pub(super) fn table(header: &[&str], numbers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if numbers.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// A count, for the user: `12,300`.
pub(super) fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// The columns of [`counts`].
pub(super) const COUNTS: [&str; 7] = ["inserted", "updated", "unchanged", "deleted", "skipped", "rejected", "requests"];

/// The counts of a run, for the user.
pub(super) fn counts(run: &RunRecord) -> [String; COUNTS.len()] {
    let counts = &run.counts;
    [
        count(counts.inserted),
        count(counts.updated),
        count(counts.unchanged),
        count(counts.deleted),
        count(counts.skipped_total()),
        count(counts.rejected),
        count(run.traffic.requests),
    ]
}

/// Bytes, for the user: `1.20 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A span of time, for the user: `0.3 s`, `2m 5s`.
pub(super) fn duration(ms: u64) -> String {
    if ms < 60_000 {
        return format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    }
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// A point in time, for the user: `2026-01-31 12:00:00 UTC`.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time of day, for the user: `12:00:00 UTC`.
pub(super) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S UTC").to_string()
}

/// `1 row`, `2 rows`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_for_the_terminal() {
        assert!(!table(&["x"], &[], [vec!["\u{1b}[2J".to_owned()]]).contains('\u{1b}'));
        let error =
            Error::unavailable("a\u{1b}]0;x\u{7}").with_help("b\u{202e}").with_source(io::Error::other("c\u{9b}"));
        let text = anstream::adapter::strip_str(&describe(Some("d\r"), &error.report())).to_string();
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
    }

    #[test]
    fn an_error_reports_what_failed_why_and_how_to_fix_it() {
        let error =
            Error::unavailable("cannot reach it").with_source(io::Error::other("cable cut")).with_help("plug it in");
        let text = anstream::adapter::strip_str(&describe(Some("acme"), &error.report())).to_string();
        assert_eq!(text, "error: acme: cannot reach it\n  because: cable cut\nhelp: plug it in\n");
    }

    #[test]
    fn a_repeated_cause_is_omitted() {
        let error = Error::unavailable("failed: cable cut").with_source(io::Error::other("cable cut"));
        assert!(!describe(None, &error.report()).contains("because"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            (count(12_300), duration(1_250), duration(125_000)),
            ("12,300".into(), "1.2 s".into(), "2m 5s".into())
        );
        assert_eq!((counted(1, "row"), counted(2, "row")), ("1 row".into(), "2 rows".into()));
    }
}
