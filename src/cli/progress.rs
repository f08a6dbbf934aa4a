//! The progress of an ingestion: bars on a terminal, occasional lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::age::{due, point};
use super::labels::Labels;
use super::output::{Output, clock, count, counted, duration};
use super::terminal::plain;
use crate::engine::Event;
use crate::{Mode, RunRecord, SourceEvent, StateKey, Traffic};

/// The interval between lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How long to wait for a response before the first report.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// Shows the progress of an ingestion. Clones share their state.
#[derive(Clone)]
pub(super) struct Progress {
    output: Output,
    bars: MultiProgress,
    labels: Labels,
    shown: Option<Arc<Mutex<ProgressState>>>,
}

/// The streams being read, and the warnings already shown.
#[derive(Default)]
struct ProgressState {
    rows: BTreeMap<StateKey, ProgressRow>,
    /// Each warning is shown once: it may concern many resources, and recur on a schedule.
    warnings: BTreeSet<String>,
}

/// One stream that is being read.
struct ProgressRow {
    label: String,
    bar: ProgressBar,
    mode: Mode,
    began: Instant,
    rows: u64,
    /// Requests left in the remote's quota.
    left: Option<u64>,
    traffic: Traffic,
    /// The batches that have arrived, and the pages of the list, if the source knows their number.
    batches: u64,
    pages: Option<u64>,
    /// The activity that interrupts reading, if any.
    pause: Option<String>,
    last_note: Instant,
}

impl Progress {
    /// With `logged`, the log shows the same, and this shows nothing.
    pub(super) fn new(output: Output, logged: bool, labels: Labels) -> Self {
        let animated = output.is_animated() && !logged;
        let target = if animated { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let shown = (!output.is_silent() && !logged).then(Arc::default);
        Self { output, bars: MultiProgress::with_draw_target(target), labels, shown }
    }

    /// Hides the bars while `write` writes.
    pub(super) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bars.suspend(write)
    }

    /// Writes a note to standard error.
    pub(super) fn note(&self, text: &str) {
        self.suspend(|| self.output.note(text));
    }

    pub(super) fn event(&self, event: &Event) {
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let ProgressState { rows, warnings } = &mut *shown;
        match event {
            Event::Started { resource, stream, mode, .. } => {
                let row = ProgressRow::start(&self.bars, self.labels.label(resource.name(), stream), *mode);
                row.show();
                if self.bars.is_hidden() {
                    self.output.note(&format!("{}: {}", row.label, row.activity()));
                }
                rows.insert(StateKey::new(resource.name(), stream), row);
            }
            Event::Source { event: SourceEvent::Warning(warning), .. } => {
                if warnings.insert(warning.clone()) {
                    self.note(&format!("warning: {warning}"));
                }
            }
            Event::Remote(SourceEvent::Warning(warning)) => {
                if warnings.insert(warning.clone()) {
                    self.note(&format!("warning: {warning}"));
                }
            }
            Event::Remote(SourceEvent::Waiting { reason, until }) => {
                self.note(&format!("waiting until {}: {reason}", clock(*until)));
            }
            Event::Remote(_) => {}
            Event::Source { resource, stream, event } => {
                if let Some(row) = rows.get_mut(&StateKey::new(resource.name(), stream)) {
                    self.source_event(row, event);
                }
            }
            Event::Read { resource, stream, records, traffic } => {
                let Some(row) = rows.get_mut(&StateKey::new(resource.name(), stream)) else { return };
                row.rows += records;
                row.batches += 1;
                row.traffic = *traffic;
                row.pause = None;
                row.show();
                if self.bars.is_hidden() && row.last_note.elapsed() > LINE_EVERY {
                    row.last_note = Instant::now();
                    self.output.note(&format!("{}: {}", row.label, row.describe()));
                }
            }
            Event::Verifying { resource, stream, records } => {
                let Some(row) = rows.get_mut(&StateKey::new(resource.name(), stream)) else { return };
                row.pause = Some(format!("verifying {}", counted(*records, "record")));
                row.show();
            }
            Event::Committed { .. } => {}
            Event::Paused(used) => self.note(&used.to_string()),
            Event::Idle { next_due } => {
                let now = Timestamp::now();
                self.note(&format!("next run {} ({})", due(*next_due, now), point(*next_due, now)));
            }
            Event::Ended(run) => {
                let row = rows.remove(&StateKey::new(&run.resource, &run.stream));
                if let Some(row) = row {
                    row.bar.finish_and_clear();
                    self.bars.remove(&row.bar);
                }
            }
        }
    }

    /// Waits for a response from `remote`, and reports a long wait.
    pub(super) async fn watch<T>(&self, remote: &str, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        let began = Instant::now();
        let mut next = FIRST_WORD;
        loop {
            match tokio::time::timeout(next, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => {
                    let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.note(&format!("no response from {remote} for {}; still waiting", duration(waited)));
                    next = LINE_EVERY;
                }
            }
        }
    }

    /// Writes the result of a run in one line if there are no bars. The errors follow at the end, with their help.
    pub(super) fn ended(&self, run: &RunRecord) {
        if self.shown.is_some() && self.bars.is_hidden() {
            self.output.note(&format!("{}: {}", self.labels.of(run), ended(run)));
        }
    }

