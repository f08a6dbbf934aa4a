//! The progress of an ingestion: bars on a terminal, occasional lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{Output, clock, count, counted, duration};
use super::terminal::plain;
use crate::engine::Event;
use crate::{Mode, RunRecord, SourceEvent, Traffic};

/// The interval between lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How long to wait for a response before the first report.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// Shows the progress of an ingestion. Clones share their state.
#[derive(Clone)]
pub(super) struct Progress {
    output: Output,
    bars: MultiProgress,
    shown: Option<Arc<Mutex<ProgressState>>>,
}

/// The resources being read, and the warnings already shown.
#[derive(Default)]
struct ProgressState {
    rows_by_resource: BTreeMap<String, ProgressRow>,
    /// Each warning is shown once: it may concern many resources, and recur on a schedule.
    warnings: BTreeSet<String>,
}

/// One resource that is being read.
struct ProgressRow {
    bar: ProgressBar,
    mode: Mode,
    began: Instant,
    rows: u64,
    /// Requests left in the remote's quota.
    left: Option<u64>,
    traffic: Traffic,
    /// The activity that interrupts reading, if any.
    pause: Option<String>,
    last_note: Instant,
}

impl Progress {
    /// With `logged`, the log shows the same, and this shows nothing.
    pub(super) fn new(output: Output, logged: bool) -> Self {
        let animated = output.is_animated() && !logged;
        let target = if animated { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let shown = (!output.is_silent() && !logged).then(Arc::default);
        Self { output, bars: MultiProgress::with_draw_target(target), shown }
    }

    /// Whether anything is shown.
    pub(super) fn is_shown(&self) -> bool {
        self.shown.is_some()
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
        let ProgressState { rows_by_resource: resources, warnings } = &mut *shown;
        match event {
            Event::Started { resource, mode, .. } => {
                let row = ProgressRow::start(&self.bars, resource.name(), *mode);
                row.show(resource.name());
                if self.bars.is_hidden() {
                    self.output.note(&format!("{resource}: {}", row.activity()));
                }
                resources.insert(resource.name().to_owned(), row);
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
            Event::Source { resource, event, .. } => self.source_event(resources, resource.name(), event),
            Event::Read { resource, records, traffic, .. } => {
                let Some(row) = resources.get_mut(resource.name()) else { return };
                row.rows += records;
                row.traffic = *traffic;
                row.pause = None;
                row.show(resource.name());
                if self.bars.is_hidden() && row.last_note.elapsed() > LINE_EVERY {
                    row.last_note = Instant::now();
                    self.output.note(&format!("{resource}: {}", row.describe()));
                }
            }
            Event::Verifying { resource, records, .. } => {
                let Some(row) = resources.get_mut(resource.name()) else { return };
                row.pause = Some(format!("verifying {}", counted(*records, "record")));
                row.show(resource.name());
            }
            Event::Committed { .. } => {}
            Event::Ended(run) => {
                let row = resources.remove(&run.resource);
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

    /// Writes the result of a run in one line if there are no bars.
    pub(super) fn ended(&self, run: &RunRecord) {
        if self.shown.is_some() && self.bars.is_hidden() {
            self.output.note(&format!("{}: {}", run.resource, ended(run)));
        }
    }

    fn source_event(&self, resources: &mut BTreeMap<String, ProgressRow>, resource: &str, event: &SourceEvent) {
        let Some(row) = resources.get_mut(resource) else { return };
        match event {
            SourceEvent::Waiting { reason, until } => {
                let pause = format!("waiting until {}: {reason}", clock(*until));
                if self.bars.is_hidden() && row.pause.as_ref() != Some(&pause) {
                    self.output.note(&format!("{resource}: {pause}"));
                }
                row.pause = Some(pause);
            }
            SourceEvent::Resumed => row.pause = None,
            SourceEvent::Quota { remaining, .. } => row.left = Some(*remaining),
            SourceEvent::Warning(_) => {}
        }
        row.show(resource);
    }
}

impl ProgressRow {
    fn start(bars: &MultiProgress, resource: &str, mode: Mode) -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(plain(resource));
        if !bars.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        let now = Instant::now();
        Self { bar, mode, began: now, rows: 0, left: None, traffic: Traffic::default(), pause: None, last_note: now }
    }

    fn show(&self, resource: &str) {
        self.bar.set_message(format!("{}  {}", plain(resource), plain(&self.describe())));
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
        let mut parts =
            vec![counted(self.rows, "row"), format!("{}/s", count(rate)), counted(self.traffic.requests, "request")];
        parts.extend(self.left.map(|left| format!("{} requests left", count(left))));
        parts.push(self.pause.clone().unwrap_or_else(|| self.activity().to_owned()));
        parts.join(", ")
    }
}

/// One line about a finished run.
pub(super) fn ended(run: &RunRecord) -> String {
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
    let why = run.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    format!("{status}, {done}, {}, {took}{why}", counted(run.traffic.requests, "request"))
}

/// The number of records that a run rejected, and the command that lists them.
pub(super) fn rejected(run: &RunRecord) -> String {
    format!("rejected {}: list the outstanding ones with `rejects`", counted(run.counts.rejected, "record"))
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("output", &self.output).finish_non_exhaustive()
    }
}
