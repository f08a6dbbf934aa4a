//! The families of the metrics.

use jiff::Timestamp;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

use crate::{Counts, RunRecord, SourceSpec, Traffic};

/// The upper bounds of the histogram of durations, in seconds: from an idle run to a backfill.
const DURATIONS: [f64; 11] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

type Labels<const N: usize> = [(&'static str, String); N];
type FloatCounter = Counter<f64, AtomicU64>;
type FloatGauge = Gauge<f64, AtomicU64>;

pub(super) struct Families {
    registry: Registry,
    running: Gauge,
    runs: Family<Labels<2>, Counter>,
    durations: Histogram,
    errors: Family<Labels<1>, Counter>,
    records: Family<Labels<2>, Counter>,
    commits: Family<Labels<1>, Counter>,
    requests: Family<Labels<1>, Counter>,
    bytes: Family<Labels<1>, Counter>,
    waited: Family<Labels<1>, FloatCounter>,
    waiting_until: FloatGauge,
    credits: FloatCounter,
    last_success: Family<Labels<2>, FloatGauge>,
    last_failure: Family<Labels<2>, FloatGauge>,
    without_series: Gauge,
}

impl Families {
    pub(super) fn new(spec: &SourceSpec) -> Self {
        let families = Self {
            registry: Registry::with_prefix("snowfeed"),
            running: Gauge::default(),
            runs: Family::default(),
            durations: Histogram::new(DURATIONS),
            errors: Family::default(),
            records: Family::default(),
            commits: Family::default(),
            requests: Family::default(),
            bytes: Family::default(),
            waited: Family::default(),
            waiting_until: FloatGauge::default(),
            credits: FloatCounter::default(),
            last_success: Family::default(),
            last_failure: Family::default(),
            without_series: Gauge::default(),
        };
        families.register(spec)
    }

    fn register(mut self, spec: &SourceSpec) -> Self {
        let info = Family::<Labels<2>, Gauge>::default();
        info.get_or_create(&[("source", spec.name.clone()), ("version", spec.version.clone())]).set(1);
        let registry = &mut self.registry;
        registry.register("info", "The source and its version", info);
        registry.register("runs_in_progress", "Runs that have started and not ended", self.running.clone());
        registry.register("runs", "Runs that have ended", self.runs.clone());
        let durations = self.durations.clone();
        registry.register_with_unit("run_duration", "The time from start to end of a run", Unit::Seconds, durations);
        registry.register("errors", "Runs that have ended with an error", self.errors.clone());
        registry.register("records", "Records that the source has returned", self.records.clone());
        registry.register("commits", "Commits", self.commits.clone());
        registry.register("requests", "Requests to the source, retries included", self.requests.clone());
        let bytes = self.bytes.clone();
        registry.register_with_unit("received", "Response bodies, after decompression", Unit::Bytes, bytes);
        let waited = self.waited.clone();
        registry.register_with_unit("waited", "Time in which a run waited for a limit", Unit::Seconds, waited);
        let until = self.waiting_until.clone();
        let help = "The end of the longest wait for a limit, 0 without one";
        registry.register_with_unit("waiting_until_timestamp", help, Unit::Seconds, until);
        registry.register("credits", "Estimated credits that commits have used", self.credits.clone());
        let help = "The end of the newest complete run in this process";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, self.last_success.clone());
        let help = "The end of the newest failed run in this process, if none was complete since";
        registry.register_with_unit("last_failure_timestamp", help, Unit::Seconds, self.last_failure.clone());
        let help = "Resources that have no series of their own";
        registry.register("resources_without_series", help, self.without_series.clone());
        self
    }

    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn set_running(&self, runs: usize) {
        self.running.set(i64::try_from(runs).unwrap_or(i64::MAX));
    }

    pub(super) fn set_waiting(&self, until: Option<Timestamp>) {
        self.waiting_until.set(until.map_or(0.0, seconds));
    }

    pub(super) fn set_resources_without_series(&self, resources: usize) {
        self.without_series.set(i64::try_from(resources).unwrap_or(i64::MAX));
    }

    /// Adds what a run has received since it was counted last.
    pub(super) fn add_traffic(&self, stream: &str, before: &Traffic, now: &Traffic) {
        let labels = [("stream", stream.to_owned())];
        self.requests.get_or_create(&labels).inc_by(now.requests.saturating_sub(before.requests));
        self.bytes.get_or_create(&labels).inc_by(now.bytes.saturating_sub(before.bytes));
        let waited = std::time::Duration::from_millis(now.waited_ms.saturating_sub(before.waited_ms));
        self.waited.get_or_create(&labels).inc_by(waited.as_secs_f64());
    }

    /// Adds the records of a run since it was counted last.
    pub(super) fn add_counts(&self, stream: &str, before: &Counts, now: &Counts) {
        for (outcome, before, now) in [
            ("inserted", before.inserted, now.inserted),
            ("updated", before.updated, now.updated),
            ("unchanged", before.unchanged, now.unchanged),
            ("deleted", before.deleted, now.deleted),
            ("skipped", before.skipped_total(), now.skipped_total()),
            ("rejected", before.rejected, now.rejected),
        ] {
            let labels = [("stream", stream.to_owned()), ("outcome", outcome.to_owned())];
            self.records.get_or_create(&labels).inc_by(now.saturating_sub(before));
        }
    }

    pub(super) fn add_commits(&self, stream: &str, commits: u64) {
        self.commits.get_or_create(&[("stream", stream.to_owned())]).inc_by(commits);
    }

    /// Counts a run that has ended.
    pub(super) fn ended(&self, run: &RunRecord) {
        let labels = [("stream", run.stream.clone()), ("status", run.status.to_string())];
        self.runs.get_or_create(&labels).inc();
        self.durations.observe(std::time::Duration::from_millis(run.timings.total_ms).as_secs_f64());
        if let Some(error) = &run.error {
            self.errors.get_or_create(&[("kind", error.kind.to_string())]).inc();
        }
        self.credits.inc_by(f64::from(run.credits));
    }

    pub(super) fn succeeded(&self, run: &RunRecord, at: Timestamp) {
        let labels = of(run);
        self.last_success.get_or_create(&labels).set(seconds(at));
        self.last_failure.remove(&labels);
    }

    pub(super) fn failed(&self, run: &RunRecord, at: Timestamp) {
        self.last_failure.get_or_create(&of(run)).set(seconds(at));
    }
}

fn of(run: &RunRecord) -> Labels<2> {
    [("resource", run.resource.clone()), ("stream", run.stream.clone())]
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