    fn source_event(&self, row: &mut ProgressRow, event: &SourceEvent) {
        match event {
            SourceEvent::Waiting { reason, until } => {
                let pause = format!("waiting until {}: {reason}", clock(*until));
                if self.bars.is_hidden() && row.pause.as_ref() != Some(&pause) {
                    self.output.note(&format!("{}: {pause}", row.label));
                }
                row.pause = Some(pause);
            }
            SourceEvent::Resumed => row.pause = None,
            SourceEvent::Quota { remaining, .. } => row.left = Some(*remaining),
            // A source that reads on from the newest record counts the rest only.
            SourceEvent::Pages(pages) => row.pages = row.pages.max(Some(*pages)),
            SourceEvent::Warning(_) => {}
        }
        row.show();
    }
}

impl ProgressRow {
    fn start(bars: &MultiProgress, label: String, mode: Mode) -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(plain(&label));
        if !bars.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        let now = Instant::now();
        let (rows, left, traffic, batches, pages, pause) = (0, None, Traffic::default(), 0, None, None);
        Self { label, bar, mode, began: now, rows, left, traffic, batches, pages, pause, last_note: now }
    }

    fn show(&self) {
        self.bar.set_message(format!("{}  {}", plain(&self.label), plain(&self.describe())));
    }

    fn activity(&self) -> &'static str {
        match self.mode {
            Mode::Incremental => "reading changes",
            Mode::Reconcile => "reading everything",
        }
    }

    fn describe(&self) -> String {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.rows.saturating_mul(1_000) / ms;
        // What matters first: a terminal may be narrow.
        let mut parts = vec![self.pause.clone().unwrap_or_else(|| self.activity().to_owned())];
        parts.extend(self.pages.and_then(|pages| estimate(self.batches, pages, ms)));
        parts.extend([
            counted(self.rows, "row"),
            format!("{}/s", count(rate)),
            counted(self.traffic.requests, "request"),
        ]);
        parts.extend(self.left.map(|left| format!("{} requests left", count(left))));
        parts.join(", ")
    }
}

/// How much of a list was read in this time, and how long the rest takes at that rate. The source may have counted pages that are not
/// read, or more may come.
fn estimate(read: u64, pages: u64, ms: u64) -> Option<String> {
    if read == 0 || pages < 2 || read >= pages {
        return None;
    }
    let left = ms.saturating_mul(pages - read) / read;
    Some(format!("{} % of the list, about {} left", read * 100 / pages, duration(left)))
}

/// One line about a finished run, and what to do if it failed.
pub(super) fn ended_because(run: &RunRecord) -> String {
    let Some(error) = &run.error else {
        let rejects = (run.counts.rejected > 0).then(|| format!("; {}", plain(&rejected(run))));
        return ended(run) + &rejects.unwrap_or_default();
    };
    let help = error.help.as_ref().map(|help| format!("\n  → {}", plain(help))).unwrap_or_default();
    format!("{}: {}{help}", ended(run), error.message)
}

/// One line about a finished run, without its error.
fn ended(run: &RunRecord) -> String {
    let counts = &run.counts;
    let parts = [
        (counts.inserted, "inserted"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.skipped_total(), "skipped"),
        (counts.rejected, "rejected"),
        (counts.unchanged, "unchanged"),
    ];
    let done: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n))).collect();
    let done = if done.is_empty() { "nothing new".to_owned() } else { done.join(", ") };
    let (status, took) = (run.status, duration(run.timings.total_ms));
    format!("{status}, {done}, {}, {took}", counted(run.traffic.requests, "request"))
}

/// The columns that a run has added to the view of its stream, or whose types it has widened: the first few.
pub(super) fn new_columns(run: &RunRecord) -> String {
    const SHOWN: usize = 8;
    let prefix = format!("{}.", run.stream);
    let name = |column: &'_ String| column.strip_prefix(&prefix).unwrap_or(column).to_owned();
    let names: Vec<String> = run.new_columns.iter().take(SHOWN).map(name).collect();
    let more = match run.new_columns.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {} more", count(more as u64)),
    };
    format!("{} from the records: {}{more}", counted(run.new_columns.len() as u64, "new column"), names.join(", "))
}

/// The number of records that a run rejected, the most frequent reason, and the command that lists them.
pub(super) fn rejected(run: &RunRecord) -> String {
    let reason = run.reject_reason.as_ref().map_or_else(String::new, |main| match main.count < run.counts.rejected {
        true => format!(", {} because: {};", count(main.count), main.reason),
        false => format!(" ({}):", main.reason),
    });
    let reason = if reason.is_empty() { ":".to_owned() } else { reason };
    format!("rejected {}{reason} list the outstanding ones with `rejects`", counted(run.counts.rejected, "record"))
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("output", &self.output).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_list_is_estimated_where_its_length_is_known() {
        assert_eq!(estimate(25, 100, 30_000).unwrap(), "25 % of the list, about 1m 30s left");
        assert_eq!(estimate(99, 100, 9_900).unwrap(), "99 % of the list, about 0.1 s left");
        for (read, pages) in [(0, 100), (1, 1), (0, 0), (100, 100), (101, 100)] {
            assert_eq!(estimate(read, pages, 1_000), None, "{read} of {pages}");
        }
    }

    #[test]
    fn a_line_begins_with_the_wait() {
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut row = ProgressRow::start(&hidden, "acme/widgets".to_owned(), Mode::Incremental);
        assert!(row.describe().starts_with("reading changes, 0 rows"), "{}", row.describe());
        row.pause = Some("waiting until 12:00:00 UTC: primary rate limit".to_owned());
        assert!(row.describe().starts_with("waiting until 12:00:00 UTC: primary rate limit, "), "{}", row.describe());
    }
}
